/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* file.h - an open file.
 *
 * It holds its image, so that reads go on when its node is gone.  Files are counted, since a
 * release may be handled before the thread that answered the last read returns from its system
 * call.
 *
 * The disk of a new image (tree/new-image.h) has no view until it has bytes.
 */
#ifndef VDISKFS_OPS_FILE_H
#define VDISKFS_OPS_FILE_H

#include <fuse_lowlevel.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include "tree/shown.h"
#include "readahead.h"

struct backing;

struct file {
	atomic_uint refs;
	struct node *node;               /* held */
	struct shown shown;              /* pinned, if the file has a view */
	struct view *_Atomic view;       /* NULL: a text, or a disk that has no bytes yet */
	const struct view *_Atomic base; /* the disk of which the view is a part, from start on */
	uint64_t start;
	bool is_scattered; /* its bytes are not one range of base, or not as they are there */
	struct new_image *new_image; /* whose disk this is; or NULL */
	bool writes;                 /* opened for writing */
	struct backing *backing;     /* NULL: no passthrough */
	bool direct;                 /* bypasses the page cache of the kernel */
	struct readahead readahead;
	_Atomic uint64_t wrote_to; /* end of the last write */
	atomic_int late_error;     /* errno of a write that failed after its reply; or 0 */
	atomic_uint late_seen;     /* for view_late_error: failures that fsync has reported */
	size_t len;                /* of the text */
	char *text;                /* owned */

	LIST_ENTRY(file) open; /* of the tree's list */

	/* For coherence.c: */
	bool is_shared; /* it is in the list */
	LIST_ENTRY(file) shared;
	uint64_t stale_start, stale_end; /* pages that the kernel must drop; none: both 0 */
};

struct file *file_of(const struct fuse_file_info *fi);

/* -ESTALE: the node is gone; a lookup of its name may find another.  -EROFS: it cannot be written.
 * -EBUSY: a file is open for reading, or another program uses the image. */
int file_open(struct node *node, bool writes, struct file **file);

struct file *file_ref(struct file *file);
void file_unref(struct file *file);

/* Closes all files that are open, once no requests come any more: a mount that ends does not wait
 * for the last releases. */
void file_close_all(struct tree *tree);

/* lseek(2) with SEEK_DATA or SEEK_HOLE. */
int file_seek(const struct file *file, uint64_t off, int whence, uint64_t *found);

/* Sets the view of a file that was opened before the disk had bytes, if it has bytes now. */
void file_look(struct file *file);

/* Before a write that ends at end: makes the disk of a new image as long.  whole: the size that the
 * disk can be expected to get; 0: unknown.  Nothing for any other file. */
int file_extend(struct file *file, uint64_t end, uint64_t whole, struct err *e);

/* truncate(2). */
int file_resize(struct file *file, uint64_t size, struct err *e);

/* Makes the disk of a new image end where it is reported to end.  Nothing for any other file. */
int file_end_growth(struct file *file, struct err *e);

#endif
