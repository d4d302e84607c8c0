/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* luks.c - LUKS version 1: the header, section 2 of its specification, and the master key.
 *
 * The checks are those of QEMU, which cover unused key slots, too.
 */
#include "luks.h"

#include <endian.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>

#include "util/bytes.h"
#include "util/err.h"
#include "util/limits.h"
#include "io/crypt.h"
#include "io/io.h"
#include "io/passphrase.h"
#include "image/facts.h"
#include "image/image.h"

#define SECTOR       512u
#define FIRST_SECTOR 8u /* the first that key material may begin in */
#define SLOTS_POS    208u
#define SLOT_SIZE    48u

#define SLOT_USED   0x00ac71f3u
#define SLOT_UNUSED 0x0000deadu

/* Bytes of a slot's key material, in whole sectors. */
static size_t material_len(const struct luks *l)
{
	return round_up((uint64_t)l->key_len * LUKS_STRIPES, SECTOR);
}

static int load_slot(struct luks *l, unsigned i, const unsigned char *p, struct err *e)
{
	struct luks_slot *s = &l->slots[i];
	uint32_t state = load_be32(p), stripes = load_be32(p + 44);

	s->used = state == SLOT_USED;
	s->iterations = load_be32(p + 4);
	memcpy(s->salt, p + 8, sizeof s->salt);
	s->sector = load_be32(p + 40);
	if (state != SLOT_USED && state != SLOT_UNUSED)
		return err_set(
			e, EINVAL, "key slot %u: its state 0x%08" PRIx32 " is not known", i, state);
	if (stripes != LUKS_STRIPES)
		return err_set(e, EINVAL, "key slot %u: %" PRIu32 " stripes, %u expected", i,
			stripes, LUKS_STRIPES);
	return 0;
}

static int header_decode(struct luks *l, const unsigned char *p, struct err *e)
{
	const struct {
		const char *what;
		size_t pos, size;
		char *text;
	} texts[] = {
		{"cipher's name", 8, 32, l->cipher},
		{"cipher's mode", 40, 32, l->mode},
		{"hash's name", 72, 32, l->hash_name},
		{"UUID", 168, 40, l->uuid},
	};
	int r = 0;

	/* Text is padded with NULs: the last byte of a field is one. */
	for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
		if (p[texts[i].pos + texts[i].size - 1] != '\0')
			return err_set(
				e, EINVAL, "LUKS header: the %s does not end", texts[i].what);
		memcpy(texts[i].text, p + texts[i].pos, texts[i].size);
	}
	l->payload = (uint64_t)load_be32(p + 104) * SECTOR;
	l->key_len = load_be32(p + 108);
	memcpy(l->digest, p + 112, sizeof l->digest);
	memcpy(l->salt, p + 132, sizeof l->salt);
	l->iterations = load_be32(p + 164);
	for (unsigned i = 0; r == 0 && i < LUKS_SLOTS; i++)
		r = load_slot(l, i, p + SLOTS_POS + i * SLOT_SIZE, e);
	return r;
}

static int check_version(const unsigned char *p, struct err *e)
{
	unsigned version = load_be16(p + 6);

	if (memcmp(p, LUKS_MAGIC, 6) != 0)
		return err_set(e, EINVAL, "not a LUKS header");
	if (version == 1)
		return 0;
	err_set(e, ENOTSUP, "LUKS version %u is not supported, only version 1 is", version);
	return err_hint(e, "cryptsetup open --readonly makes a device of it, which can be read");
}

static int check_numbers(struct luks *l, struct err *e)
{
	l->hash = digest_find(l->hash_name);
	if (!l->hash)
		return err_set(
			e, ENOTSUP, "LUKS header: the hash \"%s\" is not supported", l->hash_name);
	if (l->key_len == 0 || l->key_len > CRYPT_KEY_MAX)
		return err_set(e, EINVAL,
			"LUKS header: a key of %" PRIu32 " bytes, 1 to %u expected", l->key_len,
			CRYPT_KEY_MAX);
	if (l->iterations == 0)
		return err_set(e, EINVAL, "LUKS header: no iterations for the digest");
	if (l->payload == 0)
		return err_set(e, ENOTSUP, "a detached LUKS header is not supported");
	return 0;
}

static int check_place(const struct luks *l, unsigned i, struct err *e)
{
	uint64_t start = (uint64_t)l->slots[i].sector * SECTOR, len = material_len(l);

	if (l->slots[i].sector < FIRST_SECTOR)
		return err_set(e, EINVAL, "key slot %u: its key material is in the header", i);
	if (!range_fits(start, len, l->payload))
		return err_set(e, EINVAL,
			"key slot %u: %" PRIu64 " bytes of key material at %" PRIu64
			" pass the start of the data, %" PRIu64,
			i, len, start, l->payload);
	for (unsigned k = 0; k < i; k++) {
		uint64_t other = (uint64_t)l->slots[k].sector * SECTOR;

		if (start < other + len && other < start + len)
			return err_set(e, EINVAL,
				"key slot %u: its key material overlaps slot %u's", i, k);
	}
	if (l->slots[i].used && !range_fits(start, len, l->len))
		return err_set(e, EINVAL,
			"key slot %u: its key material at %" PRIu64 " passes the end, %" PRIu64, i,
			start, l->len);
	return 0;
}

/* Limits the digests that are computed to try a passphrase on each slot: for the key of the slot,
 * and for the verification of the master key. */
static int check_work(const struct luks *l, struct err *e)
{
	size_t size = digest_size(l->hash);
	uint64_t all = 0, work;

	for (unsigned i = 0; i < LUKS_SLOTS; i++) {
		const struct luks_slot *s = &l->slots[i];

		if (!s->used)
			continue;
		if (s->iterations == 0)
			return err_set(e, EINVAL, "key slot %u: no iterations", i);
		work = s->iterations * div_round_up(l->key_len, size) +
		       l->iterations * div_round_up(LUKS_DIGEST, size);
		all += work;
		if (work > LUKS_MAX_WORK || all > LUKS_MAX_ALL_WORK)
			return err_set(e, EFBIG,
				"key slot %u: to try a passphrase would take too long, with "
				"%" PRIu32 " and %" PRIu32 " iterations",
				i, s->iterations, l->iterations);
	}
	return 0;
}

int luks_read(struct luks *l, struct io *io, uint64_t pos, uint64_t len, struct err *e)
{
	unsigned char raw[LUKS_HEADER];
	int r;

	if (len < sizeof raw)
		return err_set(e, EINVAL, "LUKS header: cut off at %" PRIu64 " bytes", len);
	*l = (struct luks){.io = io, .pos = pos, .len = len};
	r = io_read(io, raw, sizeof raw, pos, e);
	if (r == 0)
		r = check_version(raw, e);
	if (r == 0)
		r = header_decode(l, raw, e);
	if (r == 0)
		r = check_numbers(l, e);
	for (unsigned i = 0; r == 0 && i < LUKS_SLOTS; i++)
		r = check_place(l, i, e);
	return r < 0 ? r : check_work(l, e);
}

void luks_facts(const struct luks *l, struct facts *f)
{
	struct crypt_mode m = crypt_mode_parse(l->mode);
	char cipher[sizeof l->cipher + 24];

	snprintf(cipher, sizeof cipher, "%s-%zu", l->cipher, crypt_key_bits(&m, l->key_len));
	facts_text(f, "ivgen-alg", m.ivgen);
	facts_text(f, "hash-alg", l->hash_name);
	facts_text(f, "cipher-alg", cipher);
	facts_text(f, "uuid", l->uuid);
	if (m.ivgen_hash[0])
		facts_text(f, "ivgen-hash-alg", m.ivgen_hash);
	facts_text(f, "cipher-mode", m.chaining);
	for (const struct luks_slot *s = l->slots; s < l->slots + LUKS_SLOTS; s++) {
		struct facts *slot = facts_list(f, "slots");

		facts_flag(slot, "active", s->used);
		if (s->used)
			facts_number(slot, "iters", s->iterations);
		facts_number(slot, "key-offset", (uint64_t)s->sector * SECTOR);
		if (s->used)
			facts_number(slot, "stripes", LUKS_STRIPES);
	}
	facts_number(f, "payload-offset", l->payload);
	facts_number(f, "master-key-iters", l->iterations);
}

/* From a passphrase to the master key, sections 2.4 and 4.  Everything from which a key could be
 * computed is wiped before its memory is freed. */

struct luks_attempt {
	const struct luks *luks;
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

/* 1: a->key is the master key; 0: the passphrase is not that of the slot. */
static int try_slot(struct luks_attempt *a, const struct luks_slot *slot, const void *passphrase,
	size_t len, struct err *e)
{
	const struct luks *l = a->luks;
	unsigned char digest[LUKS_DIGEST];
	struct crypt *crypt;
	int r;

	digest_pbkdf2(l->hash, passphrase, len, slot->salt, slot->iterations, a->key, l->key_len);
	r = crypt_new(l->cipher, l->mode, a->key, l->key_len, &crypt, e);
	if (r < 0)
		return r;
	r = crypt_read(crypt, l->io, a->material, material_len(l),
		l->pos + (uint64_t)slot->sector * SECTOR, 0, e);
	crypt_free(crypt);
	if (r < 0)
		return err_in(e, "key material");
	merge_stripes(a);
	digest_pbkdf2(l->hash, a->key, l->key_len, l->salt, l->iterations, digest, sizeof digest);
	return CRYPTO_memcmp(digest, l->digest, sizeof digest) == 0;
}

static int try_slots(struct luks_attempt *a, const void *passphrase, size_t len, struct err *e)
{
	int r = 0;

	for (unsigned i = 0; r == 0 && i < LUKS_SLOTS; i++)
		if (a->luks->slots[i].used)
			r = try_slot(a, &a->luks->slots[i], passphrase, len, e);
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

int luks_unlock(
	const struct luks *l, const struct image_options *how, struct crypt **crypt, struct err *e)
{
	struct luks_attempt a = {.luks = l};
	size_t len = material_len(l);
	struct crypt *unused;
	/* Reports an unknown cipher at once, not after seconds of iterations. */
	int r = crypt_new(l->cipher, l->mode, a.key, l->key_len, &unused, e);

	if (r < 0)
		return err_in(e, "LUKS header");
	crypt_free(unused);
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
