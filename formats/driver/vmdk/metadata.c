/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* metadata.c - header, descriptor, grain directories and grain tables of a sparse extent.
 *
 * There may be millions of grain tables: only their sectors are kept, sorted.  All are equally long
 * except the last one of either directory, in which a writer may leave out the entries that the
 * disk does not need.
 */
#include "metadata.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "util/bytes.h"
#include "util/err.h"
#include "io/meta.h"
#include "io/io.h"

/* Adds table i of a directory, unless its sector is impossible. */
static void add_table(
	struct vmdk_metadata *m, const struct vmdk_tables *t, uint64_t i, uint64_t sector)
{
	uint64_t grains = MIN(t->per_table, t->ngrains - i * t->per_table);
	uint64_t pos = sector * VMDK_SECTOR, len = grains * VMDK_ENTRY;

	if (!vmdk_tables_valid_table(t, i, sector))
		return;
	m->end = MAX(m->end, pos + m->table_len);
	if (grains == t->per_table) {
		m->tables[m->ntables++] = (uint32_t)sector;
		return;
	}
	metadata_regions_add(&m->fixed, "the last grain table", pos, len);
	m->tails[m->ntails++] = pos + len;
	m->tail_len = m->table_len - len;
}

static int read_directory(
	struct vmdk_metadata *m, const struct vmdk_tables *t, uint64_t directory, struct err *e)
{
	uint64_t n = t->gd_len / VMDK_ENTRY;
	int r = 0;

	for (uint64_t i = 0, here; r == 0 && i < n; i += here) {
		struct meta page;

		r = meta_pin(t->cache, t->io, directory + i * VMDK_ENTRY, &page, e);
		if (r < 0)
			break;
		here = MIN(page.n / VMDK_ENTRY, n - i);
		for (uint64_t k = 0; k < here; k++)
			add_table(m, t, i + k, load_le32(page.p + k * VMDK_ENTRY));
		meta_unpin(t->cache, &page);
	}
	return r;
}

static int compare_sectors(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

void vmdk_metadata_sort(uint32_t *sectors, size_t n)
{
	if (n > 0)
		qsort(sectors, n, sizeof sectors[0], compare_sectors);
}

int vmdk_metadata_read(const struct vmdk_tables *t, struct vmdk_metadata *m, struct err *e)
{
	uint64_t n = t->gd_len / VMDK_ENTRY * (t->rgd_pos ? 2 : 1);
	int r;

	*m = (struct vmdk_metadata){.table_len = t->per_table * (uint64_t)VMDK_ENTRY};
	metadata_regions_add(&m->fixed, "the header", 0, VMDK_SECTOR);
	metadata_regions_add(&m->fixed, "the descriptor", t->text_pos, t->text_len);
	metadata_regions_add(&m->fixed, "the grain directory", t->gd_pos, t->gd_len);
	metadata_regions_add(
		&m->fixed, "the redundant grain directory", t->rgd_pos, t->rgd_pos ? t->gd_len : 0);
	m->end = metadata_regions_end(&m->fixed);
	m->tables = calloc(n + 1, sizeof m->tables[0]);
	if (!m->tables)
		return err_nomem(e);
	r = read_directory(m, t, t->gd_pos, e);
	if (r == 0 && t->rgd_pos)
		r = read_directory(m, t, t->rgd_pos, e);
	vmdk_metadata_sort(m->tables, m->ntables);
	return r;
}

void vmdk_metadata_free(struct vmdk_metadata *m)
{
	free(m->tables);
}

int vmdk_metadata_check(const struct vmdk_metadata *m, struct err *e)
{
	int r = metadata_regions_check(&m->fixed, e);

	for (size_t i = 0; r == 0 && i < m->ntables; i++) {
		uint64_t pos = m->tables[i] * (uint64_t)VMDK_SECTOR;
		const char *hit = metadata_regions_find(&m->fixed, pos, m->table_len);

		if (i + 1 < m->ntables &&
			m->tables[i + 1] * (uint64_t)VMDK_SECTOR - pos < m->table_len)
			hit = "another one";
		if (hit)
			r = err_set(e, EUCLEAN,
				"the grain table in sector %" PRIu32 " and %s overlap",
				m->tables[i], hit);
	}
	return r;
}

const char *vmdk_metadata_find(const struct vmdk_metadata *m, uint64_t pos, uint64_t len)
{
	size_t low = 0, high = m->ntables;
	const char *hit;

	if (pos >= m->end)
		return NULL;
	hit = metadata_regions_find(&m->fixed, pos, len);
	if (hit)
		return hit;
	/* The first table that ends after pos. */
	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (m->tables[middle] * (uint64_t)VMDK_SECTOR + m->table_len <= pos)
			low = middle + 1;
		else
			high = middle;
	}
	return low < m->ntables && m->tables[low] * (uint64_t)VMDK_SECTOR < pos + len
		       ? "a grain table"
		       : NULL;
}

bool vmdk_metadata_is_tail(const struct vmdk_metadata *m, uint64_t pos, uint64_t len)
{
	for (size_t i = 0; i < m->ntails; i++)
		if (m->tails[i] < pos + len && pos < m->tails[i] + m->tail_len)
			return true;
	return false;
}
