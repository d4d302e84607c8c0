/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "contents-tree.h"

#include <json-c/json.h>
#include <stdio.h>

#include "image/image.h"
#include "json.h"
#include "util/printable.h"
#include "util/size.h"
#include "volume/contents.h"

void tree_lead(unsigned depth, bool more)
{
	printf("%*s%s", 4 * (int)depth, "", more ? "├── " : "└── ");
}

void tree_inner_lead(unsigned depth, bool outer_more, bool more)
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

	tree_lead(depth, more);
	printf("%s (%s)", n > 0 ? "partitions" : "no partitions", json_text(table, "type"));
	if (json_text(table, "damage"))
		printf(": %s", json_text(table, "damage"));
	putchar('\n');
	for (size_t i = 0; i < n; i++) {
		tree_inner_lead(depth, more, i + 1 < n);
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

	tree_lead(depth, more);
	puts("volumes");
	for (size_t i = 0; i < n; i++) {
		tree_inner_lead(depth, more, i + 1 < n);
		print_volume(json_object_array_get_idx(list, i));
	}
}

void tree_contents(unsigned depth, bool more, const struct image *img)
{
	struct json_object *o = json_object_new_object(), *table, *volumes;

	contents_add(o, img, img->states[0], true);
	table = json_object_object_get(o, "partition-table");
	volumes = json_object_object_get(o, "volumes");
	if (table) {
		print_table(depth, more || volumes, table);
	} else {
		tree_lead(depth, more || volumes);
		fputs("no partitions: ", stdout);
		print_content(o);
		putchar('\n');
	}
	if (volumes)
		print_volumes(depth, more, volumes);
	json_object_put(o);
}
