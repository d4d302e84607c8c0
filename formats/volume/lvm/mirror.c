/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* mirror.c - the first leg has all the bytes: a mirror is synchronised from it.  Another one takes
 * its place where the log says that all regions are equal (drivers/md/dm-log.c of Linux).
 */
#include "mirror.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "util/bytes.h"
#include "util/limits.h"

#define SECTOR      512
#define LOG_MAGIC   0x4d695272u
#define LOG_VERSION 2
#define LOG_BITS    1024 /* position of the bitmap; a 1 is a region in sync */

/* The lowest n bits of a bitmap are set. */
static int check_bits(struct lvm_builder *b, const struct lvm_map *log, uint64_t n, struct err *e)
{
	unsigned char buf[4096];

	for (uint64_t bit = 0; bit < n; bit += sizeof buf * 8) {
		size_t len = MIN(sizeof buf, div_round_up(n - bit, 8));
		int r = lvm_build_read(b, log, buf, len, LOG_BITS + bit / 8, e);

		if (r < 0)
			return r;
		for (uint64_t i = 0; i < MIN(n - bit, len * 8); i++)
			if (!(buf[i / 8] & 1u << i % 8))
				return err_set(
					e, EIO, "region %" PRIu64 " is not in sync", bit + i);
	}
	return 0;
}

static int check_log(struct lvm_builder *b, const struct lvm_segment *s, const struct lvm_map *log,
	struct err *e)
{
	unsigned char head[SECTOR];
	uint64_t sectors, regions;
	int r = lvm_segment_number(b->g, s, "region_size", 1, UINT32_MAX, &sectors, e);

	if (r == 0)
		r = lvm_build_read(b, log, head, sizeof head, 0, e);
	if (r < 0)
		return r;
	regions = div_round_up(s->extents * b->g->extent, sectors * SECTOR);
	if (load_le32(head) != LOG_MAGIC || load_le32(head + 4) != LOG_VERSION)
		return err_set(e, EUCLEAN, "it has no valid log");
	if (regions > LVM_MAX_REGIONS)
		return err_set(e, E2BIG, "its log has more than %u regions", LVM_MAX_REGIONS);
	return check_bits(b, log, regions, e);
}

static int is_in_sync(
	struct lvm_builder *b, const struct lvm_segment *s, unsigned depth, struct err *e)
{
	struct lvm_lv *lv = lvm_segment_lv(b->g, s, "mirror_log", e);
	struct lvm_map *log;
	int r = lv ? lvm_build_part(b, lv, depth + 1, &log, e) : -e->code;

	if (r < 0)
		return r;
	r = check_log(b, s, log, e);
	lvm_map_unref(log);
	return r;
}

/* The error is that of the first leg, which would be read if it was there. */
static int choose_leg(struct lvm_builder *b, const struct lvm_segment *s, struct lvm_area *legs,
	size_t n, unsigned depth, struct lvm_map **map, struct err *e)
{
	int r = lvm_build_area(b, &legs[0], s->extents, depth, map, e);
	struct err other = ERR_INIT;

	if (r == 0 || r == -ENOMEM || n == 1)
		return r;
	if (is_in_sync(b, s, depth, &other) < 0) {
		err_in(e, "the first leg, without which the others cannot be used (%s)",
			other.text);
		return -e->code;
	}
	for (size_t i = 1; i < n; i++)
		if (lvm_build_area(b, &legs[i], s->extents, depth, map, &other) == 0)
			return 0;
	return r;
}

int lvm_mirror_build(struct lvm_builder *b, const struct lvm_segment *s, unsigned depth,
	struct lvm_map **map, struct err *e)
{
	struct lvm_area *legs;
	size_t ignored;
	uint64_t n;
	int r = lvm_segment_number(b->g, s, "mirror_count", 1, UINT32_MAX, &n, e);

	if (r < 0)
		return r;
	if (lvm_config_values(b->g->config, s->node, "extents_moved", &ignored))
		return err_set(e, ENOTSUP, "its extents are being moved (pvmove)");
	legs = lvm_areas(b->g, s, "mirrors", n, e);
	if (!legs)
		return -e->code;
	r = choose_leg(b, s, legs, n, depth, map, e);
	free(legs);
	if (r == 0)
		(*map)->no_writing = "a write to a mirror goes to all its legs";
	return r;
}
