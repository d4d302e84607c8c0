/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* nearest.h - the known word that an unknown one was probably meant to be. */
#ifndef VDISK_UTIL_NEAREST_H
#define VDISK_UTIL_NEAREST_H

#include <stddef.h>

/* Words end with "=" or with the string: "size=64k" is the word "size". */
struct nearest {
	const char *word;
	const char *best; /* borrowed from the candidates; NULL: none is near */
	size_t length;    /* of best */
	size_t distance;  /* likewise */
};

struct nearest nearest_to(const char *word);

/* Offers a candidate.  It is near when at most a third of the letters of the longer word differ;
 * two that are swapped count once. */
void nearest_offer(struct nearest *n, const char *candidate);

#endif
