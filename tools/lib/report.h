/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* report.h - what goes to standard error. */
#ifndef VDISK_TOOLS_LIB_REPORT_H
#define VDISK_TOOLS_LIB_REPORT_H

struct err;
struct verb;

/* "vdisk: " and the line.  Returns 1, a status. */
int report(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* "vdisk: WHAT: " and the failure, and the hint if it has one, with options as vdisk spells them.
 * Returns 1. */
int report_err(const struct err *e, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* "vdisk: NAME: " and the failure, without saying twice what it is about.  Returns 1. */
int report_about(const char *name, const struct err *e);

/* "vdisk: Could not open 'NAME': " and the reason, likewise.  option: the one that names the format
 * of this file, up to the value ("-f ").  Returns 1. */
int report_open(const char *name, const char *option, const struct err *e);

/* "vdisk: LEAD 'NAME'" of a format that is not known, and which one may be meant.  Returns 1. */
int report_format(const char *lead, const char *name);

/* From here on hints name only the options that this verb has. */
void report_verb(const struct verb *v);

/* The failure alone, and the hint.  Returns 1. */
int report_failure(const struct err *e);

/* The hint alone, if there is one; option as above. */
void report_hint(const struct err *e, const char *option);

/* "hint: " and what to type, behind the line that says what is wrong. */
void report_advice(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* For image_options. */
void report_warning(const char *text);

#endif
