/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* measure.c - calculates the size of an image after its conversion. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "lib/args.h"
#include "util/err.h"
#include "image/format.h"
#include "lib/create-args.h"
#include "lib/report.h"
#include "open/create.h"
#include "verbs.h"
#include "lib/input.h"
#include "view/view.h"

static int print_sizes(const struct args *a, const struct measured *m)
{
	bool json;

	if (!args_want_json(a, &json))
		return EXIT_FAILURE;
	if (json) {
		puts("{");
		if (m->has_bitmaps)
			printf("    \"bitmaps\": %" PRIu64 ",\n", m->bitmaps);
		printf("    \"required\": %" PRIu64 ",\n    \"fully-allocated\": %" PRIu64 "\n}\n",
			m->required, m->full);
	} else {
		printf("required size: %" PRIu64 "\nfully allocated size: %" PRIu64 "\n",
			m->required, m->full);
		if (m->has_bitmaps)
			printf("bitmaps size: %" PRIu64 "\n", m->bitmaps);
	}
	return EXIT_SUCCESS;
}

/* The options are those of an image to be created. */
static int print(const struct args *a, const struct view *disk, uint64_t size)
{
	const struct format *f = create_args_format(a, OPT_OUTPUT_FORMAT);
	struct input_session none = {.args = a};
	struct create_args c = {0};
	struct measured m = {0};
	struct err e = ERR_INIT;
	int status = EXIT_FAILURE;

	if (!f)
		return EXIT_FAILURE;
	if (create_args_begin(&c, &none, f, NULL, &status)) {
		c.request.size = size;
		status = image_measure(f, &c.request, disk, &m, &e) < 0 ? report_failure(&e)
									: print_sizes(a, &m);
	}
	create_args_end(&c);
	return status;
}

static int measure(const struct args *a, struct input *input)
{
	if (!input_choose_state(input, args_value(a, OPT_SNAPSHOT)))
		return EXIT_FAILURE;
	return print(a, input->state->view, input->state->view->size);
}

int run_measure(const struct args *a)
{
	uint64_t size = 0;

	if (args_has(a, OPT_SIZE) == (a->n > 0))
		return report("Either --size N or one filename must be specified.");
	if (a->n > 0)
		return input_run(a, 0, measure);
	return args_size(a, OPT_SIZE, "image size", &size) ? print(a, NULL, size) : EXIT_FAILURE;
}
