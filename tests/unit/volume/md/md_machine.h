/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* md_machine.h - the disks of a machine, each a member of one array. */
#ifndef UNIT_VOLUME_MD_MACHINE_H
#define UNIT_VOLUME_MD_MACHINE_H

#include <stddef.h>
#include <stdint.h>

#include "util/err.h"
#include "volume/volume.h"
#include "md-make.h"

#define MD_CHUNK 4096u /* bytes */
#define MD_MOST  5     /* members */

struct md_shape {
	int level;
	uint32_t layout;
	const char *rows, *name;
};

#define MD_SHAPES 8
extern const struct md_shape md_shapes[MD_SHAPES];

#define MD_VERSIONS 4
extern const char *const md_versions[MD_VERSIONS];

struct md_machine {
	struct md_spec spec;
	struct view *disks[MD_MOST];
	unsigned char supers[MD_MOST][MD_MAKE_SUPER];
	unsigned char *contents;
	size_t size;
	struct volume_set *set;
	struct err e;
};
extern struct md_machine md;

/* Makes an array; md_end frees it. */
void md_make(const char *version, const struct md_shape *s);
void md_end(void);

/* Writes the superblocks that were changed, or changes a field in one or in all. */
void md_put_supers(void);
void md_set_field(unsigned i, size_t pos, unsigned width, uint64_t value);
void md_set_fields(size_t pos, unsigned width, uint64_t value);

/* The bits of all disks. */
unsigned md_all(void);

/* Those disks whose bit is set: their number; their views are in found. */
size_t md_gather(unsigned present, struct view **found);

/* Reads the volumes of these disks: their number. */
size_t md_read_set(unsigned present);

/* There is one volume, and it has the bytes of the array, or it is refused. */
void md_reads(unsigned present);
void md_refused(unsigned present, int code, const char *text);

#endif
