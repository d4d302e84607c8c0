/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* check_lock.c - locks while another process holds those of QEMU. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "util/err.h"
#include "io/io.h"
#include "io/lock.h"
#include "common/unit.h"

/* The bytes that QEMU 7.2 locks on an image it reads, and on one that a guest writes. */
static const int reader[] = {100, 201, 203, 0};
static const int writer[] = {100, 101, 103, 201, 203, 0};

static int lock_byte(int fd, int cmd, short type, int byte)
{
	struct flock lock = {.l_type = type, .l_whence = SEEK_SET, .l_start = byte, .l_len = 1};

	return fcntl(fd, cmd, &lock);
}

struct holder {
	pid_t pid;
	int end; /* closing it ends the process */
};

/* The child process: takes the locks, reports that, and waits for EOF. */
static void hold_locks(const int *bytes, int cmd, short type, int in, int out)
{
	int fd = open("image", O_RDWR | O_CLOEXEC);
	char c = 0;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	prctl(PR_SET_NAME, "the-holder");
	for (; *bytes; bytes++)
		if (lock_byte(fd, cmd, type, *bytes) < 0)
			_exit(1);
	if (write(out, &c, 1) != 1 || read(in, &c, 1) != 0)
		_exit(1);
	_exit(0);
}

static struct holder start_holder(const int *bytes, int cmd, short type)
{
	struct holder h;
	int to[2], from[2];
	char c;

	ck_assert_int_eq(pipe2(to, O_CLOEXEC), 0);
	ck_assert_int_eq(pipe2(from, O_CLOEXEC), 0);
	h.pid = fork();
	ck_assert_int_ge(h.pid, 0);
	if (h.pid == 0) {
		close(to[1]);
		hold_locks(bytes, cmd, type, to[0], from[1]);
	}
	close(to[0]);
	close(from[1]);
	ck_assert_int_eq(read(from[0], &c, 1), 1);
	close(from[0]);
	h.end = to[1];
	return h;
}

static void end_holder(struct holder h)
{
	int status;

	close(h.end);
	ck_assert_int_eq(waitpid(h.pid, &status, 0), h.pid);
	ck_assert_int_eq(status, 0);
}

static struct io *open_image(void)
{
	struct err e = ERR_INIT;
	struct io *io;

	if (access("image", F_OK) < 0)
		write_text("image", "some bytes");
	io = io_open("image", &e);
	ck_assert_ptr_nonnull(io);
	return io;
}

/* Asserts that the lock fails and that the message names the holder. */
static void refused(bool share, struct holder h, const char *part)
{
	struct err e = ERR_INIT;
	struct io *io = open_image();
	char name[64];

	ck_assert_fails(lock_for_reading(io, share, &e), EBUSY, &e, part);
	snprintf(name, sizeof name, "the-holder (pid %d)", (int)h.pid);
	ck_assert_msg(strstr(e.text, name) != NULL, "\"%s\" does not name %s", e.text, name);
	ck_assert_int_eq(strstr(hint_of(&e), "-o share") != NULL, !share);
	io_unref(io);
}

static void granted(bool share)
{
	struct err e = ERR_INIT;
	struct io *io = open_image();

	ck_assert_ok(lock_for_reading(io, share, &e), &e);
	io_unref(io);
}

START_TEST(no_other_process)
{
	granted(false);
	granted(true);
}
END_TEST

START_TEST(with_a_writer)
{
	struct holder h;

	io_unref(open_image());
	h = start_holder(writer, F_OFD_SETLK, F_RDLCK);
	refused(false, h, "image: in use for writing by ");
	granted(true);
	end_holder(h);
	granted(false);
}
END_TEST

START_TEST(with_a_resizer)
{
	static const int resizes[] = {103, 0};
	struct holder h;

	io_unref(open_image());
	h = start_holder(resizes, F_OFD_SETLK, F_RDLCK);
	refused(false, h, "in use for writing");
	granted(true);
	end_holder(h);
}
END_TEST

START_TEST(with_a_reader)
{
	struct holder h;

	io_unref(open_image());
	h = start_holder(reader, F_OFD_SETLK, F_RDLCK);
	granted(false);
	granted(true);
	end_holder(h);
}
END_TEST

/* A lock on byte 200 forbids consistent reads, even with -o share. */
START_TEST(with_reads_forbidden)
{
	static const int forbids[] = {200, 0};
	struct err e = ERR_INIT;
	struct holder h;
	struct io *io = open_image();

	h = start_holder(forbids, F_OFD_SETLK, F_RDLCK);
	ck_assert_fails(lock_for_reading(io, false, &e), EBUSY, &e, "which forbids reading");
	ck_assert_fails(lock_for_reading(io, true, &e), EBUSY, &e, "which forbids reading");
	ck_assert_str_eq(hint_of(&e), "");
	end_holder(h);
	io_unref(io);
}
END_TEST

/* A POSIX write lock, which lockf takes, and an OFD one; QEMU takes OFD read locks. */
START_TEST(with_a_write_lock)
{
	static const int bytes[] = {100, 201, 0};
	struct err e = ERR_INIT;
	struct holder h;
	struct io *io = open_image();

	h = start_holder(bytes, F_SETLK, F_WRLCK);
	ck_assert_fails(lock_for_reading(io, false, &e), EBUSY, &e, "in use");
	end_holder(h);
	h = start_holder(bytes, F_OFD_SETLK, F_WRLCK);
	ck_assert_fails(lock_for_reading(io, false, &e), EBUSY, &e, "the-holder");
	end_holder(h);
	io_unref(io);
}
END_TEST

/* Bytes that QEMU does not use do not conflict. */
START_TEST(with_unused_bytes_locked)
{
	static const int bytes[] = {1, 99, 102, 104, 202, 204, 300, 0};
	struct holder h;

	io_unref(open_image());
	h = start_holder(bytes, F_OFD_SETLK, F_RDLCK);
	granted(false);
	end_holder(h);
}
END_TEST

/* Returns whether another process could lock all of the bytes for writing. */
static int is_free(const int *bytes)
{
	int fd = open("image", O_RDWR | O_CLOEXEC), free = 1;

	for (; *bytes; bytes++) {
		struct flock lock = {
			.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = *bytes, .l_len = 1};

		ck_assert_int_eq(fcntl(fd, F_OFD_GETLK, &lock), 0);
		free &= lock.l_type == F_UNLCK;
	}
	close(fd);
	return free;
}

START_TEST(locks_visible_to_writers)
{
	static const int forbidden[] = {201, 0}, resize[] = {203, 0}, use[] = {100, 0};
	static const int never[] = {101, 102, 103, 104, 200, 202, 204, 0};
	struct err e = ERR_INIT;
	struct io *io = open_image();

	ck_assert_ok(lock_for_reading(io, false, &e), &e);
	ck_assert(!is_free(forbidden) && !is_free(resize) && !is_free(use));
	ck_assert(is_free(never));
	io_unref(io);
	ck_assert(is_free(forbidden) && is_free(resize) && is_free(use));
	io = open_image();
	ck_assert_ok(lock_for_reading(io, true, &e), &e);
	ck_assert(is_free(forbidden) && is_free(resize) && !is_free(use));
	io_unref(io);
}
END_TEST

/* OFD locks belong to the open file: opening and closing the same file again does not release
 * them. */
START_TEST(locks_last_until_close)
{
	static const int forbidden[] = {201, 0};
	struct err e = ERR_INIT;
	struct io *io = open_image();

	ck_assert_ok(lock_for_reading(io, false, &e), &e);
	granted(false);
	ck_assert(!is_free(forbidden));
	io_unref(io);
}
END_TEST

START_TEST(memory_needs_no_lock)
{
	struct err e = ERR_INIT;
	struct io *io = io_from_memory("x", 1, "mem", &e);

	ck_assert_ok(lock_for_reading(io, false, &e), &e);
	io_unref(io);
}
END_TEST

Suite *lock_suite(void)
{
	TCase *tc = tcase_create("lock");

	use_temp_dir(tc);
	tcase_add_test(tc, no_other_process);
	tcase_add_test(tc, with_a_writer);
	tcase_add_test(tc, with_a_resizer);
	tcase_add_test(tc, with_a_reader);
	tcase_add_test(tc, with_reads_forbidden);
	tcase_add_test(tc, with_a_write_lock);
	tcase_add_test(tc, with_unused_bytes_locked);
	tcase_add_test(tc, locks_visible_to_writers);
	tcase_add_test(tc, locks_last_until_close);
	tcase_add_test(tc, memory_needs_no_lock);
	return suite_of("lock", tc);
}
