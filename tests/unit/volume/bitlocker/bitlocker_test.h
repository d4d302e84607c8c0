/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* bitlocker_test.h - a volume of BitLocker in memory, and the set that is read from it. */
#ifndef UNIT_VOLUME_BITLOCKER_BITLOCKER_TEST_H
#define UNIT_VOLUME_BITLOCKER_BITLOCKER_TEST_H

#include <stddef.h>
#include <stdint.h>

#include "build/bitlocker.h"

struct passphrase;
struct view;
struct volume;
struct volume_set;

/* The volume, the bytes that are expected, the disk that holds it and the set; libcheck runs each
 * test in its own process. */
extern struct bt {
	unsigned char plain[BL_SIZE], volume[BL_SIZE];
	struct view *disk;
	struct volume_set *set;
} bt;

/* One that opens by itself: AES-XTS 128, sectors of 512 bytes. */
extern const struct bl_spec bt_ordinary;

void bt_make(const struct bl_spec *s);

/* Put the volume, or its first size bytes, on a disk and read that; return the only volume of the
 * set, or NULL. */
const struct volume *bt_open_part(uint64_t size, const struct passphrase *secrets);
const struct volume *bt_open_with(const void *bytes, size_t len);
const struct volume *bt_open(void);

/* The view of the only volume. */
struct view *bt_view(void);

/* Frees the set and the disk. */
void bt_close(void);

/* Asserts that the volume has this error. */
void bt_fails(const struct volume *v, int code, const char *part);

/* Asserts that it has the expected bytes, as a whole and in pieces. */
void bt_reads(const struct volume *v);

#endif
