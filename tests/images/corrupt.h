/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* corrupt.h - planting damage in good images: what it is found by is none of formats/. */
#ifndef CORRUPT_H
#define CORRUPT_H

#include <stddef.h>
#include <stdint.h>

/* A good image that is about to lose its health. */
struct victim {
	int fd;
	uint64_t size;  /* of the file */
	uint64_t state; /* of what chooses */
};

struct corruption {
	const char *format, *name;
	void (*plant)(struct victim *v);
};

struct corruptions {
	const struct corruption *list;
	size_t n;
};

extern const struct corruptions qcow2_corruptions, vdi_corruptions, vmdk_corruptions,
	vhdx_corruptions, vpc_corruptions;

/* Less than n. */
uint64_t choose(struct victim *v, uint64_t n);

/* One of the n values of width bytes from pos on that wanted says yes to: its position. */
typedef int wanted_fn(uint64_t value);
uint64_t choose_le(struct victim *v, uint64_t pos, uint64_t n, unsigned width, wanted_fn *wanted);
uint64_t choose_be(struct victim *v, uint64_t pos, uint64_t n, unsigned width, wanted_fn *wanted);

/* mkimage --corruptions, and mkimage --corrupt FORMAT NAME FILE SEED */
void corrupt_list(void);
void corrupt_file(const char *format, const char *name, const char *path, const char *seed);

#endif
