/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* coherence.h - files that show the same bytes: a disk and its partitions.
 *
 * The kernel keeps the pages of each by itself.  What is written through one is stale in the others
 * then: the kernel is told to forget it (by the notifier, at once, but not before the write
 * returns), and a file that is opened while another one can be written is read past the pages.
 *
 * Who only writes, as cp does, gains nothing from pages: it writes past them, and several at once,
 * unless the file is open for somebody who reads them.
 *
 * Locks: one mutex, held for moments.
 */
#ifndef VDISKFS_OPS_COHERENCE_H
#define VDISKFS_OPS_COHERENCE_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

struct file;
struct node;
struct tree;

struct coherence {
	pthread_mutex_t lock;
	struct file *files; /* open ones of images that can change */
	void (*wake)(void *arg);
	void *wake_arg;
};

void coherence_init(struct coherence *s);

/* Whom to wake when there is something to tell; before the first request. */
void coherence_on_stale(struct coherence *s, void (*wake)(void *arg), void *arg);

/* A file was opened of a disk that can change, past_pages: it would rather do without.  Says with
 * file->direct whether it is to be read and written past the pages. */
void coherence_add(struct coherence *s, struct file *file, bool past_pages);

/* Is no other file open that shows bytes of the same disk? */
bool coherence_is_alone(struct coherence *s, const struct file *file);

void coherence_remove(struct coherence *s, struct file *file);

/* [off, off+len) of the file has changed. */
void coherence_changed(struct coherence *s, const struct file *file, uint64_t off, uint64_t len);

/* Calls tell for what has become stale since the last call.  By the notifier. */
typedef void coherence_tell_fn(void *arg, struct node *node, uint64_t off, uint64_t len);
void coherence_tell(struct coherence *s, struct tree *tree, coherence_tell_fn *tell, void *arg);

#endif
