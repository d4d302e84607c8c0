/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* info-tree.c - see info-tree.h. */
#include "info-tree.h"

#include <json-c/json.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "util/printable.h"
#include "lib/contents.h"
#include "image/format.h"
#include "image/image.h"
#include "lib/report.h"
#include "util/size.h"
#include "lib/input.h"
#include "lib/json.h"
#include "view/view.h"

#define DEPTH_MAX 260 /* images of a chain, and two levels below the last */

/* The current position: for each level, whether more entries follow there. */
struct branch {
	bool more[DEPTH_MAX];
	unsigned depth;
};

static void print_lead(const struct branch *b)
{
	for (unsigned i = 0; i < b->depth; i++) {
		bool last = i + 1 == b->depth;

		if (b->more[i])
			fputs(last ? "├── " : "│   ", stdout);
		else
			fputs(last ? "└── " : "    ", stdout);
	}
}

/* Prints lead and the quoted name, if there is one. */
static void print_name(const char *lead, const char *name)
{
	if (!name)
		return;
	printable_print(stdout, "  %s\"%s\"", lead, name);
}

/* Prints the file system of a partition, or of a disk without partitions. */
static void print_content(struct json_object *o)
{
	struct json_object *content = json_object_object_get(o, "content");
	const char *words = json_text(content, "description");

	if (json_text(o, "error")) {
		fputs("cannot be read: ", stdout);
		printable_print(stdout, "%s", json_text(o, "error"));
	} else if (!content) {
		fputs("no known file system", stdout);
	} else {
		fputs(json_text(content, "type"), stdout);
		if (words)
			printf(" (%s)", words);
		print_name("", json_text(content, "label"));
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

static void print_table(struct branch *b, struct json_object *table)
{
	struct json_object *list = json_object_object_get(table, "partitions");
	size_t n = json_object_array_length(list);
	struct branch inner = *b;

	print_lead(b);
	printf("%s (%s)", n > 0 ? "partitions" : "no partitions", json_text(table, "type"));
	if (json_text(table, "damage"))
		printf(": %s", json_text(table, "damage"));
	putchar('\n');
	inner.depth++;
	for (size_t i = 0; i < n; i++) {
		inner.more[b->depth] = i + 1 < n;
		print_lead(&inner);
		print_partition(json_object_array_get_idx(list, i));
	}
}

static void print_contents(struct branch *b, const struct image *img)
{
	struct json_object *o = json_object_new_object(), *table;

	contents_add(o, img);
	table = json_object_object_get(o, "partition-table");
	if (table) {
		print_table(b, table);
	} else {
		print_lead(b);
		fputs("no partitions: ", stdout);
		print_content(o);
		putchar('\n');
	}
	json_object_put(o);
}

static void print_snapshots(struct branch *b, const struct image *img)
{
	struct branch inner = *b;
	char date[32];
	struct tm tm;

	print_lead(b);
	puts("snapshots");
	inner.depth++;
	for (size_t i = 1; i < img->nstates; i++) {
		const struct state *s = img->states[i];

		inner.more[b->depth] = i + 1 < img->nstates;
		print_lead(&inner);
		printable_print(stdout, "%s", s->name);
		if (localtime_r(&s->when.tv_sec, &tm) &&
			strftime(date, sizeof date, "%Y-%m-%d %H:%M:%S", &tm) > 0)
			printf("  %s", date);
		printf("%s\n", s->vmstate ? "  with machine state" : "");
	}
}

static void print_image(struct branch *b, const struct image *img)
{
	bool has_snapshots = img->nstates > 1;

	printable_print(stdout, "%s  %s, %s", image_basename(img), img->format->name,
		size_text(img->states[0]->view->size).text);
	putchar('\n');
	b->depth++;
	b->more[b->depth - 1] = has_snapshots || img->parent;
	print_contents(b, img);
	b->more[b->depth - 1] = img->parent != NULL;
	if (has_snapshots)
		print_snapshots(b, img);
}

int info_tree_print(const struct input *input)
{
	struct branch b = {.depth = 0};

	for (const struct image *img = input->img; img; img = img->parent) {
		if (b.depth > 0) {
			b.more[b.depth - 1] = false;
			print_lead(&b);
			fputs("based on ", stdout);
		}
		if (b.depth + 2 >= DEPTH_MAX)
			return report("the chain is too long to draw");
		print_image(&b, img);
	}
	return EXIT_SUCCESS;
}
