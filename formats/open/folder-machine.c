/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* folder-machine.c - the disks of the machines that are described in a directory.
 *
 * A machine has a disk under many file names, one for each of its snapshots and one that is written
 * to.  They are recognised as one disk by the file of its first state, the origin: VirtualBox's
 * registry has it, and VMware numbers the other files after it (disk-000001.vmdk).
 */
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "util/array.h"
#include "util/err.h"
#include "folder-impl.h"
#include "folder-known.h"
#include "folder-machine.h"
#include "folder-scan.h"
#include "machine/machine.h"
#include "util/text.h"

#define SEPARATORS "/\\" /* of the systems on which descriptions are written */

/* A disk of a machine in all its states. */
struct folder_disk {
	struct folder_disk *next;
	char *origin;
	const char **files; /* by state; NULL: it was not attached then */
};

/* The attachment of a disk in one state. */
struct attached {
	const char *slot, *file;
	bool registered;
	size_t age; /* of the state: the oldest has the least */
};

/* The place of a medium. */
struct located {
	bool done;
	char *path; /* NULL: nowhere */
	bool other; /* the image there has another id */
};

struct machine_reading {
	struct folder *f;
	const struct machine *m;
	struct folder_known *known; /* NULL: its description has no ids */
	struct located *located;    /* by medium */
	size_t nattached;
	struct attached *attached; /* by slot, registered media first */
	struct folder_disk *disks, **end;
	struct err *e;
};

/* The places of files. */

static const struct machine_medium *medium_of(const struct machine *m, const char *file)
{
	for (size_t i = 0; i < m->nmedia; i++)
		if (strcmp(m->media[i].file, file) == 0)
			return &m->media[i];
	return NULL;
}

/* A machine that was moved has its files beside its description, and those of its snapshots where
 * they belong; malloc'ed or NULL. */
static char *find_by_name(const struct machine_reading *r, const char *file)
{
	const struct folder *f = r->f;
	const char *base = text_last_part(file, SEPARATORS);
	char *found = folder_find(f, f->path, file), *folder;

	if (!found)
		found = folder_find(f, f->path, base);
	if (!found && r->m->snapshot_dir && (folder = folder_join(f->path, r->m->snapshot_dir))) {
		found = folder_find(f, folder, base);
		free(folder);
	}
	return found;
}

/* Searches by name, and by id when there is no file of that name or it has another id. */
static const struct located *located(
	const struct machine_reading *r, const struct machine_medium *medium)
{
	struct located *l = &r->located[medium - r->m->media];
	const char *known;

	if (l->done)
		return l;
	l->done = true;
	l->path = find_by_name(r, medium->file);
	if (!r->known || guid_is_zero(medium->id))
		return l;
	l->other = l->path && folder_known_is_other(r->f, l->path, medium->id);
	if (l->path && !l->other)
		return l;
	known = folder_known_find(r->known, medium->id);
	if (known) {
		free(l->path);
		l->path = strdup(known);
		l->other = false;
	}
	return l;
}

/* malloc'ed or NULL. */
static char *find_there(const struct machine_reading *r, const char *file)
{
	const struct machine_medium *medium = medium_of(r->m, file);
	const struct located *l = medium ? located(r, medium) : NULL;

	if (!l)
		return find_by_name(r, file);
	return l->path ? strdup(l->path) : NULL;
}

/* The reason why the image in the place of a file cannot be shown; malloc'ed into *why, or NULL. */
static int find_refusal(const struct machine_reading *r, const char *file, char **why)
{
	const struct machine_medium *medium = medium_of(r->m, file);
	char uuid[GUID_TEXT];

	*why = NULL;
	if (!medium)
		return 0;
	if (medium->refusal) {
		*why = strdup(medium->refusal);
		return *why ? 0 : -ENOMEM;
	}
	if (!located(r, medium)->other)
		return 0;
	guid_text(uuid, medium->id);
	if (asprintf(why, "the machine has the disk {%s} there, but this is another one", uuid) < 0)
		*why = NULL;
	return *why ? 0 : -ENOMEM;
}

/* The path of a file; of a missing file, that in the description. */
static char *find_file(const struct machine_reading *r, const char *file)
{
	char *found = find_there(r, file);

	if (found)
		return found;
	return file[0] == '/' ? strdup(file) : folder_join(r->f->path, file);
}

/* Media that are not registered. */

static int compare_attached(const void *a, const void *b)
{
	const struct attached *x = a, *y = b;
	int order = strcmp(x->slot, y->slot);

	if (order == 0)
		order = y->registered - x->registered;
	return order ? order : (x->age > y->age) - (x->age < y->age);
}

static int read_attached(struct machine_reading *r)
{
	const struct machine *m = r->m;
	size_t n = 0;

	for (size_t i = 0; i < m->nstates; i++)
		n += m->states[i].ndisks;
	r->attached = calloc(n + 1, sizeof r->attached[0]);
	if (!r->attached)
		return err_nomem(r->e);
	for (size_t i = 0; i < m->nstates; i++)
		for (size_t k = 0; k < m->states[i].ndisks; k++) {
			const struct machine_disk *disk = &m->states[i].disks[k];
			const struct machine_medium *medium = medium_of(m, disk->file);

			r->attached[r->nattached++] = (struct attached){
				.slot = disk->slot,
				.file = disk->file,
				.registered = medium && medium->registered,
				.age = i ? i : SIZE_MAX, /* the present comes last */
			};
		}
	qsort(r->attached, n, sizeof r->attached[0], compare_attached);
	return 0;
}

static int compare_slot(const void *slot, const void *attached)
{
	return strcmp(slot, ((const struct attached *)attached)->slot);
}

/* One disk. */

/* A medium's parent precedes it in m->media, so following parents terminates. */
static const struct machine_medium *parent_of(
	const struct machine *m, const struct machine_medium *medium)
{
	const struct machine_medium *parent = machine_find_medium(m, medium->parent);

	return parent && parent < medium ? parent : NULL;
}

/* "disk-000001.vmdk" -> "disk.vmdk", in place. */
static void drop_number(char *file)
{
	char *dot = text_ends_with(file, ".vmdk") ? strrchr(file, '.') : NULL, *dash;

	if (!dot || dot - file < 8)
		return;
	dash = dot - 7;
	if (*dash == '-' && strspn(dash + 1, "0123456789") == 6)
		memmove(dash, dot, sizeof ".vmdk");
}

/* The path of the origin of a disk; malloc'ed or NULL.  A missing file counts as one of this
 * directory. */
static char *origin_of(const struct machine_reading *r, const struct machine_disk *disk)
{
	const struct machine *m = r->m;
	const struct machine_medium *medium = medium_of(m, disk->file), *parent;
	const char *file = disk->file;
	char *origin;

	/* The parent of a medium that is not registered is not known: its disk is the one that
	 * another state has in the same slot. */
	if (medium && !medium->registered) {
		size_t i = array_lower_bound(
			disk->slot, r->attached, r->nattached, sizeof r->attached[0], compare_slot);

		medium = medium_of(m, r->attached[i].file);
	}
	for (; medium && (parent = parent_of(m, medium)); medium = parent)
		;
	file = medium ? medium->file : file;
	origin = find_there(r, file);
	if (!origin)
		origin = folder_join(r->f->path, text_last_part(file, SEPARATORS));
	if (origin && !medium)
		drop_number(origin);
	return origin;
}

/* Two disks that are attached at once are two, also when their names are equal. */
static struct folder_disk *disk_for(struct machine_reading *r, char *origin, size_t state)
{
	struct folder_disk *d = r->disks;

	while (d && (d->files[state] || strcmp(d->origin, origin) != 0))
		d = d->next;
	if (d) {
		free(origin);
		return d;
	}
	d = calloc(1, sizeof *d);
	if (d)
		d->files = calloc(r->m->nstates, sizeof d->files[0]);
	if (!d || !d->files) {
		free(d);
		free(origin);
		return NULL;
	}
	d->origin = origin;
	*r->end = d;
	r->end = &d->next;
	return d;
}

static int collect_disks(struct machine_reading *r)
{
	for (size_t i = 0; i < r->m->nstates; i++)
		for (size_t k = 0; k < r->m->states[i].ndisks; k++) {
			const struct machine_disk *disk = &r->m->states[i].disks[k];
			char *origin = origin_of(r, disk);
			struct folder_disk *d = origin ? disk_for(r, origin, i) : NULL;

			if (!d)
				return err_nomem(r->e);
			d->files[i] = disk->file;
		}
	return 0;
}

/* Entries. */

/* The nearest snapshot above that has the disk; numbers are those of the snapshots. */
static size_t snapshot_above(const struct machine *m, size_t state, const size_t *numbers)
{
	do
		state = m->states[state].parent;
	while (state && !numbers[state]);
	return numbers[state];
}

static int add_snapshot(const struct machine_reading *r, struct folder_entry *entry,
	const struct machine_state *state, const char *file)
{
	struct folder_snapshot *snapshot = &entry->snapshots[entry->nsnapshots++];

	snapshot->name = strdup(state->name);
	snapshot->path = find_file(r, file);
	snapshot->when = state->when;
	if (!snapshot->name || !snapshot->path)
		return -ENOMEM;
	return find_refusal(r, file, &snapshot->refusal);
}

static int add_snapshots(
	const struct machine_reading *r, const struct folder_disk *d, struct folder_entry *entry)
{
	const struct machine *m = r->m;
	size_t *numbers = calloc(m->nstates, sizeof *numbers);
	int ret = 0;

	entry->snapshots = calloc(m->nstates, sizeof entry->snapshots[0]);
	if (!numbers || !entry->snapshots)
		ret = -ENOMEM;
	for (size_t i = 1; i < m->nstates && ret == 0; i++) {
		if (!d->files[i])
			continue;
		ret = add_snapshot(r, entry, &m->states[i], d->files[i]);
		entry->snapshots[entry->nsnapshots - 1].parent = snapshot_above(m, i, numbers);
		numbers[i] = entry->nsnapshots;
	}
	free(numbers);
	return ret < 0 ? err_nomem(r->e) : 0;
}

/* The file of the present state; of a disk that was detached since, that of the last snapshot. */
static const char *present_file(const struct machine *m, const struct folder_disk *d)
{
	size_t i = m->nstates;

	if (d->files[0])
		return d->files[0];
	while (--i > 0 && !d->files[i])
		;
	return d->files[i];
}

static int add_disk(const struct machine_reading *r, const struct folder_disk *d)
{
	const char *file = present_file(r->m, d);
	char *path = find_file(r, file);
	struct folder_entry *entry = NULL;

	if (path)
		entry = folder_add(
			r->f, FOLDER_IMAGE, text_last_part(d->origin, SEPARATORS), path, r->e);
	free(path);
	if (!entry)
		return err_nomem(r->e);
	entry->described = true;
	if (find_refusal(r, file, &entry->refusal) < 0)
		return err_nomem(r->e);
	return add_snapshots(r, d, entry);
}

/* Claims. */

/* An image with another id stays an entry of its own. */
static int claim_file(const struct machine_reading *r, const char *file)
{
	const struct machine_medium *medium = medium_of(r->m, file);
	char *path;
	int ret;

	if (medium && located(r, medium)->other)
		return 0;
	path = find_file(r, file);
	ret = path ? folder_claim(r->f, path, r->e) : err_nomem(r->e);
	if (ret == 0)
		ret = folder_scan_names(r->f, path, true, r->e);
	free(path);
	return ret;
}

/* Claims the files of a disk and, by the registry, of its parents. */
static int claim_disk(const struct machine_reading *r, const struct folder_disk *d)
{
	const struct machine_medium *medium;
	const char *last = NULL;
	int ret = 0;

	for (size_t i = 0; i < r->m->nstates && ret == 0; i++) {
		if (!d->files[i] || (last && strcmp(last, d->files[i]) == 0))
			continue;
		last = d->files[i];
		ret = claim_file(r, last);
		medium = medium_of(r->m, last);
		while (ret == 0 && medium && (medium = parent_of(r->m, medium)))
			ret = claim_file(r, medium->file);
	}
	return ret;
}

int folder_machine_add(
	struct folder *f, const struct machine *m, struct folder_known *known, struct err *e)
{
	struct machine_reading r = {.f = f, .m = m, .known = known, .e = e};
	int ret;

	r.end = &r.disks;
	r.located = calloc(m->nmedia + 1, sizeof r.located[0]);
	if (!r.located)
		return err_nomem(e);
	ret = known ? read_attached(&r) : 0;
	if (ret == 0)
		ret = collect_disks(&r);
	for (const struct folder_disk *d = r.disks; d && ret == 0; d = d->next) {
		ret = add_disk(&r, d);
		if (ret == 0)
			ret = claim_disk(&r, d);
	}
	for (struct folder_disk *d; (d = r.disks) != NULL;) {
		r.disks = d->next;
		free(d->origin);
		free(d->files);
		free(d);
	}
	for (size_t i = 0; i < m->nmedia; i++)
		free(r.located[i].path);
	free(r.located);
	free(r.attached);
	return ret;
}
