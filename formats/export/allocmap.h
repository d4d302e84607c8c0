/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* allocmap.h - the set of the granules of a disk that are stored, with rank and select.
 *
 * Generated files store the granules of a disk that hold data one after another, in order: select
 * gives the granule stored as number k, rank the number of a granule.  The set takes one bit a
 * granule, and next to nothing where all or none are stored.
 *
 * It never changes, so any thread may read it.
 */
#ifndef VDISK_EXPORT_ALLOCMAP_H
#define VDISK_EXPORT_ALLOCMAP_H

#include <stdbool.h>
#include <stdint.h>

struct err;
struct allocmap;
struct view;

/* The granules of 1 << bits bytes that hold data in the sense of view_seek.  Reads the map of the
 * view only.  All that follows a limit of extents counts as data. */
struct allocmap *allocmap_of(const struct view *v, unsigned bits, struct err *e);

/* The same in granules of 1 << bits bytes, which are not smaller. */
struct allocmap *allocmap_coarsen(const struct allocmap *g, unsigned bits, struct err *e);

void allocmap_free(struct allocmap *g); /* NULL is fine */

/* log2 of the bytes of a granule. */
unsigned allocmap_bits(const struct allocmap *g);

/* The number of granules of the disk; the last one may extend beyond its end. */
uint64_t allocmap_all(const struct allocmap *g);

/* The number of them that are stored. */
uint64_t allocmap_stored(const struct allocmap *g);

/* Is granule i < all stored? */
bool allocmap_has(const struct allocmap *g, uint64_t i);

/* The number of stored ones before i <= all. */
uint64_t allocmap_rank(const struct allocmap *g, uint64_t i);

/* The granule of which k < stored before it are stored. */
uint64_t allocmap_select(const struct allocmap *g, uint64_t k);

/* The first one stored from i <= all on; all when there is none. */
uint64_t allocmap_next(const struct allocmap *g, uint64_t i);

/* The number of stored ones in a row from i <= all on; counts up to max, perhaps some further. */
uint64_t allocmap_run(const struct allocmap *g, uint64_t i, uint64_t max);

#endif
