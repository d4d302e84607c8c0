/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "util/err.h"
#include "common/fault_io.h"
#include "io/io.h"
#include "common/unit.h"

START_TEST(memory_is_read)
{
	unsigned char data[1000], buf[1000];
	struct err e = ERR_INIT;
	struct io *io;

	fill_pattern(data, sizeof data, 1);
	io = io_from_memory(data, sizeof data, "mem", &e);
	ck_assert_ptr_nonnull(io);
	ck_assert_uint_eq(io->size, sizeof data);
	ck_assert_str_eq(io->name, "mem");
	ck_assert_int_eq(io->fd, -1);
	ck_assert_ok(io_read(io, buf, sizeof buf, 0, &e), &e);
	ck_assert_mem_eq(buf, data, sizeof buf);
	ck_assert_ok(io_read(io, buf, 10, 990, &e), &e);
	ck_assert_mem_eq(buf, data + 990, 10);
	ck_assert_ok(io_read(io, buf, 0, 1000, &e), &e);
	ck_assert_fails(io_read(io, buf, 11, 990, &e), EIO, &e, "ends at 1000");
	ck_assert_fails(io_read(io, buf, 1, UINT64_MAX, &e), EIO, &e, "mem");
	ck_assert(!io_find_altered(io));
	io_unref(io);
}
END_TEST

START_TEST(padding_is_zeroes)
{
	unsigned char data[100], buf[64], zeroes[64] = {0};
	struct err e = ERR_INIT;
	struct io *io;

	fill_pattern(data, sizeof data, 2);
	io = io_from_memory(data, sizeof data, "mem", &e);
	ck_assert_ptr_nonnull(io);
	memset(buf, 0xee, sizeof buf);
	ck_assert_ok(io_read_padded(io, buf, 64, 90, &e), &e);
	ck_assert_mem_eq(buf, data + 90, 10);
	ck_assert_mem_eq(buf + 10, zeroes, 54);
	memset(buf, 0xee, sizeof buf);
	ck_assert_ok(io_read_padded(io, buf, 64, 100, &e), &e);
	ck_assert_mem_eq(buf, zeroes, 64);
	memset(buf, 0xee, sizeof buf);
	ck_assert_ok(io_read_padded(io, buf, 64, UINT64_MAX, &e), &e);
	ck_assert_mem_eq(buf, zeroes, 64);
	ck_assert_ok(io_read_padded(io, buf, 64, 36, &e), &e);
	ck_assert_mem_eq(buf, data + 36, 64);
	io_unref(io);
}
END_TEST

START_TEST(reference_counting)
{
	unsigned char data[10] = {1}, c;
	struct err e = ERR_INIT;
	struct io *io = io_from_memory(data, sizeof data, "mem", &e);

	ck_assert_ptr_eq(io_ref(io), io);
	io_unref(io);
	ck_assert_ok(io_read(io, &c, 1, 0, &e), &e);
	io_unref(io);
	io_unref(NULL);
}
END_TEST

START_TEST(host_file)
{
	unsigned char data[5000], buf[5000];
	struct err e = ERR_INIT;
	struct stat st;
	struct io *io;

	fill_pattern(data, sizeof data, 3);
	write_file("f", data, sizeof data);
	ck_assert_int_eq(stat("f", &st), 0);
	io = io_open("f", &e);
	ck_assert_msg(io != NULL, "%s", e.text);
	ck_assert_str_eq(io->name, "f");
	ck_assert_uint_eq(io->size, 5000);
	ck_assert_uint_eq(io->ino, st.st_ino);
	ck_assert_uint_eq(io->dev, st.st_dev);
	ck_assert_int_eq(io->mtime.tv_sec, st.st_mtim.tv_sec);
	ck_assert_uint_eq(io->stored, st.st_blocks * 512);
	ck_assert(!io->is_block);
	ck_assert_ok(io_read(io, buf, sizeof buf, 0, &e), &e);
	ck_assert_mem_eq(buf, data, sizeof buf);
	ck_assert_fails(io_read(io, buf, 2, 4999, &e), EIO, &e, "f: the file ends at 5000");
	io_unref(io);
}
END_TEST

START_TEST(special_files_are_refused)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = "socket"};
	struct err e = ERR_INIT;
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	ck_assert_int_eq(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
	ck_assert_int_eq(mkfifo("fifo", 0600), 0);
	ck_assert_int_eq(mkdir("dir", 0700), 0);
	ck_assert_null_fails(io_open("fifo", &e), EINVAL, &e, "fifo: a FIFO");
	ck_assert_null_fails(io_open("dir", &e), EINVAL, &e, "dir: a directory");
	ck_assert_null_fails(io_open("/dev/null", &e), EINVAL, &e, "a character device");
	ck_assert_null_fails(io_open("socket", &e), ENXIO, &e, "socket: ");
	ck_assert_null_fails(io_open("nothing", &e), ENOENT, &e, "nothing: No such file");
	ck_assert_null_fails(io_from_fd(fd, "fd", &e), EINVAL, &e, "fd: a socket");
	ck_assert_int_eq(fcntl(fd, F_GETFD), -1); /* the descriptor was closed */
}
END_TEST

/* Data appended to a file is ignored; a read beyond a new end is an error, not zeroes. */
START_TEST(growing_and_shrinking)
{
	unsigned char data[8192], buf[8192];
	struct err e = ERR_INIT;
	struct io *io;

	fill_pattern(data, sizeof data, 4);
	write_file("f", data, sizeof data);
	io = io_open("f", &e);
	ck_assert_int_eq(truncate("f", 100000), 0);
	ck_assert_uint_eq(io->size, 8192);
	ck_assert(!io_find_altered(io));
	ck_assert_int_eq(truncate("f", 5000), 0);
	ck_assert(io_find_altered(io));
	ck_assert_ok(io_read(io, buf, 5000, 0, &e), &e);
	ck_assert_mem_eq(buf, data, 5000);
	ck_assert_fails(io_read(io, buf, 5001, 0, &e), EIO, &e,
		"f: another program has changed its length from 8192 to 5000 bytes");
	ck_assert_fails(io_read_padded(io, buf, 4096, 6000, &e), EIO, &e, "f: another");
	io_unref(io);
}
END_TEST

/* A file of 1 MiB with data in [256K, 512K) and holes elsewhere. */
static struct io *open_sparse(const char *name)
{
	struct err e = ERR_INIT;
	unsigned char *data = malloc(256 << 10);
	int fd = open(name, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	struct io *io;

	fill_pattern(data, 256 << 10, 5);
	ck_assert_int_eq(pwrite(fd, data, 256 << 10, 256 << 10), 256 << 10);
	ck_assert_int_eq(ftruncate(fd, 1 << 20), 0);
	io = io_from_fd(fd, name, &e);
	ck_assert_ptr_nonnull(io);
	free(data);
	return io;
}

START_TEST(holes_of_a_host_file)
{
	struct io *io = open_sparse("f");

	ck_assert(io->sparse);
	ck_assert_uint_eq(io_seek(io, 0, SEEK_DATA), 256 << 10);
	ck_assert_uint_eq(io_seek(io, 0, SEEK_HOLE), 0);
	ck_assert_uint_eq(io_seek(io, 300000, SEEK_DATA), 300000);
	ck_assert_uint_eq(io_seek(io, 300000, SEEK_HOLE), 512 << 10);
	ck_assert_uint_eq(io_seek(io, 512 << 10, SEEK_DATA), 1 << 20);
	ck_assert_uint_eq(io_seek(io, 512 << 10, SEEK_HOLE), 512 << 10);
	ck_assert_uint_eq(io_seek(io, 1 << 20, SEEK_DATA), 1 << 20);
	ck_assert_uint_eq(io_seek(io, UINT64_MAX, SEEK_HOLE), 1 << 20);
	io_unref(io);
}
END_TEST

/* A truncated range is data: a copy that skips holes must run into the error. */
START_TEST(truncated_range_is_data)
{
	struct io *io = open_sparse("f");

	ck_assert_int_eq(truncate("f", 300000), 0);
	ck_assert_uint_eq(io_seek(io, 0, SEEK_DATA), 256 << 10);
	ck_assert_uint_eq(io_seek(io, 300000, SEEK_DATA), 300000);
	ck_assert_uint_eq(io_seek(io, 300000, SEEK_HOLE), 1 << 20);
	ck_assert_uint_eq(io_seek(io, 900000, SEEK_DATA), 900000);
	ck_assert_int_eq(truncate("f", 100000), 0);
	ck_assert_uint_eq(io_seek(io, 0, SEEK_DATA), 100000);
	io_unref(io);
}
END_TEST

/* The result of SEEK_HOLE is kept: within the range of data the host is not asked again. */
START_TEST(range_of_data_is_cached)
{
	struct io *io = open_sparse("f");
	int fd = open("f", O_WRONLY | O_CLOEXEC);

	ck_assert_uint_eq(io_seek(io, 300000, SEEK_HOLE), 512 << 10);
	ck_assert_int_eq(
		fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 256 << 10, 256 << 10), 0);
	ck_assert_uint_eq(io_seek(io, 400000, SEEK_DATA), 400000);
	ck_assert_uint_eq(io_seek(io, 400000, SEEK_HOLE), 512 << 10);
	ck_assert_uint_eq(io_seek(io, 299999, SEEK_DATA), 1 << 20);
	ck_assert_uint_eq(io_seek(io, 512 << 10, SEEK_HOLE), 512 << 10);
	ck_assert_uint_eq(io_seek(io, 400000, SEEK_DATA), 400000);
	close(fd);
	io_unref(io);
}
END_TEST

START_TEST(growth_is_ignored)
{
	struct io *io = open_sparse("f");
	int fd = open("f", O_WRONLY | O_CLOEXEC);

	ck_assert_int_eq(pwrite(fd, "x", 1, 2 << 20), 1);
	ck_assert_uint_eq(io_seek(io, 600000, SEEK_DATA), 1 << 20);
	close(fd);
	io_unref(io);
}
END_TEST

START_TEST(no_holes_without_seek)
{
	unsigned char data[100] = {0};
	struct err e = ERR_INIT;
	struct io *io = io_from_memory(data, sizeof data, "mem", &e);

	io->sparse = true;
	ck_assert_uint_eq(io_seek(io, 7, SEEK_DATA), 7);
	ck_assert_uint_eq(io_seek(io, 7, SEEK_HOLE), 100);
	io_unref(io);
}
END_TEST

START_TEST(faults_when_armed)
{
	unsigned char data[100] = {0}, buf[100];
	struct err e = ERR_INIT;
	struct io *io = fault_io_new(data, sizeof data);

	fill_pattern(data, sizeof data, 6);
	fault_io_arm(io, 2, FAULT_EIO);
	ck_assert_ok(io_read(io, buf, 100, 0, &e), &e);
	ck_assert_fails(io_read(io, buf, 100, 0, &e), EIO, &e, "faulty: reading 100 bytes at 0");
	ck_assert(fault_io_failed(io));
	ck_assert_ok(io_read(io, buf, 100, 0, &e), &e);
	fault_io_arm(io, 1, FAULT_SHORT);
	ck_assert_fails(io_read(io, buf, 100, 0, &e), EIO, &e, "ends at 50");
	ck_assert_ok(io_read(io, buf, 100, 0, &e), &e);
	ck_assert_mem_eq(buf, data, 100);
	io_unref(io);
}
END_TEST

START_TEST(slices_of_a_file)
{
	unsigned char data[5000], buf[1000];
	struct err e = ERR_INIT;
	struct io *io, *a, *b;

	fill_pattern(data, sizeof data, 7);
	write_file("x.ova", data, sizeof data);
	io = io_open("x.ova", &e);
	a = io_slice(io, 512, 1000, "dir/a", &e);
	b = io_slice(io, 2048, 2952, "b", &e);
	ck_assert_uint_eq(io->refs, 3);
	ck_assert_str_eq(a->name, "x.ova:dir/a");
	ck_assert_str_eq(a->member, "dir/a");
	ck_assert_int_eq(a->fd, io->fd);
	ck_assert_uint_eq(a->start, 512);
	ck_assert_uint_eq(a->size, 1000);
	ck_assert(!io_is_same(a, b) && !io_is_same(a, io) && io_is_same(a, a));
	io_unref(io);
	ck_assert_ok(io_read(a, buf, 1000, 0, &e), &e);
	ck_assert_mem_eq(buf, data + 512, 1000);
	ck_assert_ok(io_read(b, buf, 10, 2942, &e), &e);
	ck_assert_mem_eq(buf, data + 4990, 10);
	ck_assert_fails(io_read(a, buf, 2, 999, &e), EIO, &e, "x.ova:dir/a: the file ends at 1000");
	ck_assert(!io_find_altered(b));
	ck_assert_int_eq(truncate("x.ova", 4999), 0);
	ck_assert(io_find_altered(b) && io_find_altered(a) == io_find_altered(b));
	ck_assert_ok(io_read(a, buf, 1000, 0, &e), &e);
	ck_assert_fails(io_read(b, buf, 10, 2942, &e), EIO, &e, "x.ova: another program");
	ck_assert_int_eq(truncate("x.ova", 600), 0);
	ck_assert_fails(io_read(a, buf, 1000, 0, &e), EIO, &e, "x.ova: another program");
	io_unref(a);
	io_unref(b);
}
END_TEST

/* Holes of a slice are relative to its start and end with it. */
START_TEST(holes_of_a_slice)
{
	struct err e = ERR_INIT;
	struct io *io = open_sparse("f");
	struct io *m = io_slice(io, 128 << 10, 256 << 10, "m", &e);

	ck_assert(m->sparse);
	ck_assert_uint_eq(io_seek(m, 0, SEEK_DATA), 128 << 10);
	ck_assert_uint_eq(io_seek(m, 0, SEEK_HOLE), 0);
	ck_assert_uint_eq(io_seek(m, 150000, SEEK_HOLE), 256 << 10);
	io_unref(m);
	m = io_slice(io, 384 << 10, 512 << 10, "m", &e);
	ck_assert_uint_eq(io_seek(m, 0, SEEK_HOLE), 128 << 10);
	ck_assert_uint_eq(io_seek(m, 128 << 10, SEEK_DATA), 512 << 10);
	ck_assert_int_eq(truncate("f", 600 << 10), 0);
	ck_assert_uint_eq(io_seek(m, 128 << 10, SEEK_DATA), 216 << 10);
	ck_assert_uint_eq(io_seek(m, 400 << 10, SEEK_DATA), 400 << 10);
	io_unref(m);
	io_unref(io);
}
END_TEST

Suite *io_suite(void)
{
	TCase *tc = tcase_create("io");

	use_temp_dir(tc);
	tcase_add_test(tc, memory_is_read);
	tcase_add_test(tc, padding_is_zeroes);
	tcase_add_test(tc, reference_counting);
	tcase_add_test(tc, host_file);
	tcase_add_test(tc, special_files_are_refused);
	tcase_add_test(tc, growing_and_shrinking);
	tcase_add_test(tc, holes_of_a_host_file);
	tcase_add_test(tc, truncated_range_is_data);
	tcase_add_test(tc, range_of_data_is_cached);
	tcase_add_test(tc, growth_is_ignored);
	tcase_add_test(tc, no_holes_without_seek);
	tcase_add_test(tc, slices_of_a_file);
	tcase_add_test(tc, holes_of_a_slice);
	tcase_add_test(tc, faults_when_armed);
	return suite_of("io", tc);
}
