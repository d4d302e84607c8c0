/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <string.h>

#include "util/bytes.h"
#include "util/err.h"
#include "common/unit.h"

START_TEST(err_set_sets_text_and_clears_hint)
{
	struct err e = ERR_INIT;

	ck_assert_int_eq(e.code, 0);
	ck_assert_int_eq(err_set(&e, EIO, "sector %d", 7), -EIO);
	ck_assert_int_eq(err_hint(&e, "try %s", "again"), -EIO);
	ck_assert_str_eq(e.text, "sector 7");
	ck_assert_str_eq(hint_of(&e), "try again");
	ck_assert_int_eq(err_set(&e, EINVAL, "other"), -EINVAL);
	ck_assert_str_eq(hint_of(&e), "");
}
END_TEST

START_TEST(context_is_prepended)
{
	struct err e = ERR_INIT;

	err_set(&e, EUCLEAN, "L1 entry 3");
	err_hint(&e, "repair it");
	ck_assert_int_eq(err_in(&e, "disk %d", 1), -EUCLEAN);
	ck_assert_int_eq(err_in(&e, "chain"), -EUCLEAN);
	ck_assert_str_eq(e.text, "chain: disk 1: L1 entry 3");
	ck_assert_str_eq(hint_of(&e), "repair it");
}
END_TEST

/* Text from an image, of any length, is truncated to the buffer. */
START_TEST(long_text_is_truncated)
{
	struct err e = ERR_INIT;
	char text[2 * ERR_TEXT];

	memset(text, 'x', sizeof text - 1);
	text[sizeof text - 1] = '\0';
	err_set(&e, EIO, "%s", text);
	ck_assert_uint_eq(strlen(e.text), ERR_TEXT - 1);
	err_hint(&e, "%s", text);
	ck_assert_uint_eq(strlen(e.hint_arg), ERR_HINT - 1);
	err_in(&e, "where");
	ck_assert_uint_eq(strlen(e.text), ERR_TEXT - 1);
	ck_assert_int_eq(strncmp(e.text, "where: xxx", 10), 0);
}
END_TEST

/* The reason is at the end of the sentence, so a long path is truncated instead. */
START_TEST(long_context_is_truncated_first)
{
	struct err e = ERR_INIT;
	char text[2 * ERR_TEXT];

	memset(text, 'x', sizeof text - 1);
	text[sizeof text - 1] = '\0';
	err_set(&e, EIO, "reason");
	err_in(&e, "%s", text);
	ck_assert_uint_eq(strlen(e.text), ERR_TEXT - 1);
	ck_assert_str_eq(e.text + ERR_TEXT - 1 - 9, "x: reason");
	err_set(&e, EIO, "reason %s", text);
	err_in(&e, "%s", text);
	ck_assert_uint_eq(strlen(e.text), ERR_TEXT - 1);
	ck_assert_ptr_nonnull(strstr(e.text, "x: reason x"));
}
END_TEST

START_TEST(control_characters_are_replaced)
{
	struct err e = ERR_INIT;

	err_set(&e, EIO,
		"a\tb\nc\x1b[31md\x7f"
		"e\xc2\x9b"
		"f\x9b"
		"g\xff h\xc3");
	ck_assert_str_eq(e.text, "a?b?c?[31md?e??f?g? h?");
	err_set(&e, EIO, "caf\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80 \xc2\xa0");
	ck_assert_str_eq(e.text, "caf\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80 \xc2\xa0");
	err_in(&e, "x\ry");
	ck_assert_int_eq(strncmp(e.text, "x?y: caf", 8), 0);
	err_hint(&e, "\x1b]0;title\x07");
	ck_assert_str_eq(hint_of(&e), "?]0;title?");
}
END_TEST

START_TEST(context_that_exactly_fits)
{
	struct err e = ERR_INIT;
	char text[ERR_TEXT];

	for (size_t n = ERR_TEXT - 8; n < ERR_TEXT - 3; n++) {
		memset(text, 'y', n);
		text[n] = '\0';
		err_set(&e, EIO, "end");
		err_in(&e, "%s", text);
		ck_assert_uint_eq(strlen(e.text), MIN(n + 5, ERR_TEXT - 1));
		ck_assert_str_eq(e.text + strlen(e.text) - 6, "y: end");
	}
}
END_TEST

START_TEST(out_of_memory)
{
	struct err e = ERR_INIT;

	ck_assert_int_eq(err_nomem(&e), -ENOMEM);
	ck_assert_str_eq(e.text, "out of memory");
}
END_TEST

Suite *err_suite(void)
{
	TCase *tc = tcase_create("err");

	tcase_add_test(tc, err_set_sets_text_and_clears_hint);
	tcase_add_test(tc, context_is_prepended);
	tcase_add_test(tc, long_text_is_truncated);
	tcase_add_test(tc, long_context_is_truncated_first);
	tcase_add_test(tc, control_characters_are_replaced);
	tcase_add_test(tc, context_that_exactly_fits);
	tcase_add_test(tc, out_of_memory);
	return suite_of("err", tc);
}
