/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* guid.h - GUIDs in Microsoft's order: three little-endian fields, then eight bytes. */
#ifndef VDISK_GUID_H
#define VDISK_GUID_H

#include <stdbool.h>

#define GUID_LEN  16u
#define GUID_TEXT 37 /* "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx" and the NUL */

void guid_text(char text[GUID_TEXT], const unsigned char *p);
bool guid_is_zero(const unsigned char *p);

#endif
