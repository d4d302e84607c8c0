/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* candidates.c - see candidates.h. */
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/args.h"
#include "image/creation.h"
#include "image/format.h"
#include "image/image.h"
#include "volume/contents.h"
#include "open/registry.h"
#include "lib/mount-table.h"
#include "lib/opened.h"
#include "lib/input.h"
#include "lib/json.h"
#include "lib/report.h"
#include "util/err.h"
#include "candidates.h"

/* Candidates are lines, so a word with a newline cannot be one. */
static void print_word(const char *word)
{
	if (word && word[0] && !strchr(word, '\n'))
		puts(word);
}

static bool print_mounts(void)
{
	struct err e = ERR_INIT, ignored = ERR_INIT;
	char *parent = opened_parent(&ignored);
	struct mount_table m;
	bool good = mount_table_read(&m, &e) == 0 || !report_failure(&e);

	for (size_t i = 0; good && i < m.n; i++) {
		if (mount_table_is_shown(&m, &m.list[i]))
			print_word(m.list[i].dir);
		if (parent && opened_has(parent, &m.list[i]))
			print_word(m.list[i].image);
	}
	mount_table_free(&m);
	free(parent);
	return good;
}

/* The names of volumes that vdisk mount takes. */
static void print_volumes(struct json_object *list)
{
	for (size_t i = 0; list && i < json_object_array_length(list); i++) {
		struct json_object *volume = json_object_array_get_idx(list, i);
		const char *path = json_text(volume, "path");

		print_word(path ? path : json_text(volume, "name"));
		print_word(json_text(json_object_object_get(volume, "content"), "label"));
	}
}

static int print_partitions(const struct args *a, struct input *input)
{
	struct json_object *o = json_object_new_object(), *list;

	(void)a;
	contents_add(o, input->img, input->img->states[0], true);
	list = json_object_object_get(json_object_object_get(o, "partition-table"), "partitions");
	for (size_t i = 0; list && i < json_object_array_length(list); i++) {
		struct json_object *part = json_object_array_get_idx(list, i);
		const char *label = json_text(json_object_object_get(part, "content"), "label");
		const char *name = json_text(part, "name");

		print_word(json_text(part, "number"));
		print_word(label);
		if (!label || !name || strcmp(label, name) != 0)
			print_word(name);
	}
	print_volumes(json_object_object_get(o, "volumes"));
	json_object_put(o);
	return EXIT_SUCCESS;
}

static void print_table(const struct create_option *o)
{
	static const char *const flags[] = {"on", "off", NULL};

	for (; o && o->name; o++) {
		const char *const *words = o->kind == CREATE_FLAG ? flags : o->words;

		printf("%s=\n", o->name);
		for (; words && *words; words++)
			printf("%s=%s\n", o->name, *words);
	}
}

static bool print_options(const char *name)
{
	const struct format *f = registry_find(name);

	if (!f)
		return false;
	print_table(f->create_options);
	print_table(creation_host_options);
	return true;
}

bool candidates_print(const struct args *a)
{
	const char *what = a->n > 0 ? a->operands[0] : "";
	struct args image = *a;

	if (a->n == 1 && strcmp(what, "mounts") == 0)
		return print_mounts();
	if (a->n == 2 && strcmp(what, "options") == 0)
		return print_options(a->operands[1]);
	if (a->n != 2 || strcmp(what, "partitions") != 0)
		return false;
	image.operands++;
	image.n--;
	/* The image may be in use. */
	image.options[OPT_SHARE].n = image.options[OPT_NO_SNAPSHOTS].n = 1;
	return input_run(&image, 0, print_partitions) == EXIT_SUCCESS;
}
