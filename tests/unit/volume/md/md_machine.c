/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "md_machine.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "util/bytes.h"
#include "partition/partition.h"
#include "view/view.h"
#include "common/memory_disk.h"
#include "common/unit.h"

const struct md_shape md_shapes[MD_SHAPES] = {
	{0, 2, "01", "raid0"},
	{1, 0, "00", "raid1"},
	{4, 0, "01P", "raid4"},
	{5, 2, "01P 1P0 P01", "raid5"},
	{6, 2, "Q01P 01PQ 1PQ0 PQ01", "raid6"},
	{6, 10, "01QP 1QP0 QP01 P01Q", "raid6"},
	{10, 0x102, "0011", "raid10 near=2"},
	{10, 0x102, "001 122", "raid10 near=2"},
};
const char *const md_versions[MD_VERSIONS] = {"0.90", "1.0", "1.1", "1.2"};

struct md_machine md;

void md_put_supers(void)
{
	for (unsigned i = 0; i < md.spec.n; i++) {
		md_make_seal(md.supers[i]);
		memdisk_put(md.disks[i], md_make_place(&md.spec), md.supers[i], MD_MAKE_SUPER);
	}
}

static void md_put_rows(const char *rows, size_t nrows, size_t columns)
{
	unsigned char *chunks = malloc(md.spec.n * MD_CHUNK);
	const char *row = rows;

	for (size_t i = 0; i < nrows; i++) {
		md_make_row(chunks, row, md.spec.n, md.contents + i * columns * MD_CHUNK, MD_CHUNK,
			md.spec.level == 6 && md.spec.layout == 10);
		for (unsigned k = 0; k < md.spec.n; k++)
			memdisk_put(md.disks[k], md_make_data(&md.spec) + i * MD_CHUNK,
				chunks + k * MD_CHUNK, MD_CHUNK);
		row += md.spec.n;
		row = *row ? row + 1 : rows;
	}
	free(chunks);
}

static size_t md_count_columns(const char *rows)
{
	size_t n = 0;

	for (; *rows; rows++)
		if (*rows >= '0' && *rows <= '9')
			n = MAX(n, (size_t)(*rows - '0') + 1);
	return n;
}

/* A row of "001 122" holds half a chunk more than its letters: its picture counts over two rows. */
void md_make(const char *version, const struct md_shape *s)
{
	size_t nrows = 16, n = strcspn(s->rows, " "), columns = md_count_columns(s->rows);
	bool split = s->level == 10 && s->rows[n];

	md.spec = (struct md_spec){.version = version,
		.level = s->level,
		.layout = s->layout,
		.chunk = MD_CHUNK,
		.n = (unsigned)n,
		.used = nrows * MD_CHUNK,
		.name = "guest:data"};
	md.size = (split ? nrows * columns / 2 : nrows * columns) * MD_CHUNK;
	md.contents = malloc(2 * md.size);
	fill_pattern(md.contents, md.size, (unsigned)s->level);
	for (unsigned i = 0; i < n; i++) {
		md.disks[i] = memdisk_new(md_make_size(&md.spec));
		md_make_super(md.supers[i], &md.spec, i);
	}
	if (split) {
		/* Each picture is of two rows that hold three chunks. */
		for (size_t i = 0; i < nrows; i++)
			for (size_t k = 0; k < n; k++) {
				size_t chunk =
					i / 2 * columns + (s->rows[i % 2 * (n + 1) + k] - '0');

				memdisk_put(md.disks[k], md_make_data(&md.spec) + i * MD_CHUNK,
					md.contents + chunk * MD_CHUNK, MD_CHUNK);
			}
	} else {
		md_put_rows(s->rows, nrows, columns);
	}
	md_put_supers();
}

static void md_drop_set(void)
{
	volume_set_free(md.set);
	md.set = NULL;
}

void md_end(void)
{
	md_drop_set();
	for (unsigned i = 0; i < md.spec.n; i++)
		view_free(md.disks[i]);
	free(md.contents);
}

/* Reads the volumes of those disks whose bit is set; their views are in found. */
size_t md_gather(unsigned present, struct view **found)
{
	size_t n = 0;

	for (unsigned i = 0; i < md.spec.n; i++)
		if (present & 1u << i)
			found[n++] = md.disks[i];
	return n;
}

size_t md_read_set(unsigned present)
{
	static const char *const disk_names[MD_MOST] = {
		"disk 1", "disk 2", "disk 3", "disk 4", "disk 5"};
	static const struct partition_table none;
	struct volume_disk disks[MD_MOST];
	struct view *found[MD_MOST];
	size_t n = md_gather(present, found);

	md_drop_set();
	for (size_t i = 0; i < n; i++)
		disks[i] = (struct volume_disk){
			.view = found[i], .table = &none, .name = n > 1 ? disk_names[i] : NULL};
	ck_assert_ok(volume_set_read(disks, n, NULL, &md.set, &md.e), &md.e);
	return md.set->nvolumes;
}

/* There is one volume, and it has these bytes. */
void md_reads(unsigned present)
{
	unsigned char *buf = malloc(md.size);
	struct view *found[MD_MOST], *v;

	ck_assert_uint_eq(md_read_set(present), 1);
	ck_assert_msg(!md.set->volumes[0]->error.code, "%s", md.set->volumes[0]->error.text);
	md_gather(present, found);
	v = volume_view(md.set, md.set->volumes[0], found, &md.e);
	ck_assert_msg(v, "%s", md.e.text);
	ck_assert_uint_eq(v->size, md.size);
	ck_assert_uint_eq(md.set->volumes[0]->size, md.size);
	ck_assert_ok(view_read(v, buf, md.size, 0, &md.e), &md.e);
	ck_assert_int_eq(memcmp(buf, md.contents, md.size), 0);
	ck_assert_int_eq(view_write(v, "x", 1, 0, &md.e), -EROFS);
	view_free(v);
	free(buf);
}

void md_refused(unsigned present, int code, const char *text)
{
	ck_assert_uint_eq(md_read_set(present), 1);
	md.e = md.set->volumes[0]->error;
	ck_assert_fails(-md.e.code, code, &md.e, text);
}

unsigned md_all(void)
{
	return (1u << md.spec.n) - 1;
}

void md_set_field(unsigned i, size_t pos, unsigned width, uint64_t value)
{
	put_le(md.supers[i] + pos, width, value);
	md_put_supers();
}

/* In all members. */
void md_set_fields(size_t pos, unsigned width, uint64_t value)
{
	for (unsigned i = 0; i < md.spec.n; i++)
		md_set_field(i, pos, width, value);
}
