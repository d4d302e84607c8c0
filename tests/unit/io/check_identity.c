/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "util/err.h"
#include "io/identity.h"
#include "common/unit.h"

#define NAME "file"

static struct identity made(void)
{
	struct identity id;
	int fd;

	write_text(NAME, "one");
	fd = open(NAME, O_RDONLY);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(identity_of_fd(fd, &id), 0);
	close(fd);
	identity_settle(&id);
	return id;
}

START_TEST(the_file_is_removed)
{
	struct identity id = made();
	struct err e = ERR_INIT;

	ck_assert_ok(identity_unlink(&id, NAME, &e), &e);
	ck_assert_int_lt(access(NAME, F_OK), 0);
}
END_TEST

static void change(void)
{
	int fd = open(NAME, O_WRONLY);

	ck_assert_int_eq(write(fd, "two", 3), 3);
	close(fd);
}

/* Same size, and the date of modification as it was. */
static void change_in_secret(void)
{
	struct timespec times[2];
	struct stat st;

	ck_assert_int_eq(stat(NAME, &st), 0);
	change();
	times[0] = st.st_atim;
	times[1] = st.st_mtim;
	ck_assert_int_eq(utimensat(AT_FDCWD, NAME, times, 0), 0);
}

static void replace(void)
{
	write_text("other", "one");
	ck_assert_int_eq(rename("other", NAME), 0);
}

static void put_link(void)
{
	ck_assert_int_eq(rename(NAME, "elsewhere"), 0);
	ck_assert_int_eq(symlink("elsewhere", NAME), 0);
}

static void put_directory(void)
{
	ck_assert_int_eq(unlink(NAME), 0);
	ck_assert_int_eq(mkdir(NAME, 0700), 0);
}

static void take_away(void)
{
	ck_assert_int_eq(unlink(NAME), 0);
}

START_TEST(another_one_is_not)
{
	static void (*const ways[])(void) = {
		change, change_in_secret, replace, put_link, put_directory};
	struct identity id = made();
	struct err e = ERR_INIT;
	struct stat before, after;

	ways[_i]();
	ck_assert_int_eq(lstat(NAME, &before), 0);
	ck_assert_int_eq(identity_unlink(&id, NAME, &e), -ESTALE);
	ck_assert_int_eq(lstat(NAME, &after), 0);
	ck_assert_uint_eq(before.st_ino, after.st_ino);
}
END_TEST

START_TEST(none_at_all)
{
	struct identity id = made();
	struct err e = ERR_INIT;

	take_away();
	ck_assert_int_eq(identity_unlink(&id, NAME, &e), -ESTALE);
}
END_TEST

Suite *identity_suite(void)
{
	TCase *tc = tcase_create("identity");

	use_temp_dir(tc);
	tcase_add_test(tc, the_file_is_removed);
	tcase_add_loop_test(tc, another_one_is_not, 0, 5);
	tcase_add_test(tc, none_at_all);
	return suite_of("identity", tc);
}
