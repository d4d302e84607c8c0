/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* facts.c - the facts of a driver as JSON objects, by json-c. */
#include "facts.h"

#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>

#include "format.h"
#include "image.h"
#include "io/io.h"
#include "util/utf8.h"
#include "view/writer.h"

/* Facts go into the object of the format, or one inside of it, and into that of the image. */
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

void facts_add_text(struct json_object *o, const char *key, const char *value)
{
	json_object_object_add(o, key, new_text(value));
}

void facts_add_number(struct json_object *o, const char *key, uint64_t value)
{
	json_object_object_add(o, key, json_object_new_uint64(value));
}

static void add_flag(struct json_object *o, const char *key, bool value)
{
	json_object_object_add(o, key, json_object_new_boolean(value));
}

void facts_text(struct facts *f, const char *key, const char *value)
{
	facts_add_text(f->data, key, value);
}

void facts_flag(struct facts *f, const char *key, bool value)
{
	add_flag(f->data, key, value);
}

void facts_number(struct facts *f, const char *key, uint64_t value)
{
	facts_add_number(f->data, key, value);
}

void facts_cluster_size(struct facts *f, uint64_t bytes)
{
	facts_add_number(f->image, "cluster-size", bytes);
}

void facts_dirty(struct facts *f, bool dirty)
{
	add_flag(f->image, "dirty-flag", dirty);
}

void facts_encrypted(struct facts *f)
{
	add_flag(f->image, "encrypted", true);
}

void facts_file(struct facts *f, const char *key, const struct io *io)
{
	char *name = image_file_name(f->img, f->filename, io);

	facts_add_text(f->data, key, name ? name : io->name);
	free(name);
}

static struct facts *new_object(struct facts *f)
{
	struct facts *inner = malloc(sizeof *inner);

	if (!inner)
		abort(); /* as json-c does */
	*inner = *f;
	inner->data = json_object_new_object();
	f->more = inner;
	return inner;
}

void facts_words(struct facts *f, const char *key, const char *const *words, unsigned n)
{
	struct json_object *list = json_object_new_array();

	for (unsigned i = 0; i < n; i++)
		json_object_array_add(list, json_object_new_string(words[i]));
	json_object_object_add(f->data, key, list);
}

struct facts *facts_list(struct facts *f, const char *key)
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

struct facts *facts_object(struct facts *f, const char *key)
{
	struct facts *inner = new_object(f);

	json_object_object_add(f->data, key, inner->data);
	return inner;
}

void facts_add(struct json_object *o, const struct image *img, const char *filename)
{
	struct facts f = {
		.data = json_object_new_object(), .image = o, .img = img, .filename = filename};
	struct json_object *specific = json_object_new_object();
	struct writer *w = img->writer;

	add_flag(o, "dirty-flag", false);
	if (w) /* a driver changes its metadata under this lock */
		pthread_mutex_lock(&w->meta);
	if (img->format->facts)
		img->format->facts(img, &f);
	if (w)
		pthread_mutex_unlock(&w->meta);
	while (f.more) {
		struct facts *inner = f.more;

		f.more = inner->more;
		free(inner);
	}
	facts_add_text(specific, "type", img->format->name);
	json_object_object_add(specific, "data", f.data);
	if (json_object_object_length(f.data) > 0)
		json_object_object_add(o, "format-specific", specific);
	else
		json_object_put(specific);
}
