/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* allocmap.c - the set as chunks of 32768 granules.
 *
 * A chunk has the number of stored granules before it.  A chunk with both kinds has a bitmap, too,
 * and the number of stored ones before each eighth of it: rank and select take a binary search
 * among the chunks and a look at 64 words of a bitmap at most.
 */
#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "util/limits.h"
#include "util/bytes.h"
#include "util/err.h"
#include "allocmap.h"
#include "view/view.h"

#define CHUNK   32768u /* granules of a chunk */
#define WORDS   (CHUNK / 64)
#define EIGHTHS 8u
#define EIGHTH  (WORDS / EIGHTHS) /* words of one */

struct bitmap {
	uint16_t before[EIGHTHS]; /* members in the chunk before each eighth */
	uint64_t words[WORDS];
};

struct chunk {
	uint64_t before;       /* members before it */
	struct bitmap *bitmap; /* NULL: all of it are members, or none */
};

struct allocmap {
	unsigned bits;
	uint64_t n;
	size_t nchunks;
	struct chunk chunks[]; /* and one more, whose before counts all */
};

/* The number of granules of chunk c. */
static unsigned chunk_len(const struct allocmap *g, size_t c)
{
	return MIN(CHUNK, g->n - c * (uint64_t)CHUNK);
}

static unsigned chunk_members(const struct allocmap *g, size_t c)
{
	return g->chunks[c + 1].before - g->chunks[c].before;
}

unsigned allocmap_bits(const struct allocmap *g)
{
	return g->bits;
}

uint64_t allocmap_all(const struct allocmap *g)
{
	return g->n;
}

uint64_t allocmap_stored(const struct allocmap *g)
{
	return g->chunks[g->nchunks].before;
}

void allocmap_free(struct allocmap *g)
{
	if (!g)
		return;
	for (size_t c = 0; c < g->nchunks; c++)
		free(g->chunks[c].bitmap);
	free(g);
}

bool allocmap_has(const struct allocmap *g, uint64_t i)
{
	size_t c = i / CHUNK;
	const struct bitmap *b = g->chunks[c].bitmap;

	return b ? b->words[i % CHUNK / 64] >> i % 64 & 1 : chunk_members(g, c) > 0;
}

uint64_t allocmap_rank(const struct allocmap *g, uint64_t i)
{
	size_t c = i / CHUNK;
	unsigned bit = i % CHUNK, word = bit / 64;
	const struct bitmap *b = g->chunks[c].bitmap;
	uint64_t n = g->chunks[c].before;

	if (bit == 0)
		return n;
	if (!b)
		return n + (chunk_members(g, c) > 0 ? bit : 0);
	n += b->before[word / EIGHTH];
	for (unsigned w = word - word % EIGHTH; w < word; w++)
		n += __builtin_popcountll(b->words[w]);
	return n + __builtin_popcountll(b->words[word] & ((UINT64_C(1) << bit % 64) - 1));
}

static unsigned bitmap_select(const struct bitmap *b, unsigned k)
{
	unsigned eighth = EIGHTHS - 1, w, n;
	uint64_t word;

	while (b->before[eighth] > k)
		eighth--;
	k -= b->before[eighth];
	for (w = eighth * EIGHTH; (n = __builtin_popcountll(b->words[w])) <= k; w++)
		k -= n;
	for (word = b->words[w]; k > 0; k--)
		word &= word - 1;
	return w * 64 + __builtin_ctzll(word);
}

/* The last chunk with no more than k members before it, which is the one that has number k. */
static size_t find_chunk(const struct allocmap *g, uint64_t k)
{
	size_t low = 0, high = g->nchunks;

	while (high - low > 1) {
		size_t middle = low + (high - low) / 2;

		if (g->chunks[middle].before <= k)
			low = middle;
		else
			high = middle;
	}
	return low;
}

uint64_t allocmap_select(const struct allocmap *g, uint64_t k)
{
	size_t c = find_chunk(g, k);
	const struct bitmap *b = g->chunks[c].bitmap;
	unsigned in_chunk = k - g->chunks[c].before;

	assert(k < allocmap_stored(g));
	return c * (uint64_t)CHUNK + (b ? bitmap_select(b, in_chunk) : in_chunk);
}

/* The first bit from bit on that is set, or that is not (invert: all ones); CHUNK: none is. */
static unsigned bitmap_find(const struct bitmap *b, unsigned bit, uint64_t invert)
{
	uint64_t word = (b->words[bit / 64] ^ invert) & UINT64_MAX << bit % 64;
	unsigned w = bit / 64;

	while (word == 0)
		if (++w == WORDS)
			return CHUNK;
		else
			word = b->words[w] ^ invert;
	return w * 64 + __builtin_ctzll(word);
}

uint64_t allocmap_next(const struct allocmap *g, uint64_t i)
{
	for (size_t c = i / CHUNK; c < g->nchunks; c++, i = c * (uint64_t)CHUNK) {
		const struct bitmap *b = g->chunks[c].bitmap;
		unsigned bit;

		if (chunk_members(g, c) == 0)
			continue;
		bit = b ? bitmap_find(b, i % CHUNK, 0) : i % CHUNK;
		if (bit < CHUNK)
			return c * (uint64_t)CHUNK + bit;
	}
	return g->n;
}

uint64_t allocmap_run(const struct allocmap *g, uint64_t i, uint64_t max)
{
	uint64_t at = i;

	for (size_t c = i / CHUNK; c < g->nchunks && at - i < max; c++) {
		const struct bitmap *b = g->chunks[c].bitmap;
		unsigned end = chunk_members(g, c) > 0 ? chunk_len(g, c) : 0;

		if (b)
			end = bitmap_find(b, at % CHUNK, UINT64_MAX);
		at = MAX(at, c * (uint64_t)CHUNK + end);
		if (end < CHUNK)
			break;
	}
	return at - i;
}

/* Building a set, from the first granule to the last. */

struct maker {
	struct allocmap *g;
	size_t c;         /* the chunk at work */
	unsigned members; /* in it */
	unsigned nmixed;
	uint64_t words[WORDS];
};

static int maker_begin(struct maker *m, uint64_t size, unsigned bits, struct err *e)
{
	uint64_t n = (size >> bits) + (size & ((UINT64_C(1) << bits) - 1) ? 1 : 0);
	uint64_t nchunks = div_round_up(n, CHUNK);

	*m = (struct maker){0};
	if (nchunks > LAYOUT_MAX_CHUNKS)
		return err_set(e, EFBIG, "a disk of %" PRIu64 " bytes has too many granules", size);
	m->g = calloc(1, sizeof *m->g + (nchunks + 1) * sizeof m->g->chunks[0]);
	if (!m->g)
		return err_nomem(e);
	m->g->bits = bits;
	m->g->n = n;
	m->g->nchunks = nchunks;
	return 0;
}

/* Ends the current chunk and begins the next one. */
static int close_chunk(struct maker *m, struct err *e)
{
	struct chunk *chunk = &m->g->chunks[m->c];
	unsigned len = chunk_len(m->g, m->c), n = 0;

	if (m->members > 0 && m->members < len && m->nmixed++ < LAYOUT_MAX_MIXED) {
		struct bitmap *b = malloc(sizeof *b);

		if (!b)
			return err_nomem(e);
		memcpy(b->words, m->words, sizeof b->words);
		for (unsigned w = 0; w < WORDS; w++) {
			if (w % EIGHTH == 0)
				b->before[w / EIGHTH] = n;
			n += __builtin_popcountll(b->words[w]);
		}
		chunk->bitmap = b;
	} else if (m->members > 0) {
		m->members = len;
	}
	chunk[1].before = chunk->before + m->members;
	if (m->members > 0)
		memset(m->words, 0, sizeof m->words);
	m->members = 0;
	m->c++;
	return 0;
}

/* Sets the bits [first, last] of words, none of which is set. */
static void set_bits(uint64_t *words, unsigned first, unsigned last)
{
	uint64_t head = UINT64_MAX << first % 64, tail = UINT64_MAX >> (63 - last % 64);

	if (first / 64 == last / 64) {
		words[first / 64] |= head & tail;
		return;
	}
	words[first / 64] |= head;
	for (unsigned w = first / 64 + 1; w < last / 64; w++)
		words[w] = UINT64_MAX;
	words[last / 64] |= tail;
}

/* Adds the granules [first, last], which come after all that were added before. */
static int maker_add(struct maker *m, uint64_t first, uint64_t last, struct err *e)
{
	while (first <= last) {
		uint64_t end = MIN(last, first | (CHUNK - 1));
		int r = 0;

		while (r == 0 && m->c < first / CHUNK)
			r = close_chunk(m, e);
		if (r < 0)
			return r;
		set_bits(m->words, first % CHUNK, end % CHUNK);
		m->members += end - first + 1;
		first = end + 1;
	}
	return 0;
}

static struct allocmap *maker_end(struct maker *m, int r, struct err *e)
{
	while (r == 0 && m->c < m->g->nchunks)
		r = close_chunk(m, e);
	if (r == 0)
		return m->g;
	allocmap_free(m->g);
	return NULL;
}

/* One byte of data makes a granule stored: the rest of it is skipped. */
struct allocmap *allocmap_of(const struct view *v, unsigned bits, struct err *e)
{
	uint64_t off = 0, len;
	struct maker m;
	int r = maker_begin(&m, v->size, bits, e);

	view_enter(v);
	for (unsigned n = 0; r == 0 && off < v->size; n++) {
		if (n == VIEW_LOOKS_MAX) {
			len = v->size - off;
		} else if (!view_look(v, off, &len)) {
			off += len;
			continue;
		}
		r = maker_add(&m, off >> bits, (off + len - 1) >> bits, e);
		off = (((off + len - 1) >> bits) + 1) << bits;
	}
	view_leave(v);
	return maker_end(&m, r, e);
}

struct allocmap *allocmap_coarsen(const struct allocmap *g, unsigned bits, struct err *e)
{
	unsigned up = bits - g->bits;
	struct maker m;
	uint64_t i, last;
	int r = maker_begin(&m, g->n << g->bits, bits, e);

	assert(bits >= g->bits);
	for (i = 0; r == 0 && (i = allocmap_next(g, i)) < g->n; i = (last + 1) << up) {
		last = (i + allocmap_run(g, i, g->n - i) - 1) >> up;
		r = maker_add(&m, i >> up, last, e);
		if ((last + 1) << up >= g->n)
			break;
	}
	return maker_end(&m, r, e);
}
