/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* options.h - the command line of vdiskfs: its own options, those of libfuse, and those that
 * mount(8) and fstab add. */
#ifndef VDISKFS_DAEMON_OPTIONS_H
#define VDISKFS_DAEMON_OPTIONS_H

#include <fuse_opt.h>
#include <stddef.h>
#include <stdint.h>

#include "base/access.h"
#include "mount-helper.h"
#include "sandbox.h"
#include "open/words.h"

struct options {
	char *image, *mountpoint; /* image: a path, the URI of an NBD server, or a command */
	char **command; /* of the server that image names; NULL-terminated; NULL: it names none */
	struct open_words words; /* how the images are opened */
	char *snapshot;
	int writable;     /* the live state is writable: the image, or with cow the overlay */
	int cow;          /* the image itself is not changed */
	char *cow_file;   /* the overlay; NULL: a temporary one */
	int copy_on_read; /* the overlay keeps what is read */
	int nopassthrough;
	int vdisk_hints; /* hints name options of vdisk */
	struct access access;
	int foreground, debug, single_thread;
	enum sandbox_mode sandbox;
	unsigned threads; /* workers */
	unsigned max_read;
	int holder;            /* the read end of a pipe, see ops/holder.h; -1: none */
	unsigned idle;         /* seconds after which an unused image of a directory is closed */
	struct fuse_args fuse; /* options for libfuse */
	struct mount_helper helper;

	/* Unparsed values, for options.c only. */
	int rw, ro, mount_words, list_formats, help, version;
	char *sandbox_word, *threads_word, *idle_word, *uid_word, *gid_word, *umask_word,
		*command_name;
};

enum options_verdict {
	OPTIONS_MOUNT,
	OPTIONS_DONE, /* --help or the like was printed */
	OPTIONS_BAD,  /* an error was printed */
};

enum options_verdict options_parse(struct options *o, int argc, char **argv);
void options_free(struct options *o);

#endif
