/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* check.c - looks at what a VHDX image says twice, at its log and at its BAT.
 *
 * A crash may leave a log that waits to be replayed, and one of two headers half written: neither
 * is damage, and both are told and mended.  Room that nothing uses is none either: the format knows
 * no other room than what the BAT and the regions have, and whoever writes next gives it out.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "util/bytes.h"
#include "io/cache.h"
#include "image/check.h"
#include "util/err.h"
#include "image/image.h"
#include "io/io.h"
#include "write.h"
#include "vhdx.h"

/* One of two structures that say the same. */
static int is_good(struct io *io, uint64_t pos, size_t len, const char *signature,
	unsigned char *buf, bool *good, struct err *e)
{
	int r = io_read_padded(io, buf, len, pos, e);

	*good = r == 0 && vhdx_is_valid(buf, len, signature);
	return r;
}

static int check_headers(
	struct vhdx *d, bool mend, unsigned char *buf, struct check_report *r, struct err *e)
{
	bool good;
	unsigned other = !d->header.slot;
	int rc = is_good(d->io, vhdx_header_pos[other], VHDX_HEADER_LEN, "head", buf, &good, e);

	if (rc < 0 || good)
		return rc;
	check_tell(r, "header %u is damaged; the other one is used", other + 1);
	if (mend)
		rc = vhdx_headers_write(d, e);
	r->corruptions_fixed += mend && rc == 0;
	return rc;
}

static int copy_regions(
	struct vhdx *d, int from, unsigned char *buf, struct check_report *r, struct err *e)
{
	int rc = io_read(d->io, buf, VHDX_TABLE_LEN, vhdx_regions_pos[from], e);

	if (rc == 0)
		rc = io_write(d->io, buf, VHDX_TABLE_LEN, vhdx_regions_pos[!from], e);
	if (rc == 0)
		rc = io_sync(d->io, e);
	r->corruptions_fixed += rc == 0;
	return rc;
}

/* One of them is good, or the image would not have been opened. */
static int check_regions(
	struct vhdx *d, bool mend, unsigned char *buf, struct check_report *r, struct err *e)
{
	for (int i = 0; i < 2; i++) {
		bool good;
		int rc = is_good(d->io, vhdx_regions_pos[i], VHDX_TABLE_LEN, "regi", buf, &good, e);

		if (rc < 0)
			return rc;
		if (good)
			continue;
		check_tell(r, "region table %d is damaged; the other one is used", i + 1);
		return mend ? copy_regions(d, !i, buf, r, e) : 0;
	}
	return 0;
}

/* What the log says counts: it comes first, or what is mended would not last. */
static int check_log(
	struct image *img, struct vhdx *d, bool mend, struct check_report *r, struct err *e)
{
	if (!d->replayed)
		return 0;
	check_tell(r, "%s changes that are in the log alone", mend ? "Replaying" : "There are");
	if (!mend)
		return 0;
	if (vhdx_replay(img, d, e) < 0)
		return -e->code;
	r->corruptions_fixed++;
	return 0;
}

static int check_twice(
	struct image *img, struct vhdx *d, bool mend, struct check_report *r, struct err *e)
{
	unsigned char *buf = malloc(VHDX_TABLE_LEN);
	int rc = buf ? check_log(img, d, mend, r, e) : err_nomem(e);

	if (rc == 0)
		rc = check_headers(d, mend, buf, r, e);
	if (rc == 0)
		rc = check_regions(d, mend, buf, r, e);
	free(buf);
	return rc;
}

/* What can be mended reads right before, too. */
static int check_all(
	struct image *img, struct vhdx *d, unsigned repair, struct check_report *r, struct err *e)
{
	int rc = vhdx_room_check(d, r, e);

	if (rc == 0)
		rc = check_damage(img, r, e);
	if (rc == 0)
		rc = check_twice(img, d, repair && r->corruptions == 0, r, e);
	if (repair)
		cache_forget(d->view.cache, img->io);
	return rc;
}

int vhdx_check(struct image *img, unsigned repair, struct check_report *r, struct err *e)
{
	struct vhdx *d = (struct vhdx *)img->states[0]->view;
	struct vhdx_writing *had = d->writing;
	int rc;

	d->writing = calloc(1, sizeof *d->writing);
	rc = d->writing ? check_all(img, d, repair, r, e) : err_nomem(e);
	vhdx_writing_free(d->writing);
	d->writing = had;
	return rc;
}
