/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* lvm_disk.h - physical volumes in memory, and the text that describes their group.
 *
 * Device i has the id of 32 times the letter 'a' + i.  Its label is in sector 1, its metadata area
 * at LVM_AREA, its extents are at LVM_START, and each byte of them is known.
 */
#ifndef UNIT_VOLUME_LVM_DISK_H
#define UNIT_VOLUME_LVM_DISK_H

#include <stddef.h>
#include <stdint.h>

#include "util/err.h"
#include "view/view.h"
#include "volume/volume.h"

#define LVM_AREA     4096u
#define LVM_AREA_LEN 32768u
#define LVM_START    65536u /* 128 sectors */
#define LVM_EXTENT   8192u  /* 16 sectors */
#define LVM_EXTENTS  24u    /* of a device */
#define LVM_DISK     (LVM_START + LVM_EXTENTS * LVM_EXTENT)
#define LVM_DISKS    6

struct lvm_disk {
	struct view view;
	struct io *io;
	unsigned looks; /* of readers at the map */
	unsigned char bytes[LVM_DISK];
};

/* Global, since fixtures take no argument; libcheck runs each test in its own process. */
extern struct lvm_case {
	struct lvm_disk *disks[LVM_DISKS]; /* with labels and empty areas */
	struct volume_set *set;
	struct err error;
} lvm;

/* Fixtures for tcase_add_checked_fixture. */
void lvm_setup(void);
void lvm_teardown(void);

/* The checksum of LVM, written down once more. */
uint32_t lvm_disk_crc(const void *data, size_t len);

/* Make the checksum of the label in sector 1, or of the area's header, right again. */
void lvm_disk_seal_label(struct lvm_disk *d);
void lvm_disk_seal_area(struct lvm_disk *d);

/* Writes a text to the area, pos bytes from its start on, and round its end. */
void lvm_disk_put_text(struct lvm_disk *d, size_t pos, const char *text);

/* The text of a group "vg" of n devices, with these logical volumes; valid until the next call. */
const char *lvm_text(unsigned seqno, size_t n, const char *volumes);

/* A visible volume of one segment: the type and its other lines. */
#define LVM_LV(name, id, extents, type, lines)                                                     \
	LVM_LV_OF(name, id, "\"READ\", \"WRITE\", \"VISIBLE\"", extents, type, lines)
#define LVM_HIDDEN(name, id, extents, type, lines)                                                 \
	LVM_LV_OF(name, id, "\"READ\", \"WRITE\"", extents, type, lines)
#define LVM_LV_OF(name, id, status, extents, type, lines)                                          \
	name " { id = \"" id "00000-0000-0000-0000-0000-0000-000000\"\n status = [" status         \
	     "]\n flags = []\n segment_count = 1\n" LVM_SEGMENT(                                   \
		     "1", "0", extents, type, lines) "}\n"
#define LVM_SEGMENT(number, start, extents, type, lines)                                           \
	"segment" number " { start_extent = " start "\n extent_count = " extents                   \
	"\n type = \"" type "\"\n" lines "\n}\n"
#define LVM_LINEAR(device, extent) "stripe_count = 1\nstripes = [ \"" device "\", " extent " ]"

/* Reads the volumes of the first n disks, each a whole one. */
void lvm_read(size_t n);

/* Puts the text on the first n disks, and reads them. */
void lvm_read_text(size_t n, const char *text);

/* The volume of this name, which must be one that can be read, or must not, with this text. */
const struct volume *lvm_volume(const char *name);
void lvm_refused(const char *name, const char *text);

/* The view of a volume over the first n disks; the test frees it. */
struct view *lvm_view(const char *name, size_t n);

/* The byte of extents: of device i, at an offset from the first one on. */
unsigned char lvm_byte(size_t i, uint64_t off);

/* The bytes of a volume over the first n disks are those of extents (or stripes, of a size) in a
 * row: "b3" is the extent 3 of disk 1, "zz" an extent of zeroes. */
void lvm_check_picture(const char *name, size_t n, const char *picture, size_t unit);
#define LVM_PICTURE(name, n, picture) lvm_check_picture(name, n, picture, LVM_EXTENT)

/* The disk i is lost: it has another id. */
void lvm_lose(size_t i);

#endif
