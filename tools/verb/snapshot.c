/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* snapshot.c - lists and changes the internal snapshots of an image.  While the image is mounted
 * for writing its daemon has it locked, so changes are made through the mount. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "lib/args.h"
#include "util/printable.h"
#include "util/err.h"
#include "image/info.h"
#include "lib/via-mount.h"
#include "lib/report.h"
#include "verbs.h"
#include "util/size.h"
#include "image/snapshot.h"
#include "snapshot.h"
#include "lib/input.h"
#include "lib/json.h"
#include "view/view.h"

#define COLUMNS "%-9s %-16s %8s%20s%13s%11s"

static void print_one(const struct state *s)
{
	char date[32] = "", clock[40], count[24] = "";
	uint64_t seconds = s->vm_clock / 1000000000;
	struct tm tm;

	if (localtime_r(&s->when.tv_sec, &tm))
		strftime(date, sizeof date, "%Y-%m-%d %H:%M:%S", &tm);
	snprintf(clock, sizeof clock, "%02" PRIu64 ":%02d:%02d.%03d", seconds / 3600,
		(int)(seconds / 60 % 60), (int)(seconds % 60), (int)(s->vm_clock / 1000000 % 1000));
	if (s->icount >= 0)
		snprintf(count, sizeof count, "%" PRId64, s->icount);
	printable_print(stdout, COLUMNS, s->id, s->name,
		size_text(s->vmstate ? s->vmstate->size : 0).text, date, clock, count);
	putchar('\n');
}

void snapshot_print_table(const struct image *img)
{
	puts("Snapshot list:");
	printf(COLUMNS "\n", "ID", "TAG", "VM SIZE", "DATE", "VM CLOCK", "ICOUNT");
	for (size_t i = 1; i < img->nstates; i++)
		print_one(img->states[i]);
}

static int list(const struct args *a, struct input *input)
{
	(void)a;
	if (input->json)
		return json_print(info_snapshots(input->img));
	if (input->img->nstates > 1)
		snapshot_print_table(input->img);
	return EXIT_SUCCESS;
}

/* The one option of -c, -a and -d that is given. */
static enum option_key change_of(const struct args *a)
{
	if (args_has(a, OPT_CREATE))
		return OPT_CREATE;
	return args_has(a, OPT_APPLY) ? OPT_APPLY : OPT_DELETE;
}

static int change(const struct args *a, struct input *input)
{
	enum option_key key = change_of(a);
	const char *name = args_value(a, key), *verb = "create";
	const struct state *s = image_find_state(input->img, name);
	struct err e = ERR_INIT;
	unsigned no;
	int r;

	if (key != OPT_CREATE)
		verb = key == OPT_APPLY ? "apply" : "delete";
	/* Deletes by name only: an ID may be the name of another snapshot. */
	if (key == OPT_DELETE && s && strcmp(s->name, name) != 0)
		s = NULL;
	if (key != OPT_CREATE && !s) {
		report("Could not %s snapshot '%s': snapshot not found", verb, name);
		return input_hint_snapshot(input, name);
	}
	if (key == OPT_CREATE)
		r = snapshot_create(input->img, name, &no, &e);
	else if (key == OPT_APPLY)
		r = snapshot_apply(input->img, s->no, &e);
	else
		r = snapshot_delete(input->img, s->no, &e);
	if (r < 0)
		return report_err(&e, "Could not %s snapshot '%s'", verb, name);
	return EXIT_SUCCESS;
}

static int change_mounted(const struct args *a, const char *dir)
{
	enum option_key key = change_of(a);
	const char *name = args_value(a, key);

	if (key == OPT_CREATE)
		return via_mount_create_snapshot(dir, name);
	if (key == OPT_DELETE)
		return via_mount_delete_snapshot(dir, name);
	return report(
		"Could not apply snapshot '%s': the disk is in use, mounted at %s", name, dir);
}

int run_snapshot(const struct args *a)
{
	size_t changes =
		a->options[OPT_CREATE].n + a->options[OPT_APPLY].n + a->options[OPT_DELETE].n;
	char *dir;
	int status;

	if (changes > 1 || (changes && args_has(a, OPT_LIST)))
		return args_misused("Cannot mix '-l', '-a', '-c', '-d'");
	if (!changes)
		return input_run(a, INPUT_ALONE, list);
	dir = a->n == 1 ? via_mount_find(a->operands[0]) : NULL;
	if (dir)
		status = change_mounted(a, dir);
	else
		status = input_run(a, INPUT_ALONE | INPUT_WRITE, change);
	free(dir);
	return status;
}
