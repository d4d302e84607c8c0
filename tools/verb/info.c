/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* info.c - describes an image as JSON with the keys of qemu-img, or as text made from the JSON, or
 * draws it as a tree with its partitions, snapshots and parents. */
#include <json-c/json.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "lib/args.h"
#include "util/printable.h"
#include "image/info.h"
#include "lib/filenames.h"
#include "verbs.h"
#include "util/size.h"
#include "snapshot.h"
#include "lib/input.h"
#include "lib/json.h"
#include "image/format.h"
#include "image/image.h"
#include "volume/contents.h"
#include "view/view.h"

static void print_backing(struct json_object *o)
{
	const char *name = json_text(o, "backing-filename"),
		   *full = json_text(o, "full-backing-filename"),
		   *format = json_text(o, "backing-filename-format");

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

/* Prints each entry of an object or list on a line of its own, indented by its level. */
static void print_entries(struct json_object *o, int depth)
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
		printf("%*s", 4 * depth, "");
		for (const char *c = key; *c; c++)
			putchar(*c == '-' ? ' ' : *c);
		putchar(':');
		print_value(value, depth);
	}
}

static void print_value(struct json_object *value, int depth)
{
	if (json_object_is_type(value, json_type_object) ||
		json_object_is_type(value, json_type_array)) {
		putchar('\n');
		print_entries(value, depth + 1);
	} else {
		printable_print(stdout, " %s", json_object_get_string(value));
		putchar('\n');
	}
}

static void print_text(struct json_object *o, const struct image *img)
{
	struct json_object *cluster = json_object_object_get(o, "cluster-size"),
			   *specific = json_object_object_get(o, "format-specific");
	uint64_t size = json_object_get_uint64(json_object_object_get(o, "virtual-size"));

	printable_print(stdout, "image: %s", json_text(o, "filename"));
	printf("\nfile format: %s\n", json_text(o, "format"));
	printf("virtual size: %s (%llu bytes)\n", size_text(size).text, (unsigned long long)size);
	size = json_object_get_uint64(json_object_object_get(o, "actual-size"));
	printf("disk size: %s\n", size_text(size).text);
	if (json_object_get_boolean(json_object_object_get(o, "encrypted")))
		puts("encrypted: yes");
	if (cluster)
		printf("cluster_size: %s\n", json_object_get_string(cluster));
	if (json_object_get_boolean(json_object_object_get(o, "dirty-flag")))
		puts("cleanly shut down: no");
	print_backing(o);
	if (img->nstates > 1)
		snapshot_print_table(img);
	if (specific) {
		puts("Format specific information:");
		print_entries(json_object_object_get(specific, "data"), 1);
	}
}

/* The tree. */

/* Begins a line for an entry of the image at this depth; more: another entry follows. */
static void print_lead(unsigned depth, bool more)
{
	printf("%*s%s", 4 * (int)depth, "", more ? "├── " : "└── ");
}

/* The same, for an entry of an entry; outer_more: another entry follows that one. */
static void print_inner_lead(unsigned depth, bool outer_more, bool more)
{
	printf("%*s%s%s", 4 * (int)depth, "", outer_more ? "│   " : "    ", more ? "├── " : "└── ");
}

/* Prints lead and the quoted name, if there is one. */
static void print_name(const char *lead, const char *name)
{
	if (name)
		printable_print(stdout, "  %s\"%s\"", lead, name);
}

/* Prints the file system of a partition, or of a disk without partitions. */
static void print_content(struct json_object *o)
{
	struct json_object *content = json_object_object_get(o, "content");
	const char *words = json_text(content, "description");

	if (json_text(o, "error")) {
		printable_print(stdout, "cannot be read: %s", json_text(o, "error"));
	} else if (!content) {
		fputs("no known file system", stdout);
	} else {
		fputs(json_text(content, "type"), stdout);
		if (words)
			printf(" (%s)", words);
		print_name("of ", json_text(content, "member-of"));
		print_name("", json_text(content, "label"));
		if (json_object_get_boolean(json_object_object_get(content, "locked")))
			fputs(", locked: --passphrase-file=", stdout);
	}
}

static void print_partition(struct json_object *o)
{
	uint64_t size = json_object_get_uint64(json_object_object_get(o, "size"));

	printf("%s  %s  ", json_text(o, "number"), size_text(size).text);
	print_content(o);
	print_name("named ", json_text(o, "name"));
	putchar('\n');
}

static void print_table(unsigned depth, bool more, struct json_object *table)
{
	struct json_object *list = json_object_object_get(table, "partitions");
	size_t n = json_object_array_length(list);

	print_lead(depth, more);
	printf("%s (%s)", n > 0 ? "partitions" : "no partitions", json_text(table, "type"));
	if (json_text(table, "damage"))
		printf(": %s", json_text(table, "damage"));
	putchar('\n');
	for (size_t i = 0; i < n; i++) {
		print_inner_lead(depth, more, i + 1 < n);
		print_partition(json_object_array_get_idx(list, i));
	}
}

/* Prints what a volume lies on: "partition 2, partition 3". */
static void print_members(struct json_object *list)
{
	for (size_t i = 0; i < json_object_array_length(list); i++)
		printable_print(stdout, "%s%s", i > 0 ? ", " : "  on ",
			json_object_get_string(json_object_array_get_idx(list, i)));
}

static void print_volume(struct json_object *o)
{
	struct json_object *size = json_object_object_get(o, "size");

	printable_print(stdout, "%s  ", json_text(o, "name"));
	if (size)
		printf("%s  ", size_text(json_object_get_uint64(size)).text);
	print_content(o);
	print_members(json_object_object_get(o, "members"));
	putchar('\n');
}

static void print_volumes(unsigned depth, bool more, struct json_object *list)
{
	size_t n = json_object_array_length(list);

	print_lead(depth, more);
	puts("volumes");
	for (size_t i = 0; i < n; i++) {
		print_inner_lead(depth, more, i + 1 < n);
		print_volume(json_object_array_get_idx(list, i));
	}
}

static void print_contents(unsigned depth, bool more, const struct image *img)
{
	struct json_object *o = json_object_new_object(), *table, *volumes;

	contents_add(o, img, img->states[0], true);
	table = json_object_object_get(o, "partition-table");
	volumes = json_object_object_get(o, "volumes");
	if (table) {
		print_table(depth, more || volumes, table);
	} else {
		print_lead(depth, more || volumes);
		fputs("no partitions: ", stdout);
		print_content(o);
		putchar('\n');
	}
	if (volumes)
		print_volumes(depth, more, volumes);
	json_object_put(o);
}

static void print_snapshots(unsigned depth, bool more, const struct image *img)
{
	char date[32];
	struct tm tm;

	print_lead(depth, more);
	puts("snapshots");
	for (size_t i = 1; i < img->nstates; i++) {
		const struct state *s = img->states[i];

		print_inner_lead(depth, more, i + 1 < img->nstates);
		printable_print(stdout, "%s", s->name);
		if (localtime_r(&s->when.tv_sec, &tm) &&
			strftime(date, sizeof date, "%Y-%m-%d %H:%M:%S", &tm) > 0)
			printf("  %s", date);
		printf("%s\n", s->vmstate ? "  with machine state" : "");
	}
}

static void print_tree(const struct input *input)
{
	unsigned depth = 0;

	for (const struct image *img = input->img; img; img = img->parent, depth++) {
		if (depth > 0) {
			print_lead(depth - 1, false);
			fputs("based on ", stdout);
		}
		printable_print(stdout, "%s  %s, %s", image_basename(img), img->format->name,
			size_text(img->states[0]->view->size).text);
		putchar('\n');
		print_contents(depth, img->nstates > 1 || img->parent, img);
		if (img->nstates > 1)
			print_snapshots(depth, img->parent, img);
	}
}

/* Describes all images of the chain, or the first one only. */
static struct json_object *describe(const struct input *input, bool chain, bool contents)
{
	struct json_object *list = json_object_new_array(), *o;
	char *name = strdup(input->name), *next;

	for (const struct image *img = input->img; img; img = chain ? img->parent : NULL) {
		next = name ? filenames_parent(img, name) : NULL;
		o = info_object(img, img->states[0], name ? name : "", next);
		if (contents)
			contents_add(o, img, img->states[0], true);
		json_object_array_add(list, o);
		free(name);
		name = next;
	}
	free(name);
	return list;
}

static int print_info(const struct args *a, struct input *input)
{
	bool tree = args_has(a, OPT_TREE), chain = tree || args_has(a, OPT_BACKING_CHAIN);
	const struct image *img = input->img;
	struct json_object *list;
	int status = EXIT_SUCCESS;

	if (tree && !input->json) {
		print_tree(input);
		return EXIT_SUCCESS;
	}
	list = describe(input, chain, tree);
	for (size_t i = 0; !input->json && i < json_object_array_length(list); i++) {
		if (i > 0)
			putchar('\n');
		print_text(json_object_array_get_idx(list, i), img);
		img = img->parent;
	}
	if (input->json)
		status = json_print(
			json_object_get(chain ? list : json_object_array_get_idx(list, 0)));
	json_object_put(list);
	return status;
}

int run_info(const struct args *a)
{
	/* Describing an image does not need its parents, which may be missing. */
	bool alone = !args_has(a, OPT_BACKING_CHAIN) && !args_has(a, OPT_TREE);

	return input_run(a, INPUT_LOCKED | INPUT_LENIENT | (alone ? INPUT_ALONE : 0), print_info);
}
