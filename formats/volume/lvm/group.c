/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "group.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "util/array.h"
#include "util/limits.h"
#include "map.h"

#define SECTOR 512

/* Names and ids. */

static bool is_id_char(char c)
{
	return isalnum((unsigned char)c) || c == '!' || c == '#';
}

bool lvm_id_format(char id[LVM_ID], const char *raw)
{
	char *out = id;

	for (size_t i = 0; i < 32; i++) {
		if (!is_id_char(raw[i]))
			return false;
		if (i >= 6 && (i - 6) % 4 == 0 && i <= 26)
			*out++ = '-';
		*out++ = raw[i];
	}
	*out = '\0';
	return true;
}

/* LVM reads ids with hyphens at any place, and without. */
static bool parse_id(char id[LVM_ID], const char *text)
{
	char raw[32];
	size_t n = 0;

	for (; text && *text; text++) {
		if (*text == '-')
			continue;
		if (n == sizeof raw)
			return false;
		raw[n++] = *text;
	}
	return n == sizeof raw && lvm_id_format(id, raw);
}

bool lvm_name_is_valid(const char *name)
{
	size_t n = strlen(name);

	if (n == 0 || n >= LVM_NAME || *name == '-' || strcmp(name, ".") == 0 ||
		strcmp(name, "..") == 0)
		return false;
	for (size_t i = 0; i < n; i++)
		if (!isalnum((unsigned char)name[i]) && !strchr("._-+", name[i]))
			return false;
	return true;
}

/* Flags: those in "status" must be known, those in "flags" need not. */

static const struct {
	const char *name;
	unsigned flag;
} flag_names[] = {
	{"READ", 0},
	{"WRITE", LVM_WRITE},
	{"WRITE_LOCKED", LVM_WRITE},
	{"VISIBLE", LVM_VISIBLE},
	{"PVMOVE", LVM_PVMOVE},
	{"NOTSYNCED", LVM_NOTSYNCED},
	{"REBUILD", LVM_REBUILD},
	{"MISSING", LVM_MISSING},
	{"LOCKED", 0},
	{"FIXED_MINOR", 0},
	{"WRITEMOSTLY", 0},
	{"CACHE_VOL", 0},
	{"EXPORTED", 0},
	{"RESIZEABLE", 0},
	{"CLUSTERED", 0},
	{"SHARED", 0},
	{"PARTIAL", 0},
	{"ALLOCATABLE", 0},
};

/* Returns the first name that is not known, or NULL. */
static const char *read_flags(const struct lvm_config *c, const struct lvm_node *section,
	const char *key, unsigned *flags)
{
	const char *unknown = NULL;
	size_t n;
	const struct lvm_value *v = lvm_config_values(c, section, key, &n);

	for (size_t i = 0; i < n; i++) {
		size_t k = 0;

		while (v[i].text && k < sizeof flag_names / sizeof flag_names[0] &&
			strcmp(flag_names[k].name, v[i].text) != 0)
			k++;
		if (v[i].text && k < sizeof flag_names / sizeof flag_names[0])
			*flags |= flag_names[k].flag;
		else if (!unknown)
			unknown = v[i].text ? v[i].text : "a number";
	}
	return unknown;
}

static const char *read_status(
	const struct lvm_config *c, const struct lvm_node *section, unsigned *flags)
{
	read_flags(c, section, "flags", flags);
	return read_flags(c, section, "status", flags);
}

/* Physical volumes. */

static int read_pv(
	const struct lvm_group *g, const struct lvm_node *n, struct lvm_pv *pv, struct err *e)
{
	uint64_t start, count;
	const char *unknown;

	pv->key = n->key;
	pv->number = pv->other = LVM_NO_PV;
	pv->hint = lvm_config_text(g->config, n, "device");
	if (!parse_id(pv->id, lvm_config_text(g->config, n, "id")))
		return err_set(e, EUCLEAN, "physical volume %s: it has no id", n->key);
	unknown = read_status(g->config, n, &pv->flags);
	if (unknown)
		return err_set(e, EUCLEAN, "physical volume %s: its status has an unknown flag, %s",
			n->key, unknown);
	if (!lvm_config_number(g->config, n, "pe_start", LIMIT_DISK_SIZE / SECTOR, &start) ||
		!lvm_config_number(g->config, n, "pe_count", UINT32_MAX, &count) ||
		count > (LIMIT_DISK_SIZE - start * SECTOR) / g->extent)
		return err_set(e, EUCLEAN,
			"physical volume %s: its extents have no start or no valid number", n->key);
	pv->start = start * SECTOR;
	pv->extents = count;
	return 0;
}

/* Logical volumes. */

static int compare_segments(const void *a, const void *b)
{
	const struct lvm_segment *s = a, *t = b;

	return (s->start > t->start) - (s->start < t->start);
}

static int read_segment(const struct lvm_group *g, const struct lvm_lv *lv,
	const struct lvm_node *n, struct lvm_segment *s, struct err *e)
{
	*s = (struct lvm_segment){.node = n, .flags = lv->flags};
	s->type = lvm_config_text(g->config, n, "type");
	if (!s->type)
		return err_set(
			e, EUCLEAN, "volume %s, %s: its type is not given", lv->name, n->key);
	if (!lvm_config_number(g->config, n, "start_extent", UINT32_MAX, &s->start) ||
		!lvm_config_number(g->config, n, "extent_count", UINT32_MAX, &s->extents))
		return err_set(e, EUCLEAN,
			"volume %s, %s: its start or its length is not given or out of range",
			lv->name, n->key);
	return 0;
}

static int add_segment(
	const struct lvm_group *g, struct lvm_lv *lv, const struct lvm_node *n, struct err *e)
{
	struct lvm_segment *s = array_grow(lv->segments, lv->nsegments, sizeof s[0]);

	if (!s)
		return err_nomem(e);
	lv->segments = s;
	return read_segment(g, lv, n, &s[lv->nsegments++], e);
}

/* The segments cover the volume, each extent once. */
static int order_segments(const struct lvm_group *g, struct lvm_lv *lv, struct err *e)
{
	if (lv->nsegments == 0)
		return err_set(e, EUCLEAN, "volume %s: it has no segments", lv->name);
	qsort(lv->segments, lv->nsegments, sizeof lv->segments[0], compare_segments);
	for (size_t i = 0; i < lv->nsegments; i++) {
		const struct lvm_segment *s = &lv->segments[i];

		if (s->start != lv->extents || s->extents == 0)
			return err_set(e, EUCLEAN,
				"volume %s: a segment of %" PRIu64 " extents begins at %" PRIu64
				" instead of %" PRIu64,
				lv->name, s->extents, s->start, lv->extents);
		lv->extents += s->extents;
	}
	if (lv->extents > LIMIT_DISK_SIZE / g->extent)
		return err_set(e, EUCLEAN, "volume %s: %" PRIu64 " extents are too many", lv->name,
			lv->extents);
	return 0;
}

static int read_lv(
	const struct lvm_group *g, const struct lvm_node *n, struct lvm_lv *lv, struct err *e)
{
	int r = 0;

	lv->name = n->key;
	if (!lvm_name_is_valid(lv->name))
		return err_set(
			e, EUCLEAN, "\"%.64s\" is no valid name of a logical volume", lv->name);
	if (!parse_id(lv->id, lvm_config_text(g->config, n, "id")))
		return err_set(e, EUCLEAN, "volume %s: it has no id", lv->name);
	lv->unknown_flag = read_status(g->config, n, &lv->flags);
	for (n = lvm_config_first(g->config, n); r == 0 && n; n = lvm_config_next(g->config, n))
		if (n->is_section)
			r = add_segment(g, lv, n, e);
	return r == 0 ? order_segments(g, lv, e) : r;
}

/* Snapshots: s is of a hidden volume that says that another one is a snapshot. */
static void find_snapshot(struct lvm_group *g, struct lvm_lv *hidden, const struct lvm_segment *s)
{
	const char *merging = lvm_config_text(g->config, s->node, "merging_store");
	const char *store = lvm_config_text(g->config, s->node, "cow_store");
	const char *origin = lvm_config_text(g->config, s->node, "origin");
	struct lvm_lv *cow, *lv = origin ? lvm_find_lv(g, origin) : NULL;

	if (!store)
		store = merging;
	cow = store ? lvm_find_lv(g, store) : NULL;
	if (cow)
		cow->snapshot = hidden;
	if (lv)
		lv->is_origin = true;
	if (lv && merging)
		lv->snapshot = hidden;
}

/* s is of a thin volume, perhaps one that is to take the place of its origin. */
static void find_merge(struct lvm_group *g, const struct lvm_lv *snapshot, struct lvm_segment *s)
{
	const char *name = lvm_config_text(g->config, s->node, "merge");
	struct lvm_lv *origin = name ? lvm_find_lv(g, name) : NULL;

	if (name)
		s->merging = snapshot;
	if (origin)
		origin->segments[0].merging = snapshot;
}

static void find_snapshots(struct lvm_group *g)
{
	for (size_t i = 0; i < g->nlvs; i++) {
		struct lvm_segment *s = g->lvs[i].segments;

		if (strcmp(s->type, "snapshot") == 0)
			find_snapshot(g, &g->lvs[i], s);
		else if (strcmp(s->type, "thin") == 0)
			find_merge(g, &g->lvs[i], s);
	}
}

/* The group. */

static int compare_pvs(const void *a, const void *b)
{
	return strcmp(((const struct lvm_pv *)a)->key, ((const struct lvm_pv *)b)->key);
}

static int compare_lvs(const void *a, const void *b)
{
	return strcmp(((const struct lvm_lv *)a)->name, ((const struct lvm_lv *)b)->name);
}

struct lvm_pv *lvm_find_pv(const struct lvm_group *g, const char *key)
{
	const struct lvm_pv wanted = {.key = key};

	return g->npvs ? bsearch(&wanted, g->pvs, g->npvs, sizeof g->pvs[0], compare_pvs) : NULL;
}

struct lvm_lv *lvm_find_lv(const struct lvm_group *g, const char *name)
{
	const struct lvm_lv wanted = {.name = name};

	return g->nlvs ? bsearch(&wanted, g->lvs, g->nlvs, sizeof g->lvs[0], compare_lvs) : NULL;
}

static int read_pvs(struct lvm_group *g, const struct lvm_node *section, struct err *e)
{
	for (const struct lvm_node *n = lvm_config_first(g->config, section); n;
		n = lvm_config_next(g->config, n)) {
		struct lvm_pv *pvs = array_grow(g->pvs, g->npvs, sizeof pvs[0]);
		int r;

		if (!pvs)
			return err_nomem(e);
		g->pvs = pvs;
		pvs[g->npvs] = (struct lvm_pv){.key = n->key};
		r = read_pv(g, n, &pvs[g->npvs++], e);
		if (r < 0)
			return r;
	}
	if (g->npvs)
		qsort(g->pvs, g->npvs, sizeof g->pvs[0], compare_pvs);
	for (size_t i = 1; i < g->npvs; i++)
		if (strcmp(g->pvs[i - 1].key, g->pvs[i].key) == 0)
			return err_set(
				e, EUCLEAN, "two physical volumes are called %s", g->pvs[i].key);
	return 0;
}

static int read_lvs(struct lvm_group *g, const struct lvm_node *section, struct err *e)
{
	for (const struct lvm_node *n = lvm_config_first(g->config, section); n;
		n = lvm_config_next(g->config, n)) {
		struct lvm_lv *lvs = array_grow(g->lvs, g->nlvs, sizeof lvs[0]);
		int r;

		if (!lvs)
			return err_nomem(e);
		g->lvs = lvs;
		lvs[g->nlvs] = (struct lvm_lv){.name = n->key};
		r = read_lv(g, n, &lvs[g->nlvs++], e);
		if (r < 0)
			return r;
	}
	if (g->nlvs)
		qsort(g->lvs, g->nlvs, sizeof g->lvs[0], compare_lvs);
	for (size_t i = 1; i < g->nlvs; i++)
		if (strcmp(g->lvs[i - 1].name, g->lvs[i].name) == 0)
			return err_set(
				e, EUCLEAN, "two logical volumes are called %s", g->lvs[i].name);
	find_snapshots(g);
	return 0;
}

/* The section of the group is the only one of the text. */
static const struct lvm_node *group_section(const struct lvm_config *c)
{
	const struct lvm_node *n = lvm_config_first(c, lvm_config_root(c));

	while (n && !n->is_section)
		n = lvm_config_next(c, n);
	return n;
}

int lvm_group_read_head(const char *text, size_t len, struct lvm_group *g, struct err *e)
{
	const struct lvm_node *root, *n;
	const char *contents;
	uint64_t version;
	int r;

	*g = (struct lvm_group){.name = NULL};
	r = lvm_config_parse(text, len, &g->config, e);
	if (r < 0)
		return r;
	root = lvm_config_root(g->config);
	contents = lvm_config_text(g->config, root, "contents");
	if (!contents || strcmp(contents, "Text Format Volume Group") != 0 ||
		!lvm_config_number(g->config, root, "version", 1, &version) || version != 1)
		return err_set(e, EUCLEAN, "the metadata is not a volume group of version 1");
	n = group_section(g->config);
	if (!n || !parse_id(g->id, lvm_config_text(g->config, n, "id")) ||
		!lvm_config_number(g->config, n, "seqno", UINT32_MAX, &g->seqno))
		return err_set(e, EUCLEAN, "the metadata has no group with an id and a seqno");
	g->name = n->key;
	if (!lvm_name_is_valid(g->name))
		return err_set(e, EUCLEAN, "\"%.64s\" is no valid name of a volume group", g->name);
	return 0;
}

int lvm_group_read(const char *text, size_t len, struct lvm_group *g, struct err *e)
{
	int r = lvm_group_read_head(text, len, g, e);
	const struct lvm_node *n, *pvs, *lvs;
	const char *unknown, *format;
	uint64_t sectors;

	if (r < 0)
		return r;
	n = group_section(g->config);
	format = lvm_config_text(g->config, n, "format");
	if (format && strcmp(format, "lvm2") != 0)
		return err_set(e, ENOTSUP, "the group has the format %s instead of lvm2", format);
	unknown = read_status(g->config, n, &g->flags);
	if (unknown)
		return err_set(
			e, ENOTSUP, "the status of the group has an unknown flag, %s", unknown);
	if (!lvm_config_number(g->config, n, "extent_size", UINT32_MAX, &sectors) || sectors == 0)
		return err_set(e, EUCLEAN, "the group has no extent size");
	g->extent = sectors * SECTOR;
	pvs = lvm_config_section(g->config, n, "physical_volumes");
	lvs = lvm_config_section(g->config, n, "logical_volumes");
	if (!pvs)
		return err_set(e, EUCLEAN, "the group has no physical volumes");
	r = read_pvs(g, pvs, e);
	return r == 0 && lvs ? read_lvs(g, lvs, e) : r;
}

void lvm_group_free(struct lvm_group *g)
{
	for (size_t i = 0; i < g->nlvs; i++) {
		free(g->lvs[i].segments);
		lvm_map_unref(g->lvs[i].map);
		lvm_map_unref(g->lvs[i].store);
		free(g->lvs[i].failed);
	}
	free(g->lvs);
	free(g->pvs);
	lvm_config_free(g->config);
	*g = (struct lvm_group){.name = NULL};
}

/* Segments. */

static int set_area(const struct lvm_group *g, const struct lvm_segment *s, struct lvm_area *area,
	const struct lvm_value *name, const struct lvm_value *extent, struct err *e)
{
	if (!name->text || extent->text || extent->number < 0 || extent->number > UINT32_MAX)
		return err_set(e, EUCLEAN, "%s: an area is no name with an extent", s->node->key);
	area->extent = (uint64_t)extent->number;
	area->pv = lvm_find_pv(g, name->text);
	area->lv = area->pv ? NULL : lvm_find_lv(g, name->text);
	if (!area->pv && !area->lv)
		return err_set(
			e, EUCLEAN, "%s: the group has no volume %s", s->node->key, name->text);
	return 0;
}

struct lvm_area *lvm_areas(const struct lvm_group *g, const struct lvm_segment *s, const char *key,
	size_t n, struct err *e)
{
	size_t nvalues;
	const struct lvm_value *v = lvm_config_values(g->config, s->node, key, &nvalues);
	struct lvm_area *areas;

	if (n == 0 || nvalues % 2 || nvalues / 2 != n) {
		err_set(e, EUCLEAN, "%s: there are %zu values in %s for %zu areas", s->node->key,
			nvalues, key, n);
		return NULL;
	}
	areas = calloc(n, sizeof areas[0]);
	if (!areas) {
		err_nomem(e);
		return NULL;
	}
	for (size_t i = 0; i < n; i++) {
		if (set_area(g, s, &areas[i], &v[2 * i], &v[2 * i + 1], e) < 0) {
			free(areas);
			return NULL;
		}
	}
	return areas;
}

struct lvm_lv *lvm_segment_lv(
	const struct lvm_group *g, const struct lvm_segment *s, const char *key, struct err *e)
{
	const char *name = lvm_config_text(g->config, s->node, key);
	struct lvm_lv *lv = name ? lvm_find_lv(g, name) : NULL;

	if (!lv)
		err_set(e, EUCLEAN, "%s: its %s, %s, is not in the group", s->node->key, key,
			name ? name : "which is not given");
	return lv;
}

int lvm_segment_number(const struct lvm_group *g, const struct lvm_segment *s, const char *key,
	uint64_t least, uint64_t most, uint64_t *number, struct err *e)
{
	if (!lvm_config_number(g->config, s->node, key, most, number) || *number < least)
		return err_set(e, EUCLEAN,
			"%s: its %s is not given or not from %" PRIu64 " to %" PRIu64, s->node->key,
			key, least, most);
	return 0;
}
