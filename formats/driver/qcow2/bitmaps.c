/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* bitmaps.c - the directory of persistent bitmaps, in which other programs keep track of changes to
 * the disk.
 */
#include "bitmaps.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "util/bytes.h"
#include "util/err.h"
#include "io/meta.h"
#include "io/io.h"
#include "image/facts.h"
#include "qcow2.h"

int qcow2_bitmaps_read(const struct qcow2 *q, uint32_t i, uint64_t *at,
	unsigned char raw[QCOW2_BITMAP_FIXED], struct err *e)
{
	const struct qcow2_header *h = &q->header;
	int r;

	if (!range_fits(*at, QCOW2_BITMAP_FIXED, h->bitmaps_len))
		return err_set(
			e, EUCLEAN, "bitmap %" PRIu32 ": passes the end of the directory", i);
	r = meta_read(q->cache, q->io, raw, QCOW2_BITMAP_FIXED, h->bitmaps_pos + *at, e);
	if (r == 0)
		*at += round_up(
			QCOW2_BITMAP_FIXED + load_be16(raw + 18) + (uint64_t)load_be32(raw + 20),
			8);
	return r;
}

/* Is it an entry of a bitmap directory?  Other data hardly passes. */
static bool is_entry(const struct qcow2 *q, const unsigned char *raw)
{
	uint64_t table = load_be64(raw);
	unsigned granularity = raw[17], name = load_be16(raw + 18);

	return table != 0 && table % q->cluster_size == 0 && table < q->io->size &&
	       !(load_be32(raw + 12) & ~QCOW2_BITMAP_FLAGS) && raw[16] == QCOW2_BITMAP_DIRTY &&
	       granularity >= QCOW2_BITMAP_MIN_GRANULARITY &&
	       granularity <= QCOW2_BITMAP_MAX_GRANULARITY && name > 0 &&
	       name <= QCOW2_BITMAP_NAME_MAX && load_be32(raw + 20) == 0;
}

struct bitmap {
	uint32_t flags;
	unsigned granularity; /* bits */
	char name[QCOW2_BITMAP_NAME_MAX + 1];
};

/* The number of bitmaps; 0 if the directory is invalid. */
static uint32_t count(const struct qcow2 *q)
{
	const struct qcow2_header *h = &q->header;

	if (!(h->autoclear & QCOW2_BITMAPS) || h->nbitmaps > QCOW2_MAX_BITMAPS ||
		!range_fits(h->bitmaps_pos, h->bitmaps_len, q->io->size))
		return 0;
	return h->nbitmaps;
}

/* False: the entry is invalid. */
static bool next(const struct qcow2 *q, uint32_t i, uint64_t *at, struct bitmap *b)
{
	uint64_t name_pos = q->header.bitmaps_pos + *at + QCOW2_BITMAP_FIXED;
	unsigned char raw[QCOW2_BITMAP_FIXED];
	struct err ignored = ERR_INIT;
	unsigned len;

	if (qcow2_bitmaps_read(q, i, at, raw, &ignored) < 0 || !is_entry(q, raw))
		return false;
	len = load_be16(raw + 18);
	b->flags = load_be32(raw + 12);
	b->granularity = raw[17];
	b->name[len] = '\0';
	return meta_read(q->cache, q->io, b->name, len, name_pos, &ignored) == 0;
}

void qcow2_bitmaps_facts(const struct qcow2 *q, struct facts *f)
{
	uint64_t at = 0;
	struct bitmap b;

	for (uint32_t i = 0; i < count(q) && next(q, i, &at, &b); i++) {
		struct facts *entry = facts_list(f, "bitmaps");
		const char *flags[2];
		unsigned n = 0;

		if (b.flags & QCOW2_BITMAP_IN_USE)
			flags[n++] = "in-use";
		if (b.flags & QCOW2_BITMAP_AUTO)
			flags[n++] = "auto";
		facts_words(entry, "flags", flags, n);
		facts_text(entry, "name", b.name);
		facts_number(entry, "granularity", UINT64_C(1) << b.granularity);
	}
}

uint64_t qcow2_bitmaps_size(const struct qcow2 *q, uint64_t cluster)
{
	uint64_t at = 0, sum = 0, directory = 0;
	struct bitmap b;

	for (uint32_t i = 0; i < count(q) && next(q, i, &at, &b); i++) {
		uint64_t bits = div_round_up(q->header.size, UINT64_C(1) << b.granularity);
		uint64_t clusters = div_round_up(div_round_up(bits, 8), cluster);

		sum += clusters * cluster + round_up(clusters * QCOW2_ENTRY_SIZE, cluster);
		directory += round_up(QCOW2_BITMAP_FIXED + strlen(b.name), 8);
	}
	return sum + round_up(directory, cluster);
}
