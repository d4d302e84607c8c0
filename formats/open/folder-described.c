/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* folder-described.c - the files in a directory that describe machines and packages, and the files
 * that they claim. */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "util/limits.h"
#include "util/err.h"
#include "folder-described.h"
#include "folder-impl.h"
#include "folder-known.h"
#include "folder-machine.h"
#include "vbox-registry.h"
#include "io/host.h"
#include "io/io.h"
#include "machine/machine.h"
#include "machine/ovf.h"
#include "util/text.h"
#include "machine/vmx.h"

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

/* VMware and packages: a file that cannot be read is passed over. */

static char *with_suffix(const char *name, const char *suffix)
{
	char *text;

	return asprintf(&text, "%.*s%s", (int)(strrchr(name, '.') - name), name, suffix) < 0 ? NULL
											     : text;
}

static struct io *open_beside(const struct folder *f, const char *name)
{
	const struct gate gate = gate_on(f->path, NULL, NULL);
	struct err ignored = ERR_INIT;
	struct io *io = NULL;

	return gate_open(&gate, name, "description", &io, &ignored) == 0 ? io : NULL;
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
	int r = m ? folder_machine_add(f, m, NULL, e) : 0;

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
		there = folder_is_there(f, chunk);
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

int folder_described_add(struct folder *f, struct err *e)
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
