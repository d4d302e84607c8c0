/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "sectors.h"

#include <errno.h>

#include "util/array.h"
#include "util/err.h"
#include "util/limits.h"
#include "view/view.h"

int sectors_read(const struct sectors *d, void *buf, size_t len, uint64_t lba, struct err *e)
{
	if (lba > d->nsectors || !range_fits(lba * d->sector, len, d->view->size))
		return err_set(e, EINVAL, "the partition table leaves the disk");
	return view_read(d->view, buf, len, lba * d->sector, e);
}

int sectors_add_partition(const struct sectors *d, struct partition_table *t, unsigned number,
	uint64_t lba, uint64_t n, struct partition **p, struct err *e)
{
	struct partition *parts;

	*p = NULL;
	if (n == 0 || lba >= d->nsectors || t->n == LIMIT_PARTITIONS)
		return 0;
	parts = array_grow(t->parts, t->n, sizeof *parts);
	if (!parts)
		return err_nomem(e);
	t->parts = parts;
	*p = &parts[t->n++];
	**p = (struct partition){
		.number = number,
		.start = lba * d->sector,
		.len = MIN(n, d->nsectors - lba) * d->sector,
	};
	return 0;
}
