/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Writing qcow2: every variant is compared with an array, and tested with power cuts and failing
 * host calls. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "open/create.h"
#include "util/err.h"
#include "image/format.h"
#include "open/registry.h"
#include "common/random_model.h"
#include "common/power_cut.h"
#include "common/unit.h"
#include "view/view.h"

#define SIZE ((5u << 20) + 1536)

/* The first IN_MEMORY variants also run on a file in memory. */
static const char *const variants[] = {
	"compat=1.1",
	"compat=0.10",
	"cluster_size=512,refcount_bits=64",
	"cluster_size=512,refcount_bits=1",
	"extended_l2=on,cluster_size=16k",
	"preallocation=metadata,extended_l2=on",
	"cluster_size=1k,refcount_bits=2",
	"cluster_size=4k,refcount_bits=4,lazy_refcounts=on",
	"cluster_size=8k,refcount_bits=8,compression_type=zstd",
	"cluster_size=32k,refcount_bits=32",
	"preallocation=metadata",
	"cluster_size=2M",
	"data_file=data.raw",
	"data_file=data.raw,data_file_raw=on",
	"data_file=data.raw,extended_l2=on",
};

enum { IN_MEMORY = 6 };

static void make(const char *options, uint64_t size)
{
	char words[128], *word = words, *end;
	const char *list[8] = {NULL};
	struct create_request r = {.size = size, .options = list};
	struct err e = ERR_INIT;

	snprintf(words, sizeof words, "%s", options);
	for (size_t i = 0; word; i++, word = end) {
		end = strchr(word, ',');
		if (end)
			*end++ = '\0';
		list[i] = word;
	}
	ck_assert_ok(image_create(registry_find("qcow2"), "a.qcow2", &r, &e), &e);
}

START_TEST(random_operations)
{
	struct model m = {
		.path = "a.qcow2",
		.format = "qcow2",
		.seed = 100 + _i,
		.rounds = 4,
		.size_max = 6 << 20,
		.shrinks = true,
		.qemu_format = "qcow2",
	};

	if (strstr(variants[_i], "compat=0.10"))
		m.size_max = 0; /* version 2 does not record the disk size of snapshots */
	m.snapshots = !strstr(variants[_i], "data_file");
	m.narrow_refcounts = strstr(variants[_i], "refcount_bits=1") ||
			     strstr(variants[_i], "refcount_bits=2") ||
			     strstr(variants[_i], "refcount_bits=4");
	make(variants[_i], SIZE);
	model_run(&m);
}
END_TEST

START_TEST(power_cuts)
{
	struct power p = {.path = "a.qcow2", .format = "qcow2", .seed = 200 + _i};

	p.snapshots = !strstr(variants[_i], "refcount_bits=1");
	make(variants[_i], 1 << 20);
	power_run(&p);
}
END_TEST

START_TEST(faults)
{
	struct power p = {.path = "a.qcow2", .format = "qcow2", .seed = 300 + _i};

	p.snapshots = _i % 4 == 0; /* not all variants, since it takes long */
	make(variants[_i], 256 << 10);
	power_faults(&p);
}
END_TEST

Suite *qcow2_write_suite(void)
{
	TCase *tc = tcase_create("qcow2_write");

	tcase_set_timeout(tc, 60);
	use_temp_dir(tc);
	tcase_add_loop_test(tc, random_operations, 0, COUNT(variants));
	tcase_add_loop_test(tc, power_cuts, 0, IN_MEMORY);
	tcase_add_loop_test(tc, faults, 0, IN_MEMORY);
	return suite_of("qcow2_write", tc);
}
