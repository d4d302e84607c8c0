/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* luks-make.h - LUKS1 headers with key slots, and encryption with their key.
 *
 * For mkimage and for the unit tests.  The cipher modes are built here from single blocks in ECB
 * mode, and keys are derived by libcrypto's PBKDF2: nothing of formats/ is used but util/bytes.h.
 */
#ifndef LUKS_MAKE_H
#define LUKS_MAKE_H

#include <stddef.h>
#include <stdint.h>

#include <openssl/evp.h>

#define LUKS_MAKE_SLOTS 8
#define LUKS_MAKE_KEY   64 /* bytes at most */

/* Positions of header fields. */
enum {
	LUKS_AT_VERSION = 6,
	LUKS_AT_CIPHER = 8,
	LUKS_AT_MODE = 40,
	LUKS_AT_HASH = 72,
	LUKS_AT_PAYLOAD = 104,
	LUKS_AT_KEY_LEN = 108,
	LUKS_AT_DIGEST = 112,
	LUKS_AT_ITERATIONS = 164,
	LUKS_AT_UUID = 168,
	LUKS_AT_SLOTS = 208, /* 48 bytes each: */
	LUKS_SLOT_SIZE = 48,
	LUKS_SLOT_ITERATIONS = 4,
	LUKS_SLOT_SECTOR = 40,
	LUKS_SLOT_STRIPES = 44,
};

struct luks_spec {
	const char *cipher, *mode, *hash;
	size_t key_len;
	/* A slot without a passphrase is unused. */
	const char *passphrases[LUKS_MAKE_SLOTS];
	uint32_t iterations; /* 0: 1000 */
};

/* The master key of all images made here; key_len bytes of it are used. */
extern const unsigned char luks_master[LUKS_MAKE_KEY];

/* Sectors of size bytes; their numbers begin with first and grow by step. */
struct luks_sectors {
	size_t size;
	uint64_t first, step;
};

int luks_encrypt_sectors(const char *cipher, const char *mode, const unsigned char *key,
	size_t key_len, void *buf, size_t len, const struct luks_sectors *s);

/* Encrypts sectors of 512 bytes in place; sector is the number of the first.  Returns 0, or -1 if
 * libcrypto has no such cipher. */
int luks_encrypt_with(const char *cipher, const char *mode, const unsigned char *key,
	size_t key_len, void *buf, size_t len, uint64_t sector);
int luks_encrypt(const struct luks_spec *s, void *buf, size_t len, uint64_t sector);

/* The anti-forensic split of len bytes of the master key into 4000 stripes. */
void luks_split(const EVP_MD *md, size_t len, unsigned char *material);

/* Returns header and key material, everything before the data; malloc'ed, or NULL. */
unsigned char *luks_make(const struct luks_spec *s, size_t *len);

#endif
