/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "array.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "util/bytes.h"
#include "util/err.h"
#include "volume/table.h"
#include "view/view.h"
#include "super.h"

static bool is_table(const struct md_super *newest)
{
	return newest->level == MD_LINEAR || newest->level == 0;
}

/* Member after member, each without what is no whole chunk. */
static int linear(const struct md_super *newest, const struct md_super *const *supers,
	struct table *table, struct err *e)
{
	uint64_t chunk = MAX(newest->chunk, 1);
	int r = 0;

	for (size_t i = 0; r == 0 && i < newest->n; i++) {
		const struct table_stripe stripe = {i, supers[i]->pos};
		const struct table_segment segment = {.kind = TABLE_STRIPED,
			.len = supers[i]->len / chunk * chunk,
			.stripes = &stripe,
			.nstripes = 1};

		r = table_add(table, &segment, e);
	}
	return r;
}

static int make_table(const struct md_super *newest, const struct md_super *const *supers,
	struct md_array *a, struct err *e)
{
	size_t missing = 0;

	for (size_t i = 0; i < newest->n; i++)
		missing += !supers[i];
	if (missing)
		return err_set(e, EIO, "%zu of %" PRIu32 " members are missing, none can be (%s)",
			missing, newest->n, newest->level ? "linear" : "raid0");
	a->table = table_new();
	if (!a->table)
		return err_nomem(e);
	return newest->level ? linear(newest, supers, a->table, e)
			     : md_level0(newest, supers, a->table, e);
}

static int make_raid(const struct md_super *newest, const struct md_super *const *supers,
	struct md_array *a, struct err *e)
{
	static struct view present;
	struct raid_member *members;
	size_t missing = 0;
	int r;

	a->raid.level = (unsigned)newest->level;
	a->raid.layout = newest->layout;
	a->raid.chunk = newest->chunk;
	a->raid.used = newest->used;
	r = raid_check(&a->raid, e);
	if (r < 0)
		return r;
	members = calloc(newest->n, sizeof members[0]);
	if (!members)
		return err_nomem(e);
	for (size_t i = 0; i < newest->n; i++) {
		missing += !supers[i];
		members[i].view = supers[i] ? &present : NULL;
	}
	r = raid_check_members(&a->raid, members, e);
	free(members);
	if (r == 0 && missing && !newest->clean && newest->level >= 4 && newest->level <= 6)
		return err_set(e, EIO,
			"%zu of %" PRIu32
			" members are missing, and parity may be wrong, since the "
			"array was not stopped (raid%d)",
			missing, newest->n, newest->level);
	return r;
}

int md_array_new(const struct md_super *newest, const struct md_super *const *supers,
	struct md_array **array, struct err *e)
{
	struct md_array *a = calloc(1, sizeof *a + newest->n * sizeof a->places[0]);
	size_t member = 0;
	int r;

	if (!a)
		return err_nomem(e);
	a->raid.n = newest->n;
	for (size_t i = 0; i < newest->n; i++) {
		a->places[i].member = supers[i] ? member++ : MD_MISSING;
		a->places[i].pos = supers[i] ? supers[i]->pos : 0;
	}
	r = is_table(newest) ? make_table(newest, supers, a, e) : make_raid(newest, supers, a, e);
	if (r == 0)
		*array = a;
	else
		md_array_free(a);
	return r;
}

void md_array_free(struct md_array *array)
{
	if (array)
		table_free(array->table);
	free(array);
}

uint64_t md_array_size(const struct md_array *array)
{
	return array->table ? table_size(array->table) : raid_size(&array->raid);
}

void md_array_name(
	const struct md_super *newest, const struct md_array *array, char *text, size_t size)
{
	size_t missing = 0;
	char name[32];

	for (size_t i = 0; i < array->raid.n; i++)
		missing += array->places[i].member == MD_MISSING;
	if (array->table)
		snprintf(name, sizeof name, "%s", newest->level ? "linear" : "raid0");
	else
		raid_name(&array->raid, name, sizeof name);
	if (missing)
		snprintf(
			text, size, "%s, %zu of %zu members missing", name, missing, array->raid.n);
	else
		snprintf(text, size, "%s", name);
}

struct view *md_array_view(
	const struct md_array *array, struct view *const *members, size_t n, struct err *e)
{
	struct raid_member *places;
	struct view *v;

	if (array->table) {
		v = table_view(array->table, members, n, e);
		if (v)
			v->through = false; /* what lies on an array is not written either */
		return v;
	}
	places = calloc(array->raid.n, sizeof places[0]);
	if (!places) {
		err_nomem(e);
		return NULL;
	}
	for (size_t i = 0; i < array->raid.n; i++)
		if (array->places[i].member != MD_MISSING)
			places[i] = (struct raid_member){
				members[array->places[i].member], array->places[i].pos};
	v = raid_view(&array->raid, places, e);
	free(places);
	return v;
}
