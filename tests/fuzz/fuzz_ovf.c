/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Descriptors of OVF packages, and their manifests, which have a syntax of their own. */
#include <string.h>

#include "fuzz.h"
#include "machine/manifest.h"
#include "machine/ovf.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void use_descriptor(const char *text, size_t len)
{
	struct err e = ERR_INIT;
	struct ovf o;

	if (ovf_parse(text, len, &o, &e) < 0) {
		fuzz_require(e.code > 0 && e.text[0] != '\0');
		return;
	}
	for (size_t i = 0; i < o.ndisks; i++) {
		const struct ovf_file *file = o.disks[i].file;

		fuzz_require(file >= o.files && file < o.files + o.nfiles && file->href);
	}
	ovf_free(&o);
}

static void use_manifest(char *text)
{
	struct err e = ERR_INIT;
	struct manifest m;
	struct io *io = io_from_memory("x", 1, "x", &e);

	if (manifest_parse(text, &m, &e) == 0) {
		manifest_check(&m, "x.vmdk", io, &e);
		manifest_free(&m);
	} else {
		fuzz_require(e.code > 0 && e.text[0] != '\0');
	}
	io_unref(io);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = malloc(size + 1);

	fuzz_require(text != NULL);
	memcpy(text, data, size);
	text[size] = '\0';
	use_descriptor(text, size);
	use_manifest(text);
	free(text);
	return 0;
}
