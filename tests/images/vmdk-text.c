/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* vmdk-text.c - descriptor files, valid and invalid. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "util/bytes.h"
#include "mkimage.h"
#include "vmdk.h"

#define GRAIN (64 * KIB)

/* Each file has its own part of the data stream. */
#define FILE_DATA(n) ((uint64_t)(n) << 32)

static const uint32_t map[] = {2, GRAIN_ABSENT, 0, 1, GRAIN_ZERO, GRAIN_ABSENT, GRAIN_ABSENT, 3};
static const struct sparse sparse = {
	1024, 128, 2, FLAG_NEWLINES | FLAG_RGD | FLAG_ZERO_GRAIN, map, N_ELEMENTS(map)};

static int put_descriptor(const struct job *j, const char *suffix, const struct descriptor *d)
{
	int fd = file_new(j, suffix);

	descriptor_put(j, fd, 0, d);
	return fd;
}

static int put_top(const struct job *j, const char *extents)
{
	return put_descriptor(
		j, ".vmdk", &(struct descriptor){"custom", 0x1234abcd, NO_PARENT, NULL, extents});
}

static void put_flat(const struct job *j, const char *suffix, uint64_t sectors, uint64_t from)
{
	put_data(file_new(j, suffix), 0, from, sectors * SECTOR);
}

static void make_round_split(const struct job *j)
{
	put_top(j, "RW 1000 SPARSE \"%s-s001.vmdk\"\nRW 900 SPARSE \"%s-s002.vmdk\"\n");
	expect_size(j, 1900 * SECTOR);
	sparse_put(file_new(j, "-s001.vmdk"), &sparse, FILE_DATA(1));
	sparse_expect(j, &sparse, 0, 1000, FILE_DATA(1));
	sparse_put(file_new(j, "-s002.vmdk"), &sparse, FILE_DATA(2));
	sparse_expect(j, &sparse, 1000 * SECTOR, 900, FILE_DATA(2));
}

static void make_zero_extent(const struct job *j)
{
	put_top(j, "RW 40 FLAT \"%s-a.vmdk\" 0\nRW 80 ZERO \nRDONLY 40 FLAT \"%s-b.vmdk\" 0\n");
	expect_size(j, 160 * SECTOR);
	put_flat(j, "-a.vmdk", 40, FILE_DATA(1));
	put_flat(j, "-b.vmdk", 40, FILE_DATA(2));
	expect(j, 0, FILE_DATA(1), 40 * SECTOR);
	expect(j, 120 * SECTOR, FILE_DATA(2), 40 * SECTOR);
}

/* Zero extents at both ends, and extents without access. */
static void make_zero_ends(const struct job *j)
{
	put_top(j, "RW 1 ZERO\nRW 3 ZERO\nRW 9 FLAT \"%s-a.vmdk\" 31\n"
		   "NOACCESS 5 FLAT \"%s-a.vmdk\" 0\nNOACCESS 2 ZERO\nRW 7 ZERO\n");
	expect_size(j, 27 * SECTOR);
	put_flat(j, "-a.vmdk", 40, FILE_DATA(1));
	expect(j, 4 * SECTOR, FILE_DATA(1) + 31 * SECTOR, 9 * SECTOR);
}

static void make_all_zero(const struct job *j)
{
	put_top(j, "RW 100 ZERO\n");
	expect_size(j, 100 * SECTOR);
}

/* A disk of partitions of a device; the rest of the device reads as zeroes. */
static void make_partitioned(const struct job *j)
{
	put_descriptor(j, ".vmdk",
		&(struct descriptor){"partitionedDevice", 1, NO_PARENT, NULL,
			"RW 63 FLAT \"%s-pt.vmdk\" 0\nRW 100 ZERO\n"
			"RDONLY 50 FLAT \"%s-p2.vmdk\" 0 partitionUUID \\\\?\\Volume{1}\n"
			"RW 8 ZERO\nRW 2 FLAT \"%s-pt.vmdk\" 63\n"});
	expect_size(j, 223 * SECTOR);
	put_flat(j, "-pt.vmdk", 65, FILE_DATA(1));
	put_flat(j, "-p2.vmdk", 50, FILE_DATA(2));
	expect(j, 0, FILE_DATA(1), 63 * SECTOR);
	expect(j, 163 * SECTOR, FILE_DATA(2), 50 * SECTOR);
	expect(j, 221 * SECTOR, FILE_DATA(1) + 63 * SECTOR, 2 * SECTOR);
}

static void make_flat_offset(const struct job *j)
{
	put_descriptor(j, ".vmdk",
		&(struct descriptor){"monolithicFlat", 0x1234abc, NO_PARENT, NULL,
			"RW 64 FLAT \"%s-flat.vmdk\" 37\n"});
	expect_size(j, 64 * SECTOR);
	put_flat(j, "-flat.vmdk", 200, FILE_DATA(1));
	expect(j, 0, FILE_DATA(1) + 37 * SECTOR, 64 * SECTOR);
}

static void make_vmfs(const struct job *j)
{
	put_descriptor(j, ".vmdk",
		&(struct descriptor){
			"vmfsThin", 1, NO_PARENT, NULL, "RW 64 VMFS \"%s-flat.vmdk\"\n"});
	expect_size(j, 64 * SECTOR);
	put_flat(j, "-flat.vmdk", 64, FILE_DATA(1));
	expect(j, 0, FILE_DATA(1), 64 * SECTOR);
}

/* All types of extents, and one file twice. */
static void make_mixed(const struct job *j)
{
	put_top(j, "RW 3 FLAT \"%s-flat.vmdk\" 7\nRW 1000 SPARSE \"%s-sparse.vmdk\"\n"
		   "RW 5 ZERO\nRW 64 VMFS \"%s-vmfs.vmdk\"\nRW 10 FLAT \"%s-flat.vmdk\" 0\n");
	expect_size(j, 1082 * SECTOR);
	put_flat(j, "-flat.vmdk", 10, FILE_DATA(1));
	put_flat(j, "-vmfs.vmdk", 64, FILE_DATA(2));
	sparse_put(file_new(j, "-sparse.vmdk"), &sparse, FILE_DATA(3));
	expect(j, 0, FILE_DATA(1) + 7 * SECTOR, 3 * SECTOR);
	sparse_expect(j, &sparse, 3 * SECTOR, 1000, FILE_DATA(3));
	expect(j, 1008 * SECTOR, FILE_DATA(2), 64 * SECTOR);
	expect(j, 1072 * SECTOR, FILE_DATA(1), 10 * SECTOR);
}

/* n lines, each for a sector of one file, in descending order. */
static void put_many_lines(const struct job *j, unsigned n)
{
	size_t room = n * 64, len = 0;
	char *lines = malloc(room);

	if (!lines)
		die("out of memory");
	for (unsigned i = 0; i < n; i++)
		len += snprintf(
			lines + len, room - len, "RW 1 FLAT \"%%s-flat.vmdk\" %u\n", n - 1 - i);
	put_top(j, lines);
	free(lines);
	put_flat(j, "-flat.vmdk", n, FILE_DATA(1));
	for (unsigned i = 0; i < n; i++)
		expect(j, i * SECTOR, FILE_DATA(1) + (n - 1 - i) * SECTOR, SECTOR);
}

static void make_many(const struct job *j)
{
	put_many_lines(j, j->c->n);
}

/* Line ends and a byte order mark of an editor, and keywords in unusual case and spacing. */
static void make_odd_text(const struct job *j)
{
	static const char text[] = "\xef\xbb\xbf#Disk Descriptor File\r\n\r\nVERSION = 1\r\n"
				   "Encoding=\"UTF-8\"\r\ncid = 1a\r\nParentCid=FFFFFFFF\r\n"
				   "# RW 7 ZERO\r\nCREATETYPE =\t\"MonolithicFlat\" \r\n"
				   "ddb.comment = \"RW 9 ZERO\"\r\n\r\n"
				   "rw\t8  flat \"vmdk-odd-text \xc3\xbc.vmdk\"  0 \r\n"
				   "   Rw 8 ZERO  \r\n";
	int fd = file_new(j, ".vmdk");

	put_text(fd, 0, text);
	file_resize(fd, 2048); /* the text ends at the first NUL */
	expect_size(j, 16 * SECTOR);
	put_flat(j, " \xc3\xbc.vmdk", 8, FILE_DATA(1));
	expect(j, 0, FILE_DATA(1), 8 * SECTOR);
}

/* Names in a code page; the other lines are for VMware only. */
static void make_encoded(const struct job *j)
{
	const struct {
		const char *encoding, *name, *utf8;
	} *c = j->c->arg;
	char text[512];

	snprintf(text, sizeof text,
		"# Disk DescriptorFile\nversion=3\nencoding=\"%s\"\nCID=1\nparentCID=ffffffff\n"
		"isNativeSnapshot=\"no\"\ncreateType=\"vmfs\"\n\nRW 8 VMFS \"%s%s\"\n\n"
		"changeTrackPath=\"nowhere-ctk.vmdk\"\n\nddb.longContentID = \"1\"\n"
		"ddb.uuid = \"60 00 C2 9a 51 de 3b 16-7c d0 4b 4a 4f 4e 4d 4c\"\n",
		c->encoding, j->c->name, c->name);
	put_text(file_new(j, ".vmdk"), 0, text);
	expect_size(j, 8 * SECTOR);
	put_flat(j, c->utf8, 8, FILE_DATA(1));
	expect(j, 0, FILE_DATA(1), 8 * SECTOR);
}

/* A child with data, with zeroes that hide data of the parent, and with a larger size. */
static void make_delta(const struct job *j)
{
	struct descriptor child = {
		"monolithicSparse", 7, 0xcafe, j->c->arg, "RW 1024 SPARSE \"%s.vmdk\"\n"};
	struct descriptor parent = {"monolithicFlat", j->c->n, NO_PARENT, NULL,
		"RW 700 FLAT \"%s-base-flat.vmdk\" 0\n"};
	int fd = file_new(j, ".vmdk");

	sparse_put(fd, &sparse, FILE_DATA(2));
	descriptor_put(j, fd, TEXT_AT * SECTOR, &child);
	put_descriptor(j, "-base.vmdk", &parent);
	put_flat(j, "-base-flat.vmdk", 700, FILE_DATA(1));
	expect_size(j, 1024 * SECTOR);
	expect(j, 0, FILE_DATA(1), 700 * SECTOR);
	sparse_expect(j, &sparse, 0, 1024, FILE_DATA(2));
}

/* Children of VirtualBox, which identify their parent only by UUIDs.  A UUID here derives from a
 * number and the case. */

struct uuids {
	unsigned image, modification, parent, parent_modification; /* 0: none */
};

static void put_uuids(const struct job *j, int fd, const struct uuids *u)
{
	const struct {
		const char *key;
		unsigned number;
	} keys[] = {
		{"image", u->image},
		{"modification", u->modification},
		{"parent", u->parent},
		{"parentmodification", u->parent_modification},
	};
	char uuid[64], text[512];
	size_t len = 0;

	for (size_t i = 0; i < N_ELEMENTS(keys); i++) {
		strcpy(uuid, "00000000-0000-0000-0000-000000000000");
		if (keys[i].number)
			snprintf(uuid, sizeof uuid, "%08x-c8ca-48ed-b7aa-e6fc49da%04x",
				keys[i].number, (unsigned)j->c->n);
		len += snprintf(
			text + len, sizeof text - len, "ddb.uuid.%s=\"%s\"\n", keys[i].key, uuid);
	}
	put_text(fd, lseek(fd, 0, SEEK_END), text);
}

/* A flat disk that could be the parent. */
static void put_candidate(
	const struct job *j, const char *suffix, const struct uuids *u, uint64_t from)
{
	char line[64], text[64], flat[64];
	struct descriptor d = {"monolithicFlat", 7, NO_PARENT, NULL, line};

	snprintf(line, sizeof line, "RW 700 FLAT \"%%s%s-flat.vmdk\" 0\n", suffix);
	snprintf(text, sizeof text, "%s.vmdk", suffix);
	snprintf(flat, sizeof flat, "%s-flat.vmdk", suffix);
	put_uuids(j, put_descriptor(j, text, &d), u);
	put_flat(j, flat, 700, from);
}

static void put_uuid_child(const struct job *j)
{
	struct descriptor child = {
		"monolithicSparse", 7, NO_PARENT, NULL, "RW 1024 SPARSE \"%s-s001.vmdk\"\n"};

	put_uuids(j, put_descriptor(j, ".vmdk", &child), &(struct uuids){1, 2, 3, 4});
	sparse_put(file_new(j, "-s001.vmdk"), &sparse, FILE_DATA(2));
	expect_size(j, 1024 * SECTOR);
	expect(j, 0, FILE_DATA(1), 700 * SECTOR);
	sparse_expect(j, &sparse, 0, 1024, FILE_DATA(2));
}

/* Beside the parent: a copy with another modification UUID, and another disk with the parent's
 * name. */
static void make_uuid_child(const struct job *j)
{
	put_uuid_child(j);
	put_candidate(j, "-a", &(struct uuids){3, 5, 0, 0}, FILE_DATA(3));
	put_candidate(j, "-base", &(struct uuids){6, 4, 0, 0}, FILE_DATA(4));
	put_candidate(j, "-z", &(struct uuids){3, 4, 0, 0}, FILE_DATA(1));
}

static void make_uuid_stranger(const struct job *j)
{
	put_uuid_child(j);
	put_candidate(j, "-base", j->c->arg, FILE_DATA(1));
}

/* A valid extent file beside an invalid descriptor. */
static void make_bad_lines(const struct job *j)
{
	put_top(j, j->c->arg);
	put_flat(j, "-flat.vmdk", 64, FILE_DATA(1));
}

static void make_long_line(const struct job *j)
{
	char *line = malloc(70001);

	if (!line)
		die("out of memory");
	memset(line, 'x', 70000);
	memcpy(line, "RW 64 FLAT \"", 12);
	strcpy(line + 69990, "\" 0\n");
	put_top(j, line);
	free(line);
}

static void make_long_text(const struct job *j)
{
	static const char remark[] =
		"# 3456789012345678901234567890123456789012345678901234567890123\n";
	int fd = put_top(j, "RW 64 ZERO\n");
	/* Without a gap, since a NUL would end the text. */
	uint64_t pos = lseek(fd, 0, SEEK_END);

	for (; pos < 2 * MIB; pos += strlen(remark))
		put_text(fd, pos, remark);
}

/* A NUL in the name ends the text, inside the quotes. */
static void make_nul(const struct job *j)
{
	static const char text[] = "# Disk DescriptorFile\nversion=1\nCID=1\nparentCID=ffffffff\n"
				   "createType=\"monolithicFlat\"\n"
				   "RW 64 FLAT \"vmdk-nul-flat.vmdk\0.vmdk\" 0\n";

	put(file_new(j, ".vmdk"), 0, text, sizeof text - 1);
	put_flat(j, "-flat.vmdk", 64, FILE_DATA(1));
}

#define SPECIAL(name_, make_)                                                                      \
	{                                                                                          \
		.name = "vmdk-" name_, .make = make_                                               \
	}
#define LINES(name_, n_)                                                                           \
	{                                                                                          \
		.name = "vmdk-" name_, .make = make_many, .n = n_                                  \
	}
#define DELTA(name_, hint_)                                                                        \
	{                                                                                          \
		.name = "vmdk-" name_, .make = make_delta, .arg = hint_, .n = 0xcafe               \
	}
#define REFUSE(name_, lines_)                                                                      \
	{                                                                                          \
		.name = "vmdk-" name_, .verdict = REFUSED, .make = make_bad_lines, .arg = lines_   \
	}
#define REFUSE_SPECIAL(name_, make_)                                                               \
	{                                                                                          \
		.name = "vmdk-" name_, .verdict = REFUSED, .make = make_                           \
	}
#define REFUSE_DELTA(name_, hint_, cid_)                                                           \
	{                                                                                          \
		.name = "vmdk-" name_, .verdict = REFUSED, .make = make_delta, .arg = hint_,       \
		.n = cid_                                                                          \
	}

#define ENCODED(name_, verdict_, ...)                                                              \
	{                                                                                          \
		.name = "vmdk-encoded-" name_, .verdict = verdict_, .make = make_encoded,          \
		.arg = (const char *const[])                                                       \
		{                                                                                  \
			__VA_ARGS__                                                                \
		}                                                                                  \
	}

static const struct image_case cases[] = {
	SPECIAL("round-split", make_round_split),
	SPECIAL("zero-extent", make_zero_extent),
	SPECIAL("flat-offset", make_flat_offset),
	SPECIAL("vmfs", make_vmfs),
	SPECIAL("mixed", make_mixed),
	SPECIAL("odd-text", make_odd_text),
	SPECIAL("zero-ends", make_zero_ends),
	SPECIAL("all-zero", make_all_zero),
	SPECIAL("partitioned", make_partitioned),
	ENCODED("utf8", READS, "utf-8", "-\xc3\xbc.vmdk", "-\xc3\xbc.vmdk"),
	ENCODED("windows", READS, "windows-1252", "-\xfc \x80.vmdk", "-\xc3\xbc \xe2\x82\xac.vmdk"),
	ENCODED("gbk", READS, "GBK", "-\xb4\xc5\xc5\xcc", "-\xe7\xa3\x81\xe7\x9b\x98"),
	ENCODED("unknown-ascii", READS, "x-mac", "-flat.vmdk", "-flat.vmdk"),
	ENCODED("unknown", REFUSED, "x-mac", "-\xfc.vmdk", "-\xfc.vmdk"),
	ENCODED("wrong", REFUSED, "Big5", "-\xff\xff.vmdk", "-\xff\xff.vmdk"),
	LINES("many-lines", 700),
	LINES("most-lines", 4096),
	DELTA("delta", "%s-base.vmdk"),
	DELTA("delta-windows", "C:\\Virtual Machines\\%s-base.vmdk"),
	DELTA("delta-esx", "/vmfs/volumes/5e1b/vm/%s-base.vmdk"),

	{.name = "vmdk-uuid-child", .make = make_uuid_child, .n = 1},

	{.name = "vmdk-uuid-stranger",
		.verdict = REFUSED,
		.make = make_uuid_stranger,
		.n = 2,
		.arg = &(const struct uuids){6, 4, 0, 0}},
	{.name = "vmdk-uuid-changed",
		.verdict = REFUSED,
		.make = make_uuid_stranger,
		.n = 3,
		.arg = &(const struct uuids){3, 5, 0, 0}},
	REFUSE("no-lines", ""),
	{.name = "vmdk-too-many-lines", .verdict = REFUSED, .make = make_many, .n = 4097},
	REFUSE("no-sectors", "RW FLAT \"%s-flat.vmdk\" 0\n"),
	REFUSE("sectors-negative", "RW -1 FLAT \"%s-flat.vmdk\" 0\n"),
	REFUSE("sectors-all-ones", "RW 18446744073709551615 FLAT \"%s-flat.vmdk\" 0\n"),
	REFUSE("sectors-overflow", "RW 18446744073709551617 FLAT \"%s-flat.vmdk\" 0\n"),
	REFUSE("sectors-words", "RW 64k FLAT \"%s-flat.vmdk\" 0\n"),
	REFUSE("sum-overflow", "RW 9007199254740992 ZERO\nRW 9007199254740992 ZERO\n"
			       "RW 64 FLAT \"%s-flat.vmdk\" 0\n"),
	REFUSE("offset-overflow", "RW 64 FLAT \"%s-flat.vmdk\" 18446744073709551000\n"),
	REFUSE("offset-words", "RW 64 FLAT \"%s-flat.vmdk\" zero\n"),
	REFUSE("no-quote", "RW 64 FLAT \"%s-flat.vmdk 0\n"),
	REFUSE("no-name", "RW 64 FLAT\n"),
	REFUSE("empty-name", "RW 64 FLAT \"\" 0\n"),
	REFUSE("bad-access", "RWX 64 FLAT \"%s-flat.vmdk\" 0\n"),
	REFUSE("bad-type", "RW 64 CURVED \"%s-flat.vmdk\" 0\n"),
	REFUSE("raw-device", "RW 64 VMFSRDM \"%s-flat.vmdk\"\n"),
	REFUSE("raw-device-2", "RW 64 VMFSRAW \"%s-flat.vmdk\"\n"),
	REFUSE("device-windows", "RW 64 FLAT \"\\\\.\\PhysicalDrive0\" 0 partitionUUID x\n"),
	REFUSE("device-esx", "RW 64 VMFS \"/vmfs/devices/disks/vml.0200\"\n"),
	REFUSE("vsan", "RW 64 VSANSPARSE \"%s-flat.vmdk\"\n"),
	REFUSE("flat-as-cowd", "RW 64 VMFSSPARSE \"%s-flat.vmdk\"\n"),
	REFUSE("flat-as-sesparse", "RW 64 SESPARSE \"%s-flat.vmdk\"\n"),
	REFUSE("flat-as-sparse", "RW 64 SPARSE \"%s-flat.vmdk\"\n"),
	REFUSE("not-there", "RW 64 FLAT \"%s-flut.vmdk\" 0\n"),
	REFUSE("itself-flat", "RW 64 FLAT \"%s.vmdk\" 0\n"),
	REFUSE("itself-sparse", "RW 64 SPARSE \"%s.vmdk\"\n"),
	REFUSE("absolute", "RW 1 FLAT \"/etc/passwd\" 0\n"),
	REFUSE("parent-directory", "RW 1 FLAT \"../../../../../../etc/passwd\" 0\n"),
	REFUSE("device", "RW 64 FLAT \"/dev/zero\" 0\n"),
	REFUSE("directory", "RW 64 FLAT \".\" 0\n"),
	REFUSE("percent-n", "RW 64 FLAT \"%n%n%n%n\" 0\n"),
	REFUSE_SPECIAL("long-line", make_long_line),
	REFUSE_SPECIAL("long-text", make_long_text),
	REFUSE_SPECIAL("nul", make_nul),
	REFUSE_DELTA("delta-changed", "%s-base.vmdk", 0xcaff),
	REFUSE_DELTA("delta-itself", "%s.vmdk", 0xcaff),
	REFUSE_DELTA("delta-not-there", "%s-bose.vmdk", 0xcaff),
};

const struct image_set vmdk_text_images = {"vmdk", cases, N_ELEMENTS(cases)};
