/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* corrupt.h - damages good images.  Nothing of formats/ is used, since its checks are tested with
 * them. */
#ifndef CORRUPT_H
#define CORRUPT_H

#include <stddef.h>
#include <stdint.h>

/* The image to damage. */
struct target {
	int fd;
	uint64_t size;  /* of the file */
	uint64_t state; /* of the random numbers */
};

struct corruption {
	const char *format, *name;
	void (*plant)(struct target *v);
};

struct corruptions {
	const struct corruption *list;
	size_t n;
};

extern const struct corruptions qcow2_corruptions, vdi_corruptions, vmdk_corruptions,
	vhdx_corruptions, vpc_corruptions;

/* A random number less than n. */
uint64_t choose(struct target *v, uint64_t n);

/* Position of a random one of the n values of width bytes from pos on for which wanted returns
 * nonzero. */
typedef int wanted_fn(uint64_t value);
uint64_t choose_le(struct target *v, uint64_t pos, uint64_t n, unsigned width, wanted_fn *wanted);
uint64_t choose_be(struct target *v, uint64_t pos, uint64_t n, unsigned width, wanted_fn *wanted);

/* mkimage --corruptions, and mkimage --corrupt FORMAT NAME FILE SEED */
void corrupt_list(void);
void corrupt_file(const char *format, const char *name, const char *path, const char *seed);

#endif
