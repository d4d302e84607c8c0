/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* luks.h - LUKS, versions 1 and 2: a header whose key slots hold the key of the volume, each
 * encrypted with a passphrase.
 *
 * A header is that of a device, of a file, or of a part of a qcow2 file.  Both versions are read
 * into the same structure.
 *
 * Section numbers are those of the LUKS1 On-Disk Format Specification 1.2 and of the LUKS2 On-Disk
 * Format Specification 1.1.
 */
#ifndef VDISK_VOLUME_LUKS_LUKS_H
#define VDISK_VOLUME_LUKS_LUKS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "io/digest.h"

struct crypt;
struct err;
struct facts;
struct image_options;
struct io;
struct volume_reader;

#define LUKS_MAGIC   "LUKS\xba\xbe"
#define LUKS_SLOTS   32    /* at most; version 1 has LUKS1_SLOTS */
#define LUKS_STRIPES 4000u /* always */
#define LUKS_WORD    32    /* characters of a name */

#define LUKS1_HEADER 592u /* bytes */
#define LUKS1_SLOTS  8

enum luks_kdf_kind { LUKS_PBKDF2, LUKS_ARGON2I, LUKS_ARGON2ID };

/* From a passphrase to a key. */
struct luks_kdf {
	enum luks_kdf_kind kind;
	const struct hash *hash; /* of PBKDF2 */
	uint32_t iterations;     /* passes of Argon2 */
	uint32_t memory, lanes;  /* of Argon2, in KiB */
	unsigned char salt[HASH_SALT];
};

struct luks_slot {
	unsigned number;
	bool used;
	unsigned priority;          /* 0: after all others, 2: before them */
	char refused[96];           /* the reason why it cannot be opened; "": it can */
	struct luks_kdf kdf;        /* makes the key of the area */
	uint64_t pos, len;          /* the area: bytes, counted from the header */
	char cipher[LUKS_WORD + 1]; /* of the area */
	char mode[LUKS_WORD + 1];
	uint32_t area_key_len;
	uint32_t key_len; /* bytes of the key of the volume */
	const struct hash *split_hash;
};

/* Tells the right key of the volume from others. */
struct luks_digest {
	const struct hash *hash;
	uint32_t iterations;
	unsigned char salt[HASH_SALT];
	unsigned char value[HASH_MAX];
	size_t len;
};

/* A checked header: its areas lie inside of the part that it may use. */
struct luks {
	struct io *io;
	uint64_t pos; /* of the header in io */
	uint64_t len; /* of the part that it may use */
	unsigned version;
	bool detached; /* the device of the data is another one */
	char uuid[41], label[49];
	char cipher[LUKS_WORD + 1], mode[LUKS_WORD + 1];
	char hash_name[LUKS_WORD + 1]; /* version 1 */
	uint64_t header_len;           /* bytes of both copies of version 2; 0: version 1 */
	uint64_t payload;              /* bytes from the beginning of the device to the data */
	uint64_t size;                 /* bytes of the data; 0: all that follows */
	uint64_t first_sector;         /* number of the first sector of the data, for the cipher */
	uint32_t sector_size;
	uint32_t key_len; /* of the volume; version 2: of the first slot */
	struct luks_digest digest;
	struct luks_slot slots[LUKS_SLOTS];
	unsigned nslots; /* version 2: those of the volume's key alone */
};

/* Reads and checks the header of either version at pos; len: bytes of the part that it may use.
 * EINVAL: it is cut off or damaged; ENOTSUP: it needs a feature that is not supported, by name;
 * EFBIG: to try a passphrase would take too long. */
int luks_read(struct luks *l, struct io *io, uint64_t pos, uint64_t len, struct err *e);

/* The same, of version 1 alone: qcow2 has no other. */
int luks1_read(struct luks *l, struct io *io, uint64_t pos, uint64_t len, struct err *e);

/* Does a device that begins with these bytes have a header? */
bool luks_is_header(const void *bytes, size_t len);

/* The bytes of the volume on a device of so many bytes.  EINVAL: the device ends before; ENOTSUP:
 * it is a detached header, and was found on the device. */
int luks_data_size(const struct luks *l, uint64_t device, uint64_t *size, struct err *e);

/* The facts of a header of version 1, under the keys of qemu-img. */
void luks_facts(const struct luks *l, struct facts *f);

/* Finds the key slot that one of the passphrases opens.  -ENOKEY: there are no passphrases for it,
 * and the image must not be opened without; -EKEYREJECTED: none of them opens a slot.  The sectors
 * of the crypt are those of the volume. */
int luks_unlock(
	const struct luks *l, const struct image_options *how, struct crypt **crypt, struct err *e);

extern const struct volume_reader luks_reader;

#endif
