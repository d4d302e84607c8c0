/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* unlock.h - from a passphrase to the key of a volume.
 *
 * Each protector wraps the master key in its own key by AES-CCM, which also shows whether a key is
 * the right one.  The master key wraps the key of the volume, and the digest of the metadata.
 */
#ifndef VDISK_VOLUME_BITLOCKER_UNLOCK_H
#define VDISK_VOLUME_BITLOCKER_UNLOCK_H

#include <stddef.h>

struct bitlocker;
struct err;
struct passphrase;

#define VOLUME_KEY_MAX 64u /* bytes */

struct volume_key {
	unsigned char bytes[VOLUME_KEY_MAX];
	size_t len;
};

/* Opens a volume by its clear key, or else by a passphrase that is for it; the caller
 * wipes the key.  -ENOKEY:
 * there is no passphrase, or none could open it; -EKEYREJECTED: none of them does; -EUCLEAN: the
 * metadata are damaged. */
int bitlocker_unlock(const struct bitlocker *b, const struct passphrase *secrets,
	struct volume_key *key, struct err *e);

#endif
