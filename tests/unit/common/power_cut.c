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

#define SECTOR 512u
#define LOOKED UINT64_C(8192) /* sectors that are written to of a disk that grows */

/* What the disk may hold. */

/* A sector holds its number and that of the write, all over; zeroes are a clear or nothing. */
struct disk {
	uint64_t size;          /* in sectors */
	uint64_t sectors, most; /* that are written to and looked at, now and ever */
	uint64_t other_size;    /* what it may have instead, since that changes; 0: nothing */
	uint64_t *flushed;      /* the write that it must hold at least */
	uint64_t *written;      /* the last one; 0: a clear */
	uint64_t *first_later;  /* the first one since the flush; 0: none */
	bool *may_be_zero;      /* something since the flush cleared it */
	bool *uncertain;        /* the last change failed, perhaps half-way */
	const uint64_t *other;  /* it may be this instead; NULL: nothing */
};

/* The snapshot. */
struct shot {
	bool there, not_there; /* what may be so */
	uint64_t *kept;        /* the write that each sector holds */
};

/* What the image is based on, by the number of the change that said so; 0: nothing. */
struct base {
	uint64_t now;
	uint64_t other; /* or this */
};

#define BASE_NAME 1023 /* bytes at most */

struct run {
	const struct power *p;
	struct image_options o;
	struct medium medium;
	struct image *img;
	struct disk disk;
	struct shot shot;
	struct base base;
	uint64_t *nothing; /* what an emptied disk holds */
	bool in_change;    /* of the snapshot: the disk's own entries may not be flagged */
	uint64_t stamp;    /* of the last write */
	uint64_t state;
	unsigned looked;                     /* at states */
	struct scratch after, next, ignored; /* the cut; who goes on writing: its file as it sees
					      * it, and as nobody looks at it */
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

static void complain(const struct run *run, const unsigned char *p, uint64_t i)
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

/* A disk that becomes shorter loses it before its size says so. */
static bool is_about_to_go(const struct disk *d, uint64_t i)
{
	return d->other_size > 0 && i >= d->other_size;
}

static void judge_bytes(const struct run *run, const struct image *img)
{
	const struct view *v = img->states[0]->view;
	uint64_t size = v->size / SECTOR, sectors = MIN(size, run->disk.most);
	unsigned char *buf = malloc(sectors * SECTOR);
	struct err e = ERR_INIT;

	ck_assert_ptr_nonnull(buf);
	ck_assert(size == run->disk.size || size == run->disk.other_size);
	ck_assert_ok(view_read(v, buf, sectors * SECTOR, 0, &e), &e);
	for (uint64_t i = 0; i < sectors; i++)
		if (!is_about_to_go(&run->disk, i) &&
			!sector_is_good(&run->disk, buf + i * SECTOR, i))
			complain(run, buf + i * SECTOR, i);
	free(buf);
}

#define SHOT "shot"

static void judge_shot(const struct run *run, const struct image *img)
{
	const struct state *s = image_find_state(img, SHOT);
	unsigned char *buf, want[SECTOR];
	struct err e = ERR_INIT;

	ck_assert_msg(s ? run->shot.there : run->shot.not_there, "seed %llu: %s snapshot",
		(unsigned long long)run->p->seed, s ? "a" : "no");
	if (!s)
		return;
	buf = malloc(run->disk.sectors * SECTOR);
	ck_assert_ptr_nonnull(buf);
	ck_assert_ok(view_read(s->view, buf, run->disk.sectors * SECTOR, 0, &e), &e);
	for (uint64_t i = 0; i < run->disk.sectors; i++) {
		memset(want, 0, SECTOR);
		if (run->shot.kept[i])
			put_sector(want, i, run->shot.kept[i]);
		if (memcmp(buf + i * SECTOR, want, SECTOR) != 0)
			complain(run, buf + i * SECTOR, i);
	}
	free(buf);
}

/* Names of all lengths, with a format or without. */
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

static bool is_based_on(const struct run *run, const struct image *img, uint64_t no)
{
	char name[BASE_NAME + 1];

	return same_text(img->parent_name, base_name(run, no, name)) &&
	       same_text(img->parent_format, base_format(no));
}

static void judge_base(const struct run *run, const struct image *img)
{
	const struct base *b = &run->base;

	if (run->p->base_name == 0)
		return;
	ck_assert_msg(is_based_on(run, img, b->now) || is_based_on(run, img, b->other),
		"seed %llu: based on %s, format %s", (unsigned long long)run->p->seed,
		img->parent_name ? img->parent_name : "nothing",
		img->parent_format ? img->parent_format : "none");
}

/* What was told, but for the flags that follow the refcounts. */
struct findings {
	uint64_t n;
	char first[256];
};

static void found(void *arg, const char *sentence)
{
	struct findings *f = arg;

	if (strstr(sentence, "OFLAG_COPIED") || strstr(sentence, "Leaked"))
		return;
	f->n++;
	snprintf(f->first, sizeof f->first, "%s", sentence);
}

static void judge_check(const struct run *run, struct image *img, bool leaks_too)
{
	struct findings f = {0};
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

static void judge_all(const struct run *run, struct image *img, bool leaks_too)
{
	judge_bytes(run, img);
	judge_shot(run, img);
	judge_base(run, img);
	judge_check(run, img, leaks_too);
}

/* What it is based on is but a name: zeroes. */
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

/* Whoever writes to it next finds a good image, and leaves one. */
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
	judge_bytes(run, img);
	judge_shot(run, img);
	judge_base(run, img);
	memset(sector, 0xa5, SECTOR);
	ck_assert_ok(view_write(img->states[0]->view, sector, SECTOR, 0, &e), &e);
	ck_assert_ok(image_finish(img, &e), &e);
	image_close(img);
	options_free(&o);
	img = open_bytes(run, m.now, m.io.size, &o);
	judge_shot(run, img);
	judge_base(run, img);
	judge_check(run, img, false);
	run->next.used = m.io.size;
	image_close(img);
	options_free(&o);
	medium_forget(&m);
}

static void judge(struct run *run, const unsigned char *bytes, uint64_t size)
{
	struct image_options o;
	struct image *img = open_bytes(run, bytes, size, &o);

	judge_all(run, img, false);
	image_close(img);
	options_free(&o);
	if (run->looked++ % 8 == 0)
		go_on_writing(run, bytes, size);
}

/* Of the first most of what is pending every sector is there or is not. */
static void cut(struct run *run, unsigned percent, uint64_t most)
{
	medium_cut(&run->medium, &run->after, percent, most, &run->state);
	judge(run, run->after.bytes, run->after.used);
}

/* In the midst of an operation: what is pending is on its way. */
static void cut_at_sync(void *arg)
{
	static const unsigned percents[] = {50, 97, 90, 10};
	struct run *run = arg;
	uint64_t n = medium_pending(&run->medium);

	for (unsigned i = 0; i < (run->p->cuts ? run->p->cuts : COUNT(percents)); i++)
		cut(run, percents[i % COUNT(percents)], UINT64_MAX);
	/* In order, up to somewhere, and all but the last. */
	cut(run, 100, next_random(&run->state) % n);
	cut(run, 100, n - 1);
	cut(run, 100, n);
}

/* Writing. */

static void flushed(struct disk *d)
{
	for (uint64_t i = 0; i < d->sectors; i++) {
		if (d->uncertain[i])
			continue;
		d->flushed[i] = d->written[i];
		d->first_later[i] = 0;
		d->may_be_zero[i] = false;
	}
}

static void note(struct disk *d, uint64_t first, uint64_t n, uint64_t stamp)
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

/* A whole unit, from a buffer of that size. */
static int pack(struct view *v, const void *unit, uint64_t len, uint64_t off, struct err *e)
{
	void *packed = malloc(v->compressed_max);
	ssize_t n;
	int r;

	ck_assert_ptr_nonnull(packed);
	n = view_compress(v, unit, off, packed, e);
	ck_assert_int_ge(n, 0);
	r = n > 0 ? view_write_compressed(v, packed, n, off, e) : view_write(v, unit, len, off, e);
	free(packed);
	return r;
}

enum { FLUSH, CLEAR, PACK, WRITE, RESIZE, CHOICES = 10 };

static int change(
	struct view *v, unsigned what, const void *buf, uint64_t first, uint64_t n, struct err *e)
{
	if (what == CLEAR)
		return view_clear(v, first * SECTOR, n * SECTOR, e);
	if (what == PACK)
		return pack(v, buf, n * SECTOR, first * SECTOR, e);
	return view_write(v, buf, n * SECTOR, first * SECTOR, e);
}

/* What a shorter disk has lost does not come back. */
static void lose(struct disk *d, uint64_t from)
{
	uint64_t n = d->most - MIN(from, d->most);

	note(d, d->most - n, n, 0);
	memset(d->flushed + d->most - n, 0, n * sizeof d->flushed[0]);
	memset(d->first_later + d->most - n, 0, n * sizeof d->first_later[0]);
}

/* After one that failed nobody knows how long it is. */
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
	lose(d, MIN(size, d->size));
	d->size = size;
	d->sectors = MIN(d->size, d->most);
	d->other_size = 0;
	flushed(d);
	return 0;
}

/* Most formats give up only what is not stored. */
static int shrink(struct run *run, struct err *e)
{
	struct disk *d = &run->disk;
	uint64_t size = MAX(1, d->size - next_random(&run->state) % (1 + d->size / 2));
	uint64_t first = MIN(size, d->sectors), n = d->sectors - first;
	int r = 0;

	if (n > 0 && next_random(&run->state) % 4) {
		note(d, first, n, 0);
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

/* One operation; what it says.  Noted before: it may have been done in part. */
static int operate(struct run *run, struct err *e)
{
	struct view *v = run->img->states[0]->view;
	unsigned what = next_random(&run->state) % CHOICES;
	unsigned char *buf;
	uint64_t first, n;
	int r;

	if (what == FLUSH) {
		r = view_flush(v, e);
		if (r == 0)
			flushed(&run->disk);
		return r;
	}
	if (what == RESIZE && run->p->grows > 0)
		return change_size(run, e);
	choose(run, &first, &n);
	if (what == PACK && v->compressed_max == 0)
		what = WRITE;
	if (what == PACK) {
		first -= first % (v->unit / SECTOR);
		n = MIN(v->unit / SECTOR, run->disk.sectors - first);
	}
	note(&run->disk, first, n, what == CLEAR ? 0 : ++run->stamp);
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

/* Each says what came of it; when it failed, it may have been done or not. */

static int shot_take(struct run *run, struct err *e)
{
	struct shot *s = &run->shot;
	unsigned no;
	int r;

	memcpy(s->kept, run->disk.written, run->disk.sectors * sizeof s->kept[0]);
	s->there = true;
	r = snapshot_create(run->img, SHOT, &no, e);
	s->not_there = r < 0;
	return r;
}

static unsigned shot_number(const struct run *run)
{
	const struct state *s = image_find_state(run->img, SHOT);

	ck_assert_ptr_nonnull(s);
	return s->no;
}

static int shot_drop(struct run *run, struct err *e)
{
	int r;

	run->shot.not_there = true;
	r = snapshot_delete(run->img, shot_number(run), e);
	run->shot.there = r < 0;
	return r;
}

static int shot_apply(struct run *run, struct err *e)
{
	struct disk *d = &run->disk;
	int r;

	d->other = run->shot.kept;
	r = snapshot_apply(run->img, shot_number(run), e);
	if (r < 0)
		return r;
	d->other = NULL;
	memcpy(d->written, run->shot.kept, d->sectors * sizeof d->written[0]);
	return 0;
}

static int change_shot(struct run *run, struct err *e)
{
	int r;

	run->in_change = true;
	if (!run->shot.there)
		r = shot_take(run, e);
	else if (next_random(&run->state) % 2)
		r = shot_apply(run, e);
	else
		r = shot_drop(run, e);
	if (r < 0)
		return r;
	run->in_change = false;
	return 0;
}

/* What the image is based on. */

static int base_set(struct run *run, struct err *e)
{
	struct base *b = &run->base;
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

	d->other = run->nothing;
	r = image_empty(run->img, e);
	if (r < 0)
		return r;
	d->other = NULL;
	memset(d->written, 0, d->sectors * sizeof d->written[0]);
	return 0;
}

/* More than writing; does nothing where nothing of that is asked for. */
static int change_more(struct run *run, struct err *e)
{
	const struct power *p = run->p;
	bool based = p->base_name > 0 && (!p->snapshots || next_random(&run->state) % 2);
	int r;

	if (!based && !p->snapshots)
		return 0;
	if (!based)
		r = change_shot(run, e);
	else
		r = next_random(&run->state) % 4 ? base_set(run, e) : empty(run, e);
	if (r == 0)
		flushed(&run->disk);
	return r;
}

static void disk_new(struct disk *d, uint64_t size, uint64_t grows)
{
	uint64_t most = grows > 0 ? MIN(grows, LOOKED) : size;

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
	run->shot.not_there = true;
	run->shot.kept = calloc(run->disk.sectors, sizeof run->shot.kept[0]);
	run->nothing = calloc(run->disk.sectors, sizeof run->nothing[0]);
	ck_assert(run->shot.kept && run->nothing);
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
	free(run->shot.kept);
	free(run->nothing);
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
	flushed(&run->disk);
	img = open_bytes(run, run->medium.durable, run->medium.durable_size, &o);
	/* Tables of a disk that was longer may be left behind. */
	judge_all(run, img, !run->p->shrinks);
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
		ck_assert_ok(operate(&run, &e), &e);
		cut(&run, 50, UINT64_MAX);
		if (i % 8 == 7)
			ck_assert_ok(change_more(&run, &e), &e);
		if (i % 64 == 63) {
			finish(&run);
			image_close(run.img);
			run_open(&run);
		}
	}
	finish(&run);
	if (power_factor() > 0)
		printf("%s: %u states\n", p->path, run.looked);
	run_end(&run);
}

#define FAULT_OPS 24

static bool has_struck(const struct run *run)
{
	return run->medium.calls >= run->medium.fails_at;
}

/* True: the scenario came to its end without a fault, since there are fewer calls. */
static bool fail_at(const struct power *p, unsigned n, int failure)
{
	struct err e = ERR_INIT;
	struct run run;
	bool struck;

	run_begin(&run, p);
	run.medium.failure = failure;
	run.medium.fails_at = run.medium.calls + n;
	for (unsigned i = 0; i < FAULT_OPS; i++) {
		operate(&run, &e);
		struck = has_struck(&run);
		/* What a snapshot has of a write that failed cannot be known. */
		if (i % 6 == 5 && e.code == 0 && change_more(&run, &e) < 0)
			break;
		/* Nor may all be flagged that is the disk's own, when what struck was the tidying
		 * up behind a change. */
		run.in_change |= !struck && has_struck(&run);
	}
	struck = has_struck(&run);
	/* An error was told of, unless the fault struck what nobody waits for. */
	if (!struck)
		ck_assert_int_eq(e.code, 0);
	cut(&run, 100, UINT64_MAX);
	cut(&run, 50, UINT64_MAX);
	run_end(&run);
	return !struck;
}

void power_faults(const struct power *p)
{
	static const int failures[] = {ENOSPC, EIO};

	for (size_t i = 0; i < COUNT(failures); i++)
		for (unsigned n = 1; !fail_at(p, n, failures[i]); n++)
			;
}
