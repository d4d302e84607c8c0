/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Power cuts and failing host calls while disks of all formats grow and shrink. */
#include "common/power_cut.h"
#include "common/unit.h"

#define KB UINT64_C(1024)
#define MB (UINT64_C(1) << 20)
#define GB (UINT64_C(1) << 30)

/* Sizes begin and end inside of clusters, blocks and grains. */
static const struct {
	const char *format;
	const char *words[3];
	uint64_t size, grows;
} kinds[] = {
	{"raw", {NULL}, 100 * KB, MB},
	{"qcow2", {"cluster_size=512", NULL}, 100 * KB, MB},
	{"qcow2", {"cluster_size=4k", "lazy_refcounts=on", NULL}, 30 * KB, 300 * GB},
	{"qcow2", {"compat=0.10", NULL}, 100 * KB, MB},
	{"qcow2", {"extended_l2=on", "cluster_size=16k", NULL}, 100 * KB, MB},
	{"vmdk", {NULL}, 100 * KB, MB},
	{"vmdk", {NULL}, 30 * MB, 4 * GB},
	{"vdi", {"cluster_size=128k", NULL}, 100 * KB, MB},
	{"vpc", {"block_size=512k", NULL}, 100 * KB, 3 * MB},
	{"vpc", {NULL}, 300 * MB, 300 * GB},
	{"vpc", {"subformat=fixed", NULL}, 100 * KB, MB},
	{"vhdx", {"block_size=1M", NULL}, 100 * KB, 3 * MB},
};

static struct power make(int i, uint64_t seed, unsigned ops)
{
	make_image(kinds[i].format, "a.image", kinds[i].size, NULL, kinds[i].words);
	return (struct power){
		.path = "a.image",
		.format = kinds[i].format,
		.seed = seed + i,
		.ops = ops,
		.cuts = 2,
		.grows = kinds[i].grows,
		.shrinks = true,
	};
}

START_TEST(power_cuts)
{
	struct power p = make(_i, 1, kinds[_i].grows > 2 * MB ? 40 : 100);

	power_run(&p);
}
END_TEST

START_TEST(faults)
{
	struct power p = make(_i, 101, 0);

	power_faults(&p);
}
END_TEST

Suite *resize_suite(void)
{
	TCase *tc = tcase_create("resize");

	tcase_set_timeout(tc, 60);
	use_temp_dir(tc);
	tcase_add_loop_test(tc, power_cuts, 0, COUNT(kinds));
	tcase_add_loop_test(tc, faults, 0, COUNT(kinds));
	return suite_of("resize", tc);
}
