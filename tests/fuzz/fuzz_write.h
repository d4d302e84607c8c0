/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* fuzz_write.h - writes to hostile images: the fuzz targets of all writable formats.
 *
 * The input is an image, followed by PROGRAM bytes of operations: write, clear, flush, resize,
 * snapshots, reopen.  A model has the content of some ranges ("cells") of the disk and of each
 * snapshot.  For any image:
 * - nothing crashes, and an error has a code and a text
 * - a cell that was readable, or whose write succeeded, reads as in the model, before and after
 *   reopening.  After an error that made the image fail-stop, this holds only for flushed data
 * - a snapshot does not change
 * - an image without corruptions at the start has none at the end
 */
#ifndef VDISK_FUZZ_WRITE_H
#define VDISK_FUZZ_WRITE_H

#include <string.h>

#include "util/limits.h"
#include "memory_file.h"
#include "image/snapshot.h"
#include "image/state.h"

#define PROGRAM   64u /* bytes; an operation has three */
#define CELL      4096u
#define CELLS     24u
#define SNAPSHOTS 6u

/* The content of the cells of one state; that of a cell that is not known is undefined. */
struct cells {
	bool known[CELLS];
	unsigned char bytes[CELLS][CELL];
};

struct fuzzed {
	struct image_options o;
	struct image *img;
	unsigned char *bytes; /* the file */
	uint64_t offs[CELLS]; /* ascending; cells do not overlap */
	unsigned ncells;
	struct cells live, flushed;
	struct cells snapshots[SNAPSHOTS]; /* the states img->states[1...] */
	unsigned nsnapshots;
	bool failed; /* the image is fail-stop */
};

static inline struct view *fuzzed_disk(const struct fuzzed *f)
{
	return f->img->states[0]->view;
}

/* Places cells at the start of the disk, at equal distances, and at the end. */
static inline void fuzzed_place_cells(struct fuzzed *f)
{
	uint64_t all = fuzzed_disk(f)->size / CELL, next = 0;

	f->ncells = 0;
	for (unsigned i = 0; i < CELLS; i++) {
		uint64_t at = i < 8 ? i : i < 16 ? all / 16 * (i - 7) : all - MIN(all, CELLS - i);

		if (at < next || at >= all)
			continue;
		f->offs[f->ncells++] = at * CELL;
		next = at + 1;
	}
}

static inline void fuzzed_read_cells(const struct fuzzed *f, const struct view *v, struct cells *c)
{
	for (unsigned i = 0; i < f->ncells; i++) {
		struct err e = ERR_INIT;

		c->known[i] = range_fits(f->offs[i], CELL, v->size) &&
			      view_read(v, c->bytes[i], CELL, f->offs[i], &e) == 0;
	}
}

static inline void fuzzed_compare(
	const struct fuzzed *f, const struct view *v, const struct cells *c)
{
	static unsigned char buf[CELL];

	for (unsigned i = 0; i < f->ncells; i++) {
		struct err e = ERR_INIT;

		if (!c->known[i])
			continue;
		fuzz_require(range_fits(f->offs[i], CELL, v->size));
		fuzz_require(view_read(v, buf, CELL, f->offs[i], &e) == 0);
		fuzz_require(memcmp(buf, c->bytes[i], CELL) == 0);
	}
}

static inline void fuzzed_compare_all(const struct fuzzed *f)
{
	if (f->failed)
		return;
	fuzzed_compare(f, fuzzed_disk(f), &f->live);
	for (unsigned i = 0; i < f->nsnapshots; i++)
		fuzzed_compare(f, f->img->states[i + 1]->view, &f->snapshots[i]);
}

/* Only cells that are equal in both stay known. */
static inline void fuzzed_keep_common(
	const struct fuzzed *f, struct cells *c, const struct cells *d)
{
	for (unsigned i = 0; i < f->ncells; i++)
		c->known[i] =
			c->known[i] && d->known[i] && memcmp(c->bytes[i], d->bytes[i], CELL) == 0;
}

static inline void fuzzed_flush(struct fuzzed *f)
{
	struct err e = ERR_INIT;

	if (image_flush(f->img, &e) == 0)
		f->flushed = f->live;
	else
		f->failed = true;
}

/* A failed operation either changes nothing else or makes the image fail-stop, which the flush
 * detects. */
static inline void fuzzed_check_result(struct fuzzed *f, int rc, const struct err *e)
{
	fuzz_require(rc == 0 || (rc == -e->code && e->text[0] != '\0'));
	if (rc < 0)
		fuzzed_flush(f);
}

static inline void fuzzed_write(struct fuzzed *f, unsigned i, unsigned a, bool clear)
{
	static unsigned char data[CELL];
	uint32_t skip = (a & 15) * 256, len = MIN(CELL - skip, 1 + (a >> 4) * 300);
	struct view *disk = fuzzed_disk(f);
	struct err e = ERR_INIT;
	int rc;

	if (!range_fits(f->offs[i], CELL, disk->size))
		return;
	if (a == 255) {
		skip = 0;
		len = CELL;
	}
	for (uint32_t k = 0; k < len; k++)
		data[k] = clear ? 0 : (unsigned char)(k * 7 + a + i);
	rc = clear ? view_clear(disk, f->offs[i] + skip, len, &e)
		   : view_write(disk, data, len, f->offs[i] + skip, &e);
	if (rc == 0)
		memcpy(f->live.bytes[i] + skip, data, len);
	if (rc == 0 && len == CELL)
		f->live.known[i] = true;
	if (rc < 0)
		f->live.known[i] = false;
	fuzzed_check_result(f, rc, &e);
}

static inline void fuzzed_resize(struct fuzzed *f, unsigned a)
{
	struct view *disk = fuzzed_disk(f);
	const uint64_t sizes[] = {disk->size / 2, disk->size - MIN(disk->size, CELL),
		disk->size + CELL, disk->size + (1u << 20), disk->size * 2, 1u << 20, 512,
		4u << 20};
	struct err e = ERR_INIT;
	uint64_t size = sizes[a % 8];
	int rc;

	if (size == 0 || size > LIMIT_DISK_SIZE)
		return;
	rc = view_resize(disk, size, &e);
	for (unsigned i = 0; i < f->ncells; i++)
		if (!range_fits(f->offs[i], CELL, disk->size))
			f->live.known[i] = false;
	fuzzed_check_result(f, rc, &e);
	if (rc == 0)
		f->flushed = f->live;
}

static inline void fuzzed_create_snapshot(struct fuzzed *f, unsigned a)
{
	struct err e = ERR_INIT;
	char name[16];
	unsigned no;
	int rc;

	if (f->nsnapshots == SNAPSHOTS)
		return;
	snprintf(name, sizeof name, "shot %u", a);
	rc = snapshot_create(f->img, name, &no, &e);
	fuzzed_check_result(f, rc, &e);
	if (rc == 0)
		f->flushed = f->snapshots[f->nsnapshots++] = f->live;
}

static inline void fuzzed_delete_snapshot(struct fuzzed *f, unsigned i)
{
	struct err e = ERR_INIT;
	int rc = snapshot_delete(f->img, f->img->states[i + 1]->no, &e);

	fuzzed_check_result(f, rc, &e);
	if (rc < 0)
		return;
	f->flushed = f->live;
	f->nsnapshots--;
	memmove(f->snapshots + i, f->snapshots + i + 1,
		(f->nsnapshots - i) * sizeof f->snapshots[0]);
}

static inline void fuzzed_apply_snapshot(struct fuzzed *f, unsigned i)
{
	struct err e = ERR_INIT;
	int rc = snapshot_apply(f->img, f->img->states[i + 1]->no, &e);

	fuzzed_check_result(f, rc, &e);
	if (rc == 0)
		f->flushed = f->live = f->snapshots[i];
}

static inline bool fuzzed_open(struct fuzzed *f, uint64_t size)
{
	f->img = memory_file_open(f->bytes, size, &f->o);
	return f->img != NULL;
}

/* Returns false if the image cannot be opened again. */
static inline bool fuzzed_reopen(struct fuzzed *f)
{
	struct err e = ERR_INIT;
	uint64_t size;

	if (image_finish(f->img, &e) < 0)
		f->failed = true;
	size = f->img->io->size;
	image_close(f->img);
	if (!fuzzed_open(f, size)) {
		fuzz_require(f->failed);
		return false;
	}
	if (f->failed)
		fuzzed_keep_common(f, &f->live, &f->flushed);
	/* A failed snapshot operation may nevertheless have been done. */
	if (f->img->nstates != f->nsnapshots + 1) {
		fuzz_require(f->failed);
		return true;
	}
	f->failed = false;
	fuzzed_compare_all(f);
	f->flushed = f->live;
	return true;
}

static inline void fuzzed_run_operation(struct fuzzed *f, const uint8_t *op)
{
	unsigned snapshot = f->nsnapshots ? op[1] % f->nsnapshots : 0;

	switch (op[0] % 16) {
	case 0:
	case 1:
	case 2:
	case 3:
	case 4:
	case 5:
		fuzzed_write(f, op[1] % f->ncells, op[2], false);
		break;
	case 6:
	case 7:
		fuzzed_write(f, op[1] % f->ncells, 255, false);
		break;
	case 8:
	case 9:
		fuzzed_write(f, op[1] % f->ncells, op[2], true);
		break;
	case 10:
		fuzzed_flush(f);
		break;
	case 11:
		fuzzed_resize(f, op[1]);
		break;
	case 12:
		fuzzed_create_snapshot(f, op[1]);
		break;
	case 13:
		if (f->nsnapshots)
			fuzzed_delete_snapshot(f, snapshot);
		break;
	case 14:
		if (f->nsnapshots)
			fuzzed_apply_snapshot(f, snapshot);
		break;
	}
}

/* A cluster that is shared by two entries, with a correct refcount of 2, ends as a cluster of one
 * entry without the COPIED flag.  The next write copies it, so no data is at risk. */
static inline bool fuzzed_is_harmless(const char *sentence)
{
	const char *count = strstr(sentence, "refcount=1");

	return strncmp(sentence, "ERROR", 5) != 0 ||
	       (strstr(sentence, "OFLAG_COPIED") && count && count[10] == '\0');
}

static inline void fuzzed_found(void *arg, const char *sentence)
{
	unsigned *errors = arg;

	if (!fuzzed_is_harmless(sentence))
		++*errors;
}

/* Returns whether the check is complete and found no corruption. */
static inline bool fuzzed_is_clean(const struct fuzzed *f)
{
	unsigned errors = 0;
	struct check_report r = {.found = fuzzed_found, .arg = &errors};
	struct err e = ERR_INIT;

	return image_check(f->img, 0, &r, &e) == 0 && errors == 0 && r.check_errors == 0;
}

/* Returns false if the image could not be reopened. */
static inline bool fuzzed_run(struct fuzzed *f, const uint8_t *program)
{
	for (unsigned i = 0; i + 3 <= PROGRAM; i += 3) {
		if (program[i] % 16 != 15)
			fuzzed_run_operation(f, program + i);
		else if (!fuzzed_reopen(f))
			return false;
		if (f->failed && f->img->nstates != f->nsnapshots + 1)
			return true;
		fuzzed_compare_all(f);
	}
	return fuzzed_reopen(f);
}

static inline bool fuzzed_read_all(struct fuzzed *f)
{
	if (f->img->nstates > SNAPSHOTS + 1)
		return false;
	fuzzed_place_cells(f);
	fuzzed_read_cells(f, fuzzed_disk(f), &f->live);
	f->flushed = f->live;
	f->nsnapshots = f->img->nstates - 1;
	for (unsigned i = 0; i < f->nsnapshots; i++)
		fuzzed_read_cells(f, f->img->states[i + 1]->view, &f->snapshots[i]);
	return f->ncells > 0;
}

static inline void fuzzed_image(struct fuzzed *f, uint64_t size, const uint8_t *program)
{
	bool clean;

	f->o.write = false;
	if (!fuzzed_open(f, size))
		return;
	clean = fuzzed_is_clean(f);
	image_close(f->img);
	f->o.write = true;
	if (!fuzzed_open(f, size))
		return;
	if (!fuzzed_read_all(f) || fuzzed_run(f, program)) {
		fuzz_require(!clean || f->failed || fuzzed_is_clean(f));
		image_close(f->img);
	}
}

static inline int fuzz_write(const char *format, const uint8_t *data, size_t size)
{
	static unsigned char bytes[FILE_SIZE_MAX];
	static struct fuzzed f;
	struct err e = ERR_INIT;

	if (size < PROGRAM || size > FILE_SIZE_MAX / 4)
		return 0;
	size -= PROGRAM;
	memset(&f, 0, sizeof f);
	memset(bytes, 0, sizeof bytes);
	memcpy(bytes, data, size);
	f.bytes = bytes;
	f.o = (struct image_options){
		.format = format,
		.nobacking = true,
		.detect_zeroes = true,
		.cache = cache_new(FUZZ_CACHE, &e),
		.codec = codec_new(&e),
	};
	fuzz_require(f.o.cache && f.o.codec);
	fuzzed_image(&f, size, data + size);
	codec_free(f.o.codec);
	cache_free(f.o.cache);
	return 0;
}

/* Mutation.  Most bytes of an image are data, and changes of data find nothing.  So non-zero
 * words, which tables consist of, are replaced by other words of the image, and checksums are made
 * valid. */

size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max_size);

static inline uint32_t fuzz_random(uint32_t *state)
{
	*state = *state * 1664525 + 1013904223;
	return *state >> 8;
}

/* Returns the position of an aligned non-zero word, half of the time one near the start. */
static inline size_t fuzz_word(const uint8_t *data, size_t words, size_t width, uint32_t *state)
{
	static const uint8_t zero[8];
	size_t pos = 0;

	for (int tries = 0; tries < 256; tries++) {
		size_t among = fuzz_random(state) % 2 ? words : MIN(words, 8192);

		pos = fuzz_random(state) % among * width;
		if (memcmp(data + pos, zero, width) != 0)
			break;
	}
	return pos;
}

static inline void fuzz_change_word(uint8_t *data, size_t size, uint32_t *state)
{
	size_t width = fuzz_random(state) % 2 ? 8 : 4, words = size / width, to, from;

	if (words == 0)
		return;
	to = fuzz_word(data, words, width, state);
	from = fuzz_word(data, words, width, state);
	switch (fuzz_random(state) % 4) {
	case 0:
	case 1:
		memcpy(data + to, data + from, width);
		break;
	case 2:
		data[to + fuzz_random(state) % width] += fuzz_random(state) % 2 ? 1 : -1;
		break;
	case 3:
		data[to + fuzz_random(state) % width] ^= 1u << fuzz_random(state) % 8;
		break;
	}
}

static inline size_t fuzz_mutate(uint8_t *data, size_t size, size_t max_size, uint32_t seed,
	void (*repair)(uint8_t *, size_t))
{
	uint8_t program[PROGRAM];
	size_t image;

	if (size < PROGRAM || max_size < size)
		return LLVMFuzzerMutate(data, size, max_size);
	image = size - PROGRAM;
	memcpy(program, data + image, PROGRAM);
	switch (fuzz_random(&seed) % 8) {
	case 0:
	case 1:
	case 2:
		LLVMFuzzerMutate(program, PROGRAM, PROGRAM);
		break;
	case 3:
		image = LLVMFuzzerMutate(data, image, max_size - PROGRAM);
		break;
	case 4:
		image -= MIN(image, fuzz_random(&seed) % (1 + image / 4));
		break;
	default:
		for (uint32_t n = 1 + fuzz_random(&seed) % 3; n > 0; n--)
			fuzz_change_word(data, image, &seed);
	}
	repair(data, image);
	memcpy(data + image, program, PROGRAM);
	return image + PROGRAM;
}

/* Defines the target of a format; repair makes the checksums of the image valid. */
#define FUZZ_WRITE(format, repair)                                                                 \
	int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);                              \
	int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)                               \
	{                                                                                          \
		return fuzz_write(format, data, size);                                             \
	}                                                                                          \
	size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max, unsigned seed);     \
	size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max, unsigned seed)      \
	{                                                                                          \
		return fuzz_mutate(data, size, max, seed, repair);                                 \
	}

static inline void fuzz_no_checksums(uint8_t *image, size_t size)
{
	(void)image;
	(void)size;
}

#endif
