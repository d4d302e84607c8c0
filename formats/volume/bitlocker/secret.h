/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* secret.h - the keys that a passphrase can stand for: a password, a recovery password of 48
 * digits, or a startup key, the contents of a .bek file.
 */
#ifndef VDISK_VOLUME_BITLOCKER_SECRET_H
#define VDISK_VOLUME_BITLOCKER_SECRET_H

#include <stdbool.h>
#include <stddef.h>

#include "util/guid.h"

struct err;

#define SECRET_KEY  32u /* bytes */
#define SECRET_SALT 16u

/* The meanings that a passphrase can have; the caller wipes it. */
struct secret {
	bool is_password, is_recovery, is_external;
	unsigned char password[SECRET_KEY], recovery[SECRET_KEY]; /* before they are stretched */
	unsigned char external[SECRET_KEY];
	unsigned char external_id[GUID_LEN]; /* of the protector that it opens */
};

/* ENOMEM is all that can fail. */
int secret_read(struct secret *s, const unsigned char *bytes, size_t len, struct err *e);

/* The key of a protector from a password or a recovery password: a million digests. */
void secret_stretch(const unsigned char from[static SECRET_KEY],
	const unsigned char salt[static SECRET_SALT], unsigned char key[static SECRET_KEY]);

#endif
