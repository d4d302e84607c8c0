/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* luks2-slots.c - the key slots of LUKS version 2, section 3.2 of its specification. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "util/bytes.h"
#include "util/err.h"
#include "util/limits.h"
#include "io/crypt.h"
#include "luks-impl.h"
#include "luks2-get.h"

static bool is_word(const char *text, const char *word)
{
	return strcmp(text, word) == 0;
}

static void refuse(struct luks_slot *s, const char *what, const char *name)
{
	if (!s->refused[0])
		snprintf(
			s->refused, sizeof s->refused, "%s \"%.32s\" is not supported", what, name);
}

static int get_hash(
	struct json_object *o, struct luks_slot *s, const struct hash **hash, struct err *e)
{
	char name[LUKS_WORD + 1];
	int r = json_get_text(o, "hash", name, sizeof name, e);

	if (r < 0)
		return r;
	*hash = digest_find(name);
	if (!*hash)
		refuse(s, "the hash", name);
	return 0;
}

static int read_argon2(struct json_object *o, struct luks_slot *s, struct err *e)
{
	int r = json_get_u32(o, "time", &s->kdf.iterations, e);

	if (r == 0)
		r = json_get_u32(o, "memory", &s->kdf.memory, e);
	if (r == 0)
		r = json_get_u32(o, "cpus", &s->kdf.lanes, e);
	if (r == 0 && (s->kdf.lanes == 0 || s->kdf.lanes > LUKS_MAX_LANES))
		r = json_wrong("cpus", e);
	return r;
}

static int read_kdf(struct json_object *o, struct luks_slot *s, struct err *e)
{
	char type[LUKS_WORD + 1];
	int r = json_get_text(o, "type", type, sizeof type, e);

	if (r == 0)
		r = json_get_salt(o, s->kdf.salt, e);
	if (r < 0)
		return r;
	if (is_word(type, "pbkdf2")) {
		s->kdf.kind = LUKS_PBKDF2;
		r = get_hash(o, s, &s->kdf.hash, e);
		return r < 0 ? r : json_get_u32(o, "iterations", &s->kdf.iterations, e);
	}
	if (is_word(type, "argon2i") || is_word(type, "argon2id")) {
		s->kdf.kind = is_word(type, "argon2i") ? LUKS_ARGON2I : LUKS_ARGON2ID;
		return read_argon2(o, s, e);
	}
	refuse(s, "the key derivation", type);
	return 0;
}

static int check_key_len(uint32_t len, struct err *e)
{
	if (len > 0 && len <= CRYPT_KEY_MAX)
		return 0;
	return err_set(
		e, EINVAL, "a key of %" PRIu32 " bytes, 1 to %u expected", len, CRYPT_KEY_MAX);
}

static int read_area(
	struct json_object *o, const struct luks *l, struct luks_slot *s, struct err *e)
{
	uint64_t need = round_up((uint64_t)s->key_len * LUKS_STRIPES, CRYPT_SECTOR);
	char type[LUKS_WORD + 1];
	int r = json_get_text(o, "type", type, sizeof type, e);

	if (r == 0 && !is_word(type, "raw"))
		refuse(s, "the area", type);
	if (r == 0)
		r = json_get_u64(o, "offset", &s->pos, e);
	if (r == 0)
		r = json_get_u64(o, "size", &s->len, e);
	if (r == 0)
		r = json_get_cipher(o, s->cipher, s->mode, e);
	if (r == 0)
		r = json_get_u32(o, "key_size", &s->area_key_len, e);
	if (r == 0)
		r = check_key_len(s->area_key_len, e);
	if (r < 0)
		return r;
	if (s->len < need)
		return err_set(e, EINVAL, "an area of %" PRIu64 " bytes, %" PRIu64 " expected",
			s->len, need);
	if (s->pos < 2 * LUKS2_MIN_HEADER || !range_fits(s->pos, s->len, l->len))
		return err_set(e, EINVAL,
			"its key material at %" PRIu64 " is in the header or passes the end, "
			"%" PRIu64,
			s->pos, l->len);
	return 0;
}

static int read_split(struct json_object *o, struct luks_slot *s, struct err *e)
{
	char type[LUKS_WORD + 1];
	uint32_t stripes;
	int r = json_get_text(o, "type", type, sizeof type, e);

	if (r == 0 && !is_word(type, "luks1"))
		refuse(s, "the splitter", type);
	if (r == 0)
		r = get_hash(o, s, &s->split_hash, e);
	if (r == 0)
		r = json_get_u32(o, "stripes", &stripes, e);
	if (r == 0 && stripes != LUKS_STRIPES)
		r = err_set(e, EINVAL, "%" PRIu32 " stripes, %u expected", stripes, LUKS_STRIPES);
	return r;
}

static int read_priority(struct json_object *o, struct luks_slot *s, struct err *e)
{
	struct json_object *value;
	uint32_t priority = 1;
	int r = json_object_object_get_ex(o, "priority", &value)
			? json_get_u32(o, "priority", &priority, e)
			: 0;

	s->priority = MIN(priority, 2);
	return r;
}

static int read_slot(struct json_object *o, struct luks *l, unsigned number, struct err *e)
{
	struct luks_slot *s = &l->slots[l->nslots];
	struct json_object *area, *af, *kdf;
	char type[LUKS_WORD + 1];
	int r = json_get_text(o, "type", type, sizeof type, e);

	*s = (struct luks_slot){.number = number, .used = true};
	if (r < 0)
		return r;
	l->nslots++;
	if (!is_word(type, "luks2")) {
		refuse(s, "the type", type);
		return 0;
	}
	r = read_priority(o, s, e);
	if (r == 0)
		r = json_get_u32(o, "key_size", &s->key_len, e);
	if (r == 0)
		r = check_key_len(s->key_len, e);
	if (r == 0)
		r = json_get_object(o, "af", &af, e);
	if (r == 0)
		r = read_split(af, s, e);
	if (r == 0)
		r = json_get_object(o, "area", &area, e);
	if (r == 0)
		r = read_area(area, l, s, e);
	if (r == 0)
		r = json_get_object(o, "kdf", &kdf, e);
	return r < 0 ? r : read_kdf(kdf, s, e);
}

int luks2_parse_slots(
	struct json_object *slots, struct json_object *list, struct luks *l, struct err *e)
{
	struct json_object *slot;
	char number[16];
	int r = 0;

	for (unsigned i = 0; r == 0 && i < LUKS_SLOTS; i++) {
		snprintf(number, sizeof number, "%u", i);
		slot = json_get(slots, number, json_type_object);
		if (!slot || !json_has_number(list, i))
			continue;
		r = read_slot(slot, l, i, e);
		if (r < 0)
			err_in(e, "key slot %u", i);
	}
	for (unsigned i = l->nslots; i-- > 0;)
		if (!l->slots[i].refused[0])
			l->key_len = l->slots[i].key_len;
	return r;
}
