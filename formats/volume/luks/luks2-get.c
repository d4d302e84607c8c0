/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "luks2-get.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>

#include "util/err.h"
#include "luks.h"

int json_wrong(const char *key, struct err *e)
{
	return err_set(e, EINVAL, "\"%s\" is missing or not right", key);
}

struct json_object *json_get(struct json_object *o, const char *key, enum json_type type)
{
	struct json_object *value;

	return json_object_object_get_ex(o, key, &value) && json_object_is_type(value, type) ? value
											     : NULL;
}

int json_get_object(
	struct json_object *o, const char *key, struct json_object **value, struct err *e)
{
	*value = json_get(o, key, json_type_object);
	return *value ? 0 : json_wrong(key, e);
}

/* A text of fewer than size bytes, without a NUL. */
int json_get_text(struct json_object *o, const char *key, char *text, size_t size, struct err *e)
{
	struct json_object *value = json_get(o, key, json_type_string);
	size_t len = value ? (size_t)json_object_get_string_len(value) : 0;

	if (!value || len >= size || strlen(json_object_get_string(value)) != len)
		return json_wrong(key, e);
	memcpy(text, json_object_get_string(value), len + 1);
	return 0;
}

int json_get_u32(struct json_object *o, const char *key, uint32_t *number, struct err *e)
{
	struct json_object *value = json_get(o, key, json_type_int);
	int64_t n = value ? json_object_get_int64(value) : -1;

	if (n < 0 || n > UINT32_MAX)
		return json_wrong(key, e);
	*number = (uint32_t)n;
	return 0;
}

bool json_parse_u64(const char *text, uint64_t *number)
{
	char *end;

	if (*text < '0' || *text > '9')
		return false;
	errno = 0;
	*number = strtoull(text, &end, 10);
	return errno == 0 && *end == '\0';
}

/* These numbers are texts. */
int json_get_u64(struct json_object *o, const char *key, uint64_t *number, struct err *e)
{
	char text[24];
	int r = json_get_text(o, key, text, sizeof text, e);

	return r < 0 || json_parse_u64(text, number) ? r : json_wrong(key, e);
}

int json_get_base64(struct json_object *o, const char *key, unsigned char *bytes, size_t max,
	size_t *len, struct err *e)
{
	unsigned char decoded[3 * (HASH_MAX + 3)];
	char text[4 * (HASH_MAX / 3 + 2)];
	int r = json_get_text(o, key, text, sizeof text, e), n;
	size_t chars;

	if (r < 0)
		return r;
	chars = strlen(text);
	n = EVP_DecodeBlock(decoded, (const unsigned char *)text, (int)chars);
	if (n < 3 || chars % 4 != 0 || strcspn(text, "=") + 2 < chars)
		return json_wrong(key, e);
	n -= (text[chars - 1] == '=') + (text[chars - 2] == '=');
	if ((size_t)n > max)
		return json_wrong(key, e);
	memcpy(bytes, decoded, (size_t)n);
	*len = (size_t)n;
	return 0;
}

int json_get_salt(struct json_object *o, unsigned char salt[static HASH_SALT], struct err *e)
{
	size_t len;
	int r = json_get_base64(o, "salt", salt, HASH_SALT, &len, e);

	return r < 0 || len == HASH_SALT ? r : json_wrong("salt", e);
}

/* "aes-xts-plain64" */
int json_get_cipher(struct json_object *o, char *cipher, char *mode, struct err *e)
{
	char text[2 * LUKS_WORD];
	int r = json_get_text(o, "encryption", text, sizeof text, e);
	char *dash = r == 0 ? strchr(text, '-') : NULL;

	if (r < 0)
		return r;
	if (dash)
		*dash++ = '\0';
	else
		dash = text + strlen(text);
	if (strlen(text) > LUKS_WORD || strlen(dash) > LUKS_WORD)
		return json_wrong("encryption", e);
	strcpy(cipher, text);
	strcpy(mode, dash);
	return 0;
}

/* The lists of a digest have the numbers of slots and segments as texts. */
bool json_has_number(struct json_object *list, unsigned number)
{
	size_t n = list ? json_object_array_length(list) : 0;
	char text[16];

	snprintf(text, sizeof text, "%u", number);
	for (size_t i = 0; i < n; i++) {
		struct json_object *value = json_object_array_get_idx(list, i);

		if (json_object_is_type(value, json_type_string) &&
			strcmp(json_object_get_string(value), text) == 0)
			return true;
	}
	return false;
}
