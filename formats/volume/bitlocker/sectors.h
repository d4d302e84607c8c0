/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* sectors.h - the decrypted bytes of a volume. */
#ifndef VDISK_VOLUME_BITLOCKER_SECTORS_H
#define VDISK_VOLUME_BITLOCKER_SECTORS_H

#include <stdbool.h>
#include <stdint.h>

struct bitlocker;
struct err;
struct view;
struct volume_key;

/* The mode of AES, as cryptsetup has it; NULL: the method is not known. */
const char *sectors_mode(unsigned method);

/* A description from which views are made; free it with sectors_free.  key NULL: nothing is
 * encrypted. */
struct sectors;
int sectors_new(
	const struct bitlocker *b, const struct volume_key *key, struct sectors **s, struct err *e);
void sectors_free(void *sectors);

/* The view over that of the member, which it owns on success; s must outlive it.  name, of the
 * member, is for messages. */
struct view *sectors_view(
	const struct sectors *s, struct view *member, const char *name, struct err *e);

#endif
