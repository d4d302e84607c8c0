/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* fuzz_vmdk_desc.c - the descriptor parser alone: an image in memory has no extent files. */
#include <string.h>

#include "fuzz.h"
#include "driver/vmdk/descriptor.h"
#include "driver/vmdk/vmdk.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* s is NULL, or a string that ends inside the text. */
static void check_string(const char *s, const char *text, size_t size)
{
	fuzz_require(!s || (s >= text && s <= text + size));
}

/* A file name, valid or not, fits into VMDK_NAME_MAX bytes. */
static void check_name(const struct vmdk_descriptor *d, const char *name)
{
	char out[VMDK_NAME_MAX];
	struct err e = ERR_INIT;

	if (name && vmdk_descriptor_decode_name(d, name, out, &e) == 0)
		fuzz_require(strlen(out) < sizeof out);
}

static void check_desc(const struct vmdk_descriptor *d, const char *text, size_t size)
{
	fuzz_require(d->nlines > 0 && d->nlines <= VMDK_MAX_EXTENTS);
	check_string(d->create_type, text, size);
	check_string(d->parent_hint, text, size);
	check_string(d->encoding, text, size);
	check_name(d, d->parent_hint);
	check_name(d, d->lines[0].file);
	for (size_t i = 0; i < d->nlines; i++) {
		const struct vmdk_extent_line *x = &d->lines[i];

		fuzz_require(x->type && x->type[0] != '\0' && x->number > 0);
		fuzz_require(x->sectors <= LIMIT_DISK_SIZE / VMDK_SECTOR);
		check_string(x->type, text, size);
		check_string(x->file, text, size);
	}
}

static void check_other(void *arg, const char *name, bool is_parent)
{
	unsigned *count = arg;

	(void)is_parent;
	fuzz_require(strlen(name) < VMDK_NAME_MAX);
	fuzz_require(++*count <= VMDK_MAX_EXTENTS + 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	unsigned count = 0;
	char *text = malloc(size + 1);
	struct err e = ERR_INIT;
	struct vmdk_descriptor d;
	int r, bid = vmdk_descriptor_probe(data, size);

	fuzz_require(text && bid >= 0 && bid <= 100);
	memcpy(text, data, size);
	text[size] = '\0';
	r = vmdk_descriptor_parse(&d, text, &e);
	fuzz_require(r == 0 || (r == -e.code && e.text[0] != '\0'));
	if (r == 0)
		check_desc(&d, text, size);
	vmdk_descriptor_free(&d);
	free(text);
	vmdk_descriptor_visit_names(data, size, check_other, &count);
	return 0;
}
