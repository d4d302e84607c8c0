/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#include "bytes.h"
#include "err.h"
#include "guid.h"
#include "text.h"

void guid_text(char text[GUID_TEXT], const unsigned char *p)
{
	snprintf(text, GUID_TEXT, "%08" PRIx32 "-%04x-%04x-%02x%02x-%02x%02x%02x%02x%02x%02x",
		load_le32(p), (unsigned)load_le16(p + 4), (unsigned)load_le16(p + 6), p[8], p[9],
		p[10], p[11], p[12], p[13], p[14], p[15]);
}

int guid_random(unsigned char p[GUID_LEN], struct err *e)
{
	if (getrandom(p, GUID_LEN, 0) != (ssize_t)GUID_LEN)
		return err_set(e, EIO, "no random numbers: %s", strerror(errno));
	p[7] = (p[7] & 0x0f) | 0x40;
	p[8] = (p[8] & 0x3f) | 0x80;
	return 0;
}

bool guid_is_zero(const unsigned char *p)
{
	return is_zero(p, GUID_LEN);
}

bool guid_parse(unsigned char p[GUID_LEN], const char *text)
{
	/* The bytes of p in the order of the text; the first three fields are little-endian. */
	static const unsigned char place[GUID_LEN] = {
		3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15};
	unsigned char id[GUID_LEN];
	bool braces = *text == '{';

	text += braces;
	for (size_t i = 0; i < GUID_LEN; i++, text += 2) {
		if ((i == 4 || i == 6 || i == 8 || i == 10) && *text++ != '-')
			return false;
		if (text_hex_digit(text[0]) < 0 || text_hex_digit(text[1]) < 0)
			return false;
		id[place[i]] = text_hex_digit(text[0]) << 4 | text_hex_digit(text[1]);
	}
	if (strcmp(text, braces ? "}" : "") != 0)
		return false;
	memcpy(p, id, sizeof id);
	return true;
}

const char *guid_cut(const char *text, char guid[GUID_TEXT])
{
	unsigned char id[GUID_LEN];

	guid[0] = '\0';
	if (strnlen(text, GUID_TEXT) < GUID_TEXT || text[GUID_TEXT - 1] != ':')
		return text;
	memcpy(guid, text, GUID_TEXT - 1);
	guid[GUID_TEXT - 1] = '\0';
	if (guid_parse(id, guid)) {
		guid_text(guid, id);
		return text + GUID_TEXT;
	}
	guid[0] = '\0';
	return text;
}
