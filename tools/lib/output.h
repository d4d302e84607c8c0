/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* output.h - the file that create and convert write.
 *
 * A regular file is written under a temporary name in the same directory, and renamed when it is
 * complete.  So an interruption at any time leaves no incomplete image of the given name, and an
 * old file is unchanged until it is replaced.  The new file gets mode, owner and extended
 * attributes of the old one.  If this is impossible (a device, a file with several hard links,
 * no permission to create files in the directory) the output is written in place.
 *
 * A signal removes an incomplete output (leftover.h).  There can be one output in a process.
 */
#ifndef VDISK_TOOLS_LIB_OUTPUT_H
#define VDISK_TOOLS_LIB_OUTPUT_H

#include <stdbool.h>
#include <stdint.h>

struct create_request;
struct err;
struct io;

struct output {
	const char *name; /* as the user gave it */
	char *path;       /* the file to write: name or the temporary file */
	char *target;     /* path is renamed to it: name without symbolic links; NULL: in place */
	struct io *old;   /* the file to replace, locked; NULL: none */
	bool is_new;      /* no file of that name exists */
};

/* Chooses path, and creates the temporary file.  EBUSY: an existing file is in use.  End it in
 * either case. */
int output_begin(struct output *o, const char *name, struct err *e);

/* Writes to an existing file, which is kept in any case. */
int output_use(struct output *o, const char *name, struct err *e);

bool output_is_device(const struct output *o);

/* The capacity of an output in place: of the device, or of the file and the free space of its file
 * system.  UINT64_MAX for a temporary file: there, running out of space does not harm the old file.
 */
uint64_t output_space(const struct output *o);

/* Sets the members of r that concern the output. */
void output_request(struct output *o, struct create_request *r);

/* To be called after image_create: an output in place that is not committed is emptied from now on,
 * as it looks like a complete image.  (A raw device keeps the data written.) */
void output_created(const struct output *o, bool is_raw);

/* Renames the output, which is complete and closed.  durable: also syncs the directory. */
int output_commit(struct output *o, bool durable, struct err *e);

/* Removes an output that was not committed. */
void output_end(struct output *o);

/* Replaces the temporary name in a message by the given one. */
void output_reword(const struct output *o, struct err *e);

#endif
