/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* floor MOUNTPOINT BYTES STORE
 *
 * A filesystem without content, mounted as vdiskfs mounts: the least that copying through FUSE
 * costs on this machine.  "read" has BYTES bytes, answered from one buffer and read through the
 * page cache; what is written to "write" goes to the file STORE as it is, past the page cache. Runs
 * in the foreground until it is unmounted. */
#include <errno.h>
#include <fcntl.h>
#include <fuse_lowlevel.h>
#include <linux/fuse.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* As in fuse/: */
#define MAX_READ     (512u << 10)
#define MAX_WRITE    (1u << 20)
#define BACKGROUND   64
#define CONGESTION   48
#define KEEP_SECONDS 86400.0

#ifndef FOPEN_PARALLEL_DIRECT_WRITES
#define FOPEN_PARALLEL_DIRECT_WRITES (1u << 6)
#endif

enum { INO_READ = FUSE_ROOT_ID + 1, INO_WRITE };

static char buf[MAX_READ];
static uint64_t bytes;
static int store;

static void stat_of(fuse_ino_t ino, struct stat *st)
{
	*st = (struct stat){.st_ino = ino, .st_nlink = 1, .st_uid = getuid(), .st_gid = getgid()};
	st->st_mode = ino == FUSE_ROOT_ID ? S_IFDIR | 0700 : S_IFREG | 0600;
	st->st_size = ino == INO_READ ? (off_t)bytes : 0;
	st->st_blocks = st->st_size / 512;
	st->st_blksize = MAX_WRITE;
}

static void op_init(void *userdata, struct fuse_conn_info *conn)
{
	(void)userdata;
	conn->max_read = MAX_READ;
	conn->max_write = MAX_WRITE;
	conn->max_background = BACKGROUND;
	conn->congestion_threshold = CONGESTION;
	conn->want &= ~(unsigned)FUSE_CAP_AUTO_INVAL_DATA;
}

static void op_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct fuse_entry_param entry = {
		.ino = strcmp(name, "read") == 0 ? INO_READ : INO_WRITE,
		.attr_timeout = KEEP_SECONDS,
		.entry_timeout = KEEP_SECONDS,
	};

	(void)parent;
	if (entry.ino == INO_WRITE && strcmp(name, "write") != 0) {
		fuse_reply_err(req, ENOENT);
		return;
	}
	stat_of(entry.ino, &entry.attr);
	fuse_reply_entry(req, &entry);
}

static void op_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct stat st;

	(void)fi;
	stat_of(ino, &st);
	fuse_reply_attr(req, &st, KEEP_SECONDS);
}

/* cp truncates its target. */
static void op_setattr(
	fuse_req_t req, fuse_ino_t ino, struct stat *to, int which, struct fuse_file_info *fi)
{
	(void)to;
	(void)which;
	op_getattr(req, ino, fi);
}

static void op_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct fuse_open_out out = {.open_flags = FOPEN_DIRECT_IO | FOPEN_PARALLEL_DIRECT_WRITES};

	if (ino == INO_WRITE)
		fuse_reply_buf(req, (const char *)&out, sizeof out);
	else
		fuse_reply_open(req, fi);
}

static void op_read(
	fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, struct fuse_file_info *fi)
{
	uint64_t left = ino == INO_READ && (uint64_t)off < bytes ? bytes - (uint64_t)off : 0;

	(void)fi;
	fuse_reply_buf(req, buf, size < left ? size : left);
}

/* As vdiskfs does for a program that copies, replies first. */
static void op_write(fuse_req_t req, fuse_ino_t ino, const char *data, size_t size, off_t off,
	struct fuse_file_info *fi)
{
	(void)ino;
	(void)fi;
	fuse_reply_write(req, size);
	if (pwrite(store, data, size, off) != (ssize_t)size) {
		perror("floor");
		_exit(1);
	}
}

static const struct fuse_lowlevel_ops ops = {
	.init = op_init,
	.lookup = op_lookup,
	.getattr = op_getattr,
	.setattr = op_setattr,
	.open = op_open,
	.read = op_read,
	.write = op_write,
};

static int serve(struct fuse_session *se)
{
	struct fuse_loop_config *config = fuse_loop_cfg_create();
	long processors = sysconf(_SC_NPROCESSORS_ONLN);
	int ret;

	fuse_loop_cfg_set_max_threads(config, processors > 2 ? 2 * (unsigned)processors : 4);
	ret = fuse_session_loop_mt(se, config);
	fuse_loop_cfg_destroy(config);
	return ret;
}

int main(int argc, char **argv)
{
	static const char options[] = "-onosuid,nodev,noexec,noatime,default_permissions,"
				      "fsname=floor,max_read=524288";
	struct fuse_args args = FUSE_ARGS_INIT(0, NULL);
	struct fuse_session *se = NULL;
	int ret;

	if (argc != 4) {
		fprintf(stderr, "usage: floor MOUNTPOINT BYTES STORE\n");
		return 2;
	}
	bytes = strtoull(argv[2], NULL, 0);
	store = open(argv[3], O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	memset(buf, 'f', sizeof buf);
	if (fuse_opt_add_arg(&args, argv[0]) == 0 && fuse_opt_add_arg(&args, options) == 0)
		se = fuse_session_new(&args, &ops, sizeof ops, NULL);
	fuse_opt_free_args(&args);
	if (store < 0 || !se || fuse_set_signal_handlers(se) != 0 ||
		fuse_session_mount(se, argv[1]) != 0) {
		perror("floor");
		return 1;
	}
	ret = serve(se);
	fuse_session_unmount(se);
	fuse_session_destroy(se);
	return ret != 0;
}
