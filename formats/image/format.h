/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* format.h - what a disk image format is.
 *
 * A driver defines one const struct format and open/registry.c lists it; nothing else in the tree
 * names the format.  A driver opens its own file, describes itself and
 * maps; chains, locks, gates, caching and all data I/O are the core's.
 */
#ifndef VDISK_IMAGE_FORMAT_H
#define VDISK_IMAGE_FORMAT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct amendment;
struct bitmap_ops;
struct check_report;
struct create_option;
struct creation;
struct err;
struct facts;
struct image;
struct export_format;
struct snapshot_ops;
struct view;

/* A file as probes see it: its first and its last bytes and its name. */
#define PEEK_TAIL 512

struct peek {
	const unsigned char *head, *tail;
	size_t nhead; /* LIMIT_PEEK at most; less when the file is shorter */
	size_t ntail; /* PEEK_TAIL at most */
	uint64_t size;
	const char *name;
	bool is_block;
	bool is_foreign; /* by its magic it is another kind of file; set by registry_probe */
};

/* A name that an image has for another file: of its parent, or of a part of itself. */
typedef void format_name_visit(void *arg, const char *name, bool is_parent);

/* How large a file an image would become. */
struct measured {
	uint64_t required; /* bytes of the file with the data that there is */
	uint64_t full;     /* and if all of the disk is written to */
	bool has_bitmaps;  /* the disk can have bitmaps, which the image could have, too */
	uint64_t bitmaps;  /* bytes that these would take besides */
};

struct format {
	const char *name;            /* the one that qemu-img uses */
	const char *title;           /* for people */
	const char *const *suffixes; /* NULL-terminated, without the dot; new files get the first */
	const char *bundle; /* a directory with a file of this name is one image; or NULL */

	bool has_parents;   /* an image may be based on another */
	bool has_snapshots; /* an image may hold other states than the live one */

	bool records_parent_format; /* at least when qemu-img is asked to */
	bool records_raw_parent;    /* a parent whose format is not recorded is no raw disk */

	/* A score: 0 not this format, up to 100 certain.  Pure. */
	int (*probe)(const struct peek *p);
	/* Visits the names of other files that show at the head of a file of this format, however
	 * it is cut; NULL: none do.  Pure. */
	void (*names)(const unsigned char *head, size_t n, format_name_visit *visit, void *arg);
	bool names_raw; /* of raw files that hold its data, whatever size it has itself */
	/* Reads img->io; sets priv, states, nstates and the record of the parent.  On failure
	 * leaves nothing behind: close is not called then. */
	int (*open)(struct image *img, struct err *e);
	/* Frees priv; the views of the states are freed by the core, before. */
	void (*close)(struct image *img);

	/* The rest may be NULL. */
	/* The image is writable and the view of its live state has write ops: what they need before
	 * the first of them is called.  Adds files beside img->io to img->writer->writeback. */
	int (*start_writing)(struct image *img, struct err *e);
	/* Writes an empty image into c->io: creation.h. */
	int (*create)(struct creation *c, struct err *e);
	const struct create_option *create_options;
	bool preallocates; /* units without their data, which are holes of the file */
	bool can_write;    /* images, at least some of them */
	bool can_back;     /* created images may have a backing file */
	bool can_compress; /* created images, at least some, may be filled with packed units */
	/* Checks that parent, opened, is the very image that img was created on.  NULL: any is. */
	int (*check_parent)(const struct image *img, const struct image *parent, struct err *e);
	/* Does the id that img records of its parent match other, an image of any format, also when
	 * its data has changed since?  The core searches for a parent by it.  NULL: only names are
	 * recorded. */
	bool (*knows_parent)(const struct image *img, const struct image *other);
	/* Format-specific facts, with qemu-img's keys. */
	void (*facts)(const struct image *img, struct facts *f);
	/* As image_check.  NULL: there is no metadata that could be wrong. */
	int (*check)(struct image *img, unsigned repair, struct check_report *r, struct err *e);
	const struct snapshot_ops *snapshots; /* can come and go; NULL: cannot */
	const struct bitmap_ops *bitmaps;     /* images may have persistent ones */
	/* As image_set_backing and image_empty, between writer_begin_exclusive and
	 * writer_end_exclusive. */
	int (*set_backing)(struct image *img, const char *name, const char *format, struct err *e);
	int (*empty)(struct image *img, struct err *e);
	/* Changes all of a but the size of the disk, likewise. */
	int (*amend)(struct image *img, const struct amendment *a, struct err *e);
	/* The size of a new image of c->size bytes with these options and the data of disk; NULL:
	 * none. */
	int (*measure)(const struct view *disk, const struct creation *c, struct measured *m,
		struct err *e);
	/* Files of this format that can be generated over a disk; NULL-terminated; or NULL. */
	const struct export_format *const *layouts;
};

/* The abilities of a format, as words for people: "read, parents, snapshots". */
#define FORMAT_ABILITIES 80
void format_abilities(const struct format *f, char text[FORMAT_ABILITIES]);

/* For measure: how many bytes the units (a power of 2) have together that hold data of disk. */
uint64_t format_measure_units(const struct view *disk, uint64_t unit);

#endif
