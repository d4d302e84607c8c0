/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* fuzz_vbox.c - machine descriptions of VirtualBox. */
#include <string.h>

#include "util/limits.h"
#include "fuzz_machine.h"
#include "machine/vbox.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_machine(const struct machine *m)
{
	fuzz_machine(m, VBOX_MAX_SNAPSHOTS);
	fuzz_require(m->snapshot_dir && m->nmedia <= VBOX_MAX_MEDIA);
	for (size_t i = 0; i < m->nmedia; i++) {
		fuzz_require(m->media[i].file != NULL);
		fuzz_require(
			guid_is_zero(m->media[i].id) || machine_find_medium(m, m->media[i].id));
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct err e = ERR_INIT;
	struct io *io = io_from_memory(data, size, "fuzz", &e);
	struct machine *m = NULL;
	int r;

	fuzz_require(io != NULL);
	r = vbox_read(io, &m, &e);
	fuzz_require(r == 0 || (r == -e.code && e.text[0] != '\0'));
	if (r == 0)
		check_machine(m);
	machine_free(m);
	io_unref(io);
	return 0;
}
