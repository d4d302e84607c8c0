/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* words.h - how an image is opened, as options in words: "format=raw", "share". */
#ifndef VDISK_OPEN_WORDS_H
#define VDISK_OPEN_WORDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "nbd/nbd.h"
#include "util/string-list.h"

struct err;
struct image_options;
struct nearest;

/* {0} is an empty one. */
struct open_words {
	char *format;
	char *disk;    /* the name of a disk in a package */
	char *backing; /* path or URI: the parent, in the place of the one that is recorded */
	char *tls_certs, *tls_psk; /* see nbd/nbd.h */
	uint64_t nbd_timeout;      /* seconds; 0: the default of the library */
	struct string_list allow, search, parent_formats;
	struct string_list passphrases, luks_headers; /* files, or UUID:FILE */
	uint64_t luks_memory;                         /* bytes; 0: the default of the library */
	uint64_t cache;                               /* bytes; 0: not given */
	bool nobacking, share, nosnapshots, ignore_parent_id;
	const char *backing_list[2]; /* private */
};

/* The bytes of a cache for which no size is given. */
#define OPEN_CACHE (32u << 20)

/* Adds a word.  -ENOENT, without a message: it is none of these; -EINVAL: a bad value. */
int open_words_add(struct open_words *w, const char *word, struct err *e);

/* What is done with the disk: OPEN_OVERLAY writes to an overlay, and leaves the image as it is. */
enum open_use { OPEN_READ, OPEN_WRITE, OPEN_OVERLAY };

/* Checks words against each other and the use, and the directories: a mistyped one would be without
 * effect and hard to find. */
int open_words_check(const struct open_words *w, enum open_use use, struct err *e);

/* Sets the members of how that have words, which borrows them.  Passphrases, LUKS headers and the
 * cache are the caller's to open. */
void open_words_apply(struct open_words *w, struct image_options *how);

/* How the server of a URI is connected, which is that of the image at path or of its backing file.
 */
struct nbd_options open_words_server(const struct open_words *w, const char *path, const char *uri);

/* Offers each word, as "format=" or "share". */
void open_words_offer(struct nearest *near);

/* Does a word "name=VALUE" exist? */
bool open_words_has_value(const char *name);

void open_words_free(struct open_words *w);

#endif
