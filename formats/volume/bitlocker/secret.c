/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "secret.h"

#include <ctype.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>

#include "util/bytes.h"
#include "util/err.h"
#include "util/utf16.h"
#include "io/digest.h"
#include "entry.h"

#define ROUNDS 0x100000u

#define GROUPS    8u      /* of a recovery password */
#define DIGITS    6u      /* of a group */
#define GROUP_MAX 720885u /* 11 times 65535 */

#define FILE_HEADER 48u /* bytes of a key file before its entries */
#define FILE_KEY    24u /* bytes of its entry before the entries in that */
#define KEY_HEADER  4u  /* bytes of a key before its bytes: the method */

static void digest(const void *data, size_t len, unsigned char out[static SECRET_KEY])
{
	digest_compute(digest_find("sha256"), data, len, out);
}

/* The password as UTF-16, hashed twice. */
static int read_password(struct secret *s, const unsigned char *bytes, size_t len, struct err *e)
{
	char *text;
	unsigned char *wide;
	size_t n;

	if (memchr(bytes, '\0', len))
		return 0;
	text = malloc(len + 1);
	wide = malloc(2 * len + 1);
	if (text && wide) {
		memcpy(text, bytes, len);
		text[len] = '\0';
		s->is_password = utf16_from_utf8(wide, len, &n, text, UTF16_LE);
	}
	if (s->is_password) {
		digest(wide, 2 * n, s->password);
		digest(s->password, SECRET_KEY, s->password);
	}
	if (text)
		OPENSSL_cleanse(text, len);
	if (wide)
		OPENSSL_cleanse(wide, 2 * len);
	free(text);
	free(wide);
	return text && wide ? 0 : err_nomem(e);
}

/* Six digits, a multiple of 11 that has 16 bits without it. */
static bool read_group(const unsigned char *digits, unsigned char out[static 2])
{
	uint32_t v = 0;

	for (unsigned i = 0; i < DIGITS; i++) {
		if (!isdigit(digits[i]))
			return false;
		v = 10 * v + (digits[i] - '0');
	}
	store_le16(out, (uint16_t)(v / 11));
	return v % 11 == 0 && v <= GROUP_MAX;
}

/* 48 digits in groups, with something between two of them or nothing. */
static void read_recovery(struct secret *s, const unsigned char *bytes, size_t len)
{
	size_t step = len == GROUPS * DIGITS ? DIGITS : DIGITS + 1;
	unsigned char key[2 * GROUPS];

	if (len != GROUPS * DIGITS && len != GROUPS * (DIGITS + 1) - 1)
		return;
	for (unsigned i = 0; i < GROUPS; i++) {
		const unsigned char *group = bytes + i * step;

		if (!read_group(group, key + 2 * i))
			return;
		if (step > DIGITS && i < GROUPS - 1 && group[DIGITS] != '-' && group[DIGITS] != ' ')
			return;
	}
	s->is_recovery = true;
	digest(key, sizeof key, s->recovery);
	OPENSSL_cleanse(key, sizeof key);
}

/* A file has the header of a data set, and an entry with the key. */
static void read_external(struct secret *s, const unsigned char *bytes, size_t len)
{
	struct entry_list list;
	struct entry x, key;

	if (len < FILE_HEADER || load_le32(bytes) > len || load_le32(bytes) < FILE_HEADER ||
		load_le32(bytes + 4) != 1 || load_le32(bytes + 8) != FILE_HEADER)
		return;
	list.data = bytes + FILE_HEADER;
	list.len = load_le32(bytes) - FILE_HEADER;
	if (!entry_find(list, ROLE_EXTERNAL_KEY, KIND_EXTERNAL_KEY, &x) || x.len < FILE_KEY ||
		!entry_find(entry_list_in(&x, FILE_KEY), -1, KIND_KEY, &key) ||
		key.len != KEY_HEADER + SECRET_KEY)
		return;
	s->is_external = true;
	memcpy(s->external_id, x.data, GUID_LEN);
	memcpy(s->external, key.data + KEY_HEADER, SECRET_KEY);
}

int secret_read(struct secret *s, const unsigned char *bytes, size_t len, struct err *e)
{
	*s = (struct secret){.is_password = false};
	read_external(s, bytes, len);
	if (s->is_external)
		return 0;
	read_recovery(s, bytes, len);
	return read_password(s, bytes, len, e);
}

void secret_stretch(const unsigned char from[static SECRET_KEY],
	const unsigned char salt[static SECRET_SALT], unsigned char key[static SECRET_KEY])
{
	const struct hash *sha256 = digest_find("sha256");
	struct {
		unsigned char last[SECRET_KEY], first[SECRET_KEY], salt[SECRET_SALT], count[8];
	} state = {.count = {0}};

	memcpy(state.first, from, SECRET_KEY);
	memcpy(state.salt, salt, SECRET_SALT);
	for (uint32_t i = 0; i < ROUNDS; i++) {
		store_le64(state.count, i);
		digest_compute(sha256, &state, sizeof state, state.last);
	}
	memcpy(key, state.last, SECRET_KEY);
	OPENSSL_cleanse(&state, sizeof state);
}
