/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* resize.c - changes the size of a disk. */
#include <stdio.h>
#include <stdlib.h>

#include "lib/args.h"
#include "util/err.h"
#include "lib/report.h"
#include "verbs.h"
#include "util/size.h"
#include "lib/input.h"
#include "view/view.h"

/* Parses "10G", "+1G" or "-1G" (which args_parse does not take for an option). */
static bool new_size(const char *word, uint64_t old, uint64_t *size)
{
	bool plus = word[0] == '+', minus = word[0] == '-';
	uint64_t n;
	int r = size_parse(word + (plus || minus), &n);

	if (r < 0) {
		report("Invalid size '%s': expected a number with k, M, G, T, P or E, and + or - "
		       "before it to grow or shrink by that size",
			word);
		return false;
	}
	*size = plus ? old + n : minus ? old - n : n;
	if ((minus && n > old) || *size > INT64_MAX || *size == 0) {
		report("New image size must be positive");
		return false;
	}
	return true;
}

static int resize(const struct args *a, struct input *input)
{
	struct view *disk = input->img->states[0]->view;
	struct err e = ERR_INIT;
	uint64_t size;

	if (!new_size(args_value(a, OPT_SIZE), disk->size, &size))
		return EXIT_FAILURE;
	if (size < disk->size && !args_has(a, OPT_SHRINK)) {
		report("Use the --shrink option to perform a shrink operation.");
		return report("warning: Shrinking an image will delete all data beyond the "
			      "shrunken image's end. Before performing such an operation, make "
			      "sure there is no important data there.");
	}
	if (size != disk->size && view_resize(disk, size, &e) < 0)
		return report_err(&e, "Could not resize '%s'", input->name);
	if (!args_has(a, OPT_QUIET))
		puts("Image resized.");
	return EXIT_SUCCESS;
}

int run_resize(const struct args *a)
{
	struct args image = *a;
	const char *size;

	if (a->n != 2)
		return args_misused("Expecting image file name and size");
	size = a->operands[1];
	/* input_run is for verbs of one image: passes the size as an option. */
	image.options[OPT_SIZE] = (struct given){.v = &size, .n = 1};
	image.n = 1;
	return input_run(&image, INPUT_WRITE, resize);
}
