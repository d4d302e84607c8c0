/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* filename.c - file names in a descriptor, which declares their encoding. */
#include "filename.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "util/bytes.h"
#include "util/charset.h"
#include "util/err.h"
#include "util/limits.h"
#include "image/format.h"
#include "descriptor.h"
#include "vmdk.h"

int vmdk_filename_decode(const struct vmdk_descriptor *d, const char *name,
	char out[VMDK_FILENAME_MAX], struct err *e)
{
	if (strlen(name) > LIMIT_NAME)
		return err_set(e, ENAMETOOLONG, "a file name of more than %d bytes", LIMIT_NAME);
	return charset_decode(d->encoding, name, out, VMDK_FILENAME_MAX, e);
}

/* The embedded descriptor, as far as it lies in the head of the file; malloc'ed or NULL. */
static char *find_embedded(const unsigned char *head, size_t n)
{
	uint64_t start, len;

	if (n < VMDK_SECTOR || memcmp(head, "KDMV", 4) != 0)
		return NULL;
	start = load_le64(head + 28);
	len = load_le64(head + 36);
	if (start == 0 || start >= n / VMDK_SECTOR)
		return NULL;
	start *= VMDK_SECTOR;
	len = len > n / VMDK_SECTOR ? n : len * VMDK_SECTOR;
	return strndup((const char *)head + start, MIN(len, n - start));
}

static void visit_name(const struct vmdk_descriptor *d, const char *name, bool is_parent,
	format_name_visit *visit, void *arg)
{
	char decoded[VMDK_FILENAME_MAX];
	struct err e = ERR_INIT;

	if (name && vmdk_filename_decode(d, name, decoded, &e) == 0)
		visit(arg, decoded, is_parent);
}

/* The extent lines of an embedded descriptor are skipped: they name the file itself, by a name that
 * may be old. */
void vmdk_filename_visit(const unsigned char *head, size_t n, format_name_visit *visit, void *arg)
{
	bool whole = vmdk_descriptor_probe(head, n) > 0;
	char *text = whole ? strndup((const char *)head, n) : find_embedded(head, n);
	struct err e = ERR_INIT;
	struct vmdk_descriptor d;

	if (!text)
		return;
	/* In a damaged descriptor the names before the damage are visited. */
	vmdk_descriptor_parse(&d, text, &e);
	for (size_t i = 0; whole && i < d.nlines; i++)
		visit_name(&d, d.lines[i].file, false, visit, arg);
	visit_name(&d, d.parent_hint, true, visit, arg);
	vmdk_descriptor_free(&d);
	free(text);
}
