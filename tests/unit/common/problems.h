/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* problems.h - assertions on the findings of a check. */
#ifndef UNIT_COMMON_PROBLEMS_H
#define UNIT_COMMON_PROBLEMS_H

#include "image/check.h"

struct image;

struct findings {
	struct check_report report;
	char text[8192]; /* all messages, one per line */
};

/* The check must succeed, with exactly these messages. */
void findings_equal(struct findings *f, struct image *img, const char *text);

/* The same for a check with repair. */
void findings_repaired(struct findings *f, struct image *img, unsigned repair, const char *text);

/* Asserts the totals; nothing else is counted. */
void findings_count(const struct findings *f, unsigned corruptions, unsigned leaks);

/* The check itself must fail with this code and a message that contains part. */
void findings_fail(struct image *img, int code, const char *part);

#endif
