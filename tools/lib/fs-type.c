/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* fs-type.c - see fs-type.h. */
#include "fs-type.h"

#include <stdio.h>
#include <string.h>

static const struct fs_type known[] = {
	{.types = "ext2 ext3 ext4 ext4dev",
		.norecovery = "noload",
		.program = "fuse2fs",
		.package = "fuse2fs",
		.fsck = "e2fsck", /* fuse2fs 1.47.0 crashes when it replays a journal */
		.options =
			"fakeroot", /* a user who can read the image can read files of its root */
		.program_norecovery = "norecovery",
		.program_writes = true},
	/* Copies of a machine have the same UUID, and have to be mounted together. */
	{.types = "xfs", .kernel = "nouuid", .norecovery = "norecovery"},
	{.types = "btrfs", .norecovery = "rescue=nologreplay"},
	{.types = "f2fs nilfs2", .norecovery = "norecovery"},
	{.types = "reiserfs", .norecovery = "nolog"},
	{.types = "ntfs",
		.driver = "ntfs3",
		.program = "ntfs-3g",
		.package = "ntfs-3g",
		.names_source = true,
		.program_writes = true},
	{.types = "vfat", .program = "fusefat", .package = "fusefat"},
	/* -n: no list of mounts in the home directory. */
	{.types = "iso9660",
		.program = "fuseiso",
		.package = "fuseiso",
		.flag = "-n",
		.read_only = true},
	{.types = "squashfs squashfs3",
		.program = "squashfuse",
		.package = "squashfuse",
		.read_only = true},
	{.types = "erofs cramfs romfs", .read_only = true},
	{.types = ""},
};

/* Is word one of words, separated by blanks? */
static bool is_among(const char *word, const char *words)
{
	size_t n = strlen(word);

	for (const char *at = words; *at; at += strcspn(at, " "), at += *at == ' ')
		if (strncmp(at, word, n) == 0 && (at[n] == ' ' || at[n] == '\0'))
			return true;
	return false;
}

const struct fs_type *fs_type_find(const char *type)
{
	const struct fs_type *fs = known;

	while (fs->types[0] && !is_among(type, fs->types))
		fs++;
	return fs;
}

/* Commands that give access to the file systems in a container; %s is the file. */
static const struct {
	const char *types, *advice;
} containers[] = {
	{"crypto_LUKS", "cryptsetup open --readonly %s guest; mount -o ro /dev/mapper/guest /mnt"},
	{"BitLocker",
		"cryptsetup open --type bitlk --readonly %s guest; mount -o ro /dev/mapper/guest "
		"/mnt"},
	{"LVM2_member LVM1_member",
		"losetup -r -f %s; vgchange -ay; lvs; mount -o ro /dev/VG/LV /mnt"},
	{"linux_raid_member", "losetup -r -f --show %s; mdadm --assemble --readonly --run "
			      "/dev/md/guest /dev/loopN; mount -o ro /dev/md/guest /mnt"},
	{"zfs_member", "zpool import -o readonly=on -R /mnt -d %s POOL"},
};

bool fs_type_advice(const char *type, const char *file, char *text, size_t size)
{
	for (size_t i = 0; i < sizeof containers / sizeof containers[0]; i++) {
		const char *advice = containers[i].advice, *at = strstr(advice, "%s");

		if (!is_among(type, containers[i].types))
			continue;
		snprintf(text, size, "%.*s%s%s", (int)(at - advice), advice, file, at + 2);
		return true;
	}
	return false;
}
