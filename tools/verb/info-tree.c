/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* info-tree.c - see info-tree.h. */
#include "info-tree.h"

#include <json-c/json.h>
#include <stdbool.h>
#include <stdio.h>
#include <time.h>

#include "util/printable.h"
#include "lib/contents.h"
#include "image/format.h"
#include "image/image.h"
#include "util/size.h"
#include "lib/input.h"
#include "lib/json.h"
#include "view/view.h"

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

static void print_contents(unsigned depth, bool more, const struct image *img)
{
	struct json_object *o = json_object_new_object(), *table;

	contents_add(o, img);
	table = json_object_object_get(o, "partition-table");
	if (table) {
		print_table(depth, more, table);
	} else {
		print_lead(depth, more);
		fputs("no partitions: ", stdout);
		print_content(o);
		putchar('\n');
	}
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

void info_tree_print(const struct input *input)
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
