/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* vmdk-esx.c - COWD and seSparse extents, and chains of them. */
#include <stdio.h>

#include "util/bytes.h"
#include "mkimage.h"
#include "vmdk.h"

#define FILE_DATA(n) ((uint64_t)(n) << 32)
#define TABLE        4096u /* entries */

/* An extent.  Grain map[i].grain of the disk is grain map[i].at in the file, or zero if that is
 * GRAIN_ZERO; the other grains are not allocated. */
struct esx {
	uint64_t capacity; /* sectors */
	uint64_t grain;    /* sectors; 0: seSparse, whose grain size is 8 */
	const struct grain_entry {
		uint32_t grain, at;
	} * map;
	size_t n;
	bool all_tables; /* also tables without a grain */
};

static bool is_sesparse(const struct esx *x)
{
	return x->grain == 0;
}

static uint64_t grain_of(const struct esx *x)
{
	return x->grain ? x->grain : 8;
}

static uint64_t count_tables(const struct esx *x)
{
	return div_round_up(div_round_up(x->capacity, grain_of(x)), TABLE);
}

static uint64_t entry_len(const struct esx *x)
{
	return is_sesparse(x) ? 8 : 4;
}

/* Positions in the file, in sectors.  The sectors between them are not read. */
#define STATE_AT 1
#define GD_SE_AT 4
#define GD_AT_4  4

static uint64_t tables_at(const struct esx *x)
{
	return GD_SE_AT + div_round_up(count_tables(x) * entry_len(x), SECTOR);
}

static uint64_t table_sectors(const struct esx *x)
{
	return TABLE * entry_len(x) / SECTOR;
}

static uint64_t data_at(const struct esx *x)
{
	return tables_at(x) + count_tables(x) * table_sectors(x);
}

static void put_area(int fd, uint64_t pos, uint64_t start, uint64_t len)
{
	put_le64(fd, pos, start);
	put_le64(fd, pos + 8, len);
}

static void put_sesparse_header(int fd, const struct esx *x, uint64_t grains)
{
	put_le64(fd, 0, 0xcafebabe);
	put_le64(fd, 8, 0x200000001);
	put_le64(fd, 16, x->capacity);
	put_le64(fd, 24, 8);
	put_le64(fd, 32, 64);
	put_area(fd, 80, STATE_AT, 1);
	put_area(fd, 96, 2, 1);
	put_area(fd, 112, 3, 1);
	put_area(fd, 128, GD_SE_AT, tables_at(x) - GD_SE_AT);
	put_area(fd, 144, tables_at(x), data_at(x) - tables_at(x));
	put_area(fd, 192, data_at(x), grains * 8);
	put_le64(fd, STATE_AT * SECTOR, 0xcafecafe);
	put_le64(fd, STATE_AT * SECTOR + 16, 7);
}

static void put_cowd_header(int fd, const struct esx *x)
{
	put_text(fd, 0, "COWD");
	put_le32(fd, 4, 1);
	put_le32(fd, 8, 3);
	put_le32(fd, 12, x->capacity);
	put_le32(fd, 16, x->grain);
	put_le32(fd, 20, GD_AT_4);
	put_le32(fd, 24, count_tables(x));
}

static void put_table(int fd, const struct esx *x, uint64_t i)
{
	uint64_t pos = GD_SE_AT * SECTOR + i * entry_len(x);

	if (is_sesparse(x))
		put_le64(fd, pos, (uint64_t)0x10000000 << 32 | i);
	else
		put_le32(fd, pos, tables_at(x) + i * table_sectors(x));
}

static void put_grain(int fd, const struct esx *x, const struct grain_entry *g)
{
	uint64_t pos = tables_at(x) * SECTOR + g->grain * entry_len(x);

	put_table(fd, x, g->grain / TABLE);
	if (!is_sesparse(x))
		put_le32(fd, pos, data_at(x) + g->at * x->grain);
	else if (g->at == GRAIN_ZERO)
		put_le64(fd, pos, (uint64_t)(1 + g->grain % 2) << 60);
	else
		put_le64(
			fd, pos, (uint64_t)3 << 60 | (uint64_t)(g->at & 0xfff) << 48 | g->at >> 12);
}

/* A grain has the data stream from from + its position in the data area on. */
static void esx_put(int fd, const struct esx *x, uint64_t from)
{
	uint64_t len = grain_of(x) * SECTOR, grains = 0;

	for (size_t i = 0; i < x->n; i++)
		if (x->map[i].at != GRAIN_ZERO)
			grains = MAX(grains, x->map[i].at + (uint64_t)1);
	if (is_sesparse(x))
		put_sesparse_header(fd, x, grains);
	else
		put_cowd_header(fd, x);
	file_resize(fd, data_at(x) * SECTOR + grains * len);
	for (uint64_t i = 0; x->all_tables && i < count_tables(x); i++)
		put_table(fd, x, i);
	for (size_t i = 0; i < x->n; i++) {
		put_grain(fd, x, &x->map[i]);
		if (x->map[i].at != GRAIN_ZERO)
			put_data(fd, data_at(x) * SECTOR + x->map[i].at * len,
				from + x->map[i].at * len, len);
	}
}

/* Sets the expected contents: the first sectors sectors of the extent are at off of the disk. */
static void esx_expect(
	const struct job *j, const struct esx *x, uint64_t off, uint64_t sectors, uint64_t from)
{
	uint64_t grain = grain_of(x) * SECTOR, size = MIN(sectors, x->capacity) * SECTOR;

	for (size_t i = 0; i < x->n; i++) {
		uint64_t start = x->map[i].grain * grain, len;

		if (start >= size)
			continue;
		len = MIN(grain, size - start);
		if (x->map[i].at == GRAIN_ZERO)
			expect_zero(j, off + start, len);
		else
			expect(j, off + start, from + x->map[i].at * grain, len);
	}
}

/* Extents with grains in and out of order, in several tables, and at the end. */

static const struct grain_entry few[] = {
	{0, 2}, {1, 3}, {2, 4}, {5, 1}, {7, 0}, {4095, 6}, {4096, 7}, {4097, 8}, {5000, 5}};
static const struct grain_entry with_zeroes[] = {
	{0, 2}, {1, GRAIN_ZERO}, {2, GRAIN_ZERO}, {3, 0}, {4095, 5}, {4096, 6}, {5000, 1}};
static const struct grain_entry far[] = {{3, 0}, {4 * TABLE + 1, 1}};
static const struct grain_entry big_index[] = {{0, 4097}, {1, 4098}, {2, 0x12345}};

#define MAP(map_) map_, N_ELEMENTS(map_)

static const struct esx cowd = {5001, 1, MAP(few), true};
static const struct esx cowd_grain_8 = {5000 * 8 + 5, 8, MAP(few), true};
static const struct esx cowd_grain_3 = {5000 * 3 + 2, 3, MAP(few), true};
static const struct esx cowd_gaps = {5 * TABLE - 3, 1, MAP(far), false};
static const struct esx se = {5001 * 8 - 3, 0, MAP(with_zeroes), true};
static const struct esx se_gaps = {5 * TABLE * 8 - 3, 0, MAP(far), false};
static const struct esx se_big_index = {1000, 0, MAP(big_index), true};

#define BASE_SECTORS 4990u

static void put_base(const struct job *j, uint32_t cid)
{
	struct descriptor d = {
		"vmfs", cid, NO_PARENT, NULL, "RW 4990 VMFS \"%s-base-flat.vmdk\"\n"};

	descriptor_put(j, file_new(j, "-base.vmdk"), 0, &d);
	put_data(file_new(j, "-base-flat.vmdk"), 0, FILE_DATA(1), BASE_SECTORS * SECTOR);
	expect(j, 0, FILE_DATA(1), BASE_SECTORS * SECTOR);
}

/* SUFFIX.vmdk is a delta with one extent. */
struct delta {
	const struct esx *x;
	const char *suffix; /* "" for the top of the chain */
	uint32_t cid, parent_cid;
	const char *parent;
	uint64_t from;
};

/* Returns the file descriptor of the extent. */
static int put_delta(const struct job *j, const struct delta *d)
{
	bool sesparse = is_sesparse(d->x);
	const char *kind = sesparse ? "sesparse" : "delta";
	char line[128], text[64], extent[64];
	struct descriptor desc = {
		sesparse ? "seSparse" : "vmfsSparse", d->cid, d->parent_cid, d->parent, line};
	int fd;

	snprintf(line, sizeof line, "RW %u %s \"%%s%s-%s.vmdk\"\n", (unsigned)d->x->capacity,
		sesparse ? "SESPARSE" : "VMFSSPARSE", d->suffix, kind);
	snprintf(text, sizeof text, "%s.vmdk", d->suffix);
	snprintf(extent, sizeof extent, "%s-%s.vmdk", d->suffix, kind);
	descriptor_put(j, file_new(j, text), 0, &desc);
	fd = file_new(j, extent);
	esx_put(fd, d->x, d->from);
	expect_size(j, d->x->capacity * SECTOR);
	esx_expect(j, d->x, 0, d->x->capacity, d->from);
	return fd;
}

static void make_delta(const struct job *j)
{
	const struct delta d = {j->c->arg, "", 7, 0xcafe, "%s-base.vmdk", FILE_DATA(2)};

	put_base(j, j->c->n ? j->c->n : 0xcafe);
	patch_le(j, put_delta(j, &d));
}

/* A chain of both types on a flat disk. */
static void make_chain(const struct job *j)
{
	put_base(j, 1);
	put_delta(j, &(struct delta){&cowd, "-1", 2, 1, "%s-base.vmdk", FILE_DATA(2)});
	put_delta(j, &(struct delta){&se, "-2", 3, 2, "/vmfs/volumes/x/y/%s-1.vmdk", FILE_DATA(3)});
	put_delta(j, &(struct delta){&cowd_grain_8, "", 4, 3, "%s-2.vmdk", FILE_DATA(4)});
}

static const uint32_t hosted_map[] = {2, GRAIN_ABSENT, 0, 1, GRAIN_ZERO};

static void make_on_sparse(const struct job *j)
{
	const struct sparse s = {
		640, 128, 2, FLAG_NEWLINES | FLAG_RGD | FLAG_ZERO_GRAIN, MAP(hosted_map)};
	struct descriptor base = {
		"monolithicSparse", 0xcafe, NO_PARENT, NULL, "RW 640 SPARSE \"%s-base.vmdk\"\n"};
	int fd = file_new(j, "-base.vmdk");

	sparse_put(fd, &s, FILE_DATA(1));
	descriptor_put(j, fd, TEXT_AT * SECTOR, &base);
	sparse_expect(j, &s, 0, 640, FILE_DATA(1));
	put_delta(j, &(struct delta){j->c->arg, "", 7, 0xcafe, "%s-base.vmdk", FILE_DATA(2)});
}

/* A disk of several extent types, whose zeroes hide data of the parent. */
static void make_mixed(const struct job *j)
{
	struct descriptor d = {"custom", 7, 0xcafe, "%s-base.vmdk",
		"RW 10 ZERO\nRW 100 VMFSSPARSE \"%s-a.vmdk\"\nRDONLY 3 FLAT \"%s-b.vmdk\" 2\n"
		"RW 200 SESPARSE \"%s-c.vmdk\"\nNOACCESS 5 FLAT \"%s-b.vmdk\" 0\nRW 7 ZERO\n"};

	put_base(j, 0xcafe);
	expect_size(j, 325 * SECTOR);
	descriptor_put(j, file_new(j, ".vmdk"), 0, &d);
	expect_zero(j, 0, 10 * SECTOR);
	esx_put(file_new(j, "-a.vmdk"), &cowd, FILE_DATA(2));
	esx_expect(j, &cowd, 10 * SECTOR, 100, FILE_DATA(2));
	put_data(file_new(j, "-b.vmdk"), 0, FILE_DATA(3), 5 * SECTOR);
	expect(j, 110 * SECTOR, FILE_DATA(3) + 2 * SECTOR, 3 * SECTOR);
	esx_put(file_new(j, "-c.vmdk"), &se, FILE_DATA(4));
	esx_expect(j, &se, 113 * SECTOR, 200, FILE_DATA(4));
	expect_zero(j, 313 * SECTOR, 12 * SECTOR);
}

/* Extents without a descriptor.  A root disk has its geometry in the header. */

static void make_root(const struct job *j)
{
	const struct esx *x = j->c->arg;
	int fd = file_new(j, ".vmdk");

	esx_put(fd, x, FILE_DATA(2));
	put_le32(fd, 32, 5);
	put_le32(fd, 36, 16);
	put_le32(fd, 40, 63);
	expect_size(j, x->capacity * SECTOR);
	esx_expect(j, x, 0, x->capacity, FILE_DATA(2));
	patch_le(j, fd);
}

/* A child has a name in place of the geometry: that of its parent's descriptor, or of the parent's
 * extent.  The name of the case is between before and after. */
struct parent_name {
	const char *before, *after;
};

static const struct parent_name flat_name = {"", "-base-flat.vmdk"};
static const struct parent_name disk_name = {"/vmfs/volumes/5e1b/vm/", "-base.vmdk"};
static const struct parent_name no_name = {"", "-bose.vmdk"};
static const struct parent_name own_name = {"", ".vmdk"};
static const struct parent_name outside = {"../../../../../../etc/", ""};

static void make_child(const struct job *j)
{
	int fd = file_new(j, ".vmdk");
	const struct parent_name *parent = j->c->arg;
	char name[256];

	put_base(j, 0xcafe);
	esx_put(fd, &cowd, FILE_DATA(2));
	snprintf(name, sizeof name, "%s%s%s", parent->before, j->c->name, parent->after);
	put_text(fd, 32, name);
	expect_size(j, cowd.capacity * SECTOR);
	esx_expect(j, &cowd, 0, cowd.capacity, FILE_DATA(2));
}

/* An extent with neither geometry nor parent name is a delta, if it has the file name of one. */
static void make_lone_delta(const struct job *j)
{
	struct descriptor d = {
		"vmfsSparse", 7, 0xcafe, "%s-base.vmdk", "RW 5001 VMFSSPARSE \"%s.vmdk\"\n"};

	esx_put(file_new(j, ".vmdk"), &cowd, FILE_DATA(2));
	descriptor_put(j, file_new(j, "-disk.vmdk"), 0, &d);
}

static void make_lone_sesparse(const struct job *j)
{
	esx_put(file_new(j, ".vmdk"), &se, FILE_DATA(2));
}

#define GOOD(name_, make_, arg_)                                                                   \
	{                                                                                          \
		.name = "vmdk-" name_, .make = make_, .arg = arg_                                  \
	}
#define REFUSE(name_, make_, arg_, n_)                                                             \
	{                                                                                          \
		.name = "vmdk-" name_, .verdict = REFUSED, .make = make_, .arg = arg_, .n = n_     \
	}
#define REFUSE_PATCHED(name_, make_, arg_, pos_, width_, value_)                                   \
	{                                                                                          \
		.name = "vmdk-" name_, .verdict = REFUSED, .make = make_, .arg = arg_,             \
		PATCH(pos_, width_, value_)                                                        \
	}
#define BAD(name_, arg_, off_, len_, pos_, width_, value_)                                         \
	{                                                                                          \
		.name = "vmdk-" name_, .verdict = READERROR, .bad = {off_, len_},                  \
		.make = make_delta, .arg = arg_, PATCH(pos_, width_, value_)                       \
	}

/* First sector of the grain tables in the images above. */
#define TABLES_AT 5

static const struct image_case cases[] = {
	GOOD("cowd", make_delta, &cowd),
	GOOD("cowd-grain-8", make_delta, &cowd_grain_8),
	GOOD("cowd-grain-3", make_delta, &cowd_grain_3),
	GOOD("cowd-gaps", make_delta, &cowd_gaps),
	GOOD("cowd-on-sparse", make_on_sparse, &cowd),
	GOOD("cowd-root", make_root, &cowd),
	GOOD("cowd-child-of-flat", make_child, &flat_name),
	GOOD("cowd-child-of-disk", make_child, &disk_name),
	GOOD("sesparse", make_delta, &se),
	GOOD("sesparse-gaps", make_delta, &se_gaps),
	GOOD("sesparse-big-index", make_delta, &se_big_index),
	GOOD("sesparse-on-sparse", make_on_sparse, &se),
	GOOD("esx-chain", make_chain, NULL),
	GOOD("esx-mixed", make_mixed, NULL),

	BAD("cowd-gte-1", &cowd, 5 * SECTOR, SECTOR, TABLES_AT *SECTOR + 4 * 5, 4, 1),
	BAD("cowd-gte-past-end", &cowd, 5 * SECTOR, SECTOR, TABLES_AT *SECTOR + 4 * 5, 4,
		0x7fffffff),
	BAD("cowd-gte-in-tables", &cowd, 5 * SECTOR, SECTOR, TABLES_AT *SECTOR + 4 * 5, 4, 4),
	BAD("cowd-gd-past-end", &cowd, 0, TABLE *SECTOR, GD_AT_4 *SECTOR, 4, 0x7fffffff),
	BAD("sesparse-gte-unknown", &se, 0, 8 * SECTOR, TABLES_AT *SECTOR, 8, (uint64_t)9 << 60),
	BAD("sesparse-gte-past-end", &se, 0, 8 * SECTOR, TABLES_AT *SECTOR, 8,
		(uint64_t)3 << 60 | 0xffff),
	BAD("sesparse-gte-low-bits", &se, 0, 8 * SECTOR, TABLES_AT *SECTOR, 8, 1),
	BAD("sesparse-gd-unknown", &se, 0, TABLE * 8 * SECTOR, GD_SE_AT *SECTOR, 8,
		(uint64_t)0x20000000 << 32),
	BAD("sesparse-gd-past-end", &se, 0, TABLE * 8 * SECTOR, GD_SE_AT *SECTOR, 8,
		(uint64_t)0x10000000 << 32 | 2),

	REFUSE("cowd-changed", make_delta, &cowd, 0xcaff),
	REFUSE("cowd-delta", make_lone_delta, NULL, 0),
	REFUSE("cowd-child-of-nothing", make_child, &no_name, 0),
	REFUSE("cowd-child-of-itself", make_child, &own_name, 0),
	REFUSE("cowd-child-outside", make_child, &outside, 0),
	REFUSE_PATCHED("cowd-version", make_root, &cowd, 4, 4, 2),
	REFUSE_PATCHED("cowd-flags", make_root, &cowd, 8, 4, 0x103),
	REFUSE_PATCHED("cowd-grain-0", make_root, &cowd, 16, 4, 0),
	REFUSE_PATCHED("cowd-gd-far", make_root, &cowd, 20, 4, 0x7fffffff),
	REFUSE_PATCHED("cowd-gd-short", make_root, &cowd, 24, 4, 1),
	REFUSE("sesparse-changed", make_delta, &se, 0xcaff),
	REFUSE("sesparse-alone", make_lone_sesparse, NULL, 0),
	REFUSE_PATCHED("sesparse-version", make_delta, &se, 8, 8, 0x200000002),
	REFUSE_PATCHED("sesparse-grain", make_delta, &se, 24, 8, 16),
	REFUSE_PATCHED("sesparse-flags", make_delta, &se, 40, 8, 1),
	REFUSE_PATCHED("sesparse-capacity", make_delta, &se, 16, 8, UINT64_MAX),
	REFUSE_PATCHED("sesparse-journal", make_delta, &se, STATE_AT *SECTOR + 24, 8, 1),
	REFUSE_PATCHED("sesparse-state", make_delta, &se, STATE_AT *SECTOR, 8, 0),
	REFUSE_PATCHED("sesparse-gd-far", make_delta, &se, 128, 8, (uint64_t)1 << 50),
};

const struct image_set vmdk_esx_images = {"vmdk", cases, N_ELEMENTS(cases)};
