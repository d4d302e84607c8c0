/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* check.h - checking an image for damage, and repairing it.
 *
 * A check reads all metadata of one image, not of its parents and never its data, and compares
 * data that is recorded twice.  It counts as qemu-img does, so that the reports of both can be
 * compared:
 *
 *   corruptions   metadata that makes the disk read wrong, now or after the next write
 *   leaks         allocated space without a reference; harmless
 *   check errors  metadata that could not be read
 *
 * One thread alone may check an image, which is not written meanwhile.  Memory is bounded by what
 * the host file really holds, never by a number in it: 64 MiB and some bytes for each cluster.
 */
#ifndef VDISK_IMAGE_CHECK_H
#define VDISK_IMAGE_CHECK_H

#include <stdbool.h>
#include <stdint.h>

struct err;
struct image;

/* The problems to repair.  "all" is both: repairing a corruption needs refcounts, which are
 * wrong where clusters are leaked. */
enum check_repair {
	CHECK_LEAKS = 1u << 0,
	CHECK_ERRORS = 1u << 1,
	CHECK_ALL = CHECK_LEAKS | CHECK_ERRORS,
};

struct check_report {
	/* By the caller: called with each finding, a sentence without a line end, in qemu-img's
	 * words where it has some ("ERROR cluster 4 refcount=0 reference=1").  May be NULL. */
	void (*found)(void *arg, const char *sentence);
	void *arg;

	/* By image_check, which begins with zeroes.  A repaired problem counts as fixed only. */
	uint64_t image_end_offset; /* of the last thing in use in the file; 0: not looked for */
	uint64_t total_clusters;   /* of the disk; 0: clusters are not counted */
	uint64_t allocated_clusters;
	uint64_t fragmented_clusters; /* that do not follow the one before them in the file */
	uint64_t compressed_clusters;
	uint64_t leaks, leaks_fixed;
	uint64_t corruptions, corruptions_fixed;
	uint64_t check_errors;

	/* By the driver: findings_max is how many sentences the file can explain. */
	uint64_t findings, findings_max;
};

/* Checks img, and repairs the problems in repair, for which it must be writable.  0: the check is
 * complete, and repairs are durable.  -ENOTSUP: images of this format
 * cannot be checked, or not be repaired: nothing was looked at.  Other failures: the check cannot
 * go on, and the report has the findings until then. */
int image_check(struct image *img, unsigned repair, struct check_report *r, struct err *e);

/* For drivers, as in struct format: can each byte of the disk be mapped, and has it a place of its
 * own in the file?  Ranges that the driver refuses to map are reported in its words. */
int check_map(struct image *img, unsigned repair, struct check_report *r, struct err *e);

/* For drivers: the former alone, or the latter alone: the driver checks the other. */
int check_damage(struct image *img, struct check_report *r, struct err *e);
int check_overlaps(struct image *img, struct check_report *r, struct err *e);

/* For drivers, whose tables may be a hole of the file that stands for millions of the same mistake:
 * shall it go on?  -EUCLEAN: enough was found: 65536 sentences, or findings_max if that is more. */
bool check_is_enough(const struct check_report *r);
int check_go_on(const struct check_report *r, struct err *e);

/* For drivers: a sentence, and one more of what it is about. */
void check_corruption(struct check_report *r, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
void check_leak(struct check_report *r, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* For drivers: a sentence alone. */
void check_tell(struct check_report *r, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#endif
