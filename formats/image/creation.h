/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* creation.h - a new image while a driver writes it.
 *
 * open/create.h checks the options by the table of the format, makes and locks the file and opens
 * the backing file; the driver writes an empty image of its format.  One thread.
 */
#ifndef VDISK_IMAGE_CREATION_H
#define VDISK_IMAGE_CREATION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct creation;
struct err;
struct format;
struct identity;
struct image;
struct image_options;
struct io;
struct fingerprint;
struct stat;

/* The kind of value of an option. */
enum create_kind {
	CREATE_SIZE,   /* bytes, with a suffix: 64k */
	CREATE_NUMBER, /* as it is */
	CREATE_FLAG,   /* on, off: util/flag.h */
	CREATE_WORD,   /* one of a list */
	CREATE_TEXT,
	CREATE_MEMBER, /* not given as an option: a member of the request */
};

/* One option of a format, with qemu-img's name where it has one.  The order is that of its
 * "Formatting" line, in which the members of the request have a place, too. */
struct create_option {
	const char *name; /* NULL ends a table */
	enum create_kind kind;
	const char *help;
	const char *standard;     /* the value when none is given, as a word; NULL: none */
	const char *const *words; /* CREATE_WORD: NULL-terminated */
	const char *shown; /* in the "Formatting" line when no value is given; NULL: left out */
};

#define CREATE_OPTION_SIZE                                                                         \
	{                                                                                          \
		.name = "size", .kind = CREATE_MEMBER, .help = "Virtual disk size"                 \
	}
#define CREATE_OPTION_BACKING                                                                      \
	{.name = "backing_file", .kind = CREATE_MEMBER, .help = "File name of a base image"},      \
	{                                                                                          \
		.name = "backing_fmt", .kind = CREATE_MEMBER,                                      \
		.help = "Image format of the base image"                                           \
	}

/* Options of the host's files, which all formats have; unknown to a file system without them. */
extern const struct create_option creation_host_options[];

#define CREATE_NO_SIZE UINT64_MAX

/* A request for a new image; borrowed. */
struct create_request {
	uint64_t size;              /* of the disk; CREATE_NO_SIZE: that of the backing file */
	const char *backing;        /* as the image shall name it; NULL: none */
	const char *backing_format; /* goes with backing */
	bool unchecked;             /* the backing file is not looked at; size must be given */
	const char *const *options; /* "name=value", NULL-terminated; NULL: none */
	bool compressed; /* it will be filled with compressed clusters: view_write_compressed */
	bool replace;    /* an existing file that is not in use is replaced */
	bool new_parts;  /* but no other file of the image: there must be none */
	const struct image_options *how; /* the backing file is opened with */
	/* path is the temporary name of an image that is renamed to this one, in the same
	 * directory; NULL: it is not. */
	const char *stands_for;
	/* Called for each file that was not there before, once it is; NULL: not. */
	void (*created)(void *arg, const char *path);
	void *arg;
	/* The file that is replaced: ESTALE unless it is there, unchanged; NULL: any. */
	const struct identity *replaces;
	/* Set to the files of the image at the end, also after a failure that leaves a replaced
	 * file empty; NULL: not wanted. */
	struct fingerprint *made;
};

/* For drivers, in format->create. */

/* A file of it. */
struct created {
	struct io *io;
	bool is_new;  /* there was none before */
	bool emptied; /* the old contents are gone */
};

/* An image in the making. */
struct creation {
	const struct format *format;
	const struct create_request *request;
	struct io *io;              /* the new file: empty, writable, locked */
	const char *path;           /* as it was given; NULL: none */
	uint64_t size;              /* of the disk */
	const struct image *parent; /* the backing file, opened; NULL: none, or unchecked */
	struct created *parts;      /* private */
	size_t nparts;
};

/* The value of an option as it was given or as the standard is, checked to be of its kind; NULL:
 * neither.  For all kinds; the others are for theirs, and numbers have a standard. */
const char *creation_text(const struct creation *c, const char *name);
uint64_t creation_number(const struct creation *c, const char *name);
bool creation_flag(const struct creation *c, const char *name);
bool creation_is(const struct creation *c, const char *name, const char *word);

/* The name that the file will have in its directory; "" for one without a path. */
const char *creation_name(const struct creation *c);

/* Creates a second file of the image, in its directory, as the first one was created; closed by the
 * core. */
int creation_part(struct creation *c, const char *name, struct io **io, struct err *e);

/* The name of the backing file with the separators of Windows; to be freed; NULL: no memory. */
char *creation_windows_name(const struct creation *c);

/* Makes the file end at end, with zeroes from from on, where nothing was written yet.  A device
 * keeps its size and its old bytes, so these are overwritten; ENOSPC: it ends before. */
int creation_extend(struct io *io, uint64_t from, uint64_t end, struct err *e);

/* Preallocates [pos, pos+len) of the file, which reads as zeroes.  full: by writing, else by asking
 * the host for space. */
int creation_preallocate(struct io *io, uint64_t pos, uint64_t len, bool full, struct err *e);

/* For open/create.c. */

/* The path that the image has in the end; NULL: none. */
const char *creation_target(const struct creation *c);

/* stat(2) of a name that the image records; -1 if there is no such file. */
int creation_stat(const struct creation *c, const char *name, struct stat *st);

/* Gives a file that is still empty the properties that the host's options ask for. */
void creation_apply_host_options(const struct creation *c, struct io *io);

/* Is it a file of the backing chain that the image will have? */
bool creation_is_own(const struct creation *c, const struct stat *st);

/* The option of a format, or of the host, whose name is the first len bytes of name, or NULL. */
const struct create_option *creation_find_option(
	const struct format *f, const char *name, size_t len);

/* Makes a file, or locks one to be replaced, which must be wanted unless that is NULL. */
int creation_make_file(const struct create_request *req, const char *path, bool replace,
	const struct identity *wanted, struct created *f, struct err *e);

/* Closes a file of the image; keep false: removes it if it is new, else empties it, if that was
 * begun.  The fingerprint of a file that stays is taken while it is open and locked; without memory
 * it lacks a file, and holds for no image. */
void creation_end_file(const struct creation *c, const struct created *f, bool keep);

#endif
