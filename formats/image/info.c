/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* info.c - facts of an image collected into a JSON object, by json-c. */
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "util/err.h"
#include "facts.h"
#include "format.h"
#include "image.h"
#include "info.h"
#include "io/io.h"
#include "util/utf8.h"
#include "view/view.h"
#include "view/writer.h"

/* Where facts go: the object of the format (or one inside of it) and the image's. */
struct facts {
	struct json_object *data, *image;
	const struct image *img;
	const char *filename; /* what img is called */
	struct facts *more;   /* those of objects inside, to be freed with their parent */
};

/* JSON is UTF-8; names in images need not be.  A byte that is not becomes U+FFFD. */
static struct json_object *new_text(const char *s)
{
	size_t n = strlen(s), len;
	char *clean = malloc(3 * n + 1), *p = clean;
	struct json_object *o;

	if (!clean)
		return NULL;
	for (; n > 0; s += len, n -= len) {
		len = utf8_length(s, n);
		if (len > 0) {
			p = mempcpy(p, s, len);
		} else {
			p = mempcpy(p, "\xef\xbf\xbd", 3);
			len = 1;
		}
	}
	o = json_object_new_string_len(clean, p - clean);
	free(clean);
	return o;
}

static void add_text(struct json_object *o, const char *key, const char *value)
{
	json_object_object_add(o, key, new_text(value));
}

static void add_number(struct json_object *o, const char *key, uint64_t value)
{
	json_object_object_add(o, key, json_object_new_uint64(value));
}

static void add_flag(struct json_object *o, const char *key, bool value)
{
	json_object_object_add(o, key, json_object_new_boolean(value));
}

void fact_text(struct facts *f, const char *key, const char *value)
{
	add_text(f->data, key, value);
}

void fact_flag(struct facts *f, const char *key, bool value)
{
	add_flag(f->data, key, value);
}

void fact_number(struct facts *f, const char *key, uint64_t value)
{
	add_number(f->data, key, value);
}

void fact_cluster_size(struct facts *f, uint64_t bytes)
{
	add_number(f->image, "cluster-size", bytes);
}

void fact_dirty(struct facts *f, bool dirty)
{
	add_flag(f->image, "dirty-flag", dirty);
}

void fact_encrypted(struct facts *f)
{
	add_flag(f->image, "encrypted", true);
}

void fact_file(struct facts *f, const char *key, const struct io *io)
{
	char *name = image_file_name(f->img, f->filename, io);

	add_text(f->data, key, name ? name : io->name);
	free(name);
}

static struct facts *new_object(struct facts *f)
{
	struct facts *inner = calloc(1, sizeof *inner);

	if (!inner)
		abort(); /* as json-c does */
	inner->data = json_object_new_object();
	inner->image = f->image;
	inner->img = f->img;
	inner->filename = f->filename;
	inner->more = f->more;
	f->more = inner;
	return inner;
}

void fact_words(struct facts *f, const char *key, const char *const *words, unsigned n)
{
	struct json_object *list = json_object_new_array();

	for (unsigned i = 0; i < n; i++)
		json_object_array_add(list, json_object_new_string(words[i]));
	json_object_object_add(f->data, key, list);
}

struct facts *fact_list(struct facts *f, const char *key)
{
	struct json_object *list = json_object_object_get(f->data, key);
	struct facts *entry = new_object(f);

	if (!list) {
		list = json_object_new_array();
		json_object_object_add(f->data, key, list);
	}
	json_object_array_add(list, entry->data);
	return entry;
}

struct facts *fact_object(struct facts *f, const char *key)
{
	struct facts *inner = new_object(f);

	json_object_object_add(f->data, key, inner->data);
	return inner;
}

static void free_entries(struct facts *f)
{
	while (f->more) {
		struct facts *entry = f->more;

		f->more = entry->more;
		free(entry);
	}
}

static struct json_object *snapshot_object(const struct state *s)
{
	struct json_object *o = json_object_new_object();

	if (s->icount >= 0)
		add_number(o, "icount", (uint64_t)s->icount);
	add_number(o, "vm-clock-nsec", s->vm_clock % 1000000000);
	add_text(o, "name", s->name);
	add_number(o, "date-sec", s->when.tv_sec);
	add_number(o, "date-nsec", s->when.tv_nsec);
	add_number(o, "vm-clock-sec", s->vm_clock / 1000000000);
	add_text(o, "id", s->id);
	add_number(o, "vm-state-size", s->vmstate ? s->vmstate->size : 0);
	return o;
}

struct json_object *info_snapshots(const struct image *img)
{
	struct json_object *list = json_object_new_array();

	for (size_t i = 1; i < img->nstates; i++)
		json_object_array_add(list, snapshot_object(img->states[i]));
	return list;
}

static void add_backing(struct json_object *o, const struct image *img, const char *backing)
{
	if (img->parent_name)
		add_text(o, "backing-filename", img->parent_name);
	if (backing)
		add_text(o, "full-backing-filename", backing);
	if (img->parent_format)
		add_text(o, "backing-filename-format", img->parent_format);
}

/* A driver changes what it tells of under the lock of its writing. */
static void ask_driver(const struct image *img, struct facts *f)
{
	struct writer *w = img->writer;

	if (!img->format->facts)
		return;
	if (w)
		pthread_mutex_lock(&w->meta);
	img->format->facts(img, f);
	if (w)
		pthread_mutex_unlock(&w->meta);
}

static void add_facts(struct json_object *o, const struct image *img, const char *filename)
{
	struct facts f = {
		.data = json_object_new_object(), .image = o, .img = img, .filename = filename};
	struct json_object *specific = json_object_new_object();

	add_flag(o, "dirty-flag", false);
	ask_driver(img, &f);
	free_entries(&f);
	add_text(specific, "type", img->format->name);
	json_object_object_add(specific, "data", f.data);
	if (json_object_object_length(f.data) > 0)
		json_object_object_add(o, "format-specific", specific);
	else
		json_object_put(specific);
}

struct json_object *info_object(const struct image *img, const struct state *state,
	const char *filename, const char *backing)
{
	struct json_object *o = json_object_new_object();

	add_text(o, "filename", filename);
	if (img->gate.package_path)
		add_text(o, "package", img->gate.package_path);
	add_text(o, "format", img->format->name);
	add_number(o, "virtual-size", state->view->size);
	add_number(o, "actual-size", img->stored);
	add_facts(o, img, filename);
	add_backing(o, img, backing);
	states_lock(img);
	if (state->no > 0)
		json_object_object_add(o, "snapshot", snapshot_object(state));
	else if (img->nstates > 1)
		json_object_object_add(o, "snapshots", info_snapshots(img));
	states_unlock(img);
	return o;
}

char *info_text(struct json_object *o, struct err *e)
{
	const char *text = json_object_to_json_string_ext(o,
		JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_SPACED | JSON_C_TO_STRING_NOSLASHESCAPE);
	char *copy = NULL;

	if (!text || asprintf(&copy, "%s\n", text) < 0) {
		err_nomem(e);
		copy = NULL;
	}
	return copy;
}

char *info_json(const struct image *img, const struct state *state, struct err *e)
{
	struct json_object *o = info_object(img, state, img->path ? img->path : img->io->name,
		img->parent ? img->parent->io->name : NULL);
	char *text = info_text(o, e);

	json_object_put(o);
	return text;
}
