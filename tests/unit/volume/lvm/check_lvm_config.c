/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* check_lvm_config.c - the parser of LVM's configuration text. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "util/err.h"
#include "util/limits.h"
#include "volume/lvm/config.h"
#include "common/unit.h"

static struct lvm_config *config;
static struct err error;

static void parse(const char *text)
{
	lvm_config_free(config);
	config = NULL;
	ck_assert_ok(lvm_config_parse(text, strlen(text), &config, &error), &error);
}

static void refused(const char *text, const char *part)
{
	struct lvm_config *c;

	ck_assert_fails(lvm_config_parse(text, strlen(text), &c, &error), EUCLEAN, &error, part);
}

static void teardown(void)
{
	lvm_config_free(config);
	config = NULL;
}

static const struct lvm_node *root(void)
{
	return lvm_config_root(config);
}

START_TEST(values)
{
	const struct lvm_value *v;
	uint64_t number;
	size_t n;

	parse("a = 1 b=\"x\"c='y\"' # comment = 7\n d = [ \"p\", -3,\n4 5 ] e=[] \"f g\" = 9");
	ck_assert(lvm_config_number(config, root(), "a", 1, &number) && number == 1);
	ck_assert_str_eq(lvm_config_text(config, root(), "b"), "x");
	ck_assert_str_eq(lvm_config_text(config, root(), "c"), "y\"");
	ck_assert_ptr_null(lvm_config_text(config, root(), "comment"));
	v = lvm_config_values(config, root(), "d", &n);
	ck_assert_uint_eq(n, 4);
	ck_assert_str_eq(v[0].text, "p");
	ck_assert_ptr_null(v[1].text);
	ck_assert_int_eq(v[1].number, -3);
	ck_assert_int_eq(v[3].number, 5);
	ck_assert_ptr_null(lvm_config_values(config, root(), "e", &n));
	ck_assert_uint_eq(n, 0);
	ck_assert(lvm_config_number(config, root(), "f g", 9, &number) && number == 9);
}
END_TEST

START_TEST(kinds)
{
	uint64_t number;

	parse("a = 8 b = -1 c = \"1\" d = [1, 2] e { a = 3 }");
	ck_assert(!lvm_config_number(config, root(), "a", 7, &number));
	ck_assert(!lvm_config_number(config, root(), "b", UINT64_MAX, &number));
	ck_assert(!lvm_config_number(config, root(), "c", 7, &number));
	ck_assert(!lvm_config_number(config, root(), "d", 7, &number));
	ck_assert(!lvm_config_number(config, root(), "e", 7, &number));
	ck_assert(!lvm_config_number(config, root(), "z", 7, &number));
	ck_assert_ptr_null(lvm_config_text(config, root(), "a"));
	ck_assert_ptr_null(lvm_config_section(config, root(), "a"));
}
END_TEST

START_TEST(sections)
{
	const struct lvm_node *a, *n;
	uint64_t number;

	parse("a{b{c=1}d=2 b { c = 3 } }e{}");
	a = lvm_config_section(config, root(), "a");
	n = lvm_config_first(config, a);
	ck_assert_str_eq(n->key, "b");
	ck_assert(n->is_section);
	ck_assert(lvm_config_number(config, n, "c", 9, &number) && number == 1);
	n = lvm_config_next(config, n);
	ck_assert_str_eq(n->key, "d");
	ck_assert(!n->is_section);
	n = lvm_config_next(config, n);
	ck_assert(lvm_config_number(config, n, "c", 9, &number) && number == 3);
	ck_assert_ptr_null(lvm_config_next(config, n));
	n = lvm_config_section(config, root(), "e");
	ck_assert_ptr_null(lvm_config_first(config, n));
	parse("");
	ck_assert_ptr_null(lvm_config_first(config, root()));
}
END_TEST

START_TEST(escapes)
{
	parse("a = \"q\\\"\\\\x\\n\" b = '\\'");
	ck_assert_str_eq(lvm_config_text(config, root(), "a"), "q\"\\x\\n");
	ck_assert_str_eq(lvm_config_text(config, root(), "b"), "\\");
}
END_TEST

START_TEST(ends)
{
	/* The text ends at a NUL, or at its length. */
	struct lvm_config *c;

	parse("a = 1");
	ck_assert_ok(lvm_config_parse("a = 1\0}{", 8, &c, &error), &error);
	lvm_config_free(c);
	ck_assert_ok(lvm_config_parse("a = 1}", 5, &c, &error), &error);
	lvm_config_free(c);
}
END_TEST

START_TEST(malformed)
{
	refused("a", "\"=\" or \"{\"");
	refused("a =", "a number");
	refused("a = b", "a number");
	refused("a = 1.5", "\"=\" or \"{\"");
	refused("a = 99999999999999999999", "a number");
	refused("a = 0000000000000000000000000000000000000001", "\"=\" or \"{\"");
	refused("a = \"x", "end of a string");
	refused("a = \"x\\\"", "end of a string");
	refused("a = [ 1, 2", "a number");
	refused("a = [ [ 1 ] ]", "a number");
	refused("= 1", "a key");
	refused("a {", "\"}\"");
	refused("a { b = 1", "\"}\"");
	refused("a = 1 }", "the end");
	refused("\n\na { b }", "line 3");
}
END_TEST

START_TEST(depth)
{
	char text[256] = "";

	for (unsigned i = 0; i < LVM_MAX_SECTIONS; i++)
		strcat(text, "a{");
	for (unsigned i = 0; i < LVM_MAX_SECTIONS; i++)
		strcat(text, "}");
	parse(text);
	memmove(text + 2, text, strlen(text) + 1);
	memcpy(text, "a{", 2);
	strcat(text, "}");
	refused(text, "not as deep");
}
END_TEST

START_TEST(limits)
{
	size_t n = LVM_MAX_VALUES + 1;
	char *text = malloc(n * 4 + 16);
	struct lvm_config *c;

	ck_assert_ptr_nonnull(text);
	memcpy(text, "a=[", 3);
	for (size_t i = 0; i < n; i++)
		memcpy(text + 3 + i * 2, "1,", 2);
	ck_assert_fails(
		lvm_config_parse(text, 3 + n * 2, &c, &error), E2BIG, &error, "keys or values");
	memcpy(text + 3 + (n - 1) * 2, "]", 1);
	ck_assert_ok(lvm_config_parse(text, 3 + (n - 1) * 2 + 1, &c, &error), &error);
	lvm_config_free(c);
	for (size_t i = 0; i < n; i++)
		memcpy(text + i * 4, "a=1 ", 4);
	ck_assert_fails(lvm_config_parse(text, n * 4, &c, &error), E2BIG, &error, "keys or values");
	memset(text, '{', n);
	ck_assert_fails(lvm_config_parse(text, n, &c, &error), EUCLEAN, &error, "a key");
	free(text);
}
END_TEST

Suite *lvm_config_suite(void)
{
	TCase *tc = tcase_create("config");

	tcase_add_checked_fixture(tc, NULL, teardown);
	tcase_add_test(tc, values);
	tcase_add_test(tc, kinds);
	tcase_add_test(tc, sections);
	tcase_add_test(tc, escapes);
	tcase_add_test(tc, ends);
	tcase_add_test(tc, malformed);
	tcase_add_test(tc, depth);
	tcase_add_test(tc, limits);
	return suite_of("lvm_config", tc);
}
