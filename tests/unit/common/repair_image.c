/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "repair_image.h"

#include <stdlib.h>

#include "util/err.h"
#include "unit.h"
#include "view/view.h"
#include "open/open.h"

void repair_image_new(struct repair_image *m, const char *format, const char *path)
{
	m->path = path;
	m->o = options_new();
	m->o.format = format;
}

void repair_image_free(struct repair_image *m)
{
	options_free(&m->o);
}

struct image *repair_image_open(struct repair_image *m, bool repair)
{
	struct image *img;
	struct err e = ERR_INIT;

	m->o.repair = repair;
	ck_assert_ok(image_open(m->path, &m->o, &img, &e), &e);
	return img;
}

static unsigned char *read_disk(struct repair_image *m, size_t *len)
{
	struct image *img = repair_image_open(m, false);
	const struct view *v = img->states[0]->view;
	unsigned char *disk;
	struct err e = ERR_INIT;

	*len = v->size;
	disk = malloc(*len);
	ck_assert(disk);
	ck_assert_ok(view_read(v, disk, *len, 0, &e), &e);
	image_close(img);
	return disk;
}

void repair_image_repairs_file(struct repair_image *m, unsigned repair, const char *text)
{
	unsigned char *before, *after;
	size_t len, len_after;
	struct image *img;

	before = read_disk(m, &len);
	img = repair_image_open(m, true);
	findings_repaired(&m->f, img, repair, text);
	image_close(img);
	after = read_disk(m, &len_after);
	ck_assert_uint_eq(len, len_after);
	ck_assert_mem_eq(before, after, len);
	free(before);
	free(after);
}

void repair_image_repairs(
	struct repair_image *m, const void *bytes, size_t len, unsigned repair, const char *text)
{
	write_file(m->path, bytes, len);
	repair_image_repairs_file(m, repair, text);
}

void repair_image_fixed(const struct repair_image *m, unsigned corruptions, unsigned leaks)
{
	ck_assert_uint_eq(m->f.report.corruptions_fixed, corruptions);
	ck_assert_uint_eq(m->f.report.leaks_fixed, leaks);
	ck_assert_uint_eq(m->f.report.check_errors, 0);
}

void repair_image_check(struct repair_image *m, const char *text)
{
	struct image *img = repair_image_open(m, false);

	findings_equal(&m->f, img, text);
	image_close(img);
}
