/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdint.h>
#include <string.h>

#include "bytes.h"
#include "utf16.h"
#include "utf8.h"

static char *put_utf8(char *out, uint32_t c)
{
	if (c < 0x80) {
		*out++ = c;
	} else if (c < 0x800) {
		*out++ = 0xc0 | c >> 6;
		*out++ = 0x80 | (c & 0x3f);
	} else if (c < 0x10000) {
		*out++ = 0xe0 | c >> 12;
		*out++ = 0x80 | (c >> 6 & 0x3f);
		*out++ = 0x80 | (c & 0x3f);
	} else {
		*out++ = 0xf0 | c >> 18;
		*out++ = 0x80 | (c >> 12 & 0x3f);
		*out++ = 0x80 | (c >> 6 & 0x3f);
		*out++ = 0x80 | (c & 0x3f);
	}
	return out;
}

static bool is_high_surrogate(uint32_t c)
{
	return c >= 0xd800 && c < 0xdc00;
}

static bool is_low_surrogate(uint32_t c)
{
	return c >= 0xdc00 && c < 0xe000;
}

static uint32_t unit_at(const unsigned char *p, size_t i, enum utf16_order order)
{
	return order == UTF16_BE ? load_be16(p + 2 * i) : load_le16(p + 2 * i);
}

bool utf16_to_utf8(char *text, const unsigned char *p, size_t n, enum utf16_order order)
{
	bool whole = true;

	for (size_t i = 0; i < n; i++) {
		uint32_t c = unit_at(p, i, order);
		uint32_t next = i + 1 < n ? unit_at(p, i + 1, order) : 0;

		if (c == 0)
			break;
		if (is_high_surrogate(c) && is_low_surrogate(next)) {
			c = 0x10000 + ((c - 0xd800) << 10) + (next - 0xdc00);
			i++;
		} else if (is_high_surrogate(c) || is_low_surrogate(c)) {
			c = 0xfffd;
			whole = false;
		}
		text = put_utf8(text, c);
	}
	*text = '\0';
	return whole;
}

static unsigned char *put_unit(unsigned char *p, uint32_t unit, enum utf16_order order)
{
	if (order == UTF16_BE)
		store_be16(p, unit);
	else
		store_le16(p, unit);
	return p + 2;
}

bool utf16_from_utf8(
	unsigned char *p, size_t max, size_t *n, const char *text, enum utf16_order order)
{
	size_t left = strlen(text);

	*n = 0;
	for (size_t len; left > 0; text += len, left -= len) {
		uint32_t c;

		len = utf8_length(text, left);
		c = len ? utf8_decode(text, len) : 0;
		if (c == 0 || *n + 1 + (c >= 0x10000) > max)
			return false;
		if (c >= 0x10000) {
			p = put_unit(p, 0xd800 + ((c - 0x10000) >> 10), order);
			c = 0xdc00 + (c & 0x3ff);
			++*n;
		}
		p = put_unit(p, c, order);
		++*n;
	}
	return true;
}
