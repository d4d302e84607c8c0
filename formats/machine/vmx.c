/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* vmx.c - parses the texts of a .vmx and a .vmsd file to a struct machine.
 *
 * The .vmx has the disks that are attached in the current state.  The .vmsd has the snapshots,
 * numbered from 0 on in any order, and their parents by another number, the uid.
 */
#include "vmx.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "util/limits.h"
#include "vmware-dict.h"
#include "util/err.h"
#include "machine.h"
#include "util/text.h"

static const struct {
	const char *name;
	unsigned controllers, units;
} buses[] = {{"ide", 2, 2}, {"scsi", 4, 64}, {"sata", 4, 30}, {"nvme", 4, 64}};

/* Adds the disk in a slot, if there is one.  The fileName of a drive without a medium ("auto
 * detect") does not end in .vmdk. */
static int add_disk(
	struct machine_state *state, const struct vmware_dict *d, const char *slot, struct err *e)
{
	const char *file = vmware_dict_get(d, "%s.fileName", slot);
	const char *type = vmware_dict_get(d, "%s.deviceType", slot);

	if (strcasecmp(vmware_dict_get(d, "%s.present", slot), "FALSE") == 0 ||
		!text_ends_with(file, ".vmdk") || strncasecmp(type, "cdrom", 5) == 0 ||
		strncasecmp(type, "atapi", 5) == 0)
		return 0;
	return machine_add_disk(state, slot, file, e);
}

static int add_disks(struct machine *m, const struct vmware_dict *d, struct err *e)
{
	char slot[32];
	int r = 0;

	for (size_t bus = 0; bus < sizeof buses / sizeof buses[0]; bus++)
		for (unsigned c = 0; c < buses[bus].controllers; c++)
			for (unsigned u = 0; u < buses[bus].units && r == 0; u++) {
				snprintf(slot, sizeof slot, "%s%u:%u", buses[bus].name, c, u);
				r = add_disk(&m->states[0], d, slot, e);
			}
	return r;
}

/* Snapshots. */

struct vmx_snapshot {
	unsigned number; /* in the text */
	uint64_t uid, parent;
	size_t above; /* index of the parent, or SIZE_MAX */
	size_t state; /* in the machine; 0: not added yet */
};

struct vmx_snapshots {
	const struct vmware_dict *dict;
	size_t n;
	struct vmx_snapshot *v;
};

static uint64_t number(const char *text)
{
	return strtoull(text, NULL, 10);
}

/* Finds all snapshots in the text, in any order of their numbers. */
static int find_snapshots(struct vmx_snapshots *s, struct err *e)
{
	s->v = calloc(VMX_MAX_SNAPSHOTS, sizeof s->v[0]);
	if (!s->v)
		return err_nomem(e);
	for (size_t k = 0; k < s->dict->n; k++) {
		const struct vmware_dict_entry *entry = &s->dict->entries[k];
		unsigned i;
		int end = -1;

		/* snapshot12.uid */
		if (sscanf(entry->key, "snapshot%9u.%n", &i, &end) != 1 || end < 0 ||
			strcasecmp(entry->key + end, "uid") != 0)
			continue;
		if (s->n == VMX_MAX_SNAPSHOTS)
			return err_set(e, EFBIG, "more than %d snapshots", VMX_MAX_SNAPSHOTS);
		s->v[s->n++] = (struct vmx_snapshot){
			.number = i,
			.uid = number(entry->value),
			.parent = number(vmware_dict_get(s->dict, "snapshot%u.parent", i)),
		};
	}
	return 0;
}

static size_t find_uid(const struct vmx_snapshots *s, uint64_t uid)
{
	for (size_t i = 0; i < s->n && uid; i++)
		if (s->v[i].uid == uid)
			return i;
	return SIZE_MAX;
}

/* Finds the parents.  A snapshot that is its own ancestor gets none. */
static void find_parents(struct vmx_snapshots *s)
{
	for (size_t i = 0; i < s->n; i++)
		s->v[i].above = find_uid(s, s->v[i].parent);
	for (size_t i = 0; i < s->n; i++) {
		size_t at = s->v[i].above, steps = 0;

		while (at != SIZE_MAX && at != i && steps++ < s->n)
			at = s->v[at].above;
		if (at != SIZE_MAX)
			s->v[i].above = SIZE_MAX;
	}
}

/* A number of microseconds in two halves, of which the lower is printed as if it had a sign. */
static struct timespec taken_at(const struct vmware_dict *d, unsigned i)
{
	const char *high = vmware_dict_get(d, "snapshot%u.createTimeHigh", i);
	const char *low = vmware_dict_get(d, "snapshot%u.createTimeLow", i);
	uint64_t us = (uint64_t)(uint32_t)strtoll(high, NULL, 10) << 32 |
		      (uint32_t)strtoll(low, NULL, 10);

	return (struct timespec){
		.tv_sec = (time_t)(us / 1000000),
		.tv_nsec = (long)(us % 1000000 * 1000),
	};
}

/* Adds a snapshot after those that it is based on. */
static int add_snapshot(struct machine *m, struct vmx_snapshots *s, size_t i, struct err *e)
{
	const struct vmware_dict *d = s->dict;
	struct vmx_snapshot *snapshot = &s->v[i];
	unsigned k = snapshot->number;
	uint64_t ndisks = number(vmware_dict_get(d, "snapshot%u.numDisks", k));
	struct machine_state *state;
	int r = 0;

	if (snapshot->state)
		return 0;
	if (snapshot->above != SIZE_MAX)
		r = add_snapshot(m, s, snapshot->above, e);
	if (r < 0)
		return r;
	snapshot->state = m->nstates;
	state = machine_add_state(m, vmware_dict_get(d, "snapshot%u.displayName", k), e);
	if (!state)
		return -e->code;
	state->parent = snapshot->above == SIZE_MAX ? 0 : s->v[snapshot->above].state;
	state->when = taken_at(d, k);
	for (unsigned disk = 0; r == 0 && disk < ndisks && disk < VMX_MAX_DISKS; disk++) {
		const char *file = vmware_dict_get(d, "snapshot%u.disk%u.fileName", k, disk);
		const char *slot = vmware_dict_get(d, "snapshot%u.disk%u.node", k, disk);

		if (text_ends_with(file, ".vmdk"))
			r = machine_add_disk(state, slot, file, e);
	}
	return r;
}

static int read_snapshots(struct machine *m, struct io *vmsd, struct err *e)
{
	struct vmware_dict d;
	struct vmx_snapshots s = {.dict = &d};
	size_t current;
	int r = vmware_dict_read(vmsd, &d, e);

	if (r < 0)
		return r;
	r = find_snapshots(&s, e);
	find_parents(&s);
	for (size_t i = 0; i < s.n && r == 0; i++)
		r = add_snapshot(m, &s, i, e);
	current = find_uid(&s, number(vmware_dict_get(&d, "snapshot.current")));
	if (r == 0 && current != SIZE_MAX)
		m->states[0].parent = s.v[current].state;
	free(s.v);
	vmware_dict_free(&d);
	return r;
}

int vmx_read(struct io *vmx, struct io *vmsd, const char *name, struct machine **out, struct err *e)
{
	struct machine *m;
	struct vmware_dict d;
	int r = vmware_dict_read(vmx, &d, e);

	if (r < 0)
		return r;
	if (*vmware_dict_get(&d, "displayName"))
		name = vmware_dict_get(&d, "displayName");
	m = machine_new(name, e);
	r = m ? add_disks(m, &d, e) : -e->code;
	if (r == 0 && vmsd)
		r = read_snapshots(m, vmsd, e);
	vmware_dict_free(&d);
	if (r == 0)
		*out = m;
	else
		machine_free(m);
	return r;
}
