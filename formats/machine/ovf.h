/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* ovf.h - the descriptor of a package: its files, and its disks in the order of the machines.
 *
 * Versions 0.9, 1 and 2 of the Open Virtualization Format (DSP0243) differ in names and nesting.
 * Nothing here opens a file.  All texts are as in the descriptor, and hostile.
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
	const char *id;          /* const texts belong to the XML; may be NULL */
	const char *href;        /* as in the XML */
	char *path;              /* href, decoded; NULL: it is not a file name */
	const char *compression; /* NULL: none */
	uint64_t size;           /* bytes as stored; 0: not given.  Often wrong */
	uint64_t chunk;          /* bytes of each chunk but the last; 0: in one piece */
};

struct ovf_disk {
	const char *id, *uuid; /* may be NULL */
	const struct ovf_file *file;
	const char *parent;  /* id of the disk that it is a delta on, or NULL */
	uint64_t capacity;   /* bytes; 0: not given in numbers.  Often wrong */
	bool is_raw;         /* as declared by the descriptor */
	const char *refusal; /* the reason why its bytes cannot be shown, or NULL */
	size_t machine, controller, address, number; /* the keys of the order */
};

struct ovf {
	struct xml *root;
	size_t nfiles, ndisks;
	struct ovf_file *files;
	/* The disks with a file, each file once: attached disks, by machine, then the others. */
	struct ovf_disk *disks;
};

/* Parses a text of len bytes.  Free *o with ovf_free. */
int ovf_parse(const char *text, size_t len, struct ovf *o, struct err *e);

/* Reads and parses a file; the error names it. */
int ovf_read(struct io *io, struct ovf *o, struct err *e);

void ovf_free(struct ovf *o);

/* Bytes of a capacity in units, in any writer's notation ("byte * 2^30", "MegaBytes"; NULL: bytes);
 * 0 when it is malformed. */
uint64_t ovf_capacity(const char *number, const char *units);

/* The file name of a relative URI, malloc'ed or NULL without memory; "" for one that no file can
 * have. */
char *ovf_decode(const char *href);

#endif
