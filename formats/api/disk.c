/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* disk.c - disks of vdisk.h: opened, read, written, closed. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "handle.h"
#include "io/io.h"
#include "partition/partition.h"
#include "util/bytes.h"
#include "view/view.h"
#include "volume/volume.h"
#include "view/writer.h"
#include "volumes.h"

#define SECTOR        512u
#define PREFERRED_MIN 4096u
#define PREFERRED_MAX (1u << 20)
#define LOOKS_MAX     1024 /* at the map, for one extent */

/* Puts the name of the disk in front of a message that does not name the file. */
static int disk_fail(const struct vdisk_disk *disk, struct vdisk_error *to, struct err *e)
{
	const char *name = disk->image->img->io->name;

	if (disk->title && strncmp(e->text, name, strlen(name)) != 0)
		err_in(e, "%s", disk->title);
	return handle_fail(to, e);
}

/* Opening. */

static int open_partition(
	struct vdisk_disk *disk, const struct partition_table *table, struct err *e)
{
	const struct partition *part = place_partition(&disk->place, table, e);

	if (!part)
		return -e->code;
	disk->view = view_slice(disk->place.state->view, part->start, part->len, e);
	disk->owns_view = true;
	return disk->view ? 0 : -e->code;
}

static int open_volume(struct vdisk_disk *disk, struct err *e)
{
	const struct volume *volume;
	int r = volumes_get(disk->image, &disk->place, &disk->volumes, e);

	if (r < 0)
		return r;
	volume = place_volume(&disk->place, volumes_set(disk->volumes), e);
	if (!volume)
		return -e->code;
	if (volume->error.code) {
		*e = volume->error;
		return -e->code;
	}
	disk->writable = disk->writable && !volume->no_writing;
	disk->view = volumes_view(disk->volumes, volume, e);
	return disk->view ? 0 : -e->code;
}

/* The table is read each time: writes may have changed it. */
static int open_view(struct vdisk_disk *disk, struct err *e)
{
	const struct place *place = &disk->place;
	struct partition_table table = {.n = 0};
	struct err of_table = ERR_INIT;
	int r = partition_table_read(
		place->state->view, place->img->sector_size, &table, &of_table);

	disk->writable = place->img->writable && place->state->no == 0;
	disk->sector = MAX(SECTOR, table.scheme ? table.sector : place->img->sector_size);
	if (place->kind == VDISK_VOLUME) {
		r = open_volume(disk, e);
	} else if (place->kind != VDISK_PARTITION) {
		disk->view = place->state->view;
		r = 0;
	} else if (r < 0) {
		*e = of_table;
	} else {
		r = open_partition(disk, &table, e);
	}
	partition_table_free(&table);
	return r;
}

static int set_title(struct vdisk_disk *disk, const char *path, struct err *e)
{
	const char *name = disk->image->img->io->name;

	if (asprintf(&disk->title, "%s%s%s", name, *path ? "/" : "", path) >= 0)
		return 0;
	disk->title = NULL;
	return err_nomem(e);
}

static void disk_free(struct vdisk_disk *disk)
{
	if (disk->owns_view)
		view_free(disk->view);
	volumes_put(disk->volumes);
	place_drop(&disk->place);
	free(disk->title);
	free(disk);
}

int vdisk_disk_open(struct vdisk_image *image, const char *path, struct vdisk_disk **out,
	struct vdisk_error *error)
{
	struct vdisk_disk *disk = calloc(1, sizeof *disk);
	struct err e = ERR_INIT;
	int r;

	if (!disk) {
		err_nomem(&e);
		return handle_fail(error, &e);
	}
	disk->image = image;
	r = set_title(disk, path, &e);
	if (r == 0)
		r = place_find(&disk->place, image->img, path, &e);
	if (r == 0)
		r = open_view(disk, &e);
	if (r < 0) {
		r = disk_fail(disk, error, &e);
		disk_free(disk);
		return r;
	}
	atomic_fetch_add(&image->disks, 1);
	*out = disk;
	return 0;
}

void vdisk_disk_close(struct vdisk_disk *disk)
{
	struct vdisk_image *image;

	if (!disk)
		return;
	image = disk->image;
	disk_free(disk);
	atomic_fetch_sub(&image->disks, 1);
}

/* Properties. */

uint64_t vdisk_disk_size(const struct vdisk_disk *disk)
{
	return disk->view->size;
}

uint32_t vdisk_disk_sector_size(const struct vdisk_disk *disk)
{
	return disk->sector;
}

uint32_t vdisk_disk_preferred(const struct vdisk_disk *disk)
{
	uint64_t unit = disk->place.state->view->unit;

	if (unit == 0 || !is_power_of_2(unit))
		return 64u << 10;
	return (uint32_t)MIN(MAX(unit, PREFERRED_MIN), PREFERRED_MAX);
}

bool vdisk_disk_is_writable(const struct vdisk_disk *disk)
{
	return disk->writable;
}

/* Requests. */

int vdisk_read(
	struct vdisk_disk *disk, void *buf, size_t len, uint64_t off, struct vdisk_error *error)
{
	struct err e = ERR_INIT;

	if (view_read(disk->view, buf, len, off, &e) == 0)
		return 0;
	return disk_fail(disk, error, &e);
}

/* Requests that change the disk begin here. */
static int check_change(const struct vdisk_disk *disk, uint64_t len, uint64_t off, struct err *e)
{
	if (!disk->writable)
		return err_set(e, EROFS, "it can only be read");
	if (!range_fits(off, len, disk->view->size))
		return err_set(e, ENOSPC,
			"%" PRIu64 " bytes at %" PRIu64 " pass the end of a disk of %" PRIu64, len,
			off, (uint64_t)disk->view->size);
	return 0;
}

/* They end here, also after a failure, which may have changed a part. */
static int end_change(struct vdisk_disk *disk, int r, struct vdisk_error *error, struct err *e)
{
	if (disk->place.kind != VDISK_VOLUME)
		atomic_fetch_add(&disk->image->changes, 1);
	return r < 0 ? disk_fail(disk, error, e) : 0;
}

int vdisk_write(struct vdisk_disk *disk, const void *buf, size_t len, uint64_t off,
	struct vdisk_error *error)
{
	struct err e = ERR_INIT;
	int r = check_change(disk, len, off, &e);

	if (r == 0)
		r = view_write(disk->view, buf, len, off, &e);
	return end_change(disk, r, error, &e);
}

int vdisk_zero(struct vdisk_disk *disk, uint64_t len, uint64_t off, unsigned flags,
	struct vdisk_error *error)
{
	struct err e = ERR_INIT;
	int r = check_change(disk, len, off, &e);

	if (r == 0 && flags & ~VDISK_NO_HOLE)
		r = err_set(&e, EINVAL, "flags %#x are not known", flags);
	if (r == 0 && len > 0)
		r = view_clear(disk->view, off, len, &e);
	/* A host that cannot guarantee the space has zeroes in the range all the same. */
	if (r == 0 && flags & VDISK_NO_HOLE && view_allocate(disk->view, off, len, &e) < 0 &&
		e.code != EOPNOTSUPP)
		r = -e.code;
	return end_change(disk, r, error, &e);
}

/* Clears the whole units in a range: a part of one would have to be overwritten with zeroes. */
static int discard(struct view *v, uint64_t off, uint64_t len, struct err *e)
{
	uint64_t n, at, first, end;
	const struct view *base;
	int r = 0;

	for (; r == 0 && len > 0; off += n, len -= n) {
		at = off;
		n = len;
		base = view_through(v, &at, &n);
		/* In a view that stands on others, zeroes would be written. */
		if (!base->write || base->write->check || base->unit == 0)
			continue;
		first = round_up(at, base->unit);
		end = at + n == base->size ? at + n : at + n - (at + n) % base->unit;
		if (first < end)
			r = view_clear(v, off + (first - at), end - first, e);
	}
	return r;
}

int vdisk_discard(struct vdisk_disk *disk, uint64_t len, uint64_t off, struct vdisk_error *error)
{
	struct err e = ERR_INIT;
	int r = check_change(disk, len, off, &e);

	if (r == 0)
		r = discard(disk->view, off, len, &e);
	return end_change(disk, r, error, &e);
}

int vdisk_flush(struct vdisk_disk *disk, struct vdisk_error *error)
{
	struct err e = ERR_INIT;

	if (view_flush(disk->view, &e) == 0)
		return 0;
	return disk_fail(disk, error, &e);
}

/* Extents. */

/* Entered. */
static enum vdisk_extent_kind look(
	const struct view *v, uint64_t off, uint64_t len, uint64_t *length)
{
	struct err ignored = ERR_INIT;
	struct extent x;

	*length = len;
	if (view_look(v, off, length)) {
		*length = MIN(*length, len);
		return VDISK_DATA;
	}
	*length = MIN(*length, len);
	if (view_resolve(v, off, *length, &x, &ignored) < 0)
		return VDISK_DATA;
	*length = MIN(*length, x.len);
	/* A range of a file that is no data is a hole of the file: space that an image has
	 * allocated is one, too, until it is written to. */
	if (x.kind == EXTENT_FILE)
		return x.owner->unit == 1 ? VDISK_HOLE : VDISK_ZERO;
	return x.inplace ? VDISK_ZERO : VDISK_HOLE;
}

int vdisk_extent(struct vdisk_disk *disk, uint64_t len, uint64_t off, enum vdisk_extent_kind *kind,
	uint64_t *length, struct vdisk_error *error)
{
	const struct view *v = disk->view;
	enum vdisk_extent_kind first, next;
	struct err e = ERR_INIT;
	uint64_t n, sum;

	if (len == 0 || !range_fits(off, len, v->size)) {
		err_set(&e, EINVAL,
			"an extent of %" PRIu64 " bytes at %" PRIu64
			" is not in a disk of %" PRIu64,
			len, off, (uint64_t)v->size);
		return disk_fail(disk, error, &e);
	}
	view_enter(v);
	first = next = look(v, off, len, &sum);
	for (unsigned i = 0; sum < len && i < LOOKS_MAX; i++) {
		next = look(v, off + sum, len - sum, &n);
		if (next != first)
			break;
		sum += n;
	}
	view_leave(v);
	*kind = first;
	*length = sum;
	return 0;
}
