/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Power cuts with several clients, in all formats that can be written. */
#include "common/power_cut_clients.h"
#include "common/unit.h"

static const struct {
	const char *format;
	const char *words[3];
} kinds[] = {
	{"raw", {NULL}},
	{"qcow2", {"cluster_size=4k", NULL}},
	{"qcow2", {NULL}},
	{"qcow2", {"extended_l2=on", "cluster_size=16k", NULL}},
	{"vmdk", {NULL}},
	{"vmdk", {"zeroed_grain=on", NULL}},
	{"vdi", {"cluster_size=128k", NULL}},
	{"vpc", {"block_size=512k", NULL}},
	{"vpc", {"subformat=fixed", NULL}},
	{"vhdx", {"block_size=1M", NULL}},
};

START_TEST(flushed_data_of_each_client_is_there)
{
	struct clients c = {
		.path = "a.image", .format = kinds[_i].format, .seed = 1 + _i, .n = 4, .ops = 120};

	make_image(c.format, c.path, 300 << 10, NULL, kinds[_i].words);
	clients_run(&c);
}
END_TEST

Suite *clients_suite(void)
{
	TCase *tc = tcase_create("clients");

	tcase_set_timeout(tc, 60);
	use_temp_dir(tc);
	tcase_add_loop_test(tc, flushed_data_of_each_client_is_there, 0, COUNT(kinds));
	return suite_of("clients", tc);
}
