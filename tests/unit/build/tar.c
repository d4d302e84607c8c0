/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tar.h"
#include "common/unit.h"

static unsigned char *grow(struct tar_build *t, size_t len)
{
	t->data = realloc(t->data, t->len + len);
	ck_assert_ptr_nonnull(t->data);
	memset(t->data + t->len, 0, len);
	t->len += len;
	return t->data + t->len - len;
}

void tar_build_seal(struct tar_build *t)
{
	unsigned sum = 0;

	memset(t->last + 148, ' ', 8);
	for (size_t i = 0; i < 512; i++)
		sum += t->last[i];
	snprintf((char *)t->last + 148, 8, "%06o", sum);
}

void tar_build_add(struct tar_build *t, char type, const char *name, const void *data, size_t len)
{
	size_t padded = (len + 511) / 512 * 512;

	t->last = grow(t, 512 + padded);
	memcpy(t->last, name, strnlen(name, 100));
	memcpy(t->last + 100, "0000644", 8);
	snprintf((char *)t->last + 124, 12, "%011zo", len);
	t->last[156] = type;
	memcpy(t->last + 257,
		"ustar\0"
		"00",
		8);
	if (data)
		memcpy(t->last + 512, data, len);
	tar_build_seal(t);
}

void tar_build_file(struct tar_build *t, const char *name, const char *text)
{
	tar_build_add(t, '0', name, text, strlen(text));
}

/* The length field includes its own digits, so more digits make the record longer. */
void tar_build_pax(struct tar_build *t, char type, const char *key, const char *value)
{
	size_t rest = strlen(key) + strlen(value) + 3, digits = 1;
	char *record;

	while ((size_t)snprintf(NULL, 0, "%zu", rest + digits) > digits)
		digits++;
	ck_assert_int_gt(asprintf(&record, "%zu %s=%s\n", rest + digits, key, value), 0);
	tar_build_add(t, type, "PaxHeaders/x", record, strlen(record));
	free(record);
}

void tar_build_end(struct tar_build *t)
{
	t->last = grow(t, 1024);
}

void tar_build_write(const struct tar_build *t, const char *path)
{
	write_file(path, t->data, t->len);
}

void tar_build_free(struct tar_build *t)
{
	free(t->data);
	*t = (struct tar_build){0};
}
