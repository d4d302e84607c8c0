/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "util/limits.h"
#include "util/bytes.h"
#include "util/err.h"
#include "util/guid.h"
#include "io/io.h"
#include "machine/machine.h"
#include "common/unit.h"
#include "machine/vbox.h"

#define HEAD "<VirtualBox xmlns='http://www.virtualbox.org/' version='1.19-linux'>"

/* In these texts "#NN" stands for a UUID. */

static const char media[] = "<MediaRegistry><HardDisks>"
			    "<HardDisk uuid='#01' location='root.vdi' format='VDI' type='Normal'>"
			    "<HardDisk uuid='#02' location='Snapshots/a.vdi' format='VDI'>"
			    "<HardDisk uuid='#03' location='Snapshots/b.vdi' format='VDI'/>"
			    "</HardDisk>"
			    "<HardDisk uuid='#04' location='Snapshots/c.vdi' format='VDI'/>"
			    "</HardDisk>"
			    "<HardDisk uuid='#05' location='./data.vmdk' format='VMDK'/>"
			    "</HardDisks>"
			    "<DVDImages><Image uuid='#99' location='x.iso'/></DVDImages>"
			    "</MediaRegistry>";

/* Also attached: a medium that is not registered, and a DVD. */
#define CONTROLLERS(disk)                                                                          \
	"<StorageControllers><StorageController name='SATA' type='AHCI'>"                          \
	"<AttachedDevice type='HardDisk' port='0' device='0'><Image uuid='" disk "'/>"             \
	"</AttachedDevice>"                                                                        \
	"<AttachedDevice type='HardDisk' port='1' device='0'><Image uuid='#05'/>"                  \
	"</AttachedDevice>"                                                                        \
	"<AttachedDevice type='HardDisk' port='2' device='0'><Image uuid='#77'/>"                  \
	"</AttachedDevice>"                                                                        \
	"<AttachedDevice type='DVD' port='3' device='0'><Image uuid='#99'/>"                       \
	"</AttachedDevice></StorageController></StorageControllers>"

#define ON_ROOT CONTROLLERS("#01")
#define ON_A    CONTROLLERS("#02")
#define ON_B    CONTROLLERS("#03")

/* A snapshot with two children. */
static const char snapshots[] =
	"<Snapshot uuid='#11' name='Base' timeStamp='2024-05-06T07:08:09Z'>"
	"<Description>all of it</Description>"
	"<Hardware>" ON_ROOT "</Hardware>"
	"<Snapshots>"
	"<Snapshot uuid='#12' name='Update/1' timeStamp='2024-05-07T00:00:00Z'>" ON_A "</Snapshot>"
	"<Snapshot uuid='#13' name='' timeStamp='never'/>"
	"</Snapshots>"
	"</Snapshot>";

/* Returns the document that consists of these parts; the caller frees it. */
static char *document(const char *machine, const char *one, const char *two, const char *three)
{
	static const char uuid[] = "{5d1f2c00-9c53-4b1c-8a52-0000000000";
	char *parts, *text, *out;

	ck_assert_int_gt(asprintf(&parts, "%s%s%s%s%s</Machine></VirtualBox>", HEAD, machine, one,
				 two, three),
		0);
	out = text = malloc(strlen(parts) * (sizeof uuid / 3 + 1));
	ck_assert_ptr_nonnull(text);
	for (const char *p = parts; *p; p++)
		if (*p == '#') {
			out += sprintf(out, "%s%.2s}", uuid, p + 1);
			p += 2;
		} else {
			*out++ = *p;
		}
	*out = '\0';
	free(parts);
	return text;
}

static int try_read(const char *text, struct machine **m, struct err *e)
{
	struct io *io = io_from_memory(text, strlen(text), "m.vbox", e);
	int r = vbox_read(io, m, e);

	io_unref(io);
	return r;
}

static struct machine *machine_of(const char *text)
{
	struct err e = ERR_INIT;
	struct machine *m = NULL;

	ck_assert_msg(try_read(text, &m, &e) == 0, "%s", e.text);
	return m;
}

static struct machine *parts_of(
	const char *machine, const char *one, const char *two, const char *three)
{
	char *text = document(machine, one, two, three);
	struct machine *m = machine_of(text);

	free(text);
	return m;
}

static void has_disk(
	const struct machine *m, size_t state, size_t i, const char *slot, const char *file)
{
	ck_assert_uint_lt(i, m->states[state].ndisks);
	ck_assert_str_eq(m->states[state].disks[i].slot, slot);
	ck_assert_str_eq(m->states[state].disks[i].file, file);
}

START_TEST(media_and_states)
{
	struct machine *m =
		parts_of("<Machine name='My VM' currentSnapshot='#12' snapshotFolder='Frozen'>",
			media, snapshots, "<Hardware>" ON_B "</Hardware>");

	ck_assert_str_eq(m->name, "My VM");
	ck_assert_str_eq(m->snapshot_dir, "Frozen");
	ck_assert_uint_eq(m->nmedia, 6);
	ck_assert_str_eq(m->media[2].file, "Snapshots/b.vdi");
	ck_assert_mem_eq(m->media[2].parent, m->media[1].id, GUID_LEN);
	ck_assert_mem_eq(m->media[3].parent, m->media[0].id, GUID_LEN);
	ck_assert(guid_is_zero(m->media[4].parent));
	ck_assert_str_eq(m->media[4].file, "./data.vmdk");
	for (size_t i = 0; i < m->nmedia; i++) {
		ck_assert_ptr_null(m->media[i].refusal);
		ck_assert_ptr_eq(machine_find_medium(m, m->media[i].id), &m->media[i]);
	}
	for (size_t i = 0; i < m->nmedia; i++)
		ck_assert(m->media[i].registered == (i < 5));
	ck_assert_uint_eq(m->nstates, 4);
	ck_assert_uint_eq(m->states[0].ndisks, 3);
	has_disk(m, 0, 2, "SATA 2:0", "{5d1f2c00-9c53-4b1c-8a52-000000000077}.vdi");
	has_disk(m, 1, 2, "SATA 2:0", "{5d1f2c00-9c53-4b1c-8a52-000000000077}.vdi");
	has_disk(m, 0, 0, "SATA 0:0", "Snapshots/b.vdi");
	has_disk(m, 0, 1, "SATA 1:0", "./data.vmdk");
	ck_assert_uint_eq(m->states[0].parent, 2);
	ck_assert_str_eq(m->states[1].name, "Base");
	ck_assert_int_eq(m->states[1].when.tv_sec, 1714979289);
	ck_assert_uint_eq(m->states[1].parent, 0);
	has_disk(m, 1, 0, "SATA 0:0", "root.vdi");
	ck_assert_str_eq(m->states[2].name, "Update/1");
	ck_assert_uint_eq(m->states[2].parent, 1);
	has_disk(m, 2, 0, "SATA 0:0", "Snapshots/a.vdi");
	ck_assert_str_eq(m->states[3].name, "");
	ck_assert_uint_eq(m->states[3].parent, 1);
	ck_assert_uint_eq(m->states[3].ndisks, 0);
	ck_assert_int_eq(m->states[3].when.tv_sec, 0);
	machine_free(m);
}
END_TEST

/* Old versions have the controllers outside of the hardware; and a machine without any. */
START_TEST(old_and_empty)
{
	struct machine *m = machine_of(
		"<v:VirtualBox xmlns:v='http://www.innotek.de/VirtualBox-settings'>"
		"<v:Machine><v:MediaRegistry><v:HardDisks>"
		"<v:HardDisk uuid='5d1f2c00-9c53-4b1c-8a52-000000000001' location='old.vdi'/>"
		"</v:HardDisks></v:MediaRegistry>"
		"<v:StorageControllers><v:StorageController name='IDE'>"
		"<v:AttachedDevice type='HardDisk'>"
		"<v:Image uuid='{5D1F2C00-9C53-4B1C-8A52-000000000001}'/></v:AttachedDevice>"
		"</v:StorageController></v:StorageControllers></v:Machine></v:VirtualBox>");

	ck_assert_str_eq(m->name, "");
	ck_assert_str_eq(m->snapshot_dir, "Snapshots");
	has_disk(m, 0, 0, "IDE 0:0", "old.vdi");
	machine_free(m);
	m = machine_of("<VirtualBox><Machine snapshotFolder=''/></VirtualBox>");
	ck_assert_str_eq(m->snapshot_dir, "Snapshots");
	ck_assert_uint_eq(m->nmedia, 0);
	ck_assert_uint_eq(m->nstates, 1);
	ck_assert_ptr_null(machine_find_medium(m, (const unsigned char[GUID_LEN]){0}));
	machine_free(m);
}
END_TEST

START_TEST(encrypted_media)
{
	struct machine *m = parts_of("<Machine><MediaRegistry><HardDisks>",
		"<HardDisk uuid='#01' location='a'>"
		"<HardDisk uuid='#02' location='b'><HardDisk uuid='#03' location='c'/></HardDisk>"
		"<Property name='CRYPT/KeyId' value='key'/></HardDisk>",
		"<HardDisk uuid='#04' location='d'><Property name='CRYPT/KeyId' value=''/>"
		"<Property name='other' value='x'/></HardDisk>",
		"<HardDisk uuid='#05' location='10.0.0.1|iqn.x' format='iSCSI'/>"
		"</HardDisks></MediaRegistry>");

	ck_assert_uint_eq(m->nmedia, 5);
	for (size_t i = 0; i < 3; i++)
		ck_assert_ptr_nonnull(strstr(m->media[i].refusal, "encrypted"));
	ck_assert_ptr_null(m->media[3].refusal);
	ck_assert_ptr_nonnull(strstr(m->media[4].refusal, "iSCSI"));
	machine_free(m);
}
END_TEST

/* Paths of a Windows host. */
START_TEST(windows_names)
{
	static const char *const names[][2] = {
		{"C:/VMs/m/root.vdi", "root.vdi"},
		{"F:\\VMs\\m\\Snapshots\\{x}.vdi", "Snapshots/{x}.vdi"},
		{"f:/snapshots/{x}.vdi", "snapshots/{x}.vdi"},
		{"f:/MySnapshots/{x}.vdi", "{x}.vdi"},
		{"C:\\x.vdi", "x.vdi"},
		{"C:\\", ""},
		{"\\\\server\\share\\x.vdi", "x.vdi"},
		{"C:x.vdi", "C:x.vdi"},
		{"/home/me/x.vdi", "/home/me/x.vdi"},
		{"Snapshots/{x}.vdi", "Snapshots/{x}.vdi"},
		{"a\\b.vdi", "a\\b.vdi"},
	};
	char text[1024];
	struct machine *m;

	snprintf(text, sizeof text,
		HEAD
		"<Machine snapshotFolder=\"%s\"><MediaRegistry><HardDisks>"
		"<HardDisk location=\"%s\"/></HardDisks></MediaRegistry></Machine></VirtualBox>",
		_i % 2 ? "Snapshots" : "D:\\VMs\\Snapshots", names[_i][0]);
	m = machine_of(text);
	ck_assert_str_eq(m->media[0].file, names[_i][1]);
	ck_assert_str_eq(m->snapshot_dir, "Snapshots");
	machine_free(m);
}
END_TEST

START_TEST(refused)
{
	static const struct {
		const char *text;
		int code;
		const char *part;
	} bad[] = {
		{"", EINVAL, "line 1"},
		{"<VirtualBox><Machine></VirtualBox>", EINVAL, "line 1"},
		{"<VirtualBox><Global/></VirtualBox>", EINVAL, "no Machine"},
		{"<Machine><Machine/></Machine>", EINVAL, "no Machine"},
		{"<VirtualBox><MachineEncrypted uuid='x'/></VirtualBox>", ENOTSUP, "encrypted"},
		{"<!DOCTYPE x [<!ENTITY y SYSTEM "
		 "'/etc/passwd'>]><VirtualBox><Machine/></VirtualBox>",
			ENOTSUP, "document type"},
	};
	struct err e = ERR_INIT;
	struct machine *m = NULL;

	ck_assert_fails(try_read(bad[_i].text, &m, &e), bad[_i].code, &e, bad[_i].part);
	ck_assert_ptr_null(m);
}
END_TEST

/* Accepts n repetitions of one, and refuses one more. */
static void count_up(const char *before, const char *one, const char *after, int n, const char *why)
{
	char *many = calloc(n + 1, strlen(one) + 1), *end = many;
	struct err e = ERR_INIT;
	struct machine *m;
	char *text;

	if (!many)
		abort();
	for (int i = 0; i < n; i++)
		end = stpcpy(end, one);
	m = parts_of("<Machine>", before, many, after);
	ck_assert_uint_eq(MAX(m->nmedia, m->nstates - 1), n);
	machine_free(m);
	strcpy(end, one);
	text = document("<Machine>", before, many, after);
	ck_assert_fails(try_read(text, &m, &e), EFBIG, &e, why);
	free(text);
	free(many);
}

START_TEST(counts)
{
	count_up("<MediaRegistry><HardDisks>", "<HardDisk location='x'/>",
		"</HardDisks></MediaRegistry>", VBOX_MAX_MEDIA, "hard disks");
	count_up("", "<Snapshot/>", "", VBOX_MAX_SNAPSHOTS, "snapshots");
}
END_TEST

/* Media of attached disks that are not registered count, too. */
START_TEST(counts_of_unregistered)
{
	static const char one[] =
		"<AttachedDevice type='HardDisk'><Image uuid='%08x-0000-4000-8000-"
		"000000000000'/></AttachedDevice>";
	char *text = malloc((VBOX_MAX_MEDIA + 1) * (sizeof one + 8) + 1000), *end;
	struct err e = ERR_INIT;
	struct machine *m;

	ck_assert_ptr_nonnull(text);
	for (int n = VBOX_MAX_MEDIA; n <= VBOX_MAX_MEDIA + 1; n++) {
		end = stpcpy(text, HEAD "<Machine><StorageControllers><StorageController>");
		for (int i = 1; i <= n; i++)
			end += sprintf(end, one, i);
		strcpy(end, "</StorageController></StorageControllers></Machine></VirtualBox>");
		if (n > VBOX_MAX_MEDIA) {
			ck_assert_fails(try_read(text, &m, &e), EFBIG, &e, "hard disks");
			break;
		}
		m = machine_of(text);
		ck_assert_uint_eq(m->nmedia, n);
		machine_free(m);
	}
	free(text);
}
END_TEST

START_TEST(guids)
{
	static const char *const bad[] = {"", "{}", "{", "12345678-1234-1234-1234-12345678901",
		"12345678-1234-1234-1234-1234567890123", "{12345678-1234-1234-1234-123456789012",
		"12345678-1234-1234-1234-123456789012}", "12345678 1234-1234-1234-123456789012",
		"1234567g-1234-1234-1234-123456789012", "123456781234123412341234567890123456"};
	static const unsigned char good[GUID_LEN] = {0x78, 0x56, 0x34, 0x12, 0xbc, 0x9a, 0xf0, 0xde,
		1, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef};
	unsigned char id[GUID_LEN] = {7};
	char text[GUID_TEXT];

	for (size_t i = 0; i < COUNT(bad); i++)
		ck_assert(!guid_parse(id, bad[i]));
	ck_assert_uint_eq(id[0], 7);
	ck_assert(guid_parse(id, "{12345678-9ABC-def0-0123-456789abcdef}"));
	ck_assert_mem_eq(id, good, GUID_LEN);
	guid_text(text, good);
	memset(id, 0, sizeof id);
	ck_assert(guid_parse(id, text));
	ck_assert_mem_eq(id, good, GUID_LEN);
}
END_TEST

Suite *vbox_suite(void)
{
	TCase *tc = tcase_create("vbox");

	tcase_add_test(tc, media_and_states);
	tcase_add_test(tc, old_and_empty);
	tcase_add_test(tc, encrypted_media);
	tcase_add_loop_test(tc, windows_names, 0, 11);
	tcase_add_loop_test(tc, refused, 0, 6);
	tcase_add_test(tc, counts);
	tcase_add_test(tc, counts_of_unregistered);
	tcase_add_test(tc, guids);
	return suite_of("vbox", tc);
}
