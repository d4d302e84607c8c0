/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* protector.h - a protector: the master key, wrapped in a key that a secret makes. */
#ifndef VDISK_VOLUME_BITLOCKER_PROTECTOR_H
#define VDISK_VOLUME_BITLOCKER_PROTECTOR_H

#include <stdbool.h>

#include "entry.h"

/* The sources of a key; a protector can need several of these at once. */
enum {
	NEEDS_TPM = 0x0100,
	NEEDS_FILE = 0x0200,
	NEEDS_PIN = 0x0400,
	NEEDS_RECOVERY = 0x0800,
	NEEDS_CERTIFICATE = 0x1000,
	NEEDS_PASSWORD = 0x2000,
};

struct protector {
	const unsigned char *id;   /* a GUID */
	unsigned needs;            /* 0: nothing, the key is there */
	const unsigned char *salt; /* NULL: none */
	struct entry wrapped;      /* the master key; data NULL: none */
	struct entry clear;        /* a key that opens it; data NULL: none */
};

/* Takes the next protector off the list, without damaged ones. */
bool protector_next(struct entry_list *list, struct protector *p);

/* Writes what opens the volume, "password, recovery password ID", to text; false: nothing
 * that a passphrase can be. */
#define PROTECTOR_TEXT 256
bool protector_list(struct entry_list list, char text[static PROTECTOR_TEXT]);

#endif
