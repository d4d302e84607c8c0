/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

#include "util/bytes.h"
#include "check.h"
#include "util/err.h"
#include "format.h"
#include "image.h"
#include "io/io.h"

static void __attribute__((format(printf, 2, 0)))
tell(struct check_report *r, const char *fmt, va_list ap)
{
	char text[ERR_TEXT];

	r->findings++;
	if (!r->found)
		return;
	vsnprintf(text, sizeof text, fmt, ap);
	err_clean(text);
	r->found(r->arg, text);
}

void check_tell(struct check_report *r, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	tell(r, fmt, ap);
	va_end(ap);
}

void check_corruption(struct check_report *r, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	tell(r, fmt, ap);
	va_end(ap);
	r->corruptions++;
}

void check_leak(struct check_report *r, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	tell(r, fmt, ap);
	va_end(ap);
	r->leaks++;
}

#define FINDINGS_LEAST (UINT64_C(1) << 16)

bool check_is_enough(const struct check_report *r)
{
	return r->findings >= MAX(r->findings_max, FINDINGS_LEAST);
}

int check_go_on(const struct check_report *r, struct err *e)
{
	if (!check_is_enough(r))
		return 0;
	return err_set(e, EUCLEAN, "there is too much damage to tell all of it");
}

int image_check(struct image *img, unsigned repair, struct check_report *r, struct err *e)
{
	int rc;

	*r = (struct check_report){.found = r->found, .arg = r->arg};
	if (!img->format->check)
		return err_set(e, ENOTSUP, "%s: images of format \"%s\" cannot be checked",
			img->io->name, img->format->name);
	if (repair && !img->io->writable)
		return err_set(e, EROFS, "%s: it was not opened for repair", img->io->name);
	rc = img->format->check(img, repair, r, e);
	return rc < 0 ? err_in(e, "%s", img->io->name) : 0;
}
