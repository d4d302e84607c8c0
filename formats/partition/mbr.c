/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* mbr.c - the partition table of a boot sector, and the chains of logical partitions.
 *
 * No standard describes it.  It is read as by the Linux kernel, so that partitions have the same
 * numbers; but a chain that is a loop or leaves its container ends there.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "mbr.h"
#include "bsd.h"
#include "sectors.h"
#include "util/bytes.h"
#include "util/limits.h"

#define DISK_ID_POS     440
#define ENTRIES_POS     446
#define ENTRY_LEN       16
#define NENTRIES        4
#define FIRST_LOGICAL   5u
#define TYPE_PROTECTIVE 0xee

struct mbr_entry {
	uint8_t status, type;
	uint32_t start, n; /* sectors; n = 0: not used, whatever the type */
};

static struct mbr_entry entry_load(const unsigned char *boot, unsigned i)
{
	const unsigned char *p = boot + ENTRIES_POS + i * ENTRY_LEN;

	return (struct mbr_entry){p[0], p[4], load_le32(p + 8), load_le32(p + 12)};
}

static bool entry_is_extended(const struct mbr_entry *x)
{
	return x->n && (x->type == 0x05 || x->type == 0x0f || x->type == 0x85);
}

static bool has_signature(const unsigned char *boot)
{
	return boot[510] == 0x55 && boot[511] == 0xaa;
}

bool mbr_is_protective(const unsigned char *boot)
{
	for (unsigned i = 0; i < NENTRIES; i++)
		if (entry_load(boot, i).type == TYPE_PROTECTIVE)
			return has_signature(boot);
	return false;
}

bool mbr_is_empty(const unsigned char *boot)
{
	for (unsigned i = 0; i < NENTRIES; i++)
		if (entry_load(boot, i).n)
			return !has_signature(boot);
	return true;
}

/* A FAT's BIOS parameter block, as the kernel recognises it; the "FAT16" text is only a comment. */
static bool is_fat(const unsigned char *boot)
{
	bool jump = boot[0] == 0xe9 || (boot[0] == 0xeb && boot[2] == 0x90);
	uint16_t sector = load_le16(boot + 11);
	uint8_t cluster = boot[13], fats = boot[16], media = boot[21];

	return jump && is_power_of_2(sector) && sector >= 512 && sector <= 4096 &&
	       is_power_of_2(cluster) && load_le16(boot + 14) != 0 && fats >= 1 && fats <= 2 &&
	       (media == 0xf0 || media >= 0xf8);
}

bool mbr_is_filesystem(const unsigned char *boot)
{
	return has_signature(boot) && (memcmp(boot + 3, "NTFS    ", 8) == 0 ||
					      memcmp(boot + 3, "EXFAT   ", 8) == 0 || is_fat(boot));
}

/* Entries too good to be chance: some, and all of them inside the disk and behind sector 0. */
static bool entries_fit(const unsigned char *boot, const struct sectors *d)
{
	for (unsigned i = 0; i < NENTRIES; i++) {
		struct mbr_entry x = entry_load(boot, i);

		if (x.n && (x.start == 0 || !range_fits(x.start, x.n, d->nsectors)))
			return false;
	}
	return !mbr_is_empty(boot);
}

bool mbr_is_valid(const unsigned char *boot, const struct sectors *d)
{
	static const unsigned char aix[4] = {0xc9, 0xc2, 0xd4, 0xc1};

	if (!has_signature(boot) || memcmp(boot, aix, sizeof aix) == 0)
		return false;
	/* Boot sectors of file systems have the signature too, and code or text in this place. */
	for (unsigned i = 0; i < NENTRIES; i++)
		if (entry_load(boot, i).status & 0x7f)
			return false;
	/* Partitioning tools keep the boot code of the file system that was there before. */
	return !mbr_is_filesystem(boot) || entries_fit(boot, d);
}

static int partition_add(struct partition_table *t, const struct sectors *d, unsigned number,
	uint64_t lba, const struct mbr_entry *x, struct err *e)
{
	struct partition *p;
	int r = sectors_add_partition(d, t, number, lba, x->n, &p, e);

	if (r < 0 || !p)
		return r;
	snprintf(p->type, sizeof p->type, "0x%x", x->type);
	/* A disk without a signature has no names under by-partuuid either. */
	if (t->id[0])
		snprintf(p->partuuid, sizeof p->partuuid, "%.8s-%02x", t->id, number);
	return 0;
}

/* The boot records of an extended partition, while they are read. */
struct logical_chain {
	uint64_t start, n;               /* the container */
	uint64_t at, link_len;           /* the current record, and the sectors in its link */
	uint64_t seen[LIMIT_PARTITIONS]; /* records that were read */
	unsigned nseen;
};

/* Moves c along the first link of the record; links count from the start of the container.  False
 * at the end of the chain, with the reason in damage if it is not a proper one. */
static bool chain_next(struct logical_chain *c, const unsigned char *boot, const char **damage)
{
	struct mbr_entry x;
	unsigned i;

	for (i = 0; i < NENTRIES; i++) {
		x = entry_load(boot, i);
		if (entry_is_extended(&x))
			break;
	}
	if (i == NENTRIES)
		return false;
	if (x.start >= c->n) {
		*damage = "a link between logical partitions leaves the extended partition";
		return false;
	}
	c->at = c->start + x.start;
	c->link_len = x.n;
	for (i = 0; i < c->nseen; i++)
		if (c->seen[i] == c->at) {
			*damage = "the chain of logical partitions is a loop";
			return false;
		}
	return true;
}

/* A record that cannot be read ends its chain, but not the reading of others. */
static int chain_read(struct logical_chain *c, unsigned *number, const struct sectors *d,
	struct partition_table *t, struct err *e)
{
	unsigned char boot[MBR_SECTOR];
	int r;

	do {
		if (c->nseen == LIMIT_PARTITIONS) {
			t->damage = "the chain of logical partitions is too long";
			return 0;
		}
		c->seen[c->nseen++] = c->at;
		if (sectors_read(d, boot, sizeof boot, c->at, e) < 0 || !has_signature(boot)) {
			t->damage = "a record of logical partitions is missing";
			return 0;
		}
		for (unsigned i = 0; i < NENTRIES; i++) {
			struct mbr_entry x = entry_load(boot, i);
			uint64_t end = (uint64_t)x.start + x.n;

			if (x.n == 0 || entry_is_extended(&x))
				continue;
			/* Entries 3 and 4 are unused but for OS/2, and often garbage. */
			if (i >= 2 && (end > c->link_len || c->at + end > c->start + c->n))
				continue;
			r = partition_add(t, d, (*number)++, c->at + x.start, &x, e);
			if (r < 0)
				return r;
		}
	} while (chain_next(c, boot, &t->damage));
	return 0;
}

/* The partitions in those of BSD have the numbers after all logical ones. */
static int read_slices(const struct sectors *d, const unsigned char *boot, unsigned number,
	struct partition_table *t, struct err *e)
{
	int r = 0;

	for (unsigned i = 0; r == 0 && i < NENTRIES; i++) {
		struct mbr_entry x = entry_load(boot, i);
		struct bsd_slice slice = {.type = x.type, .lba = x.start, .n = x.n};

		r = bsd_read_slice(d, &slice, &number, t, e);
	}
	return r;
}

int mbr_read(const struct sectors *d, const unsigned char *boot, struct partition_table *t,
	struct err *e)
{
	uint32_t id = load_le32(boot + DISK_ID_POS);
	unsigned number = FIRST_LOGICAL;

	t->scheme = "dos";
	t->sector = d->sector;
	if (id)
		snprintf(t->id, sizeof t->id, "%08" PRIx32, id);
	for (unsigned i = 0; i < NENTRIES; i++) {
		struct mbr_entry x = entry_load(boot, i);
		int r;

		if (entry_is_extended(&x))
			continue;
		r = partition_add(t, d, i + 1, x.start, &x, e);
		if (r < 0)
			return r;
	}
	/* Logical partitions are numbered through, over all extended ones. */
	for (unsigned i = 0; i < NENTRIES; i++) {
		struct mbr_entry x = entry_load(boot, i);
		struct logical_chain c = {
			.start = x.start, .n = x.n, .at = x.start, .link_len = x.n};
		int r;

		if (!entry_is_extended(&x))
			continue;
		r = chain_read(&c, &number, d, t, e);
		if (r < 0)
			return r;
	}
	return read_slices(d, boot, number, t, e);
}
