/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* stress MOUNT HOST SECONDS SEED
 *
 * Runs 18 threads on a writable mount of the directory HOST for SECONDS, each with its own job.  A
 * writer knows the contents of each of its blocks; static.qcow2 and snapshots never change.  Exits
 * with 0 if all contents were right, else with 1 and a line for the first fault.  A thread that
 * completes no step for STUCK seconds is a fault. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "stress-jobs/job.h"

/* Readers. */

static void check_random_run(struct job *j, int fd)
{
	unsigned start, n;

	choose_run(j, &start, &n);
	if (fd >= 0 && read_all(j, fd, j->buf, (size_t)n * BLOCK, (off_t)start * BLOCK))
		is_right(j, j->buf, start, n);
}

static void do_read(struct job *j)
{
	int fd = open_patiently(j, mount_dir, j->image, O_RDONLY);

	for (int i = 0; i < 10; i++)
		check_random_run(j, fd);
	if (fd >= 0)
		close(fd);
}

static void do_map_static(struct job *j)
{
	int fd = open_patiently(j, mount_dir, j->image, O_RDONLY);
	unsigned start, n;
	void *map = fd < 0 ? MAP_FAILED : mmap(NULL, BLOCKS * BLOCK, PROT_READ, MAP_PRIVATE, fd, 0);

	choose_run(j, &start, &n);
	if (map != MAP_FAILED) {
		is_right(j, (unsigned char *)map + (size_t)start * BLOCK, start, n);
		munmap(map, BLOCKS * BLOCK);
	} else if (fd >= 0) {
		fault(j, "mmap: %s", strerror(errno));
	}
	if (fd >= 0)
		close(fd);
}

static uint64_t sum_of(struct job *j, const char *path, off_t *size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	uint64_t sum = 14695981039346656037u;
	ssize_t n = -1;

	*size = 0;
	while (fd >= 0 && (n = read(fd, j->buf, (size_t)RUN_MAX * BLOCK)) > 0) {
		for (ssize_t i = 0; i < n; i++)
			sum = (sum ^ j->buf[i]) * 1099511628211u;
		*size += n;
	}
	if (n < 0)
		*size = -errno;
	if (fd >= 0)
		close(fd);
	return sum;
}

/* Sets path to info.json (i = 0) or the i-th file of export/; false: there are fewer files. */
static bool generated_file(const struct job *j, unsigned i, char *path)
{
	struct dirent *d = NULL;
	DIR *list;

	path_to(path, mount_dir, j->image, i == 0 ? "info.json" : "export");
	list = i == 0 ? NULL : opendir(path);
	for (unsigned k = 0; list && k < i && (d = readdir(list));)
		if (d->d_name[0] != '.')
			k++;
	if (d) {
		size_t used = strlen(path);

		snprintf(path + used, PATH_MAX - used, "/%s", d->d_name);
	}
	if (list)
		closedir(list);
	return i == 0 || d;
}

/* An export has the same bytes at every reading. */
static void do_export(struct job *j)
{
	static _Atomic uint64_t sums[8];
	unsigned i = random_below(j, 8);
	char path[PATH_MAX];
	uint64_t sum, known;
	off_t size;

	if (!generated_file(j, i, path))
		return;
	sum = sum_of(j, path, &size);
	known = atomic_load(&sums[i]);
	if (size <= 0)
		fault(j, "%s: %s", path, strerror((int)-size));
	else if (known && known != sum)
		fault(j, "%s: other bytes than before", path);
	atomic_store(&sums[i], sum);
}

static unsigned list_tree(const char *dir, unsigned left)
{
	DIR *list = opendir(dir);
	struct dirent *d;
	char path[PATH_MAX];
	struct stat st;

	while (list && left > 0 && !atomic_load(&over) && (d = readdir(list))) {
		if (d->d_name[0] == '.')
			continue;
		left--;
		if (snprintf(path, sizeof path, "%s/%s", dir, d->d_name) < (int)sizeof path &&
			lstat(path, &st) == 0 && S_ISDIR(st.st_mode))
			left = list_tree(path, left);
	}
	if (list)
		closedir(list);
	return left;
}

static void do_list(struct job *j)
{
	if (list_tree(mount_dir, TREE) == TREE && !atomic_load(&over))
		fault(j, "the mount has no entries");
}

/* comes.qcow2 is replaced all the time. */
static void do_attributes(struct job *j)
{
	static const char *const images[] = {"static.qcow2", "one.qcow2", "two.vdi", "comes.qcow2"};
	char path[PATH_MAX], names[4096], value[4096];
	const char *image = images[random_below(j, 4)];
	ssize_t n;

	path_to(path, mount_dir, image, random_below(j, 2) ? "" : "disk.raw");
	n = listxattr(path, names, sizeof names);
	for (ssize_t at = 0; at < n; at += (ssize_t)strlen(names + at) + 1)
		if (getxattr(path, names + at, value, sizeof value) < 0 && errno != ENODATA &&
			!is_transient(errno) && !atomic_load(&over) &&
			strcmp(image, "comes.qcow2") != 0)
			fault(j, "attribute %s of %s: %s", names + at, image, strerror(errno));
}

/* Snapshots of one.qcow2, which two other jobs write at the same time. */

static int open_snapshot(const char *image, const char *name)
{
	char path[PATH_MAX];

	snprintf(path, sizeof path, "%s/%s/snapshots/%s/disk.raw", mount_dir, image, name);
	return open(path, O_RDONLY | O_CLOEXEC);
}

static bool sum_snapshot(struct job *j, const char *name, uint64_t *sum)
{
	char path[PATH_MAX];
	off_t size;

	snprintf(path, sizeof path, "%s/%s/snapshots/%s/disk.raw", mount_dir, j->image, name);
	*sum = sum_of(j, path, &size);
	if (size != (off_t)BLOCKS * BLOCK)
		fault(j, "%s: %lld bytes", path, (long long)size);
	return size == (off_t)BLOCKS * BLOCK;
}

static void change_name(struct job *j, const char *old, const char *new)
{
	char a[PATH_MAX], b[PATH_MAX];

	snprintf(a, sizeof a, "%s/%s/snapshots/%s", mount_dir, j->image, old);
	snprintf(b, sizeof b, "%s/%s/snapshots/%s", mount_dir, j->image, new);
	if (rename(a, b) < 0)
		fault(j, "rename: %s", strerror(errno));
}

static void do_snapshot(struct job *j)
{
	char path[PATH_MAX];
	uint64_t before, after;
	int fd;

	snprintf(path, sizeof path, "%s/%s/snapshots/s1", mount_dir, j->image);
	while (mkdir(path, 0700) < 0) {
		if (atomic_load(&over) || !is_transient(errno)) {
			if (!atomic_load(&over))
				fault(j, "mkdir: %s", strerror(errno));
			return;
		}
		usleep(2000);
	}
	fd = open_snapshot(j->image, "s1");
	if (fd < 0) {
		fault(j, "a new snapshot: %s", strerror(errno));
		return;
	}
	close(fd);
	if (!sum_snapshot(j, "s1", &before))
		return;
	change_name(j, "s1", "s2");
	if (sum_snapshot(j, "s2", &after) && before != after)
		fault(j, "the snapshot has changed");
	snprintf(path, sizeof path, "%s/%s/snapshots/s2", mount_dir, j->image);
	while (rmdir(path) < 0 && !atomic_load(&over)) {
		if (!is_transient(errno)) {
			fault(j, "rmdir: %s", strerror(errno));
			return;
		}
		usleep(2000);
	}
}

/* Images that mkdir creates on the mount, removed there or on the host. */

static void do_make(struct job *j)
{
	static const char *const suffixes[] = {"qcow2", "vdi", "vmdk", "vhd", "vhdx", "raw"};
	char name[64], path[PATH_MAX];
	unsigned i = random_below(j, 6);
	struct stat st;
	int fd;

	snprintf(name, sizeof name, "made.%s", suffixes[i]);
	path_to(path, mount_dir, name, "");
	if (mkdir(path, 0700) < 0) {
		fault(j, "mkdir %s: %s", name, strerror(errno));
		return;
	}
	if (random_below(j, 3) == 0) {
		if (rmdir(path) < 0)
			fault(j, "rmdir %s: %s", name, strerror(errno));
		return;
	}
	fd = open_patiently(j, mount_dir, name, O_RDWR);
	for (unsigned k = 0; k < RUN_MAX; k++)
		fill(j->buf + (size_t)k * BLOCK, j->no, k, 7);
	if (fd >= 0 && write_all(j, fd, j->buf, (size_t)RUN_MAX * BLOCK, 0)) {
		memset(j->buf, 0, (size_t)RUN_MAX * BLOCK);
		read_all(j, fd, j->buf, BLOCK, BLOCK);
		for (unsigned k = 0; k < BLOCKS; k++)
			j->versions[k] = 7;
		is_right(j, j->buf, 1, 1);
	}
	if (fd >= 0)
		close(fd);
	path_to(path, host_dir, name, "");
	if (unlink(path) < 0)
		fault(j, "unlink %s: %s", name, strerror(errno));
	path_to(path, mount_dir, name, "");
	while (stat(path, &st) == 0 && !atomic_load(&over))
		usleep(2000);
}

static bool copy_file(struct job *j, const char *from, const char *to)
{
	int in = open(from, O_RDONLY | O_CLOEXEC),
	    out = open(to, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	ssize_t n;

	while (in >= 0 && out >= 0 && (n = read(in, j->buf, (size_t)RUN_MAX * BLOCK)) > 0)
		if (write(out, j->buf, (size_t)n) != n)
			break;
	if (in >= 0)
		close(in);
	if (out >= 0)
		close(out);
	return in >= 0 && out >= 0;
}

/* Changes the host directory: adds an image, replaces it by another or by a link, or removes it. */
static void do_replace(struct job *j)
{
	char path[PATH_MAX], new[PATH_MAX], from[PATH_MAX];
	int fd;

	path_to(path, host_dir, j->image, "");
	path_to(new, host_dir, ".new", "");
	path_to(from, host_dir, random_below(j, 2) ? "static.qcow2" : "two.vdi", "");
	switch (random_below(j, 4)) {
	case 0:
		unlink(path);
		break;
	case 1:
		if (copy_file(j, from, new))
			rename(new, path);
		break;
	case 2:
		if (symlink("static.qcow2", new) == 0)
			rename(new, path);
		break;
	default:
		if (symlink("/etc/passwd", new) == 0)
			rename(new, path);
	}
	path_to(path, mount_dir, j->image, "disk.raw");
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd >= 0) {
		if (pread(fd, j->buf, BLOCK, 0) < 0 && errno != EIO && errno != ESTALE)
			fault(j, "read: %s", strerror(errno));
		close(fd);
	}
}

/* The jobs. */

static struct job jobs[] = {
	{.name = "write", .step = do_write, .image = "one.qcow2", .n = BLOCKS / 2},
	{.name = "write",
		.step = do_write,
		.image = "one.qcow2",
		.first = BLOCKS / 2,
		.n = BLOCKS / 2},
	{.name = "snapshot", .step = do_snapshot, .image = "one.qcow2", .n = BLOCKS},
	{.name = "write", .step = do_write, .image = "two.vdi", .n = BLOCKS},
	{.name = "write", .step = do_write, .image = "three.vmdk", .n = BLOCKS},
	{.name = "write", .step = do_write, .image = "four.vhdx", .n = BLOCKS},
	{.name = "write", .step = do_write, .image = "five.raw", .n = BLOCKS},
	{.name = "map", .step = do_map, .image = "six.qcow2", .n = BLOCKS},
	{.name = "copy", .step = do_copy, .image = "seven.vdi", .n = BLOCKS, .no = 99},
	{.name = "resize", .step = do_resize, .image = "eight.raw", .n = BLOCKS},
	{.name = "read", .step = do_read, .image = "static.qcow2", .n = BLOCKS, .no = 99},
	{.name = "read", .step = do_read, .image = "static.qcow2", .n = BLOCKS, .no = 99},
	{.name = "map", .step = do_map_static, .image = "static.qcow2", .n = BLOCKS, .no = 99},
	{.name = "export", .step = do_export, .image = "static.qcow2", .n = BLOCKS},
	{.name = "list", .step = do_list, .image = "all", .n = BLOCKS},
	{.name = "attributes", .step = do_attributes, .image = "some", .n = BLOCKS},
	{.name = "make", .step = do_make, .image = "made", .n = BLOCKS},
	{.name = "replace", .step = do_replace, .image = "comes.qcow2", .n = BLOCKS},
};
#define JOBS (sizeof jobs / sizeof jobs[0])

static void *work(void *arg)
{
	struct job *j = arg;

	while (!atomic_load(&over)) {
		j->step(j);
		atomic_fetch_add(&j->steps, 1);
	}
	return NULL;
}

static bool prepare(struct job *j, unsigned i, uint64_t seed)
{
	j->versions = calloc(BLOCKS, sizeof j->versions[0]);
	j->buf = malloc((size_t)RUN_MAX * BLOCK);
	j->fd = -1;
	j->random = (seed + i) * UINT64_C(0x9e3779b97f4a7c15) | 1;
	if (j->no == 0)
		j->no = i + 1;
	for (unsigned k = 0; j->versions && j->no == 99 && j->step != do_copy && k < BLOCKS; k++)
		j->versions[k] = 1;
	return j->versions && j->buf;
}

/* Fills static.qcow2 before the jobs start. */
static bool write_static(void)
{
	struct job *j = &jobs[10];

	j->fd = open_patiently(j, mount_dir, j->image, O_RDWR);
	for (unsigned k = 0; k < BLOCKS && j->fd >= 0; k += RUN_MAX) {
		for (unsigned i = 0; i < RUN_MAX; i++)
			fill(j->buf + (size_t)i * BLOCK, 99, k + i, 1);
		write_all(j, j->fd, j->buf, (size_t)RUN_MAX * BLOCK, (off_t)k * BLOCK);
	}
	if (j->fd < 0 || fsync(j->fd) < 0 || close(j->fd) < 0)
		return false;
	j->fd = -1;
	return atomic_load(&faults) == 0;
}

/* Waits for the end of the run, and reports threads that complete no step. */
static void watch(time_t seconds)
{
	time_t end = time(NULL) + seconds, moved[JOBS];
	unsigned seen[JOBS] = {0};

	for (size_t i = 0; i < JOBS; i++)
		moved[i] = time(NULL);
	while (!atomic_load(&over) && time(NULL) < end) {
		usleep(200000);
		for (size_t i = 0; i < JOBS; i++) {
			unsigned steps = atomic_load(&jobs[i].steps);

			if (steps != seen[i])
				moved[i] = time(NULL);
			else if (time(NULL) - moved[i] > STUCK)
				fault(&jobs[i], "no step for %d s", STUCK);
			seen[i] = steps;
		}
	}
	atomic_store(&over, true);
}

/* Verifies all written data once more. */
static void check_all(void)
{
	for (size_t i = 0; i < JOBS; i++) {
		struct job *j = &jobs[i];

		if (j->fd < 0)
			continue;
		for (unsigned k = j->first; k < j->first + j->n; k += RUN_MAX)
			if (read_all(j, j->fd, j->buf, (size_t)RUN_MAX * BLOCK, (off_t)k * BLOCK))
				is_right(j, j->buf, k, RUN_MAX);
		if (fsync(j->fd) < 0 || close(j->fd) < 0)
			fault(j, "at the end: %s", strerror(errno));
	}
}

int main(int argc, char **argv)
{
	uint64_t seed;

	if (argc != 5)
		return 2;
	mount_dir = argv[1];
	host_dir = argv[2];
	seed = strtoull(argv[4], NULL, 10);
	for (unsigned i = 0; i < JOBS; i++)
		if (!prepare(&jobs[i], i, seed))
			return 2;
	if (!write_static())
		return 1;
	for (size_t i = 0; i < JOBS; i++)
		pthread_create(&jobs[i].thread, NULL, work, &jobs[i]);
	watch(atol(argv[3]));
	alarm(STUCK); /* ends the program if a thread hangs */
	for (size_t i = 0; i < JOBS; i++)
		pthread_join(jobs[i].thread, NULL);
	check_all();
	for (size_t i = 0; i < JOBS; i++)
		fprintf(stderr, "%-12s %-14s %u steps\n", jobs[i].name, jobs[i].image,
			atomic_load(&jobs[i].steps));
	return atomic_load(&faults) ? 1 : 0;
}
