/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* crypt.h - encryption of sectors, each by itself and its number.
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

#define CRYPT_SECTOR     512u  /* bytes, unless crypt_set_sectors says more */
#define CRYPT_SECTOR_MAX 4096u /* bytes */
#define CRYPT_KEY_MAX    64u   /* bytes of the longest key, two of 32 */

/* The parts of a mode as in LUKS headers: "xts-plain64", "cbc-essiv:sha256".  A missing part is "".
 */
#define CRYPT_WORD 32

struct crypt_mode {
	char chaining[CRYPT_WORD + 1], ivgen[CRYPT_WORD + 1], ivgen_hash[CRYPT_WORD + 1];
};

struct crypt_mode crypt_mode_parse(const char *text);

/* Bits of the cipher's own key: XTS and the Elephant diffuser have two in one. */
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

/* Before the first use: sectors have size bytes, a power of two from CRYPT_SECTOR to
 * CRYPT_SECTOR_MAX, and one of them begins at position first of the io.  large_numbers: they are
 * numbered one by one; else by how many pieces of CRYPT_SECTOR lie before, as dm-crypt does it
 * unless it is told iv_large_sectors. */
void crypt_set_sectors(struct crypt *c, uint32_t size, uint64_t first, bool large_numbers);

/* The number of the sector that has the byte off bytes after the beginning of sector 0. */
uint64_t crypt_sector_number(const struct crypt *c, uint64_t off);

/* The end of the last whole sector of an io of size bytes. */
uint64_t crypt_whole_end(const struct crypt *c, uint64_t size);

enum crypt_way { CRYPT_DECRYPT, CRYPT_ENCRYPT };

/* Converts whole sectors in place; sector is the number of the first. */
int crypt_convert(
	struct crypt *c, enum crypt_way way, void *buf, size_t len, uint64_t sector, struct err *e);

/* Exactly len bytes of io from pos on, decrypted; sector is the number of the sector that pos lies
 * in. */
int crypt_read(struct crypt *c, struct io *io, void *buf, size_t len, uint64_t pos, uint64_t sector,
	struct err *e);

/* The same for writing: the sectors that buf has only a part of keep their other bytes.  Readers
 * and writers of an io by one crypt see each sector whole. */
int crypt_write(struct crypt *c, struct io *io, const void *buf, size_t len, uint64_t pos,
	uint64_t sector, struct err *e);

#endif
