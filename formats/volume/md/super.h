/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* super.h - the superblock that Linux md writes to each member of an array, of the versions 0.90,
 * 1.0, 1.1 and 1.2 (md(4); linux/raid/md_p.h names the fields).
 *
 * The versions differ in the place: 0.90 and 1.0 lie at the end of a member, so that its first byte
 * is that of the array; 1.1 lies at the start, 1.2 4096 bytes after it.
 */
#ifndef VDISK_VOLUME_MD_SUPER_H
#define VDISK_VOLUME_MD_SUPER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "util/guid.h"

struct err;
struct view;

#define MD_MAGIC     0xa92b4efcu
#define MD_SUPER_LEN 4096u /* bytes that are read; checksums cover no more */
#define MD_MAX_ROLES 1920u /* of one superblock */
#define MD_NAME      32u   /* bytes of a name, without a NUL */
#define MD_WHY       96u   /* bytes of a reason, with the NUL */

/* Roles that are not the number of a place in the array. */
#define MD_ROLE_JOURNAL 0xfffdu
#define MD_ROLE_FAULTY  0xfffeu
#define MD_ROLE_SPARE   0xffffu
#define MD_ROLE_MAX     0xff00u /* places are below */

/* Levels that are not those of RAID. */
#define MD_LINEAR (-1)

struct md_super {
	char version[8];        /* "1.2" */
	char uuid[GUID_TEXT];   /* of the array */
	char id[GUID_TEXT];     /* of the member; 0.90: its number */
	char name[MD_NAME + 1]; /* "host:name"; "": none */
	uint32_t minor;         /* 0.90: N of /dev/mdN */
	uint64_t created;       /* seconds */
	uint64_t events;        /* counts the changes of superblocks */

	int32_t level;
	uint32_t layout;
	bool has_layout; /* of level 0: layout is known */
	uint64_t chunk;  /* bytes */
	uint32_t n;      /* places in the array */
	uint64_t used;   /* bytes of each member; not of linear and level 0 */
	bool clean;      /* parity and copies are right */

	uint64_t pos, len; /* bytes of the member that the array can use */
	bool replacement;  /* it becomes the copy of the member with the same role */
	uint16_t role;
	uint32_t number; /* of the member, among all that there ever were */
	uint32_t nroles; /* by these numbers */
	uint16_t roles[MD_MAX_ROLES];

	char refused[MD_WHY]; /* why the array cannot be read; "": it can */
	char fault[MD_WHY];   /* why its bytes in this member are not right; "": they are */
};

/* Reads the superblock of a device; that of the newest array if there are several, as mdadm does.
 * 1: there is one; 0: there is none, or none that can be read; -EUCLEAN: it is damaged; -ENOTSUP:
 * it is one of a big-endian machine. */
int md_super_read(const struct view *device, struct md_super **super, struct err *e);

/* For super.c: takes the superblock p, which was read at pos of a device.  minor: 0 to 2.  1; 0: it
 * is none of this version; -EUCLEAN, -ENOTSUP. */
int md_super0_parse(const unsigned char *p, uint64_t pos, struct md_super *s, struct err *e);
int md_super1_parse(const unsigned char *p, const struct view *device, uint64_t pos, unsigned minor,
	struct md_super *s, struct err *e);

/* The text of 16 bytes, in their order. */
void md_uuid_text(char text[GUID_TEXT], const unsigned char *p);

#endif
