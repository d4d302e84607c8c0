/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* vmdk.h - private to the VMDK driver: vmdk.c opens and puts extents in a row, vmdk-desc.c reads
 * the text descriptor, vmdk-sparse.c is the hosted sparse extent, compressed or not.
 *
 * Everything is counted in sectors of 512 bytes and little-endian.
 */
#ifndef VDISK_VMDK_H
#define VDISK_VMDK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct cache;
struct codec;
struct err;
struct extent;
struct io;

#define VMDK_SECTOR 512u

/* The text descriptor. */

enum vmdk_type {
	VMDK_FLAT,   /* raw bytes of a file, from a sector of it on */
	VMDK_SPARSE, /* a file of its own structure */
	VMDK_ZERO,   /* nothing: zeroes */
};

struct vmdk_line {
	enum vmdk_type type;
	bool no_access;   /* reads as zeroes */
	uint64_t sectors; /* > 0 */
	uint64_t offset;  /* FLAT: first sector in the file */
	char *file;       /* NULL: ZERO */
};

struct vmdk_desc {
	uint32_t cid, parent_cid;
	char *create_type; /* "" when it is missing; likewise the rest */
	char *parent_hint; /* NULL: none */
	char *parent_uuid; /* VirtualBox's way to name a parent; NULL: none */
	char *uuid;
	uint32_t sector_size; /* of the guest's disk; 0: not said */
	struct vmdk_line *lines;
	size_t nlines;
};

#define VMDK_NO_PARENT 0xffffffffu

/* Does text look like a descriptor?  For probing. */
bool vmdk_desc_recognise(const char *text, size_t len);

/* Reads len bytes, up to the first NUL.  Errors name the line.  Free in either case. */
int vmdk_desc_parse(struct vmdk_desc *d, const char *text, size_t len, struct err *e);
void vmdk_desc_free(struct vmdk_desc *d);

/* A sparse extent. */

#define VMDK_MAGIC          0x564d444bu /* "KDMV" */
#define VMDK_COWD_MAGIC     0x44574f43u /* "COWD" */
#define VMDK_SESPARSE_MAGIC 0xcafebabeu

struct vmdk_sparse {
	struct cache *cache;
	struct codec *codec;
	struct io *io;
	uint64_t capacity;   /* sectors */
	uint64_t grain_size; /* bytes */
	uint32_t gtes;       /* entries of a grain table */
	uint64_t ngrains, ntables;
	uint64_t gd_pos, rgd_pos; /* of the directory and its copy; 0: no copy */
	uint64_t overhead;        /* no grain begins before this position */
	bool compressed, markers;
	uint64_t desc_pos, desc_len; /* of the embedded descriptor; len 0: none */
};

/* Reads and checks the header of the extent in s->io. */
int vmdk_sparse_open(struct vmdk_sparse *s, struct err *e);

/* What lies at byte off of the extent; what is not here is EXTENT_BELOW. */
int vmdk_sparse_map(
	const struct vmdk_sparse *s, uint64_t off, uint64_t len, struct extent *x, struct err *e);

/* Inflates the grain that x names. */
int vmdk_sparse_fill(const struct vmdk_sparse *s, const struct extent *x, void *buf, struct err *e);

#endif
