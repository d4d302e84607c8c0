/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <inttypes.h>
#include <stdio.h>

#include "bytes.h"
#include "guid.h"

void guid_text(char text[GUID_TEXT], const unsigned char *p)
{
	snprintf(text, GUID_TEXT, "%08" PRIx32 "-%04x-%04x-%02x%02x-%02x%02x%02x%02x%02x%02x",
		load_le32(p), (unsigned)load_le16(p + 4), (unsigned)load_le16(p + 6), p[8], p[9],
		p[10], p[11], p[12], p[13], p[14], p[15]);
}

bool guid_is_zero(const unsigned char *p)
{
	static const unsigned char zero[GUID_LEN];

	return memcmp(p, zero, sizeof zero) == 0;
}
