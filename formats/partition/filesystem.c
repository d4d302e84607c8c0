/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* filesystem.c - which file system lies in a partition.
 *
 * libblkid reads files, so it gets one: a memfd of the partition's size that holds a copy of those
 * places which it looks at and is hole everywhere else.  These are the head and the tail, and for
 * some file systems a place that the boot sector names.  The copy takes as much memory as there is
 * data in these places, however large the partition claims to be.
 */
#include <blkid.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "util/bytes.h"
#include "util/err.h"
#include "filesystem.h"
#include "view/view.h"

#define HEAD_LEN ((uint64_t)1 << 20) /* past it lie only UDF and VMFS, and they start early */
#define TAIL_LEN ((uint64_t)1 << 20)
#define SPOT_LEN ((uint64_t)64 << 10)
#define COPY_LEN ((size_t)64 << 10)

static int write_all(int fd, const char *buf, size_t len, uint64_t pos, struct err *e)
{
	while (len > 0) {
		ssize_t n = pwrite(fd, buf, len, pos);

		if (n < 0)
			return err_set(e, errno, "cannot write the copy of a partition: %m");
		buf += n;
		len -= n;
		pos += n;
	}
	return 0;
}

/* Copies what is data in [off, off+len) of the partition, as far as it lies inside. */
static int copy_range(
	int fd, const struct view *part, uint64_t off, uint64_t len, char *buf, struct err *e)
{
	uint64_t end = off < part->size ? off + MIN(len, part->size - off) : off;

	while (off < end) {
		struct extent x;
		int r;

		view_enter(part);
		r = view_resolve(part, off, MIN(end - off, COPY_LEN), &x, e);
		view_leave(part);
		if (r == 0 && x.kind != EXTENT_ZERO) {
			r = view_read(part, buf, x.len, off, e);
			if (r == 0)
				r = write_all(fd, buf, x.len, off, e);
		}
		if (r < 0)
			return r;
		off += x.len;
	}
	return 0;
}

/* log2 of bytes in a cluster, from the sectors that a BIOS parameter block counts; < 0: nonsense.
 */
static int bpb_cluster_bits(const unsigned char *boot)
{
	uint32_t sector = load_le16(boot + 11), n = boot[13];

	if (!is_power_of_2(sector))
		return -1;
	if (n > 0x80) /* NTFS with clusters above 64 KiB: 2^-n sectors */
		return n < 0xe0 ? -1 : __builtin_ctz(sector) + 0x100 - (int)n;
	return is_power_of_2(n) ? __builtin_ctz(sector) + __builtin_ctz(n) : -1;
}

/* The position of the label: in the master file table of NTFS, in the root directory of FAT32 and
 * exFAT, which may be anywhere.  UINT64_MAX: there is none, or the boot sector is nonsense. */
static uint64_t label_spot(const unsigned char *boot)
{
	uint64_t base = 0, cluster;
	int bits = bpb_cluster_bits(boot);

	if (memcmp(boot + 3, "NTFS    ", 8) == 0) {
		cluster = load_le64(boot + 48);
	} else if (memcmp(boot + 3, "EXFAT   ", 8) == 0) {
		if (boot[108] > 12 || boot[109] > 25)
			return UINT64_MAX;
		base = (uint64_t)load_le32(boot + 88) << boot[108];
		bits = boot[108] + boot[109];
		cluster = load_le32(boot + 96) - UINT64_C(2);
	} else if (memcmp(boot + 82, "FAT32   ", 8) == 0) {
		base = load_le16(boot + 14) + (uint64_t)boot[16] * load_le32(boot + 36);
		base *= load_le16(boot + 11);
		cluster = load_le32(boot + 44) - UINT64_C(2);
	} else {
		return UINT64_MAX;
	}
	return bits < 0 || cluster >> (62 - bits) ? UINT64_MAX : base + (cluster << bits);
}

/* Returns the descriptor of the copy. */
static int copy_make(const struct view *part, struct err *e)
{
	uint64_t tail = part->size > TAIL_LEN ? part->size - TAIL_LEN : 0;
	int fd = memfd_create("partition", MFD_CLOEXEC), r;
	unsigned char boot[512];
	char *buf;

	if (fd < 0)
		return err_set(e, errno, "cannot make a file in memory: %m");
	buf = malloc(COPY_LEN);
	if (!buf)
		r = err_nomem(e);
	else if (ftruncate(fd, part->size) < 0)
		r = err_set(e, errno, "cannot copy the ends of a partition: %m");
	else
		r = view_read(part, boot, sizeof boot, 0, e);
	if (r == 0)
		r = copy_range(fd, part, 0, HEAD_LEN + SPOT_LEN, buf, e);
	if (r == 0)
		r = copy_range(fd, part, 2 * HEAD_LEN, SPOT_LEN, buf, e);
	if (r == 0)
		r = copy_range(fd, part, tail, TAIL_LEN, buf, e);
	if (r == 0)
		r = copy_range(fd, part, label_spot(boot), SPOT_LEN, buf, e);
	free(buf);
	if (r == 0)
		return fd;
	close(fd);
	return r;
}

static void lookup(blkid_probe pr, const char *name, char *out, size_t size)
{
	const char *value;

	if (blkid_probe_lookup_value(pr, name, &value, NULL) == 0)
		snprintf(out, size, "%s", value);
}

/* Two file systems at once are neither: one was created over the other, and udev, too, reports
 * none. */
int filesystem_read_file(int fd, struct filesystem *id, struct err *e)
{
	blkid_probe pr = blkid_new_probe();
	int r = 0;

	memset(id, 0, sizeof *id);
	if (!pr)
		return err_nomem(e);
	if (blkid_probe_set_device(pr, fd, 0, 0) != 0) {
		r = err_set(e, EIO, "libblkid cannot read the partition");
	} else {
		blkid_probe_enable_superblocks(pr, 1);
		blkid_probe_set_superblocks_flags(
			pr, BLKID_SUBLKS_TYPE | BLKID_SUBLKS_LABEL | BLKID_SUBLKS_UUID);
		if (blkid_do_safeprobe(pr) == 0) {
			lookup(pr, "TYPE", id->type, sizeof id->type);
			lookup(pr, "LABEL", id->label, sizeof id->label);
			lookup(pr, "UUID", id->uuid, sizeof id->uuid);
		}
	}
	blkid_free_probe(pr);
	return r;
}

int filesystem_read(const struct view *part, struct filesystem *id, struct err *e)
{
	int fd, r;

	memset(id, 0, sizeof *id);
	if (part->size < 512)
		return 0;
	fd = copy_make(part, e);
	if (fd < 0)
		return fd;
	r = filesystem_read_file(fd, id, e);
	close(fd);
	return r;
}

/* The names of libblkid for what no mount(8) takes. */
static const struct {
	const char *type, *words;
} containers[] = {
	{"LVM2_member", "LVM physical volume"},
	{"LVM1_member", "LVM physical volume, version 1"},
	{"crypto_LUKS", "LUKS-encrypted"},
	{"BitLocker", "BitLocker-encrypted"},
	{"cs_fvault2", "FileVault-encrypted"},
	{"swap", "swap space"},
	{"swsuspend", "swap space with a suspended system"},
	{"linux_raid_member", "member of a Linux RAID"},
	{"isw_raid_member", "member of an Intel RAID"},
	{"zfs_member", "member of a ZFS pool"},
	{"VMFS_volume_member", "member of a VMFS volume"},
	{"bcache", "bcache device"},
	{"drbd", "DRBD device"},
	{"stratis", "member of a Stratis pool"},
	{"ceph_bluestore", "store of Ceph"},
	{"DM_snapshot_cow", "store of a device mapper snapshot"},
	{"DM_verity_hash", "hashes of dm-verity"},
};

const char *filesystem_describe(const char *type)
{
	for (size_t i = 0; i < sizeof containers / sizeof containers[0]; i++)
		if (strcmp(type, containers[i].type) == 0)
			return containers[i].words;
	return strstr(type, "_raid_member") ? "member of a RAID" : NULL;
}

char *filesystem_encode(const char *label)
{
	/* Each byte may become \xNN, and libblkid requires some space after the last one. */
	size_t size = 4 * strlen(label) + 16;
	char *text = malloc(size);

	if (text && blkid_encode_string(label, text, size) != 0) {
		free(text);
		return NULL;
	}
	return text;
}
