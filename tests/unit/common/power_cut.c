/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "power_cut.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "image/image.h"
#include "util/bytes.h"
#include "image/check.h"
#include "util/err.h"
#include "image/format.h"
#include "io/io.h"
#include "crash_storage.h"
#include "image/snapshot.h"
#include "unit.h"
#include "view/view.h"
#include "open/open.h"

#define SECTOR          512u
#define WRITTEN_SECTORS UINT64_C(8192) /* sectors that are written to on a disk that is resized */

/* The contents that each sector of the disk may have. */

/* A write fills a sector with the sector's number and the number of the write.  Zeroes: never
 * written, or cleared. */
struct disk {
	uint64_t size;          /* in sectors */
	uint64_t sectors, most; /* written to and compared: now; at most */
	uint64_t other_size;    /* the new size while a resize is pending; 0: none */
	uint64_t *flushed;      /* the last write that a flush has made durable */
	uint64_t *written;      /* the last write; 0: clear */
	uint64_t *first_later;  /* the first write since the flush; 0: none */
	bool *may_be_zero;      /* cleared since the flush */
	bool *uncertain;        /* the last write or clear failed, perhaps half done */
	const uint64_t *other;  /* allowed as well, while a snapshot is applied; may be NULL */
};

/* The snapshot. */
struct snapshot_model {
	bool may_exist, may_be_absent; /* allowed states; both during a change */
	uint64_t *written;             /* the write in each sector */
};

/* The backing file, by the number of the change that set it; 0: none. */
struct backing_model {
	uint64_t now;
	uint64_t other; /* allowed as well, during a change */
};

#define BASE_NAME 1023 /* longest name in bytes */

struct run {
	const struct power *p;
	struct image_options o;
	struct medium medium;
	struct image *img;
	struct disk disk;
	struct snapshot_model snapshot;
	struct backing_model base;
	uint64_t *no_writes; /* contents of an emptied disk */
	bool in_change;      /* of snapshots: COPIED flags may be missing */
	uint64_t stamp;      /* number of the last write */
	uint64_t state;
	unsigned verified;            /* states that were checked */
	struct scratch after;         /* the file after the power cut */
	struct scratch next, ignored; /* its current and durable contents in go_on_writing */
};

static void put_sector(unsigned char *p, uint64_t sector, uint64_t stamp)
{
	for (unsigned i = 0; i < SECTOR; i += 16) {
		memcpy(p + i, &sector, 8);
		memcpy(p + i + 8, &stamp, 8);
	}
}

static bool sector_is_good(const struct disk *d, const unsigned char *p, uint64_t i)
{
	unsigned char want[SECTOR];
	uint64_t stamp;

	if (is_zero(p, SECTOR))
		return d->flushed[i] == 0 || d->may_be_zero[i] || (d->other && !d->other[i]);
	memcpy(&stamp, p + 8, 8);
	put_sector(want, i, stamp);
	return memcmp(p, want, SECTOR) == 0 &&
	       (stamp == d->flushed[i] || (d->first_later[i] && stamp >= d->first_later[i]) ||
		       (d->other && stamp == d->other[i]));
}

static void fail_at_sector(const struct run *run, const unsigned char *p, uint64_t i)
{
	uint64_t sector, stamp;

	memcpy(&sector, p, 8);
	memcpy(&stamp, p + 8, 8);
	ck_abort_msg("seed %llu: sector %llu holds write %llu of sector %llu; %llu was flushed, "
		     "%llu came later",
		(unsigned long long)run->p->seed, (unsigned long long)i, (unsigned long long)stamp,
		(unsigned long long)sector, (unsigned long long)run->disk.flushed[i],
		(unsigned long long)run->disk.written[i]);
}

/* The range beyond the new size is discarded before the size changes, so its contents are
 * undefined. */
static bool is_beyond_new_end(const struct disk *d, uint64_t i)
{
	return d->other_size > 0 && i >= d->other_size;
}

static void compare_disk(const struct run *run, const struct image *img)
{
	const struct view *v = img->states[0]->view;
	uint64_t size = v->size / SECTOR, sectors = MIN(size, run->disk.most);
	unsigned char *buf = malloc(sectors * SECTOR);
	struct err e = ERR_INIT;

	ck_assert_ptr_nonnull(buf);
	ck_assert(size == run->disk.size || size == run->disk.other_size);
	ck_assert_ok(view_read(v, buf, sectors * SECTOR, 0, &e), &e);
	for (uint64_t i = 0; i < sectors; i++)
		if (!is_beyond_new_end(&run->disk, i) &&
			!sector_is_good(&run->disk, buf + i * SECTOR, i))
			fail_at_sector(run, buf + i * SECTOR, i);
	free(buf);
}

#define SNAPSHOT "snapshot"

static void compare_snapshot(const struct run *run, const struct image *img)
{
	const struct state *s = image_find_state(img, SNAPSHOT);
	unsigned char *buf, want[SECTOR];
	struct err e = ERR_INIT;

	ck_assert_msg(s ? run->snapshot.may_exist : run->snapshot.may_be_absent,
		"seed %llu: %s snapshot", (unsigned long long)run->p->seed, s ? "a" : "no");
	if (!s)
		return;
	buf = malloc(run->disk.sectors * SECTOR);
	ck_assert_ptr_nonnull(buf);
	ck_assert_ok(view_read(s->view, buf, run->disk.sectors * SECTOR, 0, &e), &e);
	for (uint64_t i = 0; i < run->disk.sectors; i++) {
		memset(want, 0, SECTOR);
		if (run->snapshot.written[i])
			put_sector(want, i, run->snapshot.written[i]);
		if (memcmp(buf + i * SECTOR, want, SECTOR) != 0)
			fail_at_sector(run, buf + i * SECTOR, i);
	}
	free(buf);
}

/* The name and format of a backing file are derived from its number: all lengths, with and without
 * a format. */
static const char *base_name(const struct run *run, uint64_t no, char name[BASE_NAME + 1])
{
	uint64_t random = no;
	size_t len = 1 + next_random(&random) % run->p->base_name;

	if (no == 0)
		return NULL;
	memset(name, 'a' + no % 26, len);
	name[len] = '\0';
	return name;
}

static const char *base_format(uint64_t no)
{
	static const char *const kinds[] = {NULL, "raw", "qcow2", "15_bytes_long__"};

	return no == 0 ? NULL : kinds[no / 2 % COUNT(kinds)];
}

static bool same_text(const char *a, const char *b)
{
	return a && b ? strcmp(a, b) == 0 : a == b;
}

static bool has_backing(const struct run *run, const struct image *img, uint64_t no)
{
	char name[BASE_NAME + 1];

	return same_text(img->parent_name, base_name(run, no, name)) &&
	       same_text(img->parent_format, base_format(no));
}

static void compare_backing(const struct run *run, const struct image *img)
{
	const struct backing_model *b = &run->base;

	if (run->p->base_name == 0)
		return;
	ck_assert_msg(has_backing(run, img, b->now) || has_backing(run, img, b->other),
		"seed %llu: based on %s, format %s", (unsigned long long)run->p->seed,
		img->parent_name ? img->parent_name : "nothing",
		img->parent_format ? img->parent_format : "none");
}

/* The messages of a check, without leaks and missing COPIED flags, which an interrupted snapshot
 * change may leave. */
struct problems {
	uint64_t n;
	char first[256];
};

static void found(void *arg, const char *sentence)
{
	struct problems *f = arg;

	if (strstr(sentence, "OFLAG_COPIED") || strstr(sentence, "Leaked"))
		return;
	f->n++;
	snprintf(f->first, sizeof f->first, "%s", sentence);
}

static void run_check(const struct run *run, struct image *img, bool leaks_too)
{
	struct problems f = {0};
	struct check_report report = {.found = found, .arg = &f};
	struct err e = ERR_INIT;

	if (run->p->no_check || !img->format->check)
		return;
	ck_assert_ok(image_check(img, 0, &report, &e), &e);
	ck_assert_msg((report.corruptions == 0 || (run->in_change && f.n == 0)) &&
			      report.check_errors == 0,
		"seed %llu: %s", (unsigned long long)run->p->seed, f.first);
	ck_assert_msg(!leaks_too || report.leaks == 0, "seed %llu: leaks",
		(unsigned long long)run->p->seed);
}

static void verify_image(const struct run *run, struct image *img, bool leaks_too)
{
	compare_disk(run, img);
	compare_snapshot(run, img);
	compare_backing(run, img);
	run_check(run, img, leaks_too);
}

/* The backing file exists by name only and reads as zeroes. */
static struct image *open_medium(const struct run *run, struct io *io, struct image_options *o)
{
	struct err e = ERR_INIT;
	struct image *img;

	o->format = run->p->format;
	o->nobacking = true;
	ck_assert_msg(image_open_io(io, o, &img, &e) == 0, "seed %llu: %s",
		(unsigned long long)run->p->seed, e.text);
	image_swap_parent(img, NULL);
	return img;
}

static struct image *open_bytes(
	const struct run *run, const unsigned char *bytes, uint64_t size, struct image_options *o)
{
	struct err e = ERR_INIT;
	struct io *io = io_from_memory(bytes, size, "after the cut", &e);

	*o = options_new();
	ck_assert_ptr_nonnull(io);
	return open_medium(run, io, o);
}

/* The image can be opened for writing after the power cut, and has no corruption after a write. */
static void go_on_writing(struct run *run, const unsigned char *bytes, uint64_t size)
{
	struct image_options o = options_new();
	struct medium m = {.durable_size = size};
	struct err e = ERR_INIT;
	unsigned char sector[SECTOR];
	struct image *img;

	m.now = scratch_fill(&run->next, bytes, size);
	m.durable = scratch_fill(&run->ignored, NULL, 0);
	m.last = &m.first;
	o.write = true;
	img = open_medium(run, medium_io(&m), &o);
	compare_disk(run, img);
	compare_snapshot(run, img);
	compare_backing(run, img);
	memset(sector, 0xa5, SECTOR);
	ck_assert_ok(view_write(img->states[0]->view, sector, SECTOR, 0, &e), &e);
	ck_assert_ok(image_finish(img, &e), &e);
	image_close(img);
	options_free(&o);
	img = open_bytes(run, m.now, m.io.size, &o);
	compare_snapshot(run, img);
	compare_backing(run, img);
	run_check(run, img, false);
	run->next.used = m.io.size;
	image_close(img);
	options_free(&o);
	medium_drop_pending(&m);
}

static void verify_file(struct run *run, const unsigned char *bytes, uint64_t size)
{
	struct image_options o;
	struct image *img = open_bytes(run, bytes, size, &o);

	verify_image(run, img, false);
	image_close(img);
	options_free(&o);
	if (run->verified++ % 8 == 0)
		go_on_writing(run, bytes, size);
}

/* Writes or drops each sector of the first most pending calls at random. */
static void cut(struct run *run, unsigned percent, uint64_t most)
{
	medium_cut(&run->medium, &run->after, percent, most, &run->state);
	verify_file(run, run->after.bytes, run->after.used);
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
		put_sector(buf + i * SECTOR, first + i, run->stamp);
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
	r = image_set_backing(run->img, base_name(run, no, name), base_format(no), e);
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
	run->img = open_medium(run, medium_io(&run->medium), &run->o);
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
	img = open_bytes(run, run->medium.durable, run->medium.durable_size, &o);
	/* Shrinking may leave tables of the longer disk as leaks. */
	verify_image(run, img, !run->p->shrinks);
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
