/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "raid.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "util/bytes.h"
#include "util/err.h"
#include "util/limits.h"
#include "io/io.h"
#include "view/view.h"
#include "raid-layout.h"
#include "raid-parity.h"

/* Descriptions. */

static bool has_parity(const struct raid *r)
{
	return r->level >= 4 && r->level <= 6;
}

static size_t least_members(const struct raid *r)
{
	return r->level == 1 ? 1 : r->level == 6 ? 4 : 2;
}

int raid_check(const struct raid *r, struct err *e)
{
	if (r->level != 1 && r->level != 10 && !has_parity(r))
		return err_set(e, ENOTSUP, "raid%u is not supported", r->level);
	if (r->n < least_members(r) || r->n > RAID_MAX_MEMBERS ||
		(r->level == 6 && r->n > RAID6_MAX_MEMBERS))
		return err_set(e, EINVAL, "raid%u with %zu members", r->level, r->n);
	if (r->used > LIMIT_DISK_SIZE / r->n)
		return err_set(e, EINVAL, "%zu members of %" PRIu64 " bytes", r->n, r->used);
	if (r->level != 1 && (r->chunk == 0 || r->chunk % 512 || r->chunk > r->used))
		return err_set(e, EINVAL,
			"raid%u has chunks of %" PRIu64 " bytes in members of %" PRIu64, r->level,
			r->chunk, r->used);
	if (r->level != 1 && raid_layout_check(r, e) < 0)
		return -e->code;
	if (raid_size(r) == 0)
		return err_set(e, EINVAL, "raid%u of 0 bytes", r->level);
	return 0;
}

uint64_t raid_size(const struct raid *r)
{
	return r->level == 1 ? r->used : raid_layout_size(r);
}

void raid_name(const struct raid *r, char *text, size_t size)
{
	if (r->level != 10)
		snprintf(text, size, "raid%u", r->level);
	else if (raid_far(r) == 1)
		snprintf(text, size, "raid10 near=%u", raid_near(r));
	else if (raid_near(r) == 1)
		snprintf(text, size, "raid10 %s=%u", r->layout & RAID10_OFFSET ? "offset" : "far",
			raid_far(r));
	else
		snprintf(text, size, "raid10 near=%u %s=%u", raid_near(r),
			r->layout & RAID10_OFFSET ? "offset" : "far", raid_far(r));
}

/* Missing members. */

/* The first copy of level 10 that is there; its member, or RAID_NONE. */
static size_t find_good_copy(
	const struct raid *r, const struct raid_member *members, uint64_t off, uint64_t *pos)
{
	for (unsigned k = 0; k < raid_near(r) * raid_far(r); k++) {
		size_t member = raid_find_copy(r, off, k, pos);

		if (members[member].view)
			return member;
	}
	return RAID_NONE;
}

/* The members of a chunk and of that r->n chunks later are the same. */
static bool has_all_copies(const struct raid *r, const struct raid_member *members)
{
	uint64_t chunks = raid_size(r) / r->chunk, pos;

	for (uint64_t i = 0; i < MIN(chunks, r->n); i++)
		if (find_good_copy(r, members, i * r->chunk, &pos) == RAID_NONE)
			return false;
	return true;
}

int raid_check_members(const struct raid *r, const struct raid_member *members, struct err *e)
{
	size_t missing = 0, most = r->level == 1 ? r->n - 1 : r->level == 6 ? 2 : 1;

	for (size_t i = 0; i < r->n; i++)
		missing += !members[i].view;
	if (r->level == 10 && !has_all_copies(r, members))
		return err_set(e, EIO,
			"%zu of %zu members are missing, all copies of some chunks among them "
			"(raid10)",
			missing, r->n);
	if (r->level != 10 && missing > most)
		return err_set(e, EIO,
			"%zu of %zu members are missing, %zu at most can be (raid%u)", missing,
			r->n, most, r->level);
	return 0;
}

/* The view. */

struct raid_view {
	struct view view;
	struct raid raid;
	struct io *missing; /* the bytes of missing members; NULL: all are there */
	struct raid_member members[];
};

/* The array as a file, for those of its bytes that are computed.  It reads members by the request
 * that has entered the view. */
struct missing_io {
	struct io io;
	const struct raid_view *v;
};

/* A row that is nothing but holes is zero in the missing member, too. */
static bool is_hole(const struct raid_view *v, uint64_t pos, uint64_t *len)
{
	for (size_t i = 0; i < v->raid.n; i++) {
		const struct raid_member *m = &v->members[i];
		uint64_t run;

		if (!m->view)
			continue;
		if (view_look(m->view, m->pos + pos, &run))
			return false;
		*len = MIN(*len, run);
	}
	return true;
}

static void map_parity(const struct raid_view *v, uint64_t off, struct extent *x)
{
	struct raid_row row = raid_find_row(&v->raid, off);
	const struct raid_member *m = &v->members[row.data];

	if (m->view) {
		x->kind = EXTENT_BELOW;
		x->below = m->view;
		x->pos = m->pos + row.pos;
	} else if (is_hole(v, row.pos, &x->len)) {
		x->kind = EXTENT_ZERO;
	} else {
		x->kind = EXTENT_FILE;
		x->io = v->missing;
		x->pos = off;
	}
}

static int raid_map(
	const struct view *view, uint64_t off, uint64_t len, struct extent *x, struct err *e)
{
	const struct raid_view *v = (const struct raid_view *)view;
	const struct raid *r = &v->raid;
	uint64_t pos = off;
	size_t member = 0;

	(void)e;
	x->len = r->level == 1 ? len : MIN(len, r->chunk - off % r->chunk);
	if (has_parity(r)) {
		map_parity(v, off, x);
		return 0;
	}
	if (r->level == 10)
		member = find_good_copy(r, v->members, off, &pos);
	else
		while (!v->members[member].view)
			member++;
	x->kind = EXTENT_BELOW;
	x->below = v->members[member].view;
	x->pos = v->members[member].pos + pos;
	return 0;
}

static ssize_t missing_read(struct io *io, void *buf, size_t len, uint64_t off)
{
	const struct raid_view *v = ((const struct missing_io *)io)->v;
	uint64_t chunk = v->raid.chunk;
	struct err e = ERR_INIT;
	size_t done = 0;

	while (done < len) {
		struct raid_row row = raid_find_row(&v->raid, off + done);
		size_t part = MIN(len - done, chunk - (off + done) % chunk);
		int ret = raid_recover(&row, v->members, v->raid.n, (char *)buf + done, part, &e);

		if (ret < 0)
			return ret;
		done += part;
	}
	return (ssize_t)len;
}

static void missing_close(struct io *io)
{
	free(io);
}

static struct io *missing_new(const struct raid_view *v, struct err *e)
{
	static const struct io_ops ops = {.read = missing_read, .close = missing_close};
	struct missing_io *io = io_new(sizeof *io, &ops, "array without some members", e);

	if (!io)
		return NULL;
	io->v = v;
	io->io.size = v->view.size;
	io->io.stored = v->view.size;
	return &io->io;
}

static void raid_view_free(struct view *view)
{
	struct raid_view *v = (struct raid_view *)view;

	io_unref(v->missing);
	for (size_t i = 0; i < v->raid.n; i++)
		view_free(v->members[i].view);
	free(v);
}

/* The members are there, and long enough. */
static int check_sizes(const struct raid *r, const struct raid_member *members, struct err *e)
{
	for (size_t i = 0; i < r->n; i++)
		if (members[i].view && !range_fits(members[i].pos, r->used, members[i].view->size))
			return err_set(e, EUCLEAN,
				"%" PRIu64 " bytes at %" PRIu64 " of member %zu pass its end",
				r->used, members[i].pos, i);
	return raid_check_members(r, members, e);
}

struct view *raid_view(const struct raid *r, const struct raid_member *members, struct err *e)
{
	static const struct view_ops ops = {.map = raid_map, .free = raid_view_free};
	bool missing = false;
	struct raid_view *v;

	if (check_sizes(r, members, e) < 0)
		return NULL;
	v = calloc(1, sizeof *v + r->n * sizeof v->members[0]);
	if (!v) {
		err_nomem(e);
		return NULL;
	}
	v->view.ops = &ops;
	v->view.size = raid_size(r);
	v->raid = *r;
	for (size_t i = 0; i < r->n; i++) {
		v->members[i] = members[i];
		missing |= !members[i].view;
		/* All have the same writer, or none. */
		if (members[i].view)
			v->view.writer = members[i].view->writer;
	}
	if (missing && has_parity(r)) {
		v->missing = missing_new(v, e);
		if (!v->missing) {
			free(v);
			return NULL;
		}
	}
	return &v->view;
}
