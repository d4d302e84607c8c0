/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* folder-read.c - a directory is read in two passes: descriptions of machines claim their files,
 * then all other files are read. */
#include "folder-read.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "folder-impl.h"
#include "folder-known.h"
#include "folder-machine.h"
#include "folder-scan.h"
#include "image/image.h"
#include "io/host.h"
#include "io/io.h"
#include "machine/machine.h"
#include "machine/ovf.h"
#include "machine/vmx.h"
#include "util/err.h"
#include "util/limits.h"
#include "util/text.h"
#include "vbox-registry.h"

/* VirtualBox. */

struct visit {
	struct folder *f;
	struct folder_known known;
	struct err *e;
};

static int visit_machine(void *arg, const char *dir, const struct machine *m)
{
	struct visit *v = arg;

	(void)dir;
	return folder_machine_add(v->f, m, &v->known, v->e);
}

static int add_virtualbox(struct folder *f, struct err *e)
{
	struct vbox_registry machines = {0};
	struct visit v = {.f = f, .known = {.f = f, .machines = &machines}, .e = e};
	int r = vbox_registry_visit(&machines, f->path, NULL, visit_machine, &v);

	folder_known_free(&v.known);
	vbox_registry_free(&machines);
	return r;
}

/* VMware and packages: a file that cannot be read is ignored. */

static struct io *open_beside(const struct folder *f, const char *name)
{
	const struct gate gate = gate_on(f->path, NULL, NULL);
	struct err ignored = ERR_INIT;
	struct io *io = NULL;

	return gate_open(&gate, name, "description", &io, &ignored) == 0 ? io : NULL;
}

static int add_vmware(struct folder *f, const char *name, struct err *e)
{
	struct io *vmx = open_beside(f, name), *vmsd = NULL;
	struct err ignored = ERR_INIT;
	struct machine *m = NULL;
	char *snapshots;
	int r;

	if (!vmx)
		return 0;
	if (asprintf(&snapshots, "%.*s.vmsd", (int)(strrchr(name, '.') - name), name) >= 0) {
		vmsd = open_beside(f, snapshots);
		free(snapshots);
	}
	/* Snapshots that cannot be read do not hide the machine. */
	if (vmx_read(vmx, vmsd, name, &m, &ignored) < 0 && vmsd)
		vmx_read(vmx, NULL, name, &m, &ignored);
	r = m ? folder_machine_add(f, m, NULL, e) : 0;
	machine_free(m);
	io_unref(vmx);
	io_unref(vmsd);
	return r;
}

static int claim_chunks(struct folder *f, const char *path, struct err *e)
{
	bool is_there = true;
	char *chunk;
	int r = 0;

	for (size_t i = 0; is_there && r == 0 && i < OVF_MAX_CHUNKS; i++) {
		if (asprintf(&chunk, "%s.%09zu", path, i) < 0)
			return err_nomem(e);
		is_there = folder_is_there(f, chunk);
		if (is_there)
			r = folder_claim(f, chunk, e);
		free(chunk);
	}
	return r;
}

static int claim_stored(struct folder *f, const struct ovf_file *file, struct err *e)
{
	char *path = folder_join(f->path, file->path);
	int r = path ? folder_claim(f, path, e) : 0;

	if (path && (file->chunk || !folder_is_there(f, path)) && r == 0)
		r = claim_chunks(f, path, e);
	free(path);
	return r;
}

static int claim_package(struct folder *f, const char *name, struct err *e)
{
	struct io *io = open_beside(f, name);
	struct err ignored = ERR_INIT;
	struct ovf o;
	int r = 0;

	if (!io)
		return 0;
	if (ovf_read(io, &o, &ignored) == 0) {
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
	       (text_ends_with(d->d_name, ".vmx") || text_ends_with(d->d_name, ".ovf"));
}

/* Adds the disks of the machines, and claims their files and those of packages. */
static int add_described(struct folder *f, struct err *e)
{
	struct dirent **list = NULL;
	int r = add_virtualbox(f, e);
	int n = r == 0 ? host_scandir(f->path, &list, is_described) : 0;

	for (int i = 0; i < n; i++) {
		if (r == 0 && text_ends_with(list[i]->d_name, ".vmx"))
			r = add_vmware(f, list[i]->d_name, e);
		else if (r == 0)
			r = claim_package(f, list[i]->d_name, e);
		free(list[i]);
	}
	free(list);
	return r;
}

/* The directory. */

/* Adds the claims that a description in the directory above has on files of this one. */
static int inherit_claims(struct folder *f, const struct folder *above, struct err *e)
{
	size_t n = strlen(f->path);
	int r = 0;

	for (size_t i = 0; i < above->claims.n && r == 0; i++) {
		const char *claim = above->claims.v[i];

		if (strncmp(claim, f->path, n) == 0 && claim[n] == '/')
			r = folder_claim(f, claim, e);
	}
	return r;
}

/* Drops the entries, from this one on, that a machine has claimed. */
static void drop_claimed(struct folder *f, size_t from)
{
	size_t n = from;

	for (size_t i = from; i < f->n; i++)
		if (folder_has_claim(f, f->entries[i].path))
			folder_free_entry(&f->entries[i]);
		else
			f->entries[n++] = f->entries[i];
	f->n = n;
}

static int compare_entries(const void *a, const void *b)
{
	const struct folder_entry *x = a, *y = b;
	int order = strcmp(x->name, y->name);

	return order ? order : strcmp(x->path, y->path);
}

static int read_folder(struct folder *f, const struct folder *above, struct err *e)
{
	size_t of_machines;
	int r = above ? inherit_claims(f, above, e) : 0;

	if (r == 0)
		r = add_described(f, e);
	folder_sort_claims(f);
	of_machines = f->n;
	if (r == 0)
		r = folder_scan(f, e);
	folder_sort_claims(f);
	drop_claimed(f, of_machines);
	if (f->n)
		qsort(f->entries, f->n, sizeof f->entries[0], compare_entries);
	return r;
}

int folder_read(const char *path, const struct image_options *o, const struct folder *above,
	struct folder **out, struct err *e)
{
	struct folder *f = calloc(1, sizeof *f);
	int r;

	if (f) {
		atomic_init(&f->refs, 1);
		f->path = strdup(path);
	}
	if (!f || !f->path) {
		free(f);
		return err_nomem(e);
	}
	f->opts = o;
	f->gate = gate_on(f->path, o->allow, o->search);
	r = read_folder(f, above, e);
	if (r < 0)
		folder_unref(f);
	else
		*out = f;
	return r;
}
