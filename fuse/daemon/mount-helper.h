/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* mount-helper.h - the command line that mount(8) gives to the program of a file system type:
 *
 *     mount.vdiskfs IMAGE DIR [-sfnv] [-N NAMESPACE] [-o OPTIONS] [-t TYPE]
 *
 * vdiskfs has this command line if it is called by a name that begins with "mount.".
 */
#ifndef VDISKFS_DAEMON_MOUNT_HELPER_H
#define VDISKFS_DAEMON_MOUNT_HELPER_H

#include <stdbool.h>

struct mount_helper {
	int is_helper; /* the program is called by such a name */
	int fake;      /* -f: parse the options and do not mount */
	int sloppy;    /* -s: ignore unknown options */
	int read_only, help, version;
	int argc;
	char **argv; /* the same command as arguments of vdiskfs; malloc'ed */
};

/* Translates the command line and enters the mount namespace of -N; the names of all files refer
 * to that from then on.  argv is reordered.  Under any other name, the command line stays.
 * False: an error was printed. */
bool mount_helper_translate(struct mount_helper *h, int argc, char **argv);
void mount_helper_free(struct mount_helper *h);

/* The exit status of an error: a mount that failed is 32 for mount(8). */
int mount_helper_status(const struct mount_helper *h, bool misused);

#endif
