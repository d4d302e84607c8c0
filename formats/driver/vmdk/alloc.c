/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* alloc.c - grains and grain tables of a hosted sparse extent.
 *
 * Grains are appended to the file.  A table and its redundant table get the same entries: other
 * programs refuse an extent where they differ.  All entries are verified before the first change.
 */
#include "alloc.h"

#include <errno.h>
#include <stdlib.h>

#include "util/bytes.h"
#include "util/err.h"
#include "util/limits.h"
#include "io/meta.h"
#include "io/io.h"
#include "io/writeback.h"
#include "view/writer.h"

#define UNCLEAN 72u /* position in the header: set while the extent is written */

struct vmdk_allocator {
	uint64_t end;    /* the position of the next grain */
	uint64_t *spare; /* positions of grains that were given back */
	size_t nspare, spare_size;
	bool marked;    /* UNCLEAN is set */
	bool tail_used; /* see vmdk_alloc_has_tail */
};

int vmdk_alloc_new(struct vmdk_tables *t, struct writer *w, struct err *e)
{
	uint64_t end;
	bool tail_used;
	int r = vmdk_verify(t, w, &end, &tail_used, e);

	/* The file may end with the disk, in the middle of the last grain. */
	if (r == 0 && t->io->size < end)
		r = io_resize(t->io, end, e);
	if (r < 0)
		return r;
	t->alloc = calloc(1, sizeof *t->alloc);
	if (!t->alloc)
		return err_nomem(e);
	t->alloc->end = round_up(end, t->grain);
	t->alloc->tail_used = tail_used;
	return 0;
}

bool vmdk_alloc_has_tail(const struct vmdk_tables *t)
{
	return !t->alloc->tail_used;
}

void vmdk_alloc_free(struct vmdk_allocator *a)
{
	if (a)
		free(a->spare);
	free(a);
}

int vmdk_alloc_append(struct vmdk_tables *t, uint64_t len, uint64_t *pos, struct err *e)
{
	uint64_t end = t->alloc->end + len;

	if (end / VMDK_SECTOR > UINT32_MAX)
		return err_set(e, EFBIG, "%s: a sparse extent ends at 2 TiB", t->io->name);
	if (t->io->size < end && io_resize(t->io, end, e) < 0)
		return -e->code;
	*pos = t->alloc->end;
	t->alloc->end = end;
	return 0;
}

static int mark_unclean(struct vmdk_tables *t, bool unclean, enum write_order order, struct err *e)
{
	unsigned char byte = unclean;
	int r = 0;

	if (t->alloc->marked != unclean)
		r = meta_write(t->io, &byte, 1, UNCLEAN, order, e);
	if (r == 0)
		t->alloc->marked = unclean;
	return r;
}

/* Writes table i, all of whose entries are equal, and its entry in the directory. */
static int put_table(const struct vmdk_tables *t, uint64_t directory, uint64_t i, uint32_t sector,
	uint32_t all, struct err *e)
{
	unsigned char table[VMDK_MAX_GTES_PER_GT * VMDK_ENTRY], entry[VMDK_ENTRY];
	int r;

	for (uint32_t k = 0; k < t->per_table; k++)
		store_le32(table + k * VMDK_ENTRY, all);
	store_le32(entry, sector);
	r = meta_write(t->io, table, t->per_table * VMDK_ENTRY, sector * (uint64_t)VMDK_SECTOR,
		ORDER_TABLES, e);
	return r < 0 ? r
		     : meta_write(t->io, entry, VMDK_ENTRY, directory + i * VMDK_ENTRY,
			       ORDER_TABLES_ROOT, e);
}

/* Finds the tables of a grain, and appends them if the directory has none. */
static int need_tables(
	struct vmdk_tables *t, uint64_t grain, struct vmdk_table_pair *p, struct err *e)
{
	uint64_t len = round_up((uint64_t)t->per_table * VMDK_ENTRY, VMDK_SECTOR);
	uint64_t i = grain / t->per_table, all, pos;
	int r = mark_unclean(t, true, ORDER_COUNTS, e);

	if (r == 0)
		r = vmdk_tables_find_pair(t, i, p, e);
	if (r < 0 || vmdk_tables_is_sector(p->table))
		return r;
	all = p->table;
	r = vmdk_alloc_append(t, round_up(t->rgd_pos ? 2 * len : len, t->grain), &pos, e);
	if (r < 0)
		return r;
	p->table = pos / VMDK_SECTOR;
	if (t->rgd_pos) {
		p->redundant = (pos + len) / VMDK_SECTOR;
		r = put_table(t, t->rgd_pos, i, p->redundant, all, e);
	}
	return r < 0 ? r : put_table(t, t->gd_pos, i, p->table, all, e);
}

static uint64_t entries_in_page(uint64_t pos)
{
	return (META_PAGE - pos % META_PAGE) / VMDK_ENTRY;
}

/* The number of entries from that of grain on, n at most, that one write of both tables changes:
 * they lie in one page of either. */
static uint64_t entries_at_once(
	const struct vmdk_tables *t, const struct vmdk_table_pair *p, uint64_t grain, uint64_t n)
{
	n = MIN(n, t->per_table - grain % t->per_table);
	n = MIN(n, entries_in_page(vmdk_tables_entry_pos(t, p->table, grain)));
	if (p->redundant == VMDK_NONE)
		return n;
	return MIN(n, entries_in_page(vmdk_tables_entry_pos(t, p->redundant, grain)));
}

static int set_entries(const struct vmdk_tables *t, const struct vmdk_table_pair *p, uint64_t grain,
	const void *entries, uint64_t n, struct err *e)
{
	int r = 0;

	if (p->redundant != VMDK_NONE)
		r = meta_write(t->io, entries, n * VMDK_ENTRY,
			vmdk_tables_entry_pos(t, p->redundant, grain), ORDER_TABLES, e);
	if (r == 0)
		r = meta_write(t->io, entries, n * VMDK_ENTRY,
			vmdk_tables_entry_pos(t, p->table, grain), ORDER_TABLES, e);
	return r;
}

/* Allocates space for n more spare grains: vmdk_alloc_cancel must not fail. */
static int extend_spare(struct vmdk_allocator *a, uint64_t n, struct err *e)
{
	size_t size = a->nspare + n;
	uint64_t *spare;

	if (size <= a->spare_size)
		return 0;
	spare = reallocarray(a->spare, 2 * size, sizeof spare[0]);
	if (!spare)
		return err_nomem(e);
	a->spare = spare;
	a->spare_size = 2 * size;
	return 0;
}

int vmdk_alloc_reserve(
	struct vmdk_tables *t, uint64_t off, uint64_t len, struct reservation *res, struct err *e)
{
	uint64_t grain = off / t->grain, n = 1, pos, had;
	struct vmdk_allocator *a = t->alloc;
	struct vmdk_table_pair p;
	bool reads_zero = false;
	int r = need_tables(t, grain, &p, e);

	if (r < 0)
		return r;
	if (a->nspare > 0) {
		pos = a->spare[--a->nspare];
	} else {
		n = entries_at_once(t, &p, grain, div_round_up(off % t->grain + len, t->grain));
		had = t->io->size;
		r = extend_spare(a, n, e);
		if (r == 0)
			r = vmdk_alloc_append(t, n * t->grain, &pos, e);
		if (r < 0)
			return r;
		reads_zero = had <= pos;
	}
	*res = (struct reservation){
		.off = grain * t->grain,
		.len = n * t->grain,
		.io = t->io,
		.pos = pos,
		.reads_zero = reads_zero,
		.token = n,
	};
	return 0;
}

int vmdk_alloc_commit(
	struct vmdk_tables *t, uint64_t off, const struct reservation *res, struct err *e)
{
	unsigned char entries[META_PAGE];
	uint64_t grain = off / t->grain;
	struct vmdk_table_pair p;
	int r = vmdk_tables_find_pair(t, grain / t->per_table, &p, e);

	for (uint64_t i = 0; i < res->token; i++)
		store_le32(entries + i * VMDK_ENTRY, (res->pos + i * t->grain) / VMDK_SECTOR);
	return r == 0 ? set_entries(t, &p, grain, entries, res->token, e) : r;
}

void vmdk_alloc_cancel(struct vmdk_tables *t, const struct reservation *res)
{
	struct vmdk_allocator *a = t->alloc;

	if (res->pos + res->token * t->grain == a->end) {
		a->end = res->pos;
		return;
	}
	for (uint64_t i = 0; i < res->token && a->nspare < a->spare_size; i++)
		a->spare[a->nspare++] = res->pos + i * t->grain;
}

int vmdk_alloc_zero(struct vmdk_tables *t, uint64_t off, uint64_t len, struct err *e)
{
	uint64_t grain = off / t->grain, end = div_round_up(off + len, t->grain);
	unsigned char entries[META_PAGE];
	int r = 0;

	for (size_t i = 0; i < sizeof entries; i += VMDK_ENTRY)
		store_le32(entries + i, VMDK_ZERO);
	for (uint64_t n; r == 0 && grain < end; grain += n) {
		struct vmdk_table_pair p;

		r = need_tables(t, grain, &p, e);
		if (r < 0)
			break;
		n = entries_at_once(t, &p, grain, end - grain);
		r = set_entries(t, &p, grain, entries, n, e);
	}
	return r;
}

int vmdk_alloc_finish(struct vmdk_tables *t, struct err *e)
{
	uint64_t end = t->alloc->end;

	if (!t->alloc->marked)
		return 0;
	if (!t->io->is_block && t->io->size > end && io_resize(t->io, end, e) < 0)
		return -e->code;
	return mark_unclean(t, false, ORDER_HEADER, e);
}
