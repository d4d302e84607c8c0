/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <string.h>

#include "util/err.h"
#include "problems.h"
#include "unit.h"

static void collect(void *arg, const char *sentence)
{
	struct findings *f = arg;

	ck_assert_uint_lt(strlen(f->text) + strlen(sentence) + 1, sizeof f->text);
	strcat(f->text, sentence);
	strcat(f->text, "\n");
}

void findings_repaired(struct findings *f, struct image *img, unsigned repair, const char *text)
{
	struct err e = ERR_INIT;

	*f = (struct findings){.report.found = collect, .report.arg = f};
	ck_assert_ok(image_check(img, repair, &f->report, &e), &e);
	ck_assert_str_eq(f->text, text);
}

void findings_equal(struct findings *f, struct image *img, const char *text)
{
	findings_repaired(f, img, 0, text);
}

void findings_count(const struct findings *f, unsigned corruptions, unsigned leaks)
{
	ck_assert_uint_eq(f->report.corruptions, corruptions);
	ck_assert_uint_eq(f->report.leaks, leaks);
	ck_assert_uint_eq(f->report.check_errors, 0);
	ck_assert_uint_eq(f->report.corruptions_fixed, 0);
	ck_assert_uint_eq(f->report.leaks_fixed, 0);
}

void findings_fail(struct image *img, int code, const char *part)
{
	struct check_report report = {.found = NULL};
	struct err e = ERR_INIT;

	ck_assert_fails(image_check(img, 0, &report, &e), code, &e, part);
}
