/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* check_lvm_random.c - volumes of random segments, linear and striped, against a mapping of each
 * byte on its own. */
#include <stdio.h>
#include <stdlib.h>

#include "util/bytes.h"
#include "common/unit.h"
#include "lvm_disk.h"

#define SEGMENTS 5
#define READS    300

/* A segment as the text has it. */
struct piece {
	size_t extents, n; /* of the segment; stripes */
	size_t sectors;    /* of a chunk */
	size_t disk[LVM_DISKS], extent[LVM_DISKS];
};

static uint64_t seed;

static size_t pick(size_t n)
{
	return next_random(&seed) % n;
}

static struct piece random_piece(void)
{
	struct piece p = {.n = 1 + pick(LVM_DISKS), .sectors = 1u << pick(5)};
	size_t each = 1 + pick(3);

	p.extents = p.n * each;
	for (size_t i = 0; i < p.n; i++) {
		p.disk[i] = pick(LVM_DISKS);
		p.extent[i] = pick(LVM_EXTENTS - each + 1);
	}
	return p;
}

static int put_piece(char *out, size_t size, size_t number, size_t start, const struct piece *p)
{
	int n = snprintf(out, size,
		"segment%zu { start_extent = %zu\nextent_count = %zu\ntype = \"striped\"\n"
		"stripe_count = %zu\nstripe_size = %zu\nstripes = [ ",
		number, start, p->extents, p->n, p->sectors);

	for (size_t i = 0; i < p->n; i++)
		n += snprintf(out + n, size - n, "%s\"pv%zu\", %zu", i ? ", " : "", p->disk[i],
			p->extent[i]);
	return n + snprintf(out + n, size - n, " ]\n}\n");
}

static unsigned char byte_of(const struct piece *p, size_t off)
{
	size_t chunk = p->sectors * 512, stripe = off / chunk % p->n;
	size_t in = off / chunk / p->n * chunk + off % chunk;

	return lvm_byte(p->disk[stripe], p->extent[stripe] * LVM_EXTENT + in);
}

/* The bytes of the pieces, one after the other. */
static unsigned char *expect(const struct piece *p, size_t n, size_t *size)
{
	unsigned char *bytes = malloc(SEGMENTS * LVM_DISKS * 3 * LVM_EXTENT);

	ck_assert_ptr_nonnull(bytes);
	*size = 0;
	for (size_t i = 0; i < n; i++)
		for (size_t k = 0; k < p[i].extents * LVM_EXTENT; k++)
			bytes[(*size)++] = byte_of(&p[i], k);
	return bytes;
}

static void compare(const struct view *v, const unsigned char *expected, size_t size)
{
	unsigned char *buf = malloc(size);

	ck_assert_ptr_nonnull(buf);
	ck_assert_uint_eq(v->size, size);
	ck_assert_ok(view_read(v, buf, size, 0, &lvm.error), &lvm.error);
	ck_assert_mem_eq(buf, expected, size);
	for (size_t i = 0; i < READS; i++) {
		size_t off = pick(size), len = 1 + pick(size - off);

		ck_assert_ok(view_read(v, buf, len, off, &lvm.error), &lvm.error);
		ck_assert_mem_eq(buf, expected + off, len);
	}
	free(buf);
}

START_TEST(random_segments)
{
	char text[8192];
	struct piece pieces[SEGMENTS];
	unsigned char *expected;
	struct view *v;
	size_t n, start = 0, size, len;

	seed = (uint64_t)_i + 1;
	n = 1 + pick(SEGMENTS);
	len = (size_t)snprintf(text, sizeof text,
		"lv { id = \"L00000-0000-0000-0000-0000-0000-000000\"\n"
		"status = [\"READ\", \"WRITE\", \"VISIBLE\"]\n");
	for (size_t i = 0; i < n; i++) {
		pieces[i] = random_piece();
		len += put_piece(text + len, sizeof text - len, i + 1, start, &pieces[i]);
		start += pieces[i].extents;
	}
	snprintf(text + len, sizeof text - len, "}\n");
	lvm_read_text(LVM_DISKS, lvm_text(1, LVM_DISKS, text));
	expected = expect(pieces, n, &size);
	v = lvm_view("vg-lv", LVM_DISKS);
	compare(v, expected, size);
	view_free(v);
	free(expected);
}
END_TEST

Suite *lvm_random_suite(void)
{
	TCase *tc = tcase_create("random");

	tcase_add_checked_fixture(tc, lvm_setup, lvm_teardown);
	tcase_add_loop_test(tc, random_segments, 0, 40);
	return suite_of("lvm_random", tc);
}
