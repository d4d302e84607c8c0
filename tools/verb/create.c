/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* create.c - new, empty images. */
#include "open/create.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "lib/args.h"
#include "util/err.h"
#include "image/format.h"
#include "open/registry.h"
#include "lib/create-args.h"
#include "lib/output.h"
#include "lib/report.h"
#include "verbs.h"
#include "lib/input.h"

static const struct format *find_format(const struct args *a)
{
	const char *name = args_value(a, OPT_FORMAT);
	const struct format *f = registry_find(name ? name : "raw");

	if (!f)
		report_format("Unknown file format", name);
	return f;
}

/* Nothing is lost with a file that is empty. */
static bool is_empty(const char *name)
{
	struct stat st;

	return stat(name, &st) == 0 && S_ISREG(st.st_mode) && st.st_size == 0;
}

static int make_file(struct create_args *m, struct output *o, struct err *e)
{
	int r;

	output_request(o, &m->request);
	r = image_create(m->format, o->path, &m->request, e);
	return r == 0 ? output_commit(o, true, e) : r;
}

static int make(const struct args *a, struct create_args *m, const char *name)
{
	struct err e = ERR_INIT;
	struct output o;
	int r;

	m->request.replace = args_has(a, OPT_FORCE) || is_empty(name);
	r = output_begin(&o, name, m->request.replace, &e);
	if (r == 0)
		r = make_file(m, &o, &e);
	output_reword(&o, &e);
	output_end(&o);
	if (r == 0) {
		if (!args_has(a, OPT_QUIET))
			create_args_print(m, name);
		create_args_warn_raw(m, name, OPT_FORMAT);
		return EXIT_SUCCESS;
	}
	if (e.code == EEXIST)
		err_hint(&e, "--force replaces it, and what is in it");
	return report_about(name, &e);
}

int run_create(const struct args *a)
{
	const struct format *f = find_format(a);
	struct input_session s;
	struct create_args m = {0};
	int status = EXIT_FAILURE;

	if (!f)
		return EXIT_FAILURE;
	if (input_session_begin(&s, a) &&
		create_args_begin(&m, &s, f, a->n > 0 ? a->operands[0] : NULL, &status)) {
		if (a->n != 1 && a->n != 2)
			status = args_misused("Expecting image file name");
		else if (create_args_size(&m, a->operands[0], a->n == 2 ? a->operands[1] : NULL))
			status = make(a, &m, a->operands[0]);
	}
	create_args_end(&m);
	input_session_end(&s);
	return status;
}
