/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* ova.c - archives with a descriptor and a raw disk, in all variants of tar, and hostile ones.
 * Other disk formats have their own builders. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "util/bytes.h"
#include "mkimage.h"

#define BLOCK 512u
#define DISK  (256 * KIB)

#define SIZE_AT   124
#define TYPE_AT   156
#define PREFIX_AT 345

struct ova {
	int fd;
	uint64_t pos;
};

/* The descriptor's attributes for its only file. */
struct file_attributes {
	const char *href, *more; /* attributes of the File */
	const char *disk;        /* of the Disk; NULL: raw */
};

static const char is_raw[] = "ovf:format='http://en.wikipedia.org/wiki/Byte'";
static const struct file_attributes plain = {"disk1.raw", "", NULL};

static void put_checksum(uint8_t *h)
{
	unsigned sum = 0;

	memset(h + 148, ' ', 8);
	for (size_t i = 0; i < BLOCK; i++)
		sum += h[i];
	snprintf((char *)h + 148, 8, "%06o", sum);
}

static void make_header(uint8_t *h, char type, const char *name, uint64_t len)
{
	memset(h, 0, BLOCK);
	memcpy(h, name, strnlen(name, 100));
	memcpy(h + 100, "0000644\0000000000\0000000000", 24);
	snprintf((char *)h + SIZE_AT, 12, "%011llo", (unsigned long long)len);
	memcpy(h + 136, "00000000000", 12);
	h[TYPE_AT] = type;
	memcpy(h + 257, "ustar\00000", 8);
	put_checksum(h);
}

static void put_header(struct ova *o, const uint8_t *h)
{
	put(o->fd, o->pos, h, BLOCK);
	o->pos += BLOCK;
}

static void put_body(struct ova *o, const void *data, size_t len)
{
	put(o->fd, o->pos, data, len);
	o->pos = round_up(o->pos + len, BLOCK);
	file_resize(o->fd, o->pos);
}

static void put_member(struct ova *o, char type, const char *name, const char *text)
{
	uint8_t h[BLOCK];

	make_header(h, type, name, strlen(text));
	put_header(o, h);
	put_body(o, text, strlen(text));
}

static void put_disk_data(struct ova *o, uint64_t from, uint64_t len)
{
	put_data(o->fd, o->pos, from, len);
	o->pos = round_up(o->pos + len, BLOCK);
	file_resize(o->fd, o->pos);
}

static void put_disk(struct ova *o, const char *name)
{
	uint8_t h[BLOCK];

	make_header(h, '0', name, DISK);
	put_header(o, h);
	put_disk_data(o, 0, DISK);
}

static void put_descriptor(struct ova *o, const char *name, const struct file_attributes *s)
{
	char text[1024];

	snprintf(text, sizeof text,
		"<?xml version='1.0'?>\n<Envelope xmlns='http://schemas.dmtf.org/ovf/envelope/1' "
		"xmlns:ovf='http://schemas.dmtf.org/ovf/envelope/1'>\n"
		"<References><File ovf:id='f' ovf:href='%s' %s/></References>\n"
		"<DiskSection><Info/><Disk ovf:diskId='d' ovf:fileRef='f' %s/></DiskSection>\n"
		"</Envelope>\n",
		s->href, s->more, s->disk ? s->disk : is_raw);
	put_member(o, '0', name, text);
}

static void put_end(struct ova *o)
{
	o->pos = round_up(o->pos + 2 * BLOCK, 10240);
	file_resize(o->fd, o->pos);
}

static struct ova start(const struct job *j)
{
	return (struct ova){.fd = file_new(j, ".ova")};
}

static void reads_disk(const struct job *j)
{
	expect_size(j, DISK);
	expect(j, 0, 0, DISK);
}

/* Variants of tar. */

static void make_plain(const struct job *j)
{
	struct ova o = start(j);

	put_descriptor(&o, "x.ovf", &plain);
	put_disk(&o, "disk1.raw");
	put_end(&o);
	reads_disk(j);
}

static void make_last(const struct job *j)
{
	struct ova o = start(j);

	put_disk(&o, "disk1.raw");
	put_member(&o, '0', "notes.txt", "hello\n");
	put_descriptor(&o, "x.ovf", &plain);
	reads_disk(j); /* without end-of-archive blocks */
}

static void make_dirs(const struct job *j)
{
	struct ova o = start(j);

	put_member(&o, '5', "./", "");
	put_member(&o, '5', "./vm/", "");
	put_disk(&o, "./vm//disk1.raw");
	put_disk(&o, "disk1.raw/not-this");
	put_descriptor(&o, "./vm/x.ovf", &plain);
	put_end(&o);
	reads_disk(j);
}

/* GNU magic, a size in binary, a long name in a member of its own. */
static void make_gnu(const struct job *j)
{
	struct ova o = start(j);
	uint8_t h[BLOCK];

	put_descriptor(&o, "x.ovf", &plain);
	put_member(&o, 'L', "././@LongLink", "disk1.raw");
	make_header(h, '0', "another-name", 0);
	memcpy(h + SIZE_AT, "\x80\0\0\0\0\0\0\0\0\4\0\0", 12);
	memcpy(h + 257, "ustar  ", 8);
	memcpy(h + PREFIX_AT, "13600000000", 12); /* a time */
	put_checksum(h);
	put_header(&o, h);
	put_disk_data(&o, 0, DISK);
	put_end(&o);
	reads_disk(j);
}

static void make_pax(const struct job *j)
{
	struct ova o = start(j);
	uint8_t h[BLOCK];

	put_member(&o, 'g', "global", "19 comment=nothing\n14 size=12345\n8 size=\n");
	put_descriptor(&o, "x.ovf", &plain);
	put_member(&o, 'x', "x", "15 size=262144\n18 path=disk1.raw\n27 mtime=1700000000.123456\n");
	make_header(h, '0', "another-name", 0);
	put_header(&o, h);
	put_disk_data(&o, 0, DISK);
	put_end(&o);
	reads_disk(j);
}

static void make_prefix(const struct job *j)
{
	static const struct file_attributes s = {"a/b/disk1.raw", "", NULL};
	struct ova o = start(j);
	uint8_t h[BLOCK];

	put_descriptor(&o, "x.ovf", &s);
	make_header(h, '0', "disk1.raw", DISK);
	memcpy(h + PREFIX_AT, "a/b", 3);
	put_checksum(h);
	put_header(&o, h);
	put_disk_data(&o, 0, DISK);
	reads_disk(j);
}

/* The first of two members with one name is used. */
static void make_twice(const struct job *j)
{
	struct ova o = start(j);

	put_descriptor(&o, "x.ovf", &plain);
	put_disk(&o, "disk1.raw");
	put_member(&o, '0', "disk1.raw", "something else");
	put_end(&o);
	reads_disk(j);
}

/* Chunks and compression. */

#define PART (100 * KIB)

/* j->c->n: the missing chunk, counted from 1. */
static void make_chunks(const struct job *j)
{
	static const struct file_attributes s = {
		"disk1.raw", "ovf:chunkSize='102400' ovf:size='262144'", NULL};
	struct ova o = start(j);
	uint8_t h[BLOCK];
	char name[32];

	put_descriptor(&o, "x.ovf", &s);
	for (uint64_t i = 0; i * PART < DISK; i++) {
		uint64_t len = MIN(PART, DISK - i * PART);

		if (i + 1 == j->c->n)
			continue;
		snprintf(name, sizeof name, "disk1.raw.%09u", (unsigned)i);
		make_header(h, '0', name, len);
		put_header(&o, h);
		put_disk_data(&o, i * PART, len);
	}
	put_end(&o);
	reads_disk(j);
}

/* Compresses the disk to n gzip members; sets *len to their size. */
static uint8_t *gzip_disk(unsigned n, size_t *len)
{
	uint8_t *in = malloc(DISK), *out = malloc(2 * DISK);

	if (!in || !out)
		die("no memory");
	data_make(in, 0, DISK);
	*len = 0;
	for (unsigned i = 0; i < n; i++)
		*len += deflated(out + *len, 2 * DISK - *len, in + i * (DISK / n), DISK / n, 31);
	free(in);
	return out;
}

enum gzip_variant { ONE, MANY, CUT, FLIPPED };

static void make_gzip(const struct job *j)
{
	static const struct file_attributes s = {"disk1.raw.gz", "ovf:compression='gzip'", NULL};
	struct ova o = start(j);
	uint8_t h[BLOCK], *compressed;
	size_t len;

	compressed = gzip_disk(j->c->n == MANY ? 64 : 1, &len);
	if (j->c->n == CUT)
		len -= 1;
	if (j->c->n == FLIPPED)
		compressed[len / 2] ^= 4;
	put_descriptor(&o, "x.ovf", &s);
	make_header(h, '0', "disk1.raw.gz", len);
	put_header(&o, h);
	put_body(&o, compressed, len);
	put_end(&o);
	free(compressed);
	reads_disk(j);
}

/* Disks of several files. */

/* arg: the name of the extent in the VMDK descriptor. */
static void make_vmdk(const struct job *j)
{
	static const struct file_attributes s = {"vm/disk1.vmdk", "", "ovf:format='vmdk'"};
	struct ova o = start(j);
	char text[512];

	snprintf(text, sizeof text,
		"# Disk DescriptorFile\nversion=1\nCID=12345678\nparentCID=ffffffff\n"
		"createType=\"monolithicFlat\"\nRW 512 FLAT \"%s\" 0\n",
		(const char *)j->c->arg);
	put_descriptor(&o, "x.ovf", &s);
	put_member(&o, '0', "vm/disk1.vmdk", text);
	put_disk(&o, "vm/disk1-flat.vmdk");
	put_disk(&o, "secret.raw");
	put_end(&o);
	/* A file beside the archive, to which no name in the archive may lead. */
	put_data(file_new(j, "-secret.raw"), 0, 0, DISK);
	reads_disk(j);
}

/* Refused archives. */

/* arg: the attributes in the descriptor; the disk has its usual name. */
static void make_described(const struct job *j)
{
	struct ova o = start(j);

	put_descriptor(&o, "x.ovf", j->c->arg);
	put_disk(&o, "disk1.raw");
	put_end(&o);
}

static const struct file_attributes there_is_no = {"disk2.raw", "", NULL};
static const struct file_attributes on_the_net = {"http://127.0.0.1/disk1.raw", "", NULL};
static const struct file_attributes by_scheme = {"file:///etc/passwd", "", NULL};
static const struct file_attributes on_the_host = {"/etc/passwd", "", NULL};
static const struct file_attributes above = {"../disk1.raw", "", NULL};
static const struct file_attributes above_encoded = {"%2e%2e%2fdisk1.raw", "", NULL};
static const struct file_attributes with_zero = {"disk1.raw%00", "", NULL};
static const struct file_attributes empty = {"", "", NULL};
static const struct file_attributes unknown_compression = {
	"disk1.raw", "ovf:compression='zip'", NULL};
static const struct file_attributes not_compressed = {"disk1.raw", "ovf:compression='gzip'", NULL};
static const struct file_attributes broken_xml = {"disk1.raw", "<", NULL};
static const struct file_attributes a_delta = {
	"disk1.raw", "", "ovf:parentRef='e' ovf:format='http://en.wikipedia.org/wiki/Byte'"};

/* arg: the name of an unsupported member; n: its type. */
static void make_member(const struct job *j)
{
	struct ova o = start(j);
	uint8_t h[BLOCK];

	put_descriptor(&o, "x.ovf", &plain);
	make_header(h, (char)j->c->n, j->c->arg, 0);
	memcpy(h + 157, "/etc/passwd", 11); /* the target of a link */
	put_checksum(h);
	put_header(&o, h);
	put_disk(&o, "disk1.raw");
	put_end(&o);
}

/* arg: the size field of the disk's header. */
static void make_size(const struct job *j)
{
	struct ova o = start(j);
	uint8_t h[BLOCK];

	put_descriptor(&o, "x.ovf", &plain);
	make_header(h, '0', "disk1.raw", DISK);
	memcpy(h + SIZE_AT, j->c->arg, 12);
	put_checksum(h);
	put_header(&o, h);
	put_disk_data(&o, 0, DISK);
	put_end(&o);
}

/* arg: pax records before the disk. */
static void make_records(const struct job *j)
{
	struct ova o = start(j);

	put_descriptor(&o, "x.ovf", &plain);
	put_member(&o, 'x', "x", j->c->arg);
	put_disk(&o, "disk1.raw");
	put_end(&o);
}

static void make_checksum(const struct job *j)
{
	struct ova o = start(j);
	uint64_t header;

	put_descriptor(&o, "x.ovf", &plain);
	header = o.pos;
	put_disk(&o, "disk1.raw");
	put_end(&o);
	put_byte(o.fd, header, 'D');
}

static void make_cut(const struct job *j)
{
	struct ova o = start(j);

	put_descriptor(&o, "x.ovf", &plain);
	put_disk(&o, "disk1.raw");
	file_resize(o.fd, o.pos - 1000);
}

/* arg: the complete descriptor. */
static void make_text(const struct job *j)
{
	struct ova o = start(j);

	if (j->c->arg)
		put_member(&o, '0', "x.ovf", j->c->arg);
	put_disk(&o, "disk1.raw");
	put_end(&o);
}

static void make_two_descriptors(const struct job *j)
{
	struct ova o = start(j);

	put_descriptor(&o, "x.ovf", &plain);
	put_descriptor(&o, "y.ovf", &plain);
	put_disk(&o, "disk1.raw");
	put_end(&o);
}

#define GOOD(name, make_)                                                                          \
	{                                                                                          \
		"ova-" name, READS, .make = make_                                                  \
	}
#define VARIANT(name, make_, n_)                                                                   \
	{                                                                                          \
		"ova-" name, READS, .make = make_, .n = n_                                         \
	}
#define BAD(name, make_, arg_)                                                                     \
	{                                                                                          \
		"ova-" name, REFUSED, .make = make_, .arg = arg_                                   \
	}
#define BAD_N(name, make_, n_)                                                                     \
	{                                                                                          \
		"ova-" name, REFUSED, .make = make_, .n = n_                                       \
	}
#define BAD_MEMBER(name, member, type)                                                             \
	{                                                                                          \
		"ova-" name, REFUSED, .make = make_member, .arg = member, .n = type                \
	}

static const struct image_case cases[] = {
	GOOD("plain", make_plain),
	GOOD("descriptor-last", make_last),
	GOOD("directories", make_dirs),
	GOOD("gnu", make_gnu),
	GOOD("pax", make_pax),
	GOOD("prefix", make_prefix),
	GOOD("twice", make_twice),
	GOOD("chunks", make_chunks),
	VARIANT("gzip", make_gzip, ONE),
	VARIANT("gzip-members", make_gzip, MANY),
	{"ova-vmdk", READS, .make = make_vmdk, .arg = "disk1-flat.vmdk"},

	BAD_N("chunk-first-missing", make_chunks, 1),
	BAD_N("chunk-missing", make_chunks, 2),
	BAD_N("chunk-last-missing", make_chunks, 3),
	BAD_N("gzip-cut", make_gzip, CUT),
	BAD_N("gzip-damaged", make_gzip, FLIPPED),
	BAD("vmdk-names-host", make_vmdk, "/etc/passwd"),
	BAD("vmdk-names-above", make_vmdk, "../secret.raw"),
	BAD("vmdk-names-beside", make_vmdk, "ova-vmdk-names-beside-secret.raw"),
	BAD("vmdk-names-itself", make_vmdk, "disk1.vmdk"),
	BAD("disk-missing", make_described, &there_is_no),
	BAD("disk-on-network", make_described, &on_the_net),
	BAD("disk-by-scheme", make_described, &by_scheme),
	BAD("disk-on-host", make_described, &on_the_host),
	BAD("disk-above", make_described, &above),
	BAD("disk-above-encoded", make_described, &above_encoded),
	BAD("disk-with-zero-byte", make_described, &with_zero),
	BAD("disk-without-name", make_described, &empty),
	BAD("disk-unknown-compression", make_described, &unknown_compression),
	BAD("disk-not-compressed", make_described, &not_compressed),
	BAD("disk-delta", make_described, &a_delta),
	BAD("xml-broken", make_described, &broken_xml),
	BAD_MEMBER("symlink", "link", '2'),
	BAD_MEMBER("hard-link", "link", '1'),
	BAD_MEMBER("device", "sda", '4'),
	BAD_MEMBER("fifo", "fifo", '6'),
	BAD_MEMBER("sparse", "sparse", 'S'),
	BAD_MEMBER("volume", "rest", 'M'),
	BAD_MEMBER("absolute", "/etc/passwd", '0'),
	BAD_MEMBER("dotdot", "vm/../../x", '0'),
	BAD_MEMBER("dotdot-directory", "..", '5'),
	BAD("size-past-end", make_size, "00077777777"),
	BAD("size-negative", make_size, "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\0\0"),
	BAD("size-huge", make_size, "\x80\0\0\0\x7f\xff\xff\xff\xff\xff\xfe\0"),
	BAD("size-wraps", make_size, "\x80\0\0\0\xff\xff\xff\xff\xff\xff\xfe\0"),
	BAD("size-too-wide", make_size, "\x80\0\0\1\0\0\0\0\0\4\0\0"),
	BAD("size-not-octal", make_size, "0000000x000\0"),
	BAD("pax-sparse", make_records, "22 GNU.sparse.major=1\n"),
	BAD("pax-size-wraps", make_records, "29 size=18446744073709551616\n"),
	BAD("pax-absolute", make_records, "20 path=/etc/passwd\n"),
	BAD("pax-torn", make_records, "99 path=x\n"),
	BAD("checksum", make_checksum, NULL),
	BAD("cut", make_cut, NULL),
	BAD("no-descriptor", make_text, NULL),
	BAD("no-disk", make_text, "<Envelope/>"),
	BAD("other-xml", make_text, "<domain type='kvm'/>"),
	BAD("entities", make_text,
		"<!DOCTYPE e [<!ENTITY a 'aaaa'><!ENTITY b '&a;&a;'>]><Envelope>&b;</Envelope>"),
	BAD("external-entity", make_text,
		"<!DOCTYPE e [<!ENTITY a SYSTEM 'file:///etc/passwd'>]><Envelope>&a;</Envelope>"),
	BAD("two-disks", make_text,
		"<Envelope><References><File id='a' href='disk1.raw'/><File id='b' "
		"href='disk2.raw'/></References><DiskSection><Disk diskId='1' fileRef='a'/>"
		"<Disk diskId='2' fileRef='b'/></DiskSection></Envelope>"),
	BAD("two-descriptors", make_two_descriptors, NULL),
};

const struct image_set ova_images = {"ova", cases, N_ELEMENTS(cases)};
