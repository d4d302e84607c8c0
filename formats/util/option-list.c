/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* option-list.c - see option-list.h. */
#include "option-list.h"

#include <errno.h>
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "err.h"

#define MAX_DEPTH 4

static int add(
	struct option_list *o, const char *name, size_t len, const char *value, struct err *e)
{
	struct option_value *option = &o->list[o->n];

	if (o->n == OPTION_LIST_MAX || len >= OPTION_LIST_NAME)
		return err_set(e, EINVAL, "too many or too long options of a block device");
	*option = (struct option_value){.value = strdup(value)};
	if (!option->value)
		return err_nomem(e);
	memcpy(option->name, name, len);
	o->n++;
	return 0;
}

static int add_object(struct option_list *o, struct json_object *from, const char *prefix,
	unsigned depth, struct err *e)
{
	char name[OPTION_LIST_NAME];
	int r = 0;

	if (depth == MAX_DEPTH)
		return err_set(e, EINVAL, "json: objects are nested too deep");
	json_object_object_foreach(from, key, value)
	{
		int n = snprintf(name, sizeof name, "%s%s", prefix, key);

		if (n < (int)sizeof name - 1 && json_object_is_type(value, json_type_object)) {
			snprintf(name + n, sizeof name - n, ".");
			r = add_object(o, value, name, depth + 1, e);
		} else {
			r = add(o, name, n, value ? json_object_get_string(value) : "", e);
		}
		if (r < 0)
			break;
	}
	return r;
}

int option_list_read_json(struct option_list *o, const char *text, struct err *e)
{
	enum json_tokener_error why;
	struct json_object *object = json_tokener_parse_verbose(text, &why);
	int r;

	if (!object || !json_object_is_type(object, json_type_object))
		r = err_set(e, EINVAL, "Could not parse the JSON options: %s",
			object ? "no object" : json_tokener_error_desc(why));
	else
		r = add_object(o, object, "", 0, e);
	json_object_put(object);
	return r;
}

static int split(struct option_list *o, char *text, const char *first, struct err *e)
{
	int r = 0;

	while (r == 0 && *text) {
		char *in = text, *out = text, *equals, *next;

		for (; *in && (in[0] != ',' || in[1] == ','); in++) {
			in += *in == ',';
			*out++ = *in;
		}
		next = *in ? in + 1 : in;
		*out = '\0';
		equals = strchr(text, '=');
		if (equals)
			r = add(o, text, equals - text, equals + 1, e);
		else if (o->n == 0 && first)
			r = add(o, first, strlen(first), text, e);
		else
			r = err_set(e, EINVAL, "%s: expected NAME=VALUE", text);
		text = next;
	}
	return r;
}

int option_list_read(struct option_list *o, const char *text, const char *first, struct err *e)
{
	char *copy = strdup(text);
	int r = copy ? split(o, copy, first, e) : err_nomem(e);

	free(copy);
	return r;
}

const char *option_list_value(const struct option_list *o, const char *name)
{
	for (size_t i = 0; i < o->n; i++)
		if (strcmp(o->list[i].name, name) == 0)
			return o->list[i].value;
	return NULL;
}

void option_list_free(struct option_list *o)
{
	for (size_t i = 0; i < o->n; i++)
		free(o->list[i].value);
	o->n = 0;
}
