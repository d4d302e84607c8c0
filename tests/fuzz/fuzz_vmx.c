/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* fuzz_vmx.c - machine descriptions of VMware: a .vmx, a NUL, and optionally a .vmsd. */
#include <string.h>

#include "util/limits.h"
#include "fuzz_machine.h"
#include "machine/vmx.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

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
		fuzz_machine(m, VMX_MAX_SNAPSHOTS);
		machine_free(m);
	}
	io_unref(vmx);
	io_unref(vmsd);
	return 0;
}
