/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* problems.h - what a check finds in an image, for tests. */
#ifndef UNIT_COMMON_PROBLEMS_H
#define UNIT_COMMON_PROBLEMS_H

#include "image/check.h"

struct image;

struct findings {
	struct check_report report;
	char text[8192]; /* all sentences, a line each */
};

/* The check must go through; its findings are then these, word by word. */
void findings_are(struct findings *f, struct image *img, const char *text);

/* The same with a repair. */
void findings_mended(struct findings *f, struct image *img, unsigned repair, const char *text);

/* These are all that is counted. */
void findings_count(const struct findings *f, unsigned corruptions, unsigned leaks);

/* The check must fail like this. */
void findings_fail(struct image *img, int code, const char *part);

#endif
