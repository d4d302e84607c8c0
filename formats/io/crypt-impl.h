/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* crypt-impl.h - a crypt, for crypt.c and crypt-io.c. */
#ifndef VDISK_IO_CRYPT_IMPL_H
#define VDISK_IO_CRYPT_IMPL_H

#include <pthread.h>

#include "util/pool.h"
#include "crypt.h"

#define CRYPT_LOCKS  64
#define CRYPT_REGION (1u << 20) /* bytes that one lock is for; whole sectors */

enum ivgen { IV_NONE, IV_PLAIN, IV_PLAIN64, IV_PLAIN64BE, IV_ESSIV, IV_EBOIV, IV_ELEPHANT };

struct lane;

struct crypt {
	const char *locked; /* the name of the encryption, without a key; NULL: it has one */
	enum ivgen ivgen;
	uint32_t sector_size;
	uint32_t step;     /* from the number of a sector to that of the next */
	uint64_t first;    /* position of the first whole sector in an io */
	struct lane *lane; /* only copied */
	struct pool lanes;
	pthread_rwlock_t locks[CRYPT_LOCKS]; /* of regions, whose bytes can be written */
};

#endif
