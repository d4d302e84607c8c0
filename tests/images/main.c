/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* mkimage NAME DIR	makes the image NAME: DIR/NAME.FORMAT, what it refers to, and DIR/NAME.raw
 * mkimage --list	prints NAME VERDICT FORMAT [OFFSET LENGTH] for each
 * mkimage --corrupt FORMAT DAMAGE FILE SEED	does damage to a good image
 * mkimage --corruptions	prints FORMAT DAMAGE for each kind
 *
 * Images that no tool at hand can make: legal ones from the corners of the formats, and hostile
 * ones. The verdict says what reading must give: "ok" the bytes of NAME.raw, "refuse" an error when
 * opened, "readerror" the bytes of NAME.raw but EIO wherever a byte of [OFFSET, OFFSET + LENGTH) is
 * asked for. */
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "corrupt.h"
#include "mkimage.h"

static const struct family *const families[] = {&luks_family, &qcow_family, &qed_family,
	&bochs_family, &parallels_family, &vdi_family, &vdi_chain_family, &vhd_family, &vhdx_family,
	&vmdk_sparse_family, &vmdk_stream_family, &vmdk_text_family, &vmdk_esx_family,
	&qcow2_good_family, &qcow2_bad_family, &ova_family};

static void list_case(const char *format, const struct image_case *c)
{
	static const char *const words[] = {"ok", "refuse", "readerror"};

	printf("%s %s %s", c->name, words[c->verdict], format);
	if (c->verdict == READERROR)
		printf(" %" PRIu64 " %" PRIu64, c->bad.off, c->bad.len);
	putchar('\n');
}

static void list_all(void)
{
	for (size_t i = 0; i < N_ELEMENTS(families); i++)
		for (size_t k = 0; k < families[i]->n; k++)
			list_case(families[i]->format, &families[i]->cases[k]);
}

static const struct image_case *find(const char *name)
{
	for (size_t i = 0; i < N_ELEMENTS(families); i++)
		for (size_t k = 0; k < families[i]->n; k++)
			if (strcmp(families[i]->cases[k].name, name) == 0)
				return &families[i]->cases[k];
	die("there is no image %s; --list shows all", name);
}

int main(int argc, char **argv)
{
	struct job j = {.raw = -1};

	if (argc == 2 && strcmp(argv[1], "--list") == 0) {
		list_all();
		return EXIT_SUCCESS;
	}
	if (argc == 2 && strcmp(argv[1], "--corruptions") == 0) {
		corrupt_list();
		return EXIT_SUCCESS;
	}
	if (argc == 6 && strcmp(argv[1], "--corrupt") == 0) {
		corrupt_file(argv[2], argv[3], argv[4], argv[5]);
		return EXIT_SUCCESS;
	}
	if (argc != 3)
		die("usage: mkimage NAME DIR, mkimage --corrupt FORMAT DAMAGE FILE SEED, or "
		    "mkimage --list");
	j.c = find(argv[1]);
	j.dir = argv[2];
	if (j.c->verdict != REFUSED)
		j.raw = file_new(&j, ".raw");
	j.c->make(&j);
	return EXIT_SUCCESS;
}
