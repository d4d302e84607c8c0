/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* check_vmdk_descriptor.c - valid, malformed and hostile descriptors. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "util/err.h"
#include "common/unit.h"
#include "driver/vmdk/descriptor.h"

#define HEAD "# Disk DescriptorFile\nversion=1\nCID=1234abcd\nparentCID=ffffffff\n"
#define ONE  "RW 10 FLAT \"a.img\" 0\n"

struct parsed {
	char *text;
	struct vmdk_descriptor desc;
	struct err e;
	int result;
};

static struct parsed p;

static void free_parsed(void)
{
	vmdk_descriptor_free(&p.desc);
	free(p.text);
	p = (struct parsed){.text = NULL};
}

static int parse(const char *text)
{
	free_parsed();
	p.text = strdup(text);
	ck_assert_ptr_nonnull(p.text);
	p.result = vmdk_descriptor_parse(&p.desc, p.text, &p.e);
	return p.result;
}

static void parses(const char *text)
{
	ck_assert_ok(parse(text), &p.e);
}

static const struct vmdk_extent_line *line(size_t i)
{
	ck_assert_uint_lt(i, p.desc.nlines);
	return &p.desc.lines[i];
}

START_TEST(all_fields_are_parsed)
{
	parses("# Disk DescriptorFile\nversion=1\nencoding=\"UTF-8\"\nCID=5\nparentCID=1234abcd\n"
	       "createType=\"monolithicSparse\"\nparentFileNameHint=\"C:\\VMs\\base disk.vmdk\"\n\n"
	       "# Extent description\nRW 63 FLAT \"a b.img\" 17\nRDONLY 5 SPARSE \"s.vmdk\"\n"
	       "NOACCESS 7 ZERO\n#DDB\nddb.logicalSectorSize = \"4096\"\n"
	       "ddb.uuid.parent = \"00000000-0000-0000-0000-000000000000\"\n");
	ck_assert_uint_eq(p.desc.cid, 5);
	ck_assert_uint_eq(p.desc.parent_cid, 0x1234abcd);
	ck_assert_str_eq(p.desc.create_type, "monolithicSparse");
	ck_assert_str_eq(p.desc.parent_hint, "C:\\VMs\\base disk.vmdk");
	ck_assert_str_eq(p.desc.encoding, "UTF-8");
	ck_assert(guid_is_zero(p.desc.parent_id));
	ck_assert_uint_eq(p.desc.sector_size, 4096);
	ck_assert_uint_eq(p.desc.nlines, 3);
	ck_assert_uint_eq(line(0)->number, 10);
	ck_assert_uint_eq(line(0)->sectors, 63);
	ck_assert_str_eq(line(0)->type, "FLAT");
	ck_assert_str_eq(line(0)->file, "a b.img");
	ck_assert_uint_eq(line(0)->start, 17);
	ck_assert(!line(0)->hidden && !line(1)->hidden && line(2)->hidden);
	ck_assert_str_eq(line(1)->file, "s.vmdk");
	ck_assert_uint_eq(line(1)->start, 0);
	ck_assert_ptr_null(line(2)->file);
}
END_TEST

/* Each describes one disk of 10 sectors in a.img with the CID 1234abcd. */
static const char *const spellings[] = {
	HEAD ONE,
	"\xef\xbb\xbf" HEAD ONE,
	"#Disk Descriptor File\r\nversion=1\r\nCID=1234ABCD\r\n\r\nRW 10 FLAT \"a.img\" 0\r\n",
	"version = 1\n  cid\t= \"1234abcd\" \nrw 10\tflat   \"a.img\"  0  \n",
	ONE "CID=1234abcd\nVERSION=3 \t\nparentcid=FFFFFFFF",
	HEAD "RDONLY 10 VMFS \"a.img\"",
	HEAD "RW 10 FLAT \"a.img\" 0 partitionUUID \\\\.\\PhysicalDrive0\n",
	HEAD ONE "ddb.comment = \"a \"quoted\" word\nchangeTrackPath=\"x-ctk.vmdk\"\nother=\n",
	HEAD ONE "parentFileNameHint=\"\"\nddb.iofilters=\"\"\nkeyID=\n",
	HEAD "# RW 5 FLAT \"b.img\" 0\n" ONE "  # RW 5 ZERO\n",
};

START_TEST(equivalent_spellings)
{
	parses(spellings[_i]);
	ck_assert_uint_eq(p.desc.cid, 0x1234abcd);
	ck_assert_uint_eq(p.desc.parent_cid, VMDK_NO_CID);
	ck_assert_ptr_null(p.desc.parent_hint);
	ck_assert_uint_eq(p.desc.nlines, 1);
	ck_assert_uint_eq(line(0)->sectors, 10);
	ck_assert_str_eq(line(0)->file, "a.img");
}
END_TEST

static const struct {
	const char *text;
	int code;
	const char *part;
} refusals[] = {
	{"", EINVAL, "no version"},
	{ONE, EINVAL, "no version"},
	{"version=\n" ONE, EINVAL, "no version"},
	{"version=0\n" ONE, ENOTSUP, "descriptor version 0"},
	{"version=4\n" ONE, ENOTSUP, "descriptor version 4"},
	{"version=one\n" ONE, EINVAL, "line 1: version: \"one\""},
	{HEAD, EINVAL, "no extents"},
	{HEAD "createType=\"a\"\n" ONE "createType=\"b\"\n", EINVAL,
		"line 7: a second createType, the first is in line 5"},
	{HEAD ONE "CID=1\n", EINVAL, "line 6: a second CID"},
	{"version=1\nCID=123456789\n" ONE, EINVAL, "line 2: CID"},
	{"version=1\nCID=-1\n" ONE, EINVAL, "line 2: CID"},
	{"version=1\nparentCID=0x1\n" ONE, EINVAL, "line 2: parentCID"},
	{HEAD ONE "ddb.logicalSectorSize=\"513\"\n", EINVAL, "ddb.logicalSectorSize"},
	{HEAD ONE "createType=\"a\n", EINVAL, "line 6: createType: the quotes are not closed"},
	{HEAD "RW\n", EINVAL, "line 5: extent: \"\""},
	{HEAD "RW 10\n", EINVAL, "line 5: extent: it has no type"},
	{HEAD "RW -1 FLAT \"a\" 0\n", EINVAL, "line 5: extent: \"-1\""},
	{HEAD "RW 18446744073709551615 FLAT \"a\" 0\n", EINVAL, "line 5: extent: \"1844"},
	{HEAD "RW 18446744073709551616 FLAT \"a\" 0\n", EINVAL, "line 5: extent: \"1844"},
	{HEAD "RW 18014398509481984 FLAT \"a\" 0\n", EINVAL, "number of sectors"},
	{HEAD "RW 0x10 FLAT \"a\" 0\n", EINVAL, "number of sectors"},
	{HEAD "RW %n FLAT \"%n%s\" 0\n", EINVAL, "\"%n\" is not a possible number"},
	{HEAD "RW 10 FLAT a.img 0\n", EINVAL, "line 5: extent: \"a.img 0\""},
	{HEAD "RW 10 FLAT \"a.img 0\n", EINVAL, "quotes of the file name are not closed"},
	{HEAD "RW 10 FLAT \"a.img\" x\n", EINVAL, "\"x\" is not a sector number"},
	{HEAD "RW 10 FLAT \"a.img\" 18446744073709551616\n", EINVAL, "not a sector number"},
	{HEAD "RX 10 FLAT \"a.img\" 0\n", EINVAL, "line 5: neither an assignment nor an extent"},
	{HEAD "RW10 FLAT \"a.img\" 0\n", EINVAL, "neither an assignment nor an extent"},
	{"version=1\rRW 10 ZERO\r", EINVAL, "line 1: a carriage return"},
	{"\xff\xfe#", EINVAL, "line 1: neither"},
	{HEAD ONE "ddb.uuid.parent=\"871a6044\"\n", EINVAL, "line 6: ddb.uuid.parent"},
	{HEAD ONE "keyID=\"x\"\n", ENOTSUP, "encrypted"},
	{HEAD ONE "encryptionKeys=\"vmware:key/list/(...)\"\n", ENOTSUP, "encrypted"},
	{HEAD ONE "ddb.iofilters = \"vmwarevmcrypt\"\n", ENOTSUP, "encrypted"},
};

START_TEST(invalid_descriptors_are_refused)
{
	ck_assert_fails(parse(refusals[_i].text), refusals[_i].code, &p.e, refusals[_i].part);
}
END_TEST

/* Parses HEAD, followed by one, repeated times times. */
static void parse_many(const char *one, size_t times)
{
	char *text = malloc(strlen(HEAD) + times * strlen(one) + 1), *end;

	ck_assert_ptr_nonnull(text);
	end = stpcpy(text, HEAD);
	while (times-- > 0)
		end = stpcpy(end, one);
	parse(text);
	free(text);
}

START_TEST(number_of_extents_is_limited)
{
	parse_many("RW 1 ZERO\n", VMDK_MAX_EXTENTS);
	ck_assert_ok(p.result, &p.e);
	ck_assert_uint_eq(p.desc.nlines, VMDK_MAX_EXTENTS);
	ck_assert_uint_eq(line(VMDK_MAX_EXTENTS - 1)->number, 4 + VMDK_MAX_EXTENTS);
	parse_many("RW 1 ZERO\n", VMDK_MAX_EXTENTS + 1);
	ck_assert_fails(p.result, EFBIG, &p.e, "line 4101: more than 4096 extents");
	parse_many("RW 1 ZERO\n", 10000);
	ck_assert_fails(p.result, EFBIG, &p.e, "more than 4096 extents");
}
END_TEST

START_TEST(long_lines_and_long_texts)
{
	size_t room = VMDK_MAX_DESCRIPTOR - strlen(HEAD);

	parse_many("x", 70000);
	ck_assert_fails(p.result, EINVAL, &p.e, "line 5: neither");
	parse_many("#", 70000);
	ck_assert_fails(p.result, EINVAL, &p.e, "no extents");
	parse_many("#", room);
	ck_assert_fails(p.result, EINVAL, &p.e, "no extents");
	parse_many("#", room + 1);
	ck_assert_fails(p.result, EFBIG, &p.e, "more than 1048576 bytes");
}
END_TEST

START_TEST(uuids_are_read)
{
	static const unsigned char parent[GUID_LEN] = GUID_BYTES(
		0x871a6044, 0xc8ca, 0x48ed, 0xb7, 0xaa, 0xe6, 0xfc, 0x49, 0xda, 0x3d, 0xb4);

	parses(HEAD ONE "ddb.uuid.parent=\"871a6044-c8ca-48ed-b7aa-e6fc49da3db4\"\n"
			"ddb.uuid.image=\"00000001-0000-0000-0000-000000000000\"\n"
			"ddb.uuid.modification=\"{00000002-0000-0000-0000-000000000000}\"\n"
			"DDB.UUID.parentModification=\"00000003-0000-0000-0000-000000000000\"\n");
	ck_assert_mem_eq(p.desc.parent_id, parent, GUID_LEN);
	ck_assert_uint_eq(p.desc.id[0], 1);
	ck_assert_uint_eq(p.desc.change_id[0], 2);
	ck_assert_uint_eq(p.desc.parent_change_id[0], 3);
	parses(HEAD ONE "ddb.uuid.parent=\"{00000000-0000-0000-0000-000000000000}\"\n");
	ck_assert(guid_is_zero(p.desc.parent_id));
	parses(HEAD ONE "ddb.uuid.image=\"60 00 C2 9a\"\n");
	ck_assert(guid_is_zero(p.desc.id));
}
END_TEST

/* "\xb5" is the Greek mu or another character in most encodings. */
static const struct {
	const char *encoding, *name, *utf8;
} names[] = {
	{NULL, "plain.vmdk", "plain.vmdk"},
	{NULL, "\xb5.vmdk", "\xb5.vmdk"},
	{"UTF-8", "\xc3\xbc.vmdk", "\xc3\xbc.vmdk"},
	{"utf-8", "\xb5.vmdk", "\xb5.vmdk"},
	{"windows-1252", "\x80 \xfc.vmdk", "\xe2\x82\xac \xc3\xbc.vmdk"},
	{"Windows-1251", "\xe4\xe8\xf1\xea", "\xd0\xb4\xd0\xb8\xd1\x81\xd0\xba"},
	{"GBK", "\xb4\xc5\xc5\xcc", "\xe7\xa3\x81\xe7\x9b\x98"},
	{"Big5", "\xba\xcf\xba\xd0", "\xe7\xa3\x81\xe7\xa2\x9f"},
	{"Shift_JIS", "\x95\x5c.vmdk", "\xe8\xa1\xa8.vmdk"},
	{"no such thing", "plain.vmdk", "plain.vmdk"},
};

START_TEST(encodings_of_names)
{
	const struct vmdk_descriptor d = {.encoding = names[_i].encoding};
	char name[VMDK_NAME_MAX];

	ck_assert_ok(vmdk_descriptor_decode_name(&d, names[_i].name, name, &p.e), &p.e);
	ck_assert_str_eq(name, names[_i].utf8);
}
END_TEST

START_TEST(undecodable_names_are_refused)
{
	static const char *const strange[] = {
		"no such thing", "UTF-7", "ISO-2022-KR", "IBM1364", ""};
	struct vmdk_descriptor d;
	char name[VMDK_NAME_MAX], max[LIMIT_NAME + 2];

	for (size_t i = 0; i < COUNT(strange); i++) {
		d = (struct vmdk_descriptor){.encoding = strange[i]};
		ck_assert_fails(vmdk_descriptor_decode_name(&d, "\xb5", name, &p.e), ENOTSUP, &p.e,
			"\", which is not supported");
	}
	d.encoding = "windows-1252";
	ck_assert_fails(vmdk_descriptor_decode_name(&d, "\x81", name, &p.e), EINVAL, &p.e,
		"not written in CP1252");
	d.encoding = "windows-932";
	ck_assert_fails(vmdk_descriptor_decode_name(&d, "\x95", name, &p.e), EINVAL, &p.e,
		"not written in");
	memset(max, '\x80', sizeof max);
	max[LIMIT_NAME] = '\0';
	d.encoding = "windows-1252";
	ck_assert_ok(vmdk_descriptor_decode_name(&d, max, name, &p.e), &p.e);
	ck_assert_uint_eq(strlen(name), 3 * LIMIT_NAME);
	max[LIMIT_NAME] = 'x';
	max[LIMIT_NAME + 1] = '\0';
	ck_assert_fails(
		vmdk_descriptor_decode_name(&d, max, name, &p.e), ENAMETOOLONG, &p.e, "1023 bytes");
}
END_TEST

#define PROBE(bid, text)                                                                           \
	{                                                                                          \
		text, sizeof text - 1, bid                                                         \
	}

static const struct {
	const char *head;
	size_t len;
	int bid;
} probes[] = {
	PROBE(90, HEAD),
	PROBE(90, "#Disk Descriptor File\r\n"),
	PROBE(90, "\xef\xbb\xbf# disk descriptorfile"),
	PROBE(90, "\n\n  # Disk DescriptorFile\n"),
	PROBE(90, "# Disk DescriptorFile\0\0\0"),
	PROBE(50, "# made by hand\nversion = 1\n"),
	PROBE(0, ""),
	PROBE(0, "\0\0\0\0\nversion=1\n"),
	PROBE(0, "# Disk Descript"),
	PROBE(0, "versions = 1\n"),
	PROBE(0, "[section]\nversion=1\n"),
	PROBE(0, "config.version = \"8\"\n"),
};

START_TEST(descriptors_are_recognised)
{
	const char *head = probes[_i].head;

	ck_assert_int_eq(
		vmdk_descriptor_probe((const unsigned char *)head, probes[_i].len), probes[_i].bid);
}
END_TEST

Suite *vmdk_descriptor_suite(void)
{
	TCase *tc = tcase_create("descriptor");

	tcase_add_checked_fixture(tc, NULL, free_parsed);
	tcase_add_test(tc, all_fields_are_parsed);
	tcase_add_loop_test(tc, equivalent_spellings, 0, COUNT(spellings));
	tcase_add_loop_test(tc, invalid_descriptors_are_refused, 0, COUNT(refusals));
	tcase_add_test(tc, number_of_extents_is_limited);
	tcase_add_test(tc, long_lines_and_long_texts);
	tcase_add_test(tc, uuids_are_read);
	tcase_add_loop_test(tc, encodings_of_names, 0, COUNT(names));
	tcase_add_test(tc, undecodable_names_are_refused);
	tcase_add_loop_test(tc, descriptors_are_recognised, 0, COUNT(probes));
	return suite_of("vmdk_descriptor", tc);
}
