/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* mount.c - the session with the kernel. */
#include "mount.h"

#include <errno.h>
#include <fuse_lowlevel.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "err.h"
#include "ops.h"
#include "options.h"
#include "refuse.h"
#include "dirs.h"
#include "write.h"

int mount_check(const char *mountpoint, char **path, struct err *e)
{
	struct stat st;

	*path = realpath(mountpoint, NULL);
	if (!*path) {
		err_set(e, errno, "%s: %s", mountpoint, strerror(errno));
		if (e->code == ENOTCONN)
			err_hint(e, "a mount there is dead; fusermount3 -u removes it");
		return -e->code;
	}
	/* A descriptor of /dev/fuse, mounted by the caller, is no directory. */
	if (stat(*path, &st) == 0 && !S_ISDIR(st.st_mode) &&
		strncmp(mountpoint, "/dev/fd/", 8) != 0) {
		free(*path);
		*path = NULL;
		return err_set(e, ENOTDIR, "%s: a mount point must be a directory", mountpoint);
	}
	return 0;
}

/* The image as the list of mounts shall show it; malloc'ed or NULL. */
static char *source_of(const char *image)
{
	char *dir, *source;

	if (image[0] == '/')
		return strdup(image);
	dir = get_current_dir_name();
	if (!dir || asprintf(&source, "%s/%s", dir, image) < 0)
		source = NULL;
	free(dir);
	return source;
}

/* "-o WORDS", the last of them the source, whose commas must not end it. */
static int add_mount_options(struct fuse_args *args, const struct options *o)
{
	char *words = NULL, *fsname = NULL, *source = source_of(o->image);
	int ret = -1;

	if (source && asprintf(&fsname, "fsname=%s", source) >= 0 &&
		asprintf(&words,
			"%s,nosuid,nodev,noexec,noatime,default_permissions,subtype=vdiskfs,"
			"max_read=%u",
			o->writable ? "rw" : "ro", o->max_read) >= 0 &&
		fuse_opt_add_opt_escaped(&words, fsname) == 0 &&
		fuse_opt_insert_arg(args, 1, words) == 0)
		ret = fuse_opt_insert_arg(args, 1, "-o");
	free(source);
	free(fsname);
	free(words);
	return ret;
}

/* Ours first, so that the user's come last and win. */
static struct fuse_session *session_new(
	const struct options *o, struct server *server, struct err *e)
{
	struct fuse_lowlevel_ops ops = server_ops;
	struct fuse_args args = FUSE_ARGS_INIT(0, NULL);
	struct fuse_session *se = NULL;
	int ret = 0;

	for (int i = 0; ret == 0 && i < o->fuse.argc; i++)
		ret = fuse_opt_add_arg(&args, o->fuse.argv[i]);
	if (ret < 0 || add_mount_options(&args, o) < 0) {
		err_nomem(e);
	} else {
		refuse_changes(&ops);
		if (server->writable) {
			write_changes(&ops);
			dirs_changes(&ops);
		}
		se = fuse_session_new(&args, &ops, sizeof ops, server);
	}
	fuse_opt_free_args(&args);
	return se;
}

struct fuse_session *mount_open(
	const struct options *o, const char *mountpoint, struct server *server, struct err *e)
{
	struct fuse_session *se = session_new(o, server, e);

	if (!se)
		return NULL;
	if (fuse_set_signal_handlers(se) == 0 && fuse_session_mount(se, mountpoint) == 0)
		return se;
	fuse_session_destroy(se);
	return NULL;
}

int mount_serve(struct fuse_session *se, unsigned threads)
{
	struct fuse_loop_config *config = fuse_loop_cfg_create();
	int ret;

	if (!config)
		return -ENOMEM;
	/* Workers are never ended for being idle, that is the default.  A descriptor of /dev/fuse
	 * for each was not faster, and the sandbox would have to let it be opened. */
	fuse_loop_cfg_set_max_threads(config, threads);
	ret = fuse_session_loop_mt(se, config);
	fuse_loop_cfg_destroy(config);
	return ret;
}

void mount_close(struct fuse_session *se, bool can_unmount)
{
	fuse_remove_signal_handlers(se);
	if (can_unmount)
		fuse_session_unmount(se);
	fuse_session_destroy(se);
}
