/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* power_cut.h - what a power cut leaves of an image.
 *
 * The image lies in a file of memory that remembers each write since the last sync.  Random writes,
 * clears and flushes go on; between them, and before each sync in the midst of them, the power
 * fails: of what was written since the last sync any part is there, in sectors, in any order, or
 * all up to some moment.  Each such file must open, pass the format's check without a corruption,
 * and hold in each sector what was flushed last or written later.  Now and then it is opened for
 * writing, written to and finished, and passes again.  A snapshot is there or is not, and has what
 * it was taken of; the disk is as before or what was gone back to.  So it is with the name of what
 * the image is based on, and with a disk that was emptied.  Where its size changes, it is as
 * long as before or as it shall be, and what it loses is gone for good.
 *
 * POWER_FACTOR=N in the environment makes a run N times as long.
 */
#ifndef UNIT_COMMON_POWER_CUT_H
#define UNIT_COMMON_POWER_CUT_H

#include <stdbool.h>
#include <stdint.h>

struct power {
	const char *path;   /* of the empty image to begin with, a single file */
	const char *format; /* NULL: probe */
	uint64_t seed;
	unsigned ops;   /* 0: 200 */
	unsigned cuts;  /* of parts that are looked at before a sync; 0: 4 */
	uint64_t grows; /* up to so many bytes, little by little, of which the first 4 MiB are
			 * written to and looked at; 0: never */
	bool shrinks;   /* and becomes shorter again, where the format lets it */
	bool no_check;  /* the format has none worth asking */
	bool snapshots; /* one is taken, gone back to and dropped, time and again */
	/* Names of backing files of so many bytes at most are set and taken away, and the disk is
	 * emptied, time and again; 0: not */
	unsigned base_name;
};

void power_run(const struct power *p);

/* POWER_FACTOR=50 lets it go on for longer, and says how many states were looked at; 0: not set. */
unsigned long power_factor(void);

/* The n-th call to the host fails, for each n of a scenario in turn: the caller hears of it, and
 * what was flushed before is there. */
void power_faults(const struct power *p);

#endif
