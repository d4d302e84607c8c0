/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Hints in the words of vdiskfs and of vdisk, and the names in them. */
#include <errno.h>
#include <string.h>

#include "util/err.h"
#include "image/format.h"
#include "open/registry.h"
#include "util/hint.h"
#include "util/nearest.h"
#include "util/shell.h"
#include "common/unit.h"

#define ALWAYS ", and \"allow = DIR\" in ~/.config/vdiskfs.conf always"

static const struct {
	enum hint hint;
	const char *arg, *vdiskfs, *vdisk;
} hints[] = {
	{HINT_TEXT, "do so", "do so", "do so"},
	{HINT_ALLOW, "/a", "-o allow=/a permits it, if you trust the image" ALWAYS,
		"--allow=/a permits it, if you trust the image" ALWAYS},
	{HINT_SHARE, NULL, "-o share reads it anyway; the data may be inconsistent",
		"-U reads it anyway; the data may be inconsistent"},
	{HINT_COW, NULL, "-o cow writes to a temporary overlay instead", NULL},
	{HINT_NOBACKING, NULL, "-o nobacking opens the image without it", NULL},
	{HINT_RAW, NULL, "-o format=raw shows the bytes of any file as a disk",
		"-F raw shows the bytes of any file as a disk"},
	{HINT_FORMAT, "qed", "it looks like qed: leave out -o format or use -o format=qed",
		"it looks like qed: leave out -F or use -F qed"},
};

static void assert_hint(const struct err *e, const struct hint_words *words, const char *expected)
{
	char line[HINT_LINE];
	const char *got = hint_line(e, words, line);

	ck_assert_msg(!got == !expected && (!got || strcmp(got, expected) == 0),
		"\"%s\" where \"%s\" was expected", got ? got : "", expected ? expected : "");
}

START_TEST(hints_of_each_program)
{
	struct hint_words words = hint_words_vdisk;
	struct err e = ERR_INIT;

	words.format = "-F ";
	err_set(&e, EIO, "broken");
	assert_hint(&e, &words, NULL);
	ck_assert_int_eq(err_hint_code(&e, hints[_i].hint, hints[_i].arg), -EIO);
	assert_hint(&e, &hint_words_vdiskfs, hints[_i].vdiskfs);
	assert_hint(&e, &words, hints[_i].vdisk);
}
END_TEST

/* An option of vdiskfs does not exist in vdisk, so its messages must not have it. */
START_TEST(vdisk_hints_have_no_vdiskfs_options)
{
	struct err e = ERR_INIT;
	char line[HINT_LINE];

	for (unsigned i = 0; i < HINT_COUNT; i++) {
		err_set(&e, EIO, "broken");
		err_hint_code(&e, i, "x");
		if (i == HINT_LOCK_READ || i == HINT_LOCK_WRITE || i == HINT_LOCK_SHARE) {
			ck_assert_ptr_null(hint_line(&e, &hint_words_vdiskfs, line));
			continue;
		}
		ck_assert_ptr_nonnull(hint_line(&e, &hint_words_vdiskfs, line));
		ck_assert_ptr_null(strstr(line, " -f "));
		ck_assert_ptr_null(strstr(line, "--allow"));
		if (hint_line(&e, &hint_words_vdisk, line))
			ck_assert_ptr_null(strstr(line, "-o "));
	}
}
END_TEST

START_TEST(several_hints)
{
	struct err e = ERR_INIT;

	err_set(&e, EACCES, "outside");
	err_hint_code(&e, HINT_ALLOW, "/a");
	err_hint_code(&e, HINT_NOBACKING, NULL);
	err_hint_code(&e, HINT_SEARCH, NULL);
	assert_hint(&e, &hint_words_vdiskfs,
		"-o allow=/a permits it, if you trust the image" ALWAYS "; "
		"-o search=DIR searches DIR for it; -o nobacking opens the image without it");
	assert_hint(&e, &hint_words_vdisk,
		"--allow=/a permits it, if you trust the image" ALWAYS "; "
		"--search=DIR searches DIR for it");
	/* A hint stores one argument. */
	err_hint(&e, "other");
	assert_hint(&e, &hint_words_vdisk, "other; --search=DIR searches DIR for it");
}
END_TEST

static const struct {
	const char *name, *word;
} names[] = {
	{"disk.img", "disk.img"},
	{"/a/b-c_d", "/a/b-c_d"},
	{"caf\xc3\xa9", "caf\xc3\xa9"},
	{"", "''"},
	{"a b", "'a b'"},
	{"~x", "'~x'"},
	{"it's", "'it'\\''s'"},
	{"$(x)", "'$(x)'"},
	{"a;b", "'a;b'"},
	{"a*", "'a*'"},
};

START_TEST(names_are_quoted_for_the_shell)
{
	ck_assert_str_eq(shell_word(names[_i].name).text, names[_i].word);
}
END_TEST

START_TEST(long_names_are_truncated)
{
	char name[4096];

	memset(name, '\'', sizeof name - 1);
	name[sizeof name - 1] = '\0';
	ck_assert_uint_lt(strlen(shell_word(name).text), sizeof(struct shell_word));
	memset(name, 'x', sizeof name - 1);
	ck_assert_uint_lt(strlen(shell_word(name).text), sizeof(struct shell_word));
}
END_TEST

static const struct {
	const char *word, *candidates[4], *best;
} near_words[] = {
	{"infoo", {"info", "convert"}, "info"},
	{"ifno", {"info", "list"}, "info"},
	{"LIST", {"info", "list"}, "list"},
	{"cluster_sise=64k", {"size=", "cluster_size=%s"}, "cluster_size"},
	{"amend", {"commit", "create", "check"}, NULL},
	{"x", {"y"}, NULL},
	{"", {"a"}, NULL},
	{"qcow3", {"qcow2", "qcow"}, "qcow2"},
};

START_TEST(nearest_word)
{
	struct nearest n = nearest_to(near_words[_i].word);

	for (size_t i = 0; near_words[_i].candidates[i]; i++)
		nearest_offer(&n, near_words[_i].candidates[i]);
	ck_assert_int_eq(!n.best, !near_words[_i].best);
	if (n.best)
		ck_assert(strlen(near_words[_i].best) == n.length &&
			  strncmp(n.best, near_words[_i].best, n.length) == 0);
}
END_TEST

START_TEST(nearest_format)
{
	ck_assert_str_eq(registry_nearest("qcow3"), "qcow2");
	ck_assert_str_eq(registry_nearest("VDI"), "vdi");
	ck_assert_str_eq(registry_nearest("vmkd"), "vmdk");
	ck_assert_str_eq(registry_nearest("hdd"), "parallels");
	ck_assert_ptr_null(registry_nearest("something"));
}
END_TEST

Suite *hint_suite(void)
{
	TCase *tc = tcase_create("hint");

	tcase_add_loop_test(tc, hints_of_each_program, 0, COUNT(hints));
	tcase_add_test(tc, vdisk_hints_have_no_vdiskfs_options);
	tcase_add_test(tc, several_hints);
	tcase_add_loop_test(tc, names_are_quoted_for_the_shell, 0, COUNT(names));
	tcase_add_test(tc, long_names_are_truncated);
	tcase_add_loop_test(tc, nearest_word, 0, COUNT(near_words));
	tcase_add_test(tc, nearest_format);
	return suite_of("hint", tc);
}
