/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "util/limits.h"
#include "build/vhdx.h"
#include "common/test_image.h"
#include "common/unit.h"

#define PAGE 4096u

static const struct vhdx_block two[] = {{STATE_FULL, 0}, {STATE_NOT, 0}, {STATE_FULL, 1}};
static const struct vhdx_spec spec = {.size = 4 * MIB, .map = two, .nmap = COUNT(two)};

/* Copies the first page of the BAT and changes the entry of block b. */
static void bat_page(const struct memory_image *v, unsigned char *page, unsigned b, uint64_t entry)
{
	memcpy(page, v->file + VHDX_BAT_AT, PAGE);
	put_le(page + 8 * b, 8, entry);
}

static void opens_and_reads(struct subject *s, const struct memory_image *v)
{
	memory_image_compare(v, subject_opens(s, v->file, v->file_len));
}

static unsigned nwarnings;

static void count_warning(void *arg, const char *text)
{
	(void)arg;
	nwarnings += strstr(text, "log") != NULL;
}

/* Data, a BAT entry and zeroes are only in the log; replaying does not change the file. */
START_TEST(replayed)
{
	struct memory_image v = vhdx_build(&spec);
	unsigned char data[PAGE], bat[PAGE], *before = malloc(v.file_len);
	struct vhdx_change changes[] = {
		{.pos = VHDX_DATA_AT + 8192, .page = data},
		{.pos = VHDX_BAT_AT, .page = bat},
		{.pos = VHDX_DATA_AT + MIB + 4096, .len = 3 * PAGE},
	};
	struct vhdx_entry entry = {.sequence = 77, .changes = changes, .n = 3};
	struct subject s;

	fill_pattern(data, PAGE, 99);
	bat_page(&v, bat, 1, VHDX_DATA_AT | STATE_FULL);
	vhdx_log(&v, &entry);
	vhdx_set_log(&v, true);
	memcpy(v.disk + 8192, data, PAGE);
	memcpy(v.disk + MIB, v.disk, MIB);
	memset(v.disk + 2 * MIB + 4096, 0, 3 * PAGE);
	memcpy(before, v.file, v.file_len);
	subject_new(&s, NULL);
	s.o.warn = count_warning;
	opens_and_reads(&s, &v);
	ck_assert_uint_eq(nwarnings, 1);
	ck_assert_mem_eq(v.file, before, v.file_len);
	subject_free(&s);
	memory_image_free(&v);
	free(before);
}
END_TEST

/* The header has no log GUID, so the entries are obsolete. */
START_TEST(obsolete_entries)
{
	struct memory_image v = vhdx_build(&spec);
	unsigned char data[PAGE];
	struct vhdx_change change = {.pos = VHDX_DATA_AT, .page = data};
	struct vhdx_entry entry = {.sequence = 1, .changes = &change, .n = 1};
	struct subject s;

	fill_pattern(data, PAGE, 99);
	vhdx_log(&v, &entry);
	subject_new(&s, NULL);
	s.o.warn = count_warning;
	opens_and_reads(&s, &v);
	ck_assert_uint_eq(nwarnings, 0);
	subject_free(&s);
	memory_image_free(&v);
}
END_TEST

/* Writes n log entries from position at, each with a page of pattern sequence for that page of
 * block 0; returns the position after them. */
static uint32_t put_run(struct memory_image *v, uint32_t at, uint32_t tail, uint64_t sequence,
	unsigned n, bool counts)
{
	for (; n > 0; n--, sequence++) {
		unsigned char data[PAGE];
		struct vhdx_change change = {.pos = VHDX_DATA_AT + sequence * PAGE, .page = data};
		struct vhdx_entry entry = {
			.at = at, .tail = tail, .sequence = sequence, .changes = &change, .n = 1};

		fill_pattern(data, PAGE, sequence);
		at = vhdx_log(v, &entry);
		if (counts)
			memcpy(v->disk + sequence * PAGE, data, PAGE);
	}
	return at;
}

/* The active sequence is chosen among several. */
START_TEST(sequences)
{
	struct memory_image v = vhdx_build(&spec);
	struct subject s;
	uint32_t at;

	switch (_i) {
	case 0: /* the greater sequence number wins, at any position */
		put_run(&v, 64 * PAGE, 64 * PAGE, 20, 3, true);
		put_run(&v, 128 * PAGE, 128 * PAGE, 10, 3, false);
		break;
	case 1: /* an entry that wraps at the end of the log */
		put_run(&v, VHDX_LOG_LEN - 3 * PAGE, VHDX_LOG_LEN - 3 * PAGE, 5, 4, true);
		break;
	case 2: /* entries before the tail are already in the file */
		put_run(&v, 0, 4 * PAGE, 5, 2, false);
		put_run(&v, 4 * PAGE, 4 * PAGE, 7, 3, true);
		break;
	case 3: /* a sequence without its tail is invalid */
		put_run(&v, 0, 0, 5, 2, true);
		put_run(&v, 100 * PAGE, 50 * PAGE, 200, 2, false);
		break;
	case 4: /* a gap in the sequence numbers ends a sequence */
		at = put_run(&v, 0, 0, 5, 2, false);
		put_run(&v, at, at, 8, 2, true);
		break;
	case 5: /* an old entry follows */
		at = put_run(&v, 0, 0, 50, 3, true);
		put_run(&v, at, at, 20, 1, false);
		break;
	}
	vhdx_set_log(&v, true);
	subject_new(&s, NULL);
	opens_and_reads(&s, &v);
	subject_free(&s);
	memory_image_free(&v);
}
END_TEST

/* The last entry is damaged, so the sequence ends before it.  Damage to any field is detected. */
START_TEST(torn_entries)
{
	static const size_t at[] = {0, 4, 8, 16, 24, 32, 48, 56, 64, 64 + 4, 64 + 8, 64 + 16,
		64 + 24, 100, PAGE, PAGE + 4, PAGE + 8, PAGE + 2000, 2 * PAGE - 4, 2 * PAGE - 1};
	struct memory_image v = vhdx_build(&spec);
	struct subject s;

	put_run(&v, 0, 0, 5, 2, true);
	put_run(&v, 4 * PAGE, 0, 7, 1, false);
	v.file[VHDX_LOG_AT + 4 * PAGE + at[_i]] ^= 1;
	vhdx_set_log(&v, true);
	subject_new(&s, NULL);
	opens_and_reads(&s, &v);
	memset(v.file + VHDX_LOG_AT, 0, PAGE);
	memset(v.file + VHDX_LOG_AT + 2 * PAGE, 0, PAGE);
	subject_refuses(&s, v.file, v.file_len, EUCLEAN, "log: it is not empty, but has no valid");
	subject_free(&s);
	memory_image_free(&v);
}
END_TEST

/* More descriptors than fit into the first sector of an entry; later changes win. */
START_TEST(many_changes)
{
	enum { N = 200 };
	struct memory_image v = vhdx_build(&spec);
	struct vhdx_change changes[N];
	unsigned char *pages = malloc(N * PAGE);
	struct vhdx_entry entry = {.sequence = 3, .changes = changes, .n = N};
	uint64_t seed = _i;
	struct subject s;

	for (unsigned i = 0; i < N; i++) {
		uint64_t page = next_random(&seed) % 200, n = 1 + next_random(&seed) % 20;

		fill_pattern(pages + i * PAGE, PAGE, i);
		changes[i] = (struct vhdx_change){.pos = VHDX_DATA_AT + page * PAGE};
		if (next_random(&seed) % 4 == 0) {
			changes[i].len = n * PAGE;
			memset(v.disk + page * PAGE, 0, n * PAGE);
		} else {
			changes[i].page = pages + i * PAGE;
			memcpy(v.disk + page * PAGE, pages + i * PAGE, PAGE);
		}
	}
	vhdx_log(&v, &entry);
	vhdx_set_log(&v, true);
	subject_new(&s, NULL);
	opens_and_reads(&s, &v);
	subject_free(&s);
	memory_image_free(&v);
	free(pages);
}
END_TEST

/* The log records a longer file: beyond its end it has the bytes of the log, or zeroes. */
START_TEST(growth)
{
	struct memory_image v = vhdx_build(&spec);
	unsigned char data[PAGE], bat[PAGE];
	uint64_t end = v.file_len;
	struct vhdx_change changes[] = {
		{.pos = end + 8192, .page = data}, {.pos = VHDX_BAT_AT, .page = bat}};
	struct vhdx_entry entry = {.sequence = 1, .changes = changes, .n = 2, .last = end + MIB};
	struct subject s;

	fill_pattern(data, PAGE, 99);
	bat_page(&v, bat, 3, end | STATE_FULL);
	vhdx_log(&v, &entry);
	vhdx_set_log(&v, true);
	memcpy(v.disk + 3 * MIB + 8192, data, PAGE);
	subject_new(&s, NULL);
	opens_and_reads(&s, &v);
	subject_maps(s.img->states[0]->view, 3 * MIB, EXTENT_FILE, MIB);
	subject_free(&s);
	memory_image_free(&v);
}
END_TEST

/* The log's position, or a field of its last entry, is invalid. */
START_TEST(refused)
{
	static const struct field_case fields[] = {
		{VHDX_HEADER1 + 64, 2, 1, ENOTSUP, "log: version 1"},
		{VHDX_HEADER1 + 68, 4, 0, EUCLEAN, "log: 0 bytes at 0x100000"},
		{VHDX_HEADER1 + 68, 4, 4096, EUCLEAN, "log: 4096 bytes"},
		{VHDX_HEADER1 + 68, 4, 100 * MIB, EFBIG, "log: 104857600 bytes"},
		{VHDX_HEADER1 + 68, 4, 0xfff00000, EFBIG, "log: 4293918720 bytes"},
		{VHDX_HEADER1 + 68, 4, 20 * MIB, EUCLEAN, "pass the end"},
		{VHDX_HEADER1 + 72, 8, 0, EUCLEAN, "log: 1048576 bytes at 0x0"},
		{VHDX_HEADER1 + 72, 8, MIB + 4096, EUCLEAN, "whole MiB"},
		{VHDX_HEADER1 + 72, 8, UINT64_MAX - MIB + 1, EUCLEAN, "pass the end"},
		{VHDX_HEADER1 + 48, 1, 0x78, EUCLEAN, "no valid entries"},
	};
	struct memory_image v = vhdx_build(&spec);
	struct subject s;

	put_run(&v, 0, 0, 5, 2, false);
	vhdx_set_log(&v, true);
	put_le(v.file + fields[_i].pos, fields[_i].width, fields[_i].value);
	vhdx_seal(&v);
	subject_new(&s, NULL);
	subject_refuses(&s, v.file, v.file_len, fields[_i].code, fields[_i].text);
	subject_free(&s);
	memory_image_free(&v);
}
END_TEST

START_TEST(impossible_entries)
{
	static const struct {
		struct vhdx_change change;
		uint64_t flushed, last;
		int code;
		const char *text;
	} entries[] = {
		{{MIB, PAGE, NULL}, 100 * MIB, 0, EUCLEAN, "the file was cut"},
		{{MIB, PAGE, NULL}, 0, UINT64_MAX, EFBIG, "would grow"},
		{{MIB + 1, PAGE, NULL}, 0, 0, EUCLEAN, "entry 1: 4096 bytes at 0x100001"},
		{{MIB, 100, NULL}, 0, 0, EUCLEAN, "no whole pages"},
		{{MIB, 0, NULL}, 0, 0, EUCLEAN, "no whole pages"},
		{{UINT64_MAX - PAGE + 1, PAGE, NULL}, 0, 0, EUCLEAN, "no whole pages"},
		{{UINT64_C(1) << 63, PAGE, NULL}, 0, 0, EFBIG, "would grow"},
	};
	struct memory_image v = vhdx_build(&spec);
	struct vhdx_entry entry = {.sequence = 1,
		.changes = &entries[_i].change,
		.n = 1,
		.flushed = entries[_i].flushed,
		.last = entries[_i].last};
	struct subject s;

	vhdx_log(&v, &entry);
	vhdx_set_log(&v, true);
	subject_new(&s, NULL);
	subject_refuses(&s, v.file, v.file_len, entries[_i].code, entries[_i].text);
	subject_free(&s);
	memory_image_free(&v);
}
END_TEST

START_TEST(too_many_changes)
{
	static struct vhdx_change changes[VHDX_MAX_CHANGES + 1];
	struct memory_image v = vhdx_build(&spec);
	struct vhdx_entry entry = {.sequence = 1, .changes = changes, .n = VHDX_MAX_CHANGES};
	struct subject s;

	/* every other page, so that they are not merged */
	for (size_t i = 0; i <= VHDX_MAX_CHANGES; i++)
		changes[i] = (struct vhdx_change){
			.pos = VHDX_DATA_AT + 100 * MIB + i * 2 * PAGE, .len = PAGE};
	vhdx_log(&v, &entry);
	vhdx_set_log(&v, true);
	subject_new(&s, NULL);
	opens_and_reads(&s, &v);
	entry.n++;
	vhdx_log(&v, &entry);
	subject_refuses(&s, v.file, v.file_len, EFBIG, "more than 16384 changes");
	subject_free(&s);
	memory_image_free(&v);
}
END_TEST

START_TEST(every_read_fails_once)
{
	struct memory_image v = vhdx_build(&spec);

	put_run(&v, 0, 0, 5, 3, true);
	vhdx_set_log(&v, true);
	memory_image_faults(&v, 256); /* one for each page of the log */
	memory_image_free(&v);
}
END_TEST

Suite *vhdx_log_suite(void)
{
	TCase *tc = tcase_create("vhdx log");

	tcase_add_test(tc, replayed);
	tcase_add_test(tc, obsolete_entries);
	tcase_add_loop_test(tc, sequences, 0, 6);
	tcase_add_loop_test(tc, torn_entries, 0, 20);
	tcase_add_loop_test(tc, many_changes, 0, 10);
	tcase_add_test(tc, growth);
	tcase_add_loop_test(tc, refused, 0, 10);
	tcase_add_loop_test(tc, impossible_entries, 0, 7);
	tcase_add_test(tc, too_many_changes);
	tcase_add_test(tc, every_read_fails_once);
	tcase_set_timeout(tc, 60);
	return suite_of("vhdx_log", tc);
}
