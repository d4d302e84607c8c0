/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <stdlib.h>

#include "util/err.h"
#include "open/open.h"
#include "common/unit.h"
#include "view/view.h"
#include "vmdk_write_test.h"

#define GRAIN 65536

/* Opens a new stream for writing. */
static struct image *open_stream(const char *path, struct image_options *o)
{
	struct err e = ERR_INIT;
	struct image *img;

	*o = options_new();
	o->write = true;
	o->fill = true;
	ck_assert_ok(image_open(path, o, &img, &e), &e);
	return img;
}

static int write_compressed_grain(struct view *v, uint64_t off, unsigned seed, struct err *e)
{
	unsigned char unit[GRAIN], *compressed = malloc(v->compressed_max);
	ssize_t n;
	int r;

	ck_assert_ptr_nonnull(compressed);
	fill_pattern(unit, sizeof unit, seed);
	n = view_compress(v, unit, off, compressed, e);
	ck_assert_int_gt(n, 0);
	ck_assert_int_le(n, v->compressed_max);
	r = view_write_compressed(v, compressed, n, off, e);
	free(compressed);
	return r;
}

static const unsigned filled[] = {0, 1, 5, 511, 512, 1300, 1599};

static void fill_stream(void)
{
	struct image_options o;
	struct image *img;
	struct err e = ERR_INIT;

	ck_assert_ok(
		vmdk_try_create("a.vmdk", "subformat=streamOptimized", NULL, 100 * MB, &e), &e);
	img = open_stream("a.vmdk", &o);
	for (size_t i = 0; i < COUNT(filled); i++)
		ck_assert_ok(write_compressed_grain(
				     img->states[0]->view, (uint64_t)filled[i] * GRAIN, i, &e),
			&e);
	ck_assert_ok(image_finish(img, &e), &e);
	image_close(img);
	options_free(&o);
}

START_TEST(streams_are_filled)
{
	unsigned char want[GRAIN], got[GRAIN];
	struct image_options o;
	struct image *img;
	struct err e = ERR_INIT;
	size_t next = 0;

	fill_stream();
	img = open_image_file("a.vmdk", false, &o);
	for (unsigned i = 0; i < 1600; i++) {
		memset(want, 0, sizeof want);
		if (i == filled[next])
			fill_pattern(want, sizeof want, next++);
		ck_assert_ok(
			view_read(img->states[0]->view, got, GRAIN, (uint64_t)i * GRAIN, &e), &e);
		ck_assert_mem_eq(want, got, GRAIN);
	}
	image_close(img);
	options_free(&o);
	ck_assert_int_eq(system("qemu-img convert -f vmdk -O raw a.vmdk a.raw && "
				"qemu-img compare -q -f vmdk -F raw a.vmdk a.raw"),
		0);
}
END_TEST

/* A stream is written in order, whole grains, each once, and cannot be read meanwhile. */
START_TEST(streams_are_written_in_order)
{
	struct image_options o;
	struct image *img;
	struct view *v;
	struct err e = ERR_INIT;
	char byte = 1;

	fill_stream();
	refuses_writing("a.vmdk", ENOTSUP, "streamOptimized");
	ck_assert_ok(vmdk_try_create("b.vmdk", "subformat=streamOptimized", NULL, MB, &e), &e);
	img = open_stream("b.vmdk", &o);
	v = img->states[0]->view;
	ck_assert(v->compressed_only);
	ck_assert_ok(write_compressed_grain(v, 3 * GRAIN, 1, &e), &e);
	ck_assert_fails(write_compressed_grain(v, 3 * GRAIN, 1, &e), EINVAL, &e, "too late");
	ck_assert_fails(write_compressed_grain(v, 0, 1, &e), EINVAL, &e, "too late");
	ck_assert_fails(write_compressed_grain(v, MB, 1, &e), ENOSPC, &e, "pass the end");
	ck_assert_fails(
		view_write(v, &byte, 1, 5 * GRAIN, &e), EROFS, &e, "only written compressed");
	ck_assert_fails(view_clear(v, 5 * GRAIN, GRAIN, &e), EROFS, &e, "only written compressed");
	ck_assert_fails(view_read(v, &byte, 1, 3 * GRAIN, &e), EIO, &e, "being written");
	ck_assert_fails(view_resize(v, 2 * MB, &e), EOPNOTSUPP, &e, "cannot be changed");
	image_close(img);
	options_free(&o);
}
END_TEST

/* A stream that was not finished is not an image. */
START_TEST(unfinished_streams)
{
	struct image_options o;
	struct image *img, *again;
	struct err e = ERR_INIT;

	ck_assert_ok(vmdk_try_create("b.vmdk", "subformat=streamOptimized", NULL, MB, &e), &e);
	img = open_stream("b.vmdk", &o);
	ck_assert_ok(write_compressed_grain(img->states[0]->view, 3 * GRAIN, 1, &e), &e);
	ck_assert_int_eq(system("cp b.vmdk c.vmdk"), 0);
	o.write = false;
	ck_assert_fails(image_open("c.vmdk", &o, &again, &e), EUCLEAN, &e, "footer");
	image_close(img);
	options_free(&o);
}
END_TEST

Suite *vmdk_write_stream_suite(void)
{
	TCase *tc = tcase_create("vmdk_write_stream");

	tcase_set_timeout(tc, 60);
	use_temp_dir(tc);
	tcase_add_test(tc, streams_are_filled);
	tcase_add_test(tc, streams_are_written_in_order);
	tcase_add_test(tc, unfinished_streams);
	return suite_of("vmdk_write_stream", tc);
}
