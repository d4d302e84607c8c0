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

/* The power of 1024 that a letter stands for, 0 without one; *p moves behind it. */
static unsigned parse_unit(const char **p)
{
	const char *unit = **p ? strchr(units, toupper((unsigned char)**p)) : NULL;

	if (!unit)
		return 0;
	++*p;
	return (unsigned)(unit - units);
}

static int parse_hex(const char *text, const char **end, uint64_t *bytes)
{
	char *behind;

	if (!isxdigit((unsigned char)text[2]))
		return -EINVAL;
	errno = 0;
	*bytes = strtoull(text, &behind, 16);
	*end = behind;
	return errno || *bytes > INT64_MAX ? -ERANGE : 0;
}

int size_parse_some(const char *text, const char **end, uint64_t *bytes)
{
	uint64_t whole, share = 0;
	bool has_point;
	unsigned unit;
	char *p;

	if (!isdigit((unsigned char)text[0]))
		return -EINVAL;
	if (text[0] == '0' && (text[1] == 'x' || text[1] == 'X'))
		return parse_hex(text, end, bytes);
	errno = 0;
	whole = strtoull(text, &p, 10);
	*end = p;
	has_point = *p == '.';
	if (has_point) {
		++*end;
		share = parse_fraction(end);
	}
	unit = parse_unit(end);
	if (has_point && unit == 0)
		return -EINVAL;
	if (errno || whole > (uint64_t)INT64_MAX >> 10 * unit)
		return -ERANGE;
	*bytes = whole << 10 * unit;
	if (unit > 0)
		*bytes += share >> (64 - 10 * unit);
	return *bytes > INT64_MAX ? -ERANGE : 0;
}

int size_parse(const char *text, uint64_t *bytes)
{
	const char *end;
	int r = size_parse_some(text, &end, bytes);

	return r == 0 && *end ? -EINVAL : r;
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
