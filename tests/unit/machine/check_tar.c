/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "util/limits.h"
#include "build/tar.h"
#include "util/err.h"
#include "common/fault_io.h"
#include "io/io.h"
#include "machine/tar.h"
#include "common/unit.h"

/* An archive under test. */
struct tar_test {
	struct tar_build b;
	struct tar tar;
	struct io *io;
	struct err e;
};

static int reads(struct tar_test *w)
{
	io_unref(w->io);
	tar_free(&w->tar);
	w->e = (struct err)ERR_INIT;
	w->io = io_from_memory(w->b.data, w->b.len, "x.tar", &w->e);
	return tar_read(w->io, &w->tar, &w->e);
}

static void end(struct tar_test *w)
{
	tar_free(&w->tar);
	tar_build_free(&w->b);
	io_unref(w->io);
	w->io = NULL;
}

static void refuses(struct tar_test *w, int code, const char *part)
{
	ck_assert_fails(reads(w), code, &w->e, part);
	ck_assert_uint_eq(w->tar.n, 0);
	end(w);
}

static void has(const struct tar_test *w, const char *name, const char *text)
{
	const struct tar_member *m = tar_find(&w->tar, name);

	ck_assert_msg(m != NULL, "no member \"%s\"", name);
	ck_assert_uint_eq(m->len, strlen(text));
	ck_assert_mem_eq(w->b.data + m->pos, text, m->len);
}

START_TEST(positions_of_members)
{
	struct tar_test w = {0};

	tar_build_file(&w.b, "x.ovf", "descriptor");
	tar_build_add(&w.b, '5', "dir/", NULL, 0);
	tar_build_file(&w.b, "./dir//./disk.vmdk", "disk");
	tar_build_file(&w.b, "empty", "");
	tar_build_end(&w.b);
	ck_assert_ok(reads(&w), &w.e);
	ck_assert_uint_eq(w.tar.n, 3);
	ck_assert_str_eq(w.tar.members[0].name, "x.ovf");
	ck_assert_str_eq(w.tar.members[1].name, "dir/disk.vmdk");
	has(&w, "x.ovf", "descriptor");
	has(&w, "dir/disk.vmdk", "disk");
	has(&w, "empty", "");
	ck_assert_ptr_null(tar_find(&w.tar, "disk.vmdk"));
	ck_assert_ptr_null(tar_find(&w.tar, ""));
	end(&w);
}
END_TEST

START_TEST(missing_end_of_archive)
{
	struct tar_test w = {0};

	ck_assert_ok(reads(&w), &w.e);
	ck_assert_uint_eq(w.tar.n, 0);
	tar_build_file(&w.b, "a", "1");
	ck_assert_ok(reads(&w), &w.e);
	has(&w, "a", "1");
	w.b.len -= 511; /* the padding of the last member may be missing */
	ck_assert_ok(reads(&w), &w.e);
	has(&w, "a", "1");
	w.b.len -= 1;
	refuses(&w, EUCLEAN, "member \"a\" has 1 bytes");
}
END_TEST

START_TEST(data_after_the_end_is_ignored)
{
	struct tar_test w = {0};

	tar_build_file(&w.b, "a", "1");
	tar_build_end(&w.b);
	tar_build_file(&w.b, "b", "2");
	ck_assert_ok(reads(&w), &w.e);
	ck_assert_uint_eq(w.tar.n, 1);
	end(&w);
}
END_TEST

START_TEST(first_of_equal_names)
{
	struct tar_test w = {0};
	const struct tar_member *m;

	tar_build_file(&w.b, "b", "1");
	tar_build_file(&w.b, "a", "2");
	tar_build_file(&w.b, "./b", "3");
	tar_build_file(&w.b, "b", "4");
	ck_assert_ok(reads(&w), &w.e);
	has(&w, "b", "1");
	m = tar_find(&w.tar, "b");
	m = tar_again(&w.tar, m);
	ck_assert_uint_eq(w.b.data[m->pos], '3');
	m = tar_again(&w.tar, m);
	ck_assert_uint_eq(w.b.data[m->pos], '4');
	ck_assert_ptr_null(tar_again(&w.tar, m));
	ck_assert_ptr_null(tar_again(&w.tar, tar_find(&w.tar, "a")));
	end(&w);
}
END_TEST

/* Sizes. */

static const struct {
	const char *field;
	size_t len;
	int code;
} sizes[] = {
	{"00000000005", 12, 0},
	{"5 ", 2, 0},
	{"          5", 11, 0},
	{"          5 ", 12, 0},
	{"000000000005", 12, 0},
	{"\x80\0\0\0\0\0\0\0\0\0\0\5", 12, 0},
	{"", 0, EUCLEAN},   /* 0 bytes: the data is read as the next header */
	{"8", 1, EUCLEAN},  /* not an octal digit */
	{"5x", 2, EUCLEAN}, /* not an octal digit */
	{"-5", 2, EUCLEAN},
	{"777777777777", 12, EUCLEAN},                                     /* beyond the end */
	{"\x80\0\0\0\x7f\xff\xff\xff\xff\xff\xff\xff", 12, EUCLEAN},       /* beyond the end */
	{"\x80\0\0\0\xff\xff\xff\xff\xff\xff\xff\xff", 12, EUCLEAN},       /* more than 2^63 */
	{"\x80\0\0\1\0\0\0\0\0\0\0\5", 12, EUCLEAN},                       /* more than 2^64 */
	{"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xfb", 12, EUCLEAN}, /* -5 */
	{"\x81\0\0\0\0\0\0\0\0\0\0\5", 12, EUCLEAN},
};

START_TEST(spellings_of_size)
{
	struct tar_test w = {0};

	tar_build_file(&w.b, "a", "hello");
	memset(w.b.last + 124, 0, 12);
	memcpy(w.b.last + 124, sizes[_i].field, sizes[_i].len);
	tar_build_seal(&w.b);
	if (sizes[_i].code) {
		refuses(&w, sizes[_i].code, "header at ");
		return;
	}
	ck_assert_ok(reads(&w), &w.e);
	has(&w, "a", "hello");
	end(&w);
}
END_TEST

/* Sizes above 8 GiB are binary; here the archive is shorter than the member claims. */
START_TEST(large_binary_sizes)
{
	struct tar_test w = {0};

	tar_build_file(&w.b, "a", "hello");
	memcpy(w.b.last + 124, "\x80\0\0\0\0\0\0\2\x40\0\0\0", 12);
	tar_build_seal(&w.b);
	refuses(&w, EUCLEAN, "has 9663676416 bytes");
}
END_TEST

/* Names. */

START_TEST(prefix_field_of_posix_only)
{
	struct tar_test w = {0};

	tar_build_file(&w.b, "name", "1");
	memcpy(w.b.last + 345, "some/where", 10);
	tar_build_seal(&w.b);
	tar_build_file(&w.b, "old", "2");
	memcpy(w.b.last + 257, "ustar  ", 8);
	memcpy(w.b.last + 345, "14000000000", 11); /* GNU: the access time */
	tar_build_seal(&w.b);
	tar_build_file(&w.b, "older", "3");
	memset(w.b.last + 257, 0, 8);
	memcpy(w.b.last + 345, "junk", 4);
	tar_build_seal(&w.b);
	ck_assert_ok(reads(&w), &w.e);
	has(&w, "some/where/name", "1");
	has(&w, "old", "2");
	has(&w, "older", "3");
	end(&w);
}
END_TEST

static void fill_name(char *name, size_t len)
{
	memset(name, 'n', len);
	name[len] = '\0';
}

START_TEST(long_names)
{
	struct tar_test w = {0};
	char name[LIMIT_NAME + 2];

	fill_name(name, 100);
	tar_build_file(&w.b, name, "1");
	fill_name(name, 300);
	tar_build_add(&w.b, 'L', "././@LongLink", name, 301);
	tar_build_file(&w.b, "nnn", "2");
	fill_name(name, LIMIT_NAME);
	tar_build_pax(&w.b, 'x', "path", name);
	tar_build_file(&w.b, "nnn", "3");
	tar_build_file(&w.b, "nnn", "4");
	ck_assert_ok(reads(&w), &w.e);
	has(&w, name, "3");
	name[300] = '\0';
	has(&w, name, "2");
	name[100] = '\0';
	has(&w, name, "1");
	has(&w, "nnn", "4");
	end(&w);
	fill_name(name, LIMIT_NAME + 1);
	tar_build_pax(&w.b, 'x', "path", name);
	tar_build_file(&w.b, "nnn", "3");
	refuses(&w, ENAMETOOLONG, "more than 1023");
}
END_TEST

static const char *const outside[] = {"/etc/passwd", "../x", "a/../../x", "a/..", "..", "//x"};

START_TEST(names_outside_the_archive)
{
	struct tar_test w = {0};

	tar_build_file(&w.b, outside[_i], "1");
	refuses(&w, EACCES, "outside the archive");
	tar_build_pax(&w.b, 'x', "path", outside[_i]);
	tar_build_file(&w.b, "fine", "1");
	refuses(&w, EACCES, "outside the archive");
	tar_build_add(&w.b, '5', outside[_i], NULL, 0);
	refuses(&w, EACCES, "outside the archive");
}
END_TEST

START_TEST(normalized_names)
{
	static const char *const names[][2] = {
		{"a", "a"},
		{"./a", "a"},
		{"././a//b/./c/", "a/b/c"},
		{"...", "..."},
		{"..a/b..", "..a/b.."},
		{".", ""},
		{"./", ""},
		{"", ""},
		{".hidden/.x", ".hidden/.x"},
	};
	char name[64];

	for (size_t i = 0; i < COUNT(names); i++) {
		strcpy(name, names[i][0]);
		ck_assert_int_eq(tar_tidy(name), 0);
		ck_assert_str_eq(name, names[i][1]);
	}
	strcpy(name, "./a/../b");
	ck_assert_int_eq(tar_tidy(name), -EINVAL);
	ck_assert_str_eq(name, "./a/../b");
}
END_TEST

/* Records. */

START_TEST(pax_sizes)
{
	struct tar_test w = {0};

	tar_build_pax(&w.b, 'g', "size", "3");
	tar_build_pax(&w.b, 'x', "size", "5");
	tar_build_file(&w.b, "a", "hello world");
	tar_build_file(&w.b, "b", "again");
	tar_build_pax(&w.b, 'x', "size", "");
	tar_build_file(&w.b, "c", "again");
	tar_build_pax(&w.b, 'g', "size", "");
	tar_build_file(&w.b, "d", "again");
	ck_assert_ok(reads(&w), &w.e);
	has(&w, "a", "hello");
	has(&w, "b", "aga");
	has(&w, "c", "aga");
	has(&w, "d", "again");
	end(&w);
}
END_TEST

static const struct {
	const char *key, *value;
	int code;
	const char *part;
} records[] = {
	{"size", "-1", EINVAL, "no number"},
	{"size", "99999999999999999999", EINVAL, "no number"},
	{"size", "18446744073709551615", EUCLEAN, "has 18446744073709551615 bytes"},
	{"GNU.sparse.major", "1", ENOTSUP, "sparse"},
	{"GNU.sparse.name", "x", ENOTSUP, "sparse"},
	{"SCHILY.realsize", "1", ENOTSUP, "sparse"},
	{"mtime", "1.5", 0, NULL},
	{"comment", "a=b", 0, NULL},
};

START_TEST(pax_records)
{
	struct tar_test w = {0};

	tar_build_pax(&w.b, 'x', records[_i].key, records[_i].value);
	tar_build_file(&w.b, "a", "1");
	if (records[_i].code)
		refuses(&w, records[_i].code, records[_i].part);
	else
		ck_assert_ok(reads(&w), &w.e);
	end(&w);
}
END_TEST

static const char *const broken_records[] = {
	"9 path=a",
	"9 path=a\nx",
	"99 path=a\n",
	"0 path=a\n",
	" path=a\n",
	"path=a\n",
	"3 \n",
	"7 path\n",
	"18446744073709551625 path=a\n",
	"2 ",
	"2\n",
};

START_TEST(broken_pax_records)
{
	struct tar_test w = {0};

	tar_build_add(&w.b, 'x', "x", broken_records[_i], strlen(broken_records[_i]));
	tar_build_file(&w.b, "a", "1");
	refuses(&w, EINVAL, "a record");
}
END_TEST

START_TEST(pax_records_are_limited)
{
	struct tar_test w = {0};

	tar_build_add(&w.b, 'x', "x", NULL, TAR_MAX_RECORDS + 1);
	refuses(&w, EINVAL, "bytes of records");
}
END_TEST

START_TEST(name_with_nul)
{
	struct tar_test w = {0};

	tar_build_add(&w.b, 'x', "x", "11 path=a\0b\n", 11);
	tar_build_file(&w.b, "a", "1");
	refuses(&w, EINVAL, "a record");
	tar_build_add(&w.b, 'x', "x", "12 path=a\0b\n", 12);
	tar_build_file(&w.b, "a", "1");
	refuses(&w, EINVAL, "zero byte");
}
END_TEST

/* Other members. */

static const struct {
	char type;
	const char *part;
} kinds[] = {
	{'1', "is a link"},
	{'2', "is a symbolic link"},
	{'3', "is a character device"},
	{'4', "is a block device"},
	{'6', "is a FIFO"},
	{'S', "is a sparse member"},
	{'M', "another volume"},
	{'Z', "unknown type 0x5a"},
};

START_TEST(not_regular_files)
{
	struct tar_test w = {0};

	tar_build_file(&w.b, "a", "1");
	tar_build_add(&w.b, kinds[_i].type, "b", NULL, 0);
	refuses(&w, ENOTSUP, kinds[_i].part);
}
END_TEST

START_TEST(ignored_types)
{
	struct tar_test w = {0};

	tar_build_add(&w.b, 'V', "label", NULL, 0);
	tar_build_add(&w.b, '0', "old-dir/", NULL, 0);
	tar_build_add(&w.b, '\0', "a", "1", 1);
	tar_build_add(&w.b, '7', "b", "2", 1);
	tar_build_add(&w.b, '5', "room", NULL, 0);
	memcpy(w.b.last + 124, "00000077777", 11); /* no data follows the header */
	tar_build_seal(&w.b);
	tar_build_file(&w.b, "c", "3");
	ck_assert_ok(reads(&w), &w.e);
	ck_assert_uint_eq(w.tar.n, 3);
	has(&w, "a", "1");
	has(&w, "b", "2");
	has(&w, "c", "3");
	end(&w);
}
END_TEST

START_TEST(checksums)
{
	struct tar_test w = {0};
	unsigned sum = 0;

	tar_build_file(&w.b, "a", "1");
	w.b.last[0] = 'b';
	refuses(&w, EUCLEAN, "header at 0: its checksum is wrong");
	tar_build_file(&w.b, "\xe9\xe9", "1");
	memset(w.b.last + 148, ' ', 8);
	for (size_t i = 0; i < 512; i++)
		sum += (signed char)w.b.last[i];
	snprintf((char *)w.b.last + 148, 8, "%06o", sum);
	ck_assert_ok(reads(&w), &w.e);
	has(&w, "\xe9\xe9", "1");
	end(&w);
}
END_TEST

START_TEST(truncated_header)
{
	struct tar_test w = {0};

	tar_build_file(&w.b, "a", "1");
	tar_build_file(&w.b, "b", "");
	w.b.len -= 1;
	refuses(&w, EIO, "header at 1024");
}
END_TEST

START_TEST(too_many_members)
{
	struct tar_test w = {0};

	w.b.data = malloc((TAR_MAX_MEMBERS + 1) * 512);
	w.b.len = 0;
	tar_build_file(&w.b, "a", "");
	w.b.data = realloc(w.b.data, (TAR_MAX_MEMBERS + 1) * 512);
	for (size_t i = 1; i <= TAR_MAX_MEMBERS; i++)
		memcpy(w.b.data + 512 * i, w.b.data, 512);
	w.b.len = TAR_MAX_MEMBERS * 512;
	ck_assert_ok(reads(&w), &w.e);
	w.b.len += 512;
	refuses(&w, EINVAL, "more than 65536 members");
}
END_TEST

START_TEST(failing_reads)
{
	struct tar_test w = {0};
	struct io *io;

	tar_build_pax(&w.b, 'x', "path", "name");
	tar_build_add(&w.b, 'L', "././@LongLink", "name", 5);
	tar_build_file(&w.b, "b", "2");
	tar_build_end(&w.b);
	for (unsigned nth = 1;; nth++) {
		struct err e = ERR_INIT;
		int r, failed;

		io = fault_io_new(w.b.data, w.b.len);
		fault_io_arm(io, nth, nth % 2 ? FAULT_EIO : FAULT_SHORT);
		r = tar_read(io, &w.tar, &e);
		failed = fault_io_failed(io);
		tar_free(&w.tar);
		io_unref(io);
		if (!failed)
			break;
		ck_assert_int_eq(r, -EIO);
	}
	tar_build_free(&w.b);
}
END_TEST

Suite *tar_suite(void)
{
	TCase *tc = tcase_create("tar");

	tcase_add_test(tc, positions_of_members);
	tcase_add_test(tc, missing_end_of_archive);
	tcase_add_test(tc, data_after_the_end_is_ignored);
	tcase_add_test(tc, first_of_equal_names);
	tcase_add_loop_test(tc, spellings_of_size, 0, COUNT(sizes));
	tcase_add_test(tc, large_binary_sizes);
	tcase_add_test(tc, prefix_field_of_posix_only);
	tcase_add_test(tc, long_names);
	tcase_add_loop_test(tc, names_outside_the_archive, 0, COUNT(outside));
	tcase_add_test(tc, normalized_names);
	tcase_add_test(tc, pax_sizes);
	tcase_add_loop_test(tc, pax_records, 0, COUNT(records));
	tcase_add_loop_test(tc, broken_pax_records, 0, COUNT(broken_records));
	tcase_add_test(tc, pax_records_are_limited);
	tcase_add_test(tc, name_with_nul);
	tcase_add_loop_test(tc, not_regular_files, 0, COUNT(kinds));
	tcase_add_test(tc, ignored_types);
	tcase_add_test(tc, checksums);
	tcase_add_test(tc, truncated_header);
	tcase_add_test(tc, too_many_members);
	tcase_add_test(tc, failing_reads);
	return suite_of("tar", tc);
}
