/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* mkimage NAME DIR	creates the image NAME: DIR/NAME.FORMAT, the files that it names, and
 * DIR/NAME.raw mkimage --list	prints NAME VERDICT FORMAT [OFFSET LENGTH] for each mkimage
 * --corrupt FORMAT DAMAGE FILE SEED	damages a good image
 * mkimage --corruptions	prints FORMAT DAMAGE for each kind
 * mkimage --md VERSION LEVEL LAYOUT CHUNK ROWS CONTENTS PREFIX
 *	writes the members PREFIX0, PREFIX1... of an md array; ROWS: "01P 1P0 P01", see md-make.h
 *
 * Images that no available tool creates: special cases that the formats allow, and hostile ones.
 * The verdict is the expected result: "ok", reads as NAME.raw; "refuse", an error when it is
 * opened; "readerror", reads as NAME.raw, but a read of a byte in [OFFSET, OFFSET + LENGTH) fails
 * with EIO. */
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "corrupt.h"
#include "mkimage.h"

static const struct image_set *const image_sets[] = {&luks_images, &qcow_images, &qed_images,
	&bochs_images, &parallels_images, &vdi_images, &vdi_chain_images, &vhd_images, &vhdx_images,
	&vmdk_sparse_images, &vmdk_stream_images, &vmdk_text_images, &vmdk_esx_images,
	&qcow2_good_images, &qcow2_bad_images, &ova_images};

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
	for (size_t i = 0; i < N_ELEMENTS(image_sets); i++)
		for (size_t k = 0; k < image_sets[i]->n; k++)
			list_case(image_sets[i]->format, &image_sets[i]->cases[k]);
}

static const struct image_case *find(const char *name)
{
	for (size_t i = 0; i < N_ELEMENTS(image_sets); i++)
		for (size_t k = 0; k < image_sets[i]->n; k++)
			if (strcmp(image_sets[i]->cases[k].name, name) == 0)
				return &image_sets[i]->cases[k];
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
	if (argc == 9 && strcmp(argv[1], "--md") == 0) {
		md_files(argv + 2);
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
