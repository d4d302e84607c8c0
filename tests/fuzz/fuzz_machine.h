/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* fuzz_machine.h - invariants of every machine description that was parsed successfully. */
#ifndef VDISK_FUZZ_MACHINE_H
#define VDISK_FUZZ_MACHINE_H

#include "fuzz.h"
#include "machine/machine.h"

static inline void fuzz_machine_state(const struct machine *m, size_t i)
{
	const struct machine_state *s = &m->states[i];

	fuzz_require(s->name && s->parent < m->nstates);
	fuzz_require(i == 0 || s->parent < i);
	for (size_t k = 0; k < s->ndisks; k++)
		fuzz_require(s->disks[k].slot && s->disks[k].file);
}

static inline void fuzz_machine(const struct machine *m, size_t max_snapshots)
{
	fuzz_require(m->name && m->nstates > 0 && m->nstates <= max_snapshots + 1);
	for (size_t i = 0; i < m->nstates; i++)
		fuzz_machine_state(m, i);
}

#endif
