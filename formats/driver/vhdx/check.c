/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* check.c - looks for blocks that overlap, and compares the structures that a file has twice.
 *
 * A crash may leave a log to be replayed, and one of the two headers half written: neither is
 * damage, and both are reported and repaired.  Unused space is no leak: the format has no list of
 * free space, and whoever writes next uses it.
 */
#include <stdlib.h>

#include "util/err.h"
#include "alloc.h"
#include "header.h"
#include "image/check.h"
#include "image/image.h"
#include "io/cache.h"
#include "io/io.h"
#include "log.h"
#include "region-table.h"

static int is_good(struct io *io, uint64_t pos, size_t len, const char *signature,
	unsigned char *buf, bool *good, struct err *e)
{
	int r = io_read_padded(io, buf, len, pos, e);

	*good = r == 0 && vhdx_header_is_valid(buf, len, signature);
	return r;
}

static int check_headers(
	struct vhdx *d, bool repair, unsigned char *buf, struct check_report *r, struct err *e)
{
	unsigned other = !d->header.slot;
	bool good;
	int rc = is_good(d->io, vhdx_header_pos[other], VHDX_HEADER_LEN, "head", buf, &good, e);

	if (rc < 0 || good)
		return rc;
	check_tell(r, "header %u is damaged; the other one is used", other + 1);
	if (repair)
		rc = vhdx_header_write_both(d, e);
	r->corruptions_fixed += repair && rc == 0;
	return rc;
}

/* One of them is good, or the image would not have been opened. */
static int check_region_tables(
	struct vhdx *d, bool repair, unsigned char *buf, struct check_report *r, struct err *e)
{
	bool good = true;
	int bad, rc = 0;

	for (bad = 0; bad < 2; bad++) {
		rc = is_good(
			d->io, vhdx_region_table_pos[bad], VHDX_TABLE_LEN, "regi", buf, &good, e);
		if (rc < 0 || !good)
			break;
	}
	if (rc < 0 || good)
		return rc;
	check_tell(r, "region table %d is damaged; the other one is used", bad + 1);
	if (!repair)
		return 0;
	rc = io_read(d->io, buf, VHDX_TABLE_LEN, vhdx_region_table_pos[!bad], e);
	if (rc == 0)
		rc = io_write(d->io, buf, VHDX_TABLE_LEN, vhdx_region_table_pos[bad], e);
	if (rc == 0)
		rc = io_sync(d->io, e);
	r->corruptions_fixed += rc == 0;
	return rc;
}

int vhdx_check(struct image *img, unsigned repair, struct check_report *r, struct err *e)
{
	struct vhdx *d = (struct vhdx *)img->states[0]->view;
	unsigned char *buf = malloc(VHDX_TABLE_LEN);
	int rc = buf ? vhdx_alloc_check(d, r, e) : err_nomem(e);
	bool repairs;

	if (rc == 0)
		rc = check_damage(img, r, e);
	repairs = repair && r->corruptions == 0;
	/* The log comes first: its replay would undo other repairs. */
	if (rc == 0 && d->replayed) {
		check_tell(r, "%s changes that are in the log alone",
			repairs ? "Replaying" : "There are");
		rc = repairs ? vhdx_log_apply(img, d, e) : 0;
		r->corruptions_fixed += repairs && rc == 0;
	}
	if (rc == 0)
		rc = check_headers(d, repairs, buf, r, e);
	if (rc == 0)
		rc = check_region_tables(d, repairs, buf, r, e);
	free(buf);
	if (repair)
		cache_forget(d->view.cache, img->io);
	return rc;
}
