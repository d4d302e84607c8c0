/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fault_io.h"
#include "io/io.h"
#include "test_image.h"
#include "unit.h"
#include "open/open.h"

void subject_new(struct subject *s, const char *format)
{
	*s = (struct subject){.o = options_new(), .e = ERR_INIT};
	s->o.format = format;
}

static void close_image(struct subject *s)
{
	image_close(s->img);
	s->img = NULL;
}

void subject_free(struct subject *s)
{
	close_image(s);
	options_free(&s->o);
}

static int try_open(struct subject *s, const void *bytes, size_t len)
{
	struct io *io = io_from_memory(bytes, len, "memory", &s->e);

	ck_assert(io);
	return image_open_io(io, &s->o, &s->img, &s->e);
}

const struct view *subject_opens(struct subject *s, const void *bytes, size_t len)
{
	int r;

	close_image(s);
	r = try_open(s, bytes, len);
	ck_assert_ok(r, &s->e);
	return s->img->states[0]->view;
}

void subject_refuses(struct subject *s, const void *bytes, size_t len, int code, const char *text)
{
	void *before = malloc(len + 1);
	int r;

	ck_assert(before);
	memcpy(before, bytes, len);
	close_image(s);
	r = try_open(s, bytes, len);
	ck_assert_fails(r, code, &s->e, text);
	ck_assert_mem_eq(before, bytes, len);
	free(before);
}

void subject_faults(struct subject *s, const void *bytes, size_t len, unsigned least)
{
	unsigned nth = 0;
	int failed;

	do {
		struct io *io = fault_io_new(bytes, len);
		int r;

		close_image(s);
		fault_io_arm(io_ref(io), ++nth, FAULT_EIO);
		r = image_open_io(io, &s->o, &s->img, &s->e);
		failed = fault_io_failed(io);
		io_unref(io);
		ck_assert_int_eq(r, failed ? -EIO : 0);
	} while (failed);
	ck_assert_uint_gt(nth, least);
}

void subject_reads(const struct view *v, uint64_t off, size_t len, unsigned char byte)
{
	unsigned char *buf = malloc(len);
	struct err e = ERR_INIT;

	ck_assert(buf);
	memset(buf, ~byte, len);
	ck_assert_ok(view_read(v, buf, len, off, &e), &e);
	for (size_t i = 0; i < len; i++)
		if (buf[i] != byte) /* a ck_assert costs a system call */
			ck_abort_msg(
				"byte %#jx is %#x, not %#x", (uintmax_t)(off + i), buf[i], byte);
	free(buf);
}

void subject_fails(const struct view *v, uint64_t off, int code, const char *text)
{
	struct err e = ERR_INIT;
	char byte;

	ck_assert_fails(view_read(v, &byte, 1, off, &e), code, &e, text);
}

struct extent subject_extent(const struct view *v, uint64_t off)
{
	struct err e = ERR_INIT;
	struct extent x;

	ck_assert_ok(view_resolve(v, off, v->size - off, &x, &e), &e);
	return x;
}

void subject_maps(const struct view *v, uint64_t off, enum extent_kind kind, uint64_t len)
{
	struct extent x = subject_extent(v, off);

	ck_assert_msg(x.kind == kind && x.len == len,
		"%#jx: kind %d, %#jx bytes; kind %d, %#jx expected", (uintmax_t)off, x.kind,
		(uintmax_t)x.len, kind, (uintmax_t)len);
}
