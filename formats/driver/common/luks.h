/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* luks.h - LUKS version 1: the header of a file, or of a part of a qcow2 file, which holds the
 * master key in up to eight key slots, each encrypted with a passphrase.
 *
 * Section numbers are those of the LUKS1 On-Disk Format Specification 1.2.
 */
#ifndef VDISK_DRIVER_COMMON_LUKS_H
#define VDISK_DRIVER_COMMON_LUKS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "io/digest.h"

struct crypt;
struct err;
struct facts;
struct image_options;
struct io;

#define LUKS_HEADER  592u /* bytes */
#define LUKS_SLOTS   8
#define LUKS_STRIPES 4000u /* always */
#define LUKS_DIGEST  20u
#define LUKS_MAGIC   "LUKS\xba\xbe"

struct luks_slot {
	bool used;
	uint32_t iterations;
	uint32_t sector; /* of the key material, counted from the header */
	unsigned char salt[HASH_SALT];
};

/* A checked header: its areas lie inside of the part that it may use. */
struct luks {
	struct io *io;
	uint64_t pos; /* of the header in io */
	uint64_t len; /* of the part that it may use */
	char cipher[33], mode[33], hash_name[33], uuid[41];
	const struct hash *hash;
	uint64_t payload; /* bytes from the header to the data */
	uint32_t key_len;
	unsigned char digest[LUKS_DIGEST];
	unsigned char salt[HASH_SALT];
	uint32_t iterations;
	struct luks_slot slots[LUKS_SLOTS];
};

int luks_read(struct luks *l, struct io *io, uint64_t pos, uint64_t len, struct err *e);

/* Under the keys of qemu-img. */
void luks_facts(const struct luks *l, struct facts *f);

/* Finds the key slot that one of the passphrases opens.  -ENOKEY: there are no passphrases, and the
 * image must not be opened without; -EKEYREJECTED: none of them opens a slot. */
int luks_unlock(
	const struct luks *l, const struct image_options *how, struct crypt **crypt, struct err *e);

#endif
