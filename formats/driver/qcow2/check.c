/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* check.c - refcounts compared with the references to each cluster, and the order of repairs. */
#include "check.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "util/bytes.h"
#include "util/err.h"
#include "io/cache.h"
#include "io/io.h"
#include "image/image.h"
#include "refcount.h"

/* Clusters in a window, at 4 bytes each: as many as the host stores of the file, or as its tables
 * can map; 1 GiB of memory at most. */
#define WINDOW_LEAST  ((64u << 20) / sizeof(uint32_t))
#define WINDOW_TABLES ((256u << 20) / sizeof(uint32_t))
#define WINDOW_MOST   ((1024u << 20) / sizeof(uint32_t))

static void compare_cluster(struct qcow2_check *c, uint64_t cluster, uint64_t count, uint32_t refs)
{
	if (count > 0 || refs > 0)
		c->r->image_end_offset = (cluster + 1) << c->q->header.cluster_bits;
	if (count < refs) {
		check_corruption(c->r,
			"ERROR cluster %" PRIu64 " refcount=%" PRIu64 " reference=%" PRIu32,
			cluster, count, refs);
		c->rebuild |= count == 0;
	} else if (count > refs && !c->for_writing) {
		check_leak(c->r,
			"Leaked cluster %" PRIu64 " refcount=%" PRIu64 " reference=%" PRIu32,
			cluster, count, refs);
	}
}

/* Compares clusters [first, first+n), whose refcounts are all in block number i. */
static int compare_block(
	struct qcow2_check *c, uint64_t i, uint64_t first, uint64_t n, struct err *e)
{
	const struct qcow2 *q = c->q;
	const uint32_t *refs = c->refs + (first - c->first);
	uint64_t pos = qcow2_check_block(c, i);
	uint64_t skip = first & ((UINT64_C(1) << qcow2_block_bits(q)) - 1);
	bool empty = pos == 0;
	int r = 0;

	if (!qcow2_check_block_readable(c, pos)) {
		check_tell(c->r, "Can't get refcount for cluster %" PRIu64 ": %s", first,
			strerror(EIO));
		c->r->check_errors += n;
		c->rebuild = true;
		return check_go_on(c->r, e);
	}
	if (!empty)
		r = qcow2_check_read(c, pos, c->buf, q->cluster_size, &empty, e);
	if (r < 0)
		return err_in(e, "refcount block %" PRIu64, i);
	if (empty && is_zero(refs, n * sizeof refs[0]))
		return 0;
	for (uint64_t k = 0; r == 0 && k < n; k++) {
		compare_cluster(c, first + k, empty ? 0 : qcow2_refcount_load(q, c->buf, skip + k),
			refs[k]);
		r = check_go_on(c->r, e);
	}
	return r;
}

static int compare_window(struct qcow2_check *c, void *arg, struct err *e)
{
	uint64_t at = c->first, end = MIN(c->nclusters, c->first + c->nwindow);
	unsigned bits = qcow2_block_bits(c->q);
	int r = 0;

	(void)arg;
	while (r == 0 && at < end && !qcow2_check_ends(c)) {
		uint64_t i = at >> bits, n = MIN(end, (i + 1) << bits) - at;

		r = compare_block(c, i, at, n, e);
		at += n;
	}
	return r;
}

int qcow2_check_look(struct qcow2_check *c, struct err *e)
{
	const struct qcow2 *q = c->q;
	const struct qcow2_header *h = &q->header;
	uint64_t real = qcow2_check_read_stored(c);
	int r;

	c->file_len = round_up(q->io->size, 512);
	c->nclusters = div_round_up(c->file_len, q->cluster_size);
	if (c->nclusters > INT_MAX)
		return err_set(e, EFBIG,
			"the file has %" PRIu64 " clusters, at most %d can be checked",
			c->nclusters, INT_MAX);
	if ((uint64_t)h->reftable_clusters << h->cluster_bits > QCOW2_MAX_REFTABLE_BYTES ||
		qcow2_in_cluster(q, h->reftable_pos))
		return err_set(e, EINVAL, "refcount table: %" PRIu32 " clusters at 0x%" PRIx64,
			h->reftable_clusters, h->reftable_pos);
	c->r->image_end_offset = q->cluster_size;
	c->r->total_clusters = div_round_up(q->size, q->cluster_size);
	c->nwindow = MAX(real / q->cluster_size, MIN(real / 32, WINDOW_TABLES));
	c->nwindow = MIN(MAX(c->nwindow, WINDOW_LEAST), MIN(c->nclusters + 1, WINDOW_MOST));
	/* Whole refcount blocks. */
	c->nwindow = round_up(c->nwindow, UINT64_C(1) << qcow2_block_bits(q));
	c->refs = calloc(c->nwindow, sizeof c->refs[0]);
	c->buf = malloc(q->cluster_size);
	if (!c->refs || !c->buf)
		return err_nomem(e);
	qcow2_check_read_restart(c);
	r = qcow2_check_collect(c, e);
	return r < 0 ? r : qcow2_check_references(c, 0, compare_window, NULL, e);
}

void qcow2_check_end(struct qcow2_check *c)
{
	free(c->regions);
	free(c->tables);
	free(c->index);
	free(c->reftable);
	free(c->refs);
	free(c->buf);
}

static int repair_refcounts(struct qcow2_check *c, unsigned repair, struct err *e)
{
	bool rebuild = c->rebuild || (repair & CHECK_ERRORS && c->block_outside);

	if (rebuild && !(repair & CHECK_ERRORS))
		return err_set(e, EIO, "need to rebuild refcount structures");
	if (rebuild && c->beyond_end) {
		check_tell(c->r,
			"Refcounts are not rebuilt: beyond the end of the file they would lie "
			"where clusters are missing, and be read as these");
		return 0;
	}
	if (rebuild)
		return qcow2_repair_rebuild(c, e);
	if (c->r->corruptions == 0 && c->r->leaks == 0)
		return 0;
	return qcow2_repair_refcounts(c, repair, e);
}

/* Checks the repaired image; the findings are only counted, in now. */
static int check_again(struct qcow2_check *c, struct check_report *now, struct err *e)
{
	struct check_report *r = c->r;
	struct qcow2 *q = c->q;
	int rc;

	qcow2_check_end(c);
	cache_forget(q->cache, q->io);
	*now = (struct check_report){.found = NULL};
	*c = (struct qcow2_check){.q = q, .r = now};
	rc = qcow2_check_look(c, e);
	c->r = r;
	return rc;
}

static int repair_tables(struct qcow2_check *c, unsigned repair, struct err *e)
{
	struct check_report *r = c->r, now;
	int rc = 0;

	if (c->bad_snapshots && repair & CHECK_ERRORS && !c->beyond_end) {
		rc = qcow2_repair_snapshots(c, e);
		if (rc == 0)
			rc = check_again(c, &now, e);
	}
	if (rc == 0 && c->misplaced_zeroes && repair & CHECK_ERRORS) {
		rc = qcow2_repair_zeroes(c, e);
		if (rc == 0)
			rc = check_again(c, &now, e);
	}
	if (rc == 0)
		rc = repair_refcounts(c, repair, e);
	if (rc == 0)
		rc = check_again(c, &now, e);
	if (rc < 0)
		return rc;
	/* Everything that the last check did not find was repaired. */
	now.found = r->found;
	now.arg = r->arg;
	now.corruptions_fixed = r->corruptions - MIN(r->corruptions, now.corruptions);
	now.leaks_fixed = r->leaks - MIN(r->leaks, now.leaks);
	*r = now;
	return 0;
}

static int clear_marks(struct qcow2 *q, struct err *e)
{
	uint64_t clean = q->header.incompatible & ~(uint64_t)(QCOW2_DIRTY | QCOW2_CORRUPT);
	uint64_t be = htobe64(clean);
	int r = io_sync(q->io, e);

	if (r < 0 || clean == q->header.incompatible)
		return r;
	r = io_write(q->io, &be, sizeof be, QCOW2_AT_INCOMPATIBLE, e);
	if (r == 0)
		r = io_sync(q->io, e);
	if (r == 0)
		q->header.incompatible = clean;
	return r;
}

int qcow2_check(struct image *img, unsigned repair, struct check_report *r, struct err *e)
{
	struct qcow2 *q = img->priv;
	struct qcow2_check c = {.q = q, .r = r};
	int rc = qcow2_check_look(&c, e);

	if (rc == 0 && repair) {
		rc = repair_tables(&c, repair, e);
		if (rc == 0)
			rc = qcow2_check_copied(&c, repair, e);
		if (rc == 0 && r->corruptions == 0 && r->check_errors == 0)
			rc = clear_marks(q, e);
		if (rc == 0)
			rc = io_sync(q->io, e);
		cache_forget(q->cache, q->io);
	} else if (rc == 0) {
		rc = qcow2_check_copied(&c, 0, e);
	}
	qcow2_check_end(&c);
	return rc;
}
