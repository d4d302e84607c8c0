/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* report.h - what goes to standard error. */
#ifndef VDISK_REPORT_H
#define VDISK_REPORT_H

struct err;

/* "vdisk: " and the line.  Returns 1, a status. */
int report(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* "vdisk: WHAT: " and the failure, and the hint if it has one, with options as vdisk spells them.
 * Returns 1. */
int report_err(const struct err *e, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* "vdisk: NAME: " and the failure, without saying twice what it is about.  Returns 1. */
int report_about(const char *name, const struct err *e);

/* "vdisk: Could not open 'NAME': " and the reason, likewise.  Returns 1. */
int report_open(const char *name, const struct err *e);

/* For image_options. */
void report_warning(const char *text);

#endif
