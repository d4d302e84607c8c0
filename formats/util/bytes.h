/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* bytes.h - integers as disk formats store them, at any alignment, checked arithmetic, zeroes. */
#ifndef VDISK_UTIL_BYTES_H
#define VDISK_UTIL_BYTES_H

#include <endian.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#define MIN(a, b) ((a) < (b) ? (a) : (b))
#define MAX(a, b) ((a) > (b) ? (a) : (b))

#define DEFINE_LOAD(name, type, convert)                                                           \
	static inline type name(const void *p)                                                     \
	{                                                                                          \
		type v;                                                                            \
		memcpy(&v, p, sizeof v);                                                           \
		return convert(v);                                                                 \
	}

DEFINE_LOAD(load_be16, uint16_t, be16toh)
DEFINE_LOAD(load_be32, uint32_t, be32toh)
DEFINE_LOAD(load_be64, uint64_t, be64toh)
DEFINE_LOAD(load_le16, uint16_t, le16toh)
DEFINE_LOAD(load_le32, uint32_t, le32toh)
DEFINE_LOAD(load_le64, uint64_t, le64toh)

#undef DEFINE_LOAD

#define DEFINE_STORE(name, type, convert)                                                          \
	static inline void name(void *p, type v)                                                   \
	{                                                                                          \
		v = convert(v);                                                                    \
		memcpy(p, &v, sizeof v);                                                           \
	}

DEFINE_STORE(store_be16, uint16_t, htobe16)
DEFINE_STORE(store_be32, uint32_t, htobe32)
DEFINE_STORE(store_be64, uint64_t, htobe64)
DEFINE_STORE(store_le16, uint16_t, htole16)
DEFINE_STORE(store_le32, uint32_t, htole32)
DEFINE_STORE(store_le64, uint64_t, htole64)

#undef DEFINE_STORE

static inline bool is_power_of_2(uint64_t v)
{
	return v && (v & (v - 1)) == 0;
}

static inline uint64_t div_round_up(uint64_t a, uint64_t b)
{
	return a / b + (a % b != 0);
}

/* v rounded up to a multiple of unit, a power of two; the caller knows that it fits. */
static inline uint64_t round_up(uint64_t v, uint64_t unit)
{
	return (v + unit - 1) & ~(unit - 1);
}

/* Is [pos, pos+len) inside [0, size)?  No sum here can overflow. */
static inline bool range_fits(uint64_t pos, uint64_t len, uint64_t size)
{
	return pos <= size && len <= size - pos;
}

/* The first byte is zero, and each equals the one before: memcmp is the fastest reader there is. */
static inline bool is_zero(const void *buf, size_t len)
{
	const unsigned char *p = buf;

	return len == 0 || (p[0] == 0 && memcmp(p, p + 1, len - 1) == 0);
}

#endif
