/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "freed.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "util/bytes.h"
#include "util/err.h"

int freed_prepare(struct freed *f, size_t n, struct err *e)
{
	size_t needed = f->n + n, capacity = MAX(2 * f->capacity, needed);
	struct freed_run *runs;

	if (needed <= f->capacity)
		return 0;
	runs = reallocarray(f->runs, capacity, sizeof runs[0]);
	if (!runs)
		return err_nomem(e);
	f->runs = runs;
	f->capacity = capacity;
	return 0;
}

void freed_add(struct freed *f, uint64_t first, uint64_t n)
{
	struct freed_run *last = f->n > f->durable ? &f->runs[f->n - 1] : NULL;

	if (last && last->first + last->n == first) {
		last->n += n;
		return;
	}
	assert(f->n < f->capacity);
	f->runs[f->n++] = (struct freed_run){.first = first, .n = n};
}

bool freed_set_durable(struct freed *f)
{
	f->durable = f->n;
	return f->durable > 0;
}

int freed_release(struct freed *f, freed_release_fn *release, void *arg, struct err *e)
{
	size_t done = 0;
	int r = 0;

	while (r == 0 && done < f->durable)
		r = release(arg, f->runs[done++], e);
	f->durable -= done;
	f->n -= done;
	if (done > 0)
		memmove(f->runs, f->runs + done, f->n * sizeof f->runs[0]);
	return r;
}

void freed_end(struct freed *f)
{
	free(f->runs);
}
