/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "raid-parity.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "util/bytes.h"
#include "util/err.h"
#include "view/view.h"
#include "raid-layout.h"
#include "raid.h"

#define PIECE ((size_t)64 << 10) /* bytes that are read of a member at once */

/* GF(2^8). */

static uint8_t gf_mul(uint8_t a, uint8_t b)
{
	uint8_t product = 0;

	for (; b; b >>= 1) {
		if (b & 1)
			product ^= a;
		a = (uint8_t)(a << 1) ^ (a & 0x80 ? 0x1d : 0);
	}
	return product;
}

static uint8_t gf_power(uint8_t a, unsigned n)
{
	uint8_t power = 1;

	for (n %= 255; n > 0; n >>= 1, a = gf_mul(a, a))
		if (n & 1)
			power = gf_mul(power, a);
	return power;
}

static uint8_t gf_inverse(uint8_t a)
{
	return gf_power(a, 254);
}

/* Adds factor * from to sum. */
static void gf_add(uint8_t *sum, const uint8_t *from, size_t len, uint8_t factor)
{
	uint8_t products[256];

	if (factor == 1) {
		for (size_t i = 0; i < len; i++)
			sum[i] ^= from[i];
		return;
	}
	for (unsigned i = 0; i < 256; i++)
		products[i] = gf_mul(factor, i);
	for (size_t i = 0; i < len; i++)
		sum[i] ^= products[from[i]];
}

static void gf_scale(uint8_t *buf, size_t len, uint8_t factor)
{
	uint8_t products[256];

	for (unsigned i = 0; i < 256; i++)
		products[i] = gf_mul(factor, i);
	for (size_t i = 0; i < len; i++)
		buf[i] = products[buf[i]];
}

/* Rows. */

struct recovery {
	const struct raid_row *row;
	const struct raid_member *members;
	size_t n;
	size_t other;   /* member with data that is missing as well; RAID_NONE */
	uint8_t factor; /* of the missing data, in Q */
	uint8_t other_factor;
	bool with_p, with_q;   /* the sums that are needed */
	uint8_t *p, *q, *from; /* of a piece */
};

/* Calls for each member with data, with its factor in Q. */
static int each_data(struct recovery *r, uint64_t pos, size_t len,
	int (*call)(struct recovery *r, size_t member, uint8_t factor, uint64_t pos, size_t len,
		struct err *e),
	struct err *e)
{
	uint8_t factor = 1;
	int ret = 0;

	for (size_t k = 0; ret == 0 && k < r->n; k++) {
		size_t member = (r->row->first + k) % r->n;
		bool has_data = member != r->row->p && member != r->row->q;

		if (has_data)
			ret = call(r, member, factor, pos, len, e);
		if (has_data || r->row->all)
			factor = gf_mul(factor, 2);
	}
	return ret;
}

static int note_missing(
	struct recovery *r, size_t member, uint8_t factor, uint64_t pos, size_t len, struct err *e)
{
	(void)pos;
	(void)len;
	(void)e;
	if (member == r->row->data) {
		r->factor = factor;
	} else if (!r->members[member].view) {
		r->other = member;
		r->other_factor = factor;
	}
	return 0;
}

static int read_member(
	struct recovery *r, size_t member, uint8_t *buf, uint64_t pos, size_t len, struct err *e)
{
	const struct raid_member *m = &r->members[member];

	return view_read_inside(m->view, buf, len, m->pos + pos, e);
}

static int add_data(
	struct recovery *r, size_t member, uint8_t factor, uint64_t pos, size_t len, struct err *e)
{
	int ret;

	if (member == r->row->data || member == r->other)
		return 0;
	ret = read_member(r, member, r->from, pos, len, e);
	if (ret < 0)
		return ret;
	if (r->with_p)
		gf_add(r->p, r->from, len, 1);
	if (r->with_q)
		gf_add(r->q, r->from, len, factor);
	return 0;
}

/* Begins with the parity, and adds the data that is there: what is missing remains. */
static int add_row(struct recovery *r, uint64_t pos, size_t len, struct err *e)
{
	int ret = 0;

	if (r->with_p)
		ret = read_member(r, r->row->p, r->p, pos, len, e);
	if (ret == 0 && r->with_q)
		ret = read_member(r, r->row->q, r->q, pos, len, e);
	return ret < 0 ? ret : each_data(r, pos, len, add_data, e);
}

/* Makes the data of the sums: p = D + E, q = factor * D + other_factor * E, or one of them. */
static void solve(struct recovery *r, void *buf, size_t len)
{
	if (!r->with_q) {
		memcpy(buf, r->p, len);
		return;
	}
	if (r->with_p)
		gf_add(r->q, r->p, len, r->other_factor);
	else
		r->other_factor = 0;
	gf_scale(r->q, len, gf_inverse(r->factor ^ r->other_factor));
	memcpy(buf, r->q, len);
}

int raid_recover(const struct raid_row *row, const struct raid_member *members, size_t n, void *buf,
	size_t len, struct err *e)
{
	struct recovery r = {.row = row, .members = members, .n = n, .other = RAID_NONE};
	uint8_t *out = buf;
	int ret;

	each_data(&r, 0, 0, note_missing, e);
	r.with_p = members[row->p].view != NULL;
	r.with_q = !r.with_p || r.other != RAID_NONE;
	r.p = malloc(3 * PIECE);
	if (!r.p)
		return err_nomem(e);
	r.q = r.p + PIECE;
	r.from = r.q + PIECE;
	ret = 0;
	for (size_t done = 0; ret == 0 && done < len; done += PIECE) {
		size_t piece = MIN(PIECE, len - done);

		ret = add_row(&r, row->pos + done, piece, e);
		if (ret == 0)
			solve(&r, out + done, piece);
	}
	free(r.p);
	return ret;
}
