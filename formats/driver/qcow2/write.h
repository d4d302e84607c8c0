/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* write.h - private to the writing side of qcow2: refcount.c reads and changes refcounts,
 * alloc.c hands out clusters and takes them back, l2.c changes L1 and L2 tables,
 * l1.c makes L1 tables,
 * walk.c does something to all that one refers to,
 * write.c is what the core calls, compress.c what it calls for compressed clusters,
 * snapshot-ops.c for snapshots, backing.c for what an image is based on.
 *
 * On disk a refcount is never less than the references to its cluster.  So a cluster is counted
 * before a table points to it, and counted down once it is durable that none does; until then its
 * refcount keeps it from being given out again.  Everything here runs under the meta lock.
 *
 * Counts are always kept, also where the image lets them be lazy: writing them costs no sync that a
 * flush would not need for the data as well.
 */
#ifndef VDISK_DRIVER_QCOW2_WRITE_H
#define VDISK_DRIVER_QCOW2_WRITE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "io/cache.h"
#include "qcow2.h"
#include "view/view.h"

struct err;
struct image;
struct reservation;
struct writer;

/* Clusters, by number. */
struct qcow2_clusters {
	uint64_t first, n;
};

/* The refcount table.  Whoever maps may look at the one before for a while. */
struct qcow2_reftable {
	uint64_t pos;
	uint64_t entries;
	struct qcow2_reftable *before;
};

struct qcow2_alloc {
	struct qcow2 *q;
	struct writer *writer;
	_Atomic(struct qcow2_reftable *) table;
	uint64_t next;   /* no cluster before it is free */
	uint64_t packed; /* where the next compressed cluster may begin; 0: nowhere yet */
	/* One reference less each, once nothing refers to them on disk; of the first durable of
	 * them that is so. */
	struct qcow2_clusters *freed;
	size_t nfreed, room, durable;
};

/* refcount.c */

/* The most that a refcount can be. */
uint64_t qcow2_count_max(const struct qcow2 *q);

/* The refcount of cluster number first, and in *n how many have it from there on, max at most, as
 * far as one look goes. */
int qcow2_count(const struct qcow2_alloc *a, uint64_t first, uint64_t max, uint64_t *count,
	uint64_t *n, struct err *e);

/* Are these clusters counted once, each? */
bool qcow2_counted_once(const struct qcow2_alloc *a, uint64_t first, uint64_t n);

/* Adds by, 1 or -1, to the refcounts of clusters that have refcount blocks.  ERANGE: one would
 * become too large.  When it fails some may have been changed. */
int qcow2_count_add(struct qcow2_alloc *a, uint64_t first, uint64_t n, int by, struct err *e);

/* Is there a refcount block for the cluster? */
int qcow2_block_exists(const struct qcow2_alloc *a, uint64_t cluster, bool *exists, struct err *e);

/* Makes one, in free clusters, and a longer refcount table if need be; or those for want clusters
 * that follow each other, somewhere behind. */
int qcow2_block_make(struct qcow2_alloc *a, uint64_t cluster, uint64_t want, struct err *e);

/* alloc.c */

struct qcow2_alloc *qcow2_alloc_new(struct qcow2 *q, struct writer *w, struct err *e);
void qcow2_alloc_free(struct qcow2_alloc *a); /* NULL is fine */

/* Counts up to want clusters that follow each other - all of them, if whole - that were free.
 * *fresh: they read as zeroes. */
int qcow2_alloc_take(struct qcow2_alloc *a, uint64_t want, bool whole, struct qcow2_clusters *got,
	bool *fresh, struct err *e);

/* Takes back at once what nothing has ever pointed to. */
void qcow2_alloc_cancel(struct qcow2_alloc *a, struct qcow2_clusters c);

/* Counts the clusters that len bytes at *pos touch, where they can lie: behind what was packed
 * before, or in a new cluster.  len < a cluster. */
int qcow2_alloc_pack(struct qcow2_alloc *a, uint32_t len, uint64_t *pos, struct err *e);
void qcow2_alloc_unpack(struct qcow2_alloc *a, uint64_t pos, uint32_t len);

/* Room to remember n more calls of qcow2_alloc_drop, which cannot fail then. */
int qcow2_alloc_prepare(struct qcow2_alloc *a, size_t n, struct err *e);

/* One reference less, once that is durable. */
void qcow2_alloc_drop(struct qcow2_alloc *a, uint64_t first, uint64_t n);

/* With the gate closed: makes durable what was done, and gives back what was dropped. */
int qcow2_alloc_give_back(struct qcow2_alloc *a, struct err *e);

/* The same in the middle of something long, when it has become much. */
int qcow2_alloc_relieve(struct qcow2_alloc *a, struct err *e);

/* As in struct write_ops. */
bool qcow2_durable(struct view *v);
int qcow2_release_freed(struct view *v, struct err *e);

/* l2.c */

/* The L2 table for guest offset off, which is nobody else's; made or copied if it must be. */
int qcow2_table_own(struct qcow2_view *v, uint64_t off, uint64_t *table, struct err *e);

/* The table for off, shared or not, 0: there is none; *len: how far it reaches from there. */
int qcow2_table_find(
	const struct qcow2_view *v, uint64_t off, uint64_t *table, uint64_t *len, struct err *e);

/* Entries in one page of a table, from that for off on, max at most. */
struct qcow2_entries {
	uint64_t pos;
	size_t n;
	unsigned char raw[META_PAGE];
};

int qcow2_entries_read(const struct qcow2 *q, uint64_t table, uint64_t off, uint64_t max,
	struct qcow2_entries *t, struct err *e);

/* Does the live disk have the cluster of this entry for itself? */
int qcow2_check_held(const struct qcow2 *q, const unsigned char *entry, bool *held, struct err *e);

/* One reference less for what an entry refers to; prepared for by one call more. */
void qcow2_entry_drop(struct qcow2_alloc *a, const unsigned char *entry);

/* Clusters that [off, off+len) touches. */
static inline uint64_t qcow2_clusters_of(const struct qcow2 *q, uint64_t off, uint64_t len)
{
	unsigned bits = q->header.cluster_bits;

	return ((off + len - 1) >> bits) - (off >> bits) + 1;
}

/* Does the cluster at off read as zeroes when no entry says more? */
static inline bool qcow2_nothing_below(const struct qcow2_view *v, uint64_t off)
{
	return !v->view.below || off >= v->view.below->size;
}

/* l1.c */

/* An L1 table, and so all that it refers to. */
struct qcow2_l1 {
	uint64_t pos;
	uint32_t entries;
};

static inline struct qcow2_l1 qcow2_l1_of(const struct qcow2_view *v)
{
	return (struct qcow2_l1){.pos = v->l1_pos, .entries = v->l1_size};
}

/* Makes a table of so many entries, of which the first are those of from, and of each what mask
 * has.  Prepares for it to be dropped, and for the one that it takes the place of. */
int qcow2_l1_make(struct qcow2 *q, struct qcow2_l1 from, uint64_t mask, uint32_t entries,
	struct qcow2_l1 *to, struct err *e);

/* The clusters of a table are dropped, not what it points to; prepared for. */
void qcow2_l1_drop(struct qcow2 *q, struct qcow2_l1 l1);

/* The header points to another table; durable on return.  The old one is dropped. */
int qcow2_l1_switch(struct qcow2_view *v, struct qcow2_l1 to, struct err *e);

/* walk.c, with the gate closed */

/* Can all of it be found? */
int qcow2_tree_check(struct qcow2 *q, struct qcow2_l1 l1, struct err *e);

/* One reference more to all that it refers to, which nobody may flag as his own then; when that
 * fails to none of it. */
int qcow2_tree_share(struct qcow2 *q, struct qcow2_l1 l1, struct err *e);

/* Takes that back at once: no other table was written that has it. */
void qcow2_tree_unshare(struct qcow2 *q, struct qcow2_l1 l1);

/* One reference less, of a table that nothing on disk points to any more. */
int qcow2_tree_drop(struct qcow2 *q, struct qcow2_l1 l1, struct err *e);

/* What a change has dropped is given back, or was not, r: the change stays.  Returns 0. */
int qcow2_tree_dropped(struct image *img, int r, const struct err *why);

/* Takes the flag COPIED off all that the live disk refers to, or lets it say what refcounts do. */
int qcow2_flags_clear(struct qcow2_view *live, struct err *e);
int qcow2_flags_renew(struct qcow2_view *live, struct err *e);

/* write.c */

/* The view of the live disk can be written to. */
void qcow2_let_write(struct view *v);

/* As in struct format. */
int qcow2_start_writing(struct image *img, struct err *e);

/* As in struct write_ops. */
int qcow2_commit(struct view *v, const struct reservation *res, struct err *e);

/* backing.c, as in struct format */
int qcow2_set_backing(struct image *img, const char *name, const char *format, struct err *e);
int qcow2_empty(struct image *img, struct err *e);

/* compress.c */

/* As in struct write_ops. */
ssize_t qcow2_compress(
	const struct view *v, const void *unit, uint64_t off, void *packed, struct err *e);
int qcow2_reserve_compressed(
	struct view *v, uint64_t off, uint32_t packed, struct reservation *res, struct err *e);

/* resize.c */

/* As in struct write_ops. */
int qcow2_resize(struct view *v, uint64_t size, struct err *e);

/* Can a disk be so large? */
int qcow2_size_check(const struct qcow2 *q, uint64_t size, struct err *e);

/* The header says that the disk is this long, once it is written back. */
int qcow2_put_size(struct qcow2_view *v, uint64_t size, struct err *e);

/* Is told of clusters that got a place in a file. */
typedef int qcow2_mapped(void *arg, struct io *io, uint64_t pos, uint64_t len, struct err *e);

/* With the gate closed: each cluster from off to end, which have none, gets a place. */
int qcow2_map_all(struct qcow2_view *v, uint64_t off, uint64_t end, qcow2_mapped *mapped, void *arg,
	struct err *e);

#endif
