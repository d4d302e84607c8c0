/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* file.h - an open file: what its reads are answered from, whatever becomes of its node. */
#ifndef VDISKFS_OPS_FILE_H
#define VDISKFS_OPS_FILE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "readahead.h"
#include "tree/tree.h"

struct file {
	atomic_uint refs;
	struct node *node;               /* held */
	struct shown shown;              /* of an image that is held, of what has a view */
	struct view *_Atomic view;       /* NULL: it is text, or a disk that has no bytes yet */
	const struct view *_Atomic base; /* the disk that it is a part of, from start on */
	uint64_t start;
	struct new_image
		*new_image; /* of the disk of an image that was made in this mount; or NULL */
	bool writes;        /* it was opened to be written */
	bool direct;        /* past the kernel's pages */
	struct readahead readahead;
	_Atomic uint64_t wrote_to; /* where the last write ended */
	atomic_int late_error;     /* errno of a write that was answered before it failed; or 0 */
	atomic_uint late_seen;     /* by fsync, of those of the image: view_late_error */
	size_t len;                /* of the text */
	char *text;                /* owned */

	struct file *next_open, **open_link; /* of the tree's list */

	/* coherence.c's: */
	struct file *next, **link;
	uint64_t stale_start, stale_end; /* to be forgotten by the kernel; nothing: both 0 */
};

/* -ESTALE: the node is gone, what it was may be found by its name again.  -EROFS: it cannot be
 * written.  -EBUSY: not now, for somebody reads it or another program has it. */
int file_open(struct node *node, bool writes, struct file **file);

/* The disk has got bytes since.  One thread at a time. */
int file_attach(struct file *file, struct err *e);

/* Counted, since the release may be at work before the thread that answered the last read is back
 * from its system call. */
struct file *file_ref(struct file *file);
void file_unref(struct tree *tree, struct file *file);

/* Closes what is still open once nobody asks any more: a mount that ends does not wait for the last
 * releases. */
void file_close_all(struct tree *tree);

/* As lseek(2), SEEK_DATA or SEEK_HOLE. */
int file_seek(const struct file *file, uint64_t off, int whence, uint64_t *found);

#endif
