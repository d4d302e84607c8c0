/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "extents.h"

#include <pthread.h>
#include <stdlib.h>

#include "libnbd.h"
#include "util/bytes.h"
#include "util/err.h"

/* So that several readers do not ask for each extent in turn: 8 answers with 32 KiB each. */
#define ANSWERS 8
#define ENDS    4096u

/* Extents that follow each other; the first begins at start. */
struct known {
	uint64_t start, end;
	size_t n;
	uint64_t *ends;     /* ascending */
	bool first_is_zero; /* kinds alternate: neighbours of one kind are one extent */
};

struct extents {
	pthread_mutex_t lock;
	unsigned age;
	unsigned next; /* to be replaced */
	struct known known[ANSWERS];
};

struct extents *extents_new(struct err *e)
{
	struct extents *x = calloc(1, sizeof *x);

	if (!x) {
		err_nomem(e);
		return NULL;
	}
	pthread_mutex_init(&x->lock, NULL);
	return x;
}

static void drop(struct known *k)
{
	free(k->ends);
	*k = (struct known){.n = 0};
}

void extents_free(struct extents *x)
{
	if (!x)
		return;
	for (unsigned i = 0; i < ANSWERS; i++)
		drop(&x->known[i]);
	pthread_mutex_destroy(&x->lock);
	free(x);
}

/* The number of the extent that pos lies in, which is inside. */
static size_t search(const struct known *k, uint64_t pos)
{
	size_t low = 0, high = k->n - 1;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (k->ends[middle] <= pos)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

bool extents_find(struct extents *x, uint64_t pos, bool *zero, uint64_t *end)
{
	bool found = false;

	pthread_mutex_lock(&x->lock);
	for (unsigned i = 0; i < ANSWERS && !found; i++) {
		const struct known *k = &x->known[i];
		size_t at;

		if (pos < k->start || pos >= k->end)
			continue;
		at = search(k, pos);
		*zero = k->first_is_zero == (at % 2 == 0);
		*end = k->ends[at];
		found = true;
	}
	pthread_mutex_unlock(&x->lock);
	return found;
}

unsigned extents_age(struct extents *x)
{
	unsigned age;

	pthread_mutex_lock(&x->lock);
	age = x->age;
	pthread_mutex_unlock(&x->lock);
	return age;
}

/* Reads the answer into k, with joined neighbours, up to an entry that makes no sense. */
static void read_entries(struct known *k, const uint32_t *entries, size_t n, uint64_t size)
{
	bool last = false;

	for (size_t i = 0; i + 1 < n && k->end < size && entries[i] > 0; i += 2) {
		/* A hole alone says nothing about what is read. */
		bool zero = entries[i + 1] & LIBNBD_STATE_ZERO;

		if (k->n == 0)
			k->first_is_zero = zero;
		if (k->n == 0 || zero != last) {
			if (k->n == ENDS)
				return;
			k->n++;
		}
		last = zero;
		k->end = MIN(k->end + entries[i], size);
		k->ends[k->n - 1] = k->end;
	}
}

void extents_add(struct extents *x, unsigned age, uint64_t pos, const uint32_t *entries, size_t n,
	uint64_t size)
{
	size_t most = MIN(n / 2, ENDS);
	struct known k = {.start = pos, .end = pos};

	k.ends = most > 0 ? calloc(most, sizeof k.ends[0]) : NULL;
	if (!k.ends)
		return;
	read_entries(&k, entries, n, size);
	pthread_mutex_lock(&x->lock);
	if (k.n > 0 && age == x->age) {
		drop(&x->known[x->next]);
		x->known[x->next] = k;
		x->next = (x->next + 1) % ANSWERS;
		k.ends = NULL;
	}
	pthread_mutex_unlock(&x->lock);
	free(k.ends);
}

void extents_forget(struct extents *x)
{
	pthread_mutex_lock(&x->lock);
	x->age++;
	for (unsigned i = 0; i < ANSWERS; i++)
		drop(&x->known[i]);
	pthread_mutex_unlock(&x->lock);
}
