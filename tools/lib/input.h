/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* input.h - opens the images of a verb as its options require.
 *
 * One input_session serves all images of a run: they share a cache, a codec and the passphrases.
 * Failures are reported here, with hints that name the options of the verb.
 */
#ifndef VDISK_TOOLS_LIB_INPUT_H
#define VDISK_TOOLS_LIB_INPUT_H

#include <stdbool.h>

#include "image/image.h"
#include "util/blockdev.h"
#include "util/string-list.h"

struct args;
struct err;

/* Servers that a command line may name. */
#define INPUT_SERVERS_MAX 64

struct input_session {
	const struct args *args;
	struct string_list allow;                      /* directories */
	struct nbd_server *nbd[INPUT_SERVERS_MAX + 1]; /* of the command line; NULL-terminated */
	struct cache *cache;
	struct codec *codec;
	struct passphrase *secrets;
	struct luks_header_file *luks_headers;
	uint64_t luks_memory;
};

struct input {
	const char *name;          /* as the user gave it */
	struct blockdev described; /* the name that was a description; or {0} */
	struct image_options how;
	struct image *img;
	const struct state *state; /* the live state, or the snapshot of -l */
	bool json;                 /* --output=json, in work of input_run */
};

/* Connects the servers that operands and the option of a backing file name by URIs.  False after an
 * error.  End it in either case.
 */
bool input_session_begin(struct input_session *s, const struct args *a);
void input_session_end(struct input_session *s);

/* Options for an image of this format (NULL: probe it), which the verb may change. */
struct image_options input_session_options(const struct input_session *s, const char *format);

/* The same for the image that the verb is about, which may have the parents that the user names. */
struct image_options input_session_source(const struct input_session *s, const char *format);

/* Opens an operand: a name, or a description of --image-opts, json: or file:.  False after an
 * error; option as below.  input must not move until it is closed. */
bool input_open_operand(struct input *input, const struct input_session *s, const char *operand,
	const char *option, const struct image_options *how);

/* Opens name; false after an error.  input must not move until it is closed. */
bool input_open(struct input *input, const char *name, const struct image_options *how);
/* The same, for hints: option gives the format of this image, "-F " instead of "-f ". */
bool input_open_as(
	struct input *input, const char *name, const char *option, const struct image_options *how);
void input_close(struct input *input); /* {0} is fine */

/* Sets state to a snapshot: "snapshot.id=ID", "snapshot.name=NAME", both, or a plain name or ID;
 * NULL leaves the live state.  False after an error. */
bool input_choose_state(struct input *input, const char *snapshot);

/* Hints at a snapshot with a name similar to the missing one.  Returns 1. */
int input_hint_snapshot(const struct input *input, const char *name);

/* For verbs of one image: checks the operands and --output, opens the image, calls work and makes
 * the image durable.  Returns the exit status. */
#define INPUT_ALONE   1u  /* without its parents */
#define INPUT_WRITE   2u  /* for writing */
#define INPUT_REPAIR  4u  /* for image_check */
#define INPUT_LOCKED  8u  /* metadata only, if it is encrypted and there is no passphrase */
#define INPUT_LENIENT 16u /* metadata only, if it is damaged or lacks its data file */

int input_run(
	const struct args *a, unsigned how, int (*work)(const struct args *a, struct input *input));

#endif
