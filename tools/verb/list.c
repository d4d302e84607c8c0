/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* list.c - lists the mounts of disk images. */
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/args.h"
#include "util/printable.h"
#include "util/err.h"
#include "lib/mount-table.h"
#include "lib/json.h"
#include "lib/report.h"
#include "verbs.h"

/* The first column: "view", "disk", the number of a partition, or the name of another file. */
static void describe(const struct mounted *m, char *buf, size_t size)
{
	static const char parts[] = "partitions/";
	size_t n = m->file ? strlen(m->file) : 0;

	if (!m->file)
		snprintf(buf, size, "view");
	else if (strcmp(m->file, "disk.raw") == 0)
		snprintf(buf, size, "disk");
	else if (strncmp(m->file, parts, strlen(parts)) == 0 && n > 4)
		snprintf(buf, size, "%.*s", (int)(n - strlen(parts) - 4), m->file + strlen(parts));
	else
		snprintf(buf, size, "%s", m->file);
}

static int print_mounts(const struct mount_table *m, bool json)
{
	struct json_object *list = json_object_new_array(), *o;
	char what[300];

	for (size_t i = 0; i < m->n; i++) {
		const struct mounted *x = &m->list[i];

		if (!mount_table_is_shown(m, x))
			continue;
		describe(x, what, sizeof what);
		if (!json) {
			printable_print(stdout, "%-9s %s on %s", what, x->image, x->dir);
			putchar('\n');
			continue;
		}
		o = json_object_new_object();
		json_object_object_add(o, "image", json_object_new_string(x->image));
		json_object_object_add(o, "what", json_object_new_string(what));
		json_object_object_add(o, "directory", json_object_new_string(x->dir));
		json_object_array_add(list, o);
	}
	if (json)
		return json_print(list);
	json_object_put(list);
	return EXIT_SUCCESS;
}

int run_list(const struct args *a)
{
	struct err e = ERR_INIT;
	struct mount_table m;
	bool json;
	int status;

	if (a->n != 0)
		return args_misused("list takes no names");
	if (!args_want_json(a, &json))
		return EXIT_FAILURE;
	status = mount_table_read(&m, &e) < 0 ? report_failure(&e) : print_mounts(&m, json);
	mount_table_free(&m);
	return status;
}
