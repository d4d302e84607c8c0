/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* create-args.h - an image that is to be made as create and convert are told: -o, -b, -F, -u and
 * the rest. */
#ifndef VDISK_TOOLS_LIB_CREATE_ARGS_H
#define VDISK_TOOLS_LIB_CREATE_ARGS_H

#include <stdbool.h>

#include "image/creation.h"
#include "image/image.h"
#include "verb.h"
#include "util/string-list.h"

struct args;
struct input_session;

struct create_args {
	const struct args *args;
	const struct format *format;
	struct string_list options;
	char *backing, *backing_format, *size; /* as -o may say them */
	struct create_request request;
	struct image_options how; /* for the backing file */
};

/* Reads the options.  False: what is wrong, or the help that was asked for, has been printed, and
 * *status is the exit status.  End it in either case. */
bool create_args_begin(struct create_args *m, const struct input_session *s, const struct format *f,
	const char *name, int *status);
void create_args_end(struct create_args *m);

/* Sees to it that request.size says something: what size says, a word of -o or an operand, or else
 * that of the backing file of the image name.  False: it has been told why not. */
bool create_args_size(struct create_args *m, const char *name, const char *size);

/* Warns when the image name was created as raw because the option key gave no format, while its
 * suffix is that of another one. */
void create_args_warn_raw(const struct create_args *m, const char *name, enum option_key key);

/* "Formatting 'NAME', fmt=...": as qemu-img tells what is going to be made. */
void create_args_print(const struct create_args *m, const char *name);

#endif
