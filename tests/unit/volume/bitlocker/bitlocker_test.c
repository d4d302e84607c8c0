/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "bitlocker_test.h"

#include <stdlib.h>
#include <string.h>

#include "common/memory_disk.h"
#include "common/unit.h"
#include "io/passphrase.h"
#include "partition/partition.h"
#include "util/bytes.h"
#include "util/err.h"
#include "view/view.h"
#include "volume/volume.h"

struct bt bt;

const struct bl_spec bt_ordinary = {
	.method = 0x8004, .sector = 512, .protectors = BL_CLEAR | BL_PLACE_ENTRY};

void bt_close(void)
{
	volume_set_free(bt.set);
	view_free(bt.disk);
	bt.set = NULL;
	bt.disk = NULL;
}

void bt_make(const struct bl_spec *s)
{
	fill_pattern(bt.plain, BL_SIZE, s->method + s->sector);
	put_le(bt.plain + 510, 2, 0xaa55); /* as boot sectors end */
	bl_make(s, bt.plain, bt.volume);
}

const struct volume *bt_open_part(uint64_t size, const struct passphrase *secrets)
{
	const struct partition_table none = {.n = 0};
	struct image_options how = {.secrets = secrets};
	struct volume_disk d = {.table = &none};
	struct err e = ERR_INIT;

	bt_close();
	d.view = bt.disk = memdisk_new(size);
	memdisk_put(bt.disk, 0, bt.volume, size);
	ck_assert_ok(volume_set_read(&d, 1, &how, &bt.set, &e), &e);
	ck_assert_uint_le(bt.set->nvolumes, 1);
	return bt.set->nvolumes ? bt.set->volumes[0] : NULL;
}

const struct volume *bt_open_with(const void *bytes, size_t len)
{
	struct passphrase s = {.bytes = (unsigned char *)bytes, .len = len};

	return bt_open_part(BL_SIZE, bytes ? &s : NULL);
}

const struct volume *bt_open(void)
{
	return bt_open_with(NULL, 0);
}

struct view *bt_view(void)
{
	struct err e = ERR_INIT;
	struct view *view = volume_view(bt.set, bt.set->volumes[0], &bt.disk, &e);

	ck_assert_ok(!view, &e);
	return view;
}

void bt_fails(const struct volume *v, int code, const char *part)
{
	ck_assert_ptr_nonnull(v);
	ck_assert_fails(-v->error.code, code, &v->error, part);
}

void bt_reads(const struct volume *v)
{
	static unsigned char buf[BL_SIZE];
	uint64_t seed = 1;
	struct err e = ERR_INIT;
	struct view *view;

	ck_assert_ptr_nonnull(v);
	ck_assert_ok(v->error.code, &v->error);
	view = bt_view();
	ck_assert_uint_eq(view->size, BL_SIZE);
	ck_assert_ok(view_read(view, buf, BL_SIZE, 0, &e), &e);
	ck_assert_mem_eq(buf, bt.plain, BL_SIZE);
	for (int i = 0; i < 500; i++) {
		size_t off = next_random(&seed) % BL_SIZE;
		size_t len = 1 + next_random(&seed) % MIN(BL_SIZE - off, i % 2 ? 5000 : BL_SIZE);

		memset(buf, 0, len);
		ck_assert_ok(view_read(view, buf, len, off, &e), &e);
		ck_assert_mem_eq(buf, bt.plain + off, len);
	}
	view_free(view);
}
