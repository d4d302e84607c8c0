/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* unit.h - what the unit suites share. */
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

/* Each test of the case starts in an empty directory of its own; all are removed with the case,
 * also when a test fails. */
void use_temp_dir(TCase *tc);

/* Files of the current directory; name may hold slashes, missing directories are made. */
void write_file(const char *name, const void *data, size_t len);
void write_text(const char *name, const char *text);

/* Bytes that are never 0 and differ from place to place and from seed to seed. */
void fill_pattern(void *buf, size_t len, unsigned seed);

/* Little-endian, big-endian, at any place. */
void put_le(unsigned char *p, unsigned width, uint64_t value);
void put_be(unsigned char *p, unsigned width, uint64_t value);

/* A field that is set to a value, and how what is done then must fail. */
struct bend {
	size_t pos;
	unsigned width;
	uint64_t value;
	int code;
	const char *text;
};

/* The hints of an error in the words of vdiskfs, "" when there are none; valid until the next call.
 */
const char *hint_of(const struct err *e);

/* A number that looks random; the state may start as anything. */
uint64_t next_random(uint64_t *state);

/* The seed that every sequence of next_random derives from, besides its own first state; 0 at
 * first. Called before the first test. */
void random_start(uint64_t seed);

/* Options with a cache and a codec. */
struct image_options options_new(void);
void options_free(struct image_options *o);

/* Makes an empty image by the options, NULL-terminated; CREATE_NO_SIZE: as large as backing. */
int try_make_image(const char *format, const char *path, uint64_t size, const char *backing,
	const char *const *options, struct err *e);
void make_image(const char *format, const char *path, uint64_t size, const char *backing,
	const char *const *options);

/* The same, full of a pattern but for the middle third, which is not stored.  Returns what the disk
 * is, to be freed. */
unsigned char *make_full_image(
	const char *format, const char *path, uint64_t size, const char *const *options);

/* There can be no image of the format on a raw file. */
void refuses_raw_parent(const char *format, const char *part);

/* Opens an image with options of its own, which are the caller's to free. */
struct image *open_image_file(const char *path, bool write, struct image_options *o);

/* The image can be read, and not be opened for writing. */
void refuses_writing(const char *path, int code, const char *part);

/* The disk of the image cannot be made that long, and stays as long as it is. */
void refuses_size(const char *path, uint64_t size, int code, const char *part);

/* The error is -code and its text contains part. */
#define ck_assert_fails(result, code_, e, part)                                                    \
	do {                                                                                       \
		ck_assert_int_eq((result), -(code_));                                              \
		ck_assert_int_eq((e)->code, (code_));                                              \
		ck_assert_msg(strstr((e)->text, (part)) != NULL, "\"%s\" does not say \"%s\"",     \
			(e)->text, (part));                                                        \
	} while (0)

/* The same for what returns a pointer. */
#define ck_assert_null_fails(p, code_, e, part)                                                    \
	do {                                                                                       \
		ck_assert_ptr_null(p);                                                             \
		ck_assert_fails(-(e)->code, code_, e, part);                                       \
	} while (0)

#define ck_assert_ok(result, e) ck_assert_msg((result) == 0, "%s", (e)->text)

#endif
