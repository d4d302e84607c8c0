/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* lvm.c - from devices with labels to volumes.
 *
 * The newest text of all areas describes the group.  Physical volumes with an older one, or with
 * none, belong to it if it names them.  Only the places of the texts are kept from probe to
 * assemble.
 */
#include "lvm.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "util/array.h"
#include "util/limits.h"
#include "image/image.h"
#include "view/view.h"
#include "build.h"
#include "group.h"
#include "label.h"
#include "map.h"
#include "mirror.h"
#include "raid-segment.h"
#include "snapshot-segment.h"
#include "thin-segment.h"

/* A member. */
struct pv {
	bool has_text;
	struct lvm_text text; /* the newest */
	uint64_t seqno;
	struct err damage;    /* of an area */
	struct err disagrees; /* the areas, among themselves */
	bool is_taken;
};

/* The mapping of a volume. */
struct mapping {
	struct lvm_map *map;
	size_t *numbers; /* of the members; the first are those of the map itself */
	size_t n;
	size_t devices; /* of the group */
};

static const struct lvm_segment_kind segment_kinds[] = {
	{"mirror", lvm_mirror_build},
	{"raid", lvm_raid_build},
	{"thin", lvm_thin_build},
	{"snapshot", lvm_snapshot_build},
	{NULL, NULL},
};

/* Probing. */

static bool is_same_text(const struct lvm_text *a, const struct lvm_text *b)
{
	return a->len == b->len && a->crc == b->crc;
}

/* Takes the text of an area if it is the newest. */
static int take_text(struct volume_member *m, struct pv *pv, const struct lvm_text *text,
	const struct lvm_group *g, struct err *e)
{
	bool is_other = pv->has_text && strcmp(m->device->group, g->id) != 0;

	if (is_other || (pv->has_text && g->seqno == pv->seqno && !is_same_text(text, &pv->text)))
		return err_set(&pv->disagrees, EUCLEAN,
			"the metadata areas of %s disagree: seqno %" PRIu64
			" of group %s, and %" PRIu64 " of %s",
			m->device->name, pv->seqno, m->device->group, g->seqno, g->id);
	if (pv->has_text && g->seqno <= pv->seqno)
		return 0;
	free(m->device->label);
	m->device->label = strdup(g->name);
	if (!m->device->label)
		return err_nomem(e);
	snprintf(m->device->group, sizeof m->device->group, "%s", g->id);
	pv->has_text = true;
	pv->text = *text;
	pv->seqno = g->seqno;
	return 0;
}

static int read_area(
	struct volume_member *m, struct pv *pv, const struct lvm_place *area, struct err *e)
{
	struct lvm_text place;
	struct lvm_group g = {.name = NULL};
	char *text;
	int r = lvm_text_find(m->device->view, area, &place, e);

	if (r <= 0)
		return r;
	text = lvm_text_read(m->device->view, &place, e);
	if (!text)
		return -e->code;
	r = lvm_group_read_head(text, place.len, &g, e);
	if (r == 0)
		r = take_text(m, pv, &place, &g, e);
	else
		err_in(e, "metadata area at %" PRIu64, area->start);
	lvm_group_free(&g);
	free(text);
	return r;
}

static int probe(struct volume_member *m, struct err *e)
{
	struct lvm_label label;
	struct pv *pv;
	int r = lvm_label_read(m->device->view, &label, e);

	if (r <= 0)
		return r;
	pv = m->priv = calloc(1, sizeof *pv);
	if (!pv)
		return err_nomem(e);
	snprintf(m->device->id, sizeof m->device->id, "%s", label.id);
	for (size_t i = 0; i < label.nareas; i++) {
		struct err damage = ERR_INIT;

		r = read_area(m, pv, &label.areas[i], &damage);
		if (r == -ENOMEM)
			return err_nomem(e);
		if (r < 0 && !pv->damage.code)
			pv->damage = damage;
	}
	return 1;
}

/* The group's devices. */

struct members {
	struct volume_member **m;
	size_t n;
};

static int add_members(struct members *all, const struct volume_group *g, struct err *e)
{
	for (size_t i = 0; g && i < g->n; i++) {
		struct volume_member **m = array_grow(all->m, all->n, sizeof all->m[0]);

		if (!m)
			return err_nomem(e);
		all->m = m;
		m[all->n++] = g->members[i];
	}
	return 0;
}

/* Finds the devices of the physical volumes. */
static void find_devices(struct lvm_group *g, const struct members *all)
{
	for (size_t i = 0; i < g->npvs; i++) {
		struct lvm_pv *pv = &g->pvs[i];

		for (size_t k = 0; k < all->n; k++) {
			if (strcmp(all->m[k]->device->id, pv->id) != 0)
				continue;
			if (pv->number == LVM_NO_PV)
				pv->number = k;
			else if (pv->other == LVM_NO_PV)
				pv->other = k;
		}
	}
}

static bool is_complete(const struct lvm_group *g)
{
	for (size_t i = 0; i < g->npvs; i++)
		if (g->pvs[i].number == LVM_NO_PV && !(g->pvs[i].flags & LVM_MISSING))
			return false;
	return true;
}

/* Takes members that did not know their group. */
static int take_devices(const struct lvm_group *g, const struct members *all, struct err *e)
{
	for (size_t i = 0; i < g->npvs; i++) {
		struct volume_device *d;

		if (g->pvs[i].number == LVM_NO_PV)
			continue;
		d = all->m[g->pvs[i].number]->device;
		((struct pv *)all->m[g->pvs[i].number]->priv)->is_taken = true;
		if (d->group[0])
			continue;
		snprintf(d->group, sizeof d->group, "%s", g->id);
		d->label = strdup(g->name);
		if (!d->label)
			return err_nomem(e);
	}
	return 0;
}

/* Volumes. */

static char *twice_hyphens(char *out, const char *name)
{
	for (; *name; name++) {
		*out++ = *name;
		if (*name == '-')
			*out++ = '-';
	}
	return out;
}

/* "VG-LV", with the hyphens of the names doubled, and "VG/LV". */
struct names {
	char name[4 * LVM_NAME], path[2 * LVM_NAME];
};

/* A name that device-mapper would not have is refused. */
static int name_volume(
	const struct lvm_group *g, const struct lvm_lv *lv, struct names *names, struct err *why)
{
	char *p = twice_hyphens(names->name, g->name);

	*p++ = '-';
	p = twice_hyphens(p, lv->name);
	*p = '\0';
	snprintf(names->path, sizeof names->path, "%s/%s", g->name, lv->name);
	if (strlen(names->name) < LVM_NAME)
		return 0;
	err_set(why, EUCLEAN, "the name %s is longer than %u bytes with its hyphens doubled",
		names->path, LVM_NAME - 1);
	snprintf(names->name, sizeof names->name, "lvm-%s", lv->id);
	return -EUCLEAN;
}

static void free_mapping(void *mapping)
{
	struct mapping *m = mapping;

	lvm_map_unref(m->map);
	free(m->numbers);
	free(m);
}

struct numbers {
	size_t *numbers, n;
	bool *seen;
};

static void add_number(size_t number, void *arg)
{
	struct numbers *list = arg;

	if (!list->seen[number])
		list->numbers[list->n++] = number;
	list->seen[number] = true;
}

/* Takes the map, also if it fails. */
static struct mapping *mapping_new(struct lvm_map *map, size_t devices, struct err *e)
{
	struct numbers list = {
		.numbers = calloc(devices + 1, sizeof list.numbers[0]),
		.seen = calloc(devices + 1, sizeof list.seen[0]),
	};
	struct mapping *m = calloc(1, sizeof *m);

	if (!m || !list.numbers || !list.seen) {
		free(m);
		free(list.numbers);
		free(list.seen);
		lvm_map_unref(map);
		err_nomem(e);
		return NULL;
	}
	lvm_map_each_pv(map, add_number, &list);
	free(list.seen);
	*m = (struct mapping){map, list.numbers, list.n, devices};
	return m;
}

/* Takes the mapping on success. */
static int add_mapped(const struct volume_group *vg, const struct members *all,
	const struct lvm_lv *lv, struct mapping *m, const struct names *names, struct err *e)
{
	struct volume_member **members = calloc(m->n + 1, sizeof members[0]);
	const char *type = lv->segments[0].type;
	struct volume *v;

	if (!members)
		return err_nomem(e);
	for (size_t i = 0; i < m->n; i++)
		members[i] = all->m[m->numbers[i]];
	v = volume_add(vg, names->name, names->path, members, m->n, e);
	free(members);
	if (!v)
		return -e->code;
	if (lv->snapshot)
		type = "snapshot";
	else if (strcmp(type, "striped") == 0 && !lv->is_striped)
		type = "linear";
	snprintf(v->layout, sizeof v->layout, "%s", type);
	snprintf(v->uuid, sizeof v->uuid, "%s", lv->id);
	v->size = m->map->size;
	v->no_writing = m->map->no_writing;
	v->changes_bytes = m->map->changes_bytes;
	v->mapping = m;
	return 0;
}

static int add_volume(const struct volume_group *vg, const struct members *all,
	struct lvm_builder *b, struct lvm_lv *lv, struct err *e)
{
	struct err why = ERR_INIT;
	struct names names;
	struct mapping *m;
	struct lvm_map *map;
	int r = name_volume(b->g, lv, &names, &why);

	if (r == 0)
		r = lvm_build(b, lv, 0, &map, &why);
	if (r == -ENOMEM)
		return err_nomem(e);
	if (r < 0)
		return volume_add_failed(vg, names.name, names.path, &why, e);
	m = mapping_new(map, all->n, e);
	if (!m)
		return -e->code;
	r = add_mapped(vg, all, lv, m, &names, e);
	if (r < 0)
		free_mapping(m);
	return r;
}

/* A pool has no bytes of its own; a snapshot has the name of the volume that stores it, which LVM
 * hides. */
static bool is_shown(const struct lvm_lv *lv)
{
	static const char *const hidden[] = {"thin-pool", "cache-pool", "vdo-pool", "snapshot"};

	for (size_t i = 0; i < sizeof hidden / sizeof hidden[0]; i++)
		if (strncmp(lv->segments[0].type, hidden[i], strlen(hidden[i])) == 0)
			return false;
	return lv->snapshot || lv->flags & LVM_VISIBLE;
}

static int add_volumes(const struct volume_group *vg, const struct members *all,
	const struct lvm_group *g, struct err *e)
{
	struct lvm_builder b = {
		.g = g,
		.kinds = segment_kinds,
		.devices = all->m,
		.ndevices = all->n,
		.cache = vg->how ? vg->how->cache : NULL,
	};
	int r = take_devices(g, all, e);

	for (size_t i = 0; r == 0 && i < g->nlvs; i++)
		if (is_shown(&g->lvs[i]))
			r = add_volume(vg, all, &b, &g->lvs[i], e);
	for (size_t i = 0; b.views && i < all->n; i++)
		view_free(b.views[i]);
	free(b.views);
	return r;
}

/* The group. */

/* The member with the newest text. */
static const struct volume_member *find_newest(const struct volume_group *vg)
{
	const struct volume_member *newest = NULL;
	uint64_t seqno = 0;

	for (size_t i = 0; i < vg->n; i++) {
		const struct pv *pv = vg->members[i]->priv;

		if (!newest || pv->seqno > seqno) {
			newest = vg->members[i];
			seqno = pv->seqno;
		}
	}
	return newest;
}

static int check_agreement(
	const struct volume_group *vg, const struct volume_member *newest, struct err *e)
{
	const struct pv *n = newest->priv;

	for (size_t i = 0; i < vg->n; i++) {
		const struct pv *pv = vg->members[i]->priv;

		if (pv->disagrees.code) {
			*e = pv->disagrees;
			return -e->code;
		}
		if (pv->seqno == n->seqno && !is_same_text(&pv->text, &n->text))
			return err_set(e, EUCLEAN,
				"the metadata on %s and on %s disagree, with the same seqno "
				"%" PRIu64,
				newest->device->name, vg->members[i]->device->name, n->seqno);
	}
	return 0;
}

static int read_group(const struct volume_group *vg, struct lvm_group *g, struct err *e)
{
	const struct volume_member *newest = find_newest(vg);
	const struct lvm_text *place = &((const struct pv *)newest->priv)->text;
	int r = check_agreement(vg, newest, e);
	char *text = r == 0 ? lvm_text_read(newest->device->view, place, e) : NULL;

	if (!text)
		return -e->code;
	r = lvm_group_read(text, place->len, g, e);
	free(text);
	return r;
}

/* A file that says why the group has no volumes. */
static int add_refused(const struct volume_group *vg, const struct err *why, struct err *e)
{
	char name[2 * LVM_NAME];

	*twice_hyphens(name, vg->members[0]->device->label) = '\0';
	return volume_add_failed(vg, name, NULL, why, e);
}

/* Physical volumes that no group has named: without a group, or with metadata that is damaged. */
static int assemble_unassigned(const struct volume_group *vg, struct err *e)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < vg->n; i++) {
		struct volume_group alone = *vg;
		const struct pv *pv = vg->members[i]->priv;
		char name[VOLUME_ID + 8];

		if (pv->is_taken || !pv->damage.code)
			continue;
		alone.members = &vg->members[i];
		alone.n = 1;
		snprintf(name, sizeof name, "lvm-%s", vg->members[i]->device->id);
		r = volume_add_failed(&alone, name, NULL, &pv->damage, e);
	}
	return r;
}

static int assemble_group(
	const struct volume_group *vg, const struct members *all, bool last, struct err *e)
{
	struct lvm_group g = {.name = NULL};
	struct err why = ERR_INIT;
	int r = read_group(vg, &g, &why);

	if (r == -ENOMEM) {
		r = err_nomem(e);
	} else if (r < 0) {
		r = add_refused(vg, &why, e);
	} else {
		find_devices(&g, all);
		r = is_complete(&g) || last ? add_volumes(vg, all, &g, e) : -EAGAIN;
	}
	lvm_group_free(&g);
	return r;
}

static int assemble(const struct volume_group *vg, bool last, struct err *e)
{
	struct members all = {.n = 0};
	int r;

	if (!((const struct pv *)vg->members[0]->priv)->has_text)
		return last ? assemble_unassigned(vg, e) : -EAGAIN;
	r = add_members(&all, vg, e);
	if (r == 0)
		r = add_members(&all, vg->unassigned, e);
	if (r == 0)
		r = assemble_group(vg, &all, last, e);
	free(all.m);
	return r;
}

/* Views. */

static struct view *view(const struct volume *v, struct view **members, struct err *e)
{
	const struct mapping *m = v->mapping;
	struct view **devices = calloc(m->devices + 1, sizeof devices[0]), *view;

	if (!devices) {
		err_nomem(e);
		return NULL;
	}
	for (size_t i = 0; i < m->n; i++)
		devices[m->numbers[i]] = members[i];
	view = lvm_map_view_over(m->map, devices, members, m->n, e);
	free(devices);
	return view;
}

const struct volume_reader lvm_reader = {
	.kind = "lvm",
	.type = "LVM2_member",
	.probe = probe,
	.assemble = assemble,
	.view = view,
	.free_mapping = free_mapping,
};
