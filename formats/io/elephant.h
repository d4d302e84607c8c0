/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* elephant.h - the Elephant diffuser, which BitLocker of Windows Vista and 7 adds to AES-CBC.
 *
 * N. Ferguson: AES-CBC + Elephant diffuser, A Disk Encryption Algorithm for Windows Vista, 2006.
 */
#ifndef VDISK_IO_ELEPHANT_H
#define VDISK_IO_ELEPHANT_H

#include <stddef.h>

#define ELEPHANT_KEY 32u   /* bytes of a sector's key */
#define ELEPHANT_MAX 4096u /* bytes of the largest sector */

/* Applies the sector's key and the diffusers, before the cipher; len, in bytes, is a power of two
 * up to ELEPHANT_MAX. */
void elephant_encrypt(
	unsigned char *sector, size_t len, const unsigned char key[static ELEPHANT_KEY]);

/* Undoes them, after the cipher. */
void elephant_decrypt(
	unsigned char *sector, size_t len, const unsigned char key[static ELEPHANT_KEY]);

#endif
