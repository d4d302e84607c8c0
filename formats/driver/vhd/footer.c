/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* footer.c - what footers and headers say, and how. */
#include <string.h>

#include "util/bytes.h"
#include "encode.h"
#include "vhd.h"

/* Of a disk that the geometry can express. */
#define MAX_CYLINDERS 65535u
#define MAX_HEADS     16u
#define MAX_PER_TRACK 255u
#define MAX_SECTORS   (MAX_CYLINDERS * MAX_HEADS * MAX_PER_TRACK)

#define GEOMETRY_POS 56
#define VERSION      0x00010000u

/* All readers go by the size in the footer and not by the geometry, which may say less, when this
 * is who made the file. */
#define CREATOR         "win "
#define CREATOR_VERSION 0x000a0000u
#define CREATOR_SYSTEM  "Wi2k"

uint32_t vhd_checksum(const unsigned char *p, size_t len, size_t sum_at)
{
	uint32_t sum = 0;

	for (size_t i = 0; i < len; i++)
		if (i < sum_at || i >= sum_at + 4)
			sum += p[i];
	return ~sum;
}

void vhd_footer_seal(unsigned char *f)
{
	store_be32(f + VHD_FOOTER_SUM, vhd_checksum(f, VHD_FOOTER_LEN, VHD_FOOTER_SUM));
}

/* Virtual Hard Disk Image Format Specification, appendix "CHS Calculation". */
static void put_geometry(unsigned char *p, uint64_t size)
{
	uint32_t sectors = MIN(size / VHD_SECTOR, MAX_SECTORS), per_track = 17, heads, tracks;

	tracks = sectors / per_track;
	heads = MAX(4, div_round_up(tracks, 1024));
	if (tracks >= heads * 1024 || heads > MAX_HEADS) {
		per_track = 31;
		heads = MAX_HEADS;
		tracks = sectors / per_track;
	}
	if (tracks >= heads * 1024) {
		per_track = 63;
		tracks = sectors / per_track;
	}
	if (sectors >= MAX_CYLINDERS * MAX_HEADS * 63) {
		per_track = MAX_PER_TRACK;
		heads = MAX_HEADS;
		tracks = sectors / per_track;
	}
	store_be16(p, tracks / heads);
	p[2] = heads;
	p[3] = per_track;
}

static uint64_t size_of_geometry(const unsigned char *p)
{
	return (uint64_t)load_be16(p) * p[2] * p[3] * VHD_SECTOR;
}

uint64_t vhd_geometry_size(uint64_t size)
{
	unsigned char p[4];

	put_geometry(p, size);
	return size_of_geometry(p);
}

/* QEMU goes by the geometry of disks made by some programs, unless it is the largest that there is:
 * that is what a disk gets whose own geometry would cut it.  libvhdi goes by the original size. */
void vhd_set_size(unsigned char *f, uint64_t size)
{
	unsigned char *geometry = f + GEOMETRY_POS;

	store_be64(f + 40, size);
	store_be64(f + 48, size);
	put_geometry(geometry, size);
	if (size_of_geometry(geometry) != size) {
		store_be16(geometry, MAX_CYLINDERS);
		geometry[2] = MAX_HEADS;
		geometry[3] = MAX_PER_TRACK;
	}
	vhd_footer_seal(f);
}

static uint32_t stamp_of(int64_t when)
{
	return MAX(when - VHD_EPOCH, 0);
}

void vhd_make_footer(unsigned char *f, const struct vhd_new *n)
{
	memcpy(f, "conectix", 8);
	store_be32(f + 8, 2); /* a bit that is always set */
	store_be32(f + 12, VERSION);
	store_be64(f + 16, n->type == VHD_FIXED ? UINT64_MAX : VHD_FOOTER_LEN);
	store_be32(f + 24, stamp_of(n->when));
	memcpy(f + 28, CREATOR, 4);
	store_be32(f + 32, CREATOR_VERSION);
	memcpy(f + 36, CREATOR_SYSTEM, 4);
	store_be64(f + 40, n->size);
	store_be64(f + 48, n->size);
	put_geometry(f + GEOMETRY_POS, n->size);
	store_be32(f + 60, n->type);
	memcpy(f + 68, n->id, VHD_ID_LEN);
	vhd_footer_seal(f);
}

static void put_parent(unsigned char *h, const struct vhd_parent *p)
{
	unsigned char *locator = h + VHD_LOCATORS_POS;

	memcpy(h + 40, p->id, VHD_ID_LEN);
	store_be32(h + 56, stamp_of(p->when));
	memcpy(h + VHD_NAME_POS, p->name, sizeof p->name);
	store_be32(locator, p->locator);
	store_be32(locator + 4, round_up(p->len, VHD_SECTOR));
	store_be32(locator + 8, p->len);
	store_be64(locator + 16, p->pos);
}

void vhd_make_header(unsigned char *h, const struct vhd_new *n)
{
	memcpy(h, "cxsparse", 8);
	store_be64(h + 8, UINT64_MAX);
	store_be64(h + 16, n->bat_pos);
	store_be32(h + 24, VERSION);
	store_be32(h + 28, n->entries);
	store_be32(h + 32, n->block_size);
	if (n->parent)
		put_parent(h, n->parent);
	store_be32(h + VHD_HEADER_SUM, vhd_checksum(h, VHD_HEADER_LEN, VHD_HEADER_SUM));
}
