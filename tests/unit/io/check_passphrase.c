/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Passphrases from files, pipes and devices. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "util/limits.h"
#include "util/err.h"
#include "io/passphrase.h"
#include "common/unit.h"

static void holds(const char *file, const void *bytes, size_t len)
{
	struct err e = ERR_INIT;
	struct passphrase *s = passphrase_read(file, &e);

	ck_assert_msg(s != NULL, "%s", e.text);
	ck_assert_uint_eq(s->len, len);
	ck_assert_mem_eq(s->bytes, bytes, len);
	ck_assert_ptr_null(s->next);
	passphrase_free(s);
}

START_TEST(files_are_read_unchanged)
{
	static const char odd[] = "\n a\0b\xff\r\n\n";

	write_file("odd", odd, sizeof odd);
	holds("odd", odd, sizeof odd);
	write_text("newline", "\n");
	holds("newline", "\n", 1);
}
END_TEST

START_TEST(lengths)
{
	char *bytes = malloc(SECRET_MAX + 1);
	struct err e = ERR_INIT;

	fill_pattern(bytes, SECRET_MAX + 1, 0);
	write_file("long", bytes, SECRET_MAX);
	holds("long", bytes, SECRET_MAX);
	write_file("longer", bytes, SECRET_MAX + 1);
	ck_assert_null_fails(passphrase_read("longer", &e), EFBIG, &e, "longer: more than");
	ck_assert_null_fails(passphrase_read("/dev/zero", &e), EFBIG, &e, "/dev/zero: more than");
	write_text("none", "");
	ck_assert_null_fails(passphrase_read("none", &e), EINVAL, &e, "none: the file is empty");
	ck_assert_null_fails(passphrase_read("/dev/null", &e), EINVAL, &e, "is empty");
	free(bytes);
}
END_TEST

START_TEST(unreadable_files)
{
	struct err e = ERR_INIT;

	ck_assert_null_fails(
		passphrase_read("missing", &e), ENOENT, &e, "passphrase file missing: ");
	ck_assert_null_fails(passphrase_read("", &e), ENOENT, &e, "passphrase file");
	ck_assert_null_fails(passphrase_read(".", &e), EISDIR, &e, "passphrase file .: ");
}
END_TEST

/* Data that arrives in two writes, by name and on standard input. */
START_TEST(pipes)
{
	char name[32];
	int fd[2];

	for (int i = 0; i < 2; i++) {
		ck_assert_int_eq(pipe(fd), 0);
		ck_assert_int_eq(write(fd[1], "one ", 4) + write(fd[1], "two", 3), 7);
		close(fd[1]);
		snprintf(name, sizeof name, "/dev/fd/%d", fd[0]);
		if (i == 0)
			ck_assert_int_eq(dup2(fd[0], STDIN_FILENO), STDIN_FILENO);
		holds(i == 0 ? "-" : name, "one two", 7);
		close(fd[0]);
	}
	ck_assert_int_ge(fcntl(STDIN_FILENO, F_GETFD), 0);
}
END_TEST

Suite *passphrase_suite(void)
{
	TCase *tc = tcase_create("passphrase");

	use_temp_dir(tc);
	tcase_add_test(tc, files_are_read_unchanged);
	tcase_add_test(tc, lengths);
	tcase_add_test(tc, unreadable_files);
	tcase_add_test(tc, pipes);
	return suite_of("passphrase", tc);
}
