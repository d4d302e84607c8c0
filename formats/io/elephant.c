/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "elephant.h"

#include <stdint.h>

#include "util/bytes.h"

#define CYCLES_A 5u
#define CYCLES_B 3u

/* The words of a sector, a ring whose number is a power of two. */
struct words {
	uint32_t d[ELEPHANT_MAX / 4];
	uint32_t n;
};

static uint32_t rotate(uint32_t v, unsigned bits)
{
	return bits ? v << bits | v >> (32 - bits) : v;
}

/* A mix of the words that are so many words behind word i, or before it. */
static uint32_t mix(const struct words *w, uint32_t i, uint32_t near, uint32_t far, unsigned bits)
{
	return w->d[(i + near) & (w->n - 1)] ^ rotate(w->d[(i + far) & (w->n - 1)], bits);
}

static uint32_t mix_a(const struct words *w, uint32_t i, unsigned bits)
{
	return mix(w, i, -2u, -5u, bits);
}

static uint32_t mix_b(const struct words *w, uint32_t i, unsigned bits)
{
	return mix(w, i, 2, 5, bits);
}

static void add_a(struct words *w)
{
	for (uint32_t i = 0; i < w->n; i += 4) {
		w->d[i] += mix_a(w, i, 9);
		w->d[i + 1] += mix_a(w, i + 1, 0);
		w->d[i + 2] += mix_a(w, i + 2, 13);
		w->d[i + 3] += mix_a(w, i + 3, 0);
	}
}

static void add_b(struct words *w)
{
	for (uint32_t i = 0; i < w->n; i += 4) {
		w->d[i] += mix_b(w, i, 0);
		w->d[i + 1] += mix_b(w, i + 1, 10);
		w->d[i + 2] += mix_b(w, i + 2, 0);
		w->d[i + 3] += mix_b(w, i + 3, 25);
	}
}

static void subtract_a(struct words *w)
{
	for (uint32_t i = w->n; i > 0; i -= 4) {
		w->d[i - 1] -= mix_a(w, i - 1, 0);
		w->d[i - 2] -= mix_a(w, i - 2, 13);
		w->d[i - 3] -= mix_a(w, i - 3, 0);
		w->d[i - 4] -= mix_a(w, i - 4, 9);
	}
}

static void subtract_b(struct words *w)
{
	for (uint32_t i = w->n; i > 0; i -= 4) {
		w->d[i - 1] -= mix_b(w, i - 1, 25);
		w->d[i - 2] -= mix_b(w, i - 2, 0);
		w->d[i - 3] -= mix_b(w, i - 3, 10);
		w->d[i - 4] -= mix_b(w, i - 4, 0);
	}
}

static uint32_t key_word(const unsigned char *key, uint32_t i)
{
	return load_le32(key + 4 * i % ELEPHANT_KEY);
}

void elephant_encrypt(
	unsigned char *sector, size_t len, const unsigned char key[static ELEPHANT_KEY])
{
	struct words w;

	w.n = (uint32_t)(len / 4);
	for (uint32_t i = 0; i < w.n; i++)
		w.d[i] = load_le32(sector + 4 * i) ^ key_word(key, i);
	for (unsigned cycle = 0; cycle < CYCLES_A; cycle++)
		subtract_a(&w);
	for (unsigned cycle = 0; cycle < CYCLES_B; cycle++)
		subtract_b(&w);
	for (uint32_t i = 0; i < w.n; i++)
		store_le32(sector + 4 * i, w.d[i]);
}

void elephant_decrypt(
	unsigned char *sector, size_t len, const unsigned char key[static ELEPHANT_KEY])
{
	struct words w;

	w.n = (uint32_t)(len / 4);
	for (uint32_t i = 0; i < w.n; i++)
		w.d[i] = load_le32(sector + 4 * i);
	for (unsigned cycle = 0; cycle < CYCLES_B; cycle++)
		add_b(&w);
	for (unsigned cycle = 0; cycle < CYCLES_A; cycle++)
		add_a(&w);
	for (uint32_t i = 0; i < w.n; i++)
		store_le32(sector + 4 * i, w.d[i] ^ key_word(key, i));
}
