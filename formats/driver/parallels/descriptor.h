/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* descriptor.h - private to the Parallels driver: DiskDescriptor.xml of a bundle. */
#ifndef VDISK_DRIVER_PARALLELS_DESCRIPTOR_H
#define VDISK_DRIVER_PARALLELS_DESCRIPTOR_H

#include <stdbool.h>
#include <stddef.h>

struct err;
struct image;
struct io;
struct parallels;
struct xml;

#define PARALLELS_DESCRIPTOR "DiskDescriptor.xml"
#define PARALLELS_PEEK       1024u /* the root element begins in so many bytes */

bool parallels_descriptor_probe(const unsigned char *head, size_t len);

/* Fills p and opens the files.  The guids and nodes in p point into root. */
int parallels_descriptor_read(
	struct image *img, struct parallels *p, const struct xml *root, struct err *e);

/* Parses all of an XML file; *root is the caller's. */
int parallels_descriptor_parse(struct io *io, struct xml **root, struct err *e);

/* Compares GUIDs, with braces or without. */
bool parallels_descriptor_same_guid(const char *a, const char *b);

#endif
