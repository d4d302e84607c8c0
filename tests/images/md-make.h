/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* md-make.h - members of md arrays: superblocks, and rows of chunks with their parity.
 *
 * For mkimage and for the unit tests; nothing of formats/ is used but util/bytes.h.
 */
#ifndef MD_MAKE_H
#define MD_MAKE_H

#include <stddef.h>
#include <stdint.h>

#define MD_MAKE_SUPER 4096u /* bytes */
#define MD_MAKE_MOST  16u   /* members */

/* Positions of fields of the superblocks 1.x. */
enum {
	MD_AT_MAJOR = 4,
	MD_AT_FEATURES = 8,
	MD_AT_UUID = 16,
	MD_AT_NAME = 32,
	MD_AT_CREATED = 64,
	MD_AT_LEVEL = 72,
	MD_AT_LAYOUT = 76,
	MD_AT_SIZE = 80,
	MD_AT_CHUNK = 88,
	MD_AT_RAID_DISKS = 92,
	MD_AT_DATA_OFFSET = 128,
	MD_AT_DATA_SIZE = 136,
	MD_AT_SUPER_OFFSET = 144,
	MD_AT_RECOVERY_OFFSET = 152,
	MD_AT_NUMBER = 160,
	MD_AT_DEVICE_UUID = 168,
	MD_AT_BAD_BLOCKS = 184, /* shift, 16 bits of length, 32 of position */
	MD_AT_EVENTS = 200,
	MD_AT_RESYNC = 208,
	MD_AT_SUM = 216,
	MD_AT_MAX_DEV = 220,
	MD_AT_UNUSED = 224,
	MD_AT_ROLES = 256,
};

struct md_spec {
	const char *version; /* "0.90", "1.0", "1.1", "1.2" */
	int level;           /* -1: linear */
	uint32_t layout;
	uint32_t chunk; /* bytes */
	unsigned n;     /* members */
	uint64_t used;  /* bytes of each */
	const char *name;
};

/* The size of a member, and where its data and its superblock lie. */
uint64_t md_make_size(const struct md_spec *s);
uint64_t md_make_data(const struct md_spec *s);
uint64_t md_make_place(const struct md_spec *s);

/* The superblock, MD_MAKE_SUPER bytes, of member number i of a clean array, all of whose members
 * are there. */
void md_make_super(unsigned char *super, const struct md_spec *s, unsigned i);

/* Makes the checksum right after a change. */
void md_make_seal(unsigned char *super);

/* The chunks of a row, one for each member, of the data that it holds.  picture: a digit is the
 * number of a chunk of data, P and Q are its parity: "2P01".  The powers of Q begin with the member
 * after Q; of a DDF layout, with the first of all. */
void md_make_row(unsigned char *chunks, const char *picture, size_t n, const unsigned char *data,
	size_t chunk, int ddf);

#endif
