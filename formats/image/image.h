/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* image.h - an opened disk image and the chain of images that it is based on.
 *
 * open/open.h opens it, in one thread, before anything is served: the file, its lock, its format,
 * its parents.  Afterwards its views may be used from any thread.  Only the image that is opened
 * for writing can change; its parents never do.
 */
#ifndef VDISK_IMAGE_IMAGE_H
#define VDISK_IMAGE_IMAGE_H

#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "io/gate.h"
#include "util/guid.h"
#include "state.h"

struct cache;
struct codec;
struct err;
struct format;
struct io;
struct luks_header_file;
struct nbd_server;
struct passphrase;
struct view;

/* How to open; borrowed by every image opened with it, so it must outlive them. */
struct image_options {
	const char *format;       /* of the top image; NULL: probe */
	const char *const *allow; /* directories besides the image's own; NULL-terminated or NULL */
	const char *const *search; /* where to look for a parent that moved; likewise */
	/* Formats of the parents whose child does not record it, from the top down; likewise. */
	const char *const *parent_formats;
	/* Servers that a name of the user may mean by their URIs; likewise.  A name in an image
	 * never does. */
	struct nbd_server *const *nbd;
	/* Paths, or names of servers: the parents of the image that is named and of its parents, in
	 * the place of those that they record; "": the one that is recorded; likewise. */
	const char *const *backing;
	bool nobacking;     /* leave parents closed: what they would give is EIO */
	bool write;         /* the image that is named, not its parents */
	bool fill;          /* then also one that can only be filled, once, with packed units */
	bool detect_zeroes; /* of what is written, zeroes over zeroes are not stored */
	bool copy_on_read;  /* with write: what is read of parents is stored in the image, too */
	bool repair;        /* for image_check alone: its files may be written, but not the disk */
	bool nosync;        /* leave durability to the host: the image can be created again */
	bool share;         /* read although another program has it open for writing */
	bool nosnapshots;   /* do not look at the table of internal snapshots */
	bool ignore_parent_id; /* accept a parent that changed since the child was created */
	const struct passphrase *secrets; /* passphrases to try on each image; NULL: none */
	const struct luks_header_file *luks_headers; /* LUKS headers in files; NULL: none */
	uint64_t luks_memory; /* bytes that Argon2 may take to open a key slot; 0: 1.25 GiB */
	bool locked;          /* then an encrypted image opens, but its data cannot be read */
	bool lenient;    /* for info and check: parts that are damaged or missing are warned of, and
			  * their data cannot be read */
	bool any_is_raw; /* a file that no format claims is a raw disk */
	uint64_t range_start,
		range_size; /* of the file, in which the image is; size 0: the whole */
	bool nolock;        /* do not lock: its metadata is looked at, no data is read */
	const char
		*disk; /* the name of the disk of a package that has several; NULL: the only one */
	struct cache *cache;                       /* required */
	struct codec *codec;                       /* required */
	void (*warn)(void *arg, const char *text); /* reports a problem that is no failure; NULL */
	void *warn_arg;
};

#define IMAGE_OTHER_NAMES 15

struct image {
	const struct format *format;
	const struct image_options *opts;
	struct io *io;
	bool writable;         /* it is opened to be written, and so are its parts */
	struct writer *writer; /* of a writable image, once it is open */
	uint64_t stored;      /* bytes that the host had allocated for it: io and its other files */
	struct image *parent; /* opened by the core, never by a driver */
	char *path;           /* of the file, absolute and without links; NULL: not a file */
	struct gate gate;     /* for the names in it */
	bool guessed; /* a parent whose format its child does not record: it may name no file */
	bool format_given;    /* the user named the format of this very image */
	struct view *missing; /* in the place of a parent that is not opened */
	struct io **files;    /* all that it reads, held */
	size_t nfiles;
	struct state **states; /* [0] live, then snapshots in the image's order; see state.h */
	size_t nstates;
	unsigned next_state;
	bool renumbered; /* a state went: opened again, the others have other numbers */
	pthread_mutex_t states_lock;

	/* By the driver: */
	void *priv;
	char *parent_name;                      /* malloc'ed, as recorded; NULL: no parent */
	char *parent_others[IMAGE_OTHER_NAMES]; /* tried in turn when that fails; likewise */
	char *parent_format;                    /* malloc'ed, as recorded; NULL: not recorded */
	bool parent_unproved;                   /* a wrong file of that name would not be noticed */
	unsigned char id[GUID_LEN];             /* of the image; zero: none */
	unsigned char parent_id[GUID_LEN];      /* of its parent; likewise */
	unsigned char change_id[GUID_LEN]; /* another one whenever its bytes change; likewise */
	unsigned char parent_change_id[GUID_LEN]; /* of the parent, as it was then; likewise */
	const char *no_writing; /* the reason why this image cannot be written; NULL: none of the
				   format can */
	uint32_t sector_size;   /* logical sectors, as recorded; 0: not recorded */
};

/* Returns once all that was written to the image before is durable. */
int image_flush(struct image *img, struct err *e);

/* Makes a writable image durable and removes its marks of being written.  image_close does that,
 * too, but cannot report that it failed.  Any other image is not changed. */
int image_finish(struct image *img, struct err *e);

/* 0, or the error of a file of the image, or of one of its parents, whose length another program
 * has changed since it was opened. */
int image_check_files(const struct image *img, struct err *e);

/* The image, its states and its parents; NULL is fine. */
void image_close(struct image *img);

/* Records another backing file in an image that is open for writing; NULL: none.  format: recorded
 * with it; NULL: not recorded.  The open chain stays as it is: the new name is used when the image
 * is opened again.  Durable on return.  EOPNOTSUPP: the format cannot; ENOSPC: the name is too
 * long.  One thread, as for the two below. */
int image_set_backing(struct image *img, const char *name, const char *format, struct err *e);

/* Frees all data of an image that is open for writing, so that its parent shows.  Durable on
 * return. EOPNOTSUPP: the format cannot. */
int image_empty(struct image *img, struct err *e);

/* img reads unallocated ranges from parent, which it owns from now on; NULL: as zeroes.  Returns
 * the previous parent, which the caller closes. */
struct image *image_swap_parent(struct image *img, struct image *parent);

/* The bytes that the host has allocated for the files of the image, without its parents. */
uint64_t image_stored(const struct image *img);

/* The directory of the host that the image lies in; NULL: in none, as one in an archive. */
const char *image_dir(const struct image *img);

/* For drivers: a second file of the image (an extent, a data file), through its gate, locked.  what
 * is a word for messages ("extent").  It is called once for each name: a driver shares the io of a
 * name that it meets again.
 */
int image_open_part(
	struct image *img, const char *name, const char *what, struct io **io, struct err *e);

/* For drivers: warns the user of a problem that is no failure. */
void image_warn(const struct image *img, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

/* For drivers: the parent's name is the len bytes at pos of the file. */
int image_read_parent_name(struct image *img, uint64_t pos, uint32_t len, struct err *e);

/* For drivers: one more name of the parent, as Windows writes it; copied, with the separators of
 * POSIX.  The first is the parent_name.  An empty name, a known one and those beyond the
 * IMAGE_OTHER_NAMES are left out. */
int image_add_parent_name(struct image *img, const char *windows_name, struct err *e);

/* The last part of the image's file name, or its title. */
const char *image_basename(const struct image *img);

/* The name of a layer in the chain of a mount and in attributes, "1-base.qcow2"; malloc'ed, or NULL
 * without memory. */
char *image_layer_name(const struct image *img, unsigned layer);

/* The name of io, a file of img, for a caller to whom img has the name name: neighbours get a name
 * of the same form.  malloc'ed, or NULL without memory. */
char *image_file_name(const struct image *img, const char *name, const struct io *io);

/* For drivers, as knows_parent and check_parent: the id of the parent, and that of its last change
 * if both record it. */
bool image_knows_parent(const struct image *img, const struct image *other);
int image_check_parent(const struct image *img, const struct image *parent, struct err *e);

/* For the opening of images. */

/* The states of img read unallocated ranges from below; NULL: as zeroes. */
void image_lay_on(struct image *img, struct view *below);

/* Locks a file that was opened with o; write: makes it writable before, since the descriptor is
 * another one then. */
int image_lock_file(struct io *io, const struct image_options *o, bool write, struct err *e);

/* Adds a file to those that the image reads. */
int image_add_file(struct image *img, struct io *io, struct err *e);

/* Makes an image writable after its driver has added the views. */
int image_start_writing(struct image *img, struct err *e);

/* Warns of io as image_warn of the image. */
void image_options_warn(const struct image_options *o, const struct io *io, const char *fmt,
	va_list ap) __attribute__((format(printf, 3, 0)));

/* Is io the file of img or of one of its parents? */
bool image_chain_has(const struct image *img, const struct io *io);

/* The number of images from img down, 1 without a parent. */
size_t image_depth(const struct image *img);

#endif
