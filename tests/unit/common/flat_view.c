/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "flat_view.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include "util/bytes.h"
#include "util/err.h"
#include "io/io.h"
#include "view/view.h"
#include "unit.h"

#define THREADS 4
#define PIECES  300

struct flat {
	struct view view;
	struct io *io;
	uint64_t broken, broken_end;
};

static int flat_map(
	const struct view *v, uint64_t off, uint64_t len, struct extent *x, struct err *e)
{
	const struct flat *f = (const struct flat *)v;

	if (off >= f->broken && off < f->broken_end)
		return err_set(e, EIO, "a broken byte at %d", (int)off);
	x->kind = EXTENT_FILE;
	x->io = f->io;
	x->pos = off;
	x->len = off < f->broken ? MIN(len, f->broken - off) : len;
	return 0;
}

static void flat_free(struct view *v)
{
	io_unref(((struct flat *)v)->io);
	free(v);
}

struct view *flat_view_new(const void *bytes, size_t len)
{
	static const struct view_ops ops = {.map = flat_map, .free = flat_free};
	struct flat *f = calloc(1, sizeof *f);
	struct err e = ERR_INIT;

	ck_assert_ptr_nonnull(f);
	f->view = (struct view){.ops = &ops, .size = len};
	f->io = io_from_memory(bytes, len, "memory", &e);
	ck_assert_ptr_nonnull(f->io);
	return &f->view;
}

void flat_view_break(struct view *v, uint64_t off, uint64_t len)
{
	struct flat *f = (struct flat *)v;

	f->broken = off;
	f->broken_end = off + len;
}

struct reader {
	const struct view *view;
	const unsigned char *bytes;
	size_t len;
	uint64_t seed;
	unsigned wrong;
};

/* No assertion: it is not the thread of the test. */
static void *read_pieces(void *arg)
{
	struct reader *r = arg;
	unsigned char *buf = malloc(r->len);

	for (unsigned i = 0; buf && i < PIECES; i++) {
		size_t off = next_random(&r->seed) % r->len;
		size_t len = 1 + next_random(&r->seed) % MIN(r->len - off, 100000);
		struct err e = ERR_INIT;

		r->wrong += view_read(r->view, buf, len, off, &e) < 0 ||
			    memcmp(buf, r->bytes + off, len) != 0;
	}
	r->wrong += !buf;
	free(buf);
	return NULL;
}

void flat_view_compare(const struct view *v, const void *bytes, size_t len)
{
	unsigned char *buf = malloc(len);
	struct reader readers[THREADS];
	pthread_t threads[THREADS];
	struct err e = ERR_INIT;

	ck_assert_ptr_nonnull(buf);
	ck_assert_uint_eq(v->size, len);
	ck_assert_ok(view_read(v, buf, len, 0, &e), &e);
	for (size_t i = 0; i < len; i++)
		if (buf[i] != ((const unsigned char *)bytes)[i])
			ck_abort_msg("the byte at %zu is wrong", i);
	free(buf);
	for (unsigned i = 0; i < THREADS; i++) {
		readers[i] = (struct reader){.view = v, .bytes = bytes, .len = len, .seed = 1 + i};
		ck_assert_int_eq(pthread_create(&threads[i], NULL, read_pieces, &readers[i]), 0);
	}
	for (unsigned i = 0; i < THREADS; i++) {
		ck_assert_int_eq(pthread_join(threads[i], NULL), 0);
		ck_assert_uint_eq(readers[i].wrong, 0);
	}
}
