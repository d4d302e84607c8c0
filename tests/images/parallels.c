/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* parallels.c - Parallels disks: expanding images with both magics, bundles with storages and
 * snapshots, valid and damaged. */
#include <stdarg.h>
#include <stdio.h>

#include "util/bytes.h"
#include "mkimage.h"

#define SECTOR 512u
#define IN_USE 0x746f6e59u

struct spec {
	int old;          /* the old magic, with which BAT entries count sectors */
	uint32_t cluster; /* sectors */
	uint64_t sectors; /* of the disk */
	uint32_t data;    /* the first sector of data; 0: not recorded */
	uint32_t in_use;
	const uint32_t *map; /* cluster i of the disk is the map[i]-th in the file; 0: absent */
	uint32_t n;
};

/* The first sector of data. */
static uint64_t data_start(const struct spec *s)
{
	return s->data ? s->data : div_round_up(64 + 4 * (uint64_t)s->n, SECTOR);
}

/* Writes an image for the range of the disk at off; its cluster k in the file has the data stream
 * from from + k clusters on. */
static int put_image(
	const struct job *j, const char *suffix, const struct spec *s, uint64_t off, uint64_t from)
{
	uint64_t cluster = (uint64_t)s->cluster * SECTOR, size = s->sectors * SECTOR;
	int fd = file_new(j, suffix);

	put_text(fd, 0, s->old ? "WithoutFreeSpace" : "WithouFreSpacExt");
	put_le32(fd, 16, 2);
	put_le32(fd, 20, 16);
	put_le32(fd, 24, 3);
	put_le32(fd, 28, s->cluster);
	put_le32(fd, 32, s->n);
	put_le64(fd, 36, s->sectors | (s->old ? (uint64_t)0xdeadbeef << 32 : 0));
	put_le32(fd, 44, s->in_use);
	put_le32(fd, 48, s->data);
	file_resize(fd, data_start(s) * SECTOR);
	for (uint32_t i = 0; i < s->n; i++) {
		uint64_t pos = data_start(s) * SECTOR + (s->map[i] - 1) * cluster;

		if (s->map[i] == 0)
			continue;
		put_le32(fd, 64 + 4 * i, s->old ? pos / SECTOR : pos / cluster);
		put_data(fd, pos, from + s->map[i] * cluster, cluster);
		expect(j, off + i * cluster, from + s->map[i] * cluster,
			MIN(cluster, size - i * cluster));
	}
	return fd;
}

static void make(const struct job *j)
{
	const struct spec *s = j->c->arg;

	expect_size(j, s->sectors * SECTOR);
	patch_le(j, put_image(j, ".parallels", s, 0, 0));
}

static void make_short_file(const struct job *j)
{
	const struct spec *s = j->c->arg;

	expect_size(j, s->sectors * SECTOR);
	file_resize(put_image(j, ".parallels", s, 0, 0), j->c->n);
}

/* The file ends inside the last cluster; the missing part reads as zeroes. */
static void make_tail(const struct job *j)
{
	const struct spec *s = j->c->arg;

	expect_size(j, s->sectors * SECTOR);
	file_resize(put_image(j, ".parallels", s, 0, 0), j->c->n);
	expect_zero(j, 3 * 4096 + 1000, 4096 - 1000);
}

/* Descriptors. */

#define GUID_TOP  "{5fbaabe3-6958-40ff-92a7-860e329aab41}"
#define GUID_MID  "{11111111-2222-3333-4444-555555555555}"
#define GUID_ROOT "{aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee}"
#define GUID_NONE "{00000000-0000-0000-0000-000000000000}"

struct text {
	char buf[8192];
	size_t len;
};

static void add(struct text *t, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static void add(struct text *t, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	t->len += vsnprintf(t->buf + t->len, sizeof t->buf - t->len, fmt, ap);
	va_end(ap);
}

static void add_head(struct text *t, uint64_t sectors)
{
	add(t,
		"<?xml version='1.0' encoding='UTF-8'?>\n<Parallels_disk_image Version=\"1.0\">\n"
		"<Disk_Parameters><Disk_size>%llu</Disk_size><Cylinders>1</Cylinders>"
		"<Heads>1</Heads><Sectors>%llu</Sectors><Padding>0</Padding><Encryption>"
		"<Engine>" GUID_NONE "</Engine><Data></Data></Encryption></Disk_Parameters>\n"
		"<StorageData>\n",
		(unsigned long long)sectors, (unsigned long long)sectors);
}

static void add_storage(struct text *t, uint64_t start, uint64_t end)
{
	add(t, "<Storage><Start>%llu</Start><End>%llu</End><Blocksize>8</Blocksize>\n",
		(unsigned long long)start, (unsigned long long)end);
}

static void add_image(
	struct text *t, const struct job *j, const char *guid, const char *type, const char *suffix)
{
	add(t, "<Image><GUID>%s</GUID><Type>%s</Type><File>%s%s</File></Image>\n", guid, type,
		j->c->name, suffix);
}

static void add_shot(struct text *t, const char *guid, const char *parent)
{
	add(t, "<Shot><GUID>%s</GUID><ParentGUID>%s</ParentGUID></Shot>\n", guid, parent);
}

static void finish(const struct job *j, struct text *t)
{
	add(t, "</Parallels_disk_image>\n");
	put_text(file_new(j, ".parallels"), 0, t->buf);
}

static void put_plain(
	const struct job *j, const char *suffix, uint64_t off, uint64_t from, uint64_t len)
{
	put_data(file_new(j, suffix), 0, from, len);
	expect(j, off, from, len);
}

static const uint32_t low_map[] = {1, 0, 0, 2};
static const uint32_t high_map[] = {0, 2, 0, 1};
static const struct spec low = {0, 8, 32, 8, 0, low_map, 4};
static const struct spec high = {0, 8, 32, 8, 0, high_map, 4};
static const struct spec high_old = {1, 8, 32, 0, 0, high_map, 4};

#define LEN (4 * 4096)

/* Two storages: the first has a plain image below two overlays, the second only expanding images.
 */
static void make_bundle(const struct job *j)
{
	struct text t = {.len = 0};

	expect_size(j, 2 * LEN);
	add_head(&t, 64);
	add_storage(&t, 0, 32);
	add_image(&t, j, GUID_ROOT, "Plain", "-0r");
	put_plain(j, "-0r", 0, NOISE, LEN);
	add_image(&t, j, GUID_TOP, "Compressed", "-0t");
	add_image(&t, j, GUID_MID, "Compressed", "-0m");
	put_image(j, "-0m", &low, 0, 1 * MIB);
	put_image(j, "-0t", &high, 0, 2 * MIB);
	add(&t, "</Storage>\n");
	add_storage(&t, 32, 64);
	add_image(&t, j, GUID_ROOT, "Compressed", "-1r");
	add_image(&t, j, GUID_MID, "Compressed", "-1m");
	add_image(&t, j, GUID_TOP, "Compressed", "-1t");
	put_image(j, "-1r", &low, LEN, 3 * MIB);
	put_image(j, "-1m", &high_old, LEN, 4 * MIB);
	put_image(j, "-1t", &low, LEN, 5 * MIB);
	add(&t, "</Storage>\n</StorageData>\n<Snapshots>\n");
	add_shot(&t, GUID_MID, GUID_ROOT);
	add_shot(&t, GUID_ROOT, GUID_NONE);
	add_shot(&t, GUID_TOP, GUID_MID);
	add(&t, "</Snapshots>\n");
	finish(j, &t);
}

/* One storage with one image.  n: the fault of the descriptor. */
enum fault {
	NO_FAULT,
	NO_SHOTS,
	TYPE,
	PADDED,
	ENCRYPTED,
	GAP,
	TOO_SHORT,
	NO_TOP,
	LOOP,
	LOST,
	NO_FILE,
	NOT_XML,
	DOCTYPE
};

static void add_faulty_head(struct text *t, enum fault fault)
{
	if (fault == DOCTYPE)
		add(t, "<!DOCTYPE Parallels_disk_image>\n");
	add(t,
		"<Parallels_disk_image><Disk_Parameters><Disk_size>%d</Disk_size><Padding>%d</"
		"Padding>",
		fault == TOO_SHORT ? 33 : 32, fault == PADDED);
	if (fault == ENCRYPTED)
		add(t, "<Encryption><Engine>" GUID_MID "</Engine></Encryption>");
	add(t, "</Disk_Parameters><StorageData>\n");
}

static void make_descriptor(const struct job *j)
{
	enum fault fault = j->c->n;
	struct text t = {.len = 0};

	expect_size(j, LEN);
	add_faulty_head(&t, fault);
	add_storage(&t, fault == GAP ? 1 : 0, 32);
	add_image(&t, j, fault == NO_SHOTS ? GUID_ROOT : GUID_TOP,
		fault == TYPE ? "Encrypted" : "Compressed", fault == NO_FILE ? "-gone" : "-0");
	put_image(j, "-0", &low, 0, 0);
	add(&t, "</Storage></StorageData>\n");
	if (fault != NO_SHOTS) {
		add(&t, "<Snapshots>\n");
		add_shot(&t, fault == NO_TOP ? GUID_MID : GUID_TOP,
			fault == LOOP   ? GUID_TOP
			: fault == LOST ? GUID_ROOT
					: GUID_NONE);
		add(&t, fault == NOT_XML ? "</Snapshot>\n" : "</Snapshots>\n");
	}
	finish(j, &t);
}

static const uint32_t mixed[] = {4, 0, 1, 2, 0, 0, 3};
static const struct spec ext = {0, 8, 7 * 8 - 3, 8, 0, mixed, 7};
static const struct spec old = {1, 8, 7 * 8, 0, 0, mixed, 7};
static const struct spec old_63 = {1, 63, 7 * 63 - 5, 0, 0x312e3276, mixed, 7};
static const struct spec ext_63 = {0, 63, 7 * 63, 63, 0x312e3276, mixed, 7};
static const struct spec ext_1m = {0, 2048, 7 * 2048, 2048, 0, mixed, 7};
static const struct spec unclean = {0, 8, 7 * 8, 8, IN_USE, mixed, 7};
static const struct spec old_data = {1, 8, 7 * 8, 100, 0, mixed, 7};

/* Four clusters of 4 KiB, of which 0 and 3 are allocated; data begins at 4096. */
static const struct spec plain = {0, 8, 32, 8, 0, low_map, 4};

#define GOOD(name_, spec_)                                                                         \
	{                                                                                          \
		.name = "parallels-" name_, .make = make, .arg = &spec_                            \
	}
#define HARMLESS(name_, pos_, width_, value_)                                                      \
	{                                                                                          \
		.name = "parallels-" name_, .make = make, .arg = &plain,                           \
		PATCH(pos_, width_, value_)                                                        \
	}
#define REFUSE(name_, pos_, width_, value_)                                                        \
	{                                                                                          \
		.name = "parallels-" name_, .verdict = REFUSED, .make = make, .arg = &plain,       \
		PATCH(pos_, width_, value_)                                                        \
	}
/* Reads of cluster 3 fail. */
#define BAD_ENTRY(name_, value_)                                                                   \
	{                                                                                          \
		.name = "parallels-" name_, .verdict = READERROR, .bad = {3 * 4096, 4096},         \
		.make = make, .arg = &plain, PATCH(64 + 12, 4, value_)                             \
	}
#define FAULT(name_, n_)                                                                           \
	{                                                                                          \
		.name = "parallels-" name_, .verdict = REFUSED, .make = make_descriptor, .n = n_   \
	}

static const struct image_case cases[] = {
	GOOD("ext", ext),
	GOOD("old", old),
	GOOD("old-63", old_63),
	GOOD("ext-63", ext_63),
	GOOD("ext-1m", ext_1m),
	GOOD("unclean", unclean),
	GOOD("old-data", old_data),
	{.name = "parallels-tail", .make = make_tail, .arg = &plain, .n = 8192 + 1000},
	{.name = "parallels-bundle", .make = make_bundle},
	{.name = "parallels-descriptor", .make = make_descriptor, .n = NO_FAULT},
	{.name = "parallels-no-shots", .make = make_descriptor, .n = NO_SHOTS},
	HARMLESS("creator", 44, 4, 0x32326470),
	HARMLESS("empty-flag", 52, 4, 1),
	HARMLESS("extension-far", 56, 8, UINT64_MAX),
	HARMLESS("data-in-bat", 48, 4, 0),

	BAD_ENTRY("entry-past-end", 3),
	BAD_ENTRY("entry-far", 0xffffffff),
	/* All entries point before the first sector of data. */
	{.name = "parallels-data-far",
		.verdict = READERROR,
		.bad = {0, 4096},
		.make = make,
		.arg = &plain,
		.patch = {48, 4, 9}},
	{.name = "parallels-lost",
		.verdict = READERROR,
		.bad = {3 * 4096, 4096},
		.make = make_short_file,
		.arg = &plain,
		.n = 8192},

	{.name = "parallels-header-cut",
		.verdict = REFUSED,
		.make = make_short_file,
		.arg = &plain,
		.n = 63},
	{.name = "parallels-bat-cut",
		.verdict = REFUSED,
		.make = make_short_file,
		.arg = &plain,
		.n = 79},
	REFUSE("version-1", 16, 4, 1),
	REFUSE("version-3", 16, 4, 3),
	REFUSE("cluster-0", 28, 4, 0),
	REFUSE("cluster-all-ones", 28, 4, 0xffffffff),
	REFUSE("entries-3", 32, 4, 3),
	REFUSE("entries-all-ones", 32, 4, 0xffffffff),
	REFUSE("size-past-entries", 36, 8, 33),
	REFUSE("size-all-ones", 36, 8, UINT64_MAX),
	FAULT("type", TYPE),
	FAULT("padded", PADDED),
	FAULT("encrypted", ENCRYPTED),
	FAULT("gap", GAP),
	FAULT("too-short", TOO_SHORT),
	FAULT("no-top", NO_TOP),
	FAULT("loop", LOOP),
	FAULT("lost-parent", LOST),
	FAULT("no-file", NO_FILE),
	FAULT("not-xml", NOT_XML),
	FAULT("doctype", DOCTYPE),
};

const struct image_set parallels_images = {"parallels", cases, N_ELEMENTS(cases)};
