/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "plan.h"

#include "util/bytes.h"

struct vmdk_plan vmdk_plan(uint64_t capacity, bool embedded)
{
	struct vmdk_plan p = {
		.ntables = div_round_up(capacity, VMDK_GRAIN * VMDK_TABLE),
		.rgd = embedded ? VMDK_DESC_START + VMDK_DESC_LEN : 1,
	};
	uint64_t gd_len = div_round_up(p.ntables * 4, VMDK_SECTOR);
	uint64_t gt_len = p.ntables * VMDK_TABLE_SECTORS;

	p.rgt = p.rgd + gd_len;
	p.gd = p.rgt + gt_len;
	p.gt = p.gd + gd_len;
	p.header = (struct vmdk_header){
		.version = 1,
		.flags = VMDK_REDUNDANT,
		.capacity = capacity,
		.grain = VMDK_GRAIN,
		.desc_start = embedded ? VMDK_DESC_START : 0,
		.desc_len = embedded ? VMDK_DESC_LEN : 0,
		.tables_len = VMDK_TABLE,
		.rgd = p.rgd,
		.gd = p.gd,
		.overhead = round_up(p.gt + gt_len, VMDK_GRAIN),
	};
	return p;
}

void vmdk_plan_directory(uint64_t gt, uint64_t first, size_t n, unsigned char *out)
{
	for (size_t i = 0; i < n; i++)
		store_le32(out + 4 * i, gt + (first + i) * VMDK_TABLE_SECTORS);
}
