/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <string.h>

#include "fuzz.h"
#include "driver/qcow2/header.h"

static void check_name(void *arg, const char *name, bool is_parent)
{
	(void)arg;
	fuzz_require(!is_parent && strlen(name) <= LIMIT_NAME);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	qcow2_header_names(data, size, check_name, NULL);
	return fuzz_one("qcow2", data, size);
}
