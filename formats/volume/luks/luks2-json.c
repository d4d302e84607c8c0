/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* luks2-json.c - the JSON text of LUKS version 2, section 3 of its specification, by json-c.
 *
 * Only what is needed to open the volume is read: the one segment, the digest of its key, and the
 * key slots that have this key.
 */
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

/* Segments. */

static bool is_backup(struct json_object *segment)
{
	struct json_object *flags = json_get(segment, "flags", json_type_array);
	size_t n = flags ? json_object_array_length(flags) : 0;

	for (size_t i = 0; i < n; i++) {
		struct json_object *flag = json_object_array_get_idx(flags, i);

		if (json_object_is_type(flag, json_type_string) &&
			strncmp(json_object_get_string(flag), "backup-", 7) == 0)
			return true;
	}
	return false;
}

/* Finds the one segment. */
static int find_segment(
	struct json_object *segments, struct json_object **segment, unsigned *number, struct err *e)
{
	char key[16];
	unsigned found = 0;

	for (unsigned i = 0; i < LUKS_SLOTS; i++) {
		struct json_object *s;

		snprintf(key, sizeof key, "%u", i);
		s = json_get(segments, key, json_type_object);
		if (!s || is_backup(s))
			continue;
		*segment = s;
		*number = i;
		found++;
	}
	if (found == 1)
		return 0;
	return found == 0 ? json_wrong("segments", e)
			  : err_set(e, ENOTSUP, "a volume of %u segments is not supported", found);
}

static int check_type(struct json_object *segment, struct err *e)
{
	struct json_object *integrity;
	char type[LUKS_WORD + 1];
	int r = json_get_text(segment, "type", type, sizeof type, e);

	if (r < 0)
		return r;
	if (strncmp(type, "hw-opal", 7) == 0)
		return err_set(e, ENOTSUP,
			"encryption by the drive (OPAL, \"%s\"), whose key only the drive has, is "
			"not supported",
			type);
	if (!is_word(type, "crypt"))
		return err_set(e, ENOTSUP, "a segment of the type \"%s\" is not supported", type);
	if (json_object_object_get_ex(segment, "integrity", &integrity))
		return err_set(e, ENOTSUP, "encryption with integrity protection is not supported");
	return 0;
}

static int read_size(struct json_object *segment, struct luks *l, struct err *e)
{
	char text[24];
	int r = json_get_text(segment, "size", text, sizeof text, e);

	l->size = 0;
	if (r < 0 || is_word(text, "dynamic"))
		return r;
	if (!json_parse_u64(text, &l->size) || l->size == 0 || l->size % l->sector_size != 0)
		return json_wrong("size", e);
	return 0;
}

static int read_segment(struct json_object *segment, struct luks *l, struct err *e)
{
	int r = check_type(segment, e);

	if (r == 0)
		r = json_get_u64(segment, "offset", &l->payload, e);
	if (r == 0)
		r = json_get_u64(segment, "iv_tweak", &l->first_sector, e);
	if (r == 0)
		r = json_get_cipher(segment, l->cipher, l->mode, e);
	if (r == 0)
		r = json_get_u32(segment, "sector_size", &l->sector_size, e);
	if (r < 0)
		return r;
	if (!is_power_of_2(l->sector_size) || l->sector_size < CRYPT_SECTOR ||
		l->sector_size > CRYPT_SECTOR_MAX)
		return err_set(e, EINVAL, "sectors of %" PRIu32 " bytes", l->sector_size);
	if (l->payload % CRYPT_SECTOR != 0)
		return json_wrong("offset", e);
	return read_size(segment, l, e);
}

/* Digests. */

static int read_digest(struct json_object *o, struct luks_digest *d, struct err *e)
{
	char type[LUKS_WORD + 1], name[LUKS_WORD + 1];
	int r = json_get_text(o, "type", type, sizeof type, e);

	if (r == 0 && !is_word(type, "pbkdf2"))
		r = err_set(e, ENOTSUP, "the type \"%s\" is not supported", type);
	if (r == 0)
		r = json_get_text(o, "hash", name, sizeof name, e);
	if (r < 0)
		return r;
	d->hash = digest_find(name);
	if (!d->hash)
		return err_set(e, ENOTSUP, "the hash \"%s\" is not supported", name);
	r = json_get_u32(o, "iterations", &d->iterations, e);
	if (r == 0 && d->iterations == 0)
		r = json_wrong("iterations", e);
	if (r == 0)
		r = json_get_salt(o, d->salt, e);
	if (r == 0)
		r = json_get_base64(o, "digest", d->value, sizeof d->value, &d->len, e);
	return r < 0 || d->len >= LUKS_MIN_DIGEST ? r : json_wrong("digest", e);
}

/* The digest of the key of the segment. */
static int find_digest(
	struct json_object *digests, unsigned segment, struct json_object **digest, struct err *e)
{
	char number[16];

	for (unsigned i = 0; i < LUKS_SLOTS; i++) {
		snprintf(number, sizeof number, "%u", i);
		*digest = json_get(digests, number, json_type_object);
		if (*digest &&
			json_has_number(json_get(*digest, "segments", json_type_array), segment))
			return 0;
	}
	return json_wrong("digests", e);
}

/* Requirements: what a program must know to open the volume. */

static int check_requirements(struct json_object *config, struct err *e)
{
	struct json_object *requirements, *mandatory, *first;

	if (!json_object_object_get_ex(config, "requirements", &requirements))
		return 0;
	mandatory = json_get(requirements, "mandatory", json_type_array);
	if (!mandatory)
		return json_object_object_get_ex(requirements, "mandatory", &first)
			       ? json_wrong("mandatory", e)
			       : 0;
	if (json_object_array_length(mandatory) == 0)
		return 0;
	first = json_object_array_get_idx(mandatory, 0);
	if (!json_object_is_type(first, json_type_string))
		return json_wrong("mandatory", e);
	if (strstr(json_object_get_string(first), "reencrypt")) {
		err_set(e, ENOTSUP, "its encryption is being changed (\"%s\")",
			json_object_get_string(first));
		return err_hint(e, "cryptsetup reencrypt --resume-only completes the change");
	}
	return err_set(e, ENOTSUP, "the requirement \"%s\" is not supported",
		json_object_get_string(first));
}

static int read_metadata(struct json_object *root, struct luks *l, struct err *e)
{
	struct json_object *slots, *segments, *digests, *config, *segment = NULL, *digest;
	unsigned number = 0;
	int r = json_get_object(root, "keyslots", &slots, e);

	if (r == 0)
		r = json_get_object(root, "segments", &segments, e);
	if (r == 0)
		r = json_get_object(root, "digests", &digests, e);
	if (r == 0)
		r = json_get_object(root, "config", &config, e);
	if (r == 0)
		r = check_requirements(config, e);
	if (r == 0)
		r = find_segment(segments, &segment, &number, e);
	if (r == 0)
		r = read_segment(segment, l, e);
	if (r == 0)
		r = find_digest(digests, number, &digest, e);
	if (r == 0) {
		r = read_digest(digest, &l->digest, e);
		if (r < 0)
			return err_in(e, "digest");
		r = luks2_parse_slots(slots, json_get(digest, "keyslots", json_type_array), l, e);
	}
	return r;
}

/* A value takes up to a KiB in the memory of json-c, and two bytes in the text. */
static int check_modest(const char *text, size_t len, struct err *e)
{
	size_t objects = 0, values = 0;

	for (size_t i = 0; i < len; i++) {
		objects += text[i] == '{' || text[i] == '[';
		values += text[i] == ',' || text[i] == ':';
	}
	if (objects <= LUKS2_MAX_OBJECTS && values <= LUKS2_MAX_VALUES)
		return 0;
	return err_set(e, EFBIG, "its JSON text has %zu objects of %zu values", objects, values);
}

int luks2_parse(struct luks *l, const char *text, size_t len, struct err *e)
{
	struct json_tokener *tokener;
	struct json_object *root;
	int r = check_modest(text, len, e);

	if (r < 0)
		return r;
	l->nslots = 0;
	l->key_len = 0;
	tokener = json_tokener_new_ex(LUKS2_MAX_DEPTH);
	if (!tokener)
		return err_nomem(e);
	root = json_tokener_parse_ex(tokener, text, (int)len);
	if (json_object_is_type(root, json_type_object))
		r = read_metadata(root, l, e);
	else
		r = err_set(e, EINVAL, "its JSON text: %s",
			json_tokener_error_desc(json_tokener_get_error(tokener)));
	json_object_put(root);
	json_tokener_free(tokener);
	return r;
}
