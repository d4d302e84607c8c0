/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "metadata-regions.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>

#include "util/bytes.h"
#include "util/err.h"

void metadata_regions_add(struct metadata_regions *r, const char *what, uint64_t pos, uint64_t len)
{
	if (len == 0)
		return;
	assert(r->n < REGIONS_MAX);
	r->list[r->n++] = (struct metadata_region){what, pos, len};
}

/* Positions come from the file: a sum of them may overflow. */
static bool shares(const struct metadata_region *a, uint64_t pos, uint64_t len)
{
	return a->pos < pos ? pos - a->pos < a->len : a->pos - pos < len;
}

const char *metadata_regions_find(const struct metadata_regions *r, uint64_t pos, uint64_t len)
{
	for (size_t i = 0; i < r->n; i++)
		if (shares(&r->list[i], pos, len))
			return r->list[i].what;
	return NULL;
}

int metadata_regions_check(const struct metadata_regions *r, struct err *e)
{
	for (size_t i = 0; i < r->n; i++)
		for (size_t k = i + 1; k < r->n; k++) {
			const struct metadata_region *a = &r->list[i], *b = &r->list[k];

			if (shares(a, b->pos, b->len))
				return err_set(e, EUCLEAN,
					"%s, %" PRIu64 " bytes at %" PRIu64 ", and %s, %" PRIu64
					" bytes at %" PRIu64 ", overlap",
					a->what, a->len, a->pos, b->what, b->len, b->pos);
		}
	return 0;
}

uint64_t metadata_regions_end(const struct metadata_regions *r)
{
	uint64_t end = 0;

	for (size_t i = 0; i < r->n; i++)
		end = MAX(end, r->list[i].pos + r->list[i].len);
	return end;
}
