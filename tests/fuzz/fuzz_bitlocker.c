/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* fuzz_bitlocker.c - volumes of BitLocker.  The input is a byte that chooses one of the volumes
 * that the unit tests build, and changes of its boot sector, its metadata and its startup key;
 * checksum and digest are made valid then, without which no input would pass. */
#include <stdlib.h>
#include <string.h>

#include "flat_view.h"
#include "fuzz.h"
#include "../unit/build/bitlocker.h"
#include "io/passphrase.h"
#include "partition/partition.h"
#include "util/bytes.h"
#include "util/err.h"
#include "view/view.h"
#include "volume/volume.h"

enum { BOOT, ALL_COPIES, ONE_COPY, STARTUP_KEY, PLACES };

#define METHODS 6u

/* The volumes, each made once. */
static const unsigned char *volume_of(unsigned method, bool large, bool to_go)
{
	static unsigned char *made[4 * METHODS];
	unsigned i = method + METHODS * large + 2 * METHODS * to_go;
	const struct bl_spec s = {
		.method = 0x8000 + method,
		.sector = large ? 4096 : 512,
		.to_go = to_go,
		.protectors = BL_TPM | BL_STARTUP_KEY | (large ? BL_CLEAR : BL_PLACE_ENTRY),
	};

	if (!made[i]) {
		unsigned char *plain = calloc(1, BL_SIZE);

		made[i] = malloc(BL_SIZE);
		fuzz_require(plain && made[i]);
		bl_make(&s, plain, made[i]);
		free(plain);
	}
	return made[i];
}

static void put(unsigned char *to, size_t size, size_t pos, const uint8_t *bytes, size_t n)
{
	pos %= size;
	memcpy(to + pos, bytes, MIN(n, size - pos));
}

/* A change: the place, a position of two bytes, a number of bytes, and these. */
static void change(
	unsigned char *disk, unsigned char *key, size_t key_len, const uint8_t *data, size_t size)
{
	while (size > 4) {
		unsigned place = data[0] % PLACES;
		size_t pos = load_le16(data + 1), n = MIN(data[3] % 32u, size - 4);

		for (unsigned i = 0; i < 3; i++)
			if (place == ALL_COPIES || (place == ONE_COPY && data[0] / PLACES % 3 == i))
				put(disk + bl_copies[i], 2048, pos, data + 4, n);
		if (place == BOOT)
			put(disk, 512, pos, data + 4, n);
		if (place == STARTUP_KEY)
			put(key, key_len, pos, data + 4, n);
		data += 4 + n;
		size -= 4 + n;
	}
	key[3] = '\0'; /* no password: to try one takes long */
}

static void read_volumes(struct view *disk, const struct volume_set *set)
{
	static unsigned char buf[BL_SIZE];
	struct err e = ERR_INIT;

	for (size_t i = 0; i < set->nvolumes; i++) {
		struct view *v;

		if (set->volumes[i]->error.code) {
			fuzz_require(set->volumes[i]->error.text[0] != '\0');
			continue;
		}
		v = volume_view(set, set->volumes[i], &disk, &e);
		fuzz_require(v && v->size <= BL_SIZE);
		fuzz_require(view_read(v, buf, MIN(v->size, 20000), 0, &e) == 0);
		if (v->size > 300001)
			fuzz_require(view_read(v, buf, 3001, 299000, &e) == 0);
		view_stored(v);
		view_free(v);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static unsigned char disk[BL_SIZE];
	const struct partition_table none = {.n = 0};
	unsigned char key[BL_FILE_MAX];
	struct passphrase secret = {.bytes = key, .len = bl_startup_key(key)};
	struct image_options how = {.secrets = &secret};
	struct volume_disk d = {.view = NULL, .table = &none};
	struct volume_set *set;
	struct err e = ERR_INIT;

	if (size == 0)
		return 0;
	memcpy(disk, volume_of(data[0] % METHODS, data[0] & 0x20, data[0] & 0x40), BL_SIZE);
	change(disk, key, secret.len, data + 1, size - 1);
	if (!(data[0] & 0x80))
		bl_seal(disk);
	d.view = flat_new(disk, BL_SIZE);
	if (volume_set_read(&d, 1, &how, &set, &e) == 0) {
		read_volumes(d.view, set);
		volume_set_free(set);
	}
	view_free(d.view);
	return 0;
}
