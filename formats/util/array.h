/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* array.h - arrays that grow by one element, and sorted ones. */
#ifndef VDISK_UTIL_ARRAY_H
#define VDISK_UTIL_ARRAY_H

#include <stddef.h>
#include <stdlib.h>

#include "bytes.h"

/* The array of n elements with space for one more, perhaps moved, or NULL without memory; the old
 * one stays valid then.  Its capacity is not stored: arrays double, so one is full when n is a
 * power of two. */
static inline void *array_grow(void *array, size_t n, size_t size)
{
	if (n == 0) /* there may be an array already, when nothing was added to it */
		return reallocarray(array, 1, size);
	return is_power_of_2(n) ? reallocarray(array, n, 2 * size) : array;
}

/* The index of the first element of a sorted array that is not less than key, or n.  compare: as
 * for bsearch. */
static inline size_t array_lower_bound(const void *key, const void *array, size_t n, size_t size,
	int (*compare)(const void *key, const void *element))
{
	size_t low = 0;

	while (low < n) {
		size_t middle = low + (n - low) / 2;

		if (compare(key, (const char *)array + middle * size) > 0)
			low = middle + 1;
		else
			n = middle;
	}
	return low;
}

#endif
