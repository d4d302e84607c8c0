/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* json.h - the output of --output=json, with the contents of a disk, and short forms of json-c. */
#ifndef VDISK_TOOLS_LIB_JSON_H
#define VDISK_TOOLS_LIB_JSON_H

#include <stdint.h>

struct image;
struct json_object;

/* Prints o in qemu-img's layout, and releases it.  Returns the exit status. */
int json_print(struct json_object *o);

/* The text of a member, or NULL. */
const char *json_text(struct json_object *o, const char *key);

void json_add_number(struct json_object *o, const char *key, uint64_t n);

/* Adds the partitions and file systems of the live disk of img to o: "partition-table" with
 * "partitions", or "content" if the disk has no partition table.  A part that cannot be read gets
 * an "error" instead. */
void json_add_contents(struct json_object *o, const struct image *img);

#endif
