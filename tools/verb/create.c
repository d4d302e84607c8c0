/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* create.c - creates empty images. */
#include "open/create.h"

#include <stdio.h>
#include <stdlib.h>

#include "lib/args.h"
#include "util/blockdev.h"
#include "util/err.h"
#include "lib/create-args.h"
#include "lib/output.h"
#include "lib/report.h"
#include "verbs.h"
#include "lib/input.h"

static int create(const struct args *a, struct create_args *c, const char *name)
{
	struct err e = ERR_INIT;
	struct output o = {.name = name};
	int r = image_create_check(c->format, &c->request, &e);

	if (r == 0 && !args_has(a, OPT_QUIET)) {
		create_args_print(c, a->operands[0]);
		fflush(stdout);
	}
	if (r == 0)
		r = output_begin(&o, name, &e);
	if (r == 0) {
		output_request(&o, &c->request);
		r = image_create(c->format, o.path, &c->request, &e);
	}
	if (r == 0)
		r = output_commit(&o, true, &e);
	output_reword(&o, &e);
	output_end(&o);
	if (r == 0) {
		create_args_warn_raw(c, name, OPT_FORMAT);
		return EXIT_SUCCESS;
	}
	return report_about(name, &e);
}

int run_create(const struct args *a)
{
	const struct format *f = create_args_format(a, OPT_FORMAT);
	struct input_session s;
	const char *name = a->n > 0 ? blockdev_path(a->operands[0]) : NULL;
	struct create_args c = {0};
	int status = EXIT_FAILURE;

	if (!f)
		return EXIT_FAILURE;
	if (input_session_begin(&s, a) && create_args_begin(&c, &s, f, name, &status)) {
		if (a->n != 1 && a->n != 2)
			status = args_misused("Expecting image file name");
		else if (create_args_size(&c, name, a->n == 2 ? a->operands[1] : NULL))
			status = create(a, &c, name);
	}
	create_args_end(&c);
	input_session_end(&s);
	return status;
}
