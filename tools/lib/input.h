/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* input.h - images that a verb reads, opened as its options say. */
#ifndef VDISK_TOOLS_LIB_INPUT_H
#define VDISK_TOOLS_LIB_INPUT_H

#include <stdbool.h>

#include "image/image.h"

struct args;
struct err;

/* What the images of one run share. */
struct input_session {
	const struct args *args;
	struct cache *cache;
	struct codec *codec;
	struct passphrase *secrets;
};

struct input {
	const char *name; /* as given */
	struct image_options how;
	struct image *img;
	const struct state *state; /* the live one, or the snapshot that was asked for */
};

/* False: it has been told why.  End it in either case. */
bool input_session_begin(struct input_session *s, const struct args *a);
void input_session_end(struct input_session *s);

/* The defaults for opening an image of this format (NULL: look), which a verb may change. */
struct image_options input_session_options(const struct input_session *s, const char *format);

/* Opens name; false: it has been told why.  input must stay where it is until it is closed. */
bool input_open(struct input *input, const char *name, const struct image_options *how);
/* The same where another option than "-f " names the format. */
bool input_open_as(
	struct input *input, const char *name, const char *option, const struct image_options *how);
void input_close(struct input *input); /* one of zeroes is fine */

/* Chooses the snapshot of -l, if it is given.  Understands "snapshot.id=", "snapshot.name=" and a
 * plain name or id.  False: it has been told why. */
bool input_choose_state(struct input *input, const char *snapshot);

/* Prints the hint at a snapshot whose name is near to one that is not there.  Returns 1. */
int input_hint_snapshot(const struct input *input, const char *name);

/* For verbs of one image: checks the operands and --output, opens the image, and lets work loose on
 * it; the exit status. */
#define INPUT_ALONE   1u  /* without its parents */
#define INPUT_WRITE   2u  /* to be written; what was is durable on return */
#define INPUT_REPAIR  4u  /* for image_check */
#define INPUT_LOCKED  8u  /* encrypted and without a passphrase: what it is can be told */
#define INPUT_LENIENT 16u /* likewise, damaged or without its data file */

int input_run(
	const struct args *a, unsigned how, int (*work)(const struct args *a, struct input *input));

#endif
