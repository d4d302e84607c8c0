/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* folder-machine.c - the disks of the machines that are described in a directory.
 *
 * A machine has a disk under many file names, one for each of its snapshots and one that is written
 * to.  They are known to be one disk by the file that it began as: VirtualBox's register tells, and
 * VMware numbers the files after it (disk-000001.vmdk).
 */
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bounds.h"
#include "bytes.h"
#include "err.h"
#include "folder-impl.h"
#include "home.h"
#include "io.h"
#include "machine.h"
#include "ovf.h"
#include "policy.h"
#include "suffix.h"
#include "vmx.h"

/* Where files are. */

static const char *last_part(const char *name)
{
	const char *last = name;

	for (const char *p = name; *p; p++)
		if ((*p == '/' || *p == '\\') && p[1])
			last = p + 1;
	return last;
}

/* Is a file there?  Where nothing may be opened nothing is looked for. */
static bool is_there(const struct folder *f, const char *path)
{
	struct stat st;

	return policy_may_look(f->path, f->opts, path) && stat(path, &st) == 0 &&
	       S_ISREG(st.st_mode);
}

char *folder_find(const struct folder *f, const char *dir, const char *name)
{
	char *path = name[0] == '/' ? strdup(name) : folder_join(dir, name);
	char real[PATH_MAX], *slash, *found = NULL;

	if (path && is_there(f, path) && (slash = strrchr(path, '/'))) {
		*slash = '\0';
		if (realpath(slash == path ? "/" : path, real))
			found = folder_join(real, slash + 1);
	}
	free(path);
	return found;
}

/* A machine that was moved has its files beside its description, and those of its snapshots where
 * they belong; malloc'ed or NULL. */
static char *find_there(const struct folder *f, const struct machine *m, const char *file)
{
	const char *base = last_part(file);
	char *found = folder_find(f, f->path, file), *folder;

	if (!found)
		found = folder_find(f, f->path, base);
	if (!found && m->snapshot_dir && (folder = folder_join(f->path, m->snapshot_dir))) {
		found = folder_find(f, folder, base);
		free(folder);
	}
	return found;
}

/* What is nowhere is called as the description has it. */
static char *find_file(const struct folder *f, const struct machine *m, const char *file)
{
	char *found = find_there(f, m, file);

	if (found)
		return found;
	return file[0] == '/' ? strdup(file) : folder_join(f->path, file);
}

/* One disk. */

static const struct machine_medium *medium_of(const struct machine *m, const char *file)
{
	for (size_t i = 0; i < m->nmedia; i++)
		if (strcmp(m->media[i].file, file) == 0)
			return &m->media[i];
	return NULL;
}

/* Media come after those that they are based on: the first one without parent ends every way. */
static const struct machine_medium *parent_of(
	const struct machine *m, const struct machine_medium *medium)
{
	const struct machine_medium *parent = machine_find_medium(m, medium->parent);

	return parent && parent < medium ? parent : NULL;
}

/* "disk-000001.vmdk" -> "disk.vmdk", in place. */
static void drop_number(char *file)
{
	char *dot = has_suffix(file, ".vmdk") ? strrchr(file, '.') : NULL, *dash;

	if (!dot || dot - file < 8)
		return;
	dash = dot - 7;
	if (*dash == '-' && strspn(dash + 1, "0123456789") == 6)
		memmove(dash, dot, sizeof ".vmdk");
}

/* The path of the file that a disk began as; malloc'ed or NULL.  What is nowhere counts as a disk
 * of this directory. */
static char *origin_of(const struct folder *f, const struct machine *m, const char *file)
{
	const struct machine_medium *medium = medium_of(m, file), *parent;
	char *origin;

	for (; medium && (parent = parent_of(m, medium)); medium = parent)
		;
	file = medium ? medium->file : file;
	origin = find_there(f, m, file);
	if (!origin)
		origin = folder_join(f->path, last_part(file));
	if (origin && !medium)
		drop_number(origin);
	return origin;
}

/* A disk of a machine in all its states. */
struct disk {
	struct disk *next;
	char *origin;
	const char **files; /* by state; NULL: it was not attached then */
};

struct reading {
	struct folder *f;
	const struct machine *m;
	struct disk *disks, **end;
	struct err *e;
};

/* Two that are attached at once are two, whatever they are called. */
static struct disk *disk_for(struct reading *r, char *origin, size_t state)
{
	struct disk *d = r->disks;

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

static int collect_disks(struct reading *r)
{
	for (size_t i = 0; i < r->m->nstates; i++)
		for (size_t k = 0; k < r->m->states[i].ndisks; k++) {
			const char *file = r->m->states[i].disks[k].file;
			char *origin = origin_of(r->f, r->m, file);
			struct disk *d = origin ? disk_for(r, origin, i) : NULL;

			if (!d)
				return err_nomem(r->e);
			d->files[i] = file;
		}
	return 0;
}

static void free_disks(struct reading *r)
{
	for (struct disk *d; (d = r->disks) != NULL;) {
		r->disks = d->next;
		free(d->origin);
		free(d->files);
		free(d);
	}
}

/* Entries. */

/* The nearest snapshot above that has the disk; numbers are those that shots get. */
static size_t shot_above(const struct machine *m, size_t state, const size_t *numbers)
{
	do
		state = m->states[state].parent;
	while (state && !numbers[state]);
	return numbers[state];
}

static int add_shots(const struct reading *r, const struct disk *d, struct folder_entry *entry)
{
	const struct machine *m = r->m;
	size_t *numbers = calloc(m->nstates, sizeof *numbers);

	entry->shots = calloc(m->nstates, sizeof entry->shots[0]);
	if (!numbers || !entry->shots) {
		free(numbers);
		return err_nomem(r->e);
	}
	for (size_t i = 1; i < m->nstates; i++) {
		struct folder_shot *shot = &entry->shots[entry->nshots];

		if (!d->files[i])
			continue;
		shot->name = strdup(m->states[i].name);
		shot->path = find_file(r->f, m, d->files[i]);
		shot->when = m->states[i].when;
		shot->parent = shot_above(m, i, numbers);
		numbers[i] = ++entry->nshots;
	}
	free(numbers);
	for (size_t i = 0; i < entry->nshots; i++)
		if (!entry->shots[i].name || !entry->shots[i].path)
			return err_nomem(r->e);
	return 0;
}

/* What is shown as the present state: of a disk that was taken out since, the last snapshot's. */
static const char *present_file(const struct machine *m, const struct disk *d)
{
	size_t i = m->nstates;

	if (d->files[0])
		return d->files[0];
	while (--i > 0 && !d->files[i])
		;
	return d->files[i];
}

static int add_disk(const struct reading *r, const struct disk *d)
{
	const char *file = present_file(r->m, d);
	const struct machine_medium *medium = medium_of(r->m, file);
	char *path = find_file(r->f, r->m, file);
	struct folder_entry *entry =
		path ? folder_add(r->f, FOLDER_IMAGE, last_part(d->origin), path, r->e) : NULL;

	free(path);
	if (!entry)
		return err_nomem(r->e);
	entry->described = true;
	if (medium && medium->refusal && !(entry->refusal = strdup(medium->refusal)))
		return err_nomem(r->e);
	return add_shots(r, d, entry);
}

/* Claims. */

static int claim_file(const struct reading *r, const char *file)
{
	char *path = find_file(r->f, r->m, file);
	int ret = path ? folder_claim(r->f, path, r->e) : err_nomem(r->e);

	if (ret == 0)
		ret = folder_claim_names(r->f, path, true, r->e);
	free(path);
	return ret;
}

/* With what the register says that it is based on. */
static int claim_disk(const struct reading *r, const struct disk *d)
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

static int add_machine(struct folder *f, const struct machine *m, struct err *e)
{
	struct reading r = {.f = f, .m = m, .e = e};
	int ret;

	r.end = &r.disks;
	ret = collect_disks(&r);
	for (const struct disk *d = r.disks; d && ret == 0; d = d->next) {
		ret = add_disk(&r, d);
		if (ret == 0)
			ret = claim_disk(&r, d);
	}
	free_disks(&r);
	return ret;
}

/* VirtualBox. */

struct visit {
	struct folder *f;
	struct err *e;
};

static int visit_machine(void *arg, const char *dir, const struct machine *m)
{
	const struct visit *v = arg;

	(void)dir;
	return add_machine(v->f, m, v->e);
}

static int add_virtualbox(struct folder *f, struct err *e)
{
	struct visit v = {.f = f, .e = e};
	struct homes homes = {0};
	int r = homes_visit(&homes, f->path, NULL, visit_machine, &v);

	homes_free(&homes);
	return r;
}

/* VMware and packages: what cannot be read is passed over. */

static char *with_suffix(const char *name, const char *suffix)
{
	char *text;

	return asprintf(&text, "%.*s%s", (int)(strrchr(name, '.') - name), name, suffix) < 0 ? NULL
											     : text;
}

static struct io *open_beside(const struct folder *f, const char *name)
{
	struct err ignored = ERR_INIT;
	struct io *io = NULL;

	return policy_open_in(f->path, NULL, name, "description", &io, &ignored) == 0 ? io : NULL;
}

/* Snapshots that cannot be read do not hide the machine. */
static struct machine *read_vmware(struct io *vmx, struct io *vmsd, const char *name)
{
	struct err ignored = ERR_INIT;
	struct machine *m = NULL;

	if (vmx_read(vmx, vmsd, name, &m, &ignored) < 0 && vmsd)
		vmx_read(vmx, NULL, name, &m, &ignored);
	return m;
}

static int add_vmware(struct folder *f, const char *name, struct err *e)
{
	char *vmsd_name = with_suffix(name, ".vmsd");
	struct io *vmx = open_beside(f, name);
	struct io *vmsd = vmx && vmsd_name ? open_beside(f, vmsd_name) : NULL;
	struct machine *m = vmx ? read_vmware(vmx, vmsd, name) : NULL;
	int r = m ? add_machine(f, m, e) : 0;

	machine_free(m);
	io_unref(vmx);
	io_unref(vmsd);
	free(vmsd_name);
	return r;
}

static int claim_chunks(struct folder *f, const char *path, struct err *e)
{
	char *chunk;
	int r = 0;

	for (size_t i = 0; r == 0 && i < OVF_MAX_CHUNKS; i++) {
		bool there;

		if (asprintf(&chunk, "%s.%09zu", path, i) < 0)
			return err_nomem(e);
		there = is_there(f, chunk);
		if (there)
			r = folder_claim(f, chunk, e);
		free(chunk);
		if (!there)
			break;
	}
	return r;
}

static int claim_stored(struct folder *f, const struct ovf_file *file, struct err *e)
{
	char *path = folder_join(f->path, file->path);
	int r = path ? folder_claim(f, path, e) : 0;

	if (path && file->chunk && r == 0)
		r = claim_chunks(f, path, e);
	free(path);
	return r;
}

static int read_descriptor(struct io *io, struct ovf *o)
{
	struct err ignored = ERR_INIT;
	char *text;
	int r = io_read_text(io, XML_MAX_BYTES, &text, &ignored);

	if (r < 0)
		return r;
	r = ovf_parse(text, io->size, o, &ignored);
	free(text);
	return r;
}

static int claim_package(struct folder *f, const char *name, struct err *e)
{
	struct io *io = open_beside(f, name);
	struct ovf o;
	int r = 0;

	if (!io)
		return 0;
	if (read_descriptor(io, &o) == 0) {
		for (size_t i = 0; i < o.nfiles && r == 0; i++)
			if (o.files[i].path)
				r = claim_stored(f, &o.files[i], e);
		ovf_free(&o);
	}
	io_unref(io);
	return r;
}

static int is_described(const struct dirent *d)
{
	return d->d_name[0] != '.' &&
	       (has_suffix(d->d_name, ".vmx") || has_suffix(d->d_name, ".ovf"));
}

static int by_name(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name);
}

int folder_add_machines(struct folder *f, struct err *e)
{
	struct dirent **list;
	int r = add_virtualbox(f, e);
	int n = r == 0 ? scandir(f->path, &list, is_described, by_name) : 0;

	for (int i = 0; i < n; i++) {
		if (r == 0 && has_suffix(list[i]->d_name, ".vmx"))
			r = add_vmware(f, list[i]->d_name, e);
		else if (r == 0)
			r = claim_package(f, list[i]->d_name, e);
		free(list[i]);
	}
	if (n > 0)
		free(list);
	return r;
}
