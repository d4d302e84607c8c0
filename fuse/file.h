/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* file.h - an open file: what its reads are answered from, whatever becomes of its node. */
#ifndef VDISK_FILE_H
#define VDISK_FILE_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

struct node;
struct tree;
struct view;

struct file {
	atomic_uint refs;
	struct node *node;       /* held */
	const struct view *view; /* of a pinned image; NULL: it is text */
	size_t len;              /* of the text */
	char *text;              /* owned */
};

/* -ESTALE: the node is gone, what it was may be found by its name again. */
int file_open(struct node *node, struct file **file);

/* Counted, since the release may be at work before the thread that answered the last read is back
 * from its system call. */
struct file *file_ref(struct file *file);
void file_unref(struct tree *tree, struct file *file);

/* As lseek(2), SEEK_DATA or SEEK_HOLE. */
int file_seek(const struct file *file, uint64_t off, int whence, uint64_t *found);

#endif
