/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* luks2-get.h - members of JSON objects as LUKS2 has them.  A member that is missing, or of another
 * type or range, is EINVAL with its key.
 */
#ifndef VDISK_VOLUME_LUKS_LUKS2_GET_H
#define VDISK_VOLUME_LUKS_LUKS2_GET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <json-c/json.h>

#include "io/digest.h"

struct err;

/* EINVAL: the member of this key is wrong. */
int json_wrong(const char *key, struct err *e);

/* Without an error: NULL. */
struct json_object *json_get(struct json_object *o, const char *key, enum json_type type);

int json_get_object(
	struct json_object *o, const char *key, struct json_object **value, struct err *e);

/* A text of fewer than size bytes, without a NUL. */
int json_get_text(struct json_object *o, const char *key, char *text, size_t size, struct err *e);

int json_get_u32(struct json_object *o, const char *key, uint32_t *number, struct err *e);

/* A number that is a text. */
int json_get_u64(struct json_object *o, const char *key, uint64_t *number, struct err *e);
bool json_parse_u64(const char *text, uint64_t *number);

/* At most max bytes, of HASH_MAX. */
int json_get_base64(struct json_object *o, const char *key, unsigned char *bytes, size_t max,
	size_t *len, struct err *e);
int json_get_salt(struct json_object *o, unsigned char salt[static HASH_SALT], struct err *e);

/* "aes-xts-plain64": two words of LUKS_WORD characters. */
int json_get_cipher(struct json_object *o, char *cipher, char *mode, struct err *e);

/* Is the number, as a text, in the list?  NULL is an empty one. */
bool json_has_number(struct json_object *list, unsigned number);

#endif
