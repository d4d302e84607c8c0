/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "size.h"

#include <ctype.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char units[] = "BKMGTPE";

/* The digits behind the point as a share of 2^64; *p moves behind them. */
static uint64_t parse_fraction(const char **p)
{
	long double share = 0, place = 1;

	for (; isdigit((unsigned char)**p); ++*p) {
		place /= 10;
		share += (**p - '0') * place;
	}
	share *= 18446744073709551616.0L;
	return share >= 18446744073709551615.0L ? UINT64_MAX : (uint64_t)share;
}

int size_parse(const char *text, uint64_t *bytes)
{
	bool hex = text[0] == '0' && (text[1] == 'x' || text[1] == 'X'), has_point;
	const char *end, *letter;
	uint64_t whole, share = 0;
	unsigned unit = 0; /* a power of 1024 */
	char *p;

	if (!isdigit((unsigned char)text[0]) || (hex && !isxdigit((unsigned char)text[2])))
		return -EINVAL;
	errno = 0;
	whole = strtoull(text, &p, hex ? 16 : 10);
	end = p;
	has_point = !hex && *end == '.';
	if (has_point) {
		end++;
		share = parse_fraction(&end);
	}
	letter = !hex && *end ? strchr(units, toupper((unsigned char)*end)) : NULL;
	if (letter) {
		end++;
		unit = (unsigned)(letter - units);
	}
	if (share > 0 && unit == 0)
		return -EINVAL;
	if (errno || whole > (uint64_t)INT64_MAX >> 10 * unit)
		return -ERANGE;
	*bytes = whole << 10 * unit;
	if (unit > 0)
		*bytes += share >> (64 - 10 * unit);
	if (*bytes > INT64_MAX)
		return -ERANGE;
	return *end ? -EINVAL : 0;
}

/* A number goes up a unit at 1000 of the one below, so that three digits do. */
struct size_text size_text(uint64_t bytes)
{
	static const char *const names[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
	double value = (double)bytes;
	struct size_text s;
	size_t i = 0;

	for (; value >= 1000 && i + 1 < sizeof names / sizeof names[0]; i++)
		value /= 1024;
	snprintf(s.text, sizeof s.text, "%.3g %s", value, names[i]);
	return s;
}
