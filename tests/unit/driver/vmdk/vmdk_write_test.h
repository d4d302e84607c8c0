/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* vmdk_write_test.h - creating VMDKs for the tests of writing, and looking at their bytes. */
#ifndef UNIT_DRIVER_VMDK_VMDK_WRITE_TEST_H
#define UNIT_DRIVER_VMDK_VMDK_WRITE_TEST_H

#include <stddef.h>
#include <stdint.h>

struct err;

#define MB (UINT64_C(1) << 20)

/* Creates an image by qemu-img. */
void vmdk_make(const char *path, const char *options, uint64_t size);

/* Creates an image by the library; options are separated by commas. */
int vmdk_try_create(
	const char *path, const char *options, const char *backing, uint64_t size, struct err *e);

/* Reads a file of less than 16 MiB; to be freed. */
unsigned char *vmdk_read_bytes(const char *path, size_t *len);

/* Asserts that both grain directories have equal entries, and that the unclean flag is clear. */
void redundant_tables_are_equal(const char *path);

#endif
