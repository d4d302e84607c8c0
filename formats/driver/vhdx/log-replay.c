/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* log-replay.c - the log: a ring of entries, each a set of changes to the file (section 2.3).
 *
 * The signature of a sector differs for the first of an entry, for descriptors and for data, so no
 * sector is part of two entries, and looking for entries everywhere costs one pass over the log.
 */
#include "log.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "util/bytes.h"
#include "util/crc32c.h"
#include "util/err.h"
#include "util/limits.h"
#include "io/io.h"
#include "io/replay.h"

#define SECTOR     VHDX_LOG_SECTOR
#define ENTRY_HEAD VHDX_LOG_ENTRY_HEAD
#define DESCRIPTOR VHDX_LOG_DESCRIPTOR

/* A valid entry, which is in the array at the index of its first sector. */
struct log_entry {
	uint64_t sequence;
	uint64_t flushed, last; /* least and final size of the file */
	uint32_t nsectors;      /* 0: no valid entry begins here */
	uint32_t tail;          /* sector of the oldest entry of the sequence */
	uint32_t ndescriptors;
	bool continued; /* the entry before it in the ring has the sequence number before */
};

struct log_ring {
	struct io *io;
	const struct vhdx_header *header;
	uint32_t nsectors;
	struct log_entry *entries; /* nsectors of them */
};

static uint64_t position_of(const struct log_ring *l, uint32_t sector)
{
	return l->header->log_pos + (uint64_t)(sector % l->nsectors) * SECTOR;
}

static int read_sector(const struct log_ring *l, uint32_t sector, unsigned char *s, struct err *e)
{
	return io_read(l->io, s, SECTOR, position_of(l, sector), e);
}

/* The number of sectors with descriptors, the first included. */
static uint32_t descriptor_sectors(const struct log_entry *en)
{
	return div_round_up(ENTRY_HEAD + (uint64_t)en->ndescriptors * DESCRIPTOR, SECTOR);
}

/* The bytes up to the end of the descriptors in sector i of an entry. */
static uint32_t descriptors_end(const struct log_entry *en, uint32_t i)
{
	uint64_t end = ENTRY_HEAD + (uint64_t)en->ndescriptors * DESCRIPTOR;

	return MIN(SECTOR, end - i * (uint64_t)SECTOR);
}

static bool parse_entry(const struct log_ring *l, const unsigned char *s, struct log_entry *en)
{
	uint32_t len = load_le32(s + 8), tail = load_le32(s + 12);

	*en = (struct log_entry){
		.sequence = load_le64(s + 16),
		.flushed = load_le64(s + 48),
		.last = load_le64(s + 56),
		.nsectors = len / SECTOR,
		.tail = tail / SECTOR,
		.ndescriptors = load_le32(s + 24),
	};
	return memcmp(s, "loge", 4) == 0 && memcmp(s + 32, l->header->log_guid, GUID_LEN) == 0 &&
	       en->sequence != 0 && len % SECTOR == 0 && en->nsectors > 0 &&
	       en->nsectors <= l->nsectors && tail % SECTOR == 0 && en->tail < l->nsectors &&
	       descriptor_sectors(en) <= en->nsectors;
}

/* Counts the descriptors of pages in sector i of an entry; false: one is bad. */
static bool check_descriptors(
	const struct log_entry *en, const unsigned char *s, uint32_t i, uint32_t *pages)
{
	for (uint32_t at = i == 0 ? ENTRY_HEAD : 0; at < descriptors_end(en, i); at += DESCRIPTOR) {
		bool is_page = memcmp(s + at, "desc", 4) == 0;

		if ((!is_page && memcmp(s + at, "zero", 4) != 0) ||
			load_le64(s + at + 24) != en->sequence)
			return false;
		*pages += is_page;
	}
	return true;
}

/* Adds the entry that begins at a sector to the array, if there is a valid one. */
static int look_for_entry(const struct log_ring *l, uint32_t at, struct err *e)
{
	static const unsigned char zero[4];
	unsigned char s[SECTOR];
	uint32_t wanted, crc, pages = 0;
	struct log_entry en;
	int r = read_sector(l, at, s, e);

	if (r < 0 || !parse_entry(l, s, &en))
		return r;
	wanted = load_le32(s + 4);
	crc = crc32c(crc32c(0, s, 4), zero, sizeof zero); /* the checksum counts as zero */
	crc = crc32c(crc, s + 8, SECTOR - 8);
	for (uint32_t i = 0; i < en.nsectors; i++) {
		bool ok;

		if (i > 0) {
			r = read_sector(l, at + i, s, e);
			if (r < 0)
				return r;
			crc = crc32c(crc, s, SECTOR);
		}
		if (i < descriptor_sectors(&en))
			ok = check_descriptors(&en, s, i, &pages);
		else
			ok = memcmp(s, "data", 4) == 0 && load_le32(s + 4) == en.sequence >> 32 &&
			     load_le32(s + SECTOR - 4) == (uint32_t)en.sequence;
		if (!ok)
			return 0;
	}
	if (crc == wanted && descriptor_sectors(&en) + pages == en.nsectors)
		l->entries[at] = en;
	return 0;
}

static uint32_t next_of(const struct log_ring *l, uint32_t at)
{
	return (at + l->entries[at].nsectors) % l->nsectors;
}

/* Does the entry at sector at have a successor? */
static bool goes_on(const struct log_ring *l, uint32_t at)
{
	const struct log_entry *next = &l->entries[next_of(l, at)];

	return next->nsectors > 0 && next->sequence == l->entries[at].sequence + 1;
}

/* The last entry of the sequence that begins at first; NULL unless its tail is one of the entries.
 */
static const struct log_entry *last_of(const struct log_ring *l, uint32_t first)
{
	uint32_t at = first, last;

	while (goes_on(l, at))
		at = next_of(l, at);
	last = at;
	for (at = first; at != l->entries[last].tail; at = next_of(l, at))
		if (at == last)
			return NULL;
	return &l->entries[last];
}

/* The head of the active sequence (section 2.3.3): the last entry of the one that goes farthest, or
 * NULL.  A part of a sequence has the same head and fewer entries that its tail could be, so only
 * whole ones count. */
static const struct log_entry *find_head(const struct log_ring *l)
{
	const struct log_entry *head = NULL;

	for (uint32_t at = 0; at < l->nsectors; at++)
		if (l->entries[at].nsectors > 0 && goes_on(l, at))
			l->entries[next_of(l, at)].continued = true;
	for (uint32_t at = 0; at < l->nsectors; at++) {
		const struct log_entry *last;

		if (l->entries[at].nsectors == 0 || l->entries[at].continued)
			continue;
		last = last_of(l, at);
		if (last && (!head || last->sequence > head->sequence))
			head = last;
	}
	return head;
}

static int replay_entry(const struct log_ring *l, uint32_t at, struct io *to, struct err *e)
{
	const struct log_entry *en = &l->entries[at];
	uint32_t data = at + descriptor_sectors(en);
	unsigned char s[SECTOR];
	int r = 0;

	for (uint32_t i = 0; r == 0 && i < descriptor_sectors(en); i++) {
		uint32_t end = descriptors_end(en, i);

		r = read_sector(l, at + i, s, e);
		for (uint32_t k = i == 0 ? ENTRY_HEAD : 0; r == 0 && k < end; k += DESCRIPTOR) {
			const unsigned char *p = s + k;
			uint64_t pos = load_le64(p + 16);

			if (memcmp(p, "zero", 4) == 0)
				r = replay_zero(to, pos, load_le64(p + 8), e);
			else
				r = replay_page(to, pos, position_of(l, data++), p + 8, p + 4, e);
		}
	}
	return r;
}

static int replay(
	const struct log_ring *l, const struct log_entry *head, struct io *to, struct err *e)
{
	uint32_t at = head->tail;
	int r;

	if (l->io->size < head->flushed)
		return err_set(e, EUCLEAN,
			"the file was cut: it has %" PRIu64 " bytes, and had %" PRIu64, l->io->size,
			head->flushed);
	do {
		r = replay_entry(l, at, to, e);
		if (r < 0)
			return err_in(e, "entry %" PRIu64, l->entries[at].sequence);
	} while (&l->entries[at] != head && (at = next_of(l, at), true));
	return replay_grow(to, head->last, e);
}

int vhdx_log_replay(
	struct io *file, const struct vhdx_header *h, struct io **replayed, struct err *e)
{
	struct log_ring l = {.io = file, .header = h, .nsectors = h->log_len / SECTOR};
	const struct log_entry *head = NULL;
	struct io *to = NULL;
	int r = 0;

	l.entries = calloc(l.nsectors, sizeof *l.entries);
	if (!l.entries)
		return err_nomem(e);
	for (uint32_t at = 0; r == 0 && at < l.nsectors; at++)
		r = look_for_entry(&l, at, e);
	if (r == 0)
		head = find_head(&l);
	if (r == 0 && !head)
		r = err_set(e, EUCLEAN, "it is not empty, but has no valid entries");
	if (r == 0) {
		to = replay_new(file, VHDX_MAX_CHANGES, e);
		r = to ? replay(&l, head, to, e) : -e->code;
	}
	free(l.entries);
	if (r < 0) {
		io_unref(to);
		return err_in(e, "log");
	}
	*replayed = to;
	return 0;
}
