/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "chain.h"

#include <stddef.h>

#include "partition/partition.h"
#include "image/image.h"
#include "volume.h"

static bool state_has_members(const struct image *img, const struct state *state)
{
	struct partition_table table = {.n = 0};
	const struct volume_disk disk = {.view = state->view, .table = &table};
	struct err ignored = ERR_INIT;
	struct volume_set *set = NULL;
	bool has;

	if (partition_table_read(disk.view, img->sector_size, &table, &ignored) == 0)
		volume_set_probe(&disk, 1, img->opts, &set, &ignored);
	has = set && volume_set_has_members(set);
	volume_set_free(set);
	partition_table_free(&table);
	return has;
}

bool chain_has_members(const struct image *top)
{
	for (const struct image *img = top; img; img = img->parent)
		for (size_t i = 0; i < img->nstates; i++)
			if (state_has_members(img, img->states[i]))
				return true;
	return false;
}
