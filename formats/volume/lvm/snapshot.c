/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* snapshot.c - see the kernel's drivers/md/dm-snap-persistent.c.
 *
 * The first chunk of the store is a header.  Areas of exceptions follow, each in a chunk, with the
 * chunks that its exceptions name after it.  An exception is never changed, and the first that
 * names the chunk 0 is the end of all.
 */
#include "snapshot.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "util/array.h"
#include "util/bytes.h"
#include "util/err.h"
#include "util/limits.h"
#include "view/view.h"

#define SECTOR     512u
#define HEADER     16u
#define MAGIC      0x70416e53u /* "SnAp" */
#define VERSION    1u
#define MAX_CHUNK  (1u << 30)
#define EXCEPTION  16u
#define PIECE      4096u /* bytes of an area that are read at once */
#define RUN_BITS   20
#define MAX_STORED (UINT64_C(1) << (64 - RUN_BITS))

/* Exceptions that follow each other in the origin and in the store. */
struct run {
	uint64_t old;
	uint64_t new : 64 - RUN_BITS;
	uint64_t n : RUN_BITS;
};

struct snapshot {
	struct view view;
	struct view *origin, *cow;
	pthread_rwlock_t lock; /* of all below */
	unsigned char header[HEADER];
	uint64_t chunk;    /* bytes; 0: the store is not used yet */
	uint64_t chunks;   /* of the store */
	uint64_t area_len; /* exceptions of an area */
	struct run *runs;  /* sorted by old while the lock is free */
	size_t n;
	uint64_t read; /* exceptions */
};

/* The header. */

static int parse_header(struct snapshot *s, struct err *e)
{
	const unsigned char *p = s->header;
	uint32_t sectors = load_le32(p + 12);

	if (is_zero(p, HEADER)) /* the kernel writes the header when it activates it first */
		return 0;
	if (load_le32(p) != MAGIC)
		return err_set(e, EUCLEAN, "no header");
	if (load_le32(p + 8) != VERSION)
		return err_set(e, ENOTSUP, "version %" PRIu32, load_le32(p + 8));
	if (load_le32(p + 4) == 0)
		return err_set(e, ENOTSUP,
			"it is marked as invalid: it was full or could not be "
			"written, and the snapshot has lost its bytes");
	s->chunk = (uint64_t)sectors * SECTOR;
	if (!is_power_of_2(s->chunk) || s->chunk > MAX_CHUNK)
		return err_set(e, EUCLEAN, "chunks of %" PRIu32 " sectors", sectors);
	s->area_len = s->chunk / EXCEPTION;
	s->chunks = MIN(s->cow->size / s->chunk, MAX_STORED);
	return 0;
}

/* Exceptions. */

/* The position of an exception in the store; EUCLEAN: its area is not in it. */
static int place_of(const struct snapshot *s, uint64_t i, uint64_t *pos, struct err *e)
{
	uint64_t chunk = 1 + i / s->area_len * (s->area_len + 1);

	*pos = chunk * s->chunk + i % s->area_len * EXCEPTION;
	if (chunk < s->chunks)
		return 0;
	return err_set(e, EUCLEAN, "the exceptions go on after its end");
}

/* A hostile group can have thousands of snapshots, so that a limit for each is not enough. */
static atomic_size_t all_runs;

static int add_run(struct snapshot *s, uint64_t old, uint64_t new, struct err *e)
{
	struct run *runs;

	if (s->n == SNAPSHOT_MAX_RUNS)
		return err_set(e, E2BIG, "more than %u exceptions that do not follow each other",
			SNAPSHOT_MAX_RUNS);
	runs = array_grow(s->runs, s->n, sizeof runs[0]);
	if (!runs)
		return err_nomem(e);
	s->runs = runs;
	if (atomic_fetch_add(&all_runs, 1) >= SNAPSHOT_MAX_ALL_RUNS) {
		atomic_fetch_sub(&all_runs, 1);
		return err_set(e, E2BIG,
			"all snapshots in use have more than %u exceptions that do not follow each "
			"other",
			SNAPSHOT_MAX_ALL_RUNS);
	}
	s->runs[s->n++] = (struct run){.old = old, .new = new, .n = 1};
	return 0;
}

static void drop_runs(struct snapshot *s)
{
	atomic_fetch_sub(&all_runs, s->n);
	free(s->runs);
	s->runs = NULL;
	s->n = 0;
}

/* Adds an exception to the last run, or as a run. */
static int add(struct snapshot *s, uint64_t old, uint64_t new, struct err *e)
{
	struct run *last = s->n > 0 ? &s->runs[s->n - 1] : NULL;

	if (s->read == SNAPSHOT_MAX_EXCEPTIONS)
		return err_set(e, E2BIG, "more than %u exceptions", SNAPSHOT_MAX_EXCEPTIONS);
	if (old > LIMIT_DISK_SIZE / s->chunk)
		return err_set(
			e, EUCLEAN, "exception %" PRIu64 " is of chunk %" PRIu64, s->read, old);
	if (new >= s->chunks || (new - 1) % (s->area_len + 1) == 0)
		return err_set(e, EUCLEAN,
			"exception %" PRIu64 " is in chunk %" PRIu64 " of %" PRIu64, s->read, new,
			s->chunks);
	if (last && old == last->old + last->n && new == last->new + last->n &&
		last->n < (1u << RUN_BITS) - 1) {
		last->n++;
		return 0;
	}
	return add_run(s, old, new, e);
}

/* Reads exceptions up to the end of an area at most; *end: the last one was found. */
static int read_piece(struct snapshot *s, bool *end, struct err *e)
{
	unsigned char piece[PIECE];
	uint64_t pos, n = MIN(PIECE / EXCEPTION, s->area_len - s->read % s->area_len);
	int r = place_of(s, s->read, &pos, e);

	if (r == 0)
		r = view_read_inside(s->cow, piece, n * EXCEPTION, pos, e);
	for (uint64_t i = 0; r == 0 && i < n && !*end; i++) {
		uint64_t old = load_le64(piece + i * EXCEPTION);
		uint64_t new = load_le64(piece + i * EXCEPTION + 8);

		*end = new == 0;
		if (!*end)
			r = add(s, old, new, e);
		if (r == 0 && !*end)
			s->read++;
	}
	return r;
}

static int run_compare(const void *a, const void *b)
{
	const struct run *x = a, *y = b;

	return x->old < y->old ? -1 : x->old > y->old;
}

static int sort(struct snapshot *s, struct err *e)
{
	if (s->n > 0)
		qsort(s->runs, s->n, sizeof s->runs[0], run_compare);
	for (size_t i = 1; i < s->n; i++)
		if (s->runs[i].old - s->runs[i - 1].old < s->runs[i - 1].n)
			return err_set(e, EUCLEAN, "two exceptions of chunk %" PRIu64,
				(uint64_t)s->runs[i].old);
	return 0;
}

/* Reads the exceptions that were added since the last call. */
static int read_exceptions(struct snapshot *s, struct err *e)
{
	bool end = false;
	int r = 0;

	while (r == 0 && !end)
		r = read_piece(s, &end, e);
	return r == 0 ? sort(s, e) : r;
}

/* The parts of the view. */

static int read_header(const struct snapshot *s, unsigned char *header, struct err *e)
{
	return view_read_inside(s->cow, header, HEADER, 0, e);
}

/* Is the store as it was when it was read?  The end of the exceptions tells that; lock is held. */
static int is_current(const struct snapshot *s, bool *current, struct err *e)
{
	unsigned char header[HEADER], next[EXCEPTION] = {0};
	uint64_t pos;
	int r = read_header(s, header, e);

	*current = r == 0 && memcmp(header, s->header, HEADER) == 0;
	if (!*current || s->chunk == 0)
		return r;
	r = place_of(s, s->read, &pos, e);
	if (r == 0)
		r = view_read_inside(s->cow, next, sizeof next, pos, e);
	*current = load_le64(next + 8) == 0;
	return r;
}

/* Forgets all: a header of these bytes is not read. */
static void reset(struct snapshot *s)
{
	memset(s->header, 0xff, HEADER);
	s->chunk = 0;
	drop_runs(s);
	s->read = 0;
}

/* Brings it up to date; lock is held exclusively. */
static int refresh(struct snapshot *s, struct err *e)
{
	unsigned char header[HEADER];
	int r = read_header(s, header, e);

	if (r == 0 && memcmp(header, s->header, HEADER) != 0) {
		reset(s);
		memcpy(s->header, header, HEADER);
		r = parse_header(s, e);
	}
	if (r == 0 && s->chunk > 0)
		r = read_exceptions(s, e);
	if (r < 0)
		reset(s);
	return r;
}

/* Takes lock and makes sure that all is up to date. */
static int begin(struct snapshot *s, struct err *e)
{
	bool current;
	int r;

	pthread_rwlock_rdlock(&s->lock);
	r = is_current(s, &current, e);
	if (r < 0 || current)
		return r;
	pthread_rwlock_unlock(&s->lock);
	pthread_rwlock_wrlock(&s->lock);
	return refresh(s, e);
}

/* Mapping. */

static int chunk_compare(const void *key, const void *element)
{
	uint64_t chunk = *(const uint64_t *)key;
	const struct run *r = element;

	return chunk < r->old ? -1 : chunk > r->old;
}

static void map_chunk(const struct snapshot *s, uint64_t off, uint64_t len, struct extent *x)
{
	uint64_t chunk = off / s->chunk, skip = off % s->chunk;
	size_t i = array_lower_bound(&chunk, s->runs, s->n, sizeof s->runs[0], chunk_compare);
	const struct run *next = i < s->n ? &s->runs[i] : NULL, *run = next;

	if (i > 0 && (!next || next->old != chunk))
		run = &s->runs[i - 1];
	if (run && chunk >= run->old && chunk - run->old < run->n) {
		x->below = s->cow;
		x->pos = (run->new + (chunk - run->old)) * s->chunk + skip;
		x->len = (run->n - (chunk - run->old)) * s->chunk - skip;
		return;
	}
	x->below = s->origin;
	x->pos = off;
	x->len = next ? MIN(len, (next->old - chunk) * s->chunk - skip) : len;
}

static int snapshot_map(
	const struct view *v, uint64_t off, uint64_t len, struct extent *x, struct err *e)
{
	struct snapshot *s = (struct snapshot *)v;
	int r = begin(s, e);

	x->kind = EXTENT_BELOW;
	if (r == 0 && s->chunk > 0) {
		map_chunk(s, off, len, x);
	} else if (r == 0) {
		x->below = s->origin;
		x->pos = off;
		x->len = len;
	}
	pthread_rwlock_unlock(&s->lock);
	return r < 0 ? err_in(e, "exception store") : 0;
}

/* The view. */

static void free_snapshot(struct snapshot *s)
{
	pthread_rwlock_destroy(&s->lock);
	drop_runs(s);
	free(s);
}

static void snapshot_free(struct view *v)
{
	struct snapshot *s = (struct snapshot *)v;

	view_free(s->origin);
	view_free(s->cow);
	free_snapshot(s);
}

struct view *snapshot_view(uint64_t size, struct view *origin, struct view *cow, struct err *e)
{
	static const struct view_ops ops = {.map = snapshot_map, .free = snapshot_free};
	struct snapshot *s;
	int r;

	if (size > origin->size) {
		err_set(e, EUCLEAN, "its origin ends at %" PRIu64 ", before %" PRIu64,
			(uint64_t)origin->size, size);
		return NULL;
	}
	s = calloc(1, sizeof *s);
	if (!s) {
		err_nomem(e);
		return NULL;
	}
	s->view = (struct view){.ops = &ops, .size = size};
	s->view.writer = origin->writer ? origin->writer : cow->writer;
	s->origin = origin;
	s->cow = cow;
	pthread_rwlock_init(&s->lock, NULL);
	reset(s);
	view_enter(&s->view);
	r = refresh(s, e);
	view_leave(&s->view);
	if (r == 0)
		return &s->view;
	err_in(e, "exception store");
	free_snapshot(s);
	return NULL;
}
