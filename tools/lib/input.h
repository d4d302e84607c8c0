/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* input.h - images that a verb reads, opened as its options say. */
#ifndef VDISK_TOOLS_LIB_INPUT_H
#define VDISK_TOOLS_LIB_INPUT_H

#include <stdbool.h>

#include "image/image.h"

struct args;
struct err;

/* What the images of one run share. */
struct session {
	const struct args *args;
	struct cache *cache;
	struct codec *codec;
	struct passphrase *secrets;
};

struct source {
	const char *name; /* as given */
	struct image_options how;
	struct image *img;
	const struct state *state; /* the live one, or the snapshot that was asked for */
};

/* False: it has been told why.  End it in either case. */
bool session_begin(struct session *s, const struct args *a);
void session_end(struct session *s);

/* The defaults for opening an image of this format (NULL: look), which a verb may change. */
struct image_options session_options(const struct session *s, const char *format);

/* Opens name; false: it has been told why.  source must stay where it is until it is closed. */
bool source_open(struct source *source, const char *name, const struct image_options *how);
/* The same where another option than "-f " names the format. */
bool source_open_as(struct source *source, const char *name, const char *option,
	const struct image_options *how);
void source_close(struct source *source); /* one of zeroes is fine */

/* Chooses the snapshot of -l, if it is given.  Understands "snapshot.id=", "snapshot.name=" and a
 * plain name or id.  False: it has been told why. */
bool source_choose(struct source *source, const char *snapshot);

/* Prints the hint at a snapshot whose name is near to one that is not there.  Returns 1. */
int hint_at_snapshot(const struct source *source, const char *name);

/* For verbs of one image: checks the operands and --output, opens the image, and lets work loose on
 * it; the exit status. */
#define SOURCE_ALONE   1u  /* without its parents */
#define SOURCE_WRITE   2u  /* to be written; what was is durable on return */
#define SOURCE_REPAIR  4u  /* for image_check */
#define SOURCE_LOCKED  8u  /* encrypted and without a passphrase: what it is can be told */
#define SOURCE_LENIENT 16u /* likewise, damaged or without its data file */

int source_run(const struct args *a, unsigned how,
	int (*work)(const struct args *a, struct source *source));

#endif
