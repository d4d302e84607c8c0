/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* crypt.c - libcrypto's block ciphers in the modes and with the IV generators of dm-crypt.
 *
 * The number of a sector becomes its IV: "plain" is the low 32 bits of it, "plain64" all 64, little
 * endian, then zeroes; "plain64be" is zeroes and then all 64, big endian; "essiv:HASH" is "plain64"
 * encrypted with the hash of the key.  "eboiv" and "elephant" are the number times the size of a
 * sector, encrypted with the key itself; the latter adds a diffuser to the cipher.  That is the
 * position of the sector only where large sectors are numbered one by one, as BitLocker does it.
 *
 * libcrypto has XTS for two key sizes of AES only.  Others are put together of ECB: IEEE 1619 XORs
 * each block, before and after the cipher, with the encrypted IV times a power of x.
 */
#include <assert.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>

#include "util/bytes.h"
#include "crypt-impl.h"
#include "util/err.h"
#include "digest.h"
#include "elephant.h"
#include "passphrase.h"

#define BLOCK 16u /* bytes, of every cipher here */

/* Keyed contexts for one thread. */
struct lane {
	EVP_CIPHER_CTX *data[2]; /* of CRYPT_DECRYPT and CRYPT_ENCRYPT */
	EVP_CIPHER_CTX *essiv;   /* encrypts IVs, or NULL */
	EVP_CIPHER_CTX *tweak;   /* does once more for XTS of ECB, or for the diffuser; or NULL */
};

/* Words. */

/* The part of text up to the character end, which is then stepped over. */
static const char *cut_word(const char *text, char end, char word[static CRYPT_WORD + 1])
{
	const char *stop = strchrnul(text, end);
	size_t len = MIN((size_t)(stop - text), CRYPT_WORD);

	memcpy(word, text, len);
	word[len] = '\0';
	return *stop ? stop + 1 : stop;
}

struct crypt_mode crypt_mode_parse(const char *text)
{
	struct crypt_mode m = {.chaining = ""};

	text = cut_word(text, '-', m.chaining);
	text = cut_word(text, ':', m.ivgen);
	cut_word(text, '\0', m.ivgen_hash);
	return m;
}

static bool is_xts(const struct crypt_mode *m)
{
	return strcmp(m->chaining, "xts") == 0;
}

static bool is_elephant(const struct crypt_mode *m)
{
	return strcmp(m->chaining, "cbc") == 0 && strcmp(m->ivgen, "elephant") == 0;
}

size_t crypt_key_bits(const struct crypt_mode *m, size_t key_len)
{
	return 8 * key_len / (is_xts(m) || is_elephant(m) ? 2 : 1);
}

static int find_ivgen(const struct crypt_mode *m, enum ivgen *ivgen, struct err *e)
{
	if (strcmp(m->chaining, "ecb") == 0)
		*ivgen = IV_NONE; /* also with an IV generator in the mode */
	else if (strcmp(m->ivgen, "plain") == 0)
		*ivgen = IV_PLAIN;
	else if (strcmp(m->ivgen, "plain64") == 0)
		*ivgen = IV_PLAIN64;
	else if (strcmp(m->ivgen, "plain64be") == 0)
		*ivgen = IV_PLAIN64BE;
	else if (strcmp(m->ivgen, "essiv") == 0)
		*ivgen = IV_ESSIV;
	else if (strcmp(m->ivgen, "eboiv") == 0)
		*ivgen = IV_EBOIV;
	else if (is_elephant(m))
		*ivgen = IV_ELEPHANT;
	else
		return err_set(e, ENOTSUP, "the IV generator \"%s\" is not supported", m->ivgen);
	return 0;
}

/* Contexts. */

static void lane_free(void *item)
{
	struct lane *l = item;

	if (!l)
		return;
	EVP_CIPHER_CTX_free(l->data[CRYPT_DECRYPT]);
	EVP_CIPHER_CTX_free(l->data[CRYPT_ENCRYPT]);
	EVP_CIPHER_CTX_free(l->essiv);
	EVP_CIPHER_CTX_free(l->tweak);
	free(l);
}

static bool context_copy(EVP_CIPHER_CTX **to, const EVP_CIPHER_CTX *from)
{
	if (!from)
		return true;
	*to = EVP_CIPHER_CTX_new();
	return *to && EVP_CIPHER_CTX_copy(*to, from);
}

static struct lane *lane_copy(const struct lane *from)
{
	struct lane *l = calloc(1, sizeof *l);

	if (l && context_copy(&l->data[CRYPT_DECRYPT], from->data[CRYPT_DECRYPT]) &&
		context_copy(&l->data[CRYPT_ENCRYPT], from->data[CRYPT_ENCRYPT]) &&
		context_copy(&l->essiv, from->essiv) && context_copy(&l->tweak, from->tweak))
		return l;
	lane_free(l);
	return NULL;
}

/* A context of CIPHER-BITS-CHAINING; -ENOTSUP when libcrypto has none such.  The one key length of
 * SM4 is not in the name. */
static int context_new(EVP_CIPHER_CTX **ctx, const char *cipher, size_t bits, const char *chaining,
	const unsigned char *key, bool encrypt, struct err *e)
{
	char name[2 * CRYPT_WORD + 32];
	EVP_CIPHER *type;
	bool ok;

	if (strcmp(cipher, "sm4") == 0 && bits == 128)
		snprintf(name, sizeof name, "%s-%s", cipher, chaining);
	else
		snprintf(name, sizeof name, "%s-%zu-%s", cipher, bits, chaining);
	type = EVP_CIPHER_fetch(NULL, name, NULL);
	if (!type)
		return err_set(e, ENOTSUP, "the cipher %s is not supported", name);
	*ctx = EVP_CIPHER_CTX_new();
	ok = *ctx && EVP_CipherInit_ex(*ctx, type, NULL, key, NULL, encrypt) &&
	     EVP_CIPHER_CTX_set_padding(*ctx, 0);
	EVP_CIPHER_free(type);
	return ok ? 0 : err_nomem(e);
}

static int make_essiv(struct lane *l, const char *cipher, const struct crypt_mode *m,
	const unsigned char *key, size_t key_len, struct err *e)
{
	const struct hash *hash = digest_find(m->ivgen_hash);
	unsigned char digest[HASH_MAX];
	int r;

	if (!hash)
		return err_set(e, ENOTSUP, "the hash \"%s\" is not supported", m->ivgen_hash);
	digest_compute(hash, key, key_len, digest);
	r = context_new(&l->essiv, cipher, 8 * digest_size(hash), "ecb", digest, true, e);
	OPENSSL_cleanse(digest, sizeof digest);
	return r < 0 ? err_in(e, "essiv:%s", m->ivgen_hash) : 0;
}

/* It refuses to encrypt with two equal keys, which dm-crypt does. */
static bool libcrypto_has_xts(const char *cipher, const unsigned char *key, size_t key_len)
{
	size_t half = key_len / 2;

	return strcmp(cipher, "aes") == 0 && half != 24 &&
	       CRYPTO_memcmp(key, key + half, half) != 0;
}

static int make_data(struct lane *l, const char *cipher, size_t bits, const char *chaining,
	const unsigned char *key, struct err *e)
{
	int r = context_new(&l->data[CRYPT_DECRYPT], cipher, bits, chaining, key, false, e);

	return r < 0 ? r
		     : context_new(&l->data[CRYPT_ENCRYPT], cipher, bits, chaining, key, true, e);
}

/* The contexts that encrypt IVs, and the keys of the diffuser. */
static int make_iv_contexts(const struct crypt *c, const char *cipher, const struct crypt_mode *m,
	const unsigned char *key, size_t key_len, struct err *e)
{
	size_t bits = crypt_key_bits(m, key_len);
	struct lane *l = c->lane;
	int r = 0;

	if (c->ivgen == IV_ESSIV)
		return make_essiv(l, cipher, m, key, key_len, e);
	if (c->ivgen == IV_EBOIV || c->ivgen == IV_ELEPHANT)
		r = context_new(&l->essiv, cipher, bits, "ecb", key, true, e);
	if (r == 0 && c->ivgen == IV_ELEPHANT)
		r = context_new(&l->tweak, cipher, bits, "ecb", key + key_len / 2, true, e);
	return r;
}

static int make_contexts(struct crypt *c, const char *cipher, const struct crypt_mode *m,
	const unsigned char *key, size_t key_len, struct err *e)
{
	size_t bits = crypt_key_bits(m, key_len);
	struct lane *l = c->lane;
	int r = make_iv_contexts(c, cipher, m, key, key_len, e);

	if (r < 0)
		return r;
	if (!is_xts(m) || libcrypto_has_xts(cipher, key, key_len))
		return make_data(l, cipher, bits, m->chaining, key, e);
	r = make_data(l, cipher, bits, "ecb", key, e);
	return r < 0 ? r : context_new(&l->tweak, cipher, bits, "ecb", key + key_len / 2, true, e);
}

static bool is_one_of(const char *word, const char *const *words)
{
	while (*words && strcmp(word, *words) != 0)
		words++;
	return *words != NULL;
}

/* The ciphers with blocks of 16 bytes and such keys that libcrypto has in all these modes. */
static int check_cipher(
	const char *cipher, const struct crypt_mode *m, size_t key_len, struct err *e)
{
	static const char *const ciphers[] = {"aes", "aria", "camellia", "sm4", NULL};
	static const char *const chainings[] = {"cbc", "ctr", "ecb", "xts", NULL};
	size_t bits = crypt_key_bits(m, key_len);

	if (!is_one_of(cipher, ciphers))
		return err_set(e, ENOTSUP, "the cipher \"%s\" is not supported", cipher);
	if (!is_one_of(m->chaining, chainings))
		return err_set(e, ENOTSUP, "the cipher mode \"%s\" is not supported", m->chaining);
	if (key_len > CRYPT_KEY_MAX || (bits != 128 && bits != 192 && bits != 256))
		return err_set(e, EINVAL, "a key of %zu bytes does not fit %s in %s mode", key_len,
			cipher, m->chaining);
	return 0;
}

void crypt_load(void)
{
	OPENSSL_init_crypto(OPENSSL_INIT_LOAD_CONFIG, NULL);
}

static struct crypt *new_crypt(struct err *e)
{
	struct crypt *c = calloc(1, sizeof *c);

	if (!c) {
		err_nomem(e);
		return NULL;
	}
	pool_init(&c->lanes);
	for (size_t i = 0; i < CRYPT_LOCKS; i++)
		pthread_rwlock_init(&c->locks[i], NULL);
	c->sector_size = CRYPT_SECTOR;
	c->step = 1;
	return c;
}

int crypt_new(const char *cipher, const char *mode, const unsigned char *key, size_t key_len,
	struct crypt **out, struct err *e)
{
	struct crypt_mode m = crypt_mode_parse(mode);
	struct crypt *c;
	int r = check_cipher(cipher, &m, key_len, e);

	if (r < 0)
		return r;
	c = new_crypt(e);
	if (!c)
		return -ENOMEM;
	c->lane = calloc(1, sizeof *c->lane);
	r = c->lane ? find_ivgen(&m, &c->ivgen, e) : err_nomem(e);
	if (r == 0)
		r = make_contexts(c, cipher, &m, key, key_len, e);
	if (r < 0) {
		crypt_free(c);
		return r;
	}
	*out = c;
	return 0;
}

int crypt_without_key(bool locked, const char *encryption, struct crypt **out, struct err *e)
{
	struct crypt *c;

	if (!locked)
		return passphrase_missing(encryption, e);
	c = new_crypt(e);
	if (!c)
		return -ENOMEM;
	c->locked = encryption;
	*out = c;
	return 0;
}

void crypt_free(struct crypt *c)
{
	if (!c)
		return;
	pool_end(&c->lanes, lane_free);
	lane_free(c->lane);
	for (size_t i = 0; i < CRYPT_LOCKS; i++)
		pthread_rwlock_destroy(&c->locks[i]);
	free(c);
}

/* Sectors. */

void crypt_set_sectors(struct crypt *c, uint32_t size, uint64_t first, bool large_numbers)
{
	assert(is_power_of_2(size) && size >= CRYPT_SECTOR && size <= CRYPT_SECTOR_MAX);
	c->sector_size = size;
	c->first = first % size;
	c->step = large_numbers ? 1 : size / CRYPT_SECTOR;
}

uint64_t crypt_sector_number(const struct crypt *c, uint64_t off)
{
	return off / c->sector_size * c->step;
}

uint64_t crypt_whole_end(const struct crypt *c, uint64_t size)
{
	return size < c->first ? 0 : size - (size - c->first) % c->sector_size;
}

/* One call of libcrypto on whole blocks, which fails only without memory. */
static bool update(EVP_CIPHER_CTX *ctx, unsigned char *buf, size_t len)
{
	int n;

	return EVP_CipherUpdate(ctx, buf, &n, buf, (int)len) && (size_t)n == len;
}

static uint64_t iv_number(const struct crypt *c, uint64_t sector)
{
	switch (c->ivgen) {
	case IV_PLAIN:
		return (uint32_t)sector;
	case IV_EBOIV:
	case IV_ELEPHANT:
		return sector * c->sector_size;
	default:
		return sector;
	}
}

static bool make_iv(const struct crypt *c, const struct lane *l, uint64_t sector, unsigned char *iv)
{
	memset(iv, 0, BLOCK);
	if (c->ivgen == IV_PLAIN64BE)
		store_be64(iv + 8, sector);
	else
		store_le64(iv, iv_number(c, sector));
	return !l->essiv || update(l->essiv, iv, BLOCK);
}

/* XORs the blocks of a sector with the powers of x times the tweak, in GF(2^128) as XTS has it:
 * the first byte is the lowest, and the carry comes back as 0x87. */
static void xor_tweaks(unsigned char *sector, size_t len, const unsigned char *tweak)
{
	uint64_t low = load_le64(tweak), high = load_le64(tweak + 8);

	for (size_t i = 0; i < len; i += BLOCK) {
		uint64_t a = htole64(load_le64(sector + i) ^ low);
		uint64_t b = htole64(load_le64(sector + i + 8) ^ high);
		uint64_t carry = high >> 63 ? 0x87 : 0;

		memcpy(sector + i, &a, sizeof a);
		memcpy(sector + i + 8, &b, sizeof b);
		high = high << 1 | low >> 63;
		low = low << 1 ^ carry;
	}
}

/* XTS that is put together of ECB. */
static bool convert_xts(const struct crypt *c, const struct lane *l, enum crypt_way way,
	unsigned char *buf, unsigned char tweak[static BLOCK])
{
	if (!update(l->tweak, tweak, BLOCK))
		return false;
	xor_tweaks(buf, c->sector_size, tweak);
	if (!update(l->data[way], buf, c->sector_size))
		return false;
	xor_tweaks(buf, c->sector_size, tweak);
	return true;
}

/* The key of the diffuser for a sector is its position, encrypted without and with the highest bit.
 */
static bool make_elephant_key(const struct crypt *c, const struct lane *l, uint64_t sector,
	unsigned char key[static ELEPHANT_KEY])
{
	memset(key, 0, ELEPHANT_KEY);
	store_le64(key, iv_number(c, sector));
	store_le64(key + BLOCK, iv_number(c, sector));
	key[ELEPHANT_KEY - 1] = 0x80;
	return update(l->tweak, key, ELEPHANT_KEY);
}

static bool convert_elephant(const struct crypt *c, const struct lane *l, enum crypt_way way,
	unsigned char *buf, uint64_t sector)
{
	unsigned char key[ELEPHANT_KEY];

	if (!make_elephant_key(c, l, sector, key))
		return false;
	if (way == CRYPT_ENCRYPT)
		elephant_encrypt(buf, c->sector_size, key);
	if (!update(l->data[way], buf, c->sector_size))
		return false;
	if (way == CRYPT_DECRYPT)
		elephant_decrypt(buf, c->sector_size, key);
	return true;
}

static bool convert_sector(const struct crypt *c, const struct lane *l, enum crypt_way way,
	unsigned char *buf, uint64_t sector)
{
	EVP_CIPHER_CTX *data = l->data[way];
	unsigned char iv[BLOCK];

	if (c->ivgen == IV_NONE)
		return update(data, buf, c->sector_size);
	if (!make_iv(c, l, sector, iv))
		return false;
	if (l->tweak && c->ivgen != IV_ELEPHANT)
		return convert_xts(c, l, way, buf, iv);
	if (!EVP_CipherInit_ex(data, NULL, NULL, NULL, iv, -1))
		return false;
	return c->ivgen == IV_ELEPHANT ? convert_elephant(c, l, way, buf, sector)
				       : update(data, buf, c->sector_size);
}

int crypt_convert(
	struct crypt *c, enum crypt_way way, void *buf, size_t len, uint64_t sector, struct err *e)
{
	struct lane *l;
	bool ok = true;

	if (c->locked)
		return passphrase_missing(c->locked, e);
	l = pool_take(&c->lanes);
	if (!l)
		l = lane_copy(c->lane);
	if (!l)
		return err_nomem(e);
	for (size_t i = 0; ok && i < len; i += c->sector_size, sector += c->step)
		ok = convert_sector(c, l, way, (unsigned char *)buf + i, sector);
	if (!pool_give(&c->lanes, l))
		lane_free(l);
	return ok ? 0 : err_nomem(e);
}
