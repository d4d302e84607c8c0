/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* session.c - see session.h. */
#include "session.h"

#include <errno.h>
#include <fcntl.h>
#include <fuse_lowlevel.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "util/err.h"
#include "util/protocol.h"
#include "io/host.h"
#include "io/mountinfo.h"
#include "ops/ops.h"
#include "options.h"
#include "ops/namespace.h"
#include "ops/negotiate.h"
#include "ops/request.h"
#include "ops/write.h"

/* Limit for the first request of the kernel, in ms; normally it is there at once. */
#define ANSWER_MAX 30000

/* The absolute path of the image, or the name of its server, for the list of mounts; malloc'ed, or
 * NULL. */
static char *source_of(const struct options *o)
{
	const char *image = o->image;
	char *dir, *source;

	if (image[0] == '/' || o->command || protocol_is_nbd(image))
		return strdup(image);
	dir = get_current_dir_name();
	if (!dir || asprintf(&source, "%s/%s", dir, image) < 0)
		source = NULL;
	free(dir);
	return source;
}

struct occupant {
	const char *dir;
	char *image; /* of the vdiskfs mounted on top there, malloc'ed; NULL: none */
};

static void find_occupant(void *arg, const struct mount_line *line)
{
	struct occupant *o = arg;

	if (strcmp(line->dir, o->dir) != 0)
		return;
	free(o->image);
	o->image = strcmp(line->type, "fuse.vdiskfs") == 0 ? strdup(line->source) : NULL;
}

/* Like mount(8), refuses to mount the same image on top of itself; another image is fine.  A user
 * cannot mount on any vdiskfs: fusermount3 requires a directory that he can write to. */
static int check_free(const struct options *o, const char *path, struct err *e)
{
	struct occupant x = {.dir = path};
	char *source = source_of(o);

	mountinfo_read(find_occupant, &x);
	if (x.image && source && (geteuid() != 0 || strcmp(x.image, source) == 0)) {
		err_set(e, EBUSY, "%s: %s is mounted there already", path, x.image);
		err_hint(e, "vdisk umount %s ends that mount", path);
	}
	free(source);
	free(x.image);
	return -e->code;
}

/* Avoids a request to a mount there, which may not answer. */
static bool is_directory(const char *path)
{
	struct statx st;
	struct stat old;

	if (host_peek(AT_FDCWD, path, STATX_TYPE, &st) == 0)
		return S_ISDIR(st.stx_mode);
	return stat(path, &old) == 0 && S_ISDIR(old.st_mode);
}

int session_check(const struct options *o, char **path, struct err *e)
{
	const char *mountpoint = o->mountpoint;
	int ret = 0;

	*path = realpath(mountpoint, NULL);
	if (!*path) {
		ret = err_set(e, errno, "%s: %s", mountpoint, strerror(errno));
		if (e->code == ENOTCONN)
			err_hint(e, "a mount there is dead; fusermount3 -u removes it");
	} else if (strncmp(mountpoint, "/dev/fd/", 8) == 0) {
		return 0; /* a descriptor of /dev/fuse, which the caller has mounted */
	} else if (!is_directory(*path)) {
		ret = err_set(e, ENOTDIR, "%s: a mount point must be a directory", mountpoint);
	} else {
		ret = check_free(o, *path, e);
	}
	if (ret < 0) {
		free(*path);
		*path = NULL;
	}
	return ret;
}

/* Inserts our -o options first: of an option given twice the last wins, which is the user's. */
static int add_mount_options(struct fuse_args *args, const struct options *o)
{
	char *words = NULL, *fsname = NULL, *source = source_of(o);
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

struct fuse_session *session_open(
	const struct options *o, const char *mountpoint, struct server *server, struct err *e)
{
	struct fuse_lowlevel_ops ops = ops_table;
	struct fuse_args args = FUSE_ARGS_INIT(0, NULL);
	struct fuse_session *se = NULL;
	int ret = 0;

	/* For allow_root libfuse appends an option, which "--" would turn into an operand. */
	for (int i = 0; ret == 0 && i < o->fuse.argc; i++)
		if (strcmp(o->fuse.argv[i], "--") != 0)
			ret = fuse_opt_add_arg(&args, o->fuse.argv[i]);
	if (ret < 0 || add_mount_options(&args, o) < 0) {
		err_nomem(e);
	} else {
		if (server->writable) {
			write_add_ops(&ops);
			namespace_add_ops(&ops);
		}
		se = fuse_session_new(&args, &ops, sizeof ops, server);
	}
	fuse_opt_free_args(&args);
	if (!se || (fuse_set_signal_handlers(se) == 0 && fuse_session_mount(se, mountpoint) == 0))
		return se;
	fuse_session_destroy(se);
	return NULL;
}

int session_answer(struct fuse_session *se, struct server *server, struct err *e)
{
	struct pollfd request = {.fd = fuse_session_fd(se), .events = POLLIN};
	struct fuse_buf buf = {.mem = NULL};
	int n = poll(&request, 1, ANSWER_MAX);

	if (n < 0 && errno == EINTR)
		return 0; /* a signal: the loop ends at once */
	if (n == 0)
		return err_set(e, ETIMEDOUT, "the kernel does not use the mount");
	n = fuse_session_receive_buf(se, &buf);
	if (n > 0) {
		negotiate_offer(server, se, &buf);
		fuse_session_process_buf(se, &buf);
	}
	free(buf.mem);
	return n < 0 && n != -EINTR ? err_set(e, -n, "the mount: %s", strerror(-n)) : 0;
}

int session_serve(struct fuse_session *se, unsigned threads)
{
	struct fuse_loop_config *config = fuse_loop_cfg_create();
	int ret;

	if (!config)
		return -ENOMEM;
	/* One descriptor of /dev/fuse for all workers: one for each was not faster, and would have
	 * to be opened inside the sandbox.  Idle workers stay, by default. */
	fuse_loop_cfg_set_max_threads(config, threads);
	ret = fuse_session_loop_mt(se, config);
	fuse_loop_cfg_destroy(config);
	return ret;
}

void session_close(struct fuse_session *se, bool can_unmount)
{
	fuse_remove_signal_handlers(se);
	if (can_unmount)
		fuse_session_unmount(se);
	fuse_session_destroy(se);
}
