/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "power_cut_create.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "util/bytes.h"
#include "image/check.h"
#include "open/create.h"
#include "util/err.h"
#include "image/format.h"
#include "open/registry.h"
#include "io/io.h"
#include "crash_storage.h"
#include "unit.h"
#include "view/view.h"
#include "open/open.h"

#define PATH "created"

struct run {
	const struct power_create *p;
	struct medium medium;
	struct scratch after;
	uint64_t state;
	unsigned refused, old, new; /* number of states: refused; the old image; the new image */
};

static void found(void *arg, const char *sentence)
{
	(void)arg;
	(void)sentence;
}

static void verify_disk(struct run *run, struct image *img)
{
	const struct view *v = img->states[0]->view;
	struct check_report report = {.found = found};
	unsigned char *buf = malloc(v->size + 1);
	struct err e = ERR_INIT;

	ck_assert_ptr_nonnull(buf);
	ck_assert_msg(v->size == run->p->size || v->size == run->p->old_size ||
			      (v->size == 0 && strcmp(run->p->format, "raw") == 0),
		"seed %llu: a disk of %llu bytes", (unsigned long long)run->p->seed,
		(unsigned long long)v->size);
	ck_assert_ok(view_read(v, buf, v->size, 0, &e), &e);
	ck_assert(is_zero(buf, v->size));
	if (img->format->check) {
		ck_assert_ok(image_check(img, 0, &report, &e), &e);
		ck_assert_msg(report.corruptions == 0 && report.check_errors == 0,
			"seed %llu: damage", (unsigned long long)run->p->seed);
	}
	*(v->size == run->p->size ? &run->new : &run->old) += 1;
	free(buf);
}

static void verify_as(struct run *run, const char *format)
{
	struct image_options o = options_new();
	struct err e = ERR_INIT;
	struct io *io = io_from_memory(run->after.bytes, run->after.used, "after the cut", &e);
	struct image *img;

	ck_assert_ptr_nonnull(io);
	o.format = format;
	if (image_open_io(io, &o, &img, &e) == 0) {
		verify_disk(run, img);
		image_close(img);
	} else {
		run->refused++;
	}
	options_free(&o);
}

static void cut(struct run *run, unsigned percent, uint64_t most)
{
	medium_cut(&run->medium, &run->after, percent, most, &run->state);
	verify_as(run, run->p->format);
	verify_as(run, NULL);
}

static void cut_at_sync(void *arg)
{
	static const unsigned percents[] = {50, 97, 90, 10, 60, 99};
	struct run *run = arg;
	uint64_t n = medium_pending(&run->medium);

	for (size_t i = 0; i < COUNT(percents); i++)
		cut(run, percents[i], UINT64_MAX);
	for (uint64_t i = 0; i <= MIN(n, 40); i++)
		cut(run, 100, i);
	cut(run, 100, UINT64_MAX);
}

static void run_begin(struct run *run, const struct power_create *p)
{
	*run = (struct run){.p = p, .state = p->seed};
	if (p->old_size > 0)
		make_image(p->format, PATH, p->old_size, NULL, p->old_options);
	else
		write_file(PATH, "", 0);
	medium_load(&run->medium, PATH);
	run->medium.arg = run;
}

static int create(struct run *run, struct err *e)
{
	struct create_request r = {.size = run->p->size, .options = run->p->options};
	struct io *io = medium_io(&run->medium);
	int ret = image_create_io(registry_find(run->p->format), io, &r, e);

	free(io->name);
	return ret;
}

static void run_end(struct run *run)
{
	medium_free(&run->medium);
	free(run->after.bytes);
	ck_assert_int_eq(unlink(PATH), 0);
}

static void cut_everywhere(const struct power_create *p)
{
	struct err e = ERR_INIT;
	struct run run;

	run_begin(&run, p);
	run.medium.before_sync = cut_at_sync;
	ck_assert_ok(create(&run, &e), &e);
	ck_assert_ptr_null(run.medium.first);
	if (p->old_size > 0)
		ck_assert_uint_gt(run.old, 0);
	run.new = 0;
	cut(&run, 0, 0);
	ck_assert_uint_gt(run.new, 0);
	run_end(&run);
}

/* Returns true if the creation makes fewer than n calls. */
static bool fail_at(const struct power_create *p, unsigned n)
{
	struct err e = ERR_INIT;
	struct run run;
	int r;

	run_begin(&run, p);
	run.medium.failure = EIO;
	run.medium.fails_at = n;
	r = create(&run, &e);
	cut(&run, 50, UINT64_MAX);
	cut(&run, 100, UINT64_MAX);
	run_end(&run);
	ck_assert_int_eq(r, run.medium.calls < n ? 0 : -EIO);
	return r == 0;
}

void power_create(const struct power_create *p)
{
	cut_everywhere(p);
	for (unsigned n = 1; !fail_at(p, n); n++)
		;
}
