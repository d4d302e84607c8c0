/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* legs.c - the layout of the superblock is that of struct dm_raid_superblock in Linux
 * (drivers/md/dm-raid.c); it is at the start of the metadata volume of each leg.
 *
 * An array that was never used has no superblocks, and all its legs are as good.
 */
#include "legs.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "util/bytes.h"

#define SUPER_MAGIC     0x64526d44u /* "DmRd" */
#define SUPER_LEN       512
#define SUPER_FEATURES  4
#define SUPER_LEGS      8
#define SUPER_POSITION  12
#define SUPER_EVENTS    16
#define SUPER_FAILED    24
#define SUPER_RECOVERED 32
#define SUPER_SYNCED    40
#define SUPER_CHUNK     56
#define SUPER_FLAGS     60
#define SUPER_FAILED_2  124

#define FEATURE_RESHAPE 1 /* the fields from the flags on are in use */
#define FLAG_RESHAPE    1

static int parse_super(
	const unsigned char *p, size_t number, size_t n, struct lvm_leg *leg, struct err *e)
{
	if (load_le32(p) != SUPER_MAGIC)
		return 0;
	if (load_le32(p + SUPER_LEGS) != n || load_le32(p + SUPER_POSITION) != number)
		return err_set(e, EUCLEAN,
			"leg %zu of %zu has the superblock of leg %" PRIu32 " of %" PRIu32, number,
			n, load_le32(p + SUPER_POSITION), load_le32(p + SUPER_LEGS));
	leg->has_super = true;
	leg->events = load_le64(p + SUPER_EVENTS);
	leg->recovered = load_le64(p + SUPER_RECOVERED);
	leg->synced = load_le64(p + SUPER_SYNCED);
	leg->chunk = load_le32(p + SUPER_CHUNK);
	leg->failed[0] = load_le64(p + SUPER_FAILED);
	if (!(load_le32(p + SUPER_FEATURES) & FEATURE_RESHAPE))
		return 0;
	leg->is_reshaped = load_le32(p + SUPER_FLAGS) & FLAG_RESHAPE;
	for (size_t i = 1; i < 4; i++)
		leg->failed[i] = load_le64(p + SUPER_FAILED_2 + (i - 1) * 8);
	return 0;
}

static int read_super(struct lvm_builder *b, const char *name, size_t number, size_t n,
	unsigned depth, struct lvm_leg *leg, struct err *e)
{
	struct lvm_lv *lv = lvm_find_lv(b->g, name);
	unsigned char p[SUPER_LEN];
	struct lvm_map *map;
	int r;

	if (!lv)
		return err_set(e, EUCLEAN, "the group has no volume %s", name);
	r = lvm_build_part(b, lv, depth + 1, &map, e);
	if (r < 0)
		return r;
	r = lvm_build_read(b, map, p, sizeof p, 0, e);
	lvm_map_unref(map);
	return r < 0 ? err_in(e, "volume %s", name) : parse_super(p, number, n, leg, e);
}

static int build_data(
	struct lvm_builder *b, const char *name, unsigned depth, struct lvm_leg *leg, struct err *e)
{
	struct lvm_lv *lv = lvm_find_lv(b->g, name);

	if (!lv)
		return err_set(e, EUCLEAN, "the group has no volume %s", name);
	if (lv->flags & LVM_REBUILD)
		return err_set(e, EIO, "volume %s must be rebuilt", name);
	return lvm_build_part(b, lv, depth + 1, &leg->data, e);
}

static void drop(struct lvm_leg *leg)
{
	lvm_map_unref(leg->data);
	leg->data = NULL;
}

/* meta: NULL: there is none. */
static int build_leg(struct lvm_builder *b, const char *meta, const char *data, size_t number,
	size_t n, unsigned depth, struct lvm_leg *leg)
{
	int r = data ? build_data(b, data, depth, leg, &leg->why)
		     : err_set(&leg->why, EUCLEAN, "leg %zu is no volume", number);

	if (r == 0 && meta)
		r = read_super(b, meta, number, n, depth, leg, &leg->why);
	if (r < 0)
		drop(leg);
	return r == -ENOMEM ? r : 0;
}

/* The array has the names of a volume, or of two, for each leg. */
static int build_all(struct lvm_builder *b, const struct lvm_segment *s, unsigned depth,
	struct lvm_legs *legs, struct err *e)
{
	size_t nnames;
	const struct lvm_value *names = lvm_config_values(b->g->config, s->node, "raids", &nnames);
	size_t step;

	if (!names)
		names = lvm_config_values(b->g->config, s->node, "raid0_lvs", &nnames);
	step = nnames / legs->n;
	if (nnames % legs->n || step < 1 || step > 2)
		return err_set(e, EUCLEAN, "%s: there are %zu volumes for %zu legs", s->node->key,
			nnames, legs->n);
	for (size_t i = 0; i < legs->n; i++) {
		const char *meta = step == 2 ? names[2 * i].text : NULL;

		if (build_leg(b, meta, names[step * i + step - 1].text, i, legs->n, depth,
			    &legs->legs[i]) < 0)
			return err_nomem(e);
	}
	return 0;
}

static const struct lvm_leg *find_newest(const struct lvm_legs *legs)
{
	const struct lvm_leg *newest = NULL;

	for (size_t i = 0; i < legs->n; i++)
		if (legs->legs[i].has_super && (!newest || legs->legs[i].events > newest->events))
			newest = &legs->legs[i];
	return newest;
}

/* The newest superblock knows which legs have failed; each leg how far it was recovered. */
static int check_leg(
	const struct lvm_leg *leg, size_t number, const struct lvm_leg *newest, struct err *e)
{
	if (!leg->has_super)
		return err_set(e, EIO, "leg %zu has no superblock", number);
	if (newest->failed[number / 64] >> number % 64 & 1)
		return err_set(e, EIO, "leg %zu has failed", number);
	if (leg->recovered != UINT64_MAX)
		return err_set(e, EIO, "leg %zu is recovered only up to sector %" PRIu64, number,
			leg->recovered);
	if (newest->events - leg->events > 1)
		return err_set(e, EIO, "leg %zu is out of date, %" PRIu64 " events of %" PRIu64,
			number, leg->events, newest->events);
	return 0;
}

/* flags: of the volume. */
static int check_all(struct lvm_legs *legs, unsigned flags, uint64_t chunk, struct err *e)
{
	const struct lvm_leg *newest = find_newest(legs);

	if (!newest)
		return 0;
	if (newest->is_reshaped)
		return err_set(e, ENOTSUP, "it is being reshaped");
	if (chunk && newest->chunk != chunk)
		return err_set(e, EUCLEAN,
			"its superblocks have stripes of %" PRIu32
			" sectors, its metadata of %" PRIu64,
			newest->chunk, chunk);
	for (size_t i = 0; i < legs->n; i++)
		if (legs->legs[i].data &&
			check_leg(&legs->legs[i], i, newest, &legs->legs[i].why) < 0)
			drop(&legs->legs[i]);
	legs->in_sync = newest->synced == UINT64_MAX && !(flags & LVM_NOTSYNCED);
	return 0;
}

int lvm_legs_build(struct lvm_builder *b, const struct lvm_segment *s, size_t n, uint64_t chunk,
	unsigned depth, struct lvm_legs *legs, struct err *e)
{
	int r;

	*legs = (struct lvm_legs){.legs = calloc(n, sizeof legs->legs[0]), .n = n};
	if (!legs->legs)
		return err_nomem(e);
	r = build_all(b, s, depth, legs, e);
	if (r == 0)
		r = check_all(legs, s->flags, chunk, e);
	if (r < 0)
		lvm_legs_free(legs);
	return r;
}

void lvm_legs_free(struct lvm_legs *legs)
{
	for (size_t i = 0; i < legs->n; i++)
		lvm_map_unref(legs->legs[i].data);
	free(legs->legs);
	*legs = (struct lvm_legs){.legs = NULL};
}

struct lvm_leg *lvm_legs_first(const struct lvm_legs *legs, struct err *e)
{
	for (size_t i = 0; i < legs->n; i++)
		if (legs->legs[i].data)
			return &legs->legs[i];
	*e = legs->legs[0].why;
	return NULL;
}
