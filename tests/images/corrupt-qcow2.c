/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* corrupt-qcow2.c - damage of qcow2 images with refcounts of 16 bits. */
#include "util/bytes.h"
#include "corrupt.h"
#include "mkimage.h"

#define COPIED     (UINT64_C(1) << 63)
#define COMPRESSED (UINT64_C(1) << 62)
#define OFFSET     UINT64_C(0x00fffffffffffe00)

static uint64_t cluster(const struct target *v)
{
	return UINT64_C(1) << get_be(v->fd, 20, 4);
}

static uint64_t l1_pos(const struct target *v)
{
	return get_be(v->fd, 40, 8);
}

static uint64_t reftable_pos(const struct target *v)
{
	return get_be(v->fd, 48, 8);
}

static int is_set(uint64_t entry)
{
	return entry != 0;
}

static int is_data(uint64_t entry)
{
	return (entry & OFFSET) != 0 && !(entry & COMPRESSED);
}

static int is_absent(uint64_t entry)
{
	return entry == 0;
}

static int is_compressed(uint64_t entry)
{
	return (entry & COMPRESSED) != 0;
}

static uint64_t an_l1_entry(struct target *v, wanted_fn *wanted)
{
	return choose_be(v, l1_pos(v), get_be(v->fd, 36, 4), 8, wanted);
}

static uint64_t an_l2_entry(struct target *v, wanted_fn *wanted)
{
	uint64_t table = get_be(v->fd, an_l1_entry(v, is_set), 8) & OFFSET;

	return choose_be(v, table, cluster(v) / 8, 8, wanted);
}

static uint64_t a_reftable_entry(struct target *v)
{
	return choose_be(v, reftable_pos(v), cluster(v) / 8, 8, is_set);
}

static void change_count(struct target *v, uint64_t pos, int by)
{
	uint64_t n = pos / cluster(v), per_block = cluster(v) / 2;
	uint64_t block = get_be(v->fd, reftable_pos(v) + n / per_block * 8, 8);
	uint64_t at = block + n % per_block * 2;

	put_be(v->fd, at, 2, get_be(v->fd, at, 2) + by);
}

static uint64_t some_data(struct target *v)
{
	return get_be(v->fd, an_l2_entry(v, is_data), 8) & OFFSET;
}

/* Refcounts. */

static void data_uncounted(struct target *v)
{
	change_count(v, some_data(v), -1);
}

static void data_leaks(struct target *v)
{
	change_count(v, some_data(v), 1 + choose(v, 3));
}

static void table_uncounted(struct target *v)
{
	change_count(v, get_be(v->fd, an_l1_entry(v, is_set), 8) & OFFSET, -1);
}

static void table_leaks(struct target *v)
{
	change_count(v, get_be(v->fd, an_l1_entry(v, is_set), 8) & OFFSET, 1);
}

static void l1_uncounted(struct target *v)
{
	change_count(v, l1_pos(v), -1);
}

static void header_uncounted(struct target *v)
{
	change_count(v, 0, -1);
}

static void block_uncounted(struct target *v)
{
	change_count(v, get_be(v->fd, a_reftable_entry(v), 8), -1);
}

static void block_lost(struct target *v)
{
	put_be(v->fd, a_reftable_entry(v), 8, 0);
}

static void block_unaligned(struct target *v)
{
	uint64_t at = a_reftable_entry(v);

	put_be(v->fd, at, 8, get_be(v->fd, at, 8) + 512);
}

static void block_past_end(struct target *v)
{
	put_be(v->fd, a_reftable_entry(v), 8, round_up(v->size, cluster(v)) + 16 * cluster(v));
}

static void block_is_data(struct target *v)
{
	uint64_t data = some_data(v);

	put_be(v->fd, a_reftable_entry(v), 8, data);
}

/* Entries of L1 and L2 tables. */

static void data_unaligned(struct target *v)
{
	uint64_t at = an_l2_entry(v, is_data);

	put_be(v->fd, at, 8, get_be(v->fd, at, 8) + 512);
}

static void data_shared(struct target *v)
{
	uint64_t data = some_data(v);

	put_be(v->fd, an_l2_entry(v, is_data), 8, data | COPIED);
}

static void data_lost(struct target *v)
{
	put_be(v->fd, an_l2_entry(v, is_data), 8, 0);
}

static void data_past_end(struct target *v)
{
	put_be(v->fd, an_l2_entry(v, is_absent), 8,
		(round_up(v->size, cluster(v)) + choose(v, 4) * cluster(v)) | COPIED);
}

static void data_is_l1(struct target *v)
{
	put_be(v->fd, an_l2_entry(v, is_data), 8, l1_pos(v) | COPIED);
}

static void data_is_reftable(struct target *v)
{
	put_be(v->fd, an_l2_entry(v, is_data), 8, reftable_pos(v) | COPIED);
}

static void data_is_block(struct target *v)
{
	put_be(v->fd, an_l2_entry(v, is_data), 8, get_be(v->fd, a_reftable_entry(v), 8) | COPIED);
}

/* The refcount is right, but both entries have the COPIED flag. */
static void data_shared_counted(struct target *v)
{
	uint64_t data = some_data(v);

	put_be(v->fd, an_l2_entry(v, is_absent), 8, data | COPIED);
	change_count(v, data, 1);
}

static void data_not_copied(struct target *v)
{
	uint64_t at = an_l2_entry(v, is_data);

	put_be(v->fd, at, 8, get_be(v->fd, at, 8) & ~COPIED);
}

static void compressed_past_end(struct target *v)
{
	uint64_t at = an_l2_entry(v, is_compressed);

	put_be(v->fd, at, 8, get_be(v->fd, at, 8) | UINT64_C(1) << 40);
}

static void table_lost(struct target *v)
{
	put_be(v->fd, an_l1_entry(v, is_set), 8, 0);
}

static void table_unaligned(struct target *v)
{
	uint64_t at = an_l1_entry(v, is_set);

	put_be(v->fd, at, 8, get_be(v->fd, at, 8) + 512);
}

static void table_shared(struct target *v)
{
	uint64_t table = get_be(v->fd, an_l1_entry(v, is_set), 8);

	put_be(v->fd, an_l1_entry(v, is_absent), 8, table);
}

static void table_not_copied(struct target *v)
{
	uint64_t at = an_l1_entry(v, is_set);

	put_be(v->fd, at, 8, get_be(v->fd, at, 8) & ~COPIED);
}

/* Header flags. */

static void marked_dirty(struct target *v)
{
	put_be(v->fd, 72, 8, get_be(v->fd, 72, 8) | 1);
	change_count(v, some_data(v), 1);
}

static void marked_corrupt(struct target *v)
{
	put_be(v->fd, 72, 8, get_be(v->fd, 72, 8) | 2);
}

static const struct corruption list[] = {
	{"qcow2", "data-uncounted", data_uncounted},
	{"qcow2", "data-leaks", data_leaks},
	{"qcow2", "table-uncounted", table_uncounted},
	{"qcow2", "table-leaks", table_leaks},
	{"qcow2", "l1-uncounted", l1_uncounted},
	{"qcow2", "header-uncounted", header_uncounted},
	{"qcow2", "block-uncounted", block_uncounted},
	{"qcow2", "block-lost", block_lost},
	{"qcow2", "block-unaligned", block_unaligned},
	{"qcow2", "block-past-end", block_past_end},
	{"qcow2", "block-is-data", block_is_data},
	{"qcow2", "data-unaligned", data_unaligned},
	{"qcow2", "data-shared", data_shared},
	{"qcow2", "data-lost", data_lost},
	{"qcow2", "data-past-end", data_past_end},
	{"qcow2", "data-is-l1", data_is_l1},
	{"qcow2", "data-is-reftable", data_is_reftable},
	{"qcow2", "data-is-block", data_is_block},
	{"qcow2", "data-shared-counted", data_shared_counted},
	{"qcow2", "data-not-copied", data_not_copied},
	{"qcow2", "compressed-past-end", compressed_past_end},
	{"qcow2", "table-lost", table_lost},
	{"qcow2", "table-unaligned", table_unaligned},
	{"qcow2", "table-shared", table_shared},
	{"qcow2", "table-not-copied", table_not_copied},
	{"qcow2", "marked-dirty", marked_dirty},
	{"qcow2", "marked-corrupt", marked_corrupt},
};

const struct corruptions qcow2_corruptions = {list, N_ELEMENTS(list)};
