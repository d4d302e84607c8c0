/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* check_luks_volume.c - LUKS volumes on disks: what they are called, and random writes through
 * them, over raw and qcow2 images, compared with an array in memory. */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "util/bytes.h"
#include "util/err.h"
#include "image/image.h"
#include "io/passphrase.h"
#include "luks2-make.h"
#include "open/open.h"
#include "partition/partition.h"
#include "common/unit.h"
#include "view/view.h"
#include "volume/volume.h"

#define DATA    (256u << 10) /* bytes of the volume */
#define DISK    (LUKS2_MAKE_DATA + DATA + (64u << 10))
#define WRITERS 3

static struct luks2_spec spec = {.encryption = "aes-xts-plain64",
	.key_len = 64,
	.sector_size = 4096,
	.hash = "sha256",
	.kdf = "pbkdf2",
	.passphrase = "pass",
	.label = "a label"};

static struct passphrase secret = {.bytes = (unsigned char *)"pass", .len = 4};

/* A disk with a volume, opened. */
struct subject_volume {
	struct image_options o;
	struct image *img;
	struct volume_set *set;
	struct view *view; /* NULL: the volume cannot be read */
};

/* Returns an encrypted disk; a size in its header ends the volume before the disk. */
static unsigned char *make_disk(const unsigned char *data)
{
	unsigned char *header = luks2_make(&spec), *disk = calloc(1, DISK);

	ck_assert(luks2_edit(header, 0, "\"dynamic\"", "\"262144\""));
	ck_assert(luks2_edit(header, 1, "\"dynamic\"", "\"262144\""));
	memcpy(disk, header, LUKS2_MAKE_DATA);
	memcpy(disk + LUKS2_MAKE_DATA, data, DATA);
	ck_assert_int_eq(luks2_encrypt(&spec, disk + LUKS2_MAKE_DATA, DATA, 0), 0);
	free(header);
	return disk;
}

static void write_disk(const char *format, const char *path, const unsigned char *disk)
{
	struct image_options o = options_new();
	struct err e = ERR_INIT;
	struct image *img;

	make_image(format, path, DISK, NULL, NULL);
	o.format = format;
	o.write = true;
	ck_assert_ok(image_open(path, &o, &img, &e), &e);
	ck_assert_ok(view_write(img->states[0]->view, disk, DISK, 0, &e), &e);
	ck_assert_ok(image_finish(img, &e), &e);
	image_close(img);
	options_free(&o);
}

static void volume_opens(struct subject_volume *s, const char *format, const char *path, bool write)
{
	struct partition_table none = {.n = 0};
	struct volume_disk disk = {.table = &none};
	struct err e = ERR_INIT;

	s->o = options_new();
	s->o.format = format;
	s->o.write = write;
	s->o.secrets = &secret;
	ck_assert_ok(image_open(path, &s->o, &s->img, &e), &e);
	disk.view = s->img->states[0]->view;
	ck_assert_ok(volume_set_read(&disk, 1, &s->o, &s->set, &e), &e);
	ck_assert_uint_eq(s->set->nvolumes, 1);
	s->view = s->set->volumes[0]->error.code
			  ? NULL
			  : volume_view(s->set, s->set->volumes[0], &disk.view, &e);
}

static void volume_closes(struct subject_volume *s)
{
	struct err e = ERR_INIT;

	view_free(s->view);
	volume_set_free(s->set);
	ck_assert_ok(image_finish(s->img, &e), &e);
	image_close(s->img);
	options_free(&s->o);
}

/* Each writer changes its own bytes of all sectors: those whose number modulo 700 * WRITERS is in
 * its range. */
struct writer_of_stripes {
	struct view *view;
	unsigned char *model;
	unsigned number;
	uint64_t seed;
	bool failed;
};

#define STRIPE 700u

static bool change(struct writer_of_stripes *w, uint64_t off, size_t len)
{
	unsigned kind = next_random(&w->seed) % 8;
	struct err e = ERR_INIT;

	if (kind == 0) {
		memset(w->model + off, 0, len);
		return view_clear(w->view, off, len, &e) == 0;
	}
	if (kind == 1)
		return view_allocate(w->view, off, len, &e) == 0 || e.code == EOPNOTSUPP;
	fill_pattern(w->model + off, len, (unsigned)next_random(&w->seed));
	return view_write(w->view, w->model + off, len, off, &e) == 0;
}

static bool reads_back(const struct writer_of_stripes *w, uint64_t off, size_t len)
{
	unsigned char buf[STRIPE];
	struct err e = ERR_INIT;

	return view_read(w->view, buf, len, off, &e) == 0 && memcmp(buf, w->model + off, len) == 0;
}

static void *write_stripes(void *arg)
{
	struct writer_of_stripes *w = arg;

	for (int i = 0; i < 250 && !w->failed; i++) {
		uint64_t row = next_random(&w->seed) % (DATA / STRIPE / WRITERS);
		size_t skip = next_random(&w->seed) % STRIPE;
		size_t len = 1 + next_random(&w->seed) % (STRIPE - skip);
		uint64_t off = (row * WRITERS + w->number) * STRIPE + skip;

		w->failed = !change(w, off, len) || !reads_back(w, off, len);
	}
	return NULL;
}

static void run_writers(struct view *v, unsigned char *model, uint64_t seed)
{
	struct writer_of_stripes writers[WRITERS];
	pthread_t threads[WRITERS];

	for (unsigned i = 0; i < WRITERS; i++) {
		writers[i] = (struct writer_of_stripes){
			.view = v, .model = model, .number = i, .seed = seed + i};
		pthread_create(&threads[i], NULL, write_stripes, &writers[i]);
	}
	for (unsigned i = 0; i < WRITERS; i++) {
		pthread_join(threads[i], NULL);
		ck_assert_msg(!writers[i].failed, "writer %u", i);
	}
}

/* Large operations of one thread, over whole sectors and parts. */
static void run_alone(struct view *v, unsigned char *model, uint64_t seed)
{
	struct err e = ERR_INIT;

	for (int i = 0; i < 20; i++) {
		size_t off = next_random(&seed) % DATA;
		size_t len = 1 + next_random(&seed) % (DATA - off);

		if (i % 4 == 0) {
			memset(model + off, 0, len);
			ck_assert_ok(view_clear(v, off, len, &e), &e);
		} else {
			fill_pattern(model + off, len, i);
			ck_assert_ok(view_write(v, model + off, len, off, &e), &e);
		}
	}
	ck_assert_fails(view_write(v, model, 2, DATA - 1, &e), ENOSPC, &e, "pass the end");
}

static void view_has(const struct view *v, const unsigned char *model)
{
	unsigned char *buf = malloc(DATA);
	struct err e = ERR_INIT;

	ck_assert_uint_eq(v->size, DATA);
	ck_assert_ok(view_read(v, buf, DATA, 0, &e), &e);
	ck_assert_mem_eq(buf, model, DATA);
	free(buf);
}

/* The disk has the model, encrypted by luks2-make.c, and its old bytes around. */
static void disk_has(const struct view *disk, const unsigned char *model)
{
	unsigned char *expected = make_disk(model), *buf = malloc(DISK);
	struct err e = ERR_INIT;

	ck_assert_ok(view_read(disk, buf, DISK, 0, &e), &e);
	ck_assert_mem_eq(buf, expected, DISK);
	free(expected);
	free(buf);
}

static const struct {
	const char *format, *encryption;
	size_t key_len, sector_size;
} cases[] = {
	{"raw", "aes-xts-plain64", 64, 4096},
	{"raw", "aes-cbc-essiv:sha256", 32, 512},
	{"qcow2", "aes-xts-plain64", 64, 4096},
	{"qcow2", "aes-cbc-plain64", 32, 1024},
	{"vdi", "camellia-xts-plain64", 64, 2048},
};

START_TEST(random_operations)
{
	unsigned char *model = calloc(1, DATA), *disk;
	struct subject_volume s;

	spec.encryption = cases[_i].encryption;
	spec.key_len = cases[_i].key_len;
	spec.sector_size = cases[_i].sector_size;
	fill_pattern(model, DATA, _i);
	disk = make_disk(model);
	write_disk(cases[_i].format, "a.img", disk);
	for (unsigned round = 0; round < 3; round++) {
		volume_opens(&s, cases[_i].format, "a.img", true);
		ck_assert_ptr_nonnull(s.view);
		view_has(s.view, model);
		run_writers(s.view, model, 100 * round + _i);
		run_alone(s.view, model, round);
		view_has(s.view, model);
		disk_has(s.img->states[0]->view, model);
		volume_closes(&s);
	}
	volume_opens(&s, cases[_i].format, "a.img", false);
	view_has(s.view, model);
	volume_closes(&s);
	free(model);
	free(disk);
}
END_TEST

static void make_one(const unsigned char *disk)
{
	write_file("a.raw", disk, DISK);
}

START_TEST(what_a_volume_is)
{
	unsigned char *model = calloc(1, DATA), *disk = make_disk(model);
	const struct volume *v;
	struct err e = ERR_INIT;
	struct subject_volume s;

	make_one(disk);
	volume_opens(&s, "raw", "a.raw", false);
	v = s.set->volumes[0];
	ck_assert_str_eq(v->name, "luks-" LUKS2_MAKE_UUID);
	ck_assert_str_eq(v->uuid, LUKS2_MAKE_UUID);
	ck_assert_str_eq(v->kind, "luks");
	ck_assert_str_eq(v->members[0]->label, "a label");
	ck_assert_str_eq(v->members[0]->type, "crypto_LUKS");
	ck_assert_uint_eq(v->size, DATA);
	ck_assert(v->changes_bytes);
	ck_assert_fails(view_write(s.view, model, 1, 0, &e), EROFS, &e, "only be read");
	volume_closes(&s);
	free(model);
	free(disk);
}
END_TEST

/* Names that a header cannot give a volume, and what is wrong with it. */
static const struct {
	const char *uuid, *name;
	unsigned damage; /* position of a byte of both copies; 0: none */
	int code;        /* of the volume; 0: it can be read */
} names[] = {
	{LUKS2_MAKE_UUID, "luks-" LUKS2_MAKE_UUID, 0, 0},
	{"", "luks-the-disk", 0, 0},
	{"../../../../etc/passwd", "luks-the-disk", 0, 0},
	{"a\nb\033[31m\xff\xfe", "luks-the-disk", 0, 0},
	{"0123456789012345678901234567890123456789", "luks-the-disk", 0, 0},
	{LUKS2_MAKE_UUID, "luks-the-disk", 5000, EINVAL},
};

START_TEST(names_of_volumes)
{
	unsigned char *model = calloc(1, DATA), *disk = make_disk(model);
	struct subject_volume s;

	for (unsigned copy = 0; copy < 2; copy++) {
		memset(disk + copy * LUKS2_MAKE_COPY + 168, 0, 40);
		memcpy(disk + copy * LUKS2_MAKE_COPY + 168, names[_i].uuid, strlen(names[_i].uuid));
		luks2_seal(disk, copy);
		if (names[_i].damage)
			disk[copy * LUKS2_MAKE_COPY + names[_i].damage] ^= 1;
	}
	make_one(disk);
	volume_opens(&s, "raw", "a.raw", false);
	ck_assert_str_eq(s.set->volumes[0]->name, names[_i].name);
	ck_assert_int_eq(s.set->volumes[0]->error.code, names[_i].code);
	volume_closes(&s);
	free(model);
	free(disk);
}
END_TEST

START_TEST(locked_volumes)
{
	unsigned char *model = calloc(1, DATA), *disk = make_disk(model);
	struct subject_volume s;

	make_one(disk);
	secret.bytes = (unsigned char *)"Pass";
	volume_opens(&s, "raw", "a.raw", false);
	ck_assert_int_eq(s.set->volumes[0]->error.code, EKEYREJECTED);
	volume_closes(&s);
	strcpy(secret.uuid, "99999999-9999-9999-9999-999999999999");
	volume_opens(&s, "raw", "a.raw", false);
	ck_assert_int_eq(s.set->volumes[0]->error.code, ENOKEY);
	ck_assert_str_eq(s.set->volumes[0]->name, "luks-" LUKS2_MAKE_UUID);
	volume_closes(&s);
	free(model);
	free(disk);
}
END_TEST

Suite *luks_volume_suite(void)
{
	TCase *tc = tcase_create("luks_volume");

	use_temp_dir(tc);
	tcase_add_loop_test(tc, random_operations, 0, COUNT(cases));
	tcase_add_test(tc, what_a_volume_is);
	tcase_add_loop_test(tc, names_of_volumes, 0, COUNT(names));
	tcase_add_test(tc, locked_volumes);
	return suite_of("luks_volume", tc);
}
