/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* bochs.c - growing disks of the Bochs emulator, for reading.
 *
 * A growing disk is a redolog without a base: a header, a catalog with an entry for each extent of
 * the disk, and extents.  An extent begins with a bitmap, one bit a sector, the lowest bit of a
 * byte first.  Sectors that are not stored are zeroes.  The other redologs, undoable and volatile,
 * are changes to a disk that they do not name.  All integers are little-endian.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "util/bitmap.h"
#include "util/bytes.h"
#include "util/err.h"
#include "util/limits.h"
#include "io/meta.h"
#include "io/io.h"
#include "view/view.h"
#include "image/check.h"
#include "image/format.h"
#include "image/image.h"

#define MAGIC         "Bochs Virtual HD Image"
#define TYPE          "Redolog"
#define SUBTYPE       "Growing"
#define VERSION_1     0x00010000u
#define VERSION_2     0x00020000u
#define HEADER_SIZE   96u /* bytes that are read, of 512 */
#define SECTOR        512u
#define CATALOG_ENTRY 4u
#define ABSENT        0xffffffffu

struct bochs {
	struct view view;
	struct io *io;
	uint64_t catalog_pos, data_pos;
	uint32_t extent_size;
	uint32_t bitmap_len; /* bytes before the data of an extent */
};

/* Maps bytes of the extent whose bitmap is at pos.  The file may end before sectors whose bits are
 * clear: they were never written. */
static int map_extent(
	const struct bochs *b, uint64_t pos, uint64_t skip, struct extent *x, struct err *e)
{
	size_t sector = skip / SECTOR, bit = sector % 8, n;
	struct meta m;
	bool stored;
	int r;

	if (!range_fits(pos, b->bitmap_len, b->io->size))
		return err_set(e, EIO, "it is at %" PRIu64 ", past the end of the file, %" PRIu64,
			pos, b->io->size);
	r = meta_pin(b->view.cache, b->io, pos + sector / 8, &m, e);
	if (r < 0)
		return r;
	n = MIN(m.n * 8, b->extent_size / SECTOR - (sector - bit));
	stored = bitmap_get(m.p, bit, LSB_FIRST);
	x->len = bitmap_run(m.p, bit, n, LSB_FIRST) * SECTOR - skip % SECTOR;
	meta_unpin(b->view.cache, &m);
	if (!stored)
		return 0;
	return extent_in_file(x, b->io, pos + b->bitmap_len, skip, x->len, SECTOR, e);
}

static int bochs_map(
	const struct view *v, uint64_t off, uint64_t len, struct extent *x, struct err *e)
{
	const struct bochs *b = (const struct bochs *)v;
	uint64_t i = off / b->extent_size, skip = off % b->extent_size;
	uint64_t wanted = div_round_up(skip + len, b->extent_size), entry;
	size_t n = 0, max;
	struct meta m;
	int r = meta_pin(v->cache, b->io, b->catalog_pos + i * CATALOG_ENTRY, &m, e);

	if (r < 0)
		return r;
	entry = load_le32(m.p);
	max = MIN(wanted, m.n / CATALOG_ENTRY);
	while (n < max && load_le32(m.p + CATALOG_ENTRY * n) == ABSENT)
		n++;
	meta_unpin(v->cache, &m);

	x->kind = EXTENT_ZERO;
	x->len = MAX(n, 1) * (uint64_t)b->extent_size - skip;
	if (n > 0)
		return 0;
	r = map_extent(
		b, b->data_pos + entry * ((uint64_t)b->bitmap_len + b->extent_size), skip, x, e);
	return r < 0 ? err_in(e, "extent %" PRIu64, i) : 0;
}

static const struct view_ops bochs_ops = {.map = bochs_map};

/* The header: every value is checked before it is used. */

static int check_extents(struct bochs *b, const unsigned char *h, struct err *e)
{
	uint32_t bitmap = load_le32(h + 76), extent = load_le32(h + 80);

	if (!is_power_of_2(extent) || extent < SECTOR || extent > BOCHS_MAX_EXTENT)
		return err_set(e, EINVAL,
			"extents of %" PRIu32 " bytes, a power of two from %u to %u expected",
			extent, SECTOR, BOCHS_MAX_EXTENT);
	if (bitmap < div_round_up(extent / SECTOR, 8) || bitmap > BOCHS_MAX_EXTENT)
		return err_set(e, EINVAL,
			"bitmaps of %" PRIu32 " bytes for extents of %" PRIu32 " sectors", bitmap,
			extent / SECTOR);
	b->extent_size = extent;
	b->bitmap_len = round_up(bitmap, SECTOR);
	return 0;
}

/* Version 1 has the size four bytes earlier: version 2 inserted a timestamp. */
static int check_catalog(struct bochs *b, const unsigned char *h, struct err *e)
{
	uint64_t size = load_le64(h + (load_le32(h + 64) == VERSION_1 ? 84 : 88));
	uint32_t n = load_le32(h + 72);

	b->catalog_pos = load_le32(h + 68);
	b->data_pos = b->catalog_pos + (uint64_t)n * CATALOG_ENTRY;
	b->view.size = size & ~(uint64_t)(SECTOR - 1);
	if (b->catalog_pos < HEADER_SIZE || b->catalog_pos % CATALOG_ENTRY != 0)
		return err_set(e, EINVAL, "catalog at %" PRIu64, b->catalog_pos);
	if (n > BOCHS_MAX_CATALOG)
		return err_set(e, EFBIG, "catalog of %" PRIu32 " entries, at most %u are possible",
			n, BOCHS_MAX_CATALOG);
	if (div_round_up(b->view.size, b->extent_size) > n)
		return err_set(e, EINVAL,
			"disk of %" PRIu64 " bytes in %" PRIu32 " extents of %" PRIu32, size, n,
			b->extent_size);
	if (b->data_pos > b->io->size)
		return err_set(e, EINVAL,
			"catalog of %" PRIu32 " entries at %" PRIu64
			" passes the end of the file, %" PRIu64,
			n, b->catalog_pos, b->io->size);
	return 0;
}

static int read_header(struct bochs *b, struct err *e)
{
	unsigned char h[HEADER_SIZE];
	uint32_t version;
	int r = io_read_header(b->io, h, sizeof h, e);

	if (r < 0)
		return r;
	version = load_le32(h + 64);
	if (memcmp(h, MAGIC, sizeof MAGIC) != 0)
		return err_set(e, EINVAL, "not a Bochs image");
	if (memcmp(h + 32, TYPE, sizeof TYPE) != 0 || memcmp(h + 48, SUBTYPE, sizeof SUBTYPE) != 0)
		return err_set(e, ENOTSUP,
			"a Bochs image of type %.16s, %.16s; only growing redologs are a disk by "
			"themselves",
			h + 32, h + 48);
	if (version != VERSION_1 && version != VERSION_2)
		return err_set(e, ENOTSUP, "Bochs image: version 0x%08" PRIx32 " is not supported",
			version);
	r = check_extents(b, h, e);
	return r < 0 ? r : check_catalog(b, h, e);
}

static int bochs_open(struct image *img, struct err *e)
{
	struct bochs *b = calloc(1, sizeof *b);
	int r;

	if (!b)
		return err_nomem(e);
	b->view = (struct view){.ops = &bochs_ops, .cache = img->opts->cache};
	b->io = img->io;
	r = read_header(b, e);
	if (r == 0 && !image_add_state(img, NULL, NULL, &b->view, e))
		r = -e->code;
	if (r < 0)
		free(b);
	return r;
}

static int bochs_probe(const struct peek *p)
{
	return p->nhead >= sizeof MAGIC && memcmp(p->head, MAGIC, sizeof MAGIC) == 0 ? 100 : 0;
}

static const char *const suffixes[] = {"bochs", "redolog", NULL};

const struct format bochs_format = {
	.name = "bochs",
	.title = "Bochs growing disk",
	.suffixes = suffixes,
	.probe = bochs_probe,
	.open = bochs_open,
	.check = check_map,
};
