/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdio.h>

#include "super.h"

void md_uuid_text(char text[GUID_TEXT], const unsigned char *p)
{
	char *end = text;

	for (unsigned i = 0; i < GUID_LEN; i++)
		end += sprintf(
			end, "%s%02x", i == 4 || i == 6 || i == 8 || i == 10 ? "-" : "", p[i]);
}
