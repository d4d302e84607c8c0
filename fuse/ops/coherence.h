/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* coherence.h - open files that show the same bytes: a disk and its partitions.
 *
 * The kernel has a page cache for each file.  A write through one file makes pages of the others
 * stale: the invalidation thread drops them at once, but not before the write returns.  A file that
 * is opened while another file of the disk is open for writing bypasses the page cache.
 *
 * A file that is only written, as by cp, gains nothing from the page cache: it bypasses the cache
 * and takes several writes at once, unless the same file is open for reading.
 *
 * Locks: one mutex, held for moments only.
 */
#ifndef VDISKFS_OPS_COHERENCE_H
#define VDISKFS_OPS_COHERENCE_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

struct file;
struct node;

struct coherence {
	pthread_mutex_t lock;
	LIST_HEAD(shared_files, file) files; /* open ones of images that can be written */
	void (*wake)(void *arg);
	void *wake_arg;
};

void coherence_init(struct coherence *c);

/* Calls wake when pages become stale; before the first request. */
void coherence_on_stale(struct coherence *c, void (*wake)(void *arg), void *arg);

/* Adds a file of a disk that can be written, and sets file->direct.  prefers_direct: the file would
 * bypass the page cache if it were alone. */
void coherence_add(struct coherence *c, struct file *file, bool prefers_direct);
void coherence_remove(struct coherence *c, struct file *file);

/* Is no other file open that shows bytes of the same disk? */
bool coherence_is_alone(struct coherence *c, const struct file *file);

/* [off, off+len) of the file was written. */
void coherence_changed(struct coherence *c, const struct file *file, uint64_t off, uint64_t len);

/* Calls notify for each range that became stale since the last call.  By the invalidation thread.
 */
typedef void coherence_notify_fn(void *arg, struct node *node, uint64_t off, uint64_t len);
void coherence_notify(struct coherence *c, coherence_notify_fn *notify, void *arg);

#endif
