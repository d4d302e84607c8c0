/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* crypt.h - decryption of sectors, each by itself, by a number that says which one it is.
 *
 * A crypt is keyed once and then used by any number of threads.  What a key was made of is the
 * caller's to wipe.
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

/* A mode as LUKS headers write it, taken apart: "xts-plain64", "cbc-essiv:sha256".  What is not
 * there is "". */
#define CRYPT_WORD 32

struct crypt_mode {
	char chaining[CRYPT_WORD + 1], ivgen[CRYPT_WORD + 1], ivgen_hash[CRYPT_WORD + 1];
};

struct crypt_mode crypt_mode_parse(const char *text);

/* Bits of the cipher's own key: XTS has two in one. */
size_t crypt_key_bits(const struct crypt_mode *mode, size_t key_len);

/* Lets libcrypto read its configuration now, for a process that will not be able to. */
void crypt_load(void);

/* The cipher and the mode in the words of LUKS.  -ENOTSUP names what is not known here. */
int crypt_new(const char *cipher, const char *mode, const unsigned char *key, size_t key_len,
	struct crypt **c, struct err *e);

/* For an image whose key nobody has.  locked: stands for it and decrypts nothing; else -ENOKEY.
 * encryption, what it is called, is borrowed. */
int crypt_without_key(bool locked, const char *encryption, struct crypt **c, struct err *e);

void crypt_free(struct crypt *c); /* NULL is fine; wipes the keys */

/* Decrypts whole sectors in place; the first has that number, the others those that follow. */
int crypt_decrypt(struct crypt *c, void *buf, size_t len, uint64_t sector, struct err *e);

/* Exactly len bytes of io from pos on, decrypted.  Sectors begin at multiples of CRYPT_SECTOR in
 * io; sector is the number of the one that pos lies in. */
int crypt_read(struct crypt *c, struct io *io, void *buf, size_t len, uint64_t pos, uint64_t sector,
	struct err *e);

#endif
