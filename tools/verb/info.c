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
#include "lib/contents-tree.h"
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
#include "io/io.h"
#include "volume/contents.h"
#include "view/view.h"

#define SECTOR      512
#define MEMORY_PAGE 4096 /* buffers of this alignment are not copied */

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
			   *limits = json_object_object_get(o, "limits"),
			   *specific = json_object_object_get(o, "format-specific"),
			   *stored = json_object_object_get(o, "actual-size");
	uint64_t size = json_object_get_uint64(json_object_object_get(o, "virtual-size"));

	printable_print(stdout, "image: %s", json_text(o, "filename"));
	printf("\nfile format: %s\n", json_text(o, "format"));
	printf("virtual size: %s (%llu bytes)\n", size_text(size).text, (unsigned long long)size);
	size = json_object_get_uint64(stored);
	printf("disk size: %s\n", stored ? size_text(size).text : "unavailable");
	if (json_object_get_boolean(json_object_object_get(o, "encrypted")))
		puts("encrypted: yes");
	if (cluster)
		printf("cluster_size: %s\n", json_object_get_string(cluster));
	if (json_object_get_boolean(json_object_object_get(o, "dirty-flag")))
		puts("cleanly shut down: no");
	print_backing(o);
	if (img->nstates > 1)
		snapshot_print_table(img);
	if (limits) {
		puts("Block limits:");
		print_entries(limits, 1);
	}
	if (specific) {
		puts("Format specific information:");
		print_entries(json_object_object_get(specific, "data"), 1);
	}
}

/* The tree. */

static void print_snapshots(unsigned depth, bool more, const struct image *img)
{
	char date[32];
	struct tm tm;

	tree_lead(depth, more);
	puts("snapshots");
	for (size_t i = 1; i < img->nstates; i++) {
		const struct state *s = img->states[i];

		tree_inner_lead(depth, more, i + 1 < img->nstates);
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
			tree_lead(depth - 1, false);
			fputs("based on ", stdout);
		}
		printable_print(stdout, "%s  %s, %s", image_basename(img), img->format->name,
			size_text(img->states[0]->view->size).text);
		putchar('\n');
		tree_contents(depth, img->nstates > 1 || img->parent, img);
		if (img->nstates > 1)
			print_snapshots(depth, img->parent, img);
	}
}

/* Limits of requests to the image, with the keys of QEMU 11.  The library has none of its own. */
static void add_limits(struct json_object *o, const struct image *img)
{
	struct json_object *limits = json_object_new_object();

	json_add_number(limits, "request-alignment", img->io->is_block ? SECTOR : 1);
	json_add_number(limits, "min-mem-alignment", 1);
	json_add_number(limits, "opt-mem-alignment", MEMORY_PAGE);
	json_object_object_add(o, "limits", limits);
}

/* Describes all images of the chain, or the first one only. */
static struct json_object *describe(
	const struct input *input, bool chain, bool contents, bool limits)
{
	struct json_object *list = json_object_new_array(), *o;
	char *name = strdup(input->name), *next;

	for (const struct image *img = input->img; img; img = chain ? img->parent : NULL) {
		next = name ? filenames_parent(img, name) : NULL;
		o = info_object(img, img->states[0], name ? name : "", next);
		if (limits)
			add_limits(o, img);
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
	list = describe(input, chain, tree, args_has(a, OPT_LIMITS));
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
