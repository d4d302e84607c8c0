/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* report.h - prints messages to standard error.
 *
 * A line is "vdisk: " and the message.  The hints of an error follow in a line "hint: ", with
 * options of the current verb.  A lock is reported in qemu-img's words, for which programs look;
 * the hint names its holder.  All functions that print an error return 1, an exit status.
 */
#ifndef VDISK_TOOLS_LIB_REPORT_H
#define VDISK_TOOLS_LIB_REPORT_H

#include <stdbool.h>

struct err;
struct verb;

/* The program was called by this path: as qemu-img, it prints the words of qemu-img alone, and
 * hints only where it is stricter. */
void report_program(const char *path);

/* "vdisk", or "qemu-img". */
const char *report_name(void);

/* Is that "qemu-img"? */
bool report_is_qemu_img(void);

/* Prints a message. */
int report(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* Prints "WHAT: " and the error, and its hints. */
int report_err(const struct err *e, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Prints "NAME: " and the error, without a second "NAME: " that the error may begin with. */
int report_about(const char *name, const struct err *e);

/* Prints "Could not open 'NAME': " and the error, likewise.  option: the option for the format of
 * this file, up to the value ("-f "). */
int report_open(const char *name, const char *option, const struct err *e);

/* The text of the error without a "NAME: " that it may begin with. */
const char *report_reason(const char *name, const struct err *e);

/* Prints "LEAD 'NAME'" for an unknown format, and suggests the nearest one. */
int report_format(const char *lead, const char *name);

/* Limits hints to the options of this verb from now on. */
void report_verb(const struct verb *v);

/* Prints the error and its hints. */
int report_failure(const struct err *e);

/* Prints only the hints, if there are any; option as above. */
void report_hint(const struct err *e, const char *option);

/* Prints "hint: " and the commands that help, after an error. */
void report_advice(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* For image_options. */
void report_warning(const char *text);

#endif
