/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Random corruptions of qcow2 metadata: entries, refcounts and positions are redirected, or the
 * file is truncated.  Either the image is refused for writing and does not change; or data that is
 * written reads back after reopening, and everything else, snapshots included, does not change:
 * sectors that were readable have the same bytes, others still fail.  QCOW2_CORRUPTIONS=N in the
 * environment tries N corruptions of each kind of image. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "util/bytes.h"
#include "util/err.h"
#include "image/image.h"
#include "open/open.h"
#include "image/snapshot.h"
#include "common/unit.h"
#include "view/view.h"

#define PATH        "image.qcow2"
#define DATA        "data.raw"
#define SECTOR      512u
#define STATES      4 /* the live disk, two snapshots, and a new one */
#define OFFSET      UINT64_C(0x00fffffffffffe00)
#define COPIED      (UINT64_C(1) << 63)
#define COMPRESSED  (UINT64_C(1) << 62)
#define SLOTS       8192
#define CORRUPTIONS 12

static const struct kind {
	const char *options[3];
	uint64_t size;
	unsigned entry_size;
} kinds[] = {
	{{"cluster_size=512"}, 128 << 10, 8},
	{{"cluster_size=4k"}, 256 << 10, 8},
	{{"cluster_size=1k", "compat=0.10"}, 128 << 10, 8},
	{{"cluster_size=512", "refcount_bits=64"}, 128 << 10, 8},
	{{"cluster_size=4k", "refcount_bits=1"}, 256 << 10, 8},
	{{"cluster_size=16k", "extended_l2=on"}, 1 << 20, 16},
	{{"cluster_size=4k", "compression_type=zstd"}, 256 << 10, 8},
	{{"cluster_size=4k", "data_file=" DATA}, 256 << 10, 8},
};

struct bytes {
	unsigned char *p;
	size_t len;
};

struct disk {
	struct bytes bytes;
	bool *readable;  /* for each sector: it is readable */
	bool *undefined; /* for each sector: it is not compared, since a write failed, or its entry
			  * points into a table */
};

static const struct kind *kind;
static unsigned corruption; /* number of the corruption */
static uint64_t state;
static struct bytes valid, data, image; /* the valid image, its data file, the corrupted image */
static uint64_t slots[SLOTS];           /* positions of the 8-byte fields that refer to others */
static size_t nslots;
static struct disk disks[STATES];
static size_t ndisks;

static uint64_t below(uint64_t n)
{
	return next_random(&state) % n;
}

/* The valid image. */

static void write_compressed(struct view *v, uint64_t off, unsigned char byte)
{
	unsigned char *unit = malloc(v->unit), *compressed = malloc(v->unit);
	struct err e = ERR_INIT;
	ssize_t n = 0;

	memset(unit, byte, v->unit);
	if (v->compressed_max > 0)
		n = view_compress(v, unit, off, compressed, &e);
	if (n > 0)
		ck_assert_ok(view_write_compressed(v, compressed, n, off, &e), &e);
	free(unit);
	free(compressed);
}

static void write_pattern(struct view *v, uint64_t off, uint64_t len, unsigned seed)
{
	unsigned char *buf = malloc(len);
	struct err e = ERR_INIT;

	fill_pattern(buf, len, seed);
	ck_assert_ok(view_write(v, buf, len, off, &e), &e);
	free(buf);
}

/* Fills the disk; creates snapshots if the format has them. */
static void fill_disk(struct image *img)
{
	struct view *v = img->states[0]->view;
	struct err e = ERR_INIT;
	unsigned no;

	write_pattern(v, 0, kind->size / 2, 1);
	ck_assert_ok(view_clear(v, 5 * v->unit, 2 * v->unit, &e), &e);
	for (unsigned i = 1; i <= 6; i++)
		write_compressed(v, kind->size - i * v->unit, i);
	if (snapshot_create(img, "one", &no, &e) == 0)
		write_pattern(v, kind->size / 8, kind->size / 8, 2);
	if (snapshot_create(img, "two", &no, &e) == 0)
		write_pattern(v, kind->size / 4, kind->size / 16, 3);
}

static struct bytes read_all(const char *path)
{
	struct bytes b = {.p = malloc(8 << 20)};
	FILE *f = fopen(path, "rb");

	if (f) {
		b.len = fread(b.p, 1, 8 << 20, f);
		fclose(f);
	}
	return b;
}

static void make_valid_image(int i)
{
	struct image_options o;
	struct err e = ERR_INIT;
	struct image *img;

	kind = &kinds[i];
	make_image("qcow2", PATH, kind->size, NULL, kind->options);
	img = open_image_file(PATH, true, &o);
	fill_disk(img);
	ck_assert_ok(image_finish(img, &e), &e);
	image_close(img);
	options_free(&o);
	valid = read_all(PATH);
	data = read_all(DATA);
	image.p = malloc(valid.len);
}

/* Fields that refer to tables or clusters. */

static uint64_t word(uint64_t pos)
{
	return load_be64(valid.p + pos);
}

static uint64_t cluster_size(void)
{
	return UINT64_C(1) << load_be32(valid.p + 20);
}

static void add_slots(uint64_t pos, uint64_t n, unsigned step, bool all)
{
	for (uint64_t i = 0; i < n; i++)
		if ((all || word(pos + i * step) != 0) && nslots < SLOTS)
			slots[nslots++] = pos + i * step;
}

static void add_l1(uint64_t pos, uint32_t entries)
{
	add_slots(pos, entries, 8, true);
	for (uint32_t i = 0; i < entries; i++)
		if (word(pos + 8 * i) & OFFSET)
			add_slots(word(pos + 8 * i) & OFFSET, cluster_size() / kind->entry_size,
				kind->entry_size, false);
}

static void find_slots(void)
{
	uint64_t pos = word(64);

	nslots = 0;
	add_slots(40, 1, 8, true);
	add_slots(48, 1, 8, true);
	add_slots(64, 1, 8, true);
	add_slots(word(48), cluster_size() / 8, 8, false);
	add_l1(word(40), load_be32(valid.p + 36));
	for (uint32_t i = 0; i < load_be32(valid.p + 60); i++) {
		const unsigned char *p = valid.p + pos;

		add_slots(pos, 1, 8, true);
		add_l1(load_be64(p), load_be32(p + 8));
		pos += round_up(40 + load_be32(p + 36) + load_be16(p + 12) + load_be16(p + 14), 8);
	}
}

/* Corruptions. */

static void count(uint64_t cluster, int by)
{
	uint64_t at = (word(word(48)) & OFFSET) + 2 * cluster;

	if (load_be32(valid.p + 4) == 2 || load_be32(valid.p + 96) == 4)
		store_be16(image.p + at, load_be16(image.p + at) + by);
}

static uint64_t some_entry(uint64_t slot)
{
	uint64_t n = valid.len / cluster_size(), to = below(n + 2) * cluster_size();

	switch (below(6)) {
	case 0:
		return word(slots[below(nslots)]);
	case 1:
		return word(slot) ^ COPIED;
	case 2:
		return COMPRESSED | below(valid.len);
	case 3:
		count(to / cluster_size() % n, 1);
		return to;
	default:
		return to | (below(2) ? COPIED : 0);
	}
}

static void corrupt_image(void)
{
	uint64_t slot = slots[below(nslots)];

	memcpy(image.p, valid.p, valid.len);
	image.len = valid.len;
	switch (below(6)) {
	case 0:
		count(below(valid.len / cluster_size()), below(2) ? 1 : -1);
		break;
	case 1:
		image.len = cluster_size() + below(valid.len - cluster_size());
		break;
	default:
		store_be64(image.p + slot, some_entry(slot));
		break;
	}
	write_file(PATH, image.p, image.len);
	if (data.len > 0)
		write_file(DATA, data.p, below(8) ? data.len : below(data.len));
}

/* Reading. */

static void read_disk(const struct view *v, struct disk *d)
{
	struct err e = ERR_INIT;

	d->bytes.len = v->size;
	d->bytes.p = calloc(1, v->size + 1);
	d->readable = calloc(v->size / SECTOR + 1, sizeof d->readable[0]);
	d->undefined = calloc(v->size / SECTOR + 1, sizeof d->undefined[0]);
	for (uint64_t off = 0; off < v->size; off += SECTOR) {
		int r = view_read(v, d->bytes.p + off, SECTOR, off, &e);

		d->readable[off / SECTOR] = r == 0;
		d->undefined[off / SECTOR] = r == -EUCLEAN;
	}
}

static void free_disk(struct disk *d)
{
	free(d->bytes.p);
	free(d->readable);
	free(d->undefined);
}

static void free_disks(void)
{
	while (ndisks > 0)
		free_disk(&disks[--ndisks]);
}

/* Returns false if the image does not open, not even read-only. */
static bool read_disks(struct image_options *o)
{
	struct err e = ERR_INIT;
	struct image *img;

	o->write = false;
	if (image_open(PATH, o, &img, &e) < 0)
		return false;
	for (size_t i = 0; i < img->nstates && i < STATES; i++)
		if (img->states[i]->view->size <= 4 * kind->size)
			read_disk(img->states[i]->view, &disks[ndisks++]);
	image_close(img);
	return true;
}

static void compare_disk(size_t i, const struct view *v)
{
	struct disk *d = &disks[i], now;

	ck_assert_uint_eq(v->size, d->bytes.len);
	read_disk(v, &now);
	for (uint64_t off = 0; off < v->size; off += SECTOR) {
		uint64_t k = off / SECTOR;

		if (d->undefined[k])
			continue;
		ck_assert_msg(d->readable[k] == now.readable[k],
			"corruption %u, state %zu, sector %llu: it could%s be read before",
			corruption, i, (unsigned long long)k, d->readable[k] ? "" : " not");
		ck_assert_msg(
			!d->readable[k] || memcmp(d->bytes.p + off, now.bytes.p + off, SECTOR) == 0,
			"corruption %u, state %zu, sector %llu has changed", corruption, i,
			(unsigned long long)k);
	}
	free_disk(&now);
}

static void compare_disks(struct image_options *o)
{
	struct err e = ERR_INIT;
	struct image *img;

	ck_assert_msg(image_open(PATH, o, &img, &e) == 0, "corruption %u: %s", corruption, e.text);
	ck_assert_uint_eq(img->nstates, ndisks);
	for (size_t i = 0; i < ndisks; i++)
		compare_disk(i, img->states[i]->view);
	image_close(img);
}

/* Writing. */

static void write_random(struct view *v)
{
	uint64_t n = v->size / SECTOR, first = below(n), len = 1 + below(MIN(n - first, 40));
	struct disk *d = &disks[0];
	struct err e = ERR_INIT;
	bool clear = below(4) == 0, done;

	if (!clear)
		fill_pattern(d->bytes.p + first * SECTOR, len * SECTOR, below(1000));
	else
		memset(d->bytes.p + first * SECTOR, 0, len * SECTOR);
	if (clear)
		done = view_clear(v, first * SECTOR, len * SECTOR, &e) == 0;
	else
		done = view_write(v, d->bytes.p + first * SECTOR, len * SECTOR, first * SECTOR,
			       &e) == 0;
	for (uint64_t i = first; i < first + len; i++) {
		d->readable[i] |= done;
		d->undefined[i] = !done;
	}
}

static void copy_disk(struct disk *to, const struct disk *from)
{
	size_t n = from->bytes.len / SECTOR + 1;

	to->bytes.len = from->bytes.len;
	to->bytes.p = memcpy(malloc(from->bytes.len + 1), from->bytes.p, from->bytes.len);
	to->readable = memcpy(malloc(n), from->readable, n);
	to->undefined = memcpy(malloc(n), from->undefined, n);
}

/* Creates, applies and deletes snapshots at random. */
static void change_snapshots(struct image *img)
{
	struct err e = ERR_INIT;
	unsigned no;

	if (below(2) && ndisks < STATES && snapshot_create(img, "three", &no, &e) == 0)
		copy_disk(&disks[ndisks++], &disks[0]);
	if (below(3) == 0 && ndisks > 1 && snapshot_apply(img, img->states[1]->no, &e) == 0) {
		free_disk(&disks[0]);
		copy_disk(&disks[0], &disks[1]);
	}
	if (below(3) == 0 && ndisks > 1 && snapshot_delete(img, img->states[1]->no, &e) == 0) {
		free_disk(&disks[1]);
		memmove(&disks[1], &disks[2], (--ndisks - 1) * sizeof disks[0]);
	}
}

static void write_all(struct image *img)
{
	struct view *v = img->states[0]->view;
	struct err e = ERR_INIT;

	for (unsigned i = 0; i < 30; i++) {
		if (i % 10 == 5)
			change_snapshots(img);
		write_random(v);
		if (i % 8 == 7)
			ck_assert_msg(
				view_flush(v, &e) == 0, "corruption %u: %s", corruption, e.text);
	}
	ck_assert_msg(image_finish(img, &e) == 0, "corruption %u: %s", corruption, e.text);
}

static void is_unchanged(void)
{
	struct bytes now = read_all(PATH);

	ck_assert_msg(now.len == image.len && memcmp(now.p, image.p, now.len) == 0,
		"corruption %u: a refused image was changed", corruption);
	free(now.p);
}

START_TEST(random_corruptions)
{
	const char *n = getenv("QCOW2_CORRUPTIONS");
	struct image_options o = options_new();
	unsigned refused = 0, count = n ? strtoul(n, NULL, 0) : CORRUPTIONS;
	struct err e = ERR_INIT;

	make_valid_image(_i);
	find_slots();
	for (corruption = 0; corruption < count; corruption++, free_disks()) {
		struct image *img;

		state = 1000u * _i + corruption;
		next_random(&state);
		corrupt_image();
		if (!read_disks(&o))
			continue;
		o.write = true;
		if (image_open(PATH, &o, &img, &e) < 0) {
			is_unchanged();
			refused++;
			continue;
		}
		write_all(img);
		image_close(img);
		compare_disks(&o); /* opened for writing once more */
	}
	ck_assert_uint_lt(refused, count);
	if (n)
		printf("kind %d: %u of %u refused\n", _i, refused, count);
	options_free(&o);
	free(valid.p);
	free(data.p);
	free(image.p);
}
END_TEST

Suite *qcow2_corrupted_suite(void)
{
	TCase *tc = tcase_create("qcow2_corrupted");

	tcase_set_timeout(tc, 60);
	use_temp_dir(tc);
	tcase_add_loop_test(tc, random_corruptions, 0, COUNT(kinds));
	return suite_of("qcow2_corrupted", tc);
}
