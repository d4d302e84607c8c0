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
#define STRIPE 3u  /* consecutive sectors of one client */
#define CUTS   16u /* one in 16 host calls is followed by a power cut */

/* The allowed contents of a sector: the last flushed write, or any later one. */
struct sector_model {
	uint64_t flushed; /* 0: zeroes */
	uint64_t written;
	uint64_t first_later; /* 0: none */
	bool cleared;         /* since the last flush */
};

struct run {
	const struct clients *c;
	struct medium medium;
	struct view *view;
	pthread_mutex_t lock; /* protects model and stamp; taken with the medium's lock held, so not
			       * during calls to the view */
	struct sector_model *model;
	uint64_t sectors;
	uint64_t stamp; /* number of the last write */
	uint64_t state; /* random state of the cuts */
	unsigned verified;
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

static bool is_allowed(const struct sector_model *h, const unsigned char *p, uint64_t i)
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

/* The caller holds the lock. */
static void verify_image(struct run *run, struct image *img)
{
	const struct view *v = img->states[0]->view;
	struct check_report report = {.found = found};
	unsigned char *buf = malloc(run->sectors * SECTOR);
	struct err e = ERR_INIT;

	ck_assert_ptr_nonnull(buf);
	ck_assert_ok(view_read(v, buf, run->sectors * SECTOR, 0, &e), &e);
	for (uint64_t i = 0; i < run->sectors; i++)
		ck_assert_msg(is_allowed(&run->model[i], buf + i * SECTOR, i),
			"seed %llu: sector %llu, of which write %llu was flushed",
			(unsigned long long)run->c->seed, (unsigned long long)i,
			(unsigned long long)run->model[i].flushed);
	free(buf);
	if (img->format->check)
		ck_assert_ok(image_check(img, 0, &report, &e), &e);
	ck_assert_msg(report.corruptions == 0 && report.check_errors == 0, "seed %llu: damage",
		(unsigned long long)run->c->seed);
	run->verified++;
}

static void verify_cut(struct run *run, unsigned percent, uint64_t most)
{
	struct image_options o = options_new();
	struct err e = ERR_INIT;
	struct image *img;

	medium_cut(&run->medium, &run->after, percent, most, &run->state);
	o.format = run->c->format;
	ck_assert_ok(image_open_io(io_from_memory(run->after.bytes, run->after.used, "cut", &e), &o,
			     &img, &e),
		&e);
	verify_image(run, img);
	image_close(img);
	options_free(&o);
}

static void cut_sometimes(void *arg)
{
	struct run *run = arg;

	if (next_random(&run->state) % CUTS != 0)
		return;
	pthread_mutex_lock(&run->lock);
	verify_cut(run, 50, UINT64_MAX);
	verify_cut(run, 95, UINT64_MAX);
	verify_cut(run, 100, next_random(&run->state) % (medium_pending(&run->medium) + 1));
	pthread_mutex_unlock(&run->lock);
}

/* The clients. */

static bool is_own(const struct client *c, uint64_t sector)
{
	return sector / STRIPE % c->run->c->n == c->no;
}

/* Updates the model; called before the operation, which a power cut may leave half done. */
static uint64_t record_write(struct run *run, uint64_t first, uint64_t n, bool clear)
{
	uint64_t stamp;

	pthread_mutex_lock(&run->lock);
	stamp = clear ? 0 : ++run->stamp;
	for (struct sector_model *h = run->model + first; h < run->model + first + n; h++) {
		h->written = stamp;
		h->cleared |= clear;
		if (!clear && h->first_later == 0)
			h->first_later = stamp;
	}
	pthread_mutex_unlock(&run->lock);
	return stamp;
}

static void record_flush(struct client *c)
{
	struct run *run = c->run;

	pthread_mutex_lock(&run->lock);
	for (uint64_t i = 0; i < run->sectors; i++)
		if (is_own(c, i))
			run->model[i] = (struct sector_model){
				.flushed = run->model[i].written, .written = run->model[i].written};
	pthread_mutex_unlock(&run->lock);
}

static int compare_sectors(struct client *c, uint64_t first, uint64_t n, struct err *e)
{
	unsigned char buf[STRIPE * SECTOR], want[SECTOR];
	int r = view_read(c->run->view, buf, n * SECTOR, first * SECTOR, e);

	/* Only this client changes the model of its sectors, so no lock is needed. */
	for (uint64_t i = 0; r == 0 && i < n; i++) {
		put_sector(want, first + i, c->run->model[first + i].written);
		ck_assert_mem_eq(buf + i * SECTOR, want, SECTOR);
	}
	return r;
}

static int write_sectors(struct client *c, uint64_t first, uint64_t n, struct err *e)
{
	uint64_t stamp = record_write(c->run, first, n, false);
	unsigned char buf[STRIPE * SECTOR];

	for (uint64_t i = 0; i < n; i++)
		put_sector(buf + i * SECTOR, first + i, stamp);
	return view_write(c->run->view, buf, n * SECTOR, first * SECTOR, e);
}

static int run_operation(struct client *c, struct err *e)
{
	struct run *run = c->run;
	uint64_t stripes = run->sectors / (STRIPE * run->c->n);
	uint64_t first = (next_random(&c->state) % stripes * run->c->n + c->no) * STRIPE;
	uint64_t n = 1 + next_random(&c->state) % STRIPE;
	int r;

	switch (next_random(&c->state) % 8) {
	case 0:
		r = view_flush(run->view, e);
		if (r == 0)
			record_flush(c);
		return r;
	case 1:
		record_write(run, first, n, true);
		return view_clear(run->view, first * SECTOR, n * SECTOR, e);
	case 2:
	case 3:
		return compare_sectors(c, first, n, e);
	default:
		return write_sectors(c, first, n, e);
	}
}

static void *client_main(void *arg)
{
	struct client *c = arg;
	struct err e = ERR_INIT;

	for (unsigned long i = 0, n = c->run->c->ops * MAX(power_factor(), 1); i < n; i++)
		ck_assert_ok(run_operation(c, &e), &e);
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
	run.model = calloc(run.sectors, sizeof run.model[0]);
	ck_assert_ptr_nonnull(run.model);
	run.medium.arg = &run;
	run.medium.after_change = cut_sometimes;
	run_clients(&run);
	run.medium.after_change = NULL;
	ck_assert_uint_gt(run.verified, 0);
	ck_assert_ok(image_finish(img, &e), &e);
	image_close(img);
	for (uint64_t i = 0; i < run.sectors; i++)
		run.model[i] = (struct sector_model){.flushed = run.model[i].written};
	verify_cut(&run, 0, 0);
	if (power_factor() > 0)
		printf("%s: %u states\n", c->format, run.verified);
	options_free(&o);
	medium_free(&run.medium);
	free(run.after.bytes);
	free(run.model);
}
