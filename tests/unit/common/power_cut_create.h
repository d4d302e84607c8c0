/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* power_cut_create.h - power cuts while an image is created.
 *
 * The file is on a medium (crash_storage.h).  Before each sync any subset of the pending writes
 * may be there.  Each such file must be refused, or be the complete new image, or the image that
 * it replaces.  The same holds when a call to the host fails.
 */
#ifndef UNIT_COMMON_POWER_CUT_CREATE_H
#define UNIT_COMMON_POWER_CUT_CREATE_H

#include <stdint.h>

struct power_create {
	const char *format;
	const char *const *options; /* NULL-terminated, or NULL */
	uint64_t size;
	const char *const *old_options; /* of an empty image of the same format that is replaced */
	uint64_t old_size;              /* size of its disk, not equal to size; 0: a new file */
	uint64_t seed;
};

void power_create(const struct power_create *p);

#endif
