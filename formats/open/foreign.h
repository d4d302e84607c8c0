/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* foreign.h - files that are known by their magic and not read. */
#ifndef VDISK_OPEN_FOREIGN_H
#define VDISK_OPEN_FOREIGN_H

struct peek;

struct foreign {
	const char *what;   /* for the refusal: "a gzip file" */
	const char *advice; /* advice, with "%s" for the name of the file; NULL: none */
};

/* The kind of a file, or NULL. */
const struct foreign *foreign_find(const struct peek *p);

#endif
