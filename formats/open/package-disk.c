/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* package-disk.c - the disks of a package: joined from chunks, decompressed, checked. */
#include "package-disk.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "util/limits.h"
#include "util/array.h"
#include "chain.h"
#include "io/concat.h"
#include "util/err.h"
#include "io/gunzip.h"
#include "io/io.h"
#include "opening.h"
#include "package-impl.h"
#include "probe.h"
#include "view/view.h"

/* The files that one disk is stored in. */
struct stored {
	size_t n;
	struct io **files;
};

static void stored_free(struct stored *s)
{
	for (size_t i = 0; i < s->n; i++)
		io_unref(s->files[i]);
	free(s->files);
	*s = (struct stored){0};
}

static int stored_add(struct stored *s, const struct package *p, const char *name, struct err *e)
{
	struct io **files = array_grow(s->files, s->n, sizeof files[0]);
	int r;

	if (!files)
		return err_nomem(e);
	s->files = files;
	r = package_open_file(p, name, "disk", &files[s->n], e);
	if (r == 0)
		s->n++;
	return r;
}

/* Adds the file of this name with a number. */
static int stored_add_chunk(
	struct stored *s, const struct package *p, const char *name, size_t number, struct err *e)
{
	char *chunk;
	int r;

	if (asprintf(&chunk, "%s.%09zu", name, number) < 0)
		return err_nomem(e);
	r = stored_add(s, p, chunk, e);
	free(chunk);
	return r;
}

/* All chunks but the last are of one size.  A missing chunk at the end is noticed only by the size
 * in the descriptor, which is often wrong: it counts when the last chunk is no shorter than the
 * others.
 */
static int check_chunks(const struct stored *s, uint64_t chunk, uint64_t total, struct err *e)
{
	uint64_t last = s->files[s->n - 1]->size, sum;

	for (size_t i = 0; i < s->n; i++) {
		uint64_t size = s->files[i]->size;

		if (size > chunk || (size < chunk && i + 1 < s->n))
			return err_set(e, EUCLEAN,
				"%s: a chunk of %" PRIu64 " bytes, %" PRIu64 " were expected",
				s->files[i]->name, size, chunk);
	}
	if (__builtin_mul_overflow(chunk, s->n, &sum))
		sum = UINT64_MAX;
	if (last == chunk && total > sum)
		return err_set(e, EUCLEAN, "%s: the next chunk, .%09zu, is missing",
			s->files[s->n - 1]->name, s->n);
	return 0;
}

/* Opens all files of this name with a number, from 0 on.  -ENOENT: there is none. */
static int open_all_numbers(
	struct stored *s, const struct package *p, const char *name, struct err *e)
{
	struct err last = ERR_INIT;
	size_t n;
	int r = 0;

	while (r == 0 && s->n < OVF_MAX_CHUNKS)
		r = stored_add_chunk(s, p, name, s->n, &last);
	if (r != -ENOENT || s->n == 0) {
		*e = last;
		return r;
	}
	n = s->n;
	if (stored_add_chunk(s, p, name, n + 1, &last) == 0)
		return err_set(e, EUCLEAN, "%s: the chunk before, .%09zu, is missing",
			s->files[n]->name, n);
	return 0;
}

/* Some writers record a size of chunks for a file without chunks. */
static int open_stored_as(struct stored *s, const struct package *p, const struct ovf_file *file,
	const char *name, struct err *e)
{
	int r = file->chunk > 0 ? open_all_numbers(s, p, name, e) : -ENOENT;

	if (r == -ENOENT)
		return stored_add(s, p, name, e);
	return r < 0 ? r : check_chunks(s, file->chunk, file->size, e);
}

/* The descriptor does not mention the numbers of these files.  They are chunks, or, as VMware
 * exports a machine with snapshots, images: the last one is the disk as it is now.  All chunks but
 * the first begin anywhere in the data. */
static int choose_numbered(
	struct stored *s, const struct package *p, const struct ovf_file *file, struct err *e)
{
	bool images = s->n > 1;

	for (size_t i = 0; i < s->n; i++)
		images = images && probe_is_image(s->files[i], "", TAR_PEEK);
	if (images) {
		package_warn(p, "\"%s\" is %zu images with a number; the last one is taken, %s",
			file->href, s->n, s->files[s->n - 1]->name);
		for (size_t i = 0; i + 1 < s->n; i++)
			io_unref(s->files[i]);
		s->files[0] = s->files[s->n - 1];
		s->n = 1;
		return 0;
	}
	return check_chunks(s, s->files[0]->size, file->size, e);
}

/* Names are decoded as URIs, which not all writers have encoded.  The error is that of the name in
 * the descriptor. */
static int open_stored(
	struct stored *s, const struct package *p, const struct ovf_file *file, struct err *e)
{
	struct err ignored = ERR_INIT, of_numbers = ERR_INIT;
	int r;

	if (!file->path) {
		err_set(e, EACCES, "%s: the disk \"%s\" is not in the package", p->io->name,
			file->href);
		return err_hint(e, "files outside the package are never opened");
	}
	r = open_stored_as(s, p, file, file->path, e);
	if (r == -ENOENT && strcmp(file->path, file->href) != 0 &&
		open_stored_as(s, p, file, file->href, &ignored) == 0)
		r = 0;
	if (r != -ENOENT)
		return r;
	r = open_all_numbers(s, p, file->path, &of_numbers);
	if (r == -ENOENT)
		return r;
	*e = of_numbers;
	return r < 0 ? r : choose_numbered(s, p, file, e);
}

/* Joins the chunks to one file with the name of the disk. */
static struct io *join_chunks(const struct stored *s, struct err *e)
{
	static const char first[] = ".000000000";
	const char *path = s->files[0]->name; /* where a link leads: perhaps without a number */
	size_t n = strlen(path), nfirst = strlen(first);
	bool numbered = n > nfirst && strcmp(path + n - nfirst, first) == 0;
	char *name = strndup(path, numbered ? n - nfirst : n);
	struct io *io = name ? concat_new(s->files, s->n, name, e) : NULL;

	if (!name)
		err_nomem(e);
	free(name);
	return io;
}

/* The magic of a file is a better proof of compression than the descriptor, but a disk that the
 * descriptor calls raw is not decompressed. */
static int unpack(struct io **io, const struct package *p, const struct ovf_disk *d, struct err *e)
{
	const char *packing = d->file->compression;

	if (packing && strcasecmp(packing, "gzip") != 0)
		return err_set(e, ENOTSUP, "%s: compression \"%s\" is not supported", (*io)->name,
			packing);
	if (!gunzip_probe(*io))
		return packing ? err_set(e, EUCLEAN,
					 "%s: the descriptor calls it compressed, but it is not",
					 (*io)->name)
			       : 0;
	if (!packing && d->is_raw)
		return 0;
	package_warn_of_unpacking(p, *io, d->file->href);
	*io = gunzip_open(*io, p->opts->cache, e);
	return *io ? 0 : -e->code;
}

/* Takes what *s has open, also on failure. */
static int open_image(const struct package *p, const struct ovf_disk *d, const struct stored *s,
	struct image **img, struct err *e)
{
	struct opening how = {
		.format = p->opts->format,
		.gate = &p->gate,
		.is_disk = d->is_raw,
		.guessed = d->is_raw,
		.files = s->files,
		.nfiles = s->n,
	};
	struct io *io = s->n > 1 ? join_chunks(s, e) : io_ref(s->files[0]);
	int r;

	if (!io)
		return -e->code;
	r = unpack(&io, p, d, e);
	if (r < 0) {
		io_unref(io);
		return r;
	}
	return chain_open(&how, io, p->opts, img, e);
}

int package_disk_open(struct package *p, size_t disk, struct image **out, struct err *e)
{
	const struct ovf_disk *d = &p->ovf.disks[disk];
	struct stored s = {0};
	struct image *img;
	uint64_t size;
	int r;

	if (d->refusal)
		return err_set(
			e, ENOTSUP, "%s: \"%s\": %s", p->io->name, d->file->href, d->refusal);
	r = open_stored(&s, p, d->file, e);
	if (r == 0)
		r = open_image(p, d, &s, &img, e);
	stored_free(&s);
	if (r < 0)
		return r;
	/* Ranges that a delta has not stored would read as zeroes if it did not name its parent. */
	if (d->parent && *d->parent && !img->parent_name) {
		err_set(e, ENOTSUP,
			"%s: the descriptor records that it is based on another disk, \"%s\", "
			"but it does not name it",
			img->io->name, d->parent);
		image_close(img);
		return -e->code;
	}
	/* The size in the image counts: a disk is not cut or extended to that in the descriptor. */
	size = img->states[0]->view->size;
	if (d->capacity > 0 && d->capacity != size)
		image_warn(img,
			"the descriptor records that the disk has %" PRIu64
			" bytes; it has %" PRIu64,
			d->capacity, size);
	*out = img;
	return 0;
}

static void list_disks(const struct package *p, char *list, size_t size)
{
	size_t used = 0;

	list[0] = '\0';
	for (size_t i = 0; i < p->ovf.ndisks && used < size; i++)
		used += snprintf(
			list + used, size - used, "%s%s", i ? ", " : "", package_disk_name(p, i));
}

static int refuse_count(const struct package *p, struct err *e)
{
	char list[ERR_TEXT / 2];

	if (p->ovf.ndisks == 0)
		return err_set(e, EINVAL, "%s: it has no disk", p->io->name);
	list_disks(p, list, sizeof list);
	err_set(e, ENOTSUP, "%s: it has %zu disks, of which only one can be opened at a time: %s",
		p->io->name, p->ovf.ndisks, list);
	err_hint_code(e, HINT_DISK, NULL);
	return err_hint(
		e, "vdiskfs mounts the directory that it lies in, and shows each disk there");
}

static int open_named(struct package *p, const char *name, struct image **img, struct err *e)
{
	char list[ERR_TEXT / 2];

	for (size_t i = 0; i < p->ovf.ndisks; i++)
		if (strcmp(package_disk_name(p, i), name) == 0)
			return package_disk_open(p, i, img, e);
	list_disks(p, list, sizeof list);
	return err_set(e, ENOENT, "%s: it has no disk \"%s\"; there are %s", p->io->name, name,
		list[0] ? list : "none");
}

int package_disk_open_chosen(
	struct io *io, const struct image_options *o, struct image **img, struct err *e)
{
	struct package *p;
	int r = package_open_io(io, o, &p, e);

	if (r < 0)
		return r;
	if (o->disk)
		r = open_named(p, o->disk, img, e);
	else
		r = p->ovf.ndisks == 1 ? package_disk_open(p, 0, img, e) : refuse_count(p, e);
	package_close(p);
	return r;
}
