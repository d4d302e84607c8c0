/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* check_writeback.c - write-back of metadata pages when structures of the image overlap. */
#include <errno.h>

#include "util/err.h"
#include "image/image.h"
#include "io/io.h"
#include "common/unit.h"
#include "io/writeback.h"

/* A hostile header can place a table and a header field in the same sector. */
START_TEST(structures_that_overlap)
{
	struct image_options o = options_new();
	static unsigned char bytes[8192];
	struct err e = ERR_INIT;
	struct writeback *w = writeback_new(o.cache, &e);
	struct io *io;

	write_file("f", bytes, sizeof bytes);
	io = io_open("f", &e);
	ck_assert_ok(io_make_writable(io, &e), &e);
	ck_assert_ok(writeback_add(w, io, &e), &e);
	ck_assert_ok(meta_write(io, "ab", 2, 4096, ORDER_TABLES, &e), &e);
	ck_assert_ok(meta_write(io, "cd", 2, 4606, ORDER_TABLES, &e), &e);
	ck_assert_ok(meta_write(io, "ef", 2, 4608, ORDER_HEADER, &e), &e);
	ck_assert_ok(writeback_check(w, &e), &e);
	ck_assert(!writeback_is_stopped(w));
	ck_assert_fails(meta_write(io, "gh", 2, 4606, ORDER_COUNTS, &e), EUCLEAN, &e,
		"f: two structures of its metadata overlap at 4606");
	ck_assert(writeback_is_stopped(w));
	ck_assert_fails(writeback_check(w, &e), EUCLEAN, &e, "overlap at 4606");
	writeback_free(w);
	io_unref(io);
	options_free(&o);
}
END_TEST

Suite *writeback_suite(void)
{
	TCase *tc = tcase_create("writeback");

	use_temp_dir(tc);
	tcase_add_test(tc, structures_that_overlap);
	return suite_of("writeback", tc);
}
