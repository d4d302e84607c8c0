/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* power_cut_create.h - what a power cut leaves of an image under creation.
 *
 * The file lies on a medium (crash_storage.h).  Before each sync any part of what is pending may be
 * there. Each such file is refused, or is the new image as a whole, or is the one that was there
 * before; so it is when a call to the host fails.
 */
#ifndef UNIT_COMMON_POWER_CUT_CREATE_H
#define UNIT_COMMON_POWER_CUT_CREATE_H

#include <stdint.h>

struct power_create {
	const char *format;
	const char *const *options; /* NULL-terminated, or NULL */
	uint64_t size;
	const char *const *old_options; /* of an empty image of the same format that is replaced */
	uint64_t old_size;              /* of its disk, another one than size; 0: there is none */
	uint64_t seed;
};

void power_create(const struct power_create *p);

#endif
