/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* resize.c - changes the size of a disk. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "image/creation.h"
#include "image/format.h"
#include "io/io.h"
#include "lib/args.h"
#include "open/registry.h"
#include "util/bytes.h"
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

/* Allocates [from, size) of the disk, which has just been added to it. */
static int preallocate(struct image *img, const char *mode, uint64_t from, struct err *e)
{
	static const unsigned char zeroes[1u << 20];
	struct view *disk = img->states[0]->view;
	int r = 0;

	if (strcmp(mode, "falloc") == 0 && img->format == registry_find("raw"))
		return creation_preallocate(img->io, from, disk->size - from, false, e);
	for (uint64_t n; r == 0 && from < disk->size; from += n) {
		n = MIN(disk->size - from, sizeof zeroes - from % sizeof zeroes);
		r = view_write(disk, zeroes, n, from, e);
	}
	return r;
}

/* The mode of --preallocation, "off" without the option; NULL after an error. */
static const char *preallocation_of(const struct args *a, const struct image *img)
{
	static const char *const modes[] = {"off", "metadata", "falloc", "full"};
	const char *mode = args_value(a, OPT_PREALLOCATION);
	bool is_raw = img->format == registry_find("raw");

	for (size_t i = 0; mode && i < sizeof modes / sizeof modes[0]; i++) {
		if (strcmp(mode, modes[i]) != 0)
			continue;
		if (!is_raw || i != 1)
			return mode;
		report("Unsupported preallocation mode '%s'", mode);
		return NULL;
	}
	if (mode)
		report("Invalid preallocation mode '%s'", mode);
	return mode ? NULL : "off";
}

static int resize(const struct args *a, struct input *input)
{
	struct view *disk = input->img->states[0]->view;
	struct err e = ERR_INIT;
	const char *mode = preallocation_of(a, input->img);
	uint64_t size, old = disk->size;

	if (!mode || !new_size(args_value(a, OPT_SIZE), disk->size, &size))
		return EXIT_FAILURE;
	if (size < disk->size && !args_has(a, OPT_SHRINK)) {
		report("Use the --shrink option to perform a shrink operation.");
		return report("warning: Shrinking an image will delete all data beyond the "
			      "shrunken image's end. Before performing such an operation, make "
			      "sure there is no important data there.");
	}
	if (size < old && strcmp(mode, "off") != 0)
		return report("Preallocation can only be used for growing images");
	if (size != old && view_resize(disk, size, &e) < 0)
		return report_err(&e, "Could not resize '%s'", input->name);
	if (strcmp(mode, "off") != 0 && preallocate(input->img, mode, old, &e) < 0)
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
