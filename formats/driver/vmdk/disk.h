/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* disk.h - private to the VMDK driver: an opened disk and its extents. */
#ifndef VDISK_DRIVER_VMDK_DISK_H
#define VDISK_DRIVER_VMDK_DISK_H

#include <stdbool.h>
#include <stdint.h>

#include "view/view.h"
#include "descriptor.h"
#include "vmdk.h"

struct err;
struct image;
struct io;
struct vmdk_stream;
struct vmdk_tables;

struct vmdk_extent {
	const struct vmdk_kind *kind;
	const struct vmdk_extent_line *line;
	uint64_t start, len; /* its bytes of the disk */
	struct io *io;       /* a reference of its own; NULL: the kind has no file */
	/* Set by the kind: */
	struct vmdk_tables *tables; /* first in the kind's own struct; NULL: no grains */
	const char *no_writing;     /* the reason why this extent is read-only; NULL: it is not */
};

/* A kind of extent.  Unused operations are NULL; all kinds map, and those with a file open. */
struct vmdk_kind {
	const char *no_writing; /* the reason why every extent of the kind is read-only */
	/* x->io is set.  The disk frees x->tables, also after a failure, and before that calls
	 * close, for all else that the kind owns. */
	int (*open)(struct vmdk_extent *x, const struct image *img, struct err *e);
	void (*close)(struct vmdk_extent *x);
	/* As in struct view_ops, but off counts from the start of the extent and out->pos of
	 * EXTENT_BELOW need not be set. */
	int (*map)(const struct vmdk_extent *x, uint64_t off, uint64_t len, struct extent *out,
		struct err *e);
	int (*fill)(
		const struct vmdk_extent *x, const struct extent *unit, void *buf, struct err *e);
	uint64_t (*locate)(const struct extent *unit, uint64_t *pos);
};

/* disk.c, sparse.c, cowd.c, sesparse.c */
extern const struct vmdk_kind vmdk_flat, vmdk_zero, vmdk_sparse, vmdk_cowd, vmdk_sesparse;

/* cowd.c: the header of a COWD extent. */
#define VMDK_COWD_NAME 1024 /* bytes of the parent's name in the header, with or without a NUL */

struct vmdk_cowd_header {
	uint32_t capacity, grain, gd, gd_len; /* sectors; gd_len: entries */
	bool is_root;                         /* of a disk without parent */
	char parent[VMDK_COWD_NAME + 1];      /* "": none is named */
};

int vmdk_cowd_read(struct io *io, struct vmdk_cowd_header *h, struct err *e);

/* An opened disk. */
struct vmdk {
	struct view view;
	char *text; /* the descriptor; desc points into it */
	struct vmdk_descriptor desc;
	struct io *io;               /* of a writable disk: the file that holds the descriptor */
	uint64_t text_pos;           /* of the descriptor in that file */
	bool embedded;               /* the descriptor lies in a sparse extent */
	struct vmdk_extent *extents; /* one for each extent line */
	struct vmdk_stream *stream;  /* of a stream that is being written, or NULL */
};

/* A disk without extents; NULL without memory. */
struct vmdk *vmdk_disk_new(const struct image *img, struct err *e);

/* As free of struct view_ops. */
void vmdk_disk_free(struct view *view);

/* The disk of an opened image of this format. */
struct vmdk *vmdk_disk_of(const struct image *img);

/* The last extent that begins at or before off. */
struct vmdk_extent *vmdk_disk_find_extent(const struct vmdk *v, uint64_t off);

#endif
