/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* freed.h - space of a file that no table refers to any more, but must not be allocated yet.
 *
 * A table on disk still refers to it until the change that freed it is durable, and a reader that
 * looked at the table before may still be reading it.  So runs of space pass through three steps,
 * as the functions of struct write_ops do (view/writer.h): freed_add, freed_set_durable once all
 * changes are durable, and freed_release with request_lock held exclusively.
 *
 * The meta lock is held.
 */
#ifndef VDISK_DRIVER_COMMON_FREED_H
#define VDISK_DRIVER_COMMON_FREED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct err;

struct freed_run {
	uint64_t first, n; /* in the driver's units */
};

struct freed {
	struct freed_run *runs;
	size_t n, capacity;
	size_t durable; /* the first of them may be released */
};

/* Allocates memory for n more calls of freed_add, which cannot fail then. */
int freed_prepare(struct freed *f, size_t n, struct err *e);

/* Adds a run; one that follows the run before it is joined to it. */
void freed_add(struct freed *f, uint64_t first, uint64_t n);

/* All runs may be released.  False: there is none. */
bool freed_set_durable(struct freed *f);

/* Calls release for each durable run and drops it, up to the first that fails. */
typedef int freed_release_fn(void *arg, struct freed_run run, struct err *e);
int freed_release(struct freed *f, freed_release_fn *release, void *arg, struct err *e);

void freed_end(struct freed *f);

#endif
