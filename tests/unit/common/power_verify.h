/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* power_verify.h - the contents that an image may have after a power cut, and their verification.
 */
#ifndef UNIT_COMMON_POWER_VERIFY_H
#define UNIT_COMMON_POWER_VERIFY_H

#include "image/image.h"
#include "crash_storage.h"
#include "power_cut.h"

#define SECTOR          512u
#define WRITTEN_SECTORS UINT64_C(8192) /* sectors that are written to on a disk that is resized */

/* The contents that each sector of the disk may have. */

/* A write fills a sector with the sector's number and the number of the write.  Zeroes: never
 * written, or cleared. */
struct disk {
	uint64_t size;          /* in sectors */
	uint64_t sectors, most; /* written to and compared: now; at most */
	uint64_t other_size;    /* the new size while a resize is pending; 0: none */
	uint64_t *flushed;      /* the last write that a flush has made durable */
	uint64_t *written;      /* the last write; 0: clear */
	uint64_t *first_later;  /* the first write since the flush; 0: none */
	bool *may_be_zero;      /* cleared since the flush */
	bool *uncertain;        /* the last write or clear failed, perhaps half done */
	const uint64_t *other;  /* allowed as well, while a snapshot is applied; may be NULL */
};

/* The snapshot. */
struct snapshot_model {
	bool may_exist, may_be_absent; /* allowed states; both during a change */
	uint64_t *written;             /* the write in each sector */
};

/* The backing file, by the number of the change that set it; 0: none. */
struct backing_model {
	uint64_t now;
	uint64_t other; /* allowed as well, during a change */
};

#define SNAPSHOT  "snapshot"
#define BASE_NAME 1023 /* longest name in bytes */

struct run {
	const struct power *p;
	struct image_options o;
	struct medium medium;
	struct image *img;
	struct disk disk;
	struct snapshot_model snapshot;
	struct backing_model base;
	uint64_t *no_writes; /* contents of an emptied disk */
	bool in_change;      /* of snapshots: COPIED flags may be missing */
	uint64_t stamp;      /* number of the last write */
	uint64_t state;
	unsigned verified;            /* states that were checked */
	struct scratch after;         /* the file after the power cut */
	struct scratch next, ignored; /* its current and durable contents in go_on_writing */
};

/* Fills a sector with its number and that of the write. */
void power_put_sector(unsigned char *p, uint64_t sector, uint64_t stamp);

/* Name and format of the backing file that change no sets. */
const char *power_base_name(const struct run *run, uint64_t no, char name[BASE_NAME + 1]);
const char *power_base_format(uint64_t no);

/* Asserts that an image has allowed contents and no corruption. */
void power_verify_image(const struct run *run, struct image *img, bool leaks_too);

/* Opens an image; the backing file exists by name only and reads as zeroes. */
struct image *power_open_medium(const struct run *run, struct io *io, struct image_options *o);
struct image *power_open_bytes(
	const struct run *run, const unsigned char *bytes, uint64_t size, struct image_options *o);

/* Asserts the same for the bytes of a file, and that some of these can be written to. */
void power_verify_file(struct run *run, const unsigned char *bytes, uint64_t size);

#endif
