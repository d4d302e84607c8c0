/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* check_raw_write.c - writing raw images, and functions of the writer that do not depend on a
 * format. */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "open/create.h"
#include "util/err.h"
#include "image/format.h"
#include "open/registry.h"
#include "common/random_model.h"
#include "common/power_cut.h"
#include "common/unit.h"
#include "view/view.h"
#include "open/open.h"

static void make(const char *path, uint64_t size)
{
	struct create_request r = {.size = size};
	struct err e = ERR_INIT;

	ck_assert_ok(image_create(registry_find("raw"), path, &r, &e), &e);
}

START_TEST(random_operations)
{
	struct model m = {
		.path = "a.raw",
		.format = "raw",
		.seed = 1,
		.size_max = 6 << 20,
		.shrinks = true,
		.qemu_format = "raw",
	};

	make(m.path, (5 << 20) + 1536);
	model_run(&m);
}
END_TEST

START_TEST(power_cuts)
{
	struct power p = {.path = "a.raw", .format = "raw", .seed = 2};

	make(p.path, 1 << 20);
	power_run(&p);
}
END_TEST

START_TEST(faults)
{
	struct power p = {.path = "a.raw", .format = "raw", .seed = 3};

	make(p.path, 256 << 10);
	power_faults(&p);
}
END_TEST

START_TEST(partitions_write_through)
{
	struct image_options o = options_new();
	struct err e = ERR_INIT;
	struct view *disk, *part;
	struct image *img;
	char buf[4];

	make("a.raw", 8192);
	o.format = "raw";
	o.write = true;
	ck_assert_ok(image_open("a.raw", &o, &img, &e), &e);
	disk = img->states[0]->view;
	part = view_slice(disk, 1000, 5000, &e);
	ck_assert_ptr_nonnull(part);
	ck_assert_ok(view_write(part, "abcd", 4, 4996, &e), &e);
	ck_assert_ok(view_read(disk, buf, 4, 5996, &e), &e);
	ck_assert_mem_eq(buf, "abcd", 4);
	ck_assert_ok(view_clear(part, 4998, 2, &e), &e);
	ck_assert_ok(view_read(disk, buf, 4, 5996, &e), &e);
	ck_assert_mem_eq(buf, "ab\0\0", 4);
	ck_assert_fails(view_write(part, "abcd", 4, 4997, &e), ENOSPC, &e, "pass the end");
	ck_assert_fails(view_resize(part, 1, &e), EOPNOTSUPP, &e, "cannot be changed");
	/* A partition may end after a disk that shrank. */
	ck_assert_ok(view_resize(disk, 2048, &e), &e);
	ck_assert_fails(view_write(part, "abcd", 4, 2000, &e), ENOSPC, &e, "pass the end");
	ck_assert_ok(view_read(part, buf, 4, 2000, &e), &e);
	ck_assert_mem_eq(buf, "\0\0\0\0", 4);
	view_free(part);
	image_close(img);
	options_free(&o);
}
END_TEST

/* Returns when the thread is blocked.  The thread sets tid before the call that blocks. */
static void await_blocked(const atomic_int *tid)
{
	char state = 0;

	for (; state != 'S'; sched_yield()) {
		char path[64];
		FILE *f;

		if (*tid == 0)
			continue;
		snprintf(path, sizeof path, "/proc/self/task/%d/stat", *tid);
		f = fopen(path, "r");
		if (!f)
			return; /* it has ended without being blocked */
		if (fscanf(f, "%*d (%*[^)]) %c", &state) != 1)
			state = 0;
		fclose(f);
	}
}

/* A write with an early reply; before the reply another thread flushes and reads. */
struct late {
	struct view *view;
	pthread_t reader;
	atomic_int tid;
	char buf[100000];
	unsigned replies;
};

static void *reader_main(void *arg)
{
	struct late *l = arg;
	struct err e = ERR_INIT;

	l->tid = gettid();
	ck_assert_ok(view_flush(l->view, &e), &e);
	ck_assert_ok(view_read(l->view, l->buf, sizeof l->buf, 5000, &e), &e);
	return NULL;
}

static void flush_and_start_reader(void *arg)
{
	struct late *l = arg;

	l->replies++;
	l->tid = 0;
	ck_assert_int_eq(pthread_create(&l->reader, NULL, reader_main, l), 0);
	await_blocked(&l->tid);
}

static void assert_no_late_failure(void *arg, const struct err *e)
{
	(void)arg;
	ck_abort_msg("%s", e->text);
}

static void make_qcow2(const char *path, uint64_t size)
{
	struct create_request r = {.size = size};
	struct err e = ERR_INIT;

	ck_assert_ok(image_create(registry_find("qcow2"), path, &r, &e), &e);
}

START_TEST(readers_wait_for_a_write_with_an_early_reply)
{
	static struct late l;
	struct early_reply early = {
		.answered = flush_and_start_reader, .failed = assert_no_late_failure, .arg = &l};
	struct image_options o = options_new();
	struct err e = ERR_INIT;
	struct image *img;
	static char buf[sizeof l.buf];

	make_qcow2("a.qcow2", 1 << 20);
	o.write = true;
	ck_assert_ok(image_open("a.qcow2", &o, &img, &e), &e);
	l.view = img->states[0]->view;
	for (unsigned i = 0; i < 5; i++) {
		memset(buf, 'a' + (int)i, sizeof buf);
		ck_assert_ok(view_write_early(l.view, buf, sizeof buf, 5000, &early, &e), &e);
		ck_assert_int_eq(pthread_join(l.reader, NULL), 0);
		ck_assert_mem_eq(l.buf, buf, sizeof buf);
	}
	ck_assert_uint_eq(l.replies, 5);
	/* A write that is refused gets no early reply. */
	ck_assert_fails(view_write_early(l.view, buf, 2, (1 << 20) - 1, &early, &e), ENOSPC, &e,
		"pass the end");
	ck_assert_uint_eq(l.replies, 5);
	image_close(img);
	options_free(&o);
}
END_TEST

/* During a write with an early reply, a second writer and then a reader start. */
struct queue {
	struct view *view;
	pthread_t writer, reader;
	atomic_int writer_tid, reader_tid;
	unsigned replies; /* early replies of the second writer */
	char byte;        /* read by the reader */
};

static void count_reply(void *arg)
{
	((struct queue *)arg)->replies++;
}

static void *second_writer_main(void *arg)
{
	struct queue *q = arg;
	struct early_reply early = {
		.answered = count_reply, .failed = assert_no_late_failure, .arg = q};
	struct err e = ERR_INIT;

	q->writer_tid = gettid();
	ck_assert_ok(view_write_early(q->view, "b", 1, 0, &early, &e), &e);
	return NULL;
}

static void *reader_between_main(void *arg)
{
	struct queue *q = arg;
	struct err e = ERR_INIT;

	q->reader_tid = gettid();
	ck_assert_ok(view_read(q->view, &q->byte, 1, 0, &e), &e);
	return NULL;
}

/* The second writer waits first; the reader must not wait for it. */
static void start_writer_and_reader(void *arg)
{
	struct queue *q = arg;

	ck_assert_int_eq(pthread_create(&q->writer, NULL, second_writer_main, q), 0);
	await_blocked(&q->writer_tid);
	ck_assert_int_eq(pthread_create(&q->reader, NULL, reader_between_main, q), 0);
	await_blocked(&q->reader_tid);
}

START_TEST(readers_come_before_the_next_writer)
{
	struct image_options o = options_new();
	struct queue q = {.replies = 0};
	struct early_reply early = {
		.answered = start_writer_and_reader, .failed = assert_no_late_failure, .arg = &q};
	struct err e = ERR_INIT;
	struct image *img;

	make_qcow2("a.qcow2", 1 << 20);
	o.write = true;
	ck_assert_ok(image_open("a.qcow2", &o, &img, &e), &e);
	q.view = img->states[0]->view;
	ck_assert_ok(view_write_early(q.view, "a", 1, 0, &early, &e), &e);
	ck_assert_int_eq(pthread_join(q.writer, NULL), 0);
	ck_assert_int_eq(pthread_join(q.reader, NULL), 0);
	ck_assert_int_eq(q.byte, 'a');
	ck_assert_uint_eq(q.replies, 1);
	image_close(img);
	options_free(&o);
}
END_TEST

START_TEST(zeroes_are_detected)
{
	struct image_options o = options_new();
	static char buf[1 << 20], back[1 << 20];
	struct err e = ERR_INIT;
	struct image *img;
	struct view *v;

	make_qcow2("a.qcow2", 1 << 20);
	o.write = o.detect_zeroes = true;
	ck_assert_ok(image_open("a.qcow2", &o, &img, &e), &e);
	v = img->states[0]->view;
	ck_assert_ok(view_write(v, buf, sizeof buf, 0, &e), &e);
	ck_assert_uint_eq(view_stored(v), 0);
	/* One cluster of three, and a byte of another. */
	memset(buf + (64 << 10), 'a', 64 << 10);
	buf[(300 << 10) + 7] = 'b';
	ck_assert_ok(view_write(v, buf, sizeof buf, 0, &e), &e);
	ck_assert_uint_eq(view_stored(v), 128 << 10);
	ck_assert_ok(view_read(v, back, sizeof back, 0, &e), &e);
	ck_assert_mem_eq(back, buf, sizeof buf);
	/* Zeroes over data are written. */
	memset(buf, 0, sizeof buf);
	ck_assert_ok(view_write(v, buf, sizeof buf, 0, &e), &e);
	ck_assert_ok(view_read(v, back, sizeof back, 0, &e), &e);
	ck_assert_mem_eq(back, buf, sizeof buf);
	image_close(img);
	options_free(&o);
}
END_TEST

START_TEST(zeroes_are_stored_without_the_option)
{
	struct image_options o = options_new();
	struct err e = ERR_INIT;
	struct image *img;

	make("a.raw", 8192);
	o.format = "raw";
	ck_assert_ok(image_open("a.raw", &o, &img, &e), &e);
	ck_assert_fails(view_write(img->states[0]->view, "a", 1, 0, &e), EROFS, &e, "only be read");
	ck_assert_ok(view_flush(img->states[0]->view, &e), &e);
	image_close(img);
	options_free(&o);
}
END_TEST

/* An allocated range is written in place, is allocated on the host, and keeps its bytes. */
static const struct {
	const char *format, *path, *base; /* NULL: none */
} allocated[] = {
	{"raw", "a.raw", NULL},
	{"qcow2", "a.qcow2", NULL},
	{"qcow2", "a.qcow2", "base.qcow2"},
	{"vmdk", "a.vmdk", NULL},
	{"vmdk", "a.vmdk", "base.vmdk"},
	{"vdi", "a.vdi", NULL},
	{"vpc", "a.vhd", NULL},
	{"vpc", "a.vhd", "base.vhd"},
	{"vhdx", "a.vhdx", NULL},
	{"vhdx", "a.vhdx", "base.vhdx"},
};

#define ALLOCATED_SIZE (UINT64_C(6) << 20)

START_TEST(allocated_ranges)
{
	static const char *const none[] = {NULL};
	static unsigned char before[ALLOCATED_SIZE], after[ALLOCATED_SIZE];
	const uint64_t off = 1000000, len = 3000000;
	const char *base = allocated[_i].base;
	struct image_options o;
	struct err e = ERR_INIT;
	struct image *img;
	struct view *v;
	struct stat st;

	if (base)
		free(make_full_image(allocated[_i].format, base, ALLOCATED_SIZE, none));
	make_image(allocated[_i].format, allocated[_i].path, base ? CREATE_NO_SIZE : ALLOCATED_SIZE,
		base, none);
	img = open_image_file(allocated[_i].path, true, &o);
	v = img->states[0]->view;
	ck_assert_ok(view_write(v, "abc", 3, off + 70000, &e), &e);
	ck_assert_ok(view_read(v, before, sizeof before, 0, &e), &e);
	ck_assert_ok(view_allocate(v, off, len, &e), &e);
	ck_assert_ok(view_flush(v, &e), &e);
	ck_assert_ok(view_read(v, after, sizeof after, 0, &e), &e);
	ck_assert_mem_eq(after, before, sizeof before);
	for (uint64_t at = off, step; at < off + len; at += step) {
		struct extent x;

		ck_assert_ok(view_map(v, at, off + len - at, &x, &e), &e);
		ck_assert(x.inplace);
		step = x.len;
	}
	ck_assert_int_eq(stat(allocated[_i].path, &st), 0);
	ck_assert_uint_ge(st.st_blocks * UINT64_C(512), len);
	ck_assert_fails(view_allocate(v, ALLOCATED_SIZE - 1, 2, &e), ENOSPC, &e, "pass the end");
	image_close(img);
	options_free(&o);
}
END_TEST

/* A write that fails after its early reply is reported once to each client that flushes. */
static void expect_failure(void *arg, const struct err *e)
{
	*(int *)arg = e->code;
}

static void ignore_reply(void *arg)
{
	(void)arg;
}

START_TEST(late_errors_are_reported_to_each_client)
{
	static char buf[1 << 20];
	struct rlimit limit = {.rlim_cur = 1 << 20, .rlim_max = RLIM_INFINITY};
	int code = 0;
	struct early_reply early = {
		.answered = ignore_reply, .failed = expect_failure, .arg = &code};
	struct image_options o;
	struct err e = ERR_INIT;
	atomic_uint one = 0, other = 0, late;
	struct image *img;
	struct view *v, *part;

	make_qcow2("a.qcow2", 8 << 20);
	img = open_image_file("a.qcow2", true, &o);
	v = img->states[0]->view;
	part = view_slice(v, 4096, 1 << 20, &e);
	memset(buf, 'x', sizeof buf);
	ck_assert_ok(view_write_early(v, buf, 4096, 0, &early, &e), &e);
	ck_assert_int_eq(view_late_error(v, &one), 0);
	ck_assert(signal(SIGXFSZ, SIG_IGN) != SIG_ERR);
	ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
	ck_assert_ok(view_write_early(v, buf, sizeof buf, 1 << 20, &early, &e), &e);
	limit.rlim_cur = RLIM_INFINITY;
	ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
	ck_assert_int_eq(code, EFBIG);
	/* A client that was added after the failure also gets it, since no other client did. */
	late = view_late_seen(part);
	ck_assert_int_eq(view_late_error(v, &one), -EFBIG);
	ck_assert_int_eq(view_late_error(v, &one), 0);
	ck_assert_int_eq(view_late_error(part, &other), -EFBIG);
	ck_assert_int_eq(view_late_error(part, &late), -EFBIG);
	late = view_late_seen(part);
	ck_assert_int_eq(view_late_error(part, &late), 0);
	view_free(part);
	image_close(img);
	options_free(&o);
}
END_TEST

Suite *raw_write_suite(void)
{
	TCase *tc = tcase_create("raw_write");

	tcase_set_timeout(tc, 60);
	use_temp_dir(tc);
	tcase_add_test(tc, random_operations);
	tcase_add_test(tc, power_cuts);
	tcase_add_test(tc, faults);
	tcase_add_test(tc, partitions_write_through);
	tcase_add_test(tc, readers_wait_for_a_write_with_an_early_reply);
	tcase_add_test(tc, readers_come_before_the_next_writer);
	tcase_add_test(tc, zeroes_are_detected);
	tcase_add_test(tc, zeroes_are_stored_without_the_option);
	tcase_add_loop_test(tc, allocated_ranges, 0, COUNT(allocated));
	tcase_add_test(tc, late_errors_are_reported_to_each_client);
	return suite_of("raw_write", tc);
}
