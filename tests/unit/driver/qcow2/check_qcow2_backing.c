/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* image_set_backing changes the backing file in the header of a qcow2 image, and nothing else. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "util/bytes.h"
#include "util/err.h"
#include "image/image.h"
#include "open/open.h"
#include "common/power_cut.h"
#include "common/unit.h"
#include "view/view.h"

#define PATH "image.qcow2"
#define SIZE (UINT64_C(4) << 20)

static struct image_options o;

static void setup(void)
{
	o = options_new();
	o.format = "qcow2";
	o.nobacking = true;
}

static void teardown(void)
{
	options_free(&o);
}

static void make_sized(const char *cluster_size, const char *compat, uint64_t size)
{
	const char *words[] = {cluster_size, compat, NULL};

	unlink(PATH);
	make_image("qcow2", PATH, size, NULL, words);
}

static void make(const char *cluster_size, const char *compat)
{
	make_sized(cluster_size, compat, SIZE);
}

static struct image *open_image(bool write)
{
	struct image *img;
	struct err e = ERR_INIT;

	o.write = write;
	ck_assert_ok(image_open(PATH, &o, &img, &e), &e);
	return img;
}

static int set(const char *name, const char *format, struct err *e)
{
	struct image *img = open_image(true);
	int r = image_set_backing(img, name, format, e);

	if (r == 0)
		r = image_finish(img, e);
	image_close(img);
	return r;
}

static void same_text(const char *a, const char *b)
{
	ck_assert_int_eq(!a, !b);
	if (a)
		ck_assert_str_eq(a, b);
}

static void has(const char *name, const char *format)
{
	struct image *img = open_image(false);

	same_text(img->parent_name, name);
	same_text(img->parent_format, format);
	image_close(img);
}

static void sets(const char *name, const char *format)
{
	struct err e = ERR_INIT;

	ck_assert_ok(set(name, format, &e), &e);
	has(name, name ? format : NULL);
}

static const char *name_of(size_t len)
{
	static char name[2000];

	memset(name, 'n', len);
	name[len] = '\0';
	return name;
}

static const char *const clusters[] = {
	"cluster_size=512", "cluster_size=4k", "cluster_size=64k", "cluster_size=2M"};
static const char *const compats[] = {"compat=1.1", "compat=0.10"};

/* A longer name, a shorter one and none, in turn, in the same image. */
START_TEST(names)
{
	size_t most = _i / 2 == 0 ? 200 : 1023;

	make(clusters[_i / 2], compats[_i % 2]);
	sets("base", "raw");
	sets(name_of(most), "parallels");
	sets(name_of(most - 1), "qcow2");
	sets("x", NULL);
	sets(name_of(100), "vpc");
	sets(NULL, NULL);
	has(NULL, NULL);
	sets("back", "qcow2");
}
END_TEST

START_TEST(too_long)
{
	struct err e = ERR_INIT;

	make("cluster_size=512", "compat=1.1");
	ck_assert_fails(set(name_of(500), "raw", &e), ENOSPC, &e, "no space for a name of 500");
	has(NULL, NULL);
	e = (struct err)ERR_INIT;
	ck_assert_fails(set(name_of(1024), "raw", &e), EINVAL, &e, "1024 bytes are not 1..1023");
	e = (struct err)ERR_INIT;
	ck_assert_fails(set("a", "a format of more bytes", &e), EINVAL, &e, "at most 15 bytes");
	has(NULL, NULL);
}
END_TEST

static size_t read_head(unsigned char head[4096])
{
	int fd = open(PATH, O_RDONLY | O_CLOEXEC);
	ssize_t n;

	ck_assert_int_ge(fd, 0);
	n = read(fd, head, 4096);
	ck_assert_int_gt(n, 0);
	close(fd);
	return (size_t)n;
}

static bool has_bytes(const unsigned char *p, size_t n, const char *text)
{
	return memmem(p, n, text, strlen(text)) != NULL;
}

/* An unknown extension in place of the feature name table. */
START_TEST(unknown_extension)
{
	static const unsigned char extension[] = "\x12\x34\x56\x78\0\0\0\7unknown\0\0\0\0\0\0\0\0";
	unsigned char head[4096];
	int fd;

	make("cluster_size=64k", "compat=1.1");
	fd = open(PATH, O_WRONLY | O_CLOEXEC);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(pwrite(fd, extension, sizeof extension - 1, 112), sizeof extension - 1);
	close(fd);
	for (unsigned i = 0; i < 3; i++) {
		sets(i == 2 ? NULL : name_of(100 * i + 10), "qcow2");
		read_head(head);
		ck_assert(has_bytes(head, 512, "\x12\x34\x56\x78"));
		ck_assert(has_bytes(head, 512, "unknown"));
	}
}
END_TEST

/* The change is one write of the first sector: until then the header has the old name.  The names
 * of features come after that. */
START_TEST(one_sector)
{
	unsigned char head[4096];
	char name[600];

	make("cluster_size=64k", "compat=1.1");
	for (unsigned i = 0; i < 4; i++) {
		snprintf(name, sizeof name, "%0*u", 500 + 20 * (int)i, i);
		sets(name, "qcow2");
		read_head(head);
		ck_assert_uint_ge(load_be64(head + 8), 512);
		ck_assert_uint_eq(load_be64(head + 8) % 512, 0);
		ck_assert(has_bytes(head, 512, "dirty bit"));
		ck_assert(has_bytes(head, 1024, "raw external data"));
		/* the last two names */
		snprintf(name, sizeof name, "%0*u", 500 + 20 * ((int)i - 1), i - 1);
		if (i > 0)
			ck_assert(has_bytes(head, sizeof head, name));
	}
}
END_TEST

static void fill_disk(struct image *img, unsigned char byte, uint64_t off, size_t len)
{
	unsigned char buf[65536];
	struct err e = ERR_INIT;

	memset(buf, byte, len);
	ck_assert_ok(view_write(img->states[0]->view, buf, len, off, &e), &e);
}

START_TEST(emptied)
{
	struct image *img;
	struct err e = ERR_INIT;
	uint64_t found;

	make(clusters[_i], compats[0]);
	img = open_image(true);
	fill_disk(img, 1, 0, 65536);
	fill_disk(img, 2, SIZE - 512, 512);
	ck_assert_ok(image_empty(img, &e), &e);
	ck_assert_int_eq(view_seek(img->states[0]->view, 0, SEEK_DATA, &found), -ENXIO);
	fill_disk(img, 3, 2 << 20, 512);
	ck_assert_ok(image_finish(img, &e), &e);
	image_close(img);
	img = open_image(false);
	ck_assert_int_eq(view_seek(img->states[0]->view, 0, SEEK_DATA, &found), 0);
	ck_assert_uint_eq(found, 2 << 20);
	image_close(img);
	ck_assert_int_eq(system("qemu-img check -q " PATH), 0);
}
END_TEST

START_TEST(unwritable_images)
{
	struct image *img;
	struct err e = ERR_INIT;

	make("cluster_size=64k", "compat=1.1");
	img = open_image(false);
	ck_assert_fails(image_set_backing(img, "a", "raw", &e), EROFS, &e, "not open for writing");
	e = (struct err)ERR_INIT;
	ck_assert_fails(image_empty(img, &e), EROFS, &e, "not open for writing");
	image_close(img);
}
END_TEST

/* Names that fit into the sector of the header or do not; a header extension across its end;
 * clusters of one sector; a snapshot of a disk that is then emptied. */
static const struct {
	const char *cluster_size, *compat;
	unsigned name;
	bool bitmap, snapshots;
} powers[] = {
	{"cluster_size=4k", "compat=1.1", 1023, false, false},
	{"cluster_size=64k", "compat=1.1", 1023, true, false},
	{"cluster_size=64k", "compat=0.10", 1023, false, true},
	{"cluster_size=512", "compat=1.1", 300, false, true},
};

/* The bitmaps extension follows the feature name table, which QEMU writes with a backing file,
 * where a name was before. */
static void add_bitmap(void)
{
	static const char commands[] = "qemu-img rebase -u -b x -F raw " PATH "\n"
				       "qemu-img bitmap --add " PATH " b\n"
				       "qemu-img rebase -u -b '' " PATH "\n";

	write_text("x", "");
	ck_assert_int_eq(system(commands), 0);
}

static struct power make_power(size_t i, uint64_t size)
{
	make_sized(powers[i].cluster_size, powers[i].compat, size);
	if (powers[i].bitmap)
		add_bitmap();
	return (struct power){
		.path = PATH,
		.format = "qcow2",
		.seed = 400 + i,
		.ops = 150,
		.base_name = powers[i].name,
		.snapshots = powers[i].snapshots,
	};
}

START_TEST(power_cuts)
{
	struct power p = make_power(_i, 512 << 10);

	power_run(&p);
}
END_TEST

START_TEST(faults)
{
	struct power p = make_power(_i, 256 << 10);

	power_faults(&p);
}
END_TEST

Suite *qcow2_backing_suite(void)
{
	TCase *t = tcase_create("qcow2_backing");
	Suite *suite = suite_of("qcow2_backing", t);

	use_temp_dir(t);
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_loop_test(t, names, 0, 2 * COUNT(clusters));
	tcase_add_test(t, too_long);
	tcase_add_test(t, unknown_extension);
	tcase_add_test(t, one_sector);
	tcase_add_loop_test(t, emptied, 0, COUNT(clusters));
	tcase_add_test(t, unwritable_images);
	tcase_add_loop_test(t, power_cuts, 0, COUNT(powers));
	tcase_add_loop_test(t, faults, 0, COUNT(powers));
	return suite;
}
