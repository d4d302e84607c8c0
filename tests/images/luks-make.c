/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>

#include "util/bytes.h"
#include "luks-make.h"

#define SECTOR  512u
#define BLOCK   16u
#define STRIPES 4000u
#define ALIGN   8u /* alignment of key material, and size of the header, in sectors */

#define USED   0x00ac71f3u
#define UNUSED 0x0000deadu

const unsigned char luks_master[LUKS_MAKE_KEY] =
	"sixty-four bytes that are not random at all, but good for a key";

/* Single blocks. */

struct ecb {
	EVP_CIPHER_CTX *ctx;
};

static int ecb_begin(struct ecb *c, const char *cipher, const unsigned char *key, size_t key_len)
{
	char name[64];
	EVP_CIPHER *type;
	int ok;

	if (strcmp(cipher, "sm4") == 0)
		strcpy(name, "sm4-ecb");
	else
		snprintf(name, sizeof name, "%s-%zu-ecb", cipher, 8 * key_len);
	type = EVP_CIPHER_fetch(NULL, name, NULL);
	if (!type)
		return -1;
	c->ctx = EVP_CIPHER_CTX_new();
	ok = EVP_EncryptInit_ex(c->ctx, type, NULL, key, NULL) &&
	     EVP_CIPHER_CTX_set_padding(c->ctx, 0);
	EVP_CIPHER_free(type);
	return ok ? 0 : -1;
}

static void ecb_block(struct ecb *c, unsigned char *block)
{
	int n;

	if (!EVP_EncryptUpdate(c->ctx, block, &n, block, BLOCK) || n != BLOCK)
		abort();
}

static void ecb_end(struct ecb *c)
{
	EVP_CIPHER_CTX_free(c->ctx);
}

static void xor_block(unsigned char *to, const unsigned char *with)
{
	for (unsigned i = 0; i < BLOCK; i++)
		to[i] ^= with[i];
}

/* Initialization vectors. */

static void put_number(unsigned char *iv, uint64_t number, unsigned width)
{
	memset(iv, 0, BLOCK);
	for (unsigned i = 0; i < width; i++)
		iv[i] = number >> 8 * i;
}

static void put_number_be(unsigned char *iv, uint64_t number)
{
	memset(iv, 0, BLOCK);
	for (unsigned i = 0; i < 8; i++)
		iv[BLOCK - 1 - i] = number >> 8 * i;
}

static int encrypt_block(
	const char *cipher, const unsigned char *key, size_t key_len, unsigned char *block)
{
	struct ecb c;

	if (ecb_begin(&c, cipher, key, key_len) < 0)
		return -1;
	ecb_block(&c, block);
	ecb_end(&c);
	return 0;
}

static int essiv(const char *cipher, const char *hash, const unsigned char *key, size_t key_len,
	unsigned char *iv)
{
	unsigned char digest[EVP_MAX_MD_SIZE];
	unsigned n;

	return EVP_Digest(key, key_len, digest, &n, EVP_get_digestbyname(hash), NULL)
		       ? encrypt_block(cipher, digest, n, iv)
		       : -1;
}

/* "eboiv" and "elephant" have the number times the size of a sector instead of the number. */
static bool is_multiplied(const char *mode)
{
	return strcmp(mode, "cbc-eboiv") == 0 || strcmp(mode, "cbc-elephant") == 0;
}

static int make_iv(const char *cipher, const char *mode, const unsigned char *key, size_t key_len,
	uint64_t sector, unsigned char *iv)
{
	const char *gen = strchr(mode, '-');

	put_number(iv, sector, gen && strcmp(gen, "-plain") == 0 ? 4 : 8);
	if (gen && strcmp(gen, "-plain64be") == 0)
		put_number_be(iv, sector);
	if (gen && strncmp(gen, "-essiv:", 7) == 0)
		return essiv(cipher, gen + 7, key, key_len, iv);
	return is_multiplied(mode) ? encrypt_block(cipher, key, key_len, iv) : 0;
}

/* Modes. */

static void ctr_add(unsigned char *counter)
{
	for (int i = BLOCK - 1; i >= 0 && ++counter[i] == 0; i--)
		;
}

static void ctr_block(struct ecb *c, unsigned char *block, unsigned char *iv)
{
	unsigned char stream[BLOCK];

	memcpy(stream, iv, BLOCK);
	ecb_block(c, stream);
	xor_block(block, stream);
	ctr_add(iv);
}

/* Multiplies the tweak by x. */
static void xts_double(unsigned char *tweak)
{
	unsigned carry = 0;

	for (unsigned i = 0; i < BLOCK; i++) {
		unsigned next = tweak[i] >> 7;

		tweak[i] = tweak[i] << 1 | carry;
		carry = next;
	}
	if (carry)
		tweak[0] ^= 0x87;
}

static void mode_block(struct ecb *c, char mode, unsigned char *block, unsigned char *iv)
{
	switch (mode) {
	case 'e':
		ecb_block(c, block);
		break;
	case 'c':
		xor_block(block, iv);
		ecb_block(c, block);
		memcpy(iv, block, BLOCK);
		break;
	case 't':
		ctr_block(c, block, iv);
		break;
	default:
		xor_block(block, iv);
		ecb_block(c, block);
		xor_block(block, iv);
		xts_double(iv);
	}
}

/* The Elephant diffuser, as its paper defines decryption, backwards: for all i from the first on
 *	B: d[i] += d[i+2] ^ (d[i+5] <<< {0, 10, 0, 25}[i mod 4]), three times
 *	A: d[i] += d[i-2] ^ (d[i-5] <<< {9, 0, 13, 0}[i mod 4]), five times
 */
static void elephant(uint32_t *d, size_t n, int direction, unsigned cycles, const unsigned *turns)
{
	for (size_t k = cycles * n; k-- > 0;) {
		size_t i = k % n;
		uint32_t far = d[(i + n + 5 * direction) % n];
		unsigned turn = turns[i % 4];

		d[i] -= d[(i + n + 2 * direction) % n] ^ (uint32_t)((uint64_t)far << turn) ^
			(uint32_t)((uint64_t)far >> (32 - turn));
	}
}

static int diffuse_sector(const char *cipher, const unsigned char *key, size_t key_len,
	unsigned char *buf, size_t len, uint64_t position)
{
	static const unsigned turns_a[] = {9, 0, 13, 0}, turns_b[] = {0, 10, 0, 25};
	unsigned char tweak[2 * BLOCK];
	uint32_t d[4096 / 4];

	put_number(tweak, position, 8);
	put_number(tweak + BLOCK, position, 8);
	tweak[2 * BLOCK - 1] |= 0x80;
	if (encrypt_block(cipher, key, key_len, tweak) < 0 ||
		encrypt_block(cipher, key, key_len, tweak + BLOCK) < 0)
		return -1;
	for (size_t i = 0; i < len; i++)
		buf[i] ^= tweak[i % sizeof tweak];
	for (size_t i = 0; i < len / 4; i++)
		d[i] = load_le32(buf + 4 * i);
	elephant(d, len / 4, -1, 5, turns_a);
	elephant(d, len / 4, 1, 3, turns_b);
	for (size_t i = 0; i < len / 4; i++)
		store_le32(buf + 4 * i, d[i]);
	return 0;
}

static int encrypt_sector(const char *cipher, const char *mode, const unsigned char *key,
	size_t key_len, unsigned char *buf, size_t len, uint64_t sector)
{
	bool xts = strncmp(mode, "xts", 3) == 0, diffused = strcmp(mode, "cbc-elephant") == 0;
	size_t half = xts || diffused ? key_len / 2 : key_len;
	unsigned char iv[BLOCK];
	struct ecb c;

	if (make_iv(cipher, mode, key, xts ? key_len : half, sector, iv) < 0)
		return -1;
	if (xts && encrypt_block(cipher, key + half, half, iv) < 0)
		return -1;
	if (diffused && diffuse_sector(cipher, key + half, half, buf, len, sector) < 0)
		return -1;
	if (ecb_begin(&c, cipher, key, half) < 0)
		return -1;
	/* "ctr" differs from "cbc" in its second letter. */
	for (size_t i = 0; i < len; i += BLOCK)
		mode_block(&c, mode[1] == 't' && !xts ? 't' : mode[0], buf + i, iv);
	ecb_end(&c);
	return 0;
}

int luks_encrypt_sectors(const char *cipher, const char *mode, const unsigned char *key,
	size_t key_len, void *buf, size_t len, const struct luks_sectors *s)
{
	uint64_t sector = s->first;

	for (size_t i = 0; i < len; i += s->size, sector += s->step)
		if (encrypt_sector(cipher, mode, key, key_len, (unsigned char *)buf + i, s->size,
			    is_multiplied(mode) ? sector * s->size : sector) < 0)
			return -1;
	return 0;
}

int luks_encrypt_with(const char *cipher, const char *mode, const unsigned char *key,
	size_t key_len, void *buf, size_t len, uint64_t sector)
{
	const struct luks_sectors s = {.size = SECTOR, .step = 1, .first = sector};

	return luks_encrypt_sectors(cipher, mode, key, key_len, buf, len, &s);
}

int luks_encrypt(const struct luks_spec *s, void *buf, size_t len, uint64_t sector)
{
	return luks_encrypt_with(s->cipher, s->mode, luks_master, s->key_len, buf, len, sector);
}

/* Header. */

static void put_be32(unsigned char *p, uint32_t v)
{
	v = htobe32(v);
	memcpy(p, &v, sizeof v);
}

static uint32_t iterations_of(const struct luks_spec *s)
{
	return s->iterations ? s->iterations : 1000;
}

static uint32_t material_sectors(const struct luks_spec *s)
{
	return div_round_up(s->key_len * STRIPES, SECTOR);
}

static uint32_t slot_sector(const struct luks_spec *s, unsigned slot)
{
	return ALIGN + slot * round_up(material_sectors(s), ALIGN);
}

static void diffuse(const EVP_MD *md, unsigned char *piece, size_t len)
{
	size_t size = EVP_MD_get_size(md);
	unsigned char in[4 + EVP_MAX_MD_SIZE], out[EVP_MAX_MD_SIZE];

	for (uint32_t i = 0; i * size < len; i++) {
		size_t n = MIN(size, len - i * size);

		put_be32(in, i);
		memcpy(in + 4, piece + i * size, n);
		EVP_Digest(in, 4 + n, out, NULL, md, NULL);
		memcpy(piece + i * size, out, n);
	}
}

/* The first stripes are arbitrary. */
void luks_split(const EVP_MD *md, size_t len, unsigned char *material)
{
	unsigned char piece[LUKS_MAKE_KEY] = {0};

	for (size_t i = 0; i < (STRIPES - 1) * len; i++)
		material[i] = i * 7 + i / 251;
	for (size_t i = 0; i < STRIPES - 1; i++) {
		for (size_t k = 0; k < len; k++)
			piece[k] ^= material[i * len + k];
		diffuse(md, piece, len);
	}
	for (size_t k = 0; k < len; k++)
		material[(STRIPES - 1) * len + k] = piece[k] ^ luks_master[k];
}

static int fill_slot(const struct luks_spec *s, const EVP_MD *md, unsigned slot,
	const char *passphrase, unsigned char *header)
{
	unsigned char *p = header + LUKS_AT_SLOTS + slot * LUKS_SLOT_SIZE;
	unsigned char *material = header + slot_sector(s, slot) * SECTOR;
	unsigned char key[LUKS_MAKE_KEY];

	put_be32(p, USED);
	put_be32(p + LUKS_SLOT_ITERATIONS, iterations_of(s) + slot);
	memset(p + 8, 0xa0 + slot, 32);
	PKCS5_PBKDF2_HMAC(passphrase, strlen(passphrase), p + 8, 32, iterations_of(s) + slot, md,
		s->key_len, key);
	luks_split(md, s->key_len, material);
	return luks_encrypt_with(
		s->cipher, s->mode, key, s->key_len, material, material_sectors(s) * SECTOR, 0);
}

static int fill_slots(const struct luks_spec *s, const EVP_MD *md, unsigned char *header)
{
	int r = 0;

	for (unsigned i = 0; i < LUKS_MAKE_SLOTS; i++) {
		unsigned char *p = header + LUKS_AT_SLOTS + i * LUKS_SLOT_SIZE;

		put_be32(p, UNUSED);
		put_be32(p + LUKS_SLOT_SECTOR, slot_sector(s, i));
		put_be32(p + LUKS_SLOT_STRIPES, STRIPES);
		if (r == 0 && s->passphrases[i])
			r = fill_slot(s, md, i, s->passphrases[i], header);
	}
	return r;
}

unsigned char *luks_make(const struct luks_spec *s, size_t *len)
{
	const EVP_MD *md = EVP_get_digestbyname(s->hash);
	uint32_t payload = slot_sector(s, LUKS_MAKE_SLOTS);
	unsigned char *p = calloc(payload, SECTOR);

	*len = payload * SECTOR;
	if (!p || !md) {
		free(p);
		return NULL;
	}
	memcpy(p, "LUKS\xba\xbe\0\1", 8);
	strcpy((char *)p + LUKS_AT_CIPHER, s->cipher);
	strcpy((char *)p + LUKS_AT_MODE, s->mode);
	strcpy((char *)p + LUKS_AT_HASH, s->hash);
	put_be32(p + LUKS_AT_PAYLOAD, payload);
	put_be32(p + LUKS_AT_KEY_LEN, s->key_len);
	memset(p + 132, 0x5a, 32);
	put_be32(p + LUKS_AT_ITERATIONS, iterations_of(s));
	PKCS5_PBKDF2_HMAC((const char *)luks_master, s->key_len, p + 132, 32, iterations_of(s), md,
		20, p + LUKS_AT_DIGEST);
	strcpy((char *)p + LUKS_AT_UUID, "01234567-89ab-cdef-0123-456789abcdef");
	if (fill_slots(s, md, p) == 0)
		return p;
	free(p);
	return NULL;
}
