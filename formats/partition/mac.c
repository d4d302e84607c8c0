/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* mac.c - an Apple partition map (Inside Macintosh: Devices, "SCSI Manager"): big-endian entries of
 * a block each, after the block of the driver descriptor, which has the size of blocks.
 *
 * Entries are numbered from 1 on, as in the Linux kernel; that of the map itself and those of free
 * space are not listed.
 */
#include "mac.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "util/bytes.h"
#include "util/err.h"
#include "util/limits.h"
#include "util/utf8.h"
#include "view/view.h"
#include "partition.h"
#include "sectors.h"

#define ENTRY_LEN  136u
#define MAP_BLOCKS 4 /* entries in the map, in each of them */
#define START      8
#define BLOCKS     12
#define NAME       16
#define TYPE       48
#define TEXT_LEN   32u

static bool is_entry(const unsigned char *p)
{
	return p[0] == 'P' && p[1] == 'M';
}

static bool is_utf8(const char *text)
{
	size_t left = strlen(text), len;

	for (; left > 0; text += len, left -= len) {
		len = utf8_length(text, left);
		if (len == 0)
			return false;
	}
	return true;
}

/* Is it a partition?  The type is that of a name, in whatever case. */
static bool holds_data(const char *type)
{
	return strcasecmp(type, "Apple_partition_map") != 0 &&
	       strcasecmp(type, "Apple_Free") != 0 && strcasecmp(type, "Apple_Void") != 0;
}

static int entry_add(const unsigned char *p, unsigned number, const struct sectors *d,
	struct partition_table *t, struct err *e)
{
	char name[TEXT_LEN + 1] = "", type[TEXT_LEN + 1] = "";
	struct partition *part;
	int r;

	memcpy(name, p + NAME, TEXT_LEN);
	memcpy(type, p + TYPE, TEXT_LEN);
	if (!holds_data(type))
		return 0;
	r = sectors_add_partition(
		d, t, number, load_be32(p + START), load_be32(p + BLOCKS), &part, e);
	if (r < 0 || !part)
		return r;
	snprintf(part->type, sizeof part->type, "%s", type);
	if (name[0] == '\0' || !is_utf8(name))
		return 0;
	part->partlabel = strdup(name);
	return part->partlabel ? 0 : err_nomem(e);
}

int mac_read(const struct view *disk, const unsigned char *boot, struct partition_table *t,
	struct err *e)
{
	struct sectors d = {.view = disk, .sector = load_be16(boot + 2)};
	unsigned char entry[ENTRY_LEN];
	uint32_t n = 1;
	int r = 0;

	if (boot[0] != 'E' || boot[1] != 'R' || !is_power_of_2(d.sector) || d.sector < 512 ||
		d.sector > SECTOR_MAX)
		return 0;
	d.nsectors = disk->size / d.sector;
	for (unsigned i = 1; r == 0 && i <= n; i++) {
		r = sectors_read(&d, entry, sizeof entry, i, e);
		if (r == -EINVAL || (r == 0 && !is_entry(entry)))
			break;
		if (i == 1)
			n = MIN(load_be32(entry + MAP_BLOCKS), LIMIT_PARTITIONS - 1);
		if (i == 1 && r == 0) {
			t->scheme = "mac";
			t->sector = d.sector;
		}
		if (r == 0)
			r = entry_add(entry, i, &d, t, e);
	}
	return r < 0 && r != -EINVAL ? r : t->scheme != NULL;
}
