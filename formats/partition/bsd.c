/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* bsd.c - BSD disklabels (disklabel(5) of the BSDs), read and numbered as by the Linux kernel.
 *
 * A label has places for partitions a, b, c and so on.  Partition c is the whole disk or slice by
 * convention, and is not listed if it is.  Positions count from the start of the disk; in a slice
 * of FreeBSD, they count from the start of the slice if c begins at 0.
 */
#include "bsd.h"

#include <stdio.h>

#include "util/bytes.h"
#include "util/err.h"
#include "partition.h"
#include "sectors.h"
#include "view/view.h"

#define MAGIC     0x82564557u
#define ENTRIES   148
#define ENTRY_LEN 16
#define NENTRIES  16u
#define LABEL_LEN (ENTRIES + NENTRIES * ENTRY_LEN)
#define C         2

#define TYPE_FREEBSD 0xa5
#define TYPE_OPENBSD 0xa6
#define TYPE_NETBSD  0xa9

struct label {
	unsigned char bytes[LABEL_LEN];
	unsigned n; /* entries */
};

struct bsd_entry {
	uint32_t start, n; /* sectors */
	uint8_t type;      /* 0: not used */
};

static struct bsd_entry entry_load(const struct label *l, unsigned i)
{
	const unsigned char *p = l->bytes + ENTRIES + i * ENTRY_LEN;

	return (struct bsd_entry){load_le32(p + 4), load_le32(p), p[12]};
}

/* Reads the label at pos, bytes, of the disk.  1: it is one; 0: it is none.  As the kernel, it does
 * not look at the checksum: parted writes wrong ones. */
static int label_read(const struct sectors *d, uint64_t pos, struct label *l, struct err *e)
{
	int r;

	if (!range_fits(pos, LABEL_LEN, d->view->size))
		return 0;
	r = view_read(d->view, l->bytes, LABEL_LEN, pos, e);
	if (r < 0)
		return r;
	l->n = MIN(load_le16(l->bytes + 138), NENTRIES);
	return load_le32(l->bytes) == MAGIC && load_le32(l->bytes + 132) == MAGIC;
}

static int add(const struct sectors *d, unsigned number, uint64_t start, const struct bsd_entry *x,
	struct partition_table *t, struct err *e)
{
	struct partition *p;
	int r = sectors_add_partition(d, t, number, start, x->n, &p, e);

	if (r == 0 && p)
		snprintf(p->type, sizeof p->type, "0x%x", x->type);
	return r;
}

/* The label is in the second sector; of Alphas, in the first one after 64 bytes of boot code. */
int bsd_read(const struct sectors *d, struct partition_table *t, struct err *e)
{
	struct label l;
	int r = label_read(d, 512, &l, e);

	if (r == 0)
		r = label_read(d, 64, &l, e);
	if (r != 1)
		return r;
	t->scheme = "bsd";
	t->sector = d->sector;
	r = 0;
	for (unsigned i = 0; r == 0 && i < l.n; i++) {
		struct bsd_entry x = entry_load(&l, i);

		if (x.type && (x.start != 0 || x.n < d->nsectors))
			r = add(d, i + 1, x.start, &x, t, e);
	}
	return r < 0 ? r : 1;
}

static bool is_bsd(uint8_t type)
{
	return type == TYPE_FREEBSD || type == TYPE_OPENBSD || type == TYPE_NETBSD;
}

int bsd_read_slice(const struct sectors *d, const struct bsd_slice *slice, unsigned *number,
	struct partition_table *t, struct err *e)
{
	struct err ignored = ERR_INIT;
	uint64_t base = 0;
	struct label l;
	int r = 0;

	if (!is_bsd(slice->type) || slice->n == 0 || slice->lba >= d->nsectors)
		return 0;
	/* One that cannot be read does not hide the other partitions. */
	if (label_read(d, slice->lba * d->sector + 512, &l, &ignored) != 1)
		return 0;
	if (slice->type == TYPE_FREEBSD && entry_load(&l, C).start == 0)
		base = slice->lba;
	for (unsigned i = 0; r == 0 && i < l.n; i++) {
		struct bsd_entry x = entry_load(&l, i);
		uint64_t start = base + x.start;

		if (x.type == 0 || (start == slice->lba && x.n == slice->n))
			continue;
		if (start < slice->lba || !range_fits(start - slice->lba, x.n, slice->n)) {
			t->damage = "a partition of a BSD disklabel leaves its slice";
			continue;
		}
		r = add(d, (*number)++, start, &x, t, e);
	}
	return r;
}
