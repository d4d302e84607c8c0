/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copy on read: random operations of several threads on an overlay, compared with an array; then
 * the overlay alone, without its backing file. */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "common/unit.h"
#include "open/open.h"
#include "util/bytes.h"
#include "util/err.h"
#include "view/copy-on-read.h"
#include "view/view.h"
#include "view/writer.h"

#define BASE    "base.raw"
#define OVERLAY "overlay.qcow2"

#define SIZE    ((3u << 20) + 1536)
#define STRIPE  3072u /* not a multiple of any cluster size */
#define WRITERS 2
#define READERS 2
#define OPS     250
#define ROUNDS  4
#define LEN_MAX (256u << 10)

struct subject {
	struct image_options o;
	struct image *img;
	struct view *disk;
	unsigned char *bytes; /* the expected contents of the disk */
};

struct worker {
	struct subject *s;
	unsigned number;
	uint64_t state;
	pthread_t thread;
};

static const char *const variants[] = {
	"cluster_size=64k",
	"cluster_size=4k",
	"cluster_size=512",
	"cluster_size=64k,extended_l2=on",
	"cluster_size=16k,compat=0.10",
};

/* A base with text, zeroes, and an end that is no multiple of a cluster. */
static unsigned char *make_base(void)
{
	unsigned char *bytes = calloc(1, SIZE);

	ck_assert_ptr_nonnull(bytes);
	for (uint64_t off = 0; off < SIZE; off += 3 * 50000)
		fill_pattern(bytes + off, MIN(50000 + off / 4, SIZE - off), (unsigned)off);
	memset(bytes + (1 << 20), 0, 300000);
	write_file(BASE, bytes, SIZE);
	return bytes;
}

static void open_overlay(struct subject *s, bool nobacking)
{
	struct err e = ERR_INIT;

	s->o.format = "qcow2";
	s->o.write = s->o.copy_on_read = !nobacking;
	s->o.nobacking = nobacking;
	ck_assert_ok(image_open(OVERLAY, &s->o, &s->img, &e), &e);
	s->disk = s->img->states[0]->view;
}

static void close_overlay(struct subject *s)
{
	struct err e = ERR_INIT;

	ck_assert_ok(image_finish(s->img, &e), &e);
	image_close(s->img);
	s->img = NULL;
}

static void start(struct subject *s, const char *options)
{
	char command[256];

	*s = (struct subject){.o = options_new(), .bytes = make_base()};
	snprintf(command, sizeof command,
		"qemu-img create -q -f qcow2 -F raw -b " BASE " -o %s " OVERLAY, options);
	ck_assert_int_eq(system(command), 0);
	open_overlay(s, false);
}

static void end(struct subject *s)
{
	free(s->bytes);
	options_free(&s->o);
}

static void read_kept(struct subject *s, unsigned char *buf, uint64_t len, uint64_t off)
{
	struct err e = ERR_INIT;

	ck_assert_ok(copy_on_read(s->disk, off, len, &e), &e);
	ck_assert_ok(view_read(s->disk, buf, len, off, &e), &e);
}

/* Writes to its own stripes only, reads them again at once. */
static void *write_stripes(void *arg)
{
	struct worker *w = arg;
	unsigned char buf[STRIPE];
	struct err e = ERR_INIT;

	for (unsigned i = 0; i < OPS; i++) {
		uint64_t stripe = next_random(&w->state) % (SIZE / STRIPE);
		uint64_t skip = next_random(&w->state) % STRIPE;
		uint64_t off = (stripe - stripe % WRITERS + w->number) * STRIPE + skip;
		uint64_t len = 1 + next_random(&w->state) % (STRIPE - skip);
		unsigned char *p = w->s->bytes + off;

		if (!range_fits(off, len, SIZE))
			continue;
		if (next_random(&w->state) % 4 == 0) {
			memset(p, 0, len);
			ck_assert_ok(view_clear(w->s->disk, off, len, &e), &e);
		} else {
			fill_pattern(p, len, (unsigned)next_random(&w->state));
			ck_assert_ok(view_write(w->s->disk, p, len, off, &e), &e);
		}
		read_kept(w->s, buf, len, off);
		ck_assert_mem_eq(buf, p, len);
	}
	return NULL;
}

static void *read_everywhere(void *arg)
{
	struct worker *w = arg;
	unsigned char *buf = malloc(LEN_MAX);

	ck_assert_ptr_nonnull(buf);
	for (unsigned i = 0; i < OPS; i++) {
		uint64_t off = next_random(&w->state) % SIZE;
		uint64_t len = 1 + next_random(&w->state) % LEN_MAX;

		read_kept(w->s, buf, MIN(len, SIZE - off), off);
	}
	free(buf);
	return NULL;
}

static void run_threads(struct subject *s, uint64_t seed)
{
	struct worker workers[WRITERS + READERS];

	for (unsigned i = 0; i < WRITERS + READERS; i++) {
		workers[i] = (struct worker){.s = s, .number = i, .state = seed + i};
		ck_assert_int_eq(
			pthread_create(&workers[i].thread, NULL,
				i < WRITERS ? write_stripes : read_everywhere, &workers[i]),
			0);
	}
	for (unsigned i = 0; i < WRITERS + READERS; i++)
		pthread_join(workers[i].thread, NULL);
}

static void compare(struct subject *s, bool keep)
{
	unsigned char *buf = malloc(SIZE);
	struct err e = ERR_INIT;

	ck_assert_ptr_nonnull(buf);
	if (keep)
		ck_assert_ok(copy_on_read(s->disk, 0, UINT64_MAX / 2, &e), &e);
	ck_assert_ok(view_read(s->disk, buf, SIZE, 0, &e), &e);
	for (uint64_t i = 0; i < SIZE; i++)
		if (buf[i] != s->bytes[i])
			ck_abort_msg("byte %llu is 0x%02x, not 0x%02x", (unsigned long long)i,
				buf[i], s->bytes[i]);
	free(buf);
}

START_TEST(random_operations)
{
	struct subject s;

	start(&s, variants[_i]);
	for (uint64_t round = 0; round < ROUNDS; round++) {
		run_threads(&s, 100 * round + (uint64_t)_i * 10000);
		compare(&s, false);
		close_overlay(&s);
		open_overlay(&s, false);
	}
	compare(&s, true);
	close_overlay(&s);
	ck_assert_int_eq(system("qemu-img check -q " OVERLAY), 0);
	open_overlay(&s, true);
	compare(&s, false);
	image_close(s.img);
	end(&s);
}
END_TEST

/* A range that was discarded reads as zeroes, not as the base again. */
START_TEST(cleared_units_are_not_copied)
{
	struct err e = ERR_INIT;
	struct subject s;

	start(&s, variants[0]);
	memset(s.bytes, 0, 128u << 10);
	ck_assert_ok(view_clear(s.disk, 0, 128u << 10, &e), &e);
	compare(&s, true);
	close_overlay(&s);
	end(&s);
}
END_TEST

/* Zeroes of the base take no space in the overlay. */
START_TEST(zeroes_take_no_space)
{
	struct extent x;
	struct err e = ERR_INIT;
	struct subject s;

	start(&s, variants[0]);
	compare(&s, true);
	view_enter(s.disk);
	ck_assert_ok(view_map(s.disk, 17u << 16, 65536, &x, &e), &e);
	view_leave(s.disk);
	ck_assert_int_eq(x.kind, EXTENT_ZERO);
	close_overlay(&s);
	end(&s);
}
END_TEST

/* A host without space: nothing is stored any more, reads go on, and the overlay is whole. */
START_TEST(full_host)
{
	struct rlimit limit = {.rlim_cur = 1 << 20, .rlim_max = RLIM_INFINITY};
	struct err e = ERR_INIT;
	struct subject s;

	start(&s, variants[0]);
	ck_assert(signal(SIGXFSZ, SIG_IGN) != SIG_ERR);
	ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
	ck_assert_fails(copy_on_read(s.disk, 0, SIZE, &e), EFBIG, &e, "copy_on_read ends");
	ck_assert_ok(copy_on_read(s.disk, 0, SIZE, &e), &e);
	compare(&s, true);
	limit.rlim_cur = RLIM_INFINITY;
	ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
	close_overlay(&s);
	ck_assert_int_eq(system("qemu-img check -q " OVERLAY), 0);
	end(&s);
}
END_TEST

/* Without the option nothing is stored. */
START_TEST(not_requested)
{
	struct err e = ERR_INIT;
	struct extent x;
	struct subject s;

	start(&s, variants[0]);
	s.disk->writer->copy_on_read = false;
	compare(&s, true);
	view_enter(s.disk);
	ck_assert_ok(view_map(s.disk, 0, 65536, &x, &e), &e);
	view_leave(s.disk);
	ck_assert_int_eq(x.kind, EXTENT_BELOW);
	close_overlay(&s);
	end(&s);
}
END_TEST

Suite *copy_on_read_suite(void)
{
	TCase *tc = tcase_create("copy_on_read");

	use_temp_dir(tc);
	tcase_set_timeout(tc, 60);
	tcase_add_loop_test(tc, random_operations, 0, COUNT(variants));
	tcase_add_test(tc, cleared_units_are_not_copied);
	tcase_add_test(tc, zeroes_take_no_space);
	tcase_add_test(tc, full_host);
	tcase_add_test(tc, not_requested);
	return suite_of("copy_on_read", tc);
}
