/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* check_api_volumes.c - vdisk.h: volumes of LVM and LUKS, by their names, read and written. */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "api_test.h"
#include "common/unit.h"
#include "luks-make.h"
#include "volume/lvm/lvm_disk.h"

#define DATA_LEN ((size_t)65536)

static const struct luks_spec spec = {.cipher = "aes",
	.mode = "xts-plain64",
	.hash = "sha256",
	.key_len = 64,
	.passphrases = {"pass"},
	.iterations = 10};

static unsigned char data[DATA_LEN];
static char luks_path[100];

/* luks.raw: a disk that is a LUKS device as a whole, with data in it. */
static void make_luks(void)
{
	size_t header_len;
	unsigned char *file = luks_make(&spec, &header_len);

	ck_assert_ptr_nonnull(file);
	snprintf(luks_path, sizeof luks_path, "volumes/luks-%.36s",
		(const char *)file + LUKS_AT_UUID);
	file = realloc(file, header_len + DATA_LEN);
	fill_pattern(data, DATA_LEN, 3);
	memcpy(file + header_len, data, DATA_LEN);
	ck_assert_int_eq(luks_encrypt(&spec, file + header_len, DATA_LEN, 0), 0);
	write_file("luks.raw", file, header_len + DATA_LEN);
	free(file);
	write_text("key", "pass");
	write_text("wrong", "ssap");
}

/* lvm.raw: a disk that is a physical volume as a whole. */
static void make_lvm(void)
{
	lvm_setup();
	lvm_disk_put_text(lvm.disks[0], 512,
		lvm_text(1, 1,
			LVM_LV("root", "r", "2", "striped", LVM_LINEAR("pv0", "1"))
				LVM_LV("home", "h", "1", "striped", LVM_LINEAR("pv0", "5"))));
	write_file("lvm.raw", lvm.disks[0]->bytes, LVM_DISK);
}

static int keep_volume(void *arg, const struct vdisk_entry *entry)
{
	struct vdisk_entry *kept = arg;

	if (entry->kind != VDISK_VOLUME)
		return 0;
	ck_assert_str_eq(entry->path, luks_path);
	*kept = *entry;
	if (entry->error)
		ck_assert_ptr_nonnull(strstr(entry->error, "no passphrase"));
	return 1;
}

START_TEST(a_locked_volume)
{
	struct vdisk_image *image;
	struct vdisk_entry entry;
	struct vdisk_disk *disk;
	struct vdisk_error e;

	make_luks();
	image = api_open("luks.raw", "format=raw", NULL);
	ck_assert_int_eq(vdisk_list(image, "", keep_volume, &entry, NULL), 1);
	ck_assert(entry.error && entry.size == 0);
	ck_assert_int_eq(vdisk_list(image, luks_path, keep_volume, &entry, NULL), 1);
	ck_assert_fails(vdisk_disk_open(image, luks_path, &disk, &e), ENOKEY, &e,
		"no passphrase was given");
	ck_assert_str_eq(e.hint, "passphrase-file=FILE reads it from FILE");
	api_close(image);
	image = api_open("luks.raw", "format=raw", "passphrase-file=wrong", NULL);
	api_has_no(image, luks_path, EKEYREJECTED, "no key slot opens");
	api_close(image);
	image = api_open(
		"luks.raw", "format=raw", "passphrase-file=wrong", "passphrase-file=key", NULL);
	ck_assert_int_eq(vdisk_list(image, "", keep_volume, &entry, NULL), 1);
	ck_assert(!entry.error && entry.size == DATA_LEN);
	api_reads(image, luks_path, data, DATA_LEN);
	api_close(image);
}
END_TEST

#define WRITERS 4
#define PIECE   ((size_t)100) /* several in a sector */

struct client {
	pthread_t thread;
	struct vdisk_image *image;
	unsigned number;
	unsigned bad;
};

static void *write_pieces(void *arg)
{
	struct client *c = arg;
	struct vdisk_disk *disk;
	unsigned char out[PIECE];

	c->bad = vdisk_disk_open(c->image, luks_path, &disk, NULL) != 0;
	if (c->bad)
		return NULL;
	for (size_t off = c->number * PIECE; off + PIECE <= DATA_LEN; off += WRITERS * PIECE) {
		fill_pattern(out, PIECE, (unsigned)off);
		c->bad += vdisk_write(disk, out, PIECE, off, NULL) != 0;
	}
	vdisk_disk_close(disk);
	return NULL;
}

/* The handles share what encrypts: writes into one sector wait for each other. */
START_TEST(threads_in_one_sector)
{
	struct vdisk_image *image;
	struct client clients[WRITERS];

	make_luks();
	image = api_open("luks.raw", "format=raw", "rw", "passphrase-file=key", NULL);
	for (unsigned i = 0; i < WRITERS; i++) {
		clients[i] = (struct client){.number = i, .image = image};
		ck_assert_int_eq(
			pthread_create(&clients[i].thread, NULL, write_pieces, &clients[i]), 0);
	}
	for (unsigned i = 0; i < WRITERS; i++) {
		pthread_join(clients[i].thread, NULL);
		ck_assert_uint_eq(clients[i].bad, 0);
	}
	api_close(image);
	for (size_t off = 0; off + PIECE <= DATA_LEN; off += PIECE)
		fill_pattern(data + off, PIECE, (unsigned)off);
	image = api_open("luks.raw", "format=raw", "passphrase-file=key", NULL);
	api_reads(image, luks_path, data, DATA_LEN);
	api_close(image);
}
END_TEST

static void reads_extents(struct vdisk_image *image, const char *path, size_t first, size_t n)
{
	size_t len = n * LVM_EXTENT;
	unsigned char *bytes = malloc(len);

	for (size_t i = 0; i < len; i++)
		bytes[i] = lvm_byte(0, first * LVM_EXTENT + i);
	api_reads(image, path, bytes, len);
	free(bytes);
}

START_TEST(names_of_volumes)
{
	struct vdisk_image *image;

	make_lvm();
	image = api_open("lvm.raw", "format=raw", NULL);
	ck_assert_str_eq(api_paths(image, ""), "\"\" volumes/vg-home volumes/vg-root ");
	ck_assert_str_eq(api_paths(image, "volumes/vg/home"), "volumes/vg-home ");
	reads_extents(image, "volumes/vg-root", 1, 2);
	reads_extents(image, "volumes/vg/root", 1, 2);
	reads_extents(image, "volumes/vg-home", 5, 1);
	reads_extents(image, "chain/0/volumes/vg-home", 5, 1);
	api_has_no(image, "volumes/vg", ENOENT, "2 volumes, and none is \"vg\"");
	api_has_no(image, "partitions/1", ENOENT, "the disk has no partitions");
	api_close(image);
	lvm_teardown();
}
END_TEST

/* The volumes of a disk that was written are read again, but not while one of them is open. */
START_TEST(volumes_that_go)
{
	static const unsigned char zeroes[1024];
	struct vdisk_image *image;
	struct vdisk_disk *live, *root;

	make_lvm();
	image = api_open("lvm.raw", "format=raw", "rw", NULL);
	live = api_disk(image, "");
	root = api_disk(image, "volumes/vg-root");
	ck_assert(vdisk_disk_is_writable(root));
	ck_assert_int_eq(vdisk_write(root, "x", 1, LVM_EXTENT, NULL), 0);
	ck_assert_int_eq(vdisk_write(live, zeroes, sizeof zeroes, 0, NULL), 0);
	reads_extents(image, "volumes/vg-home", 5, 1);
	vdisk_disk_close(root);
	api_has_no(image, "volumes/vg-home", ENOENT, "the disk has 0 volumes");
	ck_assert_str_eq(api_paths(image, ""), "\"\" ");
	vdisk_disk_close(live);
	api_close(image);
	lvm_teardown();
}
END_TEST

Suite *api_volumes_suite(void)
{
	TCase *tc = tcase_create("api_volumes");

	use_temp_dir(tc);
	tcase_add_test(tc, a_locked_volume);
	tcase_add_test(tc, threads_in_one_sector);
	tcase_add_test(tc, names_of_volumes);
	tcase_add_test(tc, volumes_that_go);
	return suite_of("api_volumes", tc);
}
