/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* fuzz_vmx.c - VMware's descriptions of machines: a .vmx, a NUL, and perhaps a .vmsd. */
#include <string.h>

#include "bounds.h"
#include "fuzz.h"
#include "machine.h"
#include "vmx.h"

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
	fuzz_require(m->name && m->nstates > 0 && m->nstates <= VMX_MAX_SNAPSHOTS + 1);
	for (size_t i = 0; i < m->nstates; i++)
		check_state(m, i);
}

static struct io *text(const void *data, size_t len)
{
	struct err e = ERR_INIT;
	struct io *io = io_from_memory(data, len, "text", &e);

	fuzz_require(io != NULL);
	return io;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const uint8_t *nul = memchr(data, '\0', size);
	size_t len = nul ? (size_t)(nul - data) : size;
	struct io *vmx = text(data, len), *vmsd = nul ? text(nul + 1, size - len - 1) : NULL;
	struct err e = ERR_INIT;
	struct machine *m;

	if (vmx_read(vmx, vmsd, "vm", &m, &e) == 0) {
		check_machine(m);
		machine_free(m);
	}
	io_unref(vmx);
	io_unref(vmsd);
	return 0;
}
