/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* header.c - the header of a hosted sparse extent, and the footer of a stream whose writer could
 * not go back to the header.
 *
 * The fields are checked here, except positions, which are checked before they are read from.
 */
#include "header.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "util/bytes.h"
#include "util/err.h"
#include "util/limits.h"
#include "io/io.h"

#define MAGIC           "KDMV"
#define HEADER_SIZE     VMDK_SECTOR
#define FLAG_NEWLINES   (1u << 0)
#define FLAGS_MUST_KNOW 0xffff0000u /* unknown flags below these are ignored */

static const unsigned char newlines[] = {'\n', ' ', '\r', '\n'};

void vmdk_header_encode(const struct vmdk_header *h, unsigned char *p)
{
	memset(p, 0, HEADER_SIZE);
	memcpy(p, MAGIC, 4);
	store_le32(p + 4, h->version);
	store_le32(p + 8, h->flags | FLAG_NEWLINES);
	store_le64(p + 12, h->capacity);
	store_le64(p + 20, h->grain);
	store_le64(p + 28, h->desc_start);
	store_le64(p + 36, h->desc_len);
	store_le32(p + 44, h->tables_len);
	store_le64(p + 48, h->rgd);
	store_le64(p + 56, h->gd);
	store_le64(p + 64, h->overhead);
	memcpy(p + 73, newlines, sizeof newlines);
	store_le16(p + 77, h->compression);
}

void vmdk_header_encode_marker(uint64_t sectors, enum vmdk_markers type, unsigned char *p)
{
	store_le64(p, sectors);
	store_le32(p + 12, type);
}

static int check_compression(const struct vmdk_header *h, struct err *e)
{
	uint32_t unknown = h->flags & FLAGS_MUST_KNOW & ~(VMDK_COMPRESSED | VMDK_MARKERS);
	bool compressed = h->flags & VMDK_COMPRESSED;

	if (unknown)
		return err_set(e, ENOTSUP, "flags 0x%" PRIx32 " are not supported", unknown);
	if (h->compression > VMDK_DEFLATE)
		return err_set(
			e, ENOTSUP, "compression algorithm %u is not supported", h->compression);
	if (compressed != (h->compression == VMDK_DEFLATE) ||
		(!compressed && (h->flags & VMDK_MARKERS)))
		return err_set(e, EINVAL,
			"compression algorithm %u does not go with flags 0x%" PRIx32,
			h->compression, h->flags);
	return 0;
}

static int check_geometry(const struct vmdk_header *h, struct err *e)
{
	uint32_t max =
		h->flags & VMDK_COMPRESSED ? VMDK_MAX_COMPRESSED_SECTORS : VMDK_MAX_GRAIN_SECTORS;

	if (h->capacity > LIMIT_DISK_SIZE / VMDK_SECTOR)
		return err_set(e, EFBIG,
			"capacity of %" PRIu64 " sectors, at most %" PRIu64 " are possible",
			h->capacity, LIMIT_DISK_SIZE / VMDK_SECTOR);
	if (!is_power_of_2(h->grain) || h->grain > max)
		return err_set(e, EINVAL,
			"grain of %" PRIu64 " sectors, a power of 2 up to %" PRIu32 " expected",
			h->grain, max);
	if (h->tables_len < 1 || h->tables_len > VMDK_MAX_GTES_PER_GT)
		return err_set(e, EINVAL, "grain tables of %" PRIu32 " entries, 1 to %d expected",
			h->tables_len, VMDK_MAX_GTES_PER_GT);
	return 0;
}

int vmdk_header_read(struct io *io, uint64_t pos, struct vmdk_header *h, struct err *e)
{
	unsigned char p[HEADER_SIZE];
	int r = io_read(io, p, sizeof p, pos, e);

	if (r < 0)
		return r;
	*h = (struct vmdk_header){
		.version = load_le32(p + 4),
		.flags = load_le32(p + 8),
		.capacity = load_le64(p + 12),
		.grain = load_le64(p + 20),
		.desc_start = load_le64(p + 28),
		.desc_len = load_le64(p + 36),
		.tables_len = load_le32(p + 44),
		.rgd = load_le64(p + 48),
		.gd = load_le64(p + 56),
		.overhead = load_le64(p + 64),
		.compression = load_le16(p + 77),
	};
	if (memcmp(p, MAGIC, 4) != 0)
		return err_set(e, EINVAL, "not a sparse extent: no " MAGIC " at its start");
	if (h->version < 1 || h->version > 3)
		return err_set(e, ENOTSUP, "sparse extent version %" PRIu32 " is not supported",
			h->version);
	if ((h->flags & FLAG_NEWLINES) && memcmp(p + 73, newlines, sizeof newlines) != 0)
		return err_set(e, EUCLEAN,
			"line ends in the header were changed: the file was copied as text");
	r = check_compression(h, e);
	return r < 0 ? r : check_geometry(h, e);
}

/* The last sector of the file that is not all zero: after the footer come the end marker, which is
 * zero, and padding. */
static int find_last_sector(struct io *io, uint64_t *pos, struct err *e)
{
	uint64_t end = io->size - io->size % VMDK_SECTOR;
	uint64_t stop = end > VMDK_MAX_PADDING ? end - VMDK_MAX_PADDING : 0;
	unsigned char buf[16 * VMDK_SECTOR];

	while (end > stop) {
		size_t n = MIN(sizeof buf, end - stop);
		int r = io_read(io, buf, n, end - n, e);

		if (r < 0)
			return r;
		for (; n > 0; n -= VMDK_SECTOR, end -= VMDK_SECTOR)
			if (!is_zero(buf + n - VMDK_SECTOR, VMDK_SECTOR)) {
				*pos = end - VMDK_SECTOR;
				return 0;
			}
	}
	return err_set(
		e, EUCLEAN, "no footer: the last %" PRIu64 " bytes are zeroes", io->size - stop);
}

/* The footer is a copy of the header and takes precedence over it (Stream-Optimized Compressed
 * Sparse Extents). */
int vmdk_header_read_footer(struct io *io, struct vmdk_header *h, struct err *e)
{
	unsigned char marker[16];
	uint64_t pos;
	int r = find_last_sector(io, &pos, e);

	if (r < 0)
		return r;
	if (pos < VMDK_SECTOR)
		return err_set(e, EUCLEAN, "no footer: nothing follows the header");
	r = io_read(io, marker, sizeof marker, pos - VMDK_SECTOR, e);
	if (r < 0)
		return r;
	if (load_le32(marker + 8) != 0 || load_le32(marker + 12) != VMDK_MARKER_FOOTER)
		return err_set(e, EUCLEAN,
			"no footer at %" PRIu64 ": the file is cut short or was never finished",
			pos);
	r = vmdk_header_read(io, pos, h, e);
	if (r == 0 && h->gd == VMDK_GD_AT_END)
		r = err_set(e, EUCLEAN, "it does not have the grain directory's sector");
	return r < 0 ? err_in(e, "footer at %" PRIu64, pos) : 0;
}

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
