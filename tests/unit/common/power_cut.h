/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* power_cut.h - power cuts while an image is written to.
 *
 * The image is a file in memory that records each write since the last sync.  The test runs random
 * writes, clears and flushes.  Between them, and before each sync inside them, it simulates power
 * cuts: any subset of the pending sectors is written, in any order, or all up to some call.  Each
 * resulting file must open, pass the format's check without corruptions, and have in each sector
 * the last flushed write or a later one.  Some are opened for writing, written to, and checked
 * again.
 *
 * After a power cut during a change, a snapshot exists with exactly its contents, or does not
 * exist; the disk has its old contents or those of the applied snapshot; the backing file is the
 * old or the new one; an emptied disk is empty or unchanged; a resized disk has the old or the new
 * size.  Data beyond a new end never reappears.
 *
 * POWER_FACTOR=N in the environment makes a run N times as long.
 */
#ifndef UNIT_COMMON_POWER_CUT_H
#define UNIT_COMMON_POWER_CUT_H

#include <stdbool.h>
#include <stdint.h>

struct power {
	const char *path;   /* an empty image in a single file */
	const char *format; /* NULL: probed */
	uint64_t seed;
	unsigned ops;   /* 0: 200 */
	unsigned cuts;  /* power cuts with random subsets before each sync; 0: 4 */
	uint64_t grows; /* the disk grows to this size in bytes; 0: it does not.  Writes and
			 * comparisons use its first 4 MiB. */
	bool shrinks;   /* also shrinks, if the format can */
	bool no_check;  /* the format has no useful check */
	bool snapshots; /* a snapshot is created, applied and deleted repeatedly */
	/* Longest name of a backing file; backing files are set and removed, and the disk is
	 * emptied, repeatedly.  0: none of this. */
	unsigned base_name;
};

void power_run(const struct power *p);

/* The POWER_FACTOR of the environment, 0 if it is not set.  If set, the number of checked states
 * is printed. */
unsigned long power_factor(void);

/* Fails the n-th call to the host, for each n of a scenario: an error must be returned, and
 * flushed data must be there. */
void power_faults(const struct power *p);

#endif
