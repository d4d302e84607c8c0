/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "util/limits.h"
#include "util/err.h"
#include "machine/ovf.h"
#include "common/unit.h"

#define ENVELOPE                                                                                   \
	"<Envelope xmlns='http://schemas.dmtf.org/ovf/envelope/1' "                                \
	"xmlns:ovf='http://schemas.dmtf.org/ovf/envelope/1' "                                      \
	"xmlns:rasd='http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/"                           \
	"CIM_ResourceAllocationSettingData'>"
#define FILES(list)     "<References>" list "</References>"
#define DISKS(list)     "<DiskSection><Info>disks</Info>" list "</DiskSection>"
#define FILE_(id, href) "<File ovf:id='" id "' ovf:href='" href "'/>"
#define DISK(id, file)  "<Disk ovf:diskId='" id "' ovf:fileRef='" file "'/>"
#define MACHINE(list)                                                                              \
	"<VirtualSystem ovf:id='vm'><VirtualHardwareSection>" list                                 \
	"</VirtualHardwareSection></VirtualSystem>"
#define CONTROLLER(id)                                                                             \
	"<Item><rasd:InstanceID>" id "</rasd:InstanceID>"                                          \
	"<rasd:ResourceType>6</rasd:ResourceType></Item>"
#define DRIVE(parent, address, resource)                                                           \
	"<Item><rasd:AddressOnParent>" address                                                     \
	"</rasd:AddressOnParent><rasd:HostResource>" resource                                      \
	"</rasd:HostResource><rasd:InstanceID>9</rasd:InstanceID><rasd:Parent>" parent             \
	"</rasd:Parent><rasd:ResourceType>17</rasd:ResourceType></Item>"
#define END "</Envelope>"

static struct ovf parsed(const char *text)
{
	struct err e = ERR_INIT;
	struct ovf o;

	ck_assert_msg(ovf_parse(text, strlen(text), &o, &e) == 0, "%s", e.text);
	return o;
}

/* Asserts that the disks of the descriptor have these files, in this order. */
static void has_disks(const char *text, const char *files)
{
	struct ovf o = parsed(text);
	char found[256] = "";

	for (size_t i = 0; i < o.ndisks; i++) {
		strcat(found, i ? " " : "");
		strcat(found, o.disks[i].file->href);
	}
	ck_assert_str_eq(found, files);
	ovf_free(&o);
}

static void refused(const char *text, int code, const char *part)
{
	struct err e = ERR_INIT;
	struct ovf o;

	ck_assert_fails(ovf_parse(text, strlen(text), &o, &e), code, &e, part);
	ck_assert_ptr_null(o.root);
}

#define THREE_FILES FILES(FILE_("a", "a.vmdk") FILE_("b", "b.vmdk") FILE_("c", "c.iso"))

START_TEST(disks_of_one_machine)
{
	/* Disks are sorted by their addresses, not as listed; a CD is not a disk. */
	has_disks(ENVELOPE THREE_FILES DISKS(DISK("d1", "a") DISK("d2", "b"))
			  MACHINE(CONTROLLER("3") DRIVE("3", "1", "ovf:/disk/d1") DRIVE("3", "0",
				  "/disk/d2") "<Item><rasd:HostResource>ovf:/file/c</"
					      "rasd:HostResource>"
					      "<rasd:ResourceType>15</rasd:ResourceType></Item>")
				  END,
		"b.vmdk a.vmdk");
	/* Controllers come in the order of the text, not of their IDs. */
	has_disks(ENVELOPE THREE_FILES DISKS(DISK("d1", "a") DISK("d2", "b"))
			  MACHINE(CONTROLLER("5") CONTROLLER("3") DRIVE("3", "0", "ovf:/disk/d1")
					  DRIVE("5", "7", "ovf:/disk/d2")) END,
		"b.vmdk a.vmdk");
	/* Disks that are not attached come last. */
	has_disks(ENVELOPE THREE_FILES DISKS(DISK("d1", "a") DISK("d2", "b"))
			  MACHINE(CONTROLLER("3") DRIVE("3", "0", "ovf:/disk/d2")) END,
		"b.vmdk a.vmdk");
	has_disks(ENVELOPE THREE_FILES DISKS(DISK("d1", "a") DISK("d2", "b")) END, "a.vmdk b.vmdk");
	/* Addresses are compared as numbers. */
	has_disks(ENVELOPE THREE_FILES DISKS(DISK("d1", "a") DISK("d2", "b"))
			  MACHINE(CONTROLLER("3") DRIVE("3", "10", "ovf:/disk/d1")
					  DRIVE("3", "9", "ovf:/disk/d2")) END,
		"b.vmdk a.vmdk");
}
END_TEST

START_TEST(disks_of_several_machines)
{
	has_disks(ENVELOPE THREE_FILES DISKS(DISK("d1", "a") DISK(
			  "d2", "b")) "<VirtualSystemCollection>" MACHINE(CONTROLLER("3")
				  DRIVE("3", "7", "ovf:/disk/d2")) MACHINE(CONTROLLER("3")
				  DRIVE("3", "0", "ovf:/disk/d1")) "</VirtualSystemCollection>" END,
		"b.vmdk a.vmdk");
}
END_TEST

START_TEST(not_disks)
{
	has_disks(ENVELOPE END, "");
	has_disks(ENVELOPE THREE_FILES END, "");
	/* Disks without a file are created on deployment; they are not shown. */
	has_disks(ENVELOPE THREE_FILES DISKS("<Disk ovf:diskId='d1' ovf:capacity='5'/>"
					     "<Disk ovf:diskId='d2' ovf:fileRef=''/>") END,
		"");
	/* Two disks with the same file are shown once. */
	has_disks(ENVELOPE THREE_FILES DISKS(DISK("d1", "a") DISK("d2", "a")) END, "a.vmdk");
	has_disks(ENVELOPE FILES(FILE_("a", "a.vmdk") FILE_("b", "a.vmdk"))
			  DISKS(DISK("d1", "a") DISK("d2", "b")) END,
		"a.vmdk");
	/* A drive that names a file without a Disk element. */
	has_disks(ENVELOPE THREE_FILES MACHINE(DRIVE("3", "0", "ovf:/file/b")) END, "b.vmdk");
	has_disks(ENVELOPE THREE_FILES MACHINE(DRIVE("3", "0", "ovf:/file/x")) END, "");
	has_disks(ENVELOPE THREE_FILES MACHINE(DRIVE("3", "0", "ovf:/disk/x")) END, "");
}
END_TEST

/* Before version 1.0 all sections were <Section> elements with a type. */
START_TEST(version_0_9)
{
	has_disks("<ovf:Envelope xmlns:ovf='http://www.vmware.com/schema/ovf/1/envelope' "
		  "xmlns:xsi='http://www.w3.org/2001/XMLSchema-instance' xmlns:rasd='r'>"
		  "<References><File ovf:id='a' ovf:href='a.vmdk'/><File ovf:id='b' "
		  "ovf:href='b.vmdk'/></References>"
		  "<Section xsi:type='ovf:DiskSection_Type'><Disk ovf:diskId='1' ovf:fileRef='a'/>"
		  "<Disk ovf:diskId='2' ovf:fileRef='b'/></Section>"
		  "<Content xsi:type='ovf:VirtualSystem_Type'>"
		  "<Section xsi:type='ovf:VirtualHardwareSection_Type'>"
		  "<Item><rasd:InstanceId>5</rasd:InstanceId></Item>"
		  "<Item><rasd:HostResource>disk/2</rasd:HostResource>"
		  "<rasd:Parent>5</rasd:Parent></Item></Section></Content></ovf:Envelope>",
		"b.vmdk a.vmdk");
}
END_TEST

/* Version 2 has StorageItem elements for disks; some writers omit the prefixes. */
START_TEST(version_2)
{
	has_disks("<Envelope xmlns='http://schemas.dmtf.org/ovf/envelope/2' xmlns:sasd='s'>"
		  "<References><File id='a' href='a.vmdk'/><File id='b' href='b.vmdk'/>"
		  "</References><DiskSection><Disk diskId='1' fileRef='a'/></DiskSection>"
		  "<SharedDiskSection><Disk diskId='2' fileRef='b'/></SharedDiskSection>"
		  "<VirtualSystem><VirtualHardwareSection><StorageItem>"
		  "<sasd:HostResource>ovf:/disk/2</sasd:HostResource></StorageItem>"
		  "</VirtualHardwareSection></VirtualSystem></Envelope>",
		"b.vmdk a.vmdk");
}
END_TEST

START_TEST(facts_of_files)
{
	struct ovf o =
		parsed(ENVELOPE FILES("<File ovf:id='1' ovf:href='a%20b%2fc.vmdk' ovf:size='700' "
				      "ovf:compression='gzip' ovf:chunkSize='100'/>"
				      "<File ovf:id='2' ovf:href='http://example.org/x.vmdk' "
				      "ovf:compression='identity'/>"
				      "<File ovf:id='3' ovf:href='file:///etc/passwd'/>"
				      "<File/>") END);

	ck_assert_uint_eq(o.nfiles, 4);
	ck_assert_str_eq(o.files[0].href, "a%20b%2fc.vmdk");
	ck_assert_str_eq(o.files[0].path, "a b/c.vmdk");
	ck_assert_str_eq(o.files[0].compression, "gzip");
	ck_assert_uint_eq(o.files[0].chunk, 100);
	ck_assert_uint_eq(o.files[0].size, 700);
	ck_assert_ptr_null(o.files[1].path);
	ck_assert_ptr_null(o.files[1].compression);
	ck_assert_ptr_null(o.files[2].path);
	ck_assert_str_eq(o.files[3].path, "");
	ovf_free(&o);
}
END_TEST

START_TEST(facts_of_disks)
{
	struct ovf o = parsed(ENVELOPE THREE_FILES DISKS(
		"<Disk ovf:diskId='1' ovf:fileRef='a' ovf:capacity='7' "
		"ovf:capacityAllocationUnits='byte * 2^30' ovf:parentRef='2' "
		"ovf:format='http://www.vmware.com/interfaces/specifications/vmdk.html#sparse'/>"
		"<Disk ovf:diskId='2' ovf:fileRef='b' ovf:capacity='${size}' "
		"ovf:format='http://en.wikipedia.org/wiki/Byte'/>") END);

	ck_assert_uint_eq(o.ndisks, 2);
	ck_assert_uint_eq(o.disks[0].capacity, (uint64_t)7 << 30);
	ck_assert_str_eq(o.disks[0].parent, "2");
	ck_assert(!o.disks[0].is_raw);
	ck_assert_uint_eq(o.disks[1].capacity, 0);
	ck_assert_ptr_null(o.disks[1].parent);
	ck_assert(o.disks[1].is_raw);
	ovf_free(&o);
}
END_TEST

#define MEDIUM(uuid, location, property)                                                           \
	"<HardDisk uuid='" uuid "' location='" location "'><Property name='" property              \
	"'/></HardDisk>"

/* VirtualBox lists encrypted disks in its own section, by UUID or by file. */
START_TEST(encrypted_media)
{
	struct ovf o = parsed(ENVELOPE THREE_FILES
		"<DiskSection>"
		"<Disk ovf:diskId='1' ovf:fileRef='a' xmlns:vbox='v' vbox:uuid='aa-bb'/>"
		"<Disk ovf:diskId='2' ovf:fileRef='b'/>"
		"<Disk ovf:diskId='3' ovf:fileRef='c' xmlns:vbox='v' vbox:uuid='cc-dd'/>"
		"</DiskSection><VirtualSystem><Machine xmlns='v'><MediaRegistry><HardDisks>" MEDIUM(
			"{AA-BB}", "x.vdi", "CRYPT/KeyStore") MEDIUM("{ee-ff}", "/home/u/b.vmdk",
			"CRYPT/KeyId") MEDIUM("{cc-dd}", "c.iso",
			"other") "</HardDisks></MediaRegistry></Machine></VirtualSystem>" END);

	ck_assert_uint_eq(o.ndisks, 3);
	ck_assert_ptr_nonnull(o.disks[0].refusal);
	ck_assert_ptr_nonnull(o.disks[1].refusal);
	ck_assert_ptr_null(o.disks[2].refusal);
	ovf_free(&o);
}
END_TEST

static const struct {
	const char *number, *units;
	uint64_t bytes;
} capacities[] = {
	{"10", NULL, 10},
	{"10", "", 10},
	{"10", "byte", 10},
	{"10", "bytes", 10},
	{"10", "byte * 2^10", 10240},
	{"10", "byte * 2^20", 10 << 20},
	{"10", "byte*2^30", (uint64_t)10 << 30},
	{"10", " byte  *  2 ^ 40 ", (uint64_t)10 << 40},
	{"10", "byte*1024", 10240},
	{"10", "1000*byte", 10000},
	{"10", "byte * 10^9", 10000000000},
	{"10", "byte * 2^10 * 3", 30720},
	{"10", "MegaBytes", 10 << 20},
	{"10", "GigaBytes", (uint64_t)10 << 30},
	{"10", "KB", 10240},
	{"10", "MB", 10 << 20},
	{"10", "GB", (uint64_t)10 << 30},
	{"10", "TB", (uint64_t)10 << 40},
	{" 10 ", "byte", 10},
	{"10", "furlong", 0},
	{"10", "byte *", 10},
	{"10", "byte + 2", 0},
	{"10", "byte * 2^", 0},
	{"10", "byte * 2^65", 0},
	{"10", "byte * 2^64", 0},
	{"10", "byte * 10^20", 0},
	{"${size}", "byte", 0},
	{"-1", "byte", 0},
	{"1.5", "byte", 0},
	{"", "byte", 0},
	{"99999999999999999999", "byte", 0},
	{"18446744073709551615", "byte", UINT64_MAX},
	{"18446744073709551615", "KB", 0},
};

START_TEST(capacity)
{
	ck_assert_uint_eq(
		ovf_capacity(capacities[_i].number, capacities[_i].units), capacities[_i].bytes);
}
END_TEST

START_TEST(decoding)
{
	static const char *const names[][2] = {
		{"a.vmdk", "a.vmdk"},
		{"a%20b", "a b"},
		{"%41%4a%4A", "AJJ"},
		{"%e8%99%9a", "\u865a"},
		{"100%", "100%"},
		{"a%4", "a%4"},
		{"a%zz%41", "a%zzA"},
		{"%%41", "%A"},
		{"a%00b", ""},
		{"", ""},
	};

	for (size_t i = 0; i < COUNT(names); i++) {
		char *path = ovf_decode(names[i][0]);

		ck_assert_str_eq(path, names[i][1]);
		free(path);
	}
}
END_TEST

START_TEST(not_descriptors)
{
	refused("", EINVAL, "line 1");
	refused("<a>", EINVAL, "line 1");
	refused("<Domain/>", EINVAL, "its root is \"Domain\"");
	refused("<!DOCTYPE x [<!ENTITY a 'b'>]><Envelope/>", ENOTSUP, "document type");
	refused(ENVELOPE DISKS(DISK("d1", "x")) END, EINVAL, "\"d1\" has the file \"x\"");
	refused(ENVELOPE FILES("<File ovf:id='a' ovf:href='a' ovf:chunkSize='x'/>") END, EINVAL,
		"chunkSize of \"a\"");
}
END_TEST

START_TEST(limits)
{
	static const char *const kinds[][3] = {
		{"<References>", "<File/>", "</References>"},
		{"<DiskSection>", "<Disk/>", "</DiskSection>"},
		{"<VirtualHardwareSection>", "<Item/>", "</VirtualHardwareSection>"},
	};
	const char *const *k = kinds[_i];
	char *text = malloc(256 + (OVF_MAX_ITEMS + 1) * strlen(k[1])), *p;

	p = stpcpy(stpcpy(text, "<Envelope>"), k[0]);
	for (size_t i = 0; i <= OVF_MAX_ITEMS; i++)
		p = stpcpy(p, k[1]);
	stpcpy(stpcpy(p, k[2]), "</Envelope>");
	refused(text, EINVAL, "more than 4096");
	free(text);
}
END_TEST

Suite *ovf_suite(void)
{
	TCase *tc = tcase_create("ovf");

	tcase_add_test(tc, disks_of_one_machine);
	tcase_add_test(tc, disks_of_several_machines);
	tcase_add_test(tc, not_disks);
	tcase_add_test(tc, version_0_9);
	tcase_add_test(tc, version_2);
	tcase_add_test(tc, facts_of_files);
	tcase_add_test(tc, facts_of_disks);
	tcase_add_test(tc, encrypted_media);
	tcase_add_loop_test(tc, capacity, 0, COUNT(capacities));
	tcase_add_test(tc, decoding);
	tcase_add_test(tc, not_descriptors);
	tcase_add_loop_test(tc, limits, 0, 3);
	return suite_of("ovf", tc);
}
