/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* partition.c - which partition scheme a disk has, and at which sector size.
 *
 * A GPT counts where sector 0 has a protective entry, or has no entries at all.  Old GPT headers on
 * a disk that was given an MBR since, or a file system without a table, are leftovers.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "util/bytes.h"
#include "bsd.h"
#include "gpt.h"
#include "mac.h"
#include "mbr.h"
#include "partition.h"
#include "sectors.h"
#include "view/view.h"

#define NSECTOR_SIZES 5

/* The places of a GPT, in the order in which they are read. */
enum gpt_place { GPT_PRIMARY, GPT_AT_END, GPT_AT_ALTERNATE, GPT_PLACES };

static struct sectors disk_in_sectors(const struct view *view, uint32_t sector)
{
	return (struct sectors){view, sector, view->size / sector};
}

/* A valid primary GPT needs no other proof; a backup counts only beside a protective MBR.  It is at
 * the end of the disk, or where the primary header has it: an image may have been made larger.
 * Returns 1 found, 0 not there, -errno not found and one of the places could not be read. */
static int read_gpt(const struct view *view, const uint32_t *sizes, bool protective,
	struct partition_table *t, struct err *e)
{
	enum gpt_place end = protective ? GPT_PLACES : GPT_PRIMARY + 1;
	int failed = 0;

	for (enum gpt_place place = GPT_PRIMARY; place < end; place++)
		for (size_t i = 0; i < NSECTOR_SIZES; i++) {
			struct sectors d = disk_in_sectors(view, sizes[i]);
			uint64_t lba = place == GPT_PRIMARY ? GPT_PRIMARY_LBA : d.nsectors - 1;
			int r = 0;

			if (d.nsectors <= GPT_PRIMARY_LBA)
				continue;
			if (place == GPT_AT_ALTERNATE)
				r = gpt_alternate(&d, &lba, e);
			if (r == 0 && lba > 0)
				r = gpt_read(&d, lba, t, e);
			if (r > 0 && place != GPT_PRIMARY)
				t->damage = "the primary GPT is damaged; its backup is used";
			if (r > 0 || r == -ENOMEM)
				return r;
			if (r < 0)
				failed = r;
		}
	return failed;
}

/* The tables that leave sector 0 to a boot loader.  1 found, 0 not there, -errno. */
static int read_other(const struct sectors *d, const unsigned char *boot, struct partition_table *t,
	struct err *e)
{
	int r = 0;

	if (!mbr_is_filesystem(boot)) {
		r = mac_read(d->view, boot, t, e);
		if (r == 0)
			r = bsd_read(d, t, e);
	}
	return r;
}

static int table_read(
	const struct view *view, const uint32_t *sizes, struct partition_table *t, struct err *e)
{
	struct sectors d = disk_in_sectors(view, sizes[0]);
	unsigned char boot[MBR_SECTOR];
	bool protective, mbr;
	int r;

	if (view->size < sizeof boot)
		return 0;
	r = view_read(view, boot, sizeof boot, 0, e);
	if (r < 0)
		return r;
	protective = mbr_is_protective(boot);
	mbr = mbr_is_valid(boot, &d);
	if (protective || (mbr_is_empty(boot) && !mbr_is_filesystem(boot))) {
		r = read_gpt(view, sizes, protective, t, e);
		if (r != 0)
			return r;
	}
	/* As in the kernel, an MBR with a protective entry is none of its own. */
	if (protective) {
		t->damage = "a protective MBR, but no GPT";
		return 0;
	}
	if (!mbr || mbr_is_empty(boot)) {
		r = read_other(&d, boot, t, e);
		if (r != 0)
			return r;
	}
	return mbr ? mbr_read(&d, boot, t, e) : 0;
}

int partition_table_read(
	const struct view *disk, uint32_t sector, struct partition_table *t, struct err *e)
{
	/* The size that the image records comes first; trying a size twice does no harm. */
	uint32_t sizes[NSECTOR_SIZES] = {sector, 512, 4096, 1024, 2048};
	int r;

	if (!is_power_of_2(sector) || sector < MBR_SECTOR || sector > SECTOR_MAX)
		sizes[0] = 512;
	memset(t, 0, sizeof *t);
	r = table_read(disk, sizes, t, e);
	return r < 0 ? r : 0;
}

void partition_table_free(struct partition_table *t)
{
	for (size_t i = 0; i < t->n; i++)
		free(t->parts[i].partlabel);
	free(t->parts);
	memset(t, 0, sizeof *t);
}
