/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* bitlocker.h - volumes of BitLocker in memory. */
#ifndef UNIT_BUILD_BITLOCKER_H
#define UNIT_BUILD_BITLOCKER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define BL_SIZE      (1u << 20) /* bytes of a volume */
#define BL_AREA      65536u
#define BL_HEADER    8192u /* bytes at the start that are kept elsewhere: */
#define BL_HEADER_AT (128u << 10)
#define BL_GUID      "00112233-4455-6677-8899-aabbccddeeff"
#define BL_RECOVERY  "000000-000011-720885-123453-654313-111111-222222-333333"

/* Positions in a copy of the metadata, of which there are three. */
extern const uint64_t bl_copies[3];
enum {
	BL_AT_LEN = 8,
	BL_AT_VERSION = 10,
	BL_AT_STATE = 12,
	BL_AT_ENCRYPTED = 16,
	BL_AT_HEADER_SECTORS = 28,
	BL_AT_COPIES = 32,
	BL_AT_HEADER = 56,
	BL_AT_SET = 64,
	BL_AT_METHOD = 100,
	BL_AT_ENTRIES = 112,
};

/* Protectors. */
enum {
	BL_CLEAR = 1,
	BL_PASSWORD = 2, /* "correct horse", and in UTF-16 a character of two units */
	BL_RECOVERY_PASSWORD = 4,
	BL_STARTUP_KEY = 8,
	BL_TPM = 16,
	BL_PLACE_ENTRY = 32, /* no protector: the place of the header has an entry, too */
};

struct bl_spec {
	unsigned method; /* 0x8000 to 0x8005 */
	unsigned sector; /* 0: 512, and the boot sector does not say it */
	bool to_go;
	unsigned protectors;
	unsigned state;     /* 0: encrypted */
	uint64_t encrypted; /* bytes, if state is not 0 */
};

extern const char bl_password[]; /* UTF-8 */

/* Makes the volume with these bytes, BL_SIZE of them, and sets those of them that BitLocker hides
 * to zero. */
void bl_make(const struct bl_spec *s, unsigned char *plain, unsigned char *volume);

/* Makes the checksum and the digest of all copies valid again. */
void bl_seal(unsigned char *volume);

/* Appends an entry to all copies and seals them. */
void bl_append(unsigned char *volume, unsigned role, unsigned kind, const void *data, size_t len);

/* Makes the file of the startup key; returns its length. */
#define BL_FILE_MAX 256
size_t bl_startup_key(unsigned char file[BL_FILE_MAX]);

#endif
