/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* backing.c - another backing file, and a disk that shows nothing but that. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "util/bytes.h"
#include "util/err.h"
#include "view/view.h"
#include "view/writer.h"
#include "image/image.h"
#include "alloc.h"
#include "head.h"
#include "l1.h"
#include "walk.h"

static int check(const struct qcow2 *q, const char *name, const char *format, struct err *e)
{
	if (!name)
		return 0;
	if (q->header.autoclear & QCOW2_DATA_FILE_RAW)
		return err_set(e, EINVAL, "data_file_raw leaves no place for a backing file");
	if (strlen(name) == 0 || strlen(name) > LIMIT_NAME)
		return err_set(e, EINVAL, "backing file name: %zu bytes are not 1..%d",
			strlen(name), LIMIT_NAME);
	if (format && strlen(format) > QCOW2_FORMAT_NAME)
		return err_set(e, EINVAL, "backing format: at most %d bytes", QCOW2_FORMAT_NAME);
	return 0;
}

int qcow2_backing_set(struct image *img, const char *name, const char *format, struct err *e)
{
	struct qcow2 *q = img->priv;
	struct qcow2_header h = q->header;
	int r = check(q, name, format, e);

	if (r < 0)
		return r;
	snprintf(h.backing, sizeof h.backing, "%s", name ? name : "");
	snprintf(h.backing_format, sizeof h.backing_format, "%s", name && format ? format : "");
	return qcow2_head_write(q, &h, e);
}

/* The disk is empty once the new L1 table is durable; a failure after that only leaks clusters. */
int qcow2_backing_empty(struct image *img, struct err *e)
{
	struct qcow2_view *live = (struct qcow2_view *)img->states[0]->view;
	struct qcow2 *q = live->q;
	uint64_t entries = qcow2_l1_needed(q, live->view.size);
	struct qcow2_l1 none = {.entries = 0}, old = qcow2_l1_of(live), l1;
	struct err why = ERR_INIT;
	int r = qcow2_l1_make(q, none, 0, MAX(1, entries), &l1, e);

	if (r == 0)
		r = qcow2_l1_switch(live, l1, e);
	if (r < 0)
		return r;
	r = qcow2_walk_drop(q, old, &why);
	if (r == 0)
		r = qcow2_alloc_flush(q->alloc, &why);
	return qcow2_walk_warn_leak(img, r, &why);
}
