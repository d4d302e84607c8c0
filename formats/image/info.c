/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* info.c - an image as a JSON object, by json-c. */
#include <json-c/json.h>
#include <stdio.h>

#include "util/err.h"
#include "facts.h"
#include "format.h"
#include "image.h"
#include "info.h"
#include "io/io.h"
#include "view/view.h"

static struct json_object *snapshot_object(const struct state *s)
{
	struct json_object *o = json_object_new_object();

	if (s->icount >= 0)
		facts_add_number(o, "icount", (uint64_t)s->icount);
	facts_add_number(o, "vm-clock-nsec", s->vm_clock % 1000000000);
	facts_add_text(o, "name", s->name);
	facts_add_number(o, "date-sec", s->when.tv_sec);
	facts_add_number(o, "date-nsec", s->when.tv_nsec);
	facts_add_number(o, "vm-clock-sec", s->vm_clock / 1000000000);
	facts_add_text(o, "id", s->id);
	facts_add_number(o, "vm-state-size", s->vmstate ? s->vmstate->size : 0);
	return o;
}

struct json_object *info_snapshots(const struct image *img)
{
	struct json_object *list = json_object_new_array();

	for (size_t i = 1; i < img->nstates; i++)
		json_object_array_add(list, snapshot_object(img->states[i]));
	return list;
}

struct json_object *info_object(const struct image *img, const struct state *state,
	const char *filename, const char *backing)
{
	struct json_object *o = json_object_new_object();

	facts_add_text(o, "filename", filename);
	if (img->gate.package_path)
		facts_add_text(o, "package", img->gate.package_path);
	facts_add_text(o, "format", img->format->name);
	facts_add_number(o, "virtual-size", state->view->size);
	/* A server does not tell. */
	if (!img->io->server)
		facts_add_number(o, "actual-size", image_stored(img));
	facts_add(o, img, filename);
	if (img->parent_name)
		facts_add_text(o, "backing-filename", img->parent_name);
	if (backing)
		facts_add_text(o, "full-backing-filename", backing);
	if (img->parent_format)
		facts_add_text(o, "backing-filename-format", img->parent_format);
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

struct json_object *info_absolute(const struct image *img, const struct state *state)
{
	return info_object(img, state, img->path ? img->path : img->io->name,
		img->parent ? img->parent->io->name : NULL);
}

char *info_json(const struct image *img, const struct state *state, struct err *e)
{
	struct json_object *o = info_absolute(img, state);
	char *text = info_text(o, e);

	json_object_put(o);
	return text;
}
