/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* header.h - the header of a qcow2 image and its extensions.
 *
 * Section numbers are those of the published format, QEMU's docs/interop/qcow2.
 */
#ifndef VDISK_DRIVER_QCOW2_HEADER_H
#define VDISK_DRIVER_QCOW2_HEADER_H

#include <stddef.h>
#include <stdint.h>

#include "util/limits.h"
#include "image/format.h"

struct err;
struct image;

#define QCOW2_MAGIC 0x514649fbu

enum qcow2_incompatible {
	QCOW2_DIRTY = 1u << 0,
	QCOW2_CORRUPT = 1u << 1,
	QCOW2_DATA_FILE = 1u << 2,
	QCOW2_COMPRESSION = 1u << 3,
	QCOW2_EXTENDED_L2 = 1u << 4,
	QCOW2_KNOWN_INCOMPATIBLE = (1u << 5) - 1,
};

#define QCOW2_LAZY_REFCOUNTS 0x1u /* compatible */
#define QCOW2_BITMAPS        0x1u /* autoclear: the bitmaps are consistent with the disk */
#define QCOW2_DATA_FILE_RAW  0x2u /* autoclear: the data file alone is a raw image of the disk */

enum qcow2_encryption { QCOW2_PLAIN, QCOW2_AES, QCOW2_LUKS, QCOW2_ENCRYPTIONS };
enum qcow2_compression { QCOW2_DEFLATE, QCOW2_ZSTD, QCOW2_COMPRESSIONS };

/* Offsets of header fields that are updated in place, each with the field after it. */
enum {
	QCOW2_AT_BACKING = 8, /* position, length of the name */
	QCOW2_AT_SIZE = 24,
	QCOW2_AT_L1 = 36,        /* size, position */
	QCOW2_AT_REFTABLE = 48,  /* position, clusters */
	QCOW2_AT_SNAPSHOTS = 60, /* number, position */
	QCOW2_AT_INCOMPATIBLE = 72,
	QCOW2_AT_AUTOCLEAR = 88,
};

#define QCOW2_HEADER_LENGTH 112u /* as written in version 3; fields after it are not understood */

enum qcow2_extension {
	QCOW2_EXTENSION_END = 0,
	QCOW2_EXTENSION_BACKING_FORMAT = 0xe2792acau,
	QCOW2_EXTENSION_FEATURES = 0x6803f857u,
	QCOW2_EXTENSION_BITMAPS = 0x23852875u,
	QCOW2_EXTENSION_LUKS = 0x0537be77u,
	QCOW2_EXTENSION_DATA_FILE = 0x44415441u,
};

#define QCOW2_EXTENSION_HEAD 8u /* u32 type, u32 length */

/* The feature name table is an array of { u8 type, u8 bit, char name[46] }. */
#define QCOW2_FEATURE_RECORD 48u

/* u32 number, u32 reserved, u64 length and position of a directory */
#define QCOW2_BITMAPS_RECORD 24u

#define QCOW2_FORMAT_NAME 15 /* bytes of a backing format's name, as in QEMU */

/* The header and its extensions, checked as far as no other part of the file is needed. */
struct qcow2_header {
	uint32_t version;
	uint32_t cluster_bits;
	uint32_t length;
	uint64_t size; /* of the disk, as stored */
	uint32_t encryption;
	uint32_t l1_size; /* entries */
	uint64_t l1_pos;
	uint64_t reftable_pos;
	uint32_t reftable_clusters;
	uint32_t refcount_order;
	uint32_t nsnapshots;
	uint64_t snapshots_pos;
	uint64_t incompatible, compatible, autoclear;
	uint32_t compression;
	uint64_t luks_pos, luks_len;       /* 0: there is no such extension */
	uint32_t nbitmaps;                 /* 0: there is no such extension */
	uint64_t bitmaps_pos, bitmaps_len; /* of the bitmap directory */
	uint64_t backing_pos;              /* 0: no backing file */
	uint32_t backing_len;
	char backing[LIMIT_NAME + 1]; /* the names are "" when there is none */
	char backing_format[QCOW2_FORMAT_NAME + 1];
	char data_file[LIMIT_NAME + 1];
};

int qcow2_header_read(const struct image *img, struct qcow2_header *h, struct err *e);

/* Fills the 72 (version 2) or QCOW2_HEADER_LENGTH bytes at p, which are zero; no extensions. */
void qcow2_header_encode(const struct qcow2_header *h, unsigned char *p);

/* Adds an extension at *pos of the first cluster, at p, of max bytes, and moves *pos after it.  One
 * that does not fit is not written.  The padding is zero already. */
void qcow2_header_add_extension(unsigned char *p, uint64_t max, uint64_t *pos, uint32_t type,
	const void *data, uint32_t len);

/* Likewise the feature name table: readers print the names of unknown features from it. */
void qcow2_header_add_features(unsigned char *p, uint64_t max, uint64_t *pos);

/* As in struct format: the data file's name.  A backing file is an image of its own. */
void qcow2_header_names(const unsigned char *head, size_t n, format_name_visit *visit, void *arg);

#endif
