/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* fuzz_cow.c - the exception store of a snapshot of LVM.  The input is the store; the origin has
 * zeroes. */
#include "flat_view.h"
#include "volume/lvm/snapshot.h"

#define ORIGIN ((1u << 20) + 5)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct err e = ERR_INIT;
	struct view *store = flat_new(data, size);
	struct view *origin = flat_new(NULL, ORIGIN);
	struct view *v = snapshot_view(ORIGIN, origin, store, &e);

	if (v) {
		fuzz_view(v);
		view_free(v);
	} else {
		fuzz_require(e.code > 0 && e.text[0] != '\0');
		view_free(store);
		view_free(origin);
	}
	return 0;
}
