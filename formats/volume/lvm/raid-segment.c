/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "raid-segment.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "util/bytes.h"
#include "util/limits.h"
#include "view/view.h"
#include "legs.h"
#include "volume/raid.h"
#include "volume/table.h"

#define SECTOR 512

#define NO_WRITING "a write to RAID goes to several legs, with parity or as copies"

static int refuse_reshape(const struct lvm_builder *b, const struct lvm_segment *s, struct err *e)
{
	size_t n;

	if (strchr(s->type, '+') || lvm_config_values(b->g->config, s->node, "reshape_count", &n) ||
		lvm_config_values(b->g->config, s->node, "data_offset", &n))
		return err_set(
			e, ENOTSUP, "%s: it is being reshaped, or has space for that", s->type);
	return 0;
}

/* A table of one segment over the legs; takes the references. */
static int add_table(struct lvm_map *m, struct lvm_leg *legs, size_t n, uint64_t len,
	uint64_t chunk, struct err *e)
{
	struct table_segment t = {.len = len, .chunk = chunk, .nstripes = n};
	struct table_stripe *stripes = calloc(n, sizeof stripes[0]);
	int r = stripes ? 0 : err_nomem(e);

	m->table = table_new();
	if (r == 0 && !m->table)
		r = err_nomem(e);
	for (size_t i = 0; r == 0 && i < n; i++) {
		stripes[i].member = i;
		r = lvm_map_add_child(m, legs[i].data, e);
		legs[i].data = NULL;
	}
	t.stripes = stripes;
	if (r == 0)
		r = table_add(m->table, &t, e);
	free(stripes);
	m->size = len;
	return r;
}

static int build_table(const struct lvm_builder *b, const struct lvm_segment *s,
	struct lvm_leg *legs, size_t n, uint64_t chunk, struct lvm_map **map, struct err *e)
{
	struct lvm_map *m;
	int r;

	for (size_t i = 0; i < n; i++) {
		if (!legs[i].data) {
			*e = legs[i].why;
			return -e->code;
		}
	}
	m = lvm_map_new(e);
	if (!m)
		return -e->code;
	r = add_table(m, legs, n, s->extents * b->g->extent, chunk, e);
	if (r < 0)
		lvm_map_unref(m);
	else
		*map = m;
	return r;
}

static int build_raid0(struct lvm_builder *b, const struct lvm_segment *s, unsigned depth,
	struct lvm_map **map, struct err *e)
{
	struct lvm_legs legs;
	uint64_t n, sectors = 0;
	int r = lvm_segment_number(b->g, s, "stripe_count", 1, LVM_MAX_LEGS, &n, e);

	if (r == 0 && n > 1)
		r = lvm_segment_number(b->g, s, "stripe_size", 1, UINT32_MAX, &sectors, e);
	if (r == 0)
		r = lvm_legs_build(b, s, n, 0, depth, &legs, e);
	if (r < 0)
		return r;
	r = build_table(b, s, legs.legs, n, sectors * SECTOR, map, e);
	lvm_legs_free(&legs);
	return r;
}

static int build_raid1(struct lvm_builder *b, const struct lvm_segment *s, unsigned depth,
	struct lvm_map **map, struct err *e)
{
	struct lvm_legs legs;
	struct lvm_leg *first;
	uint64_t n;
	int r = lvm_segment_number(b->g, s, "device_count", 1, LVM_MAX_LEGS, &n, e);

	if (r == 0)
		r = lvm_legs_build(b, s, n, 0, depth, &legs, e);
	if (r < 0)
		return r;
	first = lvm_legs_first(&legs, e);
	r = first ? build_table(b, s, first, 1, 0, map, e) : -e->code;
	lvm_legs_free(&legs);
	if (r == 0)
		(*map)->no_writing = NO_WRITING;
	return r;
}

/* Levels 4, 5, 6 and 10. */

static const struct kind {
	const char *type;
	unsigned level, layout;
} kinds[] = {
	{"raid4", 5, RAID_PARITY_0},
	{"raid5", 5, RAID_LEFT_SYMMETRIC},
	{"raid5_n", 5, RAID_PARITY_N},
	{"raid5_la", 5, RAID_LEFT_ASYMMETRIC},
	{"raid5_ls", 5, RAID_LEFT_SYMMETRIC},
	{"raid5_ra", 5, RAID_RIGHT_ASYMMETRIC},
	{"raid5_rs", 5, RAID_RIGHT_SYMMETRIC},
	{"raid6", 6, RAID_ROTATING_ZERO_RESTART},
	{"raid6_zr", 6, RAID_ROTATING_ZERO_RESTART},
	{"raid6_nr", 6, RAID_ROTATING_N_RESTART},
	{"raid6_nc", 6, RAID_ROTATING_N_CONTINUE},
	{"raid6_la_6", 6, RAID_LEFT_ASYMMETRIC_6},
	{"raid6_ls_6", 6, RAID_LEFT_SYMMETRIC_6},
	{"raid6_ra_6", 6, RAID_RIGHT_ASYMMETRIC_6},
	{"raid6_rs_6", 6, RAID_RIGHT_SYMMETRIC_6},
	{"raid6_n_6", 6, RAID_PARITY_N},
	{"raid10", 10, 2 | 1 << 8},
	{"raid10_near", 10, 2 | 1 << 8},
};

static struct view *raid_map_view(const struct lvm_map *m, struct view **children, struct err *e)
{
	const struct raid *raid = m->description;
	struct raid_member *members = calloc(raid->n, sizeof members[0]);
	struct view *v;

	if (!members) {
		err_nomem(e);
		return NULL;
	}
	for (size_t i = 0; i < raid->n; i++)
		members[i].view = children[i];
	v = raid_view(raid, members, e);
	free(members);
	return v;
}

static const struct lvm_map_ops raid_map_ops = {.view = raid_map_view, .free = free};

/* raid_check_members with the reason why the first one is missing. */
static int check_legs(const struct raid *raid, const struct lvm_legs *legs, struct err *e)
{
	struct raid_member *members = calloc(raid->n, sizeof members[0]);
	const struct lvm_leg *lost = NULL;
	static struct view there; /* is only compared with NULL */
	int r;

	if (!members)
		return err_nomem(e);
	for (size_t i = 0; i < raid->n; i++) {
		if (legs->legs[i].data)
			members[i].view = &there;
		else if (!lost)
			lost = &legs->legs[i];
	}
	r = raid_check_members(raid, members, e);
	free(members);
	if (r < 0 && lost)
		return err_in(e, "%s", lost->why.text);
	if (r == 0 && lost && raid->level != 10 && !legs->in_sync)
		return err_set(e, EIO, "%s: the parity that would replace it is not in sync",
			lost->why.text);
	return r;
}

/* Takes the legs. */
static int build_striped(
	const struct raid *raid, struct lvm_legs *legs, struct lvm_map **map, struct err *e)
{
	struct lvm_map *m = lvm_map_new(e);
	int r = m ? 0 : -ENOMEM;

	for (size_t i = 0; r == 0 && i < legs->n; i++) {
		r = lvm_map_add_child(m, legs->legs[i].data, e);
		legs->legs[i].data = NULL;
	}
	if (r == 0 && !(m->description = malloc(sizeof *raid)))
		r = err_nomem(e);
	if (r < 0) {
		lvm_map_unref(m);
		return r;
	}
	memcpy(m->description, raid, sizeof *raid);
	m->ops = &raid_map_ops;
	m->size = raid_size(raid);
	m->no_writing = NO_WRITING;
	*map = m;
	return 0;
}

/* The extents of each leg, as LVM rounds them up. */
static uint64_t leg_extents(const struct kind *k, uint64_t extents, uint64_t n)
{
	if (k->level == 10)
		return div_round_up(extents * 2, n);
	return div_round_up(extents, n - (k->level - 4));
}

static int read_raid(const struct lvm_builder *b, const struct lvm_segment *s, const struct kind *k,
	struct raid *raid, struct err *e)
{
	uint64_t n, sectors, copies = 2;
	size_t ignored;
	int r = lvm_segment_number(b->g, s, "device_count", 2, LVM_MAX_LEGS, &n, e);

	if (r == 0)
		r = lvm_segment_number(b->g, s, "stripe_size", 1, UINT32_MAX, &sectors, e);
	if (r == 0 && k->level == 10 &&
		lvm_config_values(b->g->config, s->node, "data_copies", &ignored))
		r = lvm_segment_number(b->g, s, "data_copies", 2, 2, &copies, e);
	if (r < 0)
		return r;
	if (k->level == 6 && n < 3)
		return err_set(e, EUCLEAN, "%s: %s of two legs", s->node->key, s->type);
	*raid = (struct raid){
		.level = k->level,
		.layout = k->layout,
		.chunk = sectors * SECTOR,
		.used = leg_extents(k, s->extents, n) * b->g->extent,
		.n = n,
	};
	return raid_check(raid, e);
}

static int build_raid(struct lvm_builder *b, const struct lvm_segment *s, const struct kind *k,
	unsigned depth, struct lvm_map **map, struct err *e)
{
	struct lvm_legs legs;
	struct raid raid;
	int r = read_raid(b, s, k, &raid, e);

	if (r == 0)
		r = lvm_legs_build(b, s, raid.n, raid.chunk / SECTOR, depth, &legs, e);
	if (r < 0)
		return r;
	r = check_legs(&raid, &legs, e);
	if (r == 0)
		r = build_striped(&raid, &legs, map, e);
	lvm_legs_free(&legs);
	return r;
}

int lvm_raid_build(struct lvm_builder *b, const struct lvm_segment *s, unsigned depth,
	struct lvm_map **map, struct err *e)
{
	int r = refuse_reshape(b, s, e);

	if (r < 0)
		return r;
	if (strcmp(s->type, "raid0") == 0 || strcmp(s->type, "raid0_meta") == 0)
		return build_raid0(b, s, depth, map, e);
	if (strcmp(s->type, "raid1") == 0)
		return build_raid1(b, s, depth, map, e);
	for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
		if (strcmp(s->type, kinds[i].type) == 0)
			return build_raid(b, s, &kinds[i], depth, map, e);
	return err_set(e, ENOTSUP, "segments of the type %s are not known", s->type);
}
