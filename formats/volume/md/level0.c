/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* level0.c - striped arrays (RAID0).
 *
 * Members of different sizes make zones: the first one goes as far as the smallest member, the next
 * one over the others as far as the next larger one, and so on.  Since Linux 3.14 the first chunk
 * of a zone is on its first member; before, chunks were counted from the start of the array.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "util/bytes.h"
#include "util/err.h"
#include "volume/table.h"
#include "array.h"
#include "super.h"

#define LAYOUT_ORIGINAL  1u
#define LAYOUT_ALTERNATE 2u

static uint64_t whole_chunks(const struct md_super *newest, const struct md_super *s)
{
	return s->len / newest->chunk * newest->chunk;
}

/* The end, in members, of the zone that begins at start; start itself if none begins there. */
static uint64_t zone_end(
	const struct md_super *newest, const struct md_super *const *supers, uint64_t start)
{
	uint64_t end = UINT64_MAX;

	for (size_t i = 0; i < newest->n; i++) {
		uint64_t len = whole_chunks(newest, supers[i]);

		if (len > start)
			end = MIN(end, len);
	}
	return end == UINT64_MAX ? start : end;
}

/* The stripes of the zone that begins at start of its members; their number. */
static size_t find_stripes(const struct md_super *newest, const struct md_super *const *supers,
	uint64_t start, struct table_stripe *stripes)
{
	size_t n = 0;

	for (size_t i = 0; i < newest->n; i++)
		if (whole_chunks(newest, supers[i]) > start)
			stripes[n++] = (struct table_stripe){i, supers[i]->pos + start};
	return n;
}

/* Turns stripes so that number turn is the first. */
static void turn_stripes(
	struct table_stripe *to, const struct table_stripe *from, size_t n, uint64_t turn)
{
	for (size_t i = 0; i < n; i++)
		to[i] = from[(i + turn) % n];
}

static int add_zone(const struct md_super *newest, const struct md_super *const *supers,
	uint64_t start, uint64_t end, struct table_stripe *stripes, struct table *table,
	struct err *e)
{
	size_t n = find_stripes(newest, supers, start, stripes + newest->n);
	struct table_segment segment = {
		.kind = TABLE_STRIPED, .chunk = newest->chunk, .stripes = stripes, .nstripes = n};
	uint64_t turn = 0;

	if (start > 0 && (!newest->has_layout || (newest->layout != LAYOUT_ORIGINAL &&
							 newest->layout != LAYOUT_ALTERNATE)))
		return err_set(e, ENOTSUP,
			"members of different sizes, and the superblock does not say in which of "
			"the two layouts of raid0 they lie");
	if (newest->layout == LAYOUT_ORIGINAL)
		turn = table_size(table) / newest->chunk % n;
	turn_stripes(stripes, stripes + newest->n, n, turn);
	if (end - start > UINT64_MAX / n)
		return err_set(e, EINVAL, "%zu members of %" PRIu64 " bytes", n, end);
	segment.len = (end - start) * n;
	return table_add(table, &segment, e);
}

int md_level0(const struct md_super *newest, const struct md_super *const *supers,
	struct table *table, struct err *e)
{
	struct table_stripe *stripes;
	uint64_t start = 0, end;
	int r = 0;

	if (newest->chunk == 0)
		return err_set(e, EINVAL, "raid0 has chunks of 0 bytes");
	for (size_t i = 0; i < newest->n; i++)
		if (whole_chunks(newest, supers[i]) == 0)
			return err_set(e, EINVAL,
				"raid0 has chunks of %" PRIu64 " bytes in a member of %" PRIu64,
				newest->chunk, supers[i]->len);
	stripes = calloc(2 * newest->n, sizeof stripes[0]);
	if (!stripes)
		return err_nomem(e);
	while (r == 0 && (end = zone_end(newest, supers, start)) > start) {
		r = add_zone(newest, supers, start, end, stripes, table, e);
		start = end;
	}
	free(stripes);
	return r;
}
