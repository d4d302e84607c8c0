/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdlib.h>

#include "open/vbox-registry.h"
#include "common/unit.h"

START_TEST(snapshot_folders)
{
	struct vbox_registry h = {0};
	char *above = vbox_registry_above(&h, "/Snapshots");

	ck_assert_str_eq(above, "/");
	free(above);
	above = vbox_registry_above(&h, "/nowhere/at/all/Snapshots");
	ck_assert_str_eq(above, "/nowhere/at/all");
	free(above);
	ck_assert_ptr_null(vbox_registry_above(&h, "/"));
	ck_assert_ptr_null(vbox_registry_above(&h, "/nowhere/at/all/snapshots"));
	ck_assert_ptr_null(vbox_registry_above(&h, "/nowhere/at/all/OldSnapshots"));
	vbox_registry_free(&h);
}
END_TEST

Suite *vbox_registry_suite(void)
{
	TCase *tc = tcase_create("vbox_registry");

	tcase_add_test(tc, snapshot_folders);
	return suite_of("vbox_registry", tc);
}
