/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* check_chain.c - backing chains: which images are opened, from which directories, and which are
 * refused.  Each test runs in an empty directory. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "util/limits.h"
#include "build/qcow2.h"
#include "util/err.h"
#include "image/format.h"
#include "image/image.h"
#include "open/open.h"
#include "io/io.h"
#include "common/unit.h"
#include "view/view.h"

#define CLUSTER   512
#define DISK_SIZE 32768 /* of each qcow2 image */
#define BASE_SIZE 20000 /* of the raw image, which is filled with BASE */
#define BASE      0x77

/* A qcow2 image with cluster number own allocated and filled with 0x10 + own. */
static void write_overlay(const char *name, unsigned own, const char *backing, const char *format)
{
	struct build_qcow2 b;

	build_qcow2_new(&b, 3, 9, 0);
	if (backing)
		build_qcow2_backing(&b, backing, format);
	build_qcow2_l1(&b, 0, build_qcow2_at(&b, AT_L2) | ENTRY_COPIED);
	build_qcow2_l2(&b, own, build_qcow2_at(&b, AT_DATA + own) | ENTRY_COPIED);
	write_file(name, b.bytes, b.len);
	build_qcow2_free(&b);
}

static void write_raw(const char *name)
{
	char *data = malloc(BASE_SIZE);

	memset(data, BASE, BASE_SIZE);
	write_file(name, data, BASE_SIZE);
	free(data);
}

static unsigned nwarnings;
static char warning[1024];

static void warn(void *arg, const char *text)
{
	(void)arg;
	snprintf(warning, sizeof warning, "%s", text);
	nwarnings++;
}

static unsigned open_files(void)
{
	unsigned n = 0;

	for (int fd = 0; fd < 1024; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

static struct image_options o;
static struct image *img;
static struct err e;
static unsigned files_before;

static void setup(void)
{
	o = options_new();
	o.warn = warn;
	files_before = open_files();
}

static void teardown(void)
{
	image_close(img);
	ck_assert_uint_eq(open_files(), files_before);
	options_free(&o);
}

static void opens(const char *path)
{
	image_close(img);
	img = NULL;
	ck_assert_ok(image_open(path, &o, &img, &e), &e);
}

static void refuses(const char *path, int code, const char *text)
{
	struct image *none = NULL;

	e = (struct err)ERR_INIT;
	ck_assert_fails(image_open(path, &o, &none, &e), code, &e, text);
	ck_assert_ptr_null(none);
}

static void reads(uint64_t off, unsigned char expected)
{
	unsigned char c;

	ck_assert_ok(view_read(img->states[0]->view, &c, 1, off, &e), &e);
	ck_assert_uint_eq(c, expected);
}

START_TEST(three_layers)
{
	write_raw("base.img");
	write_overlay("mid.qcow2", 1, "base.img", "raw");
	write_overlay("top.qcow2", 2, "mid.qcow2", "qcow2");
	opens("top.qcow2");
	ck_assert_uint_eq(image_depth(img), 3);
	ck_assert_str_eq(img->parent->format->name, "qcow2");
	ck_assert_str_eq(img->parent->parent->format->name, "raw");
	ck_assert_str_eq(image_basename(img->parent->parent), "base.img");
	reads(0, BASE);
	reads(CLUSTER, 0x11);
	reads(2 * CLUSTER, 0x12);
	reads(BASE_SIZE - 1, BASE);
	reads(BASE_SIZE, 0); /* beyond the end of the parent */
	reads(DISK_SIZE - 1, 0);
	ck_assert_uint_eq(nwarnings, 0);
}
END_TEST

START_TEST(parent_longer_than_its_child)
{
	char *data = malloc(2 * DISK_SIZE);

	memset(data, BASE, 2 * DISK_SIZE);
	write_file("base.img", data, 2 * DISK_SIZE);
	free(data);
	write_overlay("top.qcow2", 0, "base.img", "raw");
	opens("top.qcow2");
	ck_assert_uint_eq(img->states[0]->view->size, DISK_SIZE);
	reads(DISK_SIZE - 1, BASE);
}
END_TEST

START_TEST(loops)
{
	write_overlay("self.qcow2", 0, "self.qcow2", "qcow2");
	write_overlay("a.qcow2", 0, "b.qcow2", "qcow2");
	write_overlay("b.qcow2", 0, "a.qcow2", "qcow2");
	write_overlay("c.qcow2", 0, "link.qcow2", "qcow2");
	write_overlay("d.qcow2", 0, "hard.qcow2", "qcow2");
	ck_assert_int_eq(symlink("c.qcow2", "link.qcow2"), 0);
	ck_assert_int_eq(link("d.qcow2", "hard.qcow2"), 0);
	refuses("self.qcow2", ELOOP, "the backing chain loops at ");
	refuses("a.qcow2", ELOOP, "/a.qcow2");
	refuses("c.qcow2", ELOOP, "loops");
	refuses("d.qcow2", ELOOP, "/hard.qcow2");
}
END_TEST

START_TEST(long_chains)
{
	char name[32], backing[32];

	write_raw("0");
	for (int i = 1; i <= LIMIT_CHAIN_DEPTH; i++) {
		snprintf(name, sizeof name, "%d", i);
		snprintf(backing, sizeof backing, "%d", i - 1);
		write_overlay(name, 0, backing, i == 1 ? "raw" : "qcow2");
	}
	opens("255");
	ck_assert_uint_eq(image_depth(img), LIMIT_CHAIN_DEPTH);
	reads(CLUSTER, BASE);
	refuses("256", ELOOP, "longer than 256 images");
}
END_TEST

START_TEST(missing_parent)
{
	static const char *const search[] = {"/nonexistent", "attic", NULL};

	write_overlay("vm/top.qcow2", 0, "/old/place/base.img", "raw");
	refuses("vm/top.qcow2", EACCES, "\"/old/place/base.img\" lies outside");
	ck_assert_ptr_nonnull(strstr(e.text, "vm/top.qcow2: "));
	ck_assert_ptr_nonnull(strstr(hint_of(&e), "-o search=DIR"));
	/* A missing parent is not searched beside the child by its basename: that could be another
	 * image. */
	write_raw("vm/base.img");
	refuses("vm/top.qcow2", EACCES, "lies outside");
	write_raw("attic/base.img");
	o.search = search;
	opens("vm/top.qcow2");
	reads(CLUSTER, BASE);
	ck_assert_ptr_nonnull(strstr(img->parent->io->name, "/attic/base.img"));
}
END_TEST

/* Whether a file outside of the allowed directories exists makes no difference. */
START_TEST(parent_outside)
{
	static const char *const search[] = {"attic", NULL}, *const allow[] = {".", NULL};

	write_raw("base.img");
	write_raw("attic/base.img");
	write_overlay("vm/top.qcow2", 0, "../base.img", "raw");
	refuses("vm/top.qcow2", EACCES, "backing file \"../base.img\" lies outside");
	ck_assert_ptr_nonnull(strstr(hint_of(&e), "-o allow=/"));
	o.search = search;
	opens("vm/top.qcow2");
	ck_assert_ptr_nonnull(strstr(img->parent->io->name, "/attic/base.img"));
	image_close(img);
	img = NULL;
	o.allow = allow;
	opens("vm/top.qcow2");
	ck_assert_ptr_null(strstr(img->parent->io->name, "attic"));
}
END_TEST

START_TEST(parent_not_opened)
{
	unsigned char buf[2 * CLUSTER];

	write_overlay("top.qcow2", 1, "gone.qcow2", "qcow2");
	o.nobacking = true;
	opens("top.qcow2");
	ck_assert_ptr_null(img->parent);
	ck_assert_uint_eq(image_depth(img), 1);
	reads(CLUSTER, 0x11);
	ck_assert_fails(view_read(img->states[0]->view, buf, 1, 0, &e), EIO, &e, "left closed");
	ck_assert_fails(view_read(img->states[0]->view, buf, sizeof buf, CLUSTER, &e), EIO, &e,
		"left closed");
	/* An image without a backing file ignores the option. */
	write_overlay("alone.qcow2", 1, NULL, NULL);
	opens("alone.qcow2");
	reads(0, 0);
}
END_TEST

/* A guest can write an image header to its disk, so a file recorded as raw is not probed. */
START_TEST(recorded_raw_is_not_probed)
{
	write_raw("secret.img");
	write_overlay("base.img", 0, "secret.img", "raw");
	write_overlay("top.qcow2", 1, "base.img", "raw");
	opens("top.qcow2");
	ck_assert_uint_eq(image_depth(img), 2);
	reads(0, 'Q');
	reads(1, 'F');
}
END_TEST

START_TEST(format_not_recorded)
{
	write_raw("plain");
	write_overlay("inner.qcow2", 3, NULL, NULL);
	write_overlay("a.qcow2", 0, "plain", NULL);
	write_overlay("b.qcow2", 0, "inner.qcow2", NULL);
	opens("a.qcow2");
	ck_assert_str_eq(img->parent->format->name, "raw");
	reads(CLUSTER, BASE);
	ck_assert_uint_eq(nwarnings, 1);
	ck_assert_ptr_nonnull(strstr(warning, "a.qcow2: the format of the backing file"));
	opens("b.qcow2");
	ck_assert_str_eq(img->parent->format->name, "qcow2");
	reads(3 * CLUSTER, 0x13);
	ck_assert_uint_eq(nwarnings, 2);
}
END_TEST

/* A probed backing file must not have a backing file: the guest may have written its header. */
START_TEST(probed_parent_with_a_parent)
{
	write_raw("secret.img");
	write_overlay("base", 0, "secret.img", "raw");
	write_overlay("top.qcow2", 0, "base", NULL);
	refuses("top.qcow2", EACCES, "it names a backing file itself");
	ck_assert_ptr_nonnull(strstr(hint_of(&e), "vdisk rebase -u -b base -F qcow2 top.qcow2"));
}
END_TEST

/* With a format from the user it may; each applies to one image of the chain only. */
START_TEST(formats_from_the_user)
{
	static const char *const once[] = {"qcow2", NULL}, *const twice[] = {
								   "qcow2", "qcow2", NULL};
	static const char *const raw[] = {"qcow2", "raw", NULL}, *const wrong[] = {"vdi", NULL};

	write_raw("base");
	write_overlay("low", 1, "base", NULL);
	write_overlay("mid", 2, "low", NULL);
	write_overlay("recorded.qcow2", 3, "mid", "qcow2");
	write_overlay("top.qcow2", 3, "mid", NULL);
	refuses("top.qcow2", EACCES, "/mid: it names a backing file itself");
	o.parent_formats = once;
	refuses("top.qcow2", EACCES, "/low: it names a backing file itself");
	opens("recorded.qcow2");
	ck_assert_uint_eq(image_depth(img), 4);
	o.parent_formats = twice;
	opens("top.qcow2");
	ck_assert_uint_eq(image_depth(img), 4);
	reads(0, BASE);
	reads(CLUSTER, 0x11);
	reads(2 * CLUSTER, 0x12);
	reads(3 * CLUSTER, 0x13);
	o.parent_formats = raw;
	opens("top.qcow2");
	ck_assert_uint_eq(image_depth(img), 3);
	reads(0, 'Q');
	o.parent_formats = wrong;
	refuses("top.qcow2", EINVAL, "/mid: ");
}
END_TEST

START_TEST(format_recorded_but_unknown)
{
	write_raw("base.img");
	write_overlay("a.qcow2", 0, "base.img", "floppy");
	write_overlay("b.qcow2", 0, "base.img", "vdi");
	refuses("a.qcow2", ENOTSUP, "format \"floppy\" is not known");
	refuses("b.qcow2", EINVAL, "/base.img: ");
}
END_TEST

START_TEST(parent_is_not_an_image)
{
	ck_assert_int_eq(mkfifo("fifo", 0600), 0);
	write_overlay("a.qcow2", 0, "fifo", "raw");
	write_overlay("b.qcow2", 0, ".", "raw");
	write_overlay("c.qcow2", 0, "nbd://127.0.0.1:10809/x", "raw");
	refuses("a.qcow2", EINVAL, "a FIFO");
	refuses("b.qcow2", EACCES, "outside");
	refuses("c.qcow2", ENOENT, "\"nbd://127.0.0.1:10809/x\"");
}
END_TEST

/* A backing file name is relative to the image file, not to a link to it. */
START_TEST(image_through_a_link)
{
	write_raw("vm/base.img");
	write_raw("base.img");
	write_overlay("vm/top.qcow2", 0, "base.img", "raw");
	ck_assert_int_eq(symlink("vm/top.qcow2", "link.qcow2"), 0);
	opens("link.qcow2");
	ck_assert_ptr_nonnull(strstr(img->parent->io->name, "/vm/base.img"));
	ck_assert_ptr_nonnull(strstr(img->path, "/vm/top.qcow2"));
	ck_assert_str_eq(image_basename(img), "link.qcow2");
	opens("./vm/../link.qcow2");
	ck_assert_ptr_nonnull(strstr(img->parent->io->name, "/vm/base.img"));
}
END_TEST

static int hold_writer_byte(const char *name)
{
	struct flock lock = {.l_type = F_RDLCK, .l_whence = SEEK_SET, .l_start = 101, .l_len = 1};
	int fd = open(name, O_RDONLY | O_CLOEXEC);

	ck_assert_int_eq(fcntl(fd, F_OFD_SETLK, &lock), 0);
	return fd;
}

START_TEST(every_layer_is_locked)
{
	int fd;

	write_raw("base.img");
	write_overlay("top.qcow2", 0, "base.img", "raw");
	fd = hold_writer_byte("base.img");
	refuses("top.qcow2", EBUSY, "/base.img: in use for writing");
	o.share = true;
	opens("top.qcow2");
	close(fd);
	o.share = false;
	fd = hold_writer_byte("top.qcow2");
	refuses("top.qcow2", EBUSY, "top.qcow2: in use for writing");
	close(fd);
	opens("top.qcow2");
}
END_TEST

/* Images that share a cache, one after another, never read blocks of each other. */
START_TEST(images_share_a_cache)
{
	for (unsigned i = 0; i < DATA_CLUSTERS; i++) {
		char name[16];

		snprintf(name, sizeof name, "%u.qcow2", i);
		write_overlay(name, i, NULL, NULL);
		opens(name);
		reads(i * CLUSTER, 0x10 + i);
		reads((i + 1) * CLUSTER, 0);
	}
}
END_TEST

/* A state is found by its name first. */
START_TEST(states)
{
	struct image bare = {.io = NULL};
	char id[16], name[16];

	ck_assert_ptr_nonnull(image_add_state(&bare, NULL, NULL, NULL, &e));
	for (int i = 1; i < 100; i++) {
		struct state *s;

		snprintf(id, sizeof id, "%d", i);
		snprintf(name, sizeof name, "%d", i + 1);
		s = image_add_state(&bare, id, name, NULL, &e);
		ck_assert_ptr_eq(s, bare.states[i]);
		ck_assert_uint_eq(bare.nstates, i + 1);
	}
	ck_assert_ptr_eq(image_find_state(&bare, "7"), bare.states[6]);
	ck_assert_ptr_eq(image_find_state(&bare, "1"), bare.states[1]); /* by ID */
	ck_assert_ptr_eq(image_find_state(&bare, "100"), bare.states[99]);
	ck_assert_ptr_null(image_find_state(&bare, "101"));
	ck_assert_ptr_null(image_find_state(&bare, ""));
	for (size_t i = 0; i < bare.nstates; i++)
		state_put(bare.states[i]);
	free(bare.states);
}
END_TEST

Suite *chain_suite(void)
{
	TCase *tc = tcase_create("chain");

	use_temp_dir(tc);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, three_layers);
	tcase_add_test(tc, parent_longer_than_its_child);
	tcase_add_test(tc, loops);
	tcase_add_test(tc, long_chains);
	tcase_add_test(tc, missing_parent);
	tcase_add_test(tc, parent_outside);
	tcase_add_test(tc, parent_not_opened);
	tcase_add_test(tc, recorded_raw_is_not_probed);
	tcase_add_test(tc, format_not_recorded);
	tcase_add_test(tc, probed_parent_with_a_parent);
	tcase_add_test(tc, formats_from_the_user);
	tcase_add_test(tc, format_recorded_but_unknown);
	tcase_add_test(tc, parent_is_not_an_image);
	tcase_add_test(tc, image_through_a_link);
	tcase_add_test(tc, every_layer_is_locked);
	tcase_add_test(tc, images_share_a_cache);
	tcase_add_test(tc, states);
	return suite_of("chain", tc);
}
