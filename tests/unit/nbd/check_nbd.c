/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* check_nbd.c - exports of a server that answers, and of one that breaks the protocol. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "common/unit.h"
#include "fake.h"
#include "image/format.h"
#include "io/io.h"
#include "nbd/nbd.h"
#include "open/create.h"
#include "open/open.h"
#include "util/bytes.h"
#include "util/err.h"
#include "view/view.h"

#define MIB   (1u << 20)
#define BLOCK (256u << 10) /* that is read ahead */

static struct io *connect_with(struct fake *f, const struct nbd_options *o, struct nbd_server **s)
{
	struct err e = ERR_INIT;
	struct io *io;

	fake_start(f);
	ck_assert_ok(nbd_server_connect(FAKE_URI, o, s, &e), &e);
	io = nbd_server_io(*s, &e);
	ck_assert_msg(io != NULL, "%s", e.text);
	return io;
}

static struct io *connect_to(struct fake *f, struct nbd_server **s)
{
	return connect_with(f, &(struct nbd_options){.timeout = 30}, s);
}

static void end(struct fake *f, struct nbd_server *s, struct io *io)
{
	io_unref(io);
	nbd_server_disconnect(s);
	fake_end(f);
}

/* Reads a range and compares it with the disk of the server. */
static void reads(struct io *io, const struct fake *f, uint64_t pos, size_t len)
{
	unsigned char *buf = malloc(len + 1);
	struct err e = ERR_INIT;

	ck_assert_ok(io_read(io, buf, len, pos, &e), &e);
	ck_assert_msg(memcmp(buf, f->data + pos, len) == 0, "%zu bytes at %ju differ", len,
		(uintmax_t)pos);
	free(buf);
}

static void await(atomic_uint *n, unsigned value)
{
	const struct timespec ms = {.tv_nsec = 1000000};

	while (*n < value)
		nanosleep(&ms, NULL);
}

static uint64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

/* Reading. */

START_TEST(any_range_is_read)
{
	struct fake f = {.size = 3 * MIB + 1234, .multi_conn = true};
	struct nbd_server *s;
	struct io *io = connect_to(&f, &s);
	uint64_t state = 1;
	unsigned char c;

	ck_assert_uint_eq(io->size, f.size);
	ck_assert_str_eq(io->name, FAKE_URI);
	ck_assert_uint_eq(f.connections, 4);
	reads(io, &f, 0, f.size);
	reads(io, &f, f.size - 1, 1);
	for (int i = 0; i < 300; i++) {
		uint64_t pos = next_random(&state) % f.size;
		size_t len = 1 + next_random(&state) % MIN(f.size - pos, MIB);

		if (i % 3 == 0)
			io_fetch(io, next_random(&state) % f.size, next_random(&state) % MIB);
		reads(io, &f, pos, len);
	}
	ck_assert_int_eq(io_read_some(io, &c, 1, f.size), 0);
	ck_assert_int_eq(io_read_some(io, &c, 1, UINT64_MAX), 0);
	end(&f, s, io);
}
END_TEST

/* A server that takes only whole blocks, and small requests. */
static enum fake_fate refuse_parts(struct fake *f, const struct fake_request *r)
{
	if (r->command == FAKE_FLUSH || r->command == FAKE_STATUS)
		return FAKE_ANSWER;
	return (r->pos | r->len) % f->min || (r->command == FAKE_READ && r->len > f->max)
		       ? FAKE_FAIL
		       : FAKE_ANSWER;
}

START_TEST(sizes_of_blocks_are_kept_to)
{
	struct fake f = {.size = MIB + 4096, .min = 4096, .max = 12288, .fate = refuse_parts};
	struct nbd_server *s;
	struct io *io = connect_to(&f, &s);
	unsigned char *disk = malloc(f.size), buf[10000];
	struct err e = ERR_INIT;
	uint64_t state = 2;

	memcpy(disk, f.data, f.size);
	ck_assert_ok(io_make_writable(io, &e), &e);
	for (int i = 0; i < 200; i++) {
		uint64_t pos = next_random(&state) % (f.size - sizeof buf);
		size_t len = 1 + next_random(&state) % (sizeof buf - 1);

		fill_pattern(buf, len, (unsigned)i);
		memcpy(disk + pos, buf, len);
		ck_assert_ok(io_write(io, buf, len, pos, &e), &e);
		reads(io, &f, next_random(&state) % (f.size - 9000), 9000);
	}
	ck_assert_mem_eq(f.data, disk, f.size);
	free(disk);
	end(&f, s, io);
}
END_TEST

/* What is fetched is not asked for again. */
START_TEST(fetched_blocks_are_kept)
{
	struct fake f = {.size = 8 * MIB};
	struct nbd_server *s;
	struct io *io = connect_to(&f, &s);

	io_fetch(io, 0, MIB);
	await(&f.reads, 4);
	reads(io, &f, 0, MIB - 1);
	ck_assert_uint_eq(f.reads, 4);
	io_fetch(io, 0, MIB);
	reads(io, &f, 4 * MIB, 10);
	ck_assert_uint_eq(f.reads, 5);
	end(&f, s, io);
}
END_TEST

/* A table that is read page by page, and an archive that is read on and on, do not wait for each
 * read; readers at several places are told apart. */
START_TEST(sequences_are_read_ahead)
{
	struct fake f = {.size = 64 * MIB};
	struct nbd_server *s;
	struct io *io = connect_to(&f, &s);

	for (uint64_t pos = 0; pos < 64 << 10; pos += 4096)
		reads(io, &f, 10 * MIB + pos, 4096);
	ck_assert_uint_le(f.reads, 4);
	f.reads = 0;
	for (uint64_t pos = 0; pos < 10 * MIB; pos += 65536)
		for (uint64_t reader = 0; reader < 3; reader++)
			reads(io, &f, (2 + reader) * 12 * MIB + pos, 65536);
	/* Each byte once, in blocks, and what was fetched last and not read. */
	ck_assert_uint_le(f.reads, 3 * (2 + 18 * MIB / BLOCK));
	end(&f, s, io);
}
END_TEST

START_TEST(single_reads_are_not_read_ahead)
{
	struct fake f = {.size = 64 * MIB};
	struct nbd_server *s;
	struct io *io = connect_to(&f, &s);

	for (uint64_t i = 0; i < 50; i++)
		reads(io, &f, i * 7 % 50 * MIB, 4096);
	ck_assert_uint_eq(f.reads, 50);
	end(&f, s, io);
}
END_TEST

/* Memory is bounded, and blocks that are replaced are read again. */
START_TEST(more_is_fetched_than_there_is_space_for)
{
	struct fake f = {.size = 100 * MIB};
	struct nbd_server *s;
	struct io *io = connect_to(&f, &s);

	for (uint64_t pos = 0; pos < f.size; pos += 10 * MIB)
		io_fetch(io, pos, 10 * MIB);
	for (uint64_t pos = 0; pos < f.size; pos += 10 * MIB)
		reads(io, &f, pos, 10 * MIB);
	end(&f, s, io);
}
END_TEST

static void *read_all(void *arg)
{
	struct io *io = ((void **)arg)[0];
	const struct fake *f = ((void **)arg)[1];
	uint64_t state = (uintptr_t)&state;

	for (int i = 0; i < 200; i++) {
		uint64_t pos = next_random(&state) % (f->size - 70000);

		io_fetch(io, next_random(&state) % f->size, 300000);
		reads(io, f, pos, 1 + next_random(&state) % 70000);
	}
	return NULL;
}

START_TEST(many_threads_read)
{
	struct fake f = {.size = 20 * MIB, .multi_conn = true};
	struct nbd_server *s;
	struct io *io = connect_to(&f, &s);
	void *arg[] = {io, &f};
	pthread_t threads[16];

	for (int i = 0; i < 16; i++)
		pthread_create(&threads[i], NULL, read_all, arg);
	for (int i = 0; i < 16; i++)
		pthread_join(threads[i], NULL);
	end(&f, s, io);
}
END_TEST

/* Extents. */

START_TEST(holes_are_told)
{
	struct fake f = {.size = 4 * MIB};
	struct nbd_server *s;
	struct io *io = connect_to(&f, &s);

	memset(f.data + MIB, 0, MIB);
	memset(f.data + 3 * MIB, 0, MIB);
	ck_assert(io->sparse);
	ck_assert_uint_eq(io_seek(io, 0, SEEK_DATA), 0);
	ck_assert_uint_eq(io_seek(io, 0, SEEK_HOLE), MIB);
	ck_assert_uint_eq(io_seek(io, MIB + 1, SEEK_DATA), 2 * MIB);
	ck_assert_uint_eq(io_seek(io, MIB + 1, SEEK_HOLE), MIB + 1);
	ck_assert_uint_eq(io_seek(io, 2 * MIB, SEEK_HOLE), 3 * MIB);
	ck_assert_uint_eq(io_seek(io, 3 * MIB, SEEK_DATA), 4 * MIB);
	ck_assert_uint_eq(f.requests, 1);
	/* Nor is a hole that is known read. */
	io_fetch(io, MIB, MIB);
	reads(io, &f, MIB, MIB);
	ck_assert_uint_eq(f.requests, 1);
	end(&f, s, io);
}
END_TEST

START_TEST(writes_change_holes)
{
	struct fake f = {.size = MIB};
	struct nbd_server *s;
	struct io *io = connect_to(&f, &s);
	struct err e = ERR_INIT;

	memset(f.data, 0, f.size);
	ck_assert_ok(io_make_writable(io, &e), &e);
	ck_assert_uint_eq(io_seek(io, 0, SEEK_DATA), MIB);
	ck_assert_ok(io_write(io, "x", 1, 600000, &e), &e);
	ck_assert_uint_eq(io_seek(io, 0, SEEK_DATA), 600000 / FAKE_GRANULE * FAKE_GRANULE);
	ck_assert_ok(io_zero(io, 500000, 200000, &e), &e);
	ck_assert_uint_eq(io_seek(io, 0, SEEK_DATA), MIB);
	end(&f, s, io);
}
END_TEST

static enum fake_fate spoil_status(struct fake *f, const struct fake_request *r)
{
	return r->command == FAKE_STATUS ? *(enum fake_fate *)f->arg : FAKE_ANSWER;
}

/* Without extents all is data. */
START_TEST(extents_that_make_no_sense)
{
	enum fake_fate fates[] = {FAKE_FAIL, FAKE_EMPTY};

	for (size_t i = 0; i < COUNT(fates); i++) {
		struct fake f = {.size = MIB, .fate = spoil_status, .arg = &fates[i]};
		struct nbd_server *s;
		struct io *io = connect_to(&f, &s);

		memset(f.data, 0, f.size);
		ck_assert_uint_eq(io_seek(io, 1000, SEEK_DATA), 1000);
		ck_assert_uint_eq(io_seek(io, 1000, SEEK_HOLE), MIB);
		reads(io, &f, 0, MIB);
		end(&f, s, io);
	}
}
END_TEST

START_TEST(no_extents)
{
	struct fake f = {.size = MIB, .no_extents = true};
	struct nbd_server *s;
	struct io *io = connect_to(&f, &s);

	memset(f.data, 0, f.size);
	ck_assert(!io->sparse);
	ck_assert_uint_eq(io_seek(io, 0, SEEK_HOLE), MIB);
	end(&f, s, io);
}
END_TEST

/* Writing. */

START_TEST(writes_and_flushes)
{
	struct fake f = {.size = 10 * MIB, .multi_conn = true};
	struct nbd_server *s;
	struct io *io = connect_to(&f, &s);
	unsigned char *buf = malloc(3 * MIB);
	struct err e = ERR_INIT;

	fill_pattern(buf, 3 * MIB, 5);
	ck_assert_ok(io_make_writable(io, &e), &e);
	io_fetch(io, 0, 4 * MIB);
	ck_assert_ok(io_write(io, buf, 3 * MIB, 12345, &e), &e);
	ck_assert_mem_eq(f.data + 12345, buf, 3 * MIB);
	reads(io, &f, 0, 4 * MIB);
	ck_assert_ok(io_sync(io, &e), &e);
	ck_assert_ok(io_sync(io, &e), &e);
	ck_assert_uint_eq(f.flushes, 1);
	ck_assert_ok(io_zero(io, 1000, 2 * MIB, &e), &e);
	reads(io, &f, 0, 3 * MIB);
	ck_assert_uint_eq(f.data[1000] | f.data[2 * MIB + 999], 0);
	ck_assert_fails(io_write(io, buf, 2, f.size - 1, &e), ENOSPC, &e, "No space");
	ck_assert_fails(io_resize(io, f.size + 1, &e), ENOSPC, &e, "No space");
	ck_assert_uint_eq(io->size, f.size);
	free(buf);
	end(&f, s, io);
}
END_TEST

START_TEST(zeroes_are_written_where_the_server_has_no_command)
{
	struct fake f = {.size = MIB, .no_zero = true};
	struct nbd_server *s;
	struct io *io = connect_to(&f, &s);
	struct err e = ERR_INIT;

	ck_assert_ok(io_make_writable(io, &e), &e);
	ck_assert_ok(io_zero(io, 1000, 300000, &e), &e);
	ck_assert_uint_eq(f.data[1000] | f.data[300999], 0);
	reads(io, &f, 0, MIB);
	end(&f, s, io);
}
END_TEST

START_TEST(servers_that_cannot_be_written)
{
	struct fake fakes[] = {{.size = MIB, .read_only = true}, {.size = MIB, .no_flush = true}};

	for (size_t i = 0; i < COUNT(fakes); i++) {
		const struct nbd_options o = {.write = true};
		const char *why = i == 0 ? "lets nobody write" : "cannot flush";
		struct err e = ERR_INIT;
		struct nbd_server *s;
		struct io *io = connect_to(&fakes[i], &s);

		ck_assert_fails(io_make_writable(io, &e), EROFS, &e, why);
		ck_assert(!io->writable);
		io_unref(io);
		nbd_server_disconnect(s);
		ck_assert_fails(nbd_server_connect(FAKE_URI, &o, &s, &e), EROFS, &e, why);
		fake_end(&fakes[i]);
	}
}
END_TEST

/* Holds the first read. */
static enum fake_fate hold_first_read(struct fake *f, const struct fake_request *r)
{
	return r->command == FAKE_READ && f->reads == 0 ? FAKE_HOLD : FAKE_ANSWER;
}

/* A block whose reading was sent before a write, and is answered after it, has the old bytes. */
START_TEST(a_late_answer_is_not_kept)
{
	struct fake f = {.size = MIB, .fate = hold_first_read};
	struct nbd_server *s;
	struct io *io = connect_to(&f, &s);
	struct err e = ERR_INIT;

	ck_assert_ok(io_make_writable(io, &e), &e);
	io_fetch(io, 0, BLOCK);
	await(&f.held, 1);
	ck_assert_ok(io_write(io, "new", 3, 100, &e), &e);
	fake_release(&f);
	reads(io, &f, 0, BLOCK);
	io_fetch(io, 0, BLOCK);
	reads(io, &f, 0, BLOCK);
	end(&f, s, io);
}
END_TEST

static enum fake_fate hold_writes(struct fake *f, const struct fake_request *r)
{
	(void)f;
	return r->command == FAKE_WRITE ? FAKE_HOLD : FAKE_ANSWER;
}

static void *write_three(void *io)
{
	struct err e = ERR_INIT;

	ck_assert_ok(io_write(io, "new", 3, 100, &e), &e);
	return NULL;
}

/* A block that is read while a write is under way may have old or new bytes; after the write it has
 * the new ones.  This server has read the old ones, and done the write late. */
START_TEST(a_read_beside_a_write_is_not_kept)
{
	struct fake f = {.size = MIB, .fate = hold_writes};
	struct nbd_server *s;
	struct io *io = connect_to(&f, &s);
	struct err e = ERR_INIT;
	pthread_t thread;

	ck_assert_ok(io_make_writable(io, &e), &e);
	pthread_create(&thread, NULL, write_three, io);
	await(&f.held, 1);
	io_fetch(io, 0, BLOCK);
	await(&f.reads, 1);
	reads(io, &f, 0, 1000);
	memcpy(f.data + 100, "NEW", 3);
	fake_release(&f);
	pthread_join(thread, NULL);
	reads(io, &f, 0, 1000);
	end(&f, s, io);
}
END_TEST

/* Servers that break the protocol, or end. */

START_TEST(no_greeting)
{
	static const struct {
		enum fake_greeting greeting;
		int code;
		const char *text;
	} cases[] = {
		{GREETS_WRONGLY, EPROTO, "magic"},
		{GREETS_AND_CLOSES, EPROTO, FAKE_URI ": "},
		{GREETS_NEVER, ETIMEDOUT, "no answer within 1 seconds"},
	};

	for (size_t i = 0; i < COUNT(cases); i++) {
		struct fake f = {.size = MIB, .greeting = cases[i].greeting};
		const struct nbd_options o = {.timeout = 1};
		struct err e = ERR_INIT;
		struct nbd_server *s;

		fake_start(&f);
		ck_assert_fails(
			nbd_server_connect(FAKE_URI, &o, &s, &e), cases[i].code, &e, cases[i].text);
		fake_end(&f);
	}
}
END_TEST

START_TEST(no_server)
{
	const struct nbd_options none = {.timeout = 1}, psk = {.tls_psk = "keys"};
	struct err e = ERR_INIT;
	struct nbd_server *s;

	ck_assert_fails(nbd_server_connect(FAKE_URI, &none, &s, &e), ENOENT, &e, FAKE_URI ": ");
	ck_assert_fails(nbd_server_connect("nbds+unix:///?socket=sock", &none, &s, &e), EINVAL, &e,
		"can be verified");
	ck_assert_fails(nbd_server_connect(FAKE_URI, &psk, &s, &e), EINVAL, &e, "nbds");
}
END_TEST

/* Answers the first 1 MiB, and spoils what comes after it as arg says. */
static enum fake_fate spoil_reads(struct fake *f, const struct fake_request *r)
{
	return r->command == FAKE_READ && r->pos >= MIB ? *(enum fake_fate *)f->arg : FAKE_ANSWER;
}

START_TEST(answers_that_are_wrong)
{
	static const struct {
		enum fake_fate fate;
		bool ends; /* the connection */
		const char *text;
	} cases[] = {
		{FAKE_CLOSE, true, "closed the connection"},
		{FAKE_CUT, true, FAKE_URI ": "},
		{FAKE_MAGIC, true, "magic"},
		{FAKE_LONG, true, FAKE_URI ": "},
		{FAKE_IGNORE, true, "no answer within 1 seconds"},
		{FAKE_SHORT, false, "reading"},
		{FAKE_FAIL, false, "Input/output error"},
	};

	for (size_t i = 0; i < COUNT(cases); i++) {
		const struct nbd_options o = {.timeout = 1};
		enum fake_fate fate = cases[i].fate;
		struct fake f = {.size = 4 * MIB, .fate = spoil_reads, .arg = &fate};
		struct err e = ERR_INIT;
		struct nbd_server *s;
		struct io *io = connect_with(&f, &o, &s);
		unsigned char buf[1000];
		uint64_t start;

		reads(io, &f, 0, MIB);
		ck_assert_fails(io_read(io, buf, sizeof buf, 2 * MIB, &e), EIO, &e, cases[i].text);
		ck_assert_int_eq(io_check(io, &e) < 0, cases[i].ends);
		ck_assert(!cases[i].ends || err_is_first(&e));
		ck_assert(!cases[i].ends || !err_is_first(&e));
		start = now_ms();
		ck_assert_fails(io_read(io, buf, sizeof buf, 3 * MIB, &e), EIO, &e, "");
		ck_assert_int_lt(now_ms() - start, 500);
		end(&f, s, io);
	}
}
END_TEST

/* libnbd ends the connection or ignores it. */
START_TEST(an_answer_to_nobody)
{
	enum fake_fate fate = FAKE_OTHER;
	struct fake f = {.size = 4 * MIB, .fate = spoil_reads, .arg = &fate};
	struct nbd_server *s;
	struct io *io = connect_to(&f, &s);
	unsigned char buf[1000];
	struct err e = ERR_INIT;

	if (io_read(io, buf, sizeof buf, 2 * MIB, &e) == 0)
		ck_assert_mem_eq(buf, f.data + 2 * MIB, sizeof buf);
	else
		ck_assert_int_eq(e.code, EIO);
	end(&f, s, io);
}
END_TEST

/* Ends the first connection. */
static enum fake_fate end_first(struct fake *f, const struct fake_request *r)
{
	(void)f;
	return r->connection == 0 ? FAKE_CLOSE : FAKE_ANSWER;
}

START_TEST(reads_go_on_with_the_other_connections)
{
	struct fake f = {.size = 4 * MIB, .multi_conn = true, .fate = end_first};
	struct nbd_server *s;
	struct io *io = connect_to(&f, &s);
	struct err e = ERR_INIT;

	for (int i = 0; i < 20; i++)
		reads(io, &f, 0, 4 * MIB);
	ck_assert_ok(io_check(io, &e), &e);
	end(&f, s, io);
}
END_TEST

/* A write without an answer may still be done later, over later ones. */
START_TEST(writes_do_not)
{
	struct fake f = {.size = 4 * MIB, .multi_conn = true, .fate = end_first};
	unsigned char *buf = calloc(1, 4 * MIB);
	struct err e = ERR_INIT;
	struct nbd_server *s;
	struct io *io = connect_to(&f, &s);

	ck_assert_ok(io_make_writable(io, &e), &e);
	ck_assert_fails(io_write(io, buf, 4 * MIB, 0, &e), EIO, &e, FAKE_URI ": ");
	ck_assert_fails(io_write(io, buf, 1, 0, &e), EIO, &e, FAKE_URI ": ");
	ck_assert_fails(io_read(io, buf, 1, 0, &e), EIO, &e, FAKE_URI ": ");
	free(buf);
	end(&f, s, io);
}
END_TEST

/* A size that is not true is no more than bytes that cannot be read. */
START_TEST(larger_than_it_is)
{
	struct fake f = {.size = MIB, .told = UINT64_C(1) << 60};
	struct nbd_server *s;
	struct io *io = connect_to(&f, &s);
	unsigned char buf[1000];
	struct err e = ERR_INIT;

	ck_assert_uint_eq(io->size, UINT64_C(1) << 60);
	reads(io, &f, 0, MIB);
	ck_assert_fails(io_read(io, buf, sizeof buf, MIB, &e), EIO, &e, "reading 1000 bytes");
	io_fetch(io, 0, UINT64_MAX);
	reads(io, &f, 0, MIB);
	io_seek(io, 0, SEEK_HOLE);
	end(&f, s, io);
}
END_TEST

static enum fake_fate ignore_all(struct fake *f, const struct fake_request *r)
{
	(void)f, (void)r;
	return FAKE_IGNORE;
}

/* Nothing waits for a server that is silent, not even at the end. */
START_TEST(the_end_does_not_wait)
{
	struct fake f = {.size = MIB, .fate = ignore_all};
	struct nbd_server *s;
	struct io *io = connect_to(&f, &s);
	uint64_t start = now_ms();

	io_fetch(io, 0, MIB);
	await(&f.requests, 4);
	io_unref(io);
	nbd_server_disconnect(s);
	ck_assert_int_lt(now_ms() - start, 5000);
	fake_end(&f);
}
END_TEST

/* Images. */

/* Writes the file to the disk of the server. */
static void serve_file(struct fake *f, const char *name)
{
	FILE *file = fopen(name, "r");

	ck_assert_ptr_nonnull(file);
	memset(f->data, 0, f->size);
	ck_assert_int_gt(fread(f->data, 1, f->size, file), 0);
	fclose(file);
}

START_TEST(an_image_on_a_server)
{
	struct fake f = {.size = 4 * MIB};
	struct nbd_server *s, *list[2] = {NULL, NULL};
	struct io *io = connect_to(&f, &s);
	unsigned char *disk = make_full_image("qcow2", "a.qcow2", 2 * MIB, NULL);
	unsigned char *buf = malloc(2 * MIB);
	struct image_options o = options_new();
	struct err e = ERR_INIT;
	struct image *img;

	serve_file(&f, "a.qcow2");
	ck_assert_fails(image_open(FAKE_URI, &o, &img, &e), ENOTSUP, &e, "no NBD servers");
	list[0] = s;
	o.nbd = list;
	ck_assert_ok(image_open(FAKE_URI, &o, &img, &e), &e);
	ck_assert_str_eq(img->format->name, "qcow2");
	ck_assert_ptr_null(image_dir(img));
	ck_assert_ok(view_read(img->states[0]->view, buf, 2 * MIB, 0, &e), &e);
	ck_assert_mem_eq(buf, disk, 2 * MIB);
	ck_assert(io_is_same(img->io, io));
	image_close(img);
	o.write = true;
	ck_assert_ok(image_open(FAKE_URI, &o, &img, &e), &e);
	memset(buf, 0x55, 4096);
	ck_assert_ok(view_write(img->states[0]->view, buf, 4096, MIB, &e), &e);
	image_close(img);
	ck_assert_uint_gt(f.flushes, 0);
	options_free(&o);
	free(disk);
	free(buf);
	end(&f, s, io);
}
END_TEST

/* The name in the image is that of the server, which is connected, and yet is not followed. */
START_TEST(names_in_images_lead_to_no_server)
{
	struct fake f = {.size = MIB};
	struct nbd_server *s, *list[2] = {NULL, NULL};
	const char *chain[2] = {NULL, NULL};
	struct io *io = connect_to(&f, &s);
	struct image_options o = options_new();
	struct err e = ERR_INIT;
	unsigned char c[2];
	struct image *img;
	unsigned reads;

	list[0] = s;
	o.nbd = list;
	write_file("base.raw", f.data, f.size);
	make_image("qcow2", "top", CREATE_NO_SIZE, "base.raw", NULL);
	o.write = true;
	o.format = "qcow2";
	ck_assert_ok(image_open("top", &o, &img, &e), &e);
	ck_assert_ok(image_set_backing(img, FAKE_URI, "raw", &e), &e);
	image_close(img);
	o.write = false;
	reads = f.requests;
	ck_assert_fails(image_open("top", &o, &img, &e), ENOENT, &e, FAKE_URI);
	ck_assert_uint_eq(f.requests, reads);
	o.backing = chain;
	chain[0] = FAKE_URI;
	ck_assert_ok(image_open("top", &o, &img, &e), &e);
	ck_assert_ok(view_read(img->states[0]->view, c, 2, 1000, &e), &e);
	ck_assert_mem_eq(c, f.data + 1000, 2);
	image_close(img);
	chain[0] = "base.raw";
	ck_assert_ok(image_open("top", &o, &img, &e), &e);
	image_close(img);
	chain[0] = "http:x";
	ck_assert_fails(image_open("top", &o, &img, &e), ENOTSUP, &e, "protocol");
	chain[0] = "top";
	ck_assert_fails(image_open("top", &o, &img, &e), ELOOP, &e, "loops");
	chain[0] = "base.raw";
	o.format = "raw";
	ck_assert_fails(image_open("base.raw", &o, &img, &e), EINVAL, &e, "no backing file");
	options_free(&o);
	end(&f, s, io);
}
END_TEST

/* A program can be built for a machine whose library is not here. */
static bool has_libnbd(void)
{
	const struct nbd_options o = {.timeout = 1};
	struct err e = ERR_INIT;
	struct nbd_server *s;

	return nbd_server_connect("nbd+unix:///?socket=/nowhere/sock", &o, &s, &e) != -ENOTSUP;
}

Suite *nbd_suite(void)
{
	TCase *tc = tcase_create("nbd");

	use_temp_dir(tc);
	if (!has_libnbd()) {
		report_skipped("nbd: libnbd is not installed");
		return suite_of("nbd", tc);
	}
	tcase_add_test(tc, any_range_is_read);
	tcase_add_test(tc, sizes_of_blocks_are_kept_to);
	tcase_add_test(tc, fetched_blocks_are_kept);
	tcase_add_test(tc, sequences_are_read_ahead);
	tcase_add_test(tc, single_reads_are_not_read_ahead);
	tcase_add_test(tc, more_is_fetched_than_there_is_space_for);
	tcase_add_test(tc, many_threads_read);
	tcase_add_test(tc, holes_are_told);
	tcase_add_test(tc, writes_change_holes);
	tcase_add_test(tc, extents_that_make_no_sense);
	tcase_add_test(tc, no_extents);
	tcase_add_test(tc, writes_and_flushes);
	tcase_add_test(tc, zeroes_are_written_where_the_server_has_no_command);
	tcase_add_test(tc, servers_that_cannot_be_written);
	tcase_add_test(tc, a_late_answer_is_not_kept);
	tcase_add_test(tc, a_read_beside_a_write_is_not_kept);
	tcase_add_test(tc, no_greeting);
	tcase_add_test(tc, no_server);
	tcase_add_test(tc, answers_that_are_wrong);
	tcase_add_test(tc, an_answer_to_nobody);
	tcase_add_test(tc, reads_go_on_with_the_other_connections);
	tcase_add_test(tc, writes_do_not);
	tcase_add_test(tc, larger_than_it_is);
	tcase_add_test(tc, the_end_does_not_wait);
	tcase_add_test(tc, an_image_on_a_server);
	tcase_add_test(tc, names_in_images_lead_to_no_server);
	return suite_of("nbd", tc);
}
