/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* copy-fate.h - decides how a run of bytes reaches the output of a copy. */
#ifndef VDISK_TOOLS_LIB_COPY_FATE_H
#define VDISK_TOOLS_LIB_COPY_FATE_H

#include <stddef.h>
#include <stdint.h>

struct copy;
struct err;

enum copy_fate {
	COPY_SKIP,  /* the output reads like this already */
	COPY_ZERO,  /* zeroes that hide other bytes of the output */
	COPY_WRITE, /* data */
};

/* Compares buf, the bytes for offset off of the output, with what the output reads there: its
 * backing file if c->below is set, else zeroes.  Without c->is_new the output is looked at first,
 * since it may have clusters of its own there. */
int copy_fate(const struct copy *c, const unsigned char *buf, size_t len, uint64_t off,
	enum copy_fate *fate, struct err *e);

#endif
