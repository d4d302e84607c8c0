/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* reader.h - what a kind of volumes is: LVM, LUKS, BitLocker, md RAID.
 *
 * A reader recognises members, which the core (volume.c) sorts into groups by their ids, and makes
 * volumes of the groups.  It reads by view_read from device->view, which is valid in probe and in
 * assemble; a volume keeps its own description (mapping), from which view makes the bytes of the
 * volume over the bytes of its members, as often as it is called.
 *
 * All of it reads hostile bytes.
 */
#ifndef VDISK_VOLUME_READER_H
#define VDISK_VOLUME_READER_H

#include "volume.h"

/* A member; the ids, the label and the type are the device's. */
struct volume_member {
	struct volume_device *device;
	const struct image_options *how;
	void *priv; /* of the reader; freed by free_member */
};

struct volume_group {
	const struct volume_reader *reader;
	struct volume_member **members; /* in the order of the devices */
	size_t n;
	/* The members that do not know their group (its id is ""), which a group may take by
	 * setting the id; NULL: there are none, or these are they.  They are assembled as a group
	 * themselves, after all others. */
	const struct volume_group *unassigned;
	const struct image_options *how;
	struct volume_set *set;
};

struct volume_reader {
	const char *kind;
	const char *type; /* of members, as libblkid has it */
	bool alone;       /* each member is a group of its own */
	/* 1: the device is a member; sets priv, and group, id, label and needs_key of the device.
	 * 0: it is not. -errno: it is one, but damaged.  A device that cannot be read where the
	 * magic would be is none. */
	int (*probe)(struct volume_member *m, struct err *e);
	void (*free_member)(void *priv); /* NULL: free */
	/* Adds the volumes of a group to the set: volume_add.  last: no further member will be
	 * found; before, -EAGAIN says that one is missing.  What is wrong with a volume is recorded
	 * in it (volume_add_failed); what volume_add fails with is a failure. */
	int (*assemble)(const struct volume_group *g, bool last, struct err *e);
	/* The bytes of a volume over the views of its members, in the order of volume->members. The
	 * view owns these, and frees them with itself; after a failure (NULL) they are the
	 * caller's. */
	struct view *(*view)(const struct volume *v, struct view **members, struct err *e);
	void (*free_mapping)(void *mapping); /* NULL: free */
};

/* All kinds, in the order in which they are tried; NULL-terminated. */
extern const struct volume_reader *const volume_readers[];

/* Adds a volume of the group over these of its members; name and path (or NULL) are copied.  The
 * caller sets size, layout and mapping.  NULL with ENOMEM, or with E2BIG: there are too many. */
struct volume *volume_add(const struct volume_group *g, const char *name, const char *path,
	struct volume_member *const *members, size_t n, struct err *e);

/* The same of one that cannot be read, over all members of the group; takes the error from why. */
int volume_add_failed(const struct volume_group *g, const char *name, const char *path,
	const struct err *why, struct err *e);

/* A view of the device of a member, while the set is read: for what a reader puts together in
 * assemble itself.  The caller frees it. */
struct view *volume_member_view(const struct volume_member *m, struct err *e);

#endif
