/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* metadata.h - the metadata of a volume of BitLocker, as Windows 7 and later write it.
 *
 * A volume has three copies of one block, whose places are in the boot sector.  The block says how
 * far the volume is encrypted, where its own first sectors are kept, since the boot sector of
 * BitLocker has their place, and it has the key of the volume, wrapped in a master key, which is
 * wrapped in the key of each protector.
 *
 * Sources: J. Metz, BitLocker Drive Encryption (BDE) format specification; the readers libbde,
 * dislocker and cryptsetup, where it says nothing.
 */
#ifndef VDISK_VOLUME_BITLOCKER_METADATA_H
#define VDISK_VOLUME_BITLOCKER_METADATA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "util/guid.h"
#include "entry.h"

struct err;
struct view;

#define BITLOCKER_COPIES 3
#define BITLOCKER_AREA   65536u /* bytes at the place of each copy that are BitLocker's */

enum bitlocker_state {
	BITLOCKER_DECRYPTED = 1,
	BITLOCKER_CONVERTING = 2,
	BITLOCKER_ON_WRITE = 3,
	BITLOCKER_ENCRYPTED = 4,
	BITLOCKER_PAUSED = 5, /* a conversion */
};

/* Bytes of the volume. */
struct bitlocker_range {
	uint64_t start, len;
};

struct bitlocker {
	char guid[GUID_TEXT];
	char *label;     /* NULL: none */
	uint64_t size;   /* bytes of the volume, whole sectors */
	uint32_t sector; /* bytes: 512 or 4096 */
	unsigned state, method;
	bool on_write;      /* a conversion goes on that encrypts what is written */
	uint64_t encrypted; /* bytes at the start of the volume; the rest is plain */
	uint64_t copies[BITLOCKER_COPIES];
	struct bitlocker_range header; /* the place of the volume's own first bytes */
	struct entry_list entries;

	unsigned char *block; /* the copy that is read, BITLOCKER_AREA bytes */
	size_t len;           /* bytes of it in use; a seal follows, with their digest */
};

/* 1: b is read; 0: the device is no volume of BitLocker; -errno: it is one that is damaged or of an
 * unknown version.  Free b with bitlocker_clear after each of these. */
int bitlocker_read(struct bitlocker *b, const struct view *device, struct err *e);
void bitlocker_clear(struct bitlocker *b);

/* The entry after the block that has its digest, wrapped in the master key. */
struct entry_list bitlocker_seal(const struct bitlocker *b);

#endif
