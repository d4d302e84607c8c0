/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* job.h - the jobs of stress.c: their state, the blocks that they write, and faults. */
#ifndef MOUNT_STRESS_JOBS_JOB_H
#define MOUNT_STRESS_JOBS_JOB_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define BLOCK   512u
#define BLOCKS  8192u /* of each image: 4 MiB */
#define RUN_MAX 128u  /* blocks at a time */
#define STUCK   120   /* seconds */
#define TREE    400   /* entries per step of the lister */

struct job {
	const char *name;
	void (*step)(struct job *j);
	const char *image; /* its image */
	unsigned first, n; /* its blocks */
	unsigned no;
	uint64_t random;
	atomic_uint steps;
	int fd;
	uint32_t *versions; /* for each block; 0: zeroes */
	uint32_t version;
	unsigned char *buf;
	pthread_t thread;
};

extern const char *mount_dir, *host_dir;
extern atomic_bool over; /* the run has ended */
extern atomic_int faults;

__attribute__((format(printf, 2, 3))) void fault(const struct job *j, const char *fmt, ...);
uint32_t random_below(struct job *j, uint32_t n);
const char *path_to(char *buf, const char *dir, const char *image, const char *file);
void fill(unsigned char *block, unsigned job, unsigned no, uint32_t version);
bool is_right(struct job *j, const unsigned char *bytes, unsigned start, unsigned n);
bool is_transient(int code);
int open_patiently(struct job *j, const char *dir, const char *image, int flags);
bool write_all(struct job *j, int fd, const void *bytes, size_t len, off_t pos);
bool read_all(struct job *j, int fd, void *bytes, size_t len, off_t pos);

/* Jobs that write their range of blocks, and checks of it. */
void choose_run(struct job *j, unsigned *start, unsigned *n);
void do_write(struct job *j);
void do_copy(struct job *j);
void do_map(struct job *j);
void do_resize(struct job *j);

#endif
