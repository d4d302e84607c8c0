/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* super0.c - the superblock 0.90: 1024 words in the byte order of the machine that wrote them. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "util/bytes.h"
#include "util/err.h"
#include "super.h"

#define MAX_DISKS 27u

/* Words. */
#define MAJOR_VERSION 1
#define MINOR_VERSION 2
#define UUID_0        5
#define CREATED       6
#define LEVEL         7
#define SIZE          8 /* KiB */
#define RAID_DISKS    10
#define MD_MINOR      11
#define UUID_1        13
#define STATE         33
#define CHECKSUM      38
#define EVENTS        39 /* two, the low one first */
#define LAYOUT        64
#define CHUNK         65 /* bytes */
#define DISKS         128
#define DISK_WORDS    32
#define THIS_DISK     992

/* Words of a disk. */
#define NUMBER    0
#define RAID_DISK 3
#define STATE_OF  4

#define STATE_CLEAN 1u
#define DISK_FAULTY 1u
#define DISK_SYNC   4u

static uint32_t word(const unsigned char *p, unsigned i)
{
	return load_le32(p + 4 * i);
}

static uint64_t words(const unsigned char *p, unsigned i)
{
	return load_le64(p + 4 * i);
}

static bool sum_is_right(const unsigned char *p)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < MD_SUPER_LEN / 4; i++)
		if (i != CHECKSUM)
			sum += word(p, i);
	return (uint32_t)((sum & UINT32_MAX) + (sum >> 32)) == word(p, CHECKSUM);
}

static void parse_roles(const unsigned char *p, struct md_super *s)
{
	s->nroles = MAX_DISKS;
	for (unsigned i = 0; i < MAX_DISKS; i++) {
		unsigned disk = DISKS + i * DISK_WORDS;
		uint32_t state = word(p, disk + STATE_OF), place = word(p, disk + RAID_DISK);

		s->roles[i] = state & DISK_FAULTY                      ? MD_ROLE_FAULTY
			      : state & DISK_SYNC && place < MAX_DISKS ? place
								       : MD_ROLE_SPARE;
	}
	s->number = word(p, THIS_DISK + NUMBER);
	s->role = s->number < MAX_DISKS ? s->roles[s->number] : MD_ROLE_SPARE;
}

static void parse_ids(const unsigned char *p, struct md_super *s)
{
	unsigned char uuid[GUID_LEN];

	memcpy(uuid, p + 4 * UUID_0, 4);
	memcpy(uuid + 4, p + 4 * UUID_1, 12);
	md_uuid_text(s->uuid, uuid);
	snprintf(s->id, sizeof s->id, "%" PRIu32, s->number);
}

int md_super0_parse(const unsigned char *p, uint64_t pos, struct md_super *s, struct err *e)
{
	uint32_t minor = word(p, MINOR_VERSION);

	if (word(p, 0) != MD_MAGIC)
		return err_set(e, ENOTSUP, "the superblock is of a big-endian machine");
	if (word(p, MAJOR_VERSION) != 0 || minor < 90)
		return 0;
	if (!sum_is_right(p))
		return err_set(
			e, EUCLEAN, "the checksum of the superblock 0.%" PRIu32 " is wrong", minor);
	snprintf(s->version, sizeof s->version, "0.90");
	parse_roles(p, s);
	parse_ids(p, s);
	s->minor = word(p, MD_MINOR);
	s->created = word(p, CREATED);
	s->events = words(p, EVENTS);
	s->level = (int32_t)word(p, LEVEL);
	s->layout = word(p, LAYOUT);
	s->chunk = word(p, CHUNK);
	s->n = word(p, RAID_DISKS);
	s->used = (uint64_t)word(p, SIZE) << 10;
	s->clean = word(p, STATE) & STATE_CLEAN;
	s->len = pos;
	if (minor == 91)
		snprintf(s->refused, sizeof s->refused, "it is being reshaped");
	else if (minor > 91)
		snprintf(s->refused, sizeof s->refused, "superblock version 0.%" PRIu32, minor);
	if (s->level > 0 && s->used > s->len)
		snprintf(s->fault, sizeof s->fault, "its data pass its end");
	return 1;
}
