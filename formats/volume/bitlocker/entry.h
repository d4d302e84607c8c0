/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* entry.h - the entries that BitLocker's metadata and key files consist of.  Some of them hold
 * other entries.
 */
#ifndef VDISK_VOLUME_BITLOCKER_ENTRY_H
#define VDISK_VOLUME_BITLOCKER_ENTRY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The part of an entry in the list that it stands in. */
enum {
	ROLE_PROTECTOR = 2,
	ROLE_VOLUME_KEY = 3,
	ROLE_EXTERNAL_KEY = 6,
	ROLE_DESCRIPTION = 7,
	ROLE_HEADER = 15,
};

/* The structure of its data. */
enum {
	KIND_KEY = 1,
	KIND_TEXT = 2,
	KIND_STRETCH = 3,
	KIND_WRAPPED = 5,
	KIND_PROTECTOR = 8,
	KIND_EXTERNAL_KEY = 9,
	KIND_PLACE = 15,
};

struct entry {
	unsigned role, kind;
	const unsigned char *data;
	size_t len;
};

/* Entries that have not been read yet. */
struct entry_list {
	const unsigned char *data;
	size_t len;
};

/* Takes the next entry off the list.  False: there is none, or it passes the end. */
bool entry_next(struct entry_list *list, struct entry *x);

/* The first entry of this kind; of this role, too, unless it is negative. */
bool entry_find(struct entry_list list, int role, unsigned kind, struct entry *x);

/* The entries in the data of x from skip on; none if it is shorter. */
struct entry_list entry_list_in(const struct entry *x, size_t skip);

#endif
