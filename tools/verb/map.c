/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* map.c - prints where the data of a disk is stored. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "lib/args.h"
#include "util/printable.h"
#include "util/bytes.h"
#include "util/err.h"
#include "io/io.h"
#include "lib/filenames.h"
#include "map-picture.h"
#include "lib/block-status.h"
#include "lib/report.h"
#include "verbs.h"
#include "lib/input.h"
#include "view/view.h"

struct printing {
	const struct input *input;
	bool begun;
	const struct io *io; /* of the last line */
	char *name;          /* of that file */
};

static const char *word(bool yes)
{
	return yes ? "true" : "false";
}

static int print_json(void *arg, const struct block_status *p)
{
	struct printing *to = arg;

	printf("%s{ \"start\": %" PRIu64 ", \"length\": %" PRIu64
	       ", \"depth\": %u, \"present\": %s, \"zero\": %s, \"data\": %s, \"compressed\": %s",
		to->begun ? ",\n" : "", p->start, p->len, p->depth, word(p->present), word(p->zero),
		word(p->data), word(p->compressed));
	if (p->io)
		printf(", \"offset\": %" PRIu64, p->io->start + p->pos);
	putchar('}');
	to->begun = true;
	return 0;
}

static int print_line(void *arg, const struct block_status *p)
{
	struct printing *to = arg;

	if (!p->data)
		return 0;
	if (!p->io)
		return report("File contains external, encrypted or compressed clusters.");
	if (to->io != p->io) {
		free(to->name);
		to->name = filenames_of_io(to->input->img, to->input->name, p->io);
		to->io = p->io;
	}
	printable_print(stdout, "%#-16" PRIx64 "%#-16" PRIx64 "%#-16" PRIx64 "%s", p->start, p->len,
		p->io->start + p->pos, to->name ? to->name : p->io->name);
	putchar('\n');
	return 0;
}

/* The range of -s and -l. */
static bool choose_range(
	const struct args *a, const struct input *input, uint64_t *start, uint64_t *end)
{
	uint64_t size = input->state->view->size, len = size;

	*start = 0;
	if (!args_size(a, OPT_START, "start offset", start) ||
		!args_size(a, OPT_LENGTH, "max length", &len))
		return false;
	*end = MIN(size, *start) + MIN(len, size - MIN(size, *start));
	return true;
}

static int map(const struct args *a, struct input *input)
{
	struct printing to = {.input = input};
	struct err e = ERR_INIT;
	uint64_t start, end;
	int r;

	if (!choose_range(a, input, &start, &end))
		return EXIT_FAILURE;
	if (args_has(a, OPT_PICTURE))
		return map_picture_draw(input, start, end, args_value(a, OPT_PICTURE));
	if (input->json)
		putchar('[');
	else
		printf("%-16s%-16s%-16s%s\n", "Offset", "Length", "Mapped to", "File");
	r = block_status_visit(input, start, end, input->json ? print_json : print_line, &to, &e);
	free(to.name);
	if (input->json && r == 0)
		puts("]");
	if (r < 0)
		report_err(&e, "Failed to read image metadata");
	return r == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

int run_map(const struct args *a)
{
	return input_run(a, 0, map);
}
