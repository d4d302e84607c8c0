/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* json.h - the output of --output=json, and short forms of json-c. */
#ifndef VDISK_TOOLS_LIB_JSON_H
#define VDISK_TOOLS_LIB_JSON_H

#include <stdint.h>

struct json_object;

/* Prints o in qemu-img's layout, and releases it.  Returns the exit status. */
int json_print(struct json_object *o);

/* The text of a member, or NULL. */
const char *json_text(struct json_object *o, const char *key);

void json_add_number(struct json_object *o, const char *key, uint64_t n);

#endif
