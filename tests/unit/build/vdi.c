/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <string.h>

#include "util/bytes.h"
#include "common/unit.h"
#include "vdi.h"

static void put_ids(unsigned char *p, const struct vdi_spec *s)
{
	const unsigned char bytes[] = {s->id ? s->id : 1, s->change ? s->change : 1, s->parent,
		s->version_0 ? 0 : s->parent_change};
	size_t n = s->version_0 ? 3 : 4;

	for (size_t i = 0; i < 16 * n; i++)
		p[i] = bytes[i / 16];
}

static void put_header_0(unsigned char *h, const struct vdi_spec *s)
{
	put_le(h + 68, 4, 0x00000002);
	put_le(h + 72, 4, s->type ? s->type : 1);
	put_le(h + 348, 4, 512);
	put_le(h + 352, 8, s->size);
	put_le(h + 360, 4, s->block_size);
	put_le(h + 364, 4, s->nblocks);
	put_ids(h + 372, s);
}

static void put_header_1(unsigned char *h, const struct vdi_spec *s)
{
	put_le(h + 68, 4, 0x00010001);
	put_le(h + 72, 4, 400);
	put_le(h + 76, 4, s->type ? s->type : 1);
	put_le(h + 340, 4, s->map_pos);
	put_le(h + 344, 4, s->data_pos);
	put_le(h + 360, 4, 512);
	put_le(h + 368, 8, s->size);
	put_le(h + 376, 4, s->block_size);
	put_le(h + 380, 4, s->extra);
	put_le(h + 384, 4, s->nblocks);
	put_ids(h + 392, s);
}

static void put_header(unsigned char *h, const struct vdi_spec *s)
{
	memcpy(h, "<<< Oracle VM VirtualBox Disk Image >>>\n", 40);
	put_le(h + 64, 4, 0xbeda107f);
	if (s->version_0)
		put_header_0(h, s);
	else
		put_header_1(h, s);
}

static uint32_t blocks_stored(const struct vdi_spec *s)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < s->nblocks; i++)
		if (s->map[i] < VDI_ZERO)
			n = MAX(n, s->map[i] + 1);
	return n;
}

static void put_blocks(unsigned char *data, const struct vdi_spec *s, uint32_t n)
{
	for (uint32_t k = 0; k < n; k++) {
		memset(data, 0xee, s->extra);
		fill_pattern(data + s->extra, s->block_size, k + 1);
		data += s->extra + s->block_size;
	}
}

/* Fills the disk from the complete file; blocks in the part of the file that is cut off read as
 * zeroes. */
static void put_disk(struct memory_image *v, const struct vdi_spec *s)
{
	for (uint32_t i = 0; i < s->nblocks; i++) {
		uint64_t off = (uint64_t)i * s->block_size, pos;

		if (s->map[i] >= VDI_ZERO || off >= v->disk_len)
			continue;
		pos = s->data_pos + s->map[i] * ((uint64_t)s->block_size + s->extra) + s->extra;
		memcpy(v->disk + off, v->file + pos, MIN(s->block_size, v->disk_len - off));
	}
}

struct memory_image vdi_image_make(const struct vdi_spec *spec)
{
	struct vdi_spec s = *spec;
	struct memory_image v;
	uint32_t stored = blocks_stored(&s);

	s.block_size = s.block_size ? s.block_size : 1 << 20;
	s.map_pos = s.version_0 ? 420 : s.map_pos ? s.map_pos : 512;
	if (s.version_0)
		s.data_pos = s.map_pos + 4 * s.nblocks;
	else if (!s.data_pos)
		s.data_pos = round_up(s.map_pos + 4 * s.nblocks, 512);
	s.size = s.size ? s.size : (uint64_t)s.nblocks * s.block_size;

	v = memory_image_new("vdi", s.data_pos + stored * ((size_t)s.block_size + s.extra), s.size);
	put_header(v.file, &s);
	for (uint32_t i = 0; i < s.nblocks; i++)
		put_le(v.file + s.map_pos + 4 * i, 4, s.map[i]);
	put_blocks(v.file + s.data_pos, &s, stored);
	if (s.cut)
		memset(v.file + v.file_len - s.cut, 0, s.cut);
	put_disk(&v, &s);
	v.file_len -= s.cut;
	return v;
}
