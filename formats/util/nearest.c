/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* nearest.c - distances of words: Damerau and Levenshtein's, of adjacent swaps only. */
#include "nearest.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "bytes.h"

#define WORD_MAX 40

struct nearest nearest_to(const char *word)
{
	return (struct nearest){.word = word, .distance = SIZE_MAX};
}

static bool same_letter(char a, char b)
{
	return tolower((unsigned char)a) == tolower((unsigned char)b);
}

/* Row i of the table has the distances of a's first i letters from each beginning of b. */
static size_t distance(const char *a, size_t na, const char *b, size_t nb)
{
	size_t rows[3][WORD_MAX + 1];

	for (size_t j = 0; j <= nb; j++)
		rows[0][j] = j;
	for (size_t i = 1; i <= na; i++) {
		size_t *row = rows[i % 3], *above = rows[(i + 2) % 3], *second = rows[(i + 1) % 3];

		row[0] = i;
		for (size_t j = 1; j <= nb; j++) {
			row[j] = MIN(above[j - 1] + !same_letter(a[i - 1], b[j - 1]),
				1 + MIN(above[j], row[j - 1]));
			if (i > 1 && j > 1 && same_letter(a[i - 1], b[j - 2]) &&
				same_letter(a[i - 2], b[j - 1]))
				row[j] = MIN(row[j], second[j - 2] + 1);
		}
	}
	return rows[na % 3][nb];
}

void nearest_offer(struct nearest *n, const char *candidate)
{
	size_t na = strcspn(n->word, "="), nb = strcspn(candidate, "="), d;

	if (na == 0 || na > WORD_MAX || nb > WORD_MAX)
		return;
	d = distance(n->word, na, candidate, nb);
	if (d > MAX(na, nb) / 3 || d >= n->distance)
		return;
	n->best = candidate;
	n->length = nb;
	n->distance = d;
}
