/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "elephant.h"

#include <stdint.h>

#include "util/bytes.h"

/* Each word is changed by a mix of two others, so many words before it in diffuser A and behind it
 * in B; the sector is a ring. */
#define NEAR 2u
#define FAR  5u

#define CYCLES_A 5u
#define CYCLES_B 3u

static const unsigned rotations_a[] = {9, 0, 13, 0}, rotations_b[] = {0, 10, 0, 25};

static uint32_t word(const unsigned char *sector, size_t i)
{
	return load_le32(sector + 4 * i);
}

static uint32_t rotate(uint32_t v, unsigned bits)
{
	return bits ? v << bits | v >> (32 - bits) : v;
}

static uint32_t mix_a(const unsigned char *sector, size_t n, size_t i)
{
	size_t near = i >= NEAR ? i - NEAR : i + n - NEAR;
	size_t far = i >= FAR ? i - FAR : i + n - FAR;

	return word(sector, near) ^ rotate(word(sector, far), rotations_a[i % 4]);
}

static uint32_t mix_b(const unsigned char *sector, size_t n, size_t i)
{
	size_t near = i + NEAR < n ? i + NEAR : i + NEAR - n;
	size_t far = i + FAR < n ? i + FAR : i + FAR - n;

	return word(sector, near) ^ rotate(word(sector, far), rotations_b[i % 4]);
}

static void apply_key(
	unsigned char *sector, size_t len, const unsigned char key[static ELEPHANT_KEY])
{
	for (size_t i = 0; i < len; i++)
		sector[i] ^= key[i % ELEPHANT_KEY];
}

void elephant_encrypt(
	unsigned char *sector, size_t len, const unsigned char key[static ELEPHANT_KEY])
{
	size_t n = len / 4;

	apply_key(sector, len, key);
	for (unsigned cycle = 0; cycle < CYCLES_A; cycle++)
		for (size_t i = n; i-- > 0;)
			store_le32(sector + 4 * i, word(sector, i) - mix_a(sector, n, i));
	for (unsigned cycle = 0; cycle < CYCLES_B; cycle++)
		for (size_t i = n; i-- > 0;)
			store_le32(sector + 4 * i, word(sector, i) - mix_b(sector, n, i));
}

void elephant_decrypt(
	unsigned char *sector, size_t len, const unsigned char key[static ELEPHANT_KEY])
{
	size_t n = len / 4;

	for (unsigned cycle = 0; cycle < CYCLES_B; cycle++)
		for (size_t i = 0; i < n; i++)
			store_le32(sector + 4 * i, word(sector, i) + mix_b(sector, n, i));
	for (unsigned cycle = 0; cycle < CYCLES_A; cycle++)
		for (size_t i = 0; i < n; i++)
			store_le32(sector + 4 * i, word(sector, i) + mix_a(sector, n, i));
	apply_key(sector, len, key);
}
