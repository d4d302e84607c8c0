/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* luks2-make.h - LUKS2 headers with one key slot, whose text can be changed.
 *
 * For mkimage, the unit tests and the fuzz target.  Nothing of formats/ is used but util/bytes.h.
 */
#ifndef LUKS2_MAKE_H
#define LUKS2_MAKE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LUKS2_MAKE_COPY (16u << 10)  /* bytes of a copy of the header */
#define LUKS2_MAKE_DATA (320u << 10) /* where the data begins */
#define LUKS2_MAKE_UUID "01234567-89ab-cdef-0123-456789abcdef"

struct luks2_spec {
	const char *encryption; /* "aes-xts-plain64" */
	size_t key_len;
	size_t sector_size;
	uint64_t iv_tweak;
	const char *hash;
	const char *kdf; /* "pbkdf2", "argon2i", "argon2id" */
	const char *passphrase;
	const char *label;
};

/* Returns everything before the data: LUKS2_MAKE_DATA bytes, malloc'ed, or NULL. */
unsigned char *luks2_make(const struct luks2_spec *s);

/* Encrypts whole sectors of the data in place; off: of the first, from the beginning of the data.
 * Returns 0, or -1. */
int luks2_encrypt(const struct luks2_spec *s, void *buf, size_t len, uint64_t off);

/* Replaces the first from in the text of a copy (0 or 1) by to, and makes its checksum right.
 * False: there is no from, or the text becomes too long. */
bool luks2_edit(unsigned char *header, unsigned copy, const char *from, const char *to);

/* Makes the checksum of a copy right, after a change of its bytes. */
void luks2_seal(unsigned char *header, unsigned copy);

#endif
