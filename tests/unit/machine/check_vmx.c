/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* check_vmx.c - machines in .vmx and .vmsd files. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "util/err.h"
#include "io/io.h"
#include "machine/machine.h"
#include "common/unit.h"
#include "machine/vmx.h"

static struct machine *read_both(const char *vmx, const char *vmsd)
{
	struct err e = ERR_INIT;
	struct io *a = io_from_memory(vmx, strlen(vmx), "vm.vmx", &e);
	struct io *b = vmsd ? io_from_memory(vmsd, strlen(vmsd), "vm.vmsd", &e) : NULL;
	struct machine *m;

	ck_assert_ok(vmx_read(a, b, "vm", &m, &e), &e);
	io_unref(a);
	io_unref(b);
	return m;
}

/* Asserts the disks of a state, as "SLOT=FILE SLOT=FILE ". */
static void ck_assert_disks(const struct machine *m, size_t state, const char *expected)
{
	const struct machine_state *s = &m->states[state];
	char text[1000] = "";

	for (size_t i = 0; i < s->ndisks; i++)
		sprintf(text + strlen(text), "%s=%s ", s->disks[i].slot, s->disks[i].file);
	ck_assert_str_eq(text, expected);
}

START_TEST(disks_and_other_drives)
{
	struct machine *m = read_both("displayName = \"My |22best|22 machine\"\n"
				      "scsi0.present = \"TRUE\"\n"
				      "scsi0:0.present = \"TRUE\"\n"
				      "scsi0:0.fileName = \"disk.vmdk\"\n"
				      "scsi0:1.fileName = \"out.vmdk\"\n"
				      "scsi0:1.present = \"FALSE\"\n"
				      "scsi0:2.fileName = \"no-word.vmdk\"\n"
				      "ide1:0.present = \"TRUE\"\n"
				      "ide1:0.fileName = \"cd.iso\"\n"
				      "ide1:0.deviceType = \"cdrom-image\"\n"
				      "sata0:3.present = \"TRUE\"\n"
				      "sata0:3.fileName = \"/vmfs/x/other.VMDK\"\n"
				      "sata0:4.fileName = \"cd.vmdk\"\n"
				      "sata0:4.deviceType = \"atapi-cdrom\"\n"
				      "nvme3:63.fileName = \"last.vmdk\"\n"
				      "floppy0.fileName = \"floppy.vmdk\"\n",
		NULL);

	ck_assert_str_eq(m->name, "My \"best\" machine");
	ck_assert_uint_eq(m->nstates, 1);
	ck_assert_disks(m, 0,
		"scsi0:0=disk.vmdk scsi0:2=no-word.vmdk sata0:3=/vmfs/x/other.VMDK "
		"nvme3:63=last.vmdk ");
	machine_free(m);
}
END_TEST

#define VMX "scsi0:0.fileName = \"d-000002.vmdk\"\n"

START_TEST(tree_of_snapshots)
{
	struct machine *m = read_both(VMX, "snapshot.current = \"7\"\n"
					   "snapshot.lastUID = \"9\"\n"
					   "snapshot.numSnapshots = \"3\"\n"
					   "snapshot0.uid = \"7\"\n"
					   "snapshot0.parent = \"4\"\n"
					   "snapshot0.displayName = \"child/of it\"\n"
					   "snapshot0.numDisks = \"1\"\n"
					   "snapshot0.disk0.fileName = \"d-000001.vmdk\"\n"
					   "snapshot0.disk0.node = \"scsi0:0\"\n"
					   "snapshot1.uid = \"4\"\n"
					   "snapshot1.displayName = \"first\"\n"
					   "snapshot1.createTimeHigh = \"399426\"\n"
					   "snapshot1.createTimeLow = \"-1284590752\"\n"
					   "snapshot1.numDisks = \"2\"\n"
					   "snapshot1.disk0.fileName = \"d.vmdk\"\n"
					   "snapshot1.disk0.node = \"scsi0:0\"\n"
					   "snapshot1.disk1.fileName = \"gone.vmdk\"\n"
					   "snapshot1.disk1.node = \"scsi0:1\"\n"
					   "snapshot5.uid = \"9\"\n"
					   "snapshot5.parent = \"4\"\n"
					   "snapshot5.displayName = \"first\"\n");
	uint64_t us = UINT64_C(399426) << 32 | (uint32_t)-1284590752;

	ck_assert_str_eq(m->name, "vm");
	ck_assert_uint_eq(m->nstates, 4);
	ck_assert_str_eq(m->states[1].name, "first");
	ck_assert_uint_eq(m->states[1].parent, 0);
	ck_assert_int_eq(m->states[1].when.tv_sec, (time_t)(us / 1000000));
	ck_assert_disks(m, 1, "scsi0:0=d.vmdk scsi0:1=gone.vmdk ");
	ck_assert_str_eq(m->states[2].name, "child/of it");
	ck_assert_uint_eq(m->states[2].parent, 1);
	ck_assert_disks(m, 2, "scsi0:0=d-000001.vmdk ");
	ck_assert_str_eq(m->states[3].name, "first");
	ck_assert_uint_eq(m->states[3].parent, 1);
	ck_assert_uint_eq(m->states[0].parent, 2);
	machine_free(m);
}
END_TEST

START_TEST(loops_of_snapshots)
{
	struct machine *m = read_both(VMX, "snapshot0.uid = \"1\"\nsnapshot0.parent = \"2\"\n"
					   "snapshot1.uid = \"2\"\nsnapshot1.parent = \"3\"\n"
					   "snapshot2.uid = \"3\"\nsnapshot2.parent = \"1\"\n"
					   "snapshot3.uid = \"4\"\nsnapshot3.parent = \"4\"\n"
					   "snapshot4.uid = \"5\"\nsnapshot4.parent = \"77\"\n"
					   "snapshot5.uid = \"6\"\nsnapshot5.parent = \"2\"\n");

	ck_assert_uint_eq(m->nstates, 7);
	for (size_t i = 1; i < m->nstates; i++)
		ck_assert_uint_lt(m->states[i].parent, i);
	machine_free(m);
}
END_TEST

START_TEST(number_of_disks_is_limited)
{
	struct machine *m = read_both(VMX,
		"snapshot0.uid = \"1\"\nsnapshot0.numDisks = \"99999999999999999999\"\n"
		"snapshot0.disk0.fileName = \"d.vmdk\"\n");

	ck_assert_uint_eq(m->states[1].ndisks, 1);
	machine_free(m);
}
END_TEST

Suite *vmx_suite(void)
{
	TCase *tc = tcase_create("vmx");

	tcase_add_test(tc, disks_and_other_drives);
	tcase_add_test(tc, tree_of_snapshots);
	tcase_add_test(tc, loops_of_snapshots);
	tcase_add_test(tc, number_of_disks_is_limited);
	return suite_of("vmx", tc);
}
