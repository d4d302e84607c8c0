/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* footer.c - Virtual Hard Disk Image Format Specification, "Hard Disk Footer Format".
 *
 * The footer ends the file and moves when that grows; a lost one is replaced by the copy at the
 * beginning.  The beginning of a fixed disk is the guest's, and has no copy.
 */
#include "footer.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "util/bytes.h"
#include "util/err.h"
#include "image/image.h"
#include "io/io.h"

/* The largest geometry. */
#define MAX_CYLINDERS 65535u
#define MAX_HEADS     16u
#define MAX_PER_TRACK 255u
#define MAX_SECTORS   (MAX_CYLINDERS * MAX_HEADS * MAX_PER_TRACK)

#define GEOMETRY 56u
#define CHECKSUM 64u

/* The creator of new files: one whose disks all readers take to be as long as the current size,
 * and not as the geometry, which may be less. */
#define CREATOR         "win "
#define CREATOR_VERSION 0x000a0000u
#define CREATOR_SYSTEM  "Wi2k"

uint32_t vhd_footer_checksum(const unsigned char *p, size_t len, size_t sum_at)
{
	uint32_t sum = 0;

	for (size_t i = 0; i < len; i++)
		if (i < sum_at || i >= sum_at + 4)
			sum += p[i];
	return ~sum;
}

static void seal(unsigned char *f)
{
	store_be32(f + CHECKSUM, vhd_footer_checksum(f, VHD_FOOTER_LEN, CHECKSUM));
}

enum vhd_footer_state vhd_footer_look(const unsigned char *p, size_t len)
{
	if (memcmp(p, "conectix", 8) != 0)
		return VHD_FOOTER_NONE;
	return load_be32(p + CHECKSUM) == vhd_footer_checksum(p, len, CHECKSUM)
		       ? VHD_FOOTER_GOOD
		       : VHD_FOOTER_DAMAGED;
}

/* Reads the footer at the end of the file, and sets d->end to its position. */
static int read_tail(struct vhd *d, enum vhd_footer_state *state, struct err *e)
{
	static const size_t lengths[] = {VHD_FOOTER_LEN, VHD_OLD_FOOTER_LEN};

	*state = VHD_FOOTER_NONE;
	d->end = d->io->size;
	for (size_t i = 0; i < 2 && *state == VHD_FOOTER_NONE; i++) {
		size_t len = lengths[i];
		int r;

		if (d->io->size < len)
			continue;
		d->footer[VHD_FOOTER_LEN - 1] = 0;
		r = io_read(d->io, d->footer, len, d->io->size - len, e);
		if (r < 0)
			return r;
		*state = vhd_footer_look(d->footer, len);
		if (*state != VHD_FOOTER_NONE)
			d->end = d->io->size - len;
	}
	return 0;
}

/* Sets d->footer, as read from the end of the file, to the copy if that is the one to use. */
static int choose(const struct image *img, struct vhd *d, enum vhd_footer_state at_end,
	const unsigned char *copy, enum vhd_footer_state at_start, struct err *e)
{
	unsigned char *f = d->footer;
	bool same = memcmp(f, copy, VHD_FOOTER_LEN - 1) == 0;

	/* A file that lost its end may end with bytes of a guest, even with a footer that the guest
	 * wrote.  So a footer of a disk that is not fixed counts only if the good copy has the same
	 * id. */
	if (at_end == VHD_FOOTER_GOOD && at_start == VHD_FOOTER_GOOD &&
		vhd_footer_type(f) != VHD_FIXED &&
		memcmp(f + VHD_FOOTER_ID, copy + VHD_FOOTER_ID, VHD_ID_LEN) != 0)
		at_end = VHD_FOOTER_NONE;
	d->footer_bad = at_end != VHD_FOOTER_GOOD || (vhd_footer_type(f) != VHD_FIXED && !same);
	if (at_end == VHD_FOOTER_GOOD) {
		if (d->footer_bad)
			image_warn(img, "the copy of the footer differs from it");
		return 0;
	}
	if (at_start == VHD_FOOTER_GOOD) {
		/* On a device the footer follows the data, whose end only the BAT has. */
		d->footer_bad = !d->io->is_block;
		if (d->footer_bad)
			image_warn(img, "the footer is %s; its copy is used",
				at_end == VHD_FOOTER_NONE ? "missing" : "damaged");
		memcpy(f, copy, VHD_FOOTER_LEN);
		return 0;
	}
	if (at_end == VHD_FOOTER_NONE && at_start == VHD_FOOTER_NONE)
		return err_set(e, EINVAL, "not a VHD image: no footer at the end of the file");
	if (!same)
		return err_set(
			e, EUCLEAN, "footer: the checksum is wrong, and there is no good copy");
	image_warn(img, "footer and copy agree, but their checksum is wrong");
	return 0;
}

int vhd_footer_read(struct image *img, struct vhd *d, struct err *e)
{
	unsigned char copy[VHD_FOOTER_LEN], *f = d->footer;
	enum vhd_footer_state at_end, at_start;
	uint32_t version;
	int r = read_tail(d, &at_end, e);

	if (r == 0)
		r = io_read_padded(d->io, copy, sizeof copy, 0, e);
	if (r < 0)
		return r;
	at_start = vhd_footer_look(copy, sizeof copy);
	if (at_start == VHD_FOOTER_GOOD && vhd_footer_type(copy) == VHD_FIXED)
		at_start = VHD_FOOTER_NONE;
	r = choose(img, d, at_end, copy, at_start, e);
	if (r < 0)
		return r;
	version = load_be32(f + 12);
	d->type = vhd_footer_type(f);
	d->header_pos = load_be64(f + 16);
	/* The current size: the geometry may be less, and never was all of the disk. */
	d->view.size = vhd_footer_size(f) & ~(uint64_t)(VHD_SECTOR - 1);
	memcpy(img->id, f + VHD_FOOTER_ID, VHD_ID_LEN);
	if (version >> 16 != 1)
		return err_set(e, ENOTSUP, "version %" PRIu32 ".%" PRIu32 " is not supported",
			version >> 16, version & 0xffff);
	if (d->type < VHD_FIXED || d->type > VHD_DIFFERENCING)
		return err_set(e, ENOTSUP, "disk type %u is not known", (unsigned)d->type);
	seal(f);
	return 0;
}

uint32_t vhd_footer_stamp(int64_t when)
{
	return MAX(when - VHD_EPOCH, 0);
}

/* The specification's appendix "CHS Calculation". */
static void put_geometry(unsigned char *p, uint64_t size)
{
	uint32_t sectors = MIN(size / VHD_SECTOR, MAX_SECTORS), per_track = 17, heads, tracks;

	tracks = sectors / per_track;
	heads = MAX(4, div_round_up(tracks, 1024));
	if (tracks >= heads * 1024 || heads > MAX_HEADS) {
		per_track = 31;
		heads = MAX_HEADS;
		tracks = sectors / per_track;
	}
	if (tracks >= heads * 1024) {
		per_track = 63;
		tracks = sectors / per_track;
	}
	if (sectors >= MAX_CYLINDERS * MAX_HEADS * 63) {
		per_track = MAX_PER_TRACK;
		heads = MAX_HEADS;
		tracks = sectors / per_track;
	}
	store_be16(p, tracks / heads);
	p[2] = heads;
	p[3] = per_track;
}

static uint64_t geometry_size(const unsigned char *p)
{
	return (uint64_t)load_be16(p) * p[2] * p[3] * VHD_SECTOR;
}

uint64_t vhd_footer_geometry_size(uint64_t size)
{
	unsigned char p[4];

	put_geometry(p, size);
	return geometry_size(p);
}

/* QEMU uses the geometry of disks of some creators, unless it is the largest one: a disk whose own
 * geometry would cut it gets that.  libvhdi uses the original size. */
void vhd_footer_set_size(unsigned char *f, uint64_t size)
{
	unsigned char *geometry = f + GEOMETRY;

	store_be64(f + 40, size);
	store_be64(f + 48, size);
	put_geometry(geometry, size);
	if (geometry_size(geometry) != size) {
		store_be16(geometry, MAX_CYLINDERS);
		geometry[2] = MAX_HEADS;
		geometry[3] = MAX_PER_TRACK;
	}
	seal(f);
}

void vhd_footer_encode(unsigned char *f, const struct vhd_new *n)
{
	memcpy(f, "conectix", 8);
	store_be32(f + 8, 2);           /* a bit that is always set */
	store_be32(f + 12, 0x00010000); /* version 1.0 */
	store_be64(f + 16, n->type == VHD_FIXED ? UINT64_MAX : VHD_FOOTER_LEN);
	store_be32(f + VHD_FOOTER_STAMP, vhd_footer_stamp(n->when));
	memcpy(f + VHD_FOOTER_CREATOR, CREATOR, 4);
	store_be32(f + 32, CREATOR_VERSION);
	memcpy(f + 36, CREATOR_SYSTEM, 4);
	store_be64(f + 40, n->size);
	store_be64(f + 48, n->size);
	put_geometry(f + GEOMETRY, n->size);
	store_be32(f + 60, n->type);
	memcpy(f + VHD_FOOTER_ID, n->id, VHD_ID_LEN);
	seal(f);
}

int vhd_footer_move(struct vhd *d, uint64_t end, struct err *e)
{
	uint64_t size = d->io->size;
	struct err ignored = ERR_INIT;
	int r = io_write(d->io, d->footer, VHD_FOOTER_LEN, end, e);

	if (r == 0)
		d->end = end;
	else
		io_resize(d->io, size, &ignored);
	return r;
}

int vhd_footer_cut(struct vhd *d, uint64_t end, struct err *e)
{
	int r = io_write(d->io, d->footer, VHD_FOOTER_LEN, end, e);

	if (r == 0 && !d->io->is_block)
		r = io_resize(d->io, end + VHD_FOOTER_LEN, e);
	if (r == 0)
		d->end = end;
	return r;
}

int vhd_footer_repair(struct vhd *d, struct err *e)
{
	int r = vhd_footer_move(d, round_up(d->end, VHD_SECTOR), e);

	if (r == 0)
		r = io_sync(d->io, e);
	if (r == 0 && d->type != VHD_FIXED)
		r = io_write(d->io, d->footer, VHD_FOOTER_LEN, 0, e);
	if (r == 0)
		d->footer_bad = false;
	return r;
}
