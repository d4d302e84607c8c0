/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* luks-impl.h - the parts of luks.c: the versions, and key slots. */
#ifndef VDISK_VOLUME_LUKS_LUKS_IMPL_H
#define VDISK_VOLUME_LUKS_LUKS_IMPL_H

#include "luks.h"

struct image_options;
struct json_object;

/* Limits the time that trying a passphrase on each slot takes; EFBIG. */
int luks_check_work(const struct luks *l, struct err *e);

/* Reads version 2 from the copies of its header.  luks_read has set the place. */
int luks2_read(struct luks *l, struct err *e);

/* Reads the JSON text of version 2.  EINVAL: it is damaged. */
int luks2_parse(struct luks *l, const char *text, size_t len, struct err *e);

/* Reads those slots whose numbers are in the list: they have the key of the volume.  EINVAL; what
 * is not supported refuses a slot. */
int luks2_parse_slots(
	struct json_object *slots, struct json_object *list, struct luks *l, struct err *e);

/* Tries a passphrase on a slot.  1: key, of CRYPT_KEY_MAX bytes, begins with the slot->key_len
 * bytes of the key of the volume; 0: the passphrase is not that of the slot.  EIO; another error:
 * the slot cannot be opened. */
int luks_try_slot(const struct luks *l, const struct luks_slot *slot, const void *passphrase,
	size_t len, unsigned char *key, struct err *e);

#endif
