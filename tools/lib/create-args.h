/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* create-args.h - turns the options of create and convert (-o, -b, -F, -u...) into a request for
 * image_create.  -o has "NAME=VALUE,NAME=VALUE..."; a comma in a value is written twice, as
 * qemu-img has it. */
#ifndef VDISK_TOOLS_LIB_CREATE_ARGS_H
#define VDISK_TOOLS_LIB_CREATE_ARGS_H

#include <stdbool.h>

#include "image/creation.h"
#include "image/image.h"
#include "verb.h"
#include "util/string-list.h"

struct args;
struct input_session;

/* The format that key gives, raw by default; NULL after an error. */
const struct format *create_args_format(const struct args *a, enum option_key key);

struct create_args {
	const struct args *args;
	const struct format *format;
	struct string_list options;
	char *backing, *backing_format, *size; /* values of -o; NULL: not given */
	struct create_request request;
	struct image_options how; /* for the backing file */
};

/* Reads the options.  False after an error or when -o help was answered; *status is the exit status
 * then.  End it in either case. */
bool create_args_begin(struct create_args *m, const struct input_session *s, const struct format *f,
	const char *name, int *status);
void create_args_end(struct create_args *m);

/* Sets request.size from -o size=, else from the operand size (may be NULL), else to the size of
 * the backing file of the image name, which must open.  False after an error. */
bool create_args_size(struct create_args *m, const char *name, const char *size);

/* Warns if the image name was created as raw by default, although its suffix is that of another
 * format.  key: the option for the format. */
void create_args_warn_raw(const struct create_args *m, const char *name, enum option_key key);

/* Prints "Formatting 'NAME', fmt=..." as qemu-img does. */
void create_args_print(const struct create_args *m, const char *name);

/* Splits the values of all -o into "NAME=VALUE"s, which the caller frees.  False: out of memory,
 * which is reported. */
bool create_args_read(struct string_list *options, const struct args *a);

#endif
