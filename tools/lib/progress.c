/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* progress.c - see progress.h. */
#include "progress.h"

#include <stdio.h>
#include <unistd.h>

#include "args.h"
#include "util/bytes.h"
#include "util/size.h"

#define BAR_WIDTH 30
#define INTERVAL  0.1  /* seconds between updates of the bar */
#define STEP      0.01 /* of the whole, between lines */

static double seconds_since(const struct timespec *then)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)(now.tv_sec - then->tv_sec) + (double)(now.tv_nsec - then->tv_nsec) / 1e9;
}

static double part_done(const struct progress *p)
{
	return p->total ? (double)p->done / (double)p->total : 1;
}

static void draw_bar(const struct progress *p)
{
	double part = part_done(p), passed = seconds_since(&p->begun);
	int full = (int)(part * BAR_WIDTH);

	fputs("\r[", stdout);
	for (int i = 0; i < BAR_WIDTH; i++)
		putchar(i < full ? '#' : '.');
	printf("] %5.1f%%  ", 100 * part);
	if (passed > 0)
		printf("%s/s  ", size_text((uint64_t)((double)p->done / passed)).text);
	if (part > 0 && part < 1) {
		double left = passed * (1 - part) / part;
		unsigned s = left < 359999 ? (unsigned)(left + 0.5) : 359999;

		printf("%u:%02u:%02u left", s / 3600, s / 60 % 60, s % 60);
	}
	fputs("\033[K", stdout);
}

static void show(struct progress *p)
{
	if (p->terminal)
		draw_bar(p);
	else
		printf("    (%.2f/100%%)\r", 100 * part_done(p));
	fflush(stdout);
	clock_gettime(CLOCK_MONOTONIC, &p->shown);
	p->part_shown = part_done(p);
}

void progress_begin(struct progress *p, const struct args *a, uint64_t total)
{
	*p = (struct progress){
		.on = args_has(a, OPT_PROGRESS) && !args_has(a, OPT_QUIET),
		.total = total,
	};
	if (!p->on)
		return;
	p->terminal = isatty(STDOUT_FILENO);
	clock_gettime(CLOCK_MONOTONIC, &p->begun);
	show(p);
}

void progress_add(struct progress *p, uint64_t bytes)
{
	p->done = MIN(p->total, p->done + bytes);
	/* Programs that read the lines want all steps. */
	if (p->on && (p->terminal ? seconds_since(&p->shown) >= INTERVAL
				  : part_done(p) - p->part_shown >= STEP))
		show(p);
}

void progress_end(struct progress *p)
{
	if (!p->on)
		return;
	show(p);
	putchar('\n');
	fflush(stdout);
}
