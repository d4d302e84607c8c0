/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* digest.h - hash functions by the names that LUKS headers give them, and PBKDF2. */
#ifndef VDISK_IO_DIGEST_H
#define VDISK_IO_DIGEST_H

#include <stddef.h>
#include <stdint.h>

#define HASH_MAX  64 /* bytes of the longest digest */
#define HASH_SALT 32 /* bytes of a salt, in LUKS always */

struct hash;

/* NULL: there is no such hash here. */
const struct hash *digest_find(const char *name);

/* Bytes of a digest. */
size_t digest_size(const struct hash *h);

void digest_compute(const struct hash *h, const void *data, size_t len, unsigned char *out);

/* PBKDF2 of RFC 8018 with HMAC of this hash; iterations > 0. */
void digest_pbkdf2(const struct hash *h, const void *password, size_t len,
	const unsigned char salt[static HASH_SALT], uint32_t iterations, void *out, size_t out_len);

#endif
