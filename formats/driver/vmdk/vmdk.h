/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* vmdk.h - private to the VMDK driver.
 *
 * A disk is a text descriptor and the extents that it lists, one after another: vmdk.c.  What
 * differs from one kind of extent to the next is behind struct vmdk_kind.  Three kinds are sparse:
 * those of hosted products (sparse.c, with sparse-header.c and recover.c), those of ESX
 * (cowd.c) and those of ESX from 5.5 on (sesparse.c).  All three look their grains up in
 * tables of one shape, which grain-table.c walks.
 *
 * Section names are those of VMware's "Virtual Disk Format 5.0".
 */
#ifndef VDISK_DRIVER_VMDK_VMDK_H
#define VDISK_DRIVER_VMDK_VMDK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "util/limits.h"
#include "image/format.h"
#include "image/creation.h"
#include "util/guid.h"
#include "view/view.h"

struct cache;
struct check_report;
struct err;
struct facts;
struct image;
struct io;
struct export_format;
struct regions;
struct vmdk_stream;

#define VMDK_SECTOR    512u /* bytes of a sector in all fields, whatever the guest's sectors are */
#define VMDK_NO_CID    UINT32_MAX  /* as parentCID: no parent */
#define VMDK_FIRST_CID 0xfffffffeu /* before anything was written */

/* Bytes of a file name once it is UTF-8, with the NUL. */
#define VMDK_NAME_ROOM (3 * LIMIT_NAME + 1)

/* An extent line of the descriptor. */
struct vmdk_line {
	unsigned number; /* of the line in the text */
	bool hidden;     /* NOACCESS: the disk has zeroes here */
	bool fixed;      /* RDONLY */
	const char *type;
	uint64_t sectors;
	const char *file; /* NULL: none */
	uint64_t start;   /* sector in the file where a flat extent begins */
};

/* A descriptor, taken apart.  Strings lie in the text that it was parsed from. */
struct vmdk_desc {
	uint32_t cid, parent_cid;
	const char *create_type; /* these are NULL when the descriptor does not say */
	const char *parent_hint;
	const char *encoding; /* of file names that are not ASCII */
	uint32_t sector_size; /* 0: it does not say */
	bool bare;            /* there is no text: an extent that makes do without one */
	/* VirtualBox's own, as in struct image; zero: it does not say. */
	unsigned char id[GUID_LEN], change_id[GUID_LEN];
	unsigned char parent_id[GUID_LEN], parent_change_id[GUID_LEN];
	/* Where writing changes the text; NULL: there is no such. */
	struct {
		const char *cid, *long_cid, *change_id; /* values */
		const char *tracking; /* a key: the list of what was changed is in another file */
	} at;
	struct vmdk_line *lines;
	size_t nlines;
};

/* An extent of an opened disk. */
struct vmdk_extent {
	const struct vmdk_kind *kind;
	const struct vmdk_line *line;
	uint64_t start, len; /* its bytes of the disk */
	struct io *io;       /* a reference of its own; NULL: the kind has no file */
	void *priv;          /* the kind's */
	/* By the kind: */
	struct vmdk_tables *tables; /* that can be changed; NULL: all is in place */
	const char *no_writing;     /* why this one cannot be written to; NULL: it can */
};

/* An opened disk. */
struct vmdk {
	struct view view;
	char *text; /* of the descriptor; desc points into it */
	struct vmdk_desc desc;
	struct io *io;     /* of a disk that is written to: the file with the descriptor */
	uint64_t text_pos; /* in there */
	bool embedded;     /* in a sparse extent */
	struct vmdk_extent *extents; /* as many as lines */
	struct vmdk_stream *stream;  /* that is being filled, or NULL */
};

/* As in struct view_ops. */
void vmdk_free(struct view *view);

/* The content ID that the descriptor of an opened image of this format has. */
uint32_t vmdk_content_id(const struct image *img);

/* The last extent that begins at or before off. */
struct vmdk_extent *vmdk_find_extent(const struct vmdk *v, uint64_t off);

/* write.c */

/* The image is open: if it shall be written, lets it, or says why it cannot. */
int vmdk_let_write(struct image *img, struct vmdk *v, struct err *e);
int vmdk_start_writing(struct image *img, struct err *e);

/* resize.c: as in struct write_ops. */
int vmdk_resize(struct view *view, uint64_t size, struct err *e);

/* A kind of extent.  What it has no need of is NULL; all map, and those with a file open. */
struct vmdk_kind {
	const char *no_writing; /* why none of it can be written to */
	/* io is there.  On failure leaves nothing behind but io. */
	int (*open)(struct vmdk_extent *x, const struct image *img, struct err *e);
	void (*close)(struct vmdk_extent *x);
	/* As in struct view_ops, but off is that in the extent and BELOW needs no position. */
	int (*map)(const struct vmdk_extent *x, uint64_t off, uint64_t len, struct extent *out,
		struct err *e);
	int (*fill)(
		const struct vmdk_extent *x, const struct extent *unit, void *buf, struct err *e);
	void (*facts)(const struct vmdk_extent *x, struct facts *f);
};

/* descriptor.c */

/* Does the head of a file look like a descriptor?  A bid, as of probe. */
int vmdk_desc_probe(const unsigned char *head, size_t len);

/* Takes apart text, which it changes and which must outlive the descriptor.  Free with
 * vmdk_desc_free, also on failure. */
int vmdk_desc_parse(struct vmdk_desc *d, char *text, struct err *e);
void vmdk_desc_free(struct vmdk_desc *d);

/* filename.c */

/* Writes name, which is in the encoding that the descriptor declares, as UTF-8. */
int vmdk_name_decode(
	const struct vmdk_desc *d, const char *name, char out[VMDK_NAME_ROOM], struct err *e);

/* As names of a format. */
void vmdk_names(const unsigned char *head, size_t n, format_name_visit *visit, void *arg);

/* parent.c */

/* Fills in what the descriptor says of the image and of its parent. */
int vmdk_set_parent(struct image *img, const struct vmdk_desc *d, struct err *e);

/* As knows_parent and check_parent.  base: of the parent, NULL when that is of another format. */
bool vmdk_fits_parent(const struct image *img, const struct vmdk_desc *child,
	const struct image *parent, const struct vmdk_desc *base);
int vmdk_compare_parent(const struct image *img, const struct vmdk_desc *child,
	const struct image *parent, const struct vmdk_desc *base, struct err *e);

/* flat.c */
extern const struct vmdk_kind vmdk_flat, vmdk_zero;

/* sparse-header.c */

#define VMDK_GD_AT_END UINT64_MAX /* as gd: the footer knows */

enum vmdk_flags {
	VMDK_REDUNDANT = 1u << 1,   /* there is a second grain directory */
	VMDK_ZERO_GRAINS = 1u << 2, /* an entry of 1 stands for zeroes */
	VMDK_COMPRESSED = 1u << 16,
	VMDK_MARKERS = 1u << 17, /* compressed grains say where they belong */
};

enum vmdk_markers { VMDK_MARKER_END, VMDK_MARKER_TABLE, VMDK_MARKER_DIRECTORY, VMDK_MARKER_FOOTER };

/* The header of a sparse extent.  All in sectors, as in the file. */
struct vmdk_header {
	uint32_t version, flags;
	uint32_t tables_len; /* entries of a grain table */
	uint64_t capacity, grain;
	uint64_t desc_start, desc_len;
	uint64_t rgd, gd;  /* redundant and first grain directory */
	uint64_t overhead; /* where grains may begin */
	uint16_t compression;
};

enum { VMDK_NOT_COMPRESSED = 0, VMDK_DEFLATE = 1 };

/* Writes a header, or a footer, of VMDK_SECTOR bytes. */
void vmdk_header_encode(const struct vmdk_header *h, unsigned char *p);

int vmdk_header_read(struct io *io, struct vmdk_header *h, struct err *e);

/* Reads the footer instead, which has the same fields.  -EUCLEAN when there is none. */
int vmdk_footer_read(struct io *io, struct vmdk_header *h, struct err *e);

/* grain-table.c */

/* What a table says, whatever its form: the sector where something begins, or one of these. */
#define VMDK_NONE UINT64_C(0) /* nothing here: the parent's, or zeroes */
#define VMDK_ZERO UINT64_C(1) /* zeroes, whatever the parent has */
#define VMDK_BAD  UINT64_MAX  /* the entry makes no sense */

struct vmdk_room;
struct vmdk_tables;
typedef uint64_t vmdk_decode(const struct vmdk_tables *t, const unsigned char *entry);

/* A grain directory has the places of grain tables, and these have the places of grains.  There may
 * be a redundant copy of both, which answers for entries of the first that cannot be right.
 *
 * An entry that points neither to room for grains nor to room for tables is damage and is told as
 * such, at the place of the disk that it concerns; nothing else of the disk suffers. */
struct vmdk_tables {
	struct cache *cache;
	struct io *io;
	vmdk_decode *table_at, *grain_at; /* of entries of the directory and of tables */
	uint32_t entry_len;               /* bytes, in both */
	uint32_t per_table;               /* grains that a table maps */
	uint32_t grain;                   /* bytes */
	uint64_t capacity;                /* bytes of disk that are mapped */
	uint64_t ngrains;
	uint64_t gd_pos, gd_len;     /* bytes */
	uint64_t rgd_pos;            /* 0: no redundant directory */
	uint64_t text_pos, text_len; /* the descriptor in the extent, bytes; 0: there is none */
	uint64_t first_grain;        /* sector */
	bool zero_tables;            /* VMDK_ZERO in the directory: all grains are zero */
	bool zero_grains;            /* VMDK_ZERO in a table is possible */
	bool packed;                 /* grains are compressed: sector, and no two make a run */
	bool zero_marks;             /* others know VMDK_ZERO in a table, too */
	struct vmdk_room *room;      /* of an extent that can be written: alloc.h */
};

/* Sets ngrains, and gd_len, from the rest. */
int vmdk_tables_measure(struct vmdk_tables *t, struct err *e);

/* Would a directory of t that begins in this sector lie inside the file? */
bool vmdk_directory_fits(const struct vmdk_tables *t, uint64_t sector);

/* That is where it is: sets gd_pos. */
int vmdk_tables_place(struct vmdk_tables *t, uint64_t sector, struct err *e);

/* May table i be in this sector?  May a table say that a grain is there? */
bool vmdk_table_possible(const struct vmdk_tables *t, uint64_t i, uint64_t sector);
bool vmdk_grain_possible(const struct vmdk_tables *t, uint64_t place);

/* Does the file hold all that the disk shows of a grain in this sector? */
bool vmdk_grain_is_whole(const struct vmdk_tables *t, uint64_t grain, uint64_t sector);

/* Reads the directory and tells how many of its entries only the redundant one has. */
int vmdk_tables_check(const struct vmdk_tables *t, uint64_t *lost, struct err *e);

/* The sector of table i, or VMDK_NONE or VMDK_ZERO, what all of its grains are; the sector of its
 * redundant twin, or VMDK_NONE. */
int vmdk_find_table(const struct vmdk_tables *t, uint64_t i, uint64_t *sector, struct err *e);
int vmdk_find_twin(const struct vmdk_tables *t, uint64_t i, uint64_t *sector, struct err *e);

/* As map of struct vmdk_kind.  Of compressed grains out->pos is the sector and out->unit_id the
 * index: all else of an EXTENT_GENERATED is the caller's. */
int vmdk_tables_map(
	const struct vmdk_tables *t, uint64_t off, uint64_t len, struct extent *out, struct err *e);

/* recover.c */

#define VMDK_RECORD_HEAD 12u /* bytes in front of a compressed grain that has a marker */

/* Bytes that a compressed grain may take: more than it has, when it does not shrink. */
#define VMDK_MAX_PACKED(grain) ((grain) + (grain) / 1000 + (64u << 10))

/* The grains that were found in a stream without its directory. */
struct vmdk_scan;

/* -ENODATA: there is not one. */
int vmdk_scan(struct io *io, const struct vmdk_header *h, struct vmdk_scan **scan, struct err *e);
void vmdk_scan_free(struct vmdk_scan *scan); /* NULL is fine */

/* As vmdk_tables_map. */
int vmdk_scan_map(const struct vmdk_scan *scan, uint64_t off, uint64_t len, struct extent *out,
	struct err *e);

/* sparse.c, cowd.c, sesparse.c */
extern const struct vmdk_kind vmdk_sparse, vmdk_cowd, vmdk_sesparse;

#define VMDK_COWD_NAME 1024 /* bytes of a name in the header, with the NUL or without */

/* What the header of an ESX extent says beside its tables. */
struct vmdk_cowd_header {
	uint32_t capacity, grain, gd, gd_len; /* sectors; of gd_len, entries */
	bool is_root;                         /* it says that it has no parent */
	char parent[VMDK_COWD_NAME + 1];      /* "": it names none */
};

int vmdk_cowd_read(struct io *io, struct vmdk_cowd_header *h, struct err *e);

/* create.c */
int vmdk_create(struct creation *c, struct err *e);
extern const struct create_option vmdk_create_options[];

/* export.c, export-stream.c */
extern const struct export_format vmdk_layout, vmdk_stream_layout;

#define VMDK_LAYOUT_NAME 256 /* bytes, with the NUL */

/* name as a descriptor can have it. */
void vmdk_layout_name(char out[VMDK_LAYOUT_NAME], const char *name);

/* Writes the descriptor, of VMDK_DESC_LEN sectors, that is in a file of this name. */
int vmdk_layout_descriptor(const struct regions *m, const char *create_type, const char *name,
	unsigned char *out, struct err *e);

/* check.c, as in struct format */
int vmdk_check(struct image *img, unsigned repair, struct check_report *r, struct err *e);

#endif
