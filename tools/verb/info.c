/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* info.c - what an image is: as JSON with qemu-img's keys, or as its text. */
#include <json-c/json.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/args.h"
#include "util/printable.h"
#include "lib/contents.h"
#include "util/err.h"
#include "image/info.h"
#include "lib/filenames.h"
#include "lib/report.h"
#include "verbs.h"
#include "util/size.h"
#include "snapshot.h"
#include "lib/input.h"
#include "info-tree.h"
#include "view/view.h"

static const char *text_of(struct json_object *o, const char *key)
{
	return json_object_get_string(json_object_object_get(o, key));
}

static bool flag_of(struct json_object *o, const char *key)
{
	return json_object_get_boolean(json_object_object_get(o, key));
}

static void print_size_line(struct json_object *o)
{
	uint64_t size = json_object_get_uint64(json_object_object_get(o, "virtual-size"));

	printf("virtual size: %s (%llu bytes)\n", size_text(size).text, (unsigned long long)size);
	size = json_object_get_uint64(json_object_object_get(o, "actual-size"));
	printf("disk size: %s\n", size_text(size).text);
}

static void print_backing(struct json_object *o)
{
	const char *name = text_of(o, "backing-filename"),
		   *full = text_of(o, "full-backing-filename"),
		   *format = text_of(o, "backing-filename-format");

	if (name) {
		printable_print(stdout, "backing file: %s", name);
		if (!full)
			printf(" (cannot determine actual path)");
		else if (strcmp(name, full) != 0)
			printable_print(stdout, " (actual path: %s)", full);
		putchar('\n');
	}
	if (format) {
		printable_print(stdout, "backing file format: %s", format);
		putchar('\n');
	}
}

static void print_value(struct json_object *value, int depth);

static void print_key(const char *key, int depth)
{
	printf("%*s", 4 * depth, "");
	for (; *key; key++)
		putchar(*key == '-' ? ' ' : *key);
	putchar(':');
}

static bool has_inside(struct json_object *value)
{
	return json_object_is_type(value, json_type_object) ||
	       json_object_is_type(value, json_type_array);
}

/* Entries of objects and lists stand on lines of their own, each level four columns further in. */
static void print_inside(struct json_object *o, int depth)
{
	if (json_object_is_type(o, json_type_array)) {
		for (size_t i = 0; i < json_object_array_length(o); i++) {
			printf("%*s[%zu]:", 4 * depth, "", i);
			print_value(json_object_array_get_idx(o, i), depth);
		}
		return;
	}
	json_object_object_foreach(o, key, value)
	{
		print_key(key, depth);
		print_value(value, depth);
	}
}

static void print_value(struct json_object *value, int depth)
{
	if (has_inside(value)) {
		putchar('\n');
		print_inside(value, depth + 1);
	} else {
		printable_print(stdout, " %s", json_object_get_string(value));
		putchar('\n');
	}
}

static void print_specific(struct json_object *o)
{
	struct json_object *specific = json_object_object_get(o, "format-specific");

	if (!specific)
		return;
	puts("Format specific information:");
	print_inside(json_object_object_get(specific, "data"), 1);
}

static void print_text(struct json_object *o, const struct image *img)
{
	struct json_object *cluster = json_object_object_get(o, "cluster-size");

	printable_print(stdout, "image: %s", text_of(o, "filename"));
	printf("\nfile format: %s\n", text_of(o, "format"));
	print_size_line(o);
	if (flag_of(o, "encrypted"))
		puts("encrypted: yes");
	if (cluster)
		printf("cluster_size: %s\n", json_object_get_string(cluster));
	if (flag_of(o, "dirty-flag"))
		puts("cleanly shut down: no");
	print_backing(o);
	if (img->nstates > 1)
		snapshot_print_table(img);
	print_specific(o);
}

/* All images of the chain, or the first one alone, each with a name made from that of its child. */
static struct json_object *describe(const struct input *input, bool chain, bool contents)
{
	struct json_object *list = json_object_new_array(), *o;
	char *name = strdup(input->name), *next;

	for (const struct image *img = input->img; img; img = chain ? img->parent : NULL) {
		next = name ? filenames_parent(img, name) : NULL;
		o = info_object(img, img->states[0], name ? name : "", next);
		if (contents)
			contents_add(o, img);
		json_object_array_add(list, o);
		free(name);
		name = next;
	}
	free(name);
	return list;
}

static int print_json(struct json_object *list, bool chain)
{
	struct err e = ERR_INIT;
	char *text = info_text(chain ? list : json_object_array_get_idx(list, 0), &e);

	if (!text)
		return report("%s", e.text);
	fputs(text, stdout);
	free(text);
	return EXIT_SUCCESS;
}

static int print_human(struct json_object *list, const struct input *input)
{
	const struct image *img = input->img;

	for (size_t i = 0; i < json_object_array_length(list); i++, img = img->parent) {
		if (i > 0)
			putchar('\n');
		print_text(json_object_array_get_idx(list, i), img);
	}
	return EXIT_SUCCESS;
}

static int print_info(const struct args *a, struct input *input)
{
	bool tree = args_has(a, OPT_TREE), chain = tree || args_has(a, OPT_BACKING_CHAIN), json;
	struct json_object *list;
	int status;

	args_want_json(a, &json);
	if (tree && !json)
		return info_tree_print(input);
	list = describe(input, chain, tree);
	status = json ? print_json(list, chain) : print_human(list, input);
	json_object_put(list);
	return status;
}

int run_info(const struct args *a)
{
	/* What an image is can be told without what it is based on. */
	bool alone = !args_has(a, OPT_BACKING_CHAIN) && !args_has(a, OPT_TREE);

	return input_run(a, INPUT_LOCKED | INPUT_LENIENT | (alone ? INPUT_ALONE : 0), print_info);
}
