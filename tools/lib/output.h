/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* output.h - the file that create and convert write.
 *
 * A regular file is written under a temporary name in its directory and renamed when it is
 * complete: whatever interrupts the program, no file of the given name is half an image, and a file
 * that is replaced stays as it is until then.  The new file gets the mode, owner and extended
 * attributes of the replaced one.  Where this is impossible (devices, files with several names, no
 * permission to create a file beside it) the output is written in place.
 *
 * SIGINT, SIGTERM, SIGHUP and their like remove what is incomplete.  One output a process.
 */
#ifndef VDISK_TOOLS_LIB_OUTPUT_H
#define VDISK_TOOLS_LIB_OUTPUT_H

#include <stdbool.h>
#include <stdint.h>

struct create_request;
struct err;
struct io;

struct output {
	const char *name; /* as given */
	char *path;       /* to write to: name, or the temporary file */
	char *target;   /* name without symbolic links, which path is renamed to; NULL: in place */
	struct io *old; /* the file that is replaced, locked; NULL: there is none */
	bool is_new;    /* there was no file of that name */
};

/* Chooses path, and makes it an empty file when it is a temporary one.  EEXIST: there is a file,
 * which replace does not allow.  End it in either case. */
int output_begin(struct output *o, const char *name, bool replace, struct err *e);

/* The file that is there is written into, and kept in any case. */
int output_use(struct output *o, const char *name, struct err *e);

bool output_is_device(const struct output *o);

/* How many bytes an output in place can hold: the device, or the file with what its file system has
 * free.  UINT64_MAX: one that is not in place, for nothing is overwritten before it is complete. */
uint64_t output_space(const struct output *o);

/* What image_create must know of it. */
void output_request(struct output *o, struct create_request *r);

/* image_create has succeeded: from here on, an output in place that is not committed is made no
 * image again.  (A raw device keeps what was written.) */
void output_created(const struct output *o, bool is_raw);

/* The image is complete, and closed: it gets its name; durable: on disk, too. */
int output_commit(struct output *o, bool durable, struct err *e);

/* Removes what was not committed. */
void output_end(struct output *o);

/* Puts the given name into a message that has the temporary one. */
void output_reword(const struct output *o, struct err *e);

#endif
