/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* options.h - the command line. */
#ifndef VDISKFS_DAEMON_OPTIONS_H
#define VDISKFS_DAEMON_OPTIONS_H

#include <fuse_opt.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/access.h"
#include "sandbox.h"
#include "util/string-list.h"

struct options {
	char *image, *mountpoint;
	char *format;
	char *snapshot;
	struct string_list allow, search, parent_formats;
	struct string_list passphrases; /* files */
	int writable;   /* what is live can be written: the image, or with cow its overlay */
	int cow;        /* the image itself stays as it is */
	char *cow_file; /* the overlay; NULL: one for the time of the mount */
	int nobacking, share, nosnapshots, ignore_parent_id;
	int vdisk_hints; /* in messages, options are those of vdisk */
	struct access access;
	int foreground, debug, single_thread;
	enum sandbox_mode sandbox;
	size_t cache;     /* bytes */
	unsigned threads; /* workers */
	unsigned max_read;
	int holder;            /* the read end of a pipe, see ops/holder.h; -1: none */
	unsigned idle;         /* seconds that an image in a directory stays open unused */
	struct fuse_args fuse; /* what libfuse shall see */

	/* As given, for options.c. */
	int rw, ro, mount_words, list_formats, help, version;
	char *sandbox_word, *cache_word, *threads_word, *idle_word, *uid_word, *gid_word,
		*umask_word;
};

/* What to do now. */
enum options_verdict {
	OPTIONS_MOUNT,
	OPTIONS_DONE, /* something was asked and has been printed */
	OPTIONS_BAD,  /* a line on stderr says what is wrong */
};

enum options_verdict options_parse(struct options *o, int argc, char **argv);
void options_free(struct options *o);

#endif
