/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* file.c - the files of Parallels disks.
 *
 * An expanding image is a header, a block allocation table (BAT) with an entry for each cluster,
 * and clusters.  There are two magics: with the old one entries count sectors, with the new one
 * clusters.  All integers are little-endian.
 */
#include "file.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "util/bytes.h"
#include "util/err.h"
#include "util/limits.h"
#include "io/meta.h"
#include "io/io.h"
#include "view/view.h"

#define MAGIC_LEN 16u
#define MAGIC_OLD "WithoutFreeSpace"
#define MAGIC_NEW "WithouFreSpacExt"
#define VERSION   2u
#define IN_USE    0x746f6e59u

bool parallels_file_probe(const unsigned char *head, size_t len)
{
	return len >= MAGIC_LEN &&
	       (memcmp(head, MAGIC_OLD, MAGIC_LEN) == 0 || memcmp(head, MAGIC_NEW, MAGIC_LEN) == 0);
}

/* Every value is checked before it is used. */
int parallels_file_read(struct parallels_file *f, struct err *e)
{
	unsigned char h[PARALLELS_HEADER];
	uint64_t sectors, cluster, bat_end;
	bool old;
	int r = io_read_header(f->io, h, sizeof h, e);

	if (r < 0)
		return r;
	if (!parallels_file_probe(h, sizeof h))
		return err_set(e, EINVAL, "not a Parallels image");
	if (load_le32(h + 16) != VERSION)
		return err_set(e, ENOTSUP, "Parallels image: version %" PRIu32 ", %u is supported",
			load_le32(h + 16), VERSION);
	old = memcmp(h, MAGIC_OLD, MAGIC_LEN) == 0;
	cluster = load_le32(h + 28);
	if (cluster == 0 || cluster > PARALLELS_MAX_CLUSTER)
		return err_set(e, EINVAL, "clusters of %" PRIu64 " sectors, 1..%u expected",
			cluster, PARALLELS_MAX_CLUSTER);
	/* Writers of the old magic leave garbage in the high half of the size. */
	sectors = old ? load_le32(h + 36) : load_le64(h + 36);
	if (sectors > LIMIT_DISK_SIZE / PARALLELS_SECTOR)
		return err_set(e, EFBIG, "a disk of %" PRIu64 " sectors", sectors);
	f->cluster = cluster * PARALLELS_SECTOR;
	f->unit = old ? PARALLELS_SECTOR : f->cluster;
	f->size = sectors * PARALLELS_SECTOR;
	f->unclean = load_le32(h + PARALLELS_AT_IN_USE) == IN_USE;
	f->nentries = load_le32(h + 32);
	if (f->nentries < div_round_up(f->size, f->cluster))
		return err_set(e, EINVAL,
			"disk of %" PRIu64 " bytes in %" PRIu64 " clusters of %" PRIu64, f->size,
			f->nentries, f->cluster);
	bat_end = PARALLELS_HEADER + f->nentries * PARALLELS_BAT_ENTRY;
	if (bat_end > f->io->size)
		return err_set(e, EINVAL,
			"BAT of %" PRIu64 " entries passes the end of the file, %" PRIu64,
			f->nentries, f->io->size);
	f->data_pos = MAX((uint64_t)load_le32(h + 48) * PARALLELS_SECTOR, bat_end);
	return 0;
}

/* Mapping. */

/* The number of entries, of n at p, whose clusters follow each other. */
static size_t run_length(const struct parallels_file *f, const unsigned char *p, size_t n)
{
	uint64_t first = load_le32(p), step = first ? f->cluster / f->unit : 0;
	size_t i = 1;

	while (i < n && load_le32(p + PARALLELS_BAT_ENTRY * i) == first + i * step)
		i++;
	return i;
}

static int map_clusters(const struct parallels_file *f, struct cache *cache, uint64_t off,
	uint64_t len, struct extent *x, struct err *e)
{
	uint64_t i = off / f->cluster, skip = off % f->cluster, pos;
	uint64_t wanted = div_round_up(skip + len, f->cluster);
	struct meta m;
	size_t n;
	int r = meta_pin(cache, f->io, PARALLELS_HEADER + i * PARALLELS_BAT_ENTRY, &m, e);

	if (r < 0)
		return r;
	pos = load_le32(m.p) * f->unit;
	n = run_length(f, m.p, MIN(wanted, m.n / PARALLELS_BAT_ENTRY));
	meta_unpin(cache, &m);

	x->kind = EXTENT_BELOW;
	x->len = n * f->cluster - skip;
	if (pos == 0)
		return 0;
	if (pos >= f->data_pos)
		return extent_in_file(x, f->io, pos, skip, x->len, f->cluster, e);
	x->len = f->cluster - skip;
	return err_set(e, EUCLEAN,
		"%s: cluster %" PRIu64 " at %" PRIu64 ", before the data, which begins at %" PRIu64,
		f->io->name, i, pos, f->data_pos);
}

int parallels_file_map(const struct parallels_file *f, struct cache *cache, uint64_t off,
	uint64_t len, struct extent *x, struct err *e)
{
	int r;

	if (f->plain)
		return extent_in_file(x, f->io, 0, off, len, 0, e);
	/* The disk grew after this snapshot. */
	if (off >= f->size) {
		x->kind = EXTENT_BELOW;
		x->len = len;
		return 0;
	}
	len = MIN(len, f->size - off);
	r = map_clusters(f, cache, off, len, x, e);
	x->len = MIN(x->len, len);
	return r;
}
