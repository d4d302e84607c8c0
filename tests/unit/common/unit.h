/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* unit.h - helpers of the unit suites. */
#ifndef UNIT_COMMON_UNIT_H
#define UNIT_COMMON_UNIT_H

#include <check.h>
#include <stddef.h>
#include <stdint.h>

#include "image/image.h"

#define SUITE(name) Suite *name##_suite(void);
#include "suites.h"
#undef SUITE

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

/* A suite of one case. */
Suite *suite_of(const char *name, TCase *tc);

/* Reports tests that cannot run here: "SUITE: why".  The suite of them must not add them. */
void report_skipped(const char *text);

/* Runs each test of the case in a new empty directory; all are removed after the case, even if a
 * test fails. */
void use_temp_dir(TCase *tc);

/* Files below the current directory; missing directories in name are created. */
void write_file(const char *name, const void *data, size_t len);
void write_text(const char *name, const char *text);

/* Non-zero bytes that depend on the position and the seed. */
void fill_pattern(void *buf, size_t len, unsigned seed);

/* Store value in width bytes, little-endian or big-endian; p need not be aligned. */
void put_le(unsigned char *p, unsigned width, uint64_t value);
void put_be(unsigned char *p, unsigned width, uint64_t value);

/* A change of one field, and the error that is expected then. */
struct field_case {
	size_t pos;
	unsigned width;
	uint64_t value;
	int code;
	const char *text;
};

/* The hints of an error in vdiskfs's words, "" if there are none; valid until the next call. */
const char *hint_of(const struct err *e);

/* Returns a pseudo-random number; any initial state is valid. */
uint64_t next_random(uint64_t *state);

/* Sets the seed of all sequences of next_random, in addition to their own initial state; 0 by
 * default.  Call it before the first test. */
void random_start(uint64_t seed);

/* Image options with a cache and a codec. */
struct image_options options_new(void);
void options_free(struct image_options *o);

/* Creates an empty image with options, NULL-terminated; CREATE_NO_SIZE: the size of backing. */
int try_make_image(const char *format, const char *path, uint64_t size, const char *backing,
	const char *const *options, struct err *e);
void make_image(const char *format, const char *path, uint64_t size, const char *backing,
	const char *const *options);

/* The same with a pattern in the first and last third; the middle third is not allocated.  Returns
 * the contents of the disk; the caller frees them. */
unsigned char *make_full_image(
	const char *format, const char *path, uint64_t size, const char *const *options);

/* Asserts that an image of the format cannot be created with a raw parent. */
void refuses_raw_parent(const char *format, const char *part);

/* Opens an image; the caller frees o with options_free. */
struct image *open_image_file(const char *path, bool write, struct image_options *o);

/* Asserts that the image opens for reading, and is refused for writing. */
void refuses_writing(const char *path, int code, const char *part);

/* Asserts that the disk cannot be resized to size and keeps its size. */
void refuses_size(const char *path, uint64_t size, int code, const char *part);

/* Asserts that the result is -code and the message contains part. */
#define ck_assert_fails(result, code_, e, part)                                                    \
	do {                                                                                       \
		ck_assert_int_eq((result), -(code_));                                              \
		ck_assert_int_eq((e)->code, (code_));                                              \
		ck_assert_msg(strstr((e)->text, (part)) != NULL, "\"%s\" does not say \"%s\"",     \
			(e)->text, (part));                                                        \
	} while (0)

/* The same for a function that returns a pointer. */
#define ck_assert_null_fails(p, code_, e, part)                                                    \
	do {                                                                                       \
		ck_assert_ptr_null(p);                                                             \
		ck_assert_fails(-(e)->code, code_, e, part);                                       \
	} while (0)

#define ck_assert_ok(result, e) ck_assert_msg((result) == 0, "%s", (e)->text)

#endif
