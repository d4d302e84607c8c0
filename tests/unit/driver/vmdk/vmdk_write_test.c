/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "vmdk_write_test.h"

#include <stdio.h>
#include <stdlib.h>

#include "build/vmdk.h"
#include "util/bytes.h"
#include "common/unit.h"

void vmdk_make(const char *path, const char *options, uint64_t size)
{
	char command[256];

	snprintf(command, sizeof command, "qemu-img create -q -f vmdk %s %s %llu", options, path,
		(unsigned long long)size);
	ck_assert_msg(system(command) == 0, "%s", command);
}

int vmdk_try_create(
	const char *path, const char *options, const char *backing, uint64_t size, struct err *e)
{
	char words[200], *word, *rest = words;
	const char *list[8] = {NULL};

	snprintf(words, sizeof words, "%s", options);
	for (size_t i = 0; (word = strsep(&rest, ",")); i++)
		list[i] = *word ? word : NULL;
	return try_make_image("vmdk", path, size, backing, list, e);
}

unsigned char *vmdk_read_bytes(const char *path, size_t *len)
{
	unsigned char *bytes = malloc(16 * MB);
	FILE *f = fopen(path, "r");

	ck_assert(bytes && f);
	*len = fread(bytes, 1, 16 * MB, f);
	fclose(f);
	return bytes;
}

void redundant_tables_are_equal(const char *path)
{
	size_t len;
	unsigned char *p = vmdk_read_bytes(path, &len), zeroes[2048] = {0};
	uint64_t rgd = load_le64(p + AT_RGD) * SECTOR, gd = load_le64(p + AT_GD) * SECTOR;
	uint32_t rgt = load_le32(p + rgd) * SECTOR, gt = load_le32(p + gd) * SECTOR;

	ck_assert_uint_ne(rgt, gt);
	ck_assert_mem_eq(p + rgt, p + gt, 2048);
	ck_assert_mem_ne(p + gt, zeroes, 2048);
	ck_assert_uint_eq(p[AT_UNCLEAN], 0);
	free(p);
}
