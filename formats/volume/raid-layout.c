/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* raid-layout.c - where the bytes of an array lie. */
#include "raid-layout.h"

#include <errno.h>
#include <inttypes.h>

#include "util/bytes.h"
#include "util/err.h"
#include "util/limits.h"
#include "raid.h"

/* Levels 4, 5 and 6. */

static bool is_parity_layout(const struct raid *r)
{
	switch (r->layout) {
	case RAID_LEFT_ASYMMETRIC:
	case RAID_RIGHT_ASYMMETRIC:
	case RAID_LEFT_SYMMETRIC:
	case RAID_RIGHT_SYMMETRIC:
	case RAID_PARITY_0:
	case RAID_PARITY_N:
		return true;
	case RAID_ROTATING_ZERO_RESTART:
	case RAID_ROTATING_N_RESTART:
	case RAID_ROTATING_N_CONTINUE:
	case RAID_LEFT_ASYMMETRIC_6:
	case RAID_RIGHT_ASYMMETRIC_6:
	case RAID_LEFT_SYMMETRIC_6:
	case RAID_RIGHT_SYMMETRIC_6:
	case RAID_PARITY_0_6:
		return r->level == 6;
	}
	return false;
}

/* Data follows P in a circle of n members: symmetric. */
static void place_after(struct raid_row *row, size_t column, size_t n, size_t parities)
{
	row->data = (row->p + parities + column) % n;
}

/* Data fills the places that P, and Q after it, leave free: asymmetric. */
static void place_beside(struct raid_row *row, size_t column, size_t n, size_t parities)
{
	if (parities == 2 && row->p == n - 1)
		row->data = column + 1; /* Q is on the first member */
	else
		row->data = column < row->p ? column : column + parities;
}

/* Places P and data in a row of level 5 with n members, or of the n first of level 6. */
static void place5(struct raid_row *row, unsigned layout, uint64_t stripe, size_t column, size_t n)
{
	size_t turn = stripe % n;

	switch (layout) {
	case RAID_PARITY_0:
		row->p = 0;
		break;
	case RAID_PARITY_N:
		row->p = n - 1;
		break;
	case RAID_LEFT_ASYMMETRIC:
	case RAID_LEFT_SYMMETRIC:
		row->p = n - 1 - turn;
		break;
	default:
		row->p = turn;
		break;
	}
	if (layout == RAID_LEFT_SYMMETRIC || layout == RAID_RIGHT_SYMMETRIC)
		place_after(row, column, n, 1);
	else
		place_beside(row, column, n, 1);
}

/* The layouts of level 6 in which P and Q move together. */
static void place6(struct raid_row *row, unsigned layout, uint64_t stripe, size_t column, size_t n)
{
	size_t turn = (stripe + (layout == RAID_ROTATING_N_RESTART)) % n;

	switch (layout) {
	case RAID_RIGHT_ASYMMETRIC:
	case RAID_RIGHT_SYMMETRIC:
	case RAID_ROTATING_ZERO_RESTART:
		row->p = turn;
		break;
	default:
		row->p = n - 1 - turn;
		break;
	}
	row->q = (row->p + 1) % n;
	if (layout == RAID_ROTATING_N_CONTINUE) {
		row->q = (row->p + n - 1) % n;
		place_after(row, column, n, 1);
	} else if (layout == RAID_LEFT_SYMMETRIC || layout == RAID_RIGHT_SYMMETRIC) {
		place_after(row, column, n, 2);
	} else {
		place_beside(row, column, n, 2);
	}
}

static void find6(struct raid_row *row, unsigned layout, uint64_t stripe, size_t column, size_t n)
{
	switch (layout) {
	case RAID_PARITY_0:
		row->p = 0;
		row->q = 1;
		row->data = column + 2;
		break;
	case RAID_PARITY_N:
		row->p = n - 2;
		row->q = n - 1;
		row->data = column;
		break;
	case RAID_LEFT_ASYMMETRIC_6:
	case RAID_RIGHT_ASYMMETRIC_6:
	case RAID_LEFT_SYMMETRIC_6:
	case RAID_RIGHT_SYMMETRIC_6:
	case RAID_PARITY_0_6:
		place5(row, layout - RAID_LEFT_ASYMMETRIC_6, stripe, column, n - 1);
		row->q = n - 1;
		break;
	default:
		place6(row, layout, stripe, column, n);
		break;
	}
	row->all = layout >= RAID_ROTATING_ZERO_RESTART && layout <= RAID_ROTATING_N_CONTINUE;
	row->first = row->all ? 0 : (row->q + 1) % n;
}

struct raid_row raid_find_row(const struct raid *r, uint64_t off)
{
	size_t columns = r->n - (r->level == 6 ? 2 : 1);
	uint64_t chunk = off / r->chunk, stripe = chunk / columns;
	struct raid_row row = {.pos = stripe * r->chunk + off % r->chunk, .q = RAID_NONE};

	if (r->level == 6)
		find6(&row, r->layout, stripe, chunk % columns, r->n);
	else
		place5(&row, r->level == 4 ? RAID_PARITY_N : r->layout, stripe, chunk % columns,
			r->n);
	return row;
}

/* Level 10. */

unsigned raid_near(const struct raid *r)
{
	return r->layout & 0xff;
}

unsigned raid_far(const struct raid *r)
{
	return r->layout >> 8 & 0xff;
}

/* Members of a set, in which far copies stay; 0: a layout that is not known. */
static size_t set_size(const struct raid *r)
{
	switch (r->layout & ~(RAID10_OFFSET | 0xffffu)) {
	case 0:
		return r->n;
	case RAID10_SETS_OLD:
		return r->n / raid_far(r);
	case RAID10_SETS:
		return (size_t)raid_near(r) * raid_far(r);
	}
	return 0;
}

/* Bytes between two far copies. */
static uint64_t stride(const struct raid *r)
{
	uint64_t chunks = raid_layout_size(r) / r->chunk * raid_near(r) * raid_far(r);

	if (r->layout & RAID10_OFFSET)
		return r->chunk;
	return div_round_up(chunks, r->n) / raid_far(r) * r->chunk;
}

/* The member of the next far copy.  The last set has the members that remain; its first one counts
 * to the set before, as in md. */
static size_t next_far(const struct raid *r, size_t member)
{
	size_t set = set_size(r), rest = r->n % set, last = (r->n / set - 1) * set;
	size_t next = member + raid_near(r);

	if (rest && next > last)
		return last + (next - last) % (set + rest);
	return member / set * set + next % set;
}

size_t raid_find_copy(const struct raid *r, uint64_t off, unsigned k, uint64_t *pos)
{
	uint64_t place = off / r->chunk * raid_near(r), row = place / r->n;
	size_t member = place % r->n + k / raid_far(r);

	if (r->layout & RAID10_OFFSET)
		row *= raid_far(r);
	if (member >= r->n) {
		member -= r->n;
		row++;
	}
	*pos = row * r->chunk + off % r->chunk;
	*pos += k % raid_far(r) * stride(r);
	for (unsigned far = k % raid_far(r); far > 0; far--)
		member = next_far(r, member);
	return member;
}

/* All. */

uint64_t raid_layout_size(const struct raid *r)
{
	uint64_t chunks = r->used / r->chunk;

	if (r->level == 10)
		return chunks / raid_far(r) * r->n / raid_near(r) * r->chunk;
	return chunks * r->chunk * (r->n - (r->level == 6 ? 2 : 1));
}

int raid_layout_check(const struct raid *r, struct err *e)
{
	if (r->level != 10 && r->level != 4 && !is_parity_layout(r))
		return err_set(e, ENOTSUP, "raid%u has an unknown layout, %u", r->level, r->layout);
	if (r->level != 10)
		return 0;
	if (raid_near(r) > RAID10_MAX_COPIES || raid_far(r) > RAID10_MAX_COPIES)
		return err_set(e, ENOTSUP,
			"raid10 has %u copies; at most %u near and far are supported",
			raid_near(r) * raid_far(r), RAID10_MAX_COPIES);
	if (r->layout >> 19 || raid_near(r) == 0 || raid_far(r) == 0 || set_size(r) == 0 ||
		set_size(r) > r->n)
		return err_set(e, ENOTSUP, "raid10 of %zu members has an unknown layout, 0x%x",
			r->n, r->layout);
	if ((size_t)raid_near(r) * raid_far(r) > r->n)
		return err_set(e, EINVAL, "raid10 has %u copies, but %zu members",
			raid_near(r) * raid_far(r), r->n);
	return 0;
}
