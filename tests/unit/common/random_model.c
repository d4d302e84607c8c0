/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "random_model.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "util/bytes.h"
#include "image/check.h"
#include "util/err.h"
#include "image/format.h"
#include "image/snapshot.h"
#include "unit.h"
#include "view/view.h"
#include "open/open.h"

#define THREADS   3
#define STRIPE    3072u /* not a multiple of any cluster size */
#define FAR       (3u << 20)
#define OPS       150 /* operations of each thread per round */
#define SNAPSHOTS 5
#define REFERENCE "reference.raw"

/* A snapshot and the expected contents of its disk. */
struct snapshot_model {
	unsigned char *bytes; /* NULL: the slot is unused */
	uint64_t size;
	char name[24];
};

struct run {
	const struct model *m;
	struct image_options o;
	struct image *img;
	struct view *disk;    /* the live disk */
	unsigned char *bytes; /* its expected contents */
	uint64_t size;
	uint64_t state;
	struct snapshot_model snapshots[SNAPSHOTS];
	unsigned names; /* number of names given to snapshots */
};

struct worker {
	struct run *run;
	unsigned number;
	uint64_t state;
	pthread_t thread;
};

static struct view *disk(const struct run *run)
{
	return run->disk;
}

static uint64_t below(uint64_t *state, uint64_t n)
{
	return next_random(state) % n;
}

static void open_again(struct run *run)
{
	struct err e = ERR_INIT;

	if (run->img)
		ck_assert_ok(image_finish(run->img, &e), &e);
	image_close(run->img);
	ck_assert_ok(image_open(run->m->path, &run->o, &run->img, &e), &e);
	run->disk = run->img->states[0]->view;
	ck_assert_uint_eq(disk(run)->size, run->size);
}

static void fail_at_difference(const struct run *run, const char *what, const unsigned char *buf,
	const unsigned char *want, uint64_t off, uint64_t n)
{
	uint64_t i = 0;

	while (i < n && buf[i] == want[i])
		i++;
	ck_abort_msg("seed %llu, %s: byte %llu is 0x%02x, not 0x%02x",
		(unsigned long long)run->m->seed, what, (unsigned long long)(off + i), buf[i],
		want[i]);
}

/* Compares every byte, with reads of odd sizes. */
static void compare_view(struct run *run, const char *what, const struct view *v,
	const unsigned char *bytes, uint64_t size)
{
	unsigned char *buf = malloc(FAR);
	struct err e = ERR_INIT;
	uint64_t n;

	ck_assert_ptr_nonnull(buf);
	ck_assert_uint_eq(v->size, size);
	for (uint64_t off = 0; off < size; off += n) {
		n = 1 + below(&run->state, FAR);
		n = MIN(n, size - off);
		ck_assert_ok(view_read(v, buf, n, off, &e), &e);
		if (memcmp(buf, bytes + off, n) != 0)
			fail_at_difference(run, what, buf, bytes + off, off, n);
	}
	free(buf);
}

static const struct state *state_of(const struct run *run, const struct snapshot_model *m)
{
	const struct state *s = image_find_state(run->img, m->name);

	ck_assert_msg(
		s != NULL, "seed %llu: no snapshot %s", (unsigned long long)run->m->seed, m->name);
	return s;
}

static void compare(struct run *run)
{
	size_t n = 1;

	compare_view(run, "the disk", disk(run), run->bytes, run->size);
	for (struct snapshot_model *s = run->snapshots; s < run->snapshots + SNAPSHOTS; s++) {
		if (!s->bytes)
			continue;
		compare_view(run, s->name, state_of(run, s)->view, s->bytes, s->size);
		n++;
	}
	ck_assert_uint_eq(run->img->nstates, n);
}

/* Snapshots. */

static void choose_name(struct run *run, char name[24])
{
	snprintf(name, 24, "%s %u", run->names % 2 ? "shot" : "a longer name for", run->names);
	run->names++;
}

static void create_snapshot(struct run *run, struct snapshot_model *s)
{
	struct err e = ERR_INIT;
	unsigned no;
	int r;

	choose_name(run, s->name);
	r = snapshot_create(run->img, s->name, &no, &e);
	if (r == -ERANGE && run->m->narrow_refcounts)
		return;
	ck_assert_ok(r, &e);
	s->size = run->size;
	s->bytes = malloc(s->size + 1);
	ck_assert_ptr_nonnull(s->bytes);
	memcpy(s->bytes, run->bytes, s->size);
}

static void delete_snapshot(struct run *run, struct snapshot_model *s)
{
	struct err e = ERR_INIT;

	ck_assert_ok(snapshot_delete(run->img, state_of(run, s)->no, &e), &e);
	free(s->bytes);
	s->bytes = NULL;
}

static void rename_snapshot(struct run *run, struct snapshot_model *s)
{
	unsigned no = state_of(run, s)->no;
	struct err e = ERR_INIT;

	choose_name(run, s->name);
	ck_assert_ok(snapshot_rename(run->img, no, s->name, &e), &e);
	ck_assert_str_eq(state_of(run, s)->name, s->name);
}

static void apply_snapshot(struct run *run, struct snapshot_model *s)
{
	struct err e = ERR_INIT;
	int r = snapshot_apply(run->img, state_of(run, s)->no, &e);

	if (r == -ERANGE && run->m->narrow_refcounts)
		return;
	ck_assert_ok(r, &e);
	run->size = s->size;
	memcpy(run->bytes, s->bytes, s->size);
	memset(run->bytes + s->size, 0, MAX(run->m->size_max, s->size) - s->size);
}

static void change_snapshots(struct run *run)
{
	for (unsigned i = 0; i < 4; i++) {
		struct snapshot_model *s = &run->snapshots[below(&run->state, SNAPSHOTS)];

		if (!s->bytes)
			create_snapshot(run, s);
		else if (i == 0)
			delete_snapshot(run, s);
		else if (i == 1)
			rename_snapshot(run, s);
		else
			apply_snapshot(run, s);
	}
}

/* Creates and deletes snapshots while other threads write; their contents are not known, so they
 * are not compared. */
static void *create_and_delete(void *arg)
{
	struct run *run = arg;
	struct err e = ERR_INIT;
	unsigned no;

	for (unsigned i = 0; i < 8; i++) {
		int r = snapshot_create(run->img, "passing by", &no, &e);

		if (r == -ERANGE && run->m->narrow_refcounts)
			continue;
		ck_assert_ok(r, &e);
		ck_assert_ok(snapshot_delete(run->img, no, &e), &e);
	}
	return NULL;
}

static void note_reply(void *arg)
{
	*(bool *)arg = true;
}

static void assert_no_failure(void *arg, const struct err *e)
{
	(void)arg;
	ck_abort_msg("%s", e->text);
}

static void write_with_early_reply(const struct run *run, const void *p, uint64_t len, uint64_t off)
{
	bool answered = false;
	struct early_reply early = {
		.answered = note_reply, .failed = assert_no_failure, .arg = &answered};
	struct err e = ERR_INIT;

	ck_assert_ok(view_write_early(disk(run), p, len, off, &early, &e), &e);
	ck_assert(answered);
}

/* One operation on a range that only this thread uses.  One in four writes writes zeroes, since
 * drivers may treat them differently. */
static void run_operation(struct run *run, uint64_t *state, uint64_t off, uint64_t len)
{
	unsigned char *p = run->bytes + off;
	unsigned what = below(state, 8);
	struct err e = ERR_INIT;

	if (what == 0) {
		memset(p, 0, len);
		ck_assert_ok(view_clear(disk(run), off, len, &e), &e);
		return;
	}
	if (what == 1)
		memset(p, 0, len);
	else
		fill_pattern(p, len, (unsigned)next_random(state));
	if (what == 2)
		write_with_early_reply(run, p, len, off);
	else
		ck_assert_ok(view_write(disk(run), p, len, off, &e), &e);
}

/* Chooses a range within one of the worker's own stripes. */
static bool choose_in_stripe(struct worker *w, uint64_t *off, uint64_t *len)
{
	uint64_t stripes = div_round_up(w->run->size, STRIPE);
	uint64_t stripe = below(&w->state, stripes), skip = below(&w->state, STRIPE);

	stripe = stripe - stripe % THREADS + w->number;
	*off = stripe * STRIPE + skip;
	*len = 1 + below(&w->state, STRIPE - skip);
	return range_fits(*off, *len, w->run->size);
}

static void *worker_main(void *arg)
{
	struct worker *w = arg;
	unsigned char buf[STRIPE];
	struct err e = ERR_INIT;
	uint64_t off, len;

	for (unsigned i = 0; i < OPS; i++) {
		if (!choose_in_stripe(w, &off, &len))
			continue;
		run_operation(w->run, &w->state, off, len);
		ck_assert_ok(view_read(disk(w->run), buf, len, off, &e), &e);
		ck_assert_mem_eq(buf, w->run->bytes + off, len);
		if (below(&w->state, 40) == 0)
			ck_assert_ok(view_flush(disk(w->run), &e), &e);
	}
	return NULL;
}

static void run_workers(struct run *run)
{
	struct worker workers[THREADS];
	pthread_t other;

	if (run->m->snapshots)
		ck_assert_int_eq(pthread_create(&other, NULL, create_and_delete, run), 0);
	for (unsigned i = 0; i < THREADS; i++) {
		workers[i] =
			(struct worker){.run = run, .number = i, .state = next_random(&run->state)};
		ck_assert_int_eq(
			pthread_create(&workers[i].thread, NULL, worker_main, &workers[i]), 0);
	}
	for (unsigned i = 0; i < THREADS; i++)
		pthread_join(workers[i].thread, NULL);
	if (run->m->snapshots)
		pthread_join(other, NULL);
}

/* Writes a whole unit, half of it zeroes, compressed if view_compress makes it smaller. */
static void write_unit(struct run *run, uint64_t off)
{
	struct view *v = disk(run);
	size_t len = MIN(v->unit, run->size - off);
	unsigned char *unit = calloc(1, v->unit), *compressed = malloc(v->compressed_max);
	struct err e = ERR_INIT;
	ssize_t n;

	ck_assert_ptr_nonnull(unit);
	ck_assert_ptr_nonnull(compressed);
	fill_pattern(unit, len - below(&run->state, len), (unsigned)next_random(&run->state));
	memcpy(run->bytes + off, unit, len);
	n = view_compress(v, unit, off, compressed, &e);
	ck_assert_int_ge(n, 0);
	ck_assert_int_le(n, v->compressed_max);
	if (n > 0)
		ck_assert_ok(view_write_compressed(v, compressed, n, off, &e), &e);
	else
		ck_assert_ok(view_write(v, unit, len, off, &e), &e);
	free(unit);
	free(compressed);
}

static void write_units(struct run *run)
{
	uint64_t unit = disk(run)->unit, units = div_round_up(run->size, unit);

	for (unsigned i = 0; i < 20; i++) {
		uint64_t off = below(&run->state, units) * unit;
		uint64_t n = 1 + below(&run->state, 4);

		for (; n > 0 && off < run->size; n--, off += unit)
			write_unit(run, off);
	}
}

static void write_far(struct run *run)
{
	for (unsigned i = 0; i < 12; i++) {
		uint64_t off = below(&run->state, run->size);
		uint64_t len = 1 + below(&run->state, MIN(FAR, run->size - off));

		run_operation(run, &run->state, off, len);
	}
}

static void change_size(struct run *run)
{
	const struct model *m = run->m;
	uint64_t least = m->shrinks ? 1 : run->size / 512;
	uint64_t size = 512 * (least + below(&run->state, m->size_max / 512 - least + 1));
	struct err e = ERR_INIT;

	ck_assert_ok(view_resize(disk(run), size, &e), &e);
	/* Data beyond the new end is lost; new space reads as zeroes. */
	if (size < run->size)
		memset(run->bytes + size, 0, run->size - size);
	run->size = size;
	ck_assert_uint_eq(disk(run)->size, size);
}

static void run_command(const char *command)
{
	ck_assert_msg(system(command) == 0, "%s", command);
}

/* qemu-img reads a snapshot with the current size of the disk. */
static void compare_snapshot_with_qemu(const struct run *run, const struct snapshot_model *s)
{
	char command[512];

	write_file(REFERENCE, s->bytes, s->size);
	snprintf(command, sizeof command,
		"qemu-img convert -q -f %s -O raw -l 'snapshot.name=%s' '%s' shot.raw && "
		"cmp -n %llu shot.raw " REFERENCE,
		run->m->qemu_format, s->name, run->m->path,
		(unsigned long long)MIN(s->size, run->size));
	run_command(command);
}

/* Checks the image with image_check and with qemu-img. */
static void check_image(struct run *run)
{
	const struct model *m = run->m;
	struct check_report report = {0};
	struct err e = ERR_INIT;
	char command[512];

	run->o.write = false;
	open_again(run);
	compare(run);
	if (run->img->format->check) {
		ck_assert_ok(image_check(run->img, 0, &report, &e), &e);
		ck_assert_uint_eq(report.corruptions + report.leaks + report.check_errors, 0);
	}
	image_close(run->img);
	run->img = NULL;
	if (!m->qemu_format)
		return;
	write_file(REFERENCE, run->bytes, run->size);
	snprintf(command, sizeof command, "qemu-img compare -q -f %s -F raw '%s' " REFERENCE,
		m->qemu_format, m->path);
	run_command(command);
	for (const struct snapshot_model *s = run->snapshots; s < run->snapshots + SNAPSHOTS; s++)
		if (s->bytes)
			compare_snapshot_with_qemu(run, s);
	if (strcmp(m->qemu_format, "vpc") == 0 || strcmp(m->qemu_format, "raw") == 0)
		return; /* qemu-img cannot check it */
	snprintf(command, sizeof command, "qemu-img check -q -f %s '%s' >check.log 2>&1",
		m->qemu_format, m->path);
	run_command(command);
}

void model_run(struct model *m)
{
	struct run run = {.m = m, .o = options_new(), .state = m->seed};
	struct err e = ERR_INIT;

	run.o.write = true;
	run.o.format = m->format;
	run.o.detect_zeroes = m->seed % 2;
	ck_assert_ok(image_open(m->path, &run.o, &run.img, &e), &e);
	run.disk = run.img->states[0]->view;
	run.size = disk(&run)->size;
	run.bytes = calloc(1, MAX(run.size, m->size_max));
	ck_assert_ptr_nonnull(run.bytes);
	if (m->before)
		memcpy(run.bytes, m->before, run.size);
	compare(&run);
	for (unsigned i = 0, n = m->rounds ? m->rounds : 6; i < n; i++) {
		run_workers(&run);
		write_far(&run);
		if (m->snapshots)
			change_snapshots(&run);
		if (disk(&run)->compressed_max > 0)
			write_units(&run);
		if (m->size_max > 0)
			change_size(&run);
		compare(&run);
		if (i % 2 == 1)
			open_again(&run);
	}
	check_image(&run);
	for (unsigned i = 0; i < SNAPSHOTS; i++)
		free(run.snapshots[i].bytes);
	free(run.bytes);
	options_free(&run.o);
}
