/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* secret-object.h - the passphrases of --object secret, which descriptions of images name by their
 * IDs. */
#ifndef VDISK_TOOLS_LIB_SECRET_OBJECT_H
#define VDISK_TOOLS_LIB_SECRET_OBJECT_H

#include <stdbool.h>

struct err;
struct passphrase;

/* Makes *s of "secret,id=ID,data=TEXT" or "secret,id=ID,file=FILE", with format=raw or base64. */
int secret_object_read(const char *object, struct passphrase **s, struct err *e);

/* Has one of objects (NULL-terminated, or NULL) this ID? */
bool secret_object_exists(const char *const *objects, const char *id);

#endif
