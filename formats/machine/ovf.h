/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* ovf.h - the descriptor of a package: which of its files are disks, and in what order.
 *
 * Versions 0.9, 1 and 2 of the Open Virtualization Format (DSP0243), which differ in names and
 * nesting.  Nothing here opens a file.  All texts are as in the descriptor, not to be
 * trusted.
 */
#ifndef VDISK_MACHINE_OVF_H
#define VDISK_MACHINE_OVF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct err;
struct io;
struct xml;

struct ovf_file {
	const char *id;          /* what is const belongs to the XML; may be NULL */
	const char *href;        /* as it stands there */
	char *path;              /* the same, decoded; NULL: it leads to no file */
	const char *compression; /* NULL: none */
	uint64_t size;           /* bytes as stored; 0: not given.  Often wrong */
	uint64_t chunk;          /* bytes of each chunk but the last; 0: in one piece */
};

struct ovf_disk {
	const char *id, *uuid; /* may be NULL */
	const struct ovf_file *file;
	const char *parent;  /* id of the disk that it is a delta on, or NULL */
	uint64_t capacity;   /* bytes; 0: not given in numbers.  Often wrong */
	bool is_raw;         /* the descriptor says that it is a raw disk */
	const char *refusal; /* why its bytes cannot be shown, or NULL */
	size_t machine, controller, address, number; /* by which they are sorted */
};

struct ovf {
	struct xml *root;
	size_t nfiles, ndisks;
	struct ovf_file *files;
	/* Those that have a file, each file once: as the machines have them, then the others. */
	struct ovf_disk *disks;
};

/* Reads a text of len bytes.  *o is to be freed. */
int ovf_parse(const char *text, size_t len, struct ovf *o, struct err *e);

/* The same of a file; the error names it. */
int ovf_read(struct io *io, struct ovf *o, struct err *e);

void ovf_free(struct ovf *o);

/* Bytes of a capacity in units, in any writer's notation ("byte * 2^30", "MegaBytes"; NULL: bytes);
 * 0 when it is malformed. */
uint64_t ovf_capacity(const char *number, const char *units);

/* The file name that a relative URI means, malloc'ed or NULL without memory; "" for one that no
 * file can have. */
char *ovf_decode(const char *href);

#endif
