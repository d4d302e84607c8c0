/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* crypt.h - decryption of sectors, each by itself and its number.
 *
 * A crypt is keyed once and then used by any number of threads.  The caller wipes the key that it
 * passes.
 */
#ifndef VDISK_IO_CRYPT_H
#define VDISK_IO_CRYPT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct crypt;
struct err;
struct io;

#define CRYPT_SECTOR  512u /* bytes, whatever the sectors of the disk are */
#define CRYPT_KEY_MAX 64u  /* bytes of the longest key, two of 32 */

/* The parts of a mode as in LUKS headers: "xts-plain64", "cbc-essiv:sha256".  A missing part is "".
 */
#define CRYPT_WORD 32

struct crypt_mode {
	char chaining[CRYPT_WORD + 1], ivgen[CRYPT_WORD + 1], ivgen_hash[CRYPT_WORD + 1];
};

struct crypt_mode crypt_mode_parse(const char *text);

/* Bits of the cipher's own key: XTS has two in one. */
size_t crypt_key_bits(const struct crypt_mode *mode, size_t key_len);

/* Makes libcrypto read its configuration now, for a process that cannot open files later. */
void crypt_load(void);

/* The cipher and the mode have the names of LUKS.  -ENOTSUP: one of them is not supported. */
int crypt_new(const char *cipher, const char *mode, const unsigned char *key, size_t key_len,
	struct crypt **c, struct err *e);

/* For an image without a key.  locked: a crypt that cannot decrypt; else -ENOKEY.  encryption, its
 * name, is borrowed. */
int crypt_without_key(bool locked, const char *encryption, struct crypt **c, struct err *e);

void crypt_free(struct crypt *c); /* NULL is fine; wipes the keys */

/* Decrypts whole sectors in place; sector is the number of the first. */
int crypt_decrypt(struct crypt *c, void *buf, size_t len, uint64_t sector, struct err *e);

/* Exactly len bytes of io from pos on, decrypted.  Sectors begin at multiples of CRYPT_SECTOR in
 * io; sector is the number of the one that pos lies in. */
int crypt_read(struct crypt *c, struct io *io, void *buf, size_t len, uint64_t pos, uint64_t sector,
	struct err *e);

#endif
