/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* unit.c - temporary directories, files, patterns, options.
 *
 * libcheck runs each test in a child process: changes made by a checked fixture are lost with it;
 * those of an unchecked fixture are made in the parent, whose teardown runs even if a test
 * crashed.
 */
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "io/cache.h"
#include "io/codec.h"
#include "open/create.h"
#include "util/err.h"
#include "image/format.h"
#include "open/registry.h"
#include "unit.h"
#include "view/view.h"
#include "open/open.h"

/* Global, since fixtures take no argument.  Only the parent sets and clears it. */
static char root[64];

Suite *suite_of(const char *name, TCase *tc)
{
	Suite *s = suite_create(name);

	suite_add_tcase(s, tc);
	return s;
}

void report_skipped(const char *text)
{
	printf("SKIP unit: %s\n", text);
	fflush(stdout); /* before libcheck forks */
}

static void make_root(void)
{
	strcpy(root, "/tmp/vdisk-unit-XXXXXX");
	if (!mkdtemp(root))
		abort();
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *where)
{
	(void)st;
	(void)type;
	(void)where;
	return remove(path);
}

static void remove_root(void)
{
	nftw(root, remove_one, 16, FTW_DEPTH | FTW_PHYS);
	root[0] = '\0';
}

static void enter_new_dir(void)
{
	char dir[96];

	snprintf(dir, sizeof dir, "%s/XXXXXX", root);
	ck_assert_ptr_nonnull(mkdtemp(dir));
	ck_assert_int_eq(chdir(dir), 0);
}

void use_temp_dir(TCase *tc)
{
	tcase_add_unchecked_fixture(tc, make_root, remove_root);
	tcase_add_checked_fixture(tc, enter_new_dir, NULL);
}

static void make_directories(const char *name)
{
	char dir[4096];

	for (const char *p = strchr(name + 1, '/'); p; p = strchr(p + 1, '/')) {
		snprintf(dir, sizeof dir, "%.*s", (int)(p - name), name);
		ck_assert(mkdir(dir, 0700) == 0 || errno == EEXIST);
	}
}

void write_file(const char *name, const void *data, size_t len)
{
	int fd;

	make_directories(name);
	fd = open(name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(write(fd, data, len), (ssize_t)len);
	ck_assert_int_eq(close(fd), 0);
}

void write_text(const char *name, const char *text)
{
	write_file(name, text, strlen(text));
}

void fill_pattern(void *buf, size_t len, unsigned seed)
{
	unsigned char *p = buf;

	for (size_t i = 0; i < len; i++)
		p[i] = 1 + (i + i / 251 + i / 4096 + 37 * (size_t)seed) % 255;
}

void put_le(unsigned char *p, unsigned width, uint64_t value)
{
	for (unsigned i = 0; i < width; i++, value >>= 8)
		p[i] = value;
}

void put_be(unsigned char *p, unsigned width, uint64_t value)
{
	for (; width > 0; width--, value >>= 8)
		p[width - 1] = value;
}

static uint64_t base;

void random_start(uint64_t seed)
{
	base = seed * 0x9e3779b97f4a7c15u;
}

uint64_t next_random(uint64_t *state)
{
	uint64_t z = (*state += 0x9e3779b97f4a7c15u) ^ base;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
	z = (z ^ z >> 27) * 0x94d049bb133111ebu;
	return z ^ z >> 31;
}

struct image_options options_new(void)
{
	struct err e = ERR_INIT;
	struct image_options o = {
		.cache = cache_new(4 << 20, &e),
		.codec = codec_new(&e),
	};

	ck_assert(o.cache && o.codec);
	return o;
}

void options_free(struct image_options *o)
{
	codec_free(o->codec);
	cache_free(o->cache);
}

int try_make_image(const char *format, const char *path, uint64_t size, const char *backing,
	const char *const *options, struct err *e)
{
	struct image_options o = options_new();
	struct create_request r = {
		.size = size,
		.backing = backing,
		.options = options,
		.how = &o,
	};
	int ret = image_create(registry_find(format), path, &r, e);

	options_free(&o);
	return ret;
}

void make_image(const char *format, const char *path, uint64_t size, const char *backing,
	const char *const *options)
{
	struct err e = ERR_INIT;

	ck_assert_ok(try_make_image(format, path, size, backing, options, &e), &e);
}

struct image *open_image_file(const char *path, bool write, struct image_options *o)
{
	struct err e = ERR_INIT;
	struct image *img;

	*o = options_new();
	o->write = write;
	ck_assert_ok(image_open(path, o, &img, &e), &e);
	return img;
}

unsigned char *make_full_image(
	const char *format, const char *path, uint64_t size, const char *const *options)
{
	const uint64_t third = size / 3;
	unsigned char *bytes = malloc(size);
	struct image_options o;
	struct err e = ERR_INIT;
	struct image *img;
	struct view *v;

	make_image(format, path, size, NULL, options);
	img = open_image_file(path, true, &o);
	v = img->states[0]->view;
	fill_pattern(bytes, size, 7);
	memset(bytes + third, 0, third);
	ck_assert_ok(view_write(v, bytes, third, 0, &e), &e);
	ck_assert_ok(view_write(v, bytes + 2 * third, size - 2 * third, 2 * third, &e), &e);
	ck_assert_ok(image_finish(img, &e), &e);
	image_close(img);
	options_free(&o);
	return bytes;
}

void refuses_raw_parent(const char *format, const char *part)
{
	struct image_options o = options_new();
	struct create_request r = {
		.size = 512, .backing = "b.raw", .backing_format = "raw", .how = &o};
	struct err e = ERR_INIT;

	write_text("b.raw", "0123456789abcdef");
	ck_assert_fails(image_create(registry_find(format), "c", &r, &e), EINVAL, &e, part);
	options_free(&o);
}

void refuses_writing(const char *path, int code, const char *part)
{
	struct image_options o;
	struct err e = ERR_INIT;
	struct image *img = open_image_file(path, false, &o);

	image_close(img);
	o.write = true;
	ck_assert_fails(image_open(path, &o, &img, &e), code, &e, part);
	options_free(&o);
}

void refuses_size(const char *path, uint64_t size, int code, const char *part)
{
	struct image_options o;
	struct err e = ERR_INIT;
	struct image *img = open_image_file(path, true, &o);
	uint64_t had = img->states[0]->view->size;

	ck_assert_fails(view_resize(img->states[0]->view, size, &e), code, &e, part);
	ck_assert_uint_eq(img->states[0]->view->size, had);
	image_close(img);
	options_free(&o);
}

const char *hint_of(const struct err *e)
{
	static char line[HINT_LINE];

	return hint_line(e, &hint_words_vdiskfs, line) ? line : "";
}
