/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* volume.h - the volumes of a guest: what lies in its disks and partitions under LVM, LUKS,
 * BitLocker and md RAID.
 *
 * A device is what the guest's kernel has as a block device: a disk, a partition, or a volume.  A
 * device may be a member of a group (a physical volume, an encrypted partition, a part of an
 * array), and a group makes volumes; these are devices again.
 *
 * A set describes the volumes of one state of one or several disks; it holds no views, and outlives
 * an image that is closed and opened again unchanged.  Names and ids come from the disks.
 *
 * Threads: a set does not change once it is read, but for the number of its references.
 */
#ifndef VDISK_VOLUME_VOLUME_H
#define VDISK_VOLUME_VOLUME_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "util/err.h"

struct image_options;
struct partition_table;
struct view;
struct volume_reader;
struct volume_set;

#define VOLUME_ID 80 /* bytes of an id, with the NUL */

struct volume;

struct volume_device {
	char *name;                  /* for messages: "disk", "partition 2", "volume vg-root" */
	size_t disk;                 /* the number of the disk, from 0 on */
	unsigned partition;          /* its number; 0: not a partition */
	const struct volume *volume; /* NULL: a disk or a partition */
	uint64_t start, len;         /* bytes of the disk; of a volume: 0 and its size */
	unsigned depth; /* of a disk or a partition 0, of a volume one more than its members */
	unsigned stack; /* devices that its view is put together from, with itself */

	/* The group that it is a member of: */
	const char *type;      /* as libblkid has it: "LVM2_member"; NULL: of nothing */
	char group[VOLUME_ID]; /* id of the group; "" = none */
	char id[VOLUME_ID];    /* of the member itself; "" = none */
	char *label;           /* the group's name for people, "VG"; NULL: none */

	bool needs_key; /* the group makes no volume without a passphrase */

	const char *partuuid; /* of a partition; only while the set is read; or NULL */
	struct view *view;    /* only while the set is read; owned by the set */
};

struct volume {
	char *name; /* of its file, without ".raw": "vg-root", "luks-UUID"; unique in the set */
	char *path; /* another name of it: "vg/root"; NULL: none */
	const char *kind;     /* "lvm", "luks", "bitlocker", "md" */
	char layout[64];      /* "linear", "thin", "raid5"; "" = nothing to be said */
	char uuid[VOLUME_ID]; /* "" = none */
	uint64_t size;        /* bytes */
	struct err error; /* the reason why it cannot be read, with its hint; code 0: it can be */
	const char *no_writing; /* the reason why it cannot be written; NULL: it can, if the image
				   can */
	bool changes_bytes;     /* they are not those of its members, as if it is encrypted */

	const struct volume_reader *reader;
	struct volume_device **members; /* in the reader's order */
	size_t nmembers;
	void *mapping; /* owned, by the reader */
};

struct volume_set {
	atomic_uint refs;
	size_t ndisks;
	struct volume_device **devices; /* disks and partitions in order, then volumes */
	size_t ndevices;
	struct volume **volumes;
	size_t nvolumes;
};

/* One disk of a set. */
struct volume_disk {
	struct view *view;
	const struct partition_table *table; /* of the view; n may be 0 */
	const char *name;                    /* for messages; NULL: it is the only disk */
};

/* Reads the volumes of disks, and opens encrypted ones with the passphrases of how.  A volume that
 * cannot be read is in the set with its error; fails only without memory, and with more than
 * VOLUME_MAX volumes.  Free with volume_set_free. */
int volume_set_read(const struct volume_disk *disks, size_t n, const struct image_options *how,
	struct volume_set **set, struct err *e);
struct volume_set *volume_set_ref(struct volume_set *set);
void volume_set_free(struct volume_set *set); /* drops a reference; NULL is fine */

/* The same without volumes: only the disks and partitions, and what they are members of.  Costs
 * some reads for each. */
int volume_set_probe(const struct volume_disk *disks, size_t n, const struct image_options *how,
	struct volume_set **set, struct err *e);

/* Is there a device that is a member of something? */
bool volume_set_has_members(const struct volume_set *set);

/* The volume of this name or path; NULL: none. */
const struct volume *volume_find(const struct volume_set *set, const char *name);

/* The device that is partition number of disk, 0: the whole disk; NULL: none. */
const struct volume_device *volume_set_device(
	const struct volume_set *set, size_t disk, unsigned number);

/* The device that a volume is; NULL: volumes may not nest deeper. */
const struct volume_device *volume_set_find_device(
	const struct volume_set *set, const struct volume *volume);

/* Does a volume lie on a device, perhaps by other volumes?  Does it lie on several disks? */
bool volume_lies_on(const struct volume *volume, const struct volume_device *device);
bool volume_spans_disks(const struct volume *volume);

/* The numbers of the partitions that a volume lies on, also by other volumes: "2 3"; malloc'ed;
 * NULL without memory. */
char *volume_partitions(const struct volume_set *set, const struct volume *volume);

/* The bytes of a volume over the views of the disks, in their order, which must outlive it.  They
 * are those that the set was read from, or of the same bytes.  NULL: volume->error, or no memory.
 */
struct view *volume_view(const struct volume_set *set, const struct volume *volume,
	struct view *const *disks, struct err *e);

#endif
