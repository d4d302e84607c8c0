/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* corrupt-maps.c - damage of the formats with one map, or with two copies of it. */
#include "corrupt.h"
#include "mkimage.h"

/* VDI: the block map. */

static int vdi_is_stored(uint64_t entry)
{
	return entry < 0xfffffffe;
}

static int vdi_is_absent(uint64_t entry)
{
	return !vdi_is_stored(entry);
}

static uint64_t vdi_blocks(const struct target *v)
{
	return get_le(v->fd, 384, 4);
}

static uint64_t vdi_entry(struct target *v, wanted_fn *wanted)
{
	return choose_le(v, get_le(v->fd, 340, 4), vdi_blocks(v), 4, wanted);
}

static void vdi_shared(struct target *v)
{
	uint64_t at = vdi_entry(v, vdi_is_stored);

	put_le(v->fd, vdi_entry(v, vdi_is_absent), 4, get_le(v->fd, at, 4));
}

static void vdi_out_of_range(struct target *v)
{
	put_le(v->fd, vdi_entry(v, vdi_is_stored), 4, vdi_blocks(v) + choose(v, 1000));
}

static void vdi_past_end(struct target *v)
{
	put_le(v->fd, vdi_entry(v, vdi_is_stored), 4, vdi_blocks(v) - 1);
}

static void vdi_count_low(struct target *v)
{
	put_le(v->fd, 388, 4, get_le(v->fd, 388, 4) - 1);
}

static void vdi_count_high(struct target *v)
{
	put_le(v->fd, 388, 4, get_le(v->fd, 388, 4) + 1);
}

static void vdi_lost(struct target *v)
{
	put_le(v->fd, vdi_entry(v, vdi_is_stored), 4, 0xffffffff);
}

static const struct corruption vdi[] = {
	{"vdi", "block-shared", vdi_shared},
	{"vdi", "block-out-of-range", vdi_out_of_range},
	{"vdi", "block-past-end", vdi_past_end},
	{"vdi", "count-low", vdi_count_low},
	{"vdi", "count-high", vdi_count_high},
	{"vdi", "block-lost", vdi_lost},
};

/* VMDK: two grain directories, each with its own grain tables. */

enum { VMDK_RGD = 48, VMDK_GD = 56 };

static int is_set(uint64_t entry)
{
	return entry != 0;
}

static int is_absent(uint64_t entry)
{
	return entry == 0;
}

/* Position of entry i of the first grain table, for the directory whose sector is in the header at
 * field. */
static uint64_t vmdk_entry(struct target *v, unsigned field, uint64_t i)
{
	return get_le(v->fd, get_le(v->fd, field, 8) * 512, 4) * 512 + i * 4;
}

static uint64_t vmdk_grain(struct target *v, wanted_fn *wanted)
{
	uint64_t first = vmdk_entry(v, VMDK_GD, 0);

	return (choose_le(v, first, 64, 4, wanted) - first) / 4;
}

static void vmdk_both(struct target *v, uint64_t i, uint64_t entry)
{
	put_le(v->fd, vmdk_entry(v, VMDK_GD, i), 4, entry);
	put_le(v->fd, vmdk_entry(v, VMDK_RGD, i), 4, entry);
}

static void vmdk_past_end(struct target *v)
{
	vmdk_both(v, vmdk_grain(v, is_set), v->size / 512 + 128 * (1 + choose(v, 100)));
}

static void vmdk_shared(struct target *v)
{
	uint64_t other = get_le(v->fd, vmdk_entry(v, VMDK_GD, vmdk_grain(v, is_set)), 4);

	vmdk_both(v, vmdk_grain(v, is_absent), other);
}

static void vmdk_in_header(struct target *v)
{
	vmdk_both(v, vmdk_grain(v, is_set), 2 + choose(v, 20));
}

static void vmdk_differ(struct target *v)
{
	uint64_t i = vmdk_grain(v, is_set);

	put_le(v->fd, vmdk_entry(v, VMDK_RGD, i), 4,
		get_le(v->fd, vmdk_entry(v, VMDK_GD, i), 4) + 128);
}

static void vmdk_twin_lags(struct target *v)
{
	put_le(v->fd, vmdk_entry(v, VMDK_RGD, vmdk_grain(v, is_set)), 4, 0);
}

static void vmdk_table_lost(struct target *v)
{
	put_le(v->fd, get_le(v->fd, choose(v, 2) ? VMDK_GD : VMDK_RGD, 8) * 512, 4,
		v->size / 512 + 1000);
}

static const struct corruption vmdk[] = {
	{"vmdk", "grain-past-end", vmdk_past_end},
	{"vmdk", "grain-shared", vmdk_shared},
	{"vmdk", "grain-in-header", vmdk_in_header},
	{"vmdk", "tables-differ", vmdk_differ},
	{"vmdk", "table-lags", vmdk_twin_lags},
	{"vmdk", "table-lost", vmdk_table_lost},
};

/* VHDX of QEMU: the BAT is the region of the first or the second entry of the region table. */

#define VHDX_REGIONS (192 * KIB)

static uint64_t vhdx_bat(const struct target *v)
{
	uint64_t entry = VHDX_REGIONS + 16;

	if (get_le(v->fd, entry, 4) != 0x2dc27766)
		entry += 32;
	return get_le(v->fd, entry + 16, 8);
}

static int vhdx_is_stored(uint64_t entry)
{
	return (entry & 7) == 6;
}

static int vhdx_is_absent(uint64_t entry)
{
	return !vhdx_is_stored(entry);
}

static uint64_t vhdx_entry(struct target *v, wanted_fn *wanted)
{
	return choose_le(v, vhdx_bat(v), 8, 8, wanted);
}

static void vhdx_past_end(struct target *v)
{
	put_le(v->fd, vhdx_entry(v, vhdx_is_stored), 8,
		(v->size / MIB + 1 + choose(v, 9)) * MIB | 6);
}

static void vhdx_shared(struct target *v)
{
	uint64_t at = vhdx_entry(v, vhdx_is_stored);

	put_le(v->fd, vhdx_entry(v, vhdx_is_absent), 8, get_le(v->fd, at, 8));
}

static void vhdx_in_bat(struct target *v)
{
	put_le(v->fd, vhdx_entry(v, vhdx_is_stored), 8, vhdx_bat(v) | 6);
}

static void vhdx_unknown(struct target *v)
{
	put_le(v->fd, vhdx_entry(v, vhdx_is_absent), 8, 4);
}

static void vhdx_cut(struct target *v)
{
	file_resize(v->fd, v->size - MIB - choose(v, MIB));
}

static const struct corruption vhdx[] = {
	{"vhdx", "block-past-end", vhdx_past_end},
	{"vhdx", "block-shared", vhdx_shared},
	{"vhdx", "block-in-bat", vhdx_in_bat},
	{"vhdx", "block-unknown", vhdx_unknown},
	{"vhdx", "file-cut", vhdx_cut},
};

/* VHD. */

static int vpc_is_stored(uint64_t entry)
{
	return entry != 0xffffffff;
}

static int vpc_is_absent(uint64_t entry)
{
	return !vpc_is_stored(entry);
}

static uint64_t vpc_entry(struct target *v, wanted_fn *wanted)
{
	return choose_be(v, get_be(v->fd, 512 + 16, 8), get_be(v->fd, 512 + 28, 4), 4, wanted);
}

static void vpc_shared(struct target *v)
{
	uint64_t at = vpc_entry(v, vpc_is_stored);

	put_be(v->fd, vpc_entry(v, vpc_is_absent), 4, get_be(v->fd, at, 4) + choose(v, 8));
}

static void vpc_past_end(struct target *v)
{
	put_be(v->fd, vpc_entry(v, vpc_is_stored), 4, v->size / 512 + choose(v, 1000));
}

static void vpc_lost(struct target *v)
{
	put_be(v->fd, vpc_entry(v, vpc_is_stored), 4, 0xffffffff);
}

static void vpc_header_sum(struct target *v)
{
	put_be(v->fd, 512 + 36, 4, choose(v, UINT32_MAX));
}

static const struct corruption vpc[] = {
	{"vpc", "block-shared", vpc_shared},
	{"vpc", "block-past-end", vpc_past_end},
	{"vpc", "block-lost", vpc_lost},
	{"vpc", "header-sum", vpc_header_sum},
};

const struct corruptions vdi_corruptions = {vdi, N_ELEMENTS(vdi)};
const struct corruptions vmdk_corruptions = {vmdk, N_ELEMENTS(vmdk)};
const struct corruptions vhdx_corruptions = {vhdx, N_ELEMENTS(vhdx)};
const struct corruptions vpc_corruptions = {vpc, N_ELEMENTS(vpc)};
