/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* fuzz_vbox.c - VirtualBox's descriptions of machines. */
#include <string.h>

#include "bounds.h"
#include "fuzz.h"
#include "machine.h"
#include "vbox.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_state(const struct machine *m, size_t i)
{
	const struct machine_state *s = &m->states[i];

	fuzz_require(s->name && s->parent < m->nstates);
	fuzz_require(i == 0 || s->parent < i);
	for (size_t k = 0; k < s->ndisks; k++)
		fuzz_require(s->disks[k].slot && s->disks[k].file);
}

static void check_machine(const struct machine *m)
{
	fuzz_require(m->name && m->snapshot_dir && m->nstates > 0);
	fuzz_require(m->nmedia <= VBOX_MAX_MEDIA && m->nstates <= VBOX_MAX_SNAPSHOTS + 1);
	for (size_t i = 0; i < m->nstates; i++)
		check_state(m, i);
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
