/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* bench.c - measures the time of many requests to a disk. */
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "image/image.h"
#include "lib/args.h"
#include "lib/input.h"
#include "lib/report.h"
#include "util/err.h"
#include "verbs.h"
#include "view/view.h"

#define MAX_DEPTH 64
#define MAX_BYTES (INT64_C(1) << 31)

struct bench {
	struct view *disk;
	uint64_t count, depth, bytes, step, offset, flush, pattern;
	bool write;
	_Atomic uint64_t next; /* number of the next request */
	atomic_bool failed;
	pthread_mutex_t lock; /* protects e */
	struct err e;
};

static int run_request(const struct bench *b, uint64_t number, void *buf, struct err *e)
{
	uint64_t room = b->disk->size - b->bytes, step = b->step ? b->step : b->bytes;
	uint64_t at = (b->offset + number * step) % (room + 1);
	int r = b->write ? view_write(b->disk, buf, b->bytes, at, e)
			 : view_read(b->disk, buf, b->bytes, at, e);

	if (r == 0 && b->flush > 0 && (number + 1) % b->flush == 0)
		r = view_flush(b->disk, e);
	return r;
}

/* One of depth threads, each of which has one request under way. */
static void *work(void *arg)
{
	struct bench *b = arg;
	unsigned char *buf = malloc(b->bytes);
	struct err e = ERR_INIT;
	int r = buf ? 0 : err_nomem(&e);

	if (buf)
		memset(buf, (int)b->pattern, b->bytes);
	for (uint64_t i; r == 0 && !b->failed && (i = b->next++) < b->count;)
		r = run_request(b, i, buf, &e);
	if (r < 0 && !atomic_exchange(&b->failed, true)) {
		pthread_mutex_lock(&b->lock);
		b->e = e;
		pthread_mutex_unlock(&b->lock);
	}
	free(buf);
	return NULL;
}

static double seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static int measure(struct bench *b, bool quiet)
{
	pthread_t threads[MAX_DEPTH];
	double begun = seconds();
	unsigned n = 0;

	if (!quiet)
		printf("Sending %" PRIu64 " %s requests, %" PRIu64 " bytes each, %" PRIu64
		       " in parallel (starting at offset %" PRIu64 ", step size %" PRIu64 ")\n",
			b->count, b->write ? "write" : "read", b->bytes, b->depth, b->offset,
			b->step ? b->step : b->bytes);
	if (!quiet && b->flush > 0)
		printf("Sending flush every %" PRIu64 " requests\n", b->flush);
	while (n + 1 < b->depth && pthread_create(&threads[n], NULL, work, b) == 0)
		n++;
	work(b);
	while (n > 0)
		pthread_join(threads[--n], NULL);
	if (b->failed)
		return report_failure(&b->e);
	if (!quiet)
		printf("Run completed in %.3f seconds.\n", seconds() - begun);
	return EXIT_SUCCESS;
}

static bool read_options(struct bench *b, const struct args *a)
{
	return args_size(a, OPT_COUNT_REQUESTS, "request count", &b->count) &&
	       args_size(a, OPT_DEPTH, "queue depth", &b->depth) &&
	       args_size(a, OPT_BUFFER, "buffer size", &b->bytes) &&
	       args_size(a, OPT_STEP, "step size", &b->step) &&
	       args_size(a, OPT_OFFSET, "offset", &b->offset) &&
	       args_size(a, OPT_PATTERN, "pattern byte", &b->pattern) &&
	       args_size(a, OPT_FLUSH, "flush interval", &b->flush);
}

static int bench(const struct args *a, struct input *input)
{
	struct bench b = {
		.disk = input->img->states[0]->view,
		.count = 75000,
		.depth = 64,
		.bytes = 4096,
		.write = args_has(a, OPT_WRITE),
		.lock = PTHREAD_MUTEX_INITIALIZER,
	};

	if (!read_options(&b, a))
		return EXIT_FAILURE;
	if (b.depth == 0 || b.depth > MAX_DEPTH)
		return report("Invalid queue depth specified; allowed are 1 to %d", MAX_DEPTH);
	if (b.bytes == 0 || b.bytes >= MAX_BYTES || b.bytes > b.disk->size)
		return report("Invalid buffer size specified");
	if (b.pattern > UINT8_MAX)
		return report("Invalid pattern byte specified");
	if (b.flush > 0 && !b.write)
		return report("--flush-interval is only available in write tests");
	return measure(&b, args_has(a, OPT_QUIET));
}

int run_bench(const struct args *a)
{
	return input_run(a, args_has(a, OPT_WRITE) ? INPUT_WRITE : 0, bench);
}
