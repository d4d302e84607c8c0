/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* create.c - new VHD files: fixed, dynamic and, with a backing file, differencing. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "util/bytes.h"
#include "util/err.h"
#include "util/guid.h"
#include "util/limits.h"
#include "util/text.h"
#include "util/utf16.h"
#include "footer.h"
#include "header.h"
#include "image/format.h"
#include "image/image.h"
#include "io/io.h"

#define BAT_POS   (VHD_FOOTER_LEN + VHD_HEADER_LEN)
#define MIN_BLOCK (512u << 10) /* Hyper-V makes blocks of 512 KiB and of 2 MiB */
#define MAX_BLOCK (2u << 20)
#define TEXT_MAX  (2u * LIMIT_NAME)

/* The largest disk that has a CHS geometry. */
#define MAX_GEOMETRY (UINT64_C(65535) * 16 * 255 * VHD_SECTOR)

static const char *const subformats[] = {"dynamic", "fixed", NULL};

const struct create_option vhd_create_options[] = {
	CREATE_OPTION_SIZE,
	CREATE_OPTION_BACKING,
	{"subformat", CREATE_WORD, "dynamic or fixed", "dynamic", subformats, NULL},
	{"force_size", CREATE_FLAG, "keep the size; off: round it up to a CHS geometry", "on", NULL,
		NULL},
	{"block_size", CREATE_SIZE, "bytes of a block of a dynamic disk: 512k, 1M or 2M", "2M",
		NULL, NULL},
	{0},
};

static int choose_size(const struct creation *c, uint64_t *size, struct err *e)
{
	*size = c->size;
	if (c->size > VHD_MAX_SIZE)
		return err_set(e, EFBIG, "a VHD disk has at most 2040 GiB");
	*size = round_up(c->size, VHD_SECTOR);
	if (creation_flag(c, "force_size") || c->request->backing || *size > MAX_GEOMETRY)
		return 0;
	while (vhd_footer_geometry_size(*size) < c->size)
		*size += VHD_SECTOR;
	*size = vhd_footer_geometry_size(*size);
	return 0;
}

/* Fills in p, and the text of its locator: the path whose last part is the name in the header. */
static int describe_parent(const struct creation *c, const struct vhd_new *n,
	struct vhd_new_parent *p, unsigned char text[TEXT_MAX], struct err *e)
{
	const char *base = text_basename(c->request->backing);
	char *path;
	size_t units;
	bool fits;

	if (!c->parent)
		return err_set(
			e, EINVAL, "the backing file must be there: its unique id is recorded");
	if (c->parent->format != c->format)
		return err_set(e, EINVAL, "the backing file is %s, and must be VHD",
			c->parent->format->name);
	if (c->parent->states[0]->view->size != n->size)
		return err_set(e, EINVAL, "the disk must be as long as that of the backing file");
	if (n->type == VHD_FIXED)
		return err_set(e, EINVAL, "a fixed disk has no backing file");
	path = creation_windows_name(c);
	if (!path)
		return err_nomem(e);
	fits = utf16_from_utf8(text, TEXT_MAX / 2, &units, path, UTF16_LE);
	memcpy(p->id, c->parent->id, VHD_ID_LEN);
	p->when = c->parent->io->mtime.tv_sec;
	p->pos = BAT_POS + vhd_bat_len(n->entries);
	p->len = 2 * units;
	p->locator = path[0] == '\\' ? VHD_W2KU : VHD_W2RU;
	free(path);
	if (!fits || !utf16_from_utf8(p->name, VHD_NAME_UNITS, &units, base, UTF16_BE))
		return err_set(e, EINVAL,
			"the name of the backing file is not UTF-8, or too long for the format");
	return 0;
}

/* Writes all of a file without blocks but its footer, for which *end is the position. */
static int put_tables(const struct creation *c, const struct vhd_new *n, const unsigned char *text,
	uint64_t *end, struct err *e)
{
	unsigned char head[BAT_POS] = {0}, absent[64 * VHD_SECTOR];
	int r;

	vhd_footer_encode(head, n);
	vhd_header_encode(head + VHD_FOOTER_LEN, n);
	r = io_write(c->io, head, sizeof head, 0, e);
	memset(absent, 0xff, sizeof absent);
	*end = BAT_POS + vhd_bat_len(n->entries);
	for (uint64_t pos = BAT_POS, len; r == 0 && pos < *end; pos += len) {
		len = MIN(*end - pos, sizeof absent);
		r = io_write(c->io, absent, len, pos, e);
	}
	if (r < 0 || !n->parent)
		return r;
	*end += round_up(n->parent->len, VHD_SECTOR);
	return io_write(c->io, text, n->parent->len, n->parent->pos, e);
}

static int put_file(
	const struct creation *c, const struct vhd_new *n, const unsigned char *text, struct err *e)
{
	unsigned char footer[VHD_FOOTER_LEN] = {0};
	uint64_t end = n->size;
	int r = 0;

	if (n->type != VHD_FIXED)
		r = put_tables(c, n, text, &end, e);
	/* Only the footer makes the file an image, so all else is durable before. */
	if (r == 0)
		r = io_sync(c->io, e);
	/* The footer of a fixed disk on a longer device is searched at the end of the device. */
	if (n->type == VHD_FIXED && c->io->is_block && c->io->size >= end + VHD_FOOTER_LEN)
		end = c->io->size - VHD_FOOTER_LEN;
	vhd_footer_encode(footer, n);
	return r < 0 ? r : io_write(c->io, footer, sizeof footer, end, e);
}

int vhd_create(struct creation *c, struct err *e)
{
	struct vhd_new n = {.type = VHD_DYNAMIC, .when = time(NULL), .bat_pos = BAT_POS};
	struct vhd_new_parent parent = {0};
	unsigned char text[TEXT_MAX];
	uint64_t block_size = creation_number(c, "block_size");
	int r = choose_size(c, &n.size, e);

	if (r < 0)
		return r;
	if (!is_power_of_2(block_size) || block_size < MIN_BLOCK || block_size > MAX_BLOCK)
		return err_set(e, EINVAL, "block_size=%s: 512k, 1M or 2M expected",
			creation_text(c, "block_size"));
	r = guid_random(n.id, e);
	if (r < 0)
		return r;
	if (creation_is(c, "subformat", "fixed"))
		n.type = VHD_FIXED;
	n.block_size = block_size;
	n.entries = div_round_up(n.size, n.block_size);
	if (c->request->backing) {
		r = describe_parent(c, &n, &parent, text, e);
		n.type = VHD_DIFFERENCING;
		n.parent = &parent;
	}
	return r < 0 ? r : put_file(c, &n, text, e);
}
