/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* json.c - see json.h. */
#include "json.h"

#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>

#include "image/info.h"
#include "report.h"
#include "util/err.h"

int json_print(struct json_object *o)
{
	struct err e = ERR_INIT;
	char *text = info_text(o, &e);

	json_object_put(o);
	if (!text)
		return report_failure(&e);
	fputs(text, stdout);
	free(text);
	return EXIT_SUCCESS;
}

const char *json_text(struct json_object *o, const char *key)
{
	return json_object_get_string(json_object_object_get(o, key));
}

void json_add_number(struct json_object *o, const char *key, uint64_t n)
{
	json_object_object_add(o, key, json_object_new_uint64(n));
}
