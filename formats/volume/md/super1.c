/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* super1.c - the superblocks 1.0, 1.1 and 1.2, which differ only in their place. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "util/bytes.h"
#include "util/err.h"
#include "view/view.h"
#include "super.h"

#define SECTOR 512u

/* Bytes. */
#define MAJOR_VERSION   4
#define FEATURES        8
#define UNUSED          12 /* 4 bytes */
#define SET_UUID        16
#define SET_NAME        32
#define CREATED         64 /* seconds in 40 bits, then microseconds */
#define LEVEL           72
#define LAYOUT          76
#define SIZE            80 /* sectors */
#define CHUNK           88 /* sectors */
#define RAID_DISKS      92
#define DATA_OFFSET     128 /* sectors */
#define DATA_SIZE       136 /* sectors */
#define SUPER_OFFSET    144 /* sectors */
#define DEV_NUMBER      160
#define DEVICE_UUID     168
#define BAD_BLOCKS_LEN  186 /* sectors */
#define BAD_BLOCKS_POS  188 /* sectors from the superblock, signed */
#define EVENTS          200
#define RESYNC          208 /* sectors up to which copies are right */
#define CHECKSUM        216
#define MAX_DEV         220
#define UNUSED_END      224 /* 32 bytes */
#define DEV_ROLES       256
#define BAD_BLOCKS_MOST 8 /* sectors */

#define FEATURE_BITMAP          (1u << 0)
#define FEATURE_RECOVERY        (1u << 1)
#define FEATURE_RESHAPE         (1u << 2)
#define FEATURE_BAD_BLOCKS      (1u << 3)
#define FEATURE_REPLACEMENT     (1u << 4)
#define FEATURE_BACKWARDS       (1u << 5)
#define FEATURE_NEW_OFFSET      (1u << 6)
#define FEATURE_RECOVERY_BITMAP (1u << 7)
#define FEATURE_CLUSTERED       (1u << 8)
#define FEATURE_JOURNAL         (1u << 9)
#define FEATURE_PPL             (1u << 10)
#define FEATURE_PPLS            (1u << 11)
#define FEATURE_RAID0_LAYOUT    (1u << 12)
#define FEATURES_KNOWN          ((1u << 13) - 1)
#define FEATURES_RESHAPE        (FEATURE_RESHAPE | FEATURE_BACKWARDS | FEATURE_NEW_OFFSET)

static bool sum_is_right(const unsigned char *p)
{
	uint32_t len = DEV_ROLES + 2 * load_le32(p + MAX_DEV);
	uint64_t sum = 0;

	for (uint32_t i = 0; i + 4 <= len; i += 4)
		if (i != CHECKSUM)
			sum += load_le32(p + i);
	if (len % 4)
		sum += load_le16(p + len - 2);
	return (uint32_t)((sum & UINT32_MAX) + (sum >> 32)) == load_le32(p + CHECKSUM);
}

static void parse_array(const unsigned char *p, struct md_super *s)
{
	md_uuid_text(s->uuid, p + SET_UUID);
	memcpy(s->name, p + SET_NAME, MD_NAME);
	s->created = load_le64(p + CREATED) & ((UINT64_C(1) << 40) - 1);
	s->events = load_le64(p + EVENTS);
	s->level = (int32_t)load_le32(p + LEVEL);
	s->layout = load_le32(p + LAYOUT);
	s->has_layout = load_le32(p + FEATURES) & FEATURE_RAID0_LAYOUT;
	s->chunk = (uint64_t)load_le32(p + CHUNK) * SECTOR;
	s->n = load_le32(p + RAID_DISKS);
	s->clean = load_le64(p + RESYNC) == UINT64_MAX;
}

static void parse_roles(const unsigned char *p, struct md_super *s)
{
	s->nroles = load_le32(p + MAX_DEV);
	for (uint32_t i = 0; i < s->nroles; i++)
		s->roles[i] = load_le16(p + DEV_ROLES + 2 * i);
	s->number = load_le32(p + DEV_NUMBER);
	s->role = s->number < s->nroles ? s->roles[s->number] : MD_ROLE_SPARE;
	md_uuid_text(s->id, p + DEVICE_UUID);
}

/* Sectors become bytes once they are compared with the size of the device. */
static void parse_sizes(
	const unsigned char *p, const struct view *device, uint64_t pos, struct md_super *s)
{
	uint64_t data = load_le64(p + DATA_OFFSET), len = load_le64(p + DATA_SIZE);
	uint64_t used = load_le64(p + SIZE), sectors = device->size / SECTOR;
	uint64_t super_end = pos / SECTOR + div_round_up(DEV_ROLES + 2 * s->nroles, SECTOR);

	if (strcmp(s->version, "1.0") == 0)
		sectors = pos / SECTOR;
	else if (data < super_end)
		snprintf(s->fault, sizeof s->fault, "its data overlap its superblock");
	if (!range_fits(data, len, sectors) || (s->level > 0 && used > len)) {
		snprintf(s->fault, sizeof s->fault, "its data pass its end");
		used = MIN(used, UINT64_MAX / SECTOR);
		data = len = 0;
	}
	s->pos = data * SECTOR;
	s->len = len * SECTOR;
	s->used = used * SECTOR;
}

/* Has the list of bad blocks an entry?  One that cannot be read counts as if it had. */
static bool has_bad_blocks(const unsigned char *p, const struct view *device, uint64_t pos)
{
	int64_t offset = (int32_t)load_le32(p + BAD_BLOCKS_POS) * (int64_t)SECTOR;
	unsigned char list[BAD_BLOCKS_MOST * SECTOR];
	struct err ignored = ERR_INIT;
	uint64_t at = pos + (uint64_t)offset;
	size_t len = (size_t)load_le16(p + BAD_BLOCKS_LEN) * SECTOR;

	if (offset == 0 || len == 0 || len > sizeof list || !range_fits(at, len, device->size) ||
		view_read(device, list, len, at, &ignored) < 0)
		return true;
	return load_le64(list) != UINT64_MAX;
}

static void parse_features(
	const unsigned char *p, const struct view *device, uint64_t pos, struct md_super *s)
{
	uint32_t features = load_le32(p + FEATURES);
	const char *refused = NULL;

	if (features & FEATURES_RESHAPE)
		refused = "it is being reshaped";
	else if (features & FEATURE_JOURNAL)
		refused = "data may still be in its write journal";
	else if (!is_zero(p + UNUSED, 4) || !is_zero(p + UNUSED_END, 32))
		refused = "unknown fields of the superblock are in use";
	else if (s->has_layout && s->level != 0)
		refused = "the feature \"raid0 layout\" at another level";
	if (refused)
		snprintf(s->refused, sizeof s->refused, "%s", refused);
	if (features & ~FEATURES_KNOWN)
		snprintf(s->refused, sizeof s->refused, "unknown features 0x%" PRIx32,
			features & ~FEATURES_KNOWN);
	s->replacement = features & FEATURE_REPLACEMENT;
	if (features & FEATURE_RECOVERY)
		snprintf(s->fault, sizeof s->fault, "it is being rebuilt");
	else if (features & FEATURE_BAD_BLOCKS && has_bad_blocks(p, device, pos))
		snprintf(s->fault, sizeof s->fault, "it has bad blocks");
}

int md_super1_parse(const unsigned char *p, const struct view *device, uint64_t pos, unsigned minor,
	struct md_super *s, struct err *e)
{
	/* The end of a partition can be the end of its disk. */
	if (load_le32(p + MAJOR_VERSION) != 1 || load_le64(p + SUPER_OFFSET) != pos / SECTOR)
		return 0;
	if (load_le32(p + MAX_DEV) > MD_MAX_ROLES)
		return err_set(
			e, EUCLEAN, "the superblock has %" PRIu32 " roles", load_le32(p + MAX_DEV));
	if (!sum_is_right(p))
		return err_set(e, EUCLEAN, "the checksum of the superblock 1.%u is wrong", minor);
	snprintf(s->version, sizeof s->version, "1.%u", minor);
	parse_array(p, s);
	parse_roles(p, s);
	parse_features(p, device, pos, s);
	parse_sizes(p, device, pos, s);
	return 1;
}
