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

static struct identity make_file(void)
{
	struct identity id;
	int fd;

	write_text(NAME, "one");
	fd = open(NAME, O_RDONLY);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(identity_of_fd(fd, &id), 0);
	close(fd);
	identity_await_tick(&id);
	return id;
}

START_TEST(same_file_is_removed)
{
	struct identity id = make_file();
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

/* Changes the contents, but neither size nor modification time. */
static void change_keeping_mtime(void)
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

static void replace_by_link(void)
{
	ck_assert_int_eq(rename(NAME, "elsewhere"), 0);
	ck_assert_int_eq(symlink("elsewhere", NAME), 0);
}

static void replace_by_directory(void)
{
	ck_assert_int_eq(unlink(NAME), 0);
	ck_assert_int_eq(mkdir(NAME, 0700), 0);
}

static void remove_file(void)
{
	ck_assert_int_eq(unlink(NAME), 0);
}

START_TEST(changed_file_is_kept)
{
	static void (*const ways[])(void) = {
		change, change_keeping_mtime, replace, replace_by_link, replace_by_directory};
	struct identity id = make_file();
	struct err e = ERR_INIT;
	struct stat before, after;

	ways[_i]();
	ck_assert_int_eq(lstat(NAME, &before), 0);
	ck_assert_int_eq(identity_unlink(&id, NAME, &e), -ESTALE);
	ck_assert_int_eq(lstat(NAME, &after), 0);
	ck_assert_uint_eq(before.st_ino, after.st_ino);
}
END_TEST

START_TEST(missing_file)
{
	struct identity id = make_file();
	struct err e = ERR_INIT;

	remove_file();
	ck_assert_int_eq(identity_unlink(&id, NAME, &e), -ESTALE);
}
END_TEST

Suite *identity_suite(void)
{
	TCase *tc = tcase_create("identity");

	use_temp_dir(tc);
	tcase_add_test(tc, same_file_is_removed);
	tcase_add_loop_test(tc, changed_file_is_kept, 0, 5);
	tcase_add_test(tc, missing_file);
	return suite_of("identity", tc);
}
