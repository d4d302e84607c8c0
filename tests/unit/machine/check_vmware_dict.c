/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* check_vmware_dict.c - VMware's files of KEY = "VALUE" lines. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "util/limits.h"
#include "machine/vmware-dict.h"
#include "util/err.h"
#include "io/io.h"
#include "common/unit.h"

static int read_bytes(const char *text, size_t len, struct vmware_dict *d, struct err *e)
{
	struct io *io = io_from_memory(text, len, "x.vmx", e);
	int r = vmware_dict_read(io, d, e);

	io_unref(io);
	return r;
}

static struct vmware_dict parse(const char *text)
{
	struct err e = ERR_INIT;
	struct vmware_dict d;

	ck_assert_ok(read_bytes(text, strlen(text), &d, &e), &e);
	return d;
}

static const struct {
	const char *text, *value; /* value: that of "key" */
} lines[] = {
	{"key = \"value\"\n", "value"},
	{"key=\"value\"", "value"},
	{"\t key\t=  \"value\"  \r\n", "value"},
	{"KEY = \"value\"\n", "value"},
	{"key = value\n", "value"},
	{"key = \"a = b\"\n", "a = b"},
	{"key = \"a|22b|7Cc|7cd\"\n", "a\"b|c|d"},
	{"key = \"a|0Ab\"\n", "a\nb"},
	{"key = \"a|00b|2|zz|\"\n", "a|00b|2|zz|"},
	{"key = \"open end\n", "open end"},
	{"key = \"\"\n", ""},
	{"key = \n", ""},
	{"key\n", ""},
	{"# key = \"remark\"\n", ""},
	{"\xef\xbb\xbfkey = \"value\"\n", "value"},
	{"key = \"one\"\nother = \"x\"\nkey = \"two\"\n", "two"},
	{".encoding = \"windows-1252\"\nkey = \"caf\xe9\"\n", "caf\xc3\xa9"},
	{".encoding = \"UTF-8\"\nkey = \"caf\xc3\xa9\"\n", "caf\xc3\xa9"},
	{".encoding = \"martian\"\nkey = \"caf\xe9\"\n", "caf\xe9"},
	{"", ""},
};

START_TEST(lines_are_parsed)
{
	struct vmware_dict d = parse(lines[_i].text);

	ck_assert_str_eq(vmware_dict_get(&d, "key"), lines[_i].value);
	vmware_dict_free(&d);
}
END_TEST

START_TEST(formatted_keys)
{
	struct vmware_dict d = parse("a0.b = \"x\"\na10.b = \"y\"\n");

	ck_assert_str_eq(vmware_dict_get(&d, "a%u.b", 10), "y");
	ck_assert_str_eq(vmware_dict_get(&d, "a%u.b", 1), "");
	ck_assert_uint_eq(d.n, 2);
	vmware_dict_free(&d);
}
END_TEST

START_TEST(nul_in_text)
{
	struct err e = ERR_INIT;
	struct vmware_dict d;

	ck_assert_fails(read_bytes("a = \"b\"\0\n", 9, &d, &e), EINVAL, &e, "NUL");
}
END_TEST

START_TEST(too_many_lines_are_refused)
{
	struct err e = ERR_INIT;
	size_t n = DICT_MAX_ENTRIES + 1;
	char *text = malloc(4 * n + 1);
	struct vmware_dict d;

	for (size_t i = 0; i < n; i++)
		memcpy(text + 4 * i, "a=b\n", 5);
	ck_assert_fails(read_bytes(text, 4 * n, &d, &e), EFBIG, &e, "more than 65536 lines");
	ck_assert_ok(read_bytes(text, 4 * (n - 1), &d, &e), &e);
	ck_assert_uint_eq(d.n, 1);
	vmware_dict_free(&d);
	free(text);
}
END_TEST

START_TEST(long_files_are_refused)
{
	struct err e = ERR_INIT;
	char *text = calloc(1, DICT_MAX_BYTES + 1);
	struct vmware_dict d;

	ck_assert_fails(read_bytes(text, DICT_MAX_BYTES + 1, &d, &e), EINVAL, &e, "x.vmx");
	free(text);
}
END_TEST

Suite *vmware_dict_suite(void)
{
	TCase *tc = tcase_create("vmware_dict");

	tcase_add_loop_test(tc, lines_are_parsed, 0, COUNT(lines));
	tcase_add_test(tc, formatted_keys);
	tcase_add_test(tc, nul_in_text);
	tcase_add_test(tc, too_many_lines_are_refused);
	tcase_add_test(tc, long_files_are_refused);
	return suite_of("dict", tc);
}
