/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* vmdk.h - private to the VMDK driver: vmdk.c opens a disk and finds the extent that holds an
 * offset, vmdk-desc.c reads the descriptor, vmdk-header.c and vmdk-sparse.c know the sparse extents
 * of hosted products.
 *
 * A disk is a text descriptor and the extents that it lists, one after another.  What differs from
 * one kind of extent to the next is behind struct vmdk_kind.
 *
 * Section names are those of VMware's "Virtual Disk Format 5.0".
 */
#ifndef VDISK_VMDK_H
#define VDISK_VMDK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bounds.h"

struct err;
struct extent;
struct facts;
struct image;
struct io;

#define VMDK_SECTOR 512u   /* bytes of a sector in all fields, whatever the guest's sectors are */
#define VMDK_MAGIC  "KDMV" /* of a hosted sparse extent */
#define VMDK_NO_CID UINT32_MAX /* as parentCID: no parent */

/* An extent line of the descriptor. */
struct vmdk_line {
	unsigned number; /* of the line in the text */
	bool hidden;     /* NOACCESS: the disk has zeroes here */
	const char *type;
	uint64_t sectors;
	const char *file; /* NULL: none */
	uint64_t start;   /* sector in the file where a flat extent begins */
};

/* A descriptor, taken apart.  Strings lie in the text that it was parsed from. */
struct vmdk_desc {
	uint32_t cid, parent_cid;
	const char *create_type; /* these are NULL when the descriptor does not say */
	const char *parent_hint;
	const char *parent_uuid; /* VirtualBox's own way to name a parent; never the null UUID */
	uint32_t sector_size;    /* 0: it does not say */
	struct vmdk_line *lines;
	size_t nlines;
};

/* An extent of an opened disk. */
struct vmdk_extent {
	const struct vmdk_kind *kind;
	const struct vmdk_line *line;
	uint64_t start, len; /* its bytes of the disk */
	struct io *io;       /* a reference of its own; NULL: the kind has no file */
	void *priv;          /* the kind's */
};

/* A kind of extent, by the word that the descriptor uses. */
struct vmdk_kind {
	const char *type;
	bool has_file;
	/* The rest may be NULL, but for map. */
	/* io is there.  On failure leaves nothing behind but io. */
	int (*open)(struct vmdk_extent *x, const struct image *img, struct err *e);
	void (*close)(struct vmdk_extent *x);
	/* As in struct view_ops, but off is that in the extent and BELOW needs no position. */
	int (*map)(const struct vmdk_extent *x, uint64_t off, uint64_t len, struct extent *out,
		struct err *e);
	int (*fill)(
		const struct vmdk_extent *x, const struct extent *unit, void *buf, struct err *e);
	void (*facts)(const struct vmdk_extent *x, struct facts *f);
};

/* vmdk-desc.c */

/* Does the head of a file look like a descriptor?  A bid, as of probe. */
int vmdk_desc_probe(const unsigned char *head, size_t len);

/* Takes apart text, which it changes and which must outlive the descriptor.  Free with
 * vmdk_desc_free, also on failure. */
int vmdk_desc_parse(struct vmdk_desc *d, char *text, struct err *e);
void vmdk_desc_free(struct vmdk_desc *d);

/* vmdk-header.c */

#define VMDK_GD_AT_END UINT64_MAX /* as gd: the footer knows */

enum vmdk_flags {
	VMDK_REDUNDANT = 1u << 1, /* there is a second grain directory */
	VMDK_COMPRESSED = 1u << 16,
	VMDK_MARKERS = 1u << 17, /* compressed grains say where they belong */
};

/* The header of a sparse extent.  All in sectors, as in the file. */
struct vmdk_header {
	uint32_t version, flags;
	uint32_t tables_len; /* entries of a grain table */
	uint64_t capacity, grain;
	uint64_t desc_start, desc_len;
	uint64_t rgd, gd;  /* redundant and first grain directory */
	uint64_t overhead; /* where grains may begin */
	uint16_t compression;
};

int vmdk_header_read(struct io *io, struct vmdk_header *h, struct err *e);

/* Reads the footer instead, which has the same fields. */
int vmdk_footer_read(struct io *io, struct vmdk_header *h, struct err *e);

/* vmdk-sparse.c */
extern const struct vmdk_kind vmdk_sparse;

#endif
