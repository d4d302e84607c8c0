/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "power_cut_clients.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "util/bytes.h"
#include "image/check.h"
#include "util/err.h"
#include "image/format.h"
#include "io/io.h"
#include "crash_storage.h"
#include "power_cut.h"
#include "unit.h"
#include "view/view.h"
#include "open/open.h"

#define SECTOR MEDIUM_SECTOR
#define TURN   3u  /* sectors of one client before those of the next */
#define CUTS   16u /* one in so many calls is followed by a power cut */

/* What a sector may hold: the write that was flushed last, or one of those that came later. */
struct held {
	uint64_t flushed; /* 0: zeroes */
	uint64_t written;
	uint64_t first_later; /* 0: none */
	bool cleared;         /* since the flush */
};

struct run {
	const struct clients *c;
	struct medium medium;
	struct view *view;
	pthread_mutex_t lock; /* of held and stamp; taken under the lock of the medium, never round
			       * a call to the view */
	struct held *held;
	uint64_t sectors;
	uint64_t stamp; /* of the last write */
	uint64_t state; /* of the cuts */
	unsigned looked;
	struct scratch after;
};

struct client {
	struct run *run;
	unsigned no;
	uint64_t state;
	pthread_t thread;
};

static void put_sector(unsigned char *p, uint64_t sector, uint64_t stamp)
{
	memset(p, 0, SECTOR);
	for (unsigned i = 0; stamp > 0 && i < SECTOR; i += 16) {
		memcpy(p + i, &sector, 8);
		memcpy(p + i + 8, &stamp, 8);
	}
}

static bool is_good(const struct held *h, const unsigned char *p, uint64_t i)
{
	unsigned char want[SECTOR];
	uint64_t stamp;

	if (is_zero(p, SECTOR))
		return h->flushed == 0 || h->cleared;
	memcpy(&stamp, p + 8, 8);
	put_sector(want, i, stamp);
	return memcmp(p, want, SECTOR) == 0 &&
	       (stamp == h->flushed || (h->first_later && stamp >= h->first_later));
}

static void found(void *arg, const char *sentence)
{
	(void)arg;
	(void)sentence;
}

/* Locked. */
static void judge(struct run *run, struct image *img)
{
	const struct view *v = img->states[0]->view;
	struct check_report report = {.found = found};
	unsigned char *buf = malloc(run->sectors * SECTOR);
	struct err e = ERR_INIT;

	ck_assert_ptr_nonnull(buf);
	ck_assert_ok(view_read(v, buf, run->sectors * SECTOR, 0, &e), &e);
	for (uint64_t i = 0; i < run->sectors; i++)
		ck_assert_msg(is_good(&run->held[i], buf + i * SECTOR, i),
			"seed %llu: sector %llu, of which write %llu was flushed",
			(unsigned long long)run->c->seed, (unsigned long long)i,
			(unsigned long long)run->held[i].flushed);
	free(buf);
	if (img->format->check)
		ck_assert_ok(image_check(img, 0, &report, &e), &e);
	ck_assert_msg(report.corruptions == 0 && report.check_errors == 0, "seed %llu: damage",
		(unsigned long long)run->c->seed);
	run->looked++;
}

static void judge_cut(struct run *run, unsigned percent, uint64_t most)
{
	struct image_options o = options_new();
	struct err e = ERR_INIT;
	struct image *img;

	medium_cut(&run->medium, &run->after, percent, most, &run->state);
	o.format = run->c->format;
	ck_assert_ok(image_open_io(io_from_memory(run->after.bytes, run->after.used, "cut", &e), &o,
			     &img, &e),
		&e);
	judge(run, img);
	image_close(img);
	options_free(&o);
}

static void perhaps_cut(void *arg)
{
	struct run *run = arg;

	if (next_random(&run->state) % CUTS != 0)
		return;
	pthread_mutex_lock(&run->lock);
	judge_cut(run, 50, UINT64_MAX);
	judge_cut(run, 95, UINT64_MAX);
	judge_cut(run, 100, next_random(&run->state) % (medium_pending(&run->medium) + 1));
	pthread_mutex_unlock(&run->lock);
}

/* A client. */

static bool is_own(const struct client *c, uint64_t sector)
{
	return sector / TURN % c->run->c->n == c->no;
}

/* Noted before: it may be done in part. */
static uint64_t note(struct run *run, uint64_t first, uint64_t n, bool clear)
{
	uint64_t stamp;

	pthread_mutex_lock(&run->lock);
	stamp = clear ? 0 : ++run->stamp;
	for (struct held *h = run->held + first; h < run->held + first + n; h++) {
		h->written = stamp;
		h->cleared |= clear;
		if (!clear && h->first_later == 0)
			h->first_later = stamp;
	}
	pthread_mutex_unlock(&run->lock);
	return stamp;
}

static void note_flushed(struct client *c)
{
	struct run *run = c->run;

	pthread_mutex_lock(&run->lock);
	for (uint64_t i = 0; i < run->sectors; i++)
		if (is_own(c, i))
			run->held[i] = (struct held){
				.flushed = run->held[i].written, .written = run->held[i].written};
	pthread_mutex_unlock(&run->lock);
}

static int verify(struct client *c, uint64_t first, uint64_t n, struct err *e)
{
	unsigned char buf[TURN * SECTOR], want[SECTOR];
	int r = view_read(c->run->view, buf, n * SECTOR, first * SECTOR, e);

	/* Nobody else changes what is noted of them. */
	for (uint64_t i = 0; r == 0 && i < n; i++) {
		put_sector(want, first + i, c->run->held[first + i].written);
		ck_assert_mem_eq(buf + i * SECTOR, want, SECTOR);
	}
	return r;
}

static int put(struct client *c, uint64_t first, uint64_t n, struct err *e)
{
	uint64_t stamp = note(c->run, first, n, false);
	unsigned char buf[TURN * SECTOR];

	for (uint64_t i = 0; i < n; i++)
		put_sector(buf + i * SECTOR, first + i, stamp);
	return view_write(c->run->view, buf, n * SECTOR, first * SECTOR, e);
}

static int operate(struct client *c, struct err *e)
{
	struct run *run = c->run;
	uint64_t turns = run->sectors / (TURN * run->c->n);
	uint64_t first = (next_random(&c->state) % turns * run->c->n + c->no) * TURN;
	uint64_t n = 1 + next_random(&c->state) % TURN;
	int r;

	switch (next_random(&c->state) % 8) {
	case 0:
		r = view_flush(run->view, e);
		if (r == 0)
			note_flushed(c);
		return r;
	case 1:
		note(run, first, n, true);
		return view_clear(run->view, first * SECTOR, n * SECTOR, e);
	case 2:
	case 3:
		return verify(c, first, n, e);
	default:
		return put(c, first, n, e);
	}
}

static void *client_main(void *arg)
{
	struct client *c = arg;
	struct err e = ERR_INIT;

	for (unsigned long i = 0, n = c->run->c->ops * MAX(power_factor(), 1); i < n; i++)
		ck_assert_ok(operate(c, &e), &e);
	return NULL;
}

static void run_clients(struct run *run)
{
	struct client *clients = calloc(run->c->n, sizeof clients[0]);

	ck_assert_ptr_nonnull(clients);
	for (unsigned i = 0; i < run->c->n; i++) {
		clients[i] = (struct client){.run = run, .no = i, .state = run->c->seed + 77 * i};
		ck_assert_int_eq(
			pthread_create(&clients[i].thread, NULL, client_main, &clients[i]), 0);
	}
	for (unsigned i = 0; i < run->c->n; i++)
		ck_assert_int_eq(pthread_join(clients[i].thread, NULL), 0);
	free(clients);
}

void clients_run(const struct clients *c)
{
	struct run run = {.c = c, .state = c->seed, .lock = PTHREAD_MUTEX_INITIALIZER};
	struct image_options o = options_new();
	struct err e = ERR_INIT;
	struct image *img;

	medium_load(&run.medium, c->path);
	o.format = c->format;
	o.write = true;
	ck_assert_ok(image_open_io(medium_io(&run.medium), &o, &img, &e), &e);
	run.view = img->states[0]->view;
	run.sectors = run.view->size / SECTOR;
	run.held = calloc(run.sectors, sizeof run.held[0]);
	ck_assert_ptr_nonnull(run.held);
	run.medium.arg = &run;
	run.medium.after_change = perhaps_cut;
	run_clients(&run);
	run.medium.after_change = NULL;
	ck_assert_uint_gt(run.looked, 0);
	ck_assert_ok(image_finish(img, &e), &e);
	image_close(img);
	for (uint64_t i = 0; i < run.sectors; i++)
		run.held[i] = (struct held){.flushed = run.held[i].written};
	judge_cut(&run, 0, 0);
	if (power_factor() > 0)
		printf("%s: %u states\n", c->format, run.looked);
	options_free(&o);
	medium_free(&run.medium);
	free(run.after.bytes);
	free(run.held);
}
