/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* luks-key.c - from a passphrase to the master key, sections 2.4 and 4 of the specification.
 *
 * Everything from which a key could be computed is wiped before its memory is freed.
 */
#include <errno.h>
#include <endian.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>

#include "util/bytes.h"
#include "util/err.h"
#include "io/crypt.h"
#include "io/io.h"
#include "io/passphrase.h"
#include "image/image.h"
#include "luks.h"

#define SECTOR 512u

struct luks_attempt {
	const struct luks *luks;
	const struct luks_slot *slot;
	unsigned char key[CRYPT_KEY_MAX]; /* of the slot, then the master key */
	unsigned char *material;          /* of the slot */
};

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
static void merge_stripes(struct luks_attempt *a)
{
	size_t len = a->luks->key_len;
	const unsigned char *stripe = a->material;

	memset(a->key, 0, sizeof a->key);
	for (unsigned i = 0; i < LUKS_STRIPES; i++, stripe += len) {
		for (size_t k = 0; k < len; k++)
			a->key[k] ^= stripe[k];
		if (i < LUKS_STRIPES - 1)
			diffuse(a->luks->hash, a->key, len);
	}
}

static int read_material(struct luks_attempt *a, struct err *e)
{
	const struct luks *l = a->luks;
	struct crypt *crypt;
	int r = crypt_new(l->cipher, l->mode, a->key, l->key_len, &crypt, e);

	if (r < 0)
		return r;
	r = crypt_read(crypt, l->io, a->material, luks_material_len(l),
		l->pos + (uint64_t)a->slot->sector * SECTOR, 0, e);
	crypt_free(crypt);
	return r < 0 ? err_in(e, "key material") : 0;
}

/* 1: a->key is the master key; 0: the passphrase is not that of the slot. */
static int try_slot(struct luks_attempt *a, const void *passphrase, size_t len, struct err *e)
{
	const struct luks *l = a->luks;
	unsigned char digest[LUKS_DIGEST];
	int r;

	digest_pbkdf2(
		l->hash, passphrase, len, a->slot->salt, a->slot->iterations, a->key, l->key_len);
	r = read_material(a, e);
	if (r < 0)
		return r;
	merge_stripes(a);
	digest_pbkdf2(l->hash, a->key, l->key_len, l->salt, l->iterations, digest, sizeof digest);
	return CRYPTO_memcmp(digest, l->digest, sizeof digest) == 0;
}

static int try_slots(struct luks_attempt *a, const void *passphrase, size_t len, struct err *e)
{
	int r = 0;

	for (unsigned i = 0; r == 0 && i < LUKS_SLOTS; i++) {
		a->slot = &a->luks->slots[i];
		if (a->slot->used)
			r = try_slot(a, passphrase, len, e);
	}
	return r;
}

/* Many editors add a newline to a file: the passphrase is tried without it, too. */
static int try_passphrases(struct luks_attempt *a, const struct passphrase *s, struct err *e)
{
	int r = 0;

	for (; r == 0 && s; s = s->next) {
		r = try_slots(a, s->bytes, s->len, e);
		if (r == 0 && s->bytes[s->len - 1] == '\n')
			r = try_slots(a, s->bytes, s->len - 1, e);
	}
	return r;
}

/* Reports an unknown cipher at once, not after seconds of iterations. */
static int check_cipher(const struct luks *l, struct err *e)
{
	static const unsigned char key[CRYPT_KEY_MAX];
	struct crypt *crypt;
	int r = crypt_new(l->cipher, l->mode, key, l->key_len, &crypt, e);

	if (r < 0)
		return err_in(e, "LUKS header");
	crypt_free(crypt);
	return 0;
}

int luks_unlock(
	const struct luks *l, const struct image_options *how, struct crypt **crypt, struct err *e)
{
	struct luks_attempt a = {.luks = l};
	size_t len = luks_material_len(l);
	int r = check_cipher(l, e);

	if (r < 0)
		return r;
	if (!how->secrets)
		return crypt_without_key(how->locked, "LUKS", crypt, e);
	a.material = malloc(len);
	if (!a.material)
		return err_nomem(e);
	r = try_passphrases(&a, how->secrets, e);
	if (r == 1)
		r = crypt_new(l->cipher, l->mode, a.key, l->key_len, crypt, e);
	else if (r == 0)
		r = err_set(e, EKEYREJECTED, "no key slot opens with this passphrase");
	OPENSSL_cleanse(a.material, len);
	OPENSSL_cleanse(a.key, sizeof a.key);
	free(a.material);
	return r;
}
