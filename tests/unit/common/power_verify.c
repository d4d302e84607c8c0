/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "power_verify.h"

#include <stdio.h>
#include <stdlib.h>

#include "util/bytes.h"
#include "image/check.h"
#include "util/err.h"
#include "image/format.h"
#include "unit.h"
#include "view/view.h"
#include "open/open.h"

void power_put_sector(unsigned char *p, uint64_t sector, uint64_t stamp)
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
	power_put_sector(want, i, stamp);
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
			power_put_sector(want, i, run->snapshot.written[i]);
		if (memcmp(buf + i * SECTOR, want, SECTOR) != 0)
			fail_at_sector(run, buf + i * SECTOR, i);
	}
	free(buf);
}

/* The name and format of a backing file are derived from its number: all lengths, with and without
 * a format. */
const char *power_base_name(const struct run *run, uint64_t no, char name[BASE_NAME + 1])
{
	uint64_t random = no;
	size_t len = 1 + next_random(&random) % run->p->base_name;

	if (no == 0)
		return NULL;
	memset(name, 'a' + no % 26, len);
	name[len] = '\0';
	return name;
}

const char *power_base_format(uint64_t no)
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

	return same_text(img->parent_name, power_base_name(run, no, name)) &&
	       same_text(img->parent_format, power_base_format(no));
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

void power_verify_image(const struct run *run, struct image *img, bool leaks_too)
{
	compare_disk(run, img);
	compare_snapshot(run, img);
	compare_backing(run, img);
	run_check(run, img, leaks_too);
}

struct image *power_open_medium(const struct run *run, struct io *io, struct image_options *o)
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

struct image *power_open_bytes(
	const struct run *run, const unsigned char *bytes, uint64_t size, struct image_options *o)
{
	struct err e = ERR_INIT;
	struct io *io = io_from_memory(bytes, size, "after the cut", &e);

	*o = options_new();
	ck_assert_ptr_nonnull(io);
	return power_open_medium(run, io, o);
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
	img = power_open_medium(run, medium_io(&m), &o);
	compare_disk(run, img);
	compare_snapshot(run, img);
	compare_backing(run, img);
	memset(sector, 0xa5, SECTOR);
	ck_assert_ok(view_write(img->states[0]->view, sector, SECTOR, 0, &e), &e);
	ck_assert_ok(image_finish(img, &e), &e);
	image_close(img);
	options_free(&o);
	img = power_open_bytes(run, m.now, m.io.size, &o);
	compare_snapshot(run, img);
	compare_backing(run, img);
	run_check(run, img, false);
	run->next.used = m.io.size;
	image_close(img);
	options_free(&o);
	medium_drop_pending(&m);
}

void power_verify_file(struct run *run, const unsigned char *bytes, uint64_t size)
{
	struct image_options o;
	struct image *img = power_open_bytes(run, bytes, size, &o);

	power_verify_image(run, img, false);
	image_close(img);
	options_free(&o);
	if (run->verified++ % 8 == 0)
		go_on_writing(run, bytes, size);
}
