/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* digest.c - libcrypto's hash functions, PBKDF2 over them.
 *
 * libcrypto has a PBKDF2 too, but it allocates for every round: it took thirteen times as long as
 * QEMU, half a minute for a header meant to take two seconds.  Copies of a plain context do
 * not allocate, and only the functions that libcrypto now calls old have plain contexts.
 */
#define OPENSSL_SUPPRESS_DEPRECATED

#include <endian.h>
#include <string.h>

#include <openssl/crypto.h>
#include <openssl/md5.h>
#include <openssl/ripemd.h>
#include <openssl/sha.h>

#include "util/bytes.h"
#include "digest.h"

#define BLOCK_MAX 128 /* bytes of the largest block */

union state {
	MD5_CTX md5;
	RIPEMD160_CTX ripemd160;
	SHA_CTX sha1;
	SHA256_CTX sha256;
	SHA512_CTX sha512;
};

struct hash {
	const char *name;
	size_t size, block;
	/* A new state that has seen the data. */
	void (*begin)(union state *s, const void *data, size_t len);
	/* The digest of the data that start has seen, and of this data after it. */
	void (*finish)(const union state *start, const void *data, size_t len, unsigned char *out);
};

#define DEFINE_HASH(name, member, INIT, UPDATE, FINAL)                                             \
	static void name##_begin(union state *s, const void *data, size_t len)                     \
	{                                                                                          \
		INIT(&s->member);                                                                  \
		UPDATE(&s->member, data, len);                                                     \
	}                                                                                          \
	static void name##_finish(                                                                 \
		const union state *start, const void *data, size_t len, unsigned char *out)        \
	{                                                                                          \
		union state s;                                                                     \
                                                                                                   \
		s.member = start->member;                                                          \
		UPDATE(&s.member, data, len);                                                      \
		FINAL(out, &s.member);                                                             \
	}

DEFINE_HASH(md5, md5, MD5_Init, MD5_Update, MD5_Final)
DEFINE_HASH(ripemd160, ripemd160, RIPEMD160_Init, RIPEMD160_Update, RIPEMD160_Final)
DEFINE_HASH(sha1, sha1, SHA1_Init, SHA1_Update, SHA1_Final)
DEFINE_HASH(sha224, sha256, SHA224_Init, SHA224_Update, SHA224_Final)
DEFINE_HASH(sha256, sha256, SHA256_Init, SHA256_Update, SHA256_Final)
DEFINE_HASH(sha384, sha512, SHA384_Init, SHA384_Update, SHA384_Final)
DEFINE_HASH(sha512, sha512, SHA512_Init, SHA512_Update, SHA512_Final)

#undef DEFINE_HASH

static const struct hash hashes[] = {
	{"md5", 16, 64, md5_begin, md5_finish},
	{"ripemd160", 20, 64, ripemd160_begin, ripemd160_finish},
	{"sha1", 20, 64, sha1_begin, sha1_finish},
	{"sha224", 28, 64, sha224_begin, sha224_finish},
	{"sha256", 32, 64, sha256_begin, sha256_finish},
	{"sha384", 48, 128, sha384_begin, sha384_finish},
	{"sha512", 64, 128, sha512_begin, sha512_finish},
};

const struct hash *digest_find(const char *name)
{
	for (size_t i = 0; i < sizeof hashes / sizeof hashes[0]; i++)
		if (strcmp(name, hashes[i].name) == 0)
			return &hashes[i];
	return NULL;
}

size_t digest_size(const struct hash *h)
{
	return h->size;
}

void digest_compute(const struct hash *h, const void *data, size_t len, unsigned char *out)
{
	union state s;

	h->begin(&s, data, len);
	h->finish(&s, "", 0, out);
	OPENSSL_cleanse(&s, sizeof s);
}

/* HMAC, RFC 2104: a key makes two states, one that has seen the inner pad and one the outer. */
struct hmac {
	const struct hash *hash;
	union state inner, outer;
};

static void hmac_begin(struct hmac *m, const struct hash *h, const void *key, size_t len)
{
	unsigned char pad[BLOCK_MAX] = {0};

	m->hash = h;
	if (len > h->block)
		digest_compute(h, key, len, pad);
	else if (len > 0)
		memcpy(pad, key, len);
	for (size_t i = 0; i < h->block; i++)
		pad[i] ^= 0x36;
	h->begin(&m->inner, pad, h->block);
	for (size_t i = 0; i < h->block; i++)
		pad[i] ^= 0x36 ^ 0x5c;
	h->begin(&m->outer, pad, h->block);
	OPENSSL_cleanse(pad, sizeof pad);
}

/* out may be where the data is. */
static void hmac_finish(const struct hmac *m, const void *data, size_t len, unsigned char *out)
{
	m->hash->finish(&m->inner, data, len, out);
	m->hash->finish(&m->outer, out, m->hash->size, out);
}

/* One block of the output, in sum. */
static void pbkdf2_block(const struct hmac *m, const unsigned char salt[static HASH_SALT],
	uint32_t number, uint32_t iterations, unsigned char sum[static HASH_MAX])
{
	unsigned char last[MAX(HASH_MAX, HASH_SALT + 4)];

	number = htobe32(number);
	memcpy(last, salt, HASH_SALT);
	memcpy(last + HASH_SALT, &number, 4);
	hmac_finish(m, last, HASH_SALT + 4, last);
	memcpy(sum, last, m->hash->size);
	while (--iterations > 0) {
		hmac_finish(m, last, m->hash->size, last);
		for (size_t i = 0; i < m->hash->size; i++)
			sum[i] ^= last[i];
	}
	OPENSSL_cleanse(last, sizeof last);
}

void digest_pbkdf2(const struct hash *h, const void *password, size_t len,
	const unsigned char salt[static HASH_SALT], uint32_t iterations, void *out, size_t out_len)
{
	unsigned char sum[HASH_MAX], *to = out;
	struct hmac m;

	hmac_begin(&m, h, password, len);
	for (uint32_t number = 1; out_len > 0; number++) {
		size_t n = MIN(out_len, h->size);

		pbkdf2_block(&m, salt, number, iterations, sum);
		memcpy(to, sum, n);
		to += n;
		out_len -= n;
	}
	OPENSSL_cleanse(sum, sizeof sum);
	OPENSSL_cleanse(&m, sizeof m);
}
