/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* json.h - the output of --output=json. */
#ifndef VDISK_TOOLS_LIB_JSON_H
#define VDISK_TOOLS_LIB_JSON_H

struct json_object;

/* Prints o in qemu-img's layout, and releases it.  Returns the exit status. */
int json_print(struct json_object *o);

#endif
