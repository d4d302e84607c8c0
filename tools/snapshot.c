/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* snapshot.c - the internal snapshots of an image. */
#include <inttypes.h>
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "args.h"
#include "err.h"
#include "info.h"
#include "report.h"
#include "run.h"
#include "size.h"
#include "snapshots.h"
#include "source.h"
#include "view.h"

#define COLUMNS "%-9s %-16s %8s%20s%13s%11s\n"

static void print_one(const struct state *s)
{
	char date[32] = "", clock[40], count[24] = "", name[256];
	uint64_t seconds = s->vm_clock / 1000000000;
	struct tm tm;

	if (localtime_r(&s->when.tv_sec, &tm))
		strftime(date, sizeof date, "%Y-%m-%d %H:%M:%S", &tm);
	snprintf(clock, sizeof clock, "%02" PRIu64 ":%02d:%02d.%03d", seconds / 3600,
		(int)(seconds / 60 % 60), (int)(seconds % 60), (int)(s->vm_clock / 1000000 % 1000));
	if (s->icount >= 0)
		snprintf(count, sizeof count, "%" PRId64, s->icount);
	/* A name is the image's to choose, and terminals obey some of them. */
	snprintf(name, sizeof name, "%s", s->name);
	err_clean(name);
	printf(COLUMNS, s->id, name, size_text(s->vmstate ? s->vmstate->size : 0).text, date, clock,
		count);
}

void snapshots_print(const struct image *img)
{
	puts("Snapshot list:");
	printf(COLUMNS, "ID", "TAG", "VM SIZE", "DATE", "VM CLOCK", "ICOUNT");
	for (size_t i = 1; i < img->nstates; i++)
		print_one(img->states[i]);
}

static int print_json(const struct image *img)
{
	struct err e = ERR_INIT;
	struct json_object *list = info_snapshots(img);
	char *text = info_text(list, &e);

	json_object_put(list);
	if (!text)
		return report("%s", e.text);
	fputs(text, stdout);
	free(text);
	return EXIT_SUCCESS;
}

static int list(const struct args *a, struct source *source)
{
	bool json;

	if (args_want_json(a, &json) && json)
		return print_json(source->img);
	if (source->img->nstates > 1)
		snapshots_print(source->img);
	return EXIT_SUCCESS;
}

int run_snapshot(const struct args *a)
{
	return source_run(a, SOURCE_ALONE, list);
}
