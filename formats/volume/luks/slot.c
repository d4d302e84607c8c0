/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* slot.c - from a passphrase to the key of the volume: LUKS1 sections 2.4 and 4, LUKS2 section 4.
 *
 * Everything from which a key could be computed is wiped before its memory is freed.
 */
#include <endian.h>
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysinfo.h>

#include <argon2.h>
#include <openssl/crypto.h>

#include "util/bytes.h"
#include "util/err.h"
#include "io/crypt.h"
#include "luks-impl.h"

/* One computation at a time, so that several images take no more memory than one. */
static pthread_mutex_t argon2_lock = PTHREAD_MUTEX_INITIALIZER;

static int compute_argon2(const struct luks_kdf *kdf, const void *passphrase, size_t len,
	unsigned char *key, size_t key_len, struct err *e)
{
	argon2_context c = {
		.out = key,
		.outlen = (uint32_t)key_len,
		.pwd = (uint8_t *)passphrase,
		.pwdlen = (uint32_t)len,
		.salt = (uint8_t *)kdf->salt,
		.saltlen = sizeof kdf->salt,
		.t_cost = kdf->iterations,
		.m_cost = kdf->memory,
		.lanes = kdf->lanes,
		.threads = MIN(kdf->lanes, (uint32_t)get_nprocs()),
		.version = ARGON2_VERSION_13,
	};
	int r;

	pthread_mutex_lock(&argon2_lock);
	r = argon2_ctx(&c, kdf->kind == LUKS_ARGON2I ? Argon2_i : Argon2_id);
	pthread_mutex_unlock(&argon2_lock);
	if (r == ARGON2_OK)
		return 0;
	return err_set(e, r == ARGON2_MEMORY_ALLOCATION_ERROR ? ENOMEM : EINVAL,
		"Argon2 with %" PRIu32 " KiB of memory: %s", kdf->memory, argon2_error_message(r));
}

static int compute_kdf(const struct luks_kdf *kdf, const void *passphrase, size_t len,
	unsigned char *key, size_t key_len, struct err *e)
{
	if (kdf->kind != LUKS_PBKDF2)
		return compute_argon2(kdf, passphrase, len, key, key_len, e);
	digest_pbkdf2(kdf->hash, passphrase, len, kdf->salt, kdf->iterations, key, key_len);
	return 0;
}

/* The diffusion of the anti-forensic splitter: each block of the length of a digest is replaced by
 * the digest of its number and itself. */
static void diffuse(const struct hash *h, unsigned char *key, size_t len)
{
	unsigned char in[4 + HASH_MAX], out[HASH_MAX];

	for (uint32_t i = 0; len > 0; i++) {
		size_t n = MIN(len, digest_size(h));
		uint32_t number = htobe32(i);

		memcpy(in, &number, 4);
		memcpy(in + 4, key, n);
		digest_compute(h, in, 4 + n, out);
		memcpy(key, out, n);
		key += n;
		len -= n;
	}
	OPENSSL_cleanse(in, sizeof in);
	OPENSSL_cleanse(out, sizeof out);
}

/* The key is split over all stripes: it cannot be computed without every one of them. */
static void merge_stripes(
	const struct hash *h, const unsigned char *stripe, unsigned char *key, size_t len)
{
	memset(key, 0, len);
	for (unsigned i = 0; i < LUKS_STRIPES; i++, stripe += len) {
		for (size_t k = 0; k < len; k++)
			key[k] ^= stripe[k];
		if (i < LUKS_STRIPES - 1)
			diffuse(h, key, len);
	}
}

/* Decrypts the area of the slot with key, and replaces that by the key that the area has. */
static int read_area(
	const struct luks *l, const struct luks_slot *slot, unsigned char *key, struct err *e)
{
	size_t len = round_up((uint64_t)slot->key_len * LUKS_STRIPES, CRYPT_SECTOR);
	unsigned char *material;
	struct crypt *crypt;
	int r = crypt_new(slot->cipher, slot->mode, key, slot->area_key_len, &crypt, e);

	if (r < 0)
		return r;
	material = malloc(len);
	r = material ? 0 : err_nomem(e);
	if (r == 0) {
		crypt_set_sectors(crypt, CRYPT_SECTOR, l->pos + slot->pos, false);
		r = crypt_read(crypt, l->io, material, len, l->pos + slot->pos, 0, e);
	}
	crypt_free(crypt);
	if (r == 0)
		merge_stripes(slot->split_hash, material, key, slot->key_len);
	else
		err_in(e, "key material");
	if (material)
		OPENSSL_cleanse(material, len);
	free(material);
	return r;
}

int luks_try_slot(const struct luks *l, const struct luks_slot *slot, const void *passphrase,
	size_t len, unsigned char *key, struct err *e)
{
	const struct luks_digest *d = &l->digest;
	unsigned char value[HASH_MAX];
	int r = compute_kdf(&slot->kdf, passphrase, len, key, slot->area_key_len, e);

	if (r == 0)
		r = read_area(l, slot, key, e);
	if (r < 0)
		return r;
	digest_pbkdf2(d->hash, key, slot->key_len, d->salt, d->iterations, value, d->len);
	return CRYPTO_memcmp(value, d->value, d->len) == 0;
}
