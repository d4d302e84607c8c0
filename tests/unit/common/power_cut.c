/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "power_cut.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "util/bytes.h"
#include "util/err.h"
#include "image/snapshot.h"
#include "power_verify.h"
#include "unit.h"
#include "view/view.h"

/* Writes or drops each sector of the first most pending calls at random. */
static void cut(struct run *run, unsigned percent, uint64_t most)
{
	medium_cut(&run->medium, &run->after, percent, most, &run->state);
	power_verify_file(run, run->after.bytes, run->after.used);
}

/* Called before a sync inside an operation, with writes pending. */
static void cut_at_sync(void *arg)
{
	static const unsigned percents[] = {50, 97, 90, 10};
	struct run *run = arg;
	uint64_t n = medium_pending(&run->medium);

	for (unsigned i = 0; i < (run->p->cuts ? run->p->cuts : COUNT(percents)); i++)
		cut(run, percents[i % COUNT(percents)], UINT64_MAX);
	/* Calls in order: up to a random one, all but the last, all. */
	cut(run, 100, next_random(&run->state) % n);
	cut(run, 100, n - 1);
	cut(run, 100, n);
}

/* Writes. */

static void record_flush(struct disk *d)
{
	for (uint64_t i = 0; i < d->sectors; i++) {
		if (d->uncertain[i])
			continue;
		d->flushed[i] = d->written[i];
		d->first_later[i] = 0;
		d->may_be_zero[i] = false;
	}
}

static void record_write(struct disk *d, uint64_t first, uint64_t n, uint64_t stamp)
{
	for (uint64_t i = first; i < first + n; i++) {
		d->written[i] = stamp;
		d->uncertain[i] = false;
		if (stamp == 0)
			d->may_be_zero[i] = true;
		else if (d->first_later[i] == 0)
			d->first_later[i] = stamp;
	}
}

static void choose(struct run *run, uint64_t *first, uint64_t *n)
{
	uint64_t most = next_random(&run->state) % 4 == 0 ? 512 : 24;

	*first = next_random(&run->state) % run->disk.sectors;
	*n = 1 + next_random(&run->state) % MIN(most, run->disk.sectors - *first);
}

/* Writes a whole unit, compressed if view_compress makes it smaller. */
static int write_compressed(
	struct view *v, const void *unit, uint64_t len, uint64_t off, struct err *e)
{
	void *compressed = malloc(v->compressed_max);
	ssize_t n;
	int r;

	ck_assert_ptr_nonnull(compressed);
	n = view_compress(v, unit, off, compressed, e);
	ck_assert_int_ge(n, 0);
	r = n > 0 ? view_write_compressed(v, compressed, n, off, e)
		  : view_write(v, unit, len, off, e);
	free(compressed);
	return r;
}

enum { FLUSH, CLEAR, COMPRESS, WRITE, RESIZE, CHOICES = 10 };

static int change(
	struct view *v, unsigned what, const void *buf, uint64_t first, uint64_t n, struct err *e)
{
	if (what == CLEAR)
		return view_clear(v, first * SECTOR, n * SECTOR, e);
	if (what == COMPRESS)
		return write_compressed(v, buf, n * SECTOR, first * SECTOR, e);
	return view_write(v, buf, n * SECTOR, first * SECTOR, e);
}

/* Data beyond the new end must never reappear. */
static void discard(struct disk *d, uint64_t from)
{
	uint64_t n = d->most - MIN(from, d->most);

	record_write(d, d->most - n, n, 0);
	memset(d->flushed + d->most - n, 0, n * sizeof d->flushed[0]);
	memset(d->first_later + d->most - n, 0, n * sizeof d->first_later[0]);
}

/* After a failed resize the disk may have either size. */
static int resize(struct run *run, uint64_t size, struct err *e)
{
	struct disk *d = &run->disk;
	int r;

	d->other_size = size;
	r = view_resize(run->img->states[0]->view, size * SECTOR, e);
	if (r == -EOPNOTSUPP && size < d->size) {
		*e = (struct err)ERR_INIT;
		d->other_size = 0;
		return 0;
	}
	if (r < 0)
		return r;
	discard(d, MIN(size, d->size));
	d->size = size;
	d->sectors = MIN(d->size, d->most);
	d->other_size = 0;
	record_flush(d);
	return 0;
}

/* Clears the end first, since most formats refuse to shrink below allocated data. */
static int shrink(struct run *run, struct err *e)
{
	struct disk *d = &run->disk;
	uint64_t size = MAX(1, d->size - next_random(&run->state) % (1 + d->size / 2));
	uint64_t first = MIN(size, d->sectors), n = d->sectors - first;
	int r = 0;

	if (n > 0 && next_random(&run->state) % 4) {
		record_write(d, first, n, 0);
		r = view_clear(run->img->states[0]->view, first * SECTOR, n * SECTOR, e);
		memset(d->uncertain + first, r < 0, n);
	}
	return r == 0 && size < d->size ? resize(run, size, e) : r;
}

static int change_size(struct run *run, struct err *e)
{
	struct disk *d = &run->disk;
	uint64_t more = run->p->grows / SECTOR - d->size;

	if (d->other_size > 0)
		return 0;
	if (run->p->shrinks && (more == 0 || next_random(&run->state) % 2))
		return shrink(run, e);
	if (more == 0)
		return 0;
	return resize(run, d->size + 1 + next_random(&run->state) % MIN(more, 1 + more / 2), e);
}

/* Runs one operation and returns its result.  The model is updated before, since a failed
 * operation may be half done. */
static int run_operation(struct run *run, struct err *e)
{
	struct view *v = run->img->states[0]->view;
	unsigned what = next_random(&run->state) % CHOICES;
	unsigned char *buf;
	uint64_t first, n;
	int r;

	if (what == FLUSH) {
		r = view_flush(v, e);
		if (r == 0)
			record_flush(&run->disk);
		return r;
	}
	if (what == RESIZE && run->p->grows > 0)
		return change_size(run, e);
	choose(run, &first, &n);
	if (what == COMPRESS && v->compressed_max == 0)
		what = WRITE;
	if (what == COMPRESS) {
		first -= first % (v->unit / SECTOR);
		n = MIN(v->unit / SECTOR, run->disk.sectors - first);
	}
	record_write(&run->disk, first, n, what == CLEAR ? 0 : ++run->stamp);
	buf = calloc(1, n * SECTOR + v->unit);
	ck_assert_ptr_nonnull(buf);
	for (uint64_t i = 0; i < n; i++)
		power_put_sector(buf + i * SECTOR, first + i, run->stamp);
	r = change(v, what, buf, first, n, e);
	free(buf);
	memset(run->disk.uncertain + first, r < 0, n);
	return r;
}

/* Snapshots. */

/* Each returns the result of the operation; after an error, it may have been done or not. */

static int create_snapshot(struct run *run, struct err *e)
{
	struct snapshot_model *s = &run->snapshot;
	unsigned no;
	int r;

	memcpy(s->written, run->disk.written, run->disk.sectors * sizeof s->written[0]);
	s->may_exist = true;
	r = snapshot_create(run->img, SNAPSHOT, &no, e);
	s->may_be_absent = r < 0;
	return r;
}

static unsigned snapshot_number(const struct run *run)
{
	const struct state *s = image_find_state(run->img, SNAPSHOT);

	ck_assert_ptr_nonnull(s);
	return s->no;
}

static int delete_snapshot(struct run *run, struct err *e)
{
	int r;

	run->snapshot.may_be_absent = true;
	r = snapshot_delete(run->img, snapshot_number(run), e);
	run->snapshot.may_exist = r < 0;
	return r;
}

static int apply_snapshot(struct run *run, struct err *e)
{
	struct disk *d = &run->disk;
	int r;

	d->other = run->snapshot.written;
	r = snapshot_apply(run->img, snapshot_number(run), e);
	if (r < 0)
		return r;
	d->other = NULL;
	memcpy(d->written, run->snapshot.written, d->sectors * sizeof d->written[0]);
	return 0;
}

static int change_snapshot(struct run *run, struct err *e)
{
	int r;

	run->in_change = true;
	if (!run->snapshot.may_exist)
		r = create_snapshot(run, e);
	else if (next_random(&run->state) % 2)
		r = apply_snapshot(run, e);
	else
		r = delete_snapshot(run, e);
	if (r < 0)
		return r;
	run->in_change = false;
	return 0;
}

/* The backing file. */

static int set_backing(struct run *run, struct err *e)
{
	struct backing_model *b = &run->base;
	uint64_t no = next_random(&run->state) % 4 ? ++run->stamp : 0;
	char name[BASE_NAME + 1];
	int r;

	b->other = no;
	r = image_set_backing(run->img, power_base_name(run, no, name), power_base_format(no), e);
	if (r == 0)
		b->now = no;
	return r;
}

static int empty(struct run *run, struct err *e)
{
	struct disk *d = &run->disk;
	int r;

	d->other = run->no_writes;
	r = image_empty(run->img, e);
	if (r < 0)
		return r;
	d->other = NULL;
	memset(d->written, 0, d->sectors * sizeof d->written[0]);
	return 0;
}

/* Changes snapshots or the backing file, if the test asks for it. */
static int change_metadata(struct run *run, struct err *e)
{
	const struct power *p = run->p;
	bool based = p->base_name > 0 && (!p->snapshots || next_random(&run->state) % 2);
	int r;

	if (!based && !p->snapshots)
		return 0;
	if (!based)
		r = change_snapshot(run, e);
	else
		r = next_random(&run->state) % 4 ? set_backing(run, e) : empty(run, e);
	if (r == 0)
		record_flush(&run->disk);
	return r;
}

static void disk_new(struct disk *d, uint64_t size, uint64_t grows)
{
	uint64_t most = grows > 0 ? MIN(grows, WRITTEN_SECTORS) : size;

	d->size = size;
	d->sectors = MIN(size, most);
	d->most = most;
	d->flushed = calloc(most, sizeof *d->flushed);
	d->written = calloc(most, sizeof *d->written);
	d->first_later = calloc(most, sizeof *d->first_later);
	d->may_be_zero = calloc(most, sizeof *d->may_be_zero);
	d->uncertain = calloc(most, sizeof *d->uncertain);
	ck_assert(d->flushed && d->written && d->first_later && d->may_be_zero && d->uncertain);
}

static void run_open(struct run *run)
{
	run->img = power_open_medium(run, medium_io(&run->medium), &run->o);
}

static void run_begin(struct run *run, const struct power *p)
{
	*run = (struct run){.p = p, .o = options_new(), .state = p->seed};
	run->o.write = true;
	medium_load(&run->medium, p->path);
	run_open(run);
	disk_new(&run->disk, run->img->states[0]->view->size / SECTOR, p->grows / SECTOR);
	run->snapshot.may_be_absent = true;
	run->snapshot.written = calloc(run->disk.sectors, sizeof run->snapshot.written[0]);
	run->no_writes = calloc(run->disk.sectors, sizeof run->no_writes[0]);
	ck_assert(run->snapshot.written && run->no_writes);
	run->medium.arg = run;
}

static void run_end(struct run *run)
{
	image_close(run->img);
	options_free(&run->o);
	medium_free(&run->medium);
	free(run->after.bytes);
	free(run->next.bytes);
	free(run->ignored.bytes);
	free(run->snapshot.written);
	free(run->no_writes);
	free(run->disk.flushed);
	free(run->disk.written);
	free(run->disk.first_later);
	free(run->disk.may_be_zero);
	free(run->disk.uncertain);
}

static void finish(struct run *run)
{
	struct image_options o;
	struct err e = ERR_INIT;
	struct image *img;

	ck_assert_ok(image_finish(run->img, &e), &e);
	record_flush(&run->disk);
	img = power_open_bytes(run, run->medium.durable, run->medium.durable_size, &o);
	/* Shrinking may leave tables of the longer disk as leaks. */
	power_verify_image(run, img, !run->p->shrinks);
	image_close(img);
	options_free(&o);
}

unsigned long power_factor(void)
{
	const char *word = getenv("POWER_FACTOR");

	return word ? strtoul(word, NULL, 10) : 0;
}

void power_run(const struct power *p)
{
	struct err e = ERR_INIT;
	struct run run;

	run_begin(&run, p);
	run.medium.before_sync = cut_at_sync;
	for (unsigned i = 0, n = (p->ops ? p->ops : 200) * MAX(power_factor(), 1); i < n; i++) {
		ck_assert_ok(run_operation(&run, &e), &e);
		cut(&run, 50, UINT64_MAX);
		if (i % 8 == 7)
			ck_assert_ok(change_metadata(&run, &e), &e);
		if (i % 64 == 63) {
			finish(&run);
			image_close(run.img);
			run_open(&run);
		}
	}
	finish(&run);
	if (power_factor() > 0)
		printf("%s: %u states\n", p->path, run.verified);
	run_end(&run);
}

#define FAULT_OPS 24

static bool has_failed(const struct run *run)
{
	return run->medium.calls >= run->medium.fails_at;
}

/* Returns true if the scenario ended before call n, so without a fault. */
static bool fail_at(const struct power *p, unsigned n, int failure)
{
	struct err e = ERR_INIT;
	struct run run;
	bool failed;

	run_begin(&run, p);
	run.medium.failure = failure;
	run.medium.fails_at = run.medium.calls + n;
	for (unsigned i = 0; i < FAULT_OPS; i++) {
		run_operation(&run, &e);
		failed = has_failed(&run);
		/* After a failed write, the contents of a snapshot would be unknown. */
		if (i % 6 == 5 && e.code == 0 && change_metadata(&run, &e) < 0)
			break;
		/* COPIED flags may also be missing if the fault hit the cleanup after a successful
		 * change. */
		run.in_change |= !failed && has_failed(&run);
	}
	failed = has_failed(&run);
	/* The error was returned, unless the fault hit a call that runs in the background. */
	if (!failed)
		ck_assert_int_eq(e.code, 0);
	cut(&run, 100, UINT64_MAX);
	cut(&run, 50, UINT64_MAX);
	run_end(&run);
	return !failed;
}

void power_faults(const struct power *p)
{
	static const int failures[] = {ENOSPC, EIO};

	for (size_t i = 0; i < COUNT(failures); i++)
		for (unsigned n = 1; !fail_at(p, n, failures[i]); n++)
			;
}
