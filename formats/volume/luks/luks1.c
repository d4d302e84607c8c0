/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* luks1.c - the header of LUKS version 1, section 2 of its specification.
 *
 * The checks are those of QEMU, which cover unused key slots, too.
 */
#include <endian.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "util/bytes.h"
#include "util/err.h"
#include "io/crypt.h"
#include "io/io.h"
#include "luks-impl.h"

#define SECTOR       512u
#define FIRST_SECTOR 8u /* the first that key material may begin in */
#define SLOTS_POS    208u
#define SLOT_SIZE    48u
#define DIGEST       20u /* bytes */

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

	s->number = i;
	s->used = state == SLOT_USED;
	s->priority = 1;
	s->kdf.iterations = load_be32(p + 4);
	memcpy(s->kdf.salt, p + 8, sizeof s->kdf.salt);
	s->pos = (uint64_t)load_be32(p + 40) * SECTOR;
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
	l->sector_size = SECTOR;
	memcpy(l->digest.value, p + 112, DIGEST);
	l->digest.len = DIGEST;
	memcpy(l->digest.salt, p + 132, sizeof l->digest.salt);
	l->digest.iterations = load_be32(p + 164);
	l->nslots = LUKS1_SLOTS;
	for (unsigned i = 0; r == 0 && i < LUKS1_SLOTS; i++)
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
	return err_set(e, ENOTSUP, "LUKS version %u is not supported", version);
}

/* Key slots have the cipher and the hash of the data. */
static void set_slots(struct luks *l, const struct hash *hash)
{
	l->digest.hash = hash;
	for (struct luks_slot *s = l->slots; s < l->slots + LUKS1_SLOTS; s++) {
		s->kdf.hash = s->split_hash = hash;
		s->len = material_len(l);
		memcpy(s->cipher, l->cipher, sizeof s->cipher);
		memcpy(s->mode, l->mode, sizeof s->mode);
		s->key_len = s->area_key_len = l->key_len;
	}
}

static int check_numbers(struct luks *l, struct err *e)
{
	const struct hash *hash = digest_find(l->hash_name);

	if (!hash)
		return err_set(
			e, ENOTSUP, "LUKS header: the hash \"%s\" is not supported", l->hash_name);
	if (l->key_len == 0 || l->key_len > CRYPT_KEY_MAX)
		return err_set(e, EINVAL,
			"LUKS header: a key of %" PRIu32 " bytes, 1 to %u expected", l->key_len,
			CRYPT_KEY_MAX);
	if (l->digest.iterations == 0)
		return err_set(e, EINVAL, "LUKS header: no iterations for the digest");
	set_slots(l, hash);
	return 0;
}

static int check_place(const struct luks *l, unsigned i, struct err *e)
{
	uint64_t start = l->slots[i].pos, len = l->slots[i].len;
	uint64_t end = l->payload > 0 ? l->payload : l->len; /* 0: the data is elsewhere */

	if (start < FIRST_SECTOR * SECTOR)
		return err_set(e, EINVAL, "key slot %u: its key material is in the header", i);
	if (!range_fits(start, len, end))
		return err_set(e, EINVAL,
			"key slot %u: %" PRIu64 " bytes of key material at %" PRIu64
			" pass the start of the data, %" PRIu64,
			i, len, start, end);
	for (unsigned k = 0; k < i; k++) {
		uint64_t other = l->slots[k].pos;

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

int luks1_read(struct luks *l, struct io *io, uint64_t pos, uint64_t len, struct err *e)
{
	unsigned char raw[LUKS1_HEADER];
	int r;

	if (len < sizeof raw)
		return err_set(e, EINVAL, "LUKS header: cut off at %" PRIu64 " bytes", len);
	*l = (struct luks){.io = io, .pos = pos, .len = len, .version = 1};
	r = io_read(io, raw, sizeof raw, pos, e);
	if (r == 0)
		r = check_version(raw, e);
	if (r == 0)
		r = header_decode(l, raw, e);
	if (r == 0)
		r = check_numbers(l, e);
	for (unsigned i = 0; r == 0 && i < LUKS1_SLOTS; i++)
		r = check_place(l, i, e);
	return r < 0 ? r : luks_check_work(l, e);
}
