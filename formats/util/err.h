/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* err.h - an error: an errno, a message with the place and the reason, and perhaps hints.
 *
 * The function that finds a fault writes the message, with the value and the expected one; callers
 * only put the place in front of it (err_in).  The struct is on the stack of the caller, and
 * nothing here allocates.
 *
 * Codes: EINVAL a malformed file or argument, ENOTSUP a feature not supported, EUCLEAN a corrupt
 * structure, EIO the host or data that is not there, EACCES and ELOOP the file policy, EBUSY a
 * lock, ENOKEY and EKEYREJECTED no passphrase and a wrong one.
 */
#ifndef VDISK_UTIL_ERR_H
#define VDISK_UTIL_ERR_H

#include <stdatomic.h>
#include <stdbool.h>

#include "hint.h"

#define ERR_TEXT 768
#define ERR_HINT 512

struct err {
	int code; /* positive errno; 0 = no error */
	char text[ERR_TEXT];
	unsigned hints;         /* what the user may do about it: 1 << enum hint, several at once */
	unsigned hint_with_arg; /* the bit of the one that the argument belongs to */
	char hint_arg[ERR_HINT];
	atomic_bool
		*logged; /* of a lasting condition: it has been logged; NULL: of another error */
};

#define ERR_INIT                                                                                   \
	{                                                                                          \
		.code = 0                                                                          \
	}

/* Record a failure (and forget an older hint); returns -code, so "return err_set(...)" works. */
int err_set(struct err *e, int code, const char *fmt, ...)
	__attribute__((format(printf, 3, 4), cold));

/* Put "context: " before the sentence already recorded; returns -e->code. */
int err_in(struct err *e, const char *fmt, ...) __attribute__((format(printf, 2, 3), cold));

/* Add a hint that is the same sentence in all programs to the failure already recorded; returns
 * -e->code. */
int err_hint(struct err *e, const char *fmt, ...) __attribute__((format(printf, 2, 3), cold));

/* Add a hint that each program words for itself.  arg: NULL where the hint takes none; of several
 * hints with one, the last wins. */
int err_hint_code(struct err *e, enum hint hint, const char *arg) __attribute__((cold));

/* Makes text fit to be shown: one line of UTF-8 without control characters, as all of the above
 * leave it. */
void err_clean(char *text);

/* Is the error to be logged?  A lasting condition, such as a file that was cut, is logged once,
 * even if many requests fail. */
bool err_is_first(const struct err *e);

/* "out of memory"; returns -ENOMEM. */
int err_nomem(struct err *e) __attribute__((cold));

#endif
