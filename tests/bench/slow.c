/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* slow DIR MOUNTPOINT MS   shows the files of DIR, for reading, as if they were on a slow disk:
 * each request takes MS milliseconds, however many are made at once.
 *
 * It stays in the foreground until it is unmounted.  A new mount has none of its pages in the page
 * cache of the kernel. */
#define FUSE_USE_VERSION 312
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <fuse.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define THREADS 64 /* requests that are handled at once at most */
#define QUEUE   4096

static int dir_fd;
static long delay_ms;

static const char *below(const char *path)
{
	return path[1] ? path + 1 : ".";
}

static int slow_getattr(const char *path, struct stat *st, struct fuse_file_info *fi)
{
	(void)fi;
	return fstatat(dir_fd, below(path), st, 0) < 0 ? -errno : 0;
}

static int slow_readdir(const char *path, void *buf, fuse_fill_dir_t fill, off_t off,
	struct fuse_file_info *fi, enum fuse_readdir_flags flags)
{
	int fd = openat(dir_fd, below(path), O_RDONLY | O_DIRECTORY);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);

	(void)off, (void)fi, (void)flags;
	if (!dir)
		return -errno;
	for (struct dirent *d; (d = readdir(dir));)
		fill(buf, d->d_name, NULL, 0, 0);
	closedir(dir);
	return 0;
}

static int slow_open(const char *path, struct fuse_file_info *fi)
{
	int fd = openat(dir_fd, below(path), O_RDONLY);

	if (fd < 0)
		return -errno;
	fi->fh = (uint64_t)fd;
	fi->keep_cache = 1;
	return 0;
}

static int slow_read(const char *path, char *buf, size_t len, off_t off, struct fuse_file_info *fi)
{
	struct timespec delay = {delay_ms / 1000, delay_ms % 1000 * 1000000};
	ssize_t n;

	(void)path;
	nanosleep(&delay, NULL);
	n = pread((int)fi->fh, buf, len, off);
	return n < 0 ? -errno : (int)n;
}

static int slow_release(const char *path, struct fuse_file_info *fi)
{
	(void)path;
	close((int)fi->fh);
	return 0;
}

static void *slow_init(struct fuse_conn_info *conn, struct fuse_config *config)
{
	/* A congested mount ignores readahead, which a disk does not. */
	conn->max_background = QUEUE;
	conn->congestion_threshold = QUEUE;
	config->kernel_cache = 1;
	return NULL;
}

static const struct fuse_operations operations = {
	.init = slow_init,
	.getattr = slow_getattr,
	.readdir = slow_readdir,
	.open = slow_open,
	.read = slow_read,
	.release = slow_release,
};

static int serve(struct fuse *fuse, const char *mountpoint)
{
	struct fuse_loop_config *config = fuse_loop_cfg_create();
	struct fuse_session *session = fuse_get_session(fuse);

	if (fuse_mount(fuse, mountpoint) < 0)
		return 1;
	fuse_loop_cfg_set_max_threads(config, THREADS);
	fuse_loop_cfg_set_idle_threads(config, THREADS);
	fuse_set_signal_handlers(session);
	fuse_loop_mt(fuse, config);
	fuse_remove_signal_handlers(session);
	fuse_unmount(fuse);
	fuse_loop_cfg_destroy(config);
	return 0;
}

int main(int argc, char **argv)
{
	char *words[] = {argv[0], NULL};
	struct fuse_args args = FUSE_ARGS_INIT(1, words);
	struct fuse *fuse;
	int status;

	if (argc != 4) {
		fprintf(stderr, "usage: slow DIR MOUNTPOINT MS\n");
		return 2;
	}
	delay_ms = atol(argv[3]);
	dir_fd = open(argv[1], O_RDONLY | O_DIRECTORY);
	if (dir_fd < 0) {
		perror(argv[1]);
		return 1;
	}
	fuse = fuse_new(&args, &operations, sizeof operations, NULL);
	status = fuse ? serve(fuse, argv[2]) : 1;
	fuse_destroy(fuse);
	fuse_opt_free_args(&args);
	return status;
}
