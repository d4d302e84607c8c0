/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* create.c - new VHDX files: dynamic, fixed and, with a backing file, differencing.
 *
 * Headers, log, metadata and BAT come first, in this order; the blocks of a fixed disk follow.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "util/bytes.h"
#include "util/err.h"
#include "util/limits.h"
#include "util/utf16.h"
#include "header.h"
#include "image/format.h"
#include "image/image.h"
#include "io/io.h"
#include "metadata.h"
#include "region-table.h"

#define LOG_POS       VHDX_MIB
#define DIFFERENCE    (2u << 20) /* block size of differencing disks, as in Hyper-V */
#define BAT_STEP      8192u      /* entries that are written together */
#define LOCATOR_PAIRS 2u
#define LOCATOR_MAX   (8u << 10)

static const char *const subformats[] = {"dynamic", "fixed", NULL};

const struct create_option vhdx_create_options[] = {
	CREATE_OPTION_SIZE,
	CREATE_OPTION_BACKING,
	{"log_size", CREATE_SIZE, "bytes of the log, whole MiB", "1M", NULL, "1M"},
	{"block_size", CREATE_SIZE, "a power of two from 1M to 256M; 0: by the size", "0", NULL,
		"0"},
	{"subformat", CREATE_WORD, "dynamic or fixed", "dynamic", subformats, NULL},
	{"block_state_zero", CREATE_FLAG, "mark new blocks as zeroes, not as absent", "on", NULL,
		NULL},
	{"logical_sector_size", CREATE_SIZE, "bytes of a sector of the guest: 512 or 4096", "512",
		NULL, NULL},
	{0},
};

static int choose(const struct creation *c, struct vhdx_new *n, struct err *e)
{
	uint64_t block = creation_number(c, "block_size"), log = creation_number(c, "log_size");
	uint64_t sector = creation_number(c, "logical_sector_size");
	int r;

	/* The default is that of qemu-img. */
	if (block == 0)
		block = c->request->backing             ? DIFFERENCE
			: c->size > UINT64_C(32) << 40  ? 64u << 20
			: c->size > UINT64_C(100) << 30 ? 32u << 20
			: c->size > UINT64_C(1) << 30   ? 16u << 20
							: 8u << 20;
	if (!is_power_of_2(block) || block < VHDX_MIN_BLOCK || block > VHDX_MAX_BLOCK)
		return err_set(e, EINVAL, "block_size=%s: a power of two from 1M to 256M expected",
			creation_text(c, "block_size"));
	if (log == 0 || log % VHDX_MIB != 0 || log > VHDX_MAX_LOG)
		return err_set(e, EINVAL, "log_size=%s: whole MiB, at most %u, expected",
			creation_text(c, "log_size"), VHDX_MAX_LOG / VHDX_MIB);
	if (sector != 512 && sector != 4096)
		return err_set(e, EINVAL, "logical_sector_size=%s: 512 or 4096 expected",
			creation_text(c, "logical_sector_size"));
	if (c->size > VHDX_MAX_DISK)
		return err_set(e, EFBIG, "a VHDX disk has at most 64 TiB");
	*n = (struct vhdx_new){
		.header = {.sequence = 1, .log_pos = LOG_POS, .log_len = log},
		.metadata_pos = LOG_POS + log,
		.bat_pos = LOG_POS + log + VHDX_MIB,
		.size = round_up(c->size, sector),
		.block_size = block,
		.sector_size = sector,
		.fixed = creation_is(c, "subformat", "fixed"),
	};
	r = guid_random(n->header.file_guid, e);
	if (r == 0)
		r = guid_random(n->header.data_guid, e);
	return r == 0 ? guid_random(n->disk_id, e) : r;
}

/* Appends text, and stores its offset and its length in bytes in an entry. */
static bool put_text(unsigned char *locator, uint32_t *end, const char *text, unsigned char *offset,
	unsigned char *len)
{
	size_t units;

	if (!utf16_from_utf8(locator + *end, (LOCATOR_MAX - *end) / 2, &units, text, UTF16_LE))
		return false;
	store_le32(offset, *end);
	store_le16(len, 2 * units);
	*end += 2 * units;
	return true;
}

/* Section 2.6.2.6. */
static int name_parent(
	const struct creation *c, struct vhdx_new *n, unsigned char *locator, struct err *e)
{
	const struct vhdx *parent;
	char guid[GUID_TEXT], linkage[GUID_TEXT + 2], *path;
	const char *pairs[LOCATOR_PAIRS][2] = {{"parent_linkage", linkage}};
	bool fits = true;

	if (!c->parent)
		return err_set(e, EINVAL,
			"the backing file must be there: the GUID of its data is recorded");
	if (c->parent->format != c->format)
		return err_set(e, EINVAL, "the backing file is %s, and must be VHDX",
			c->parent->format->name);
	if (c->parent->sector_size != n->sector_size)
		return err_set(e, EINVAL,
			"sectors of %" PRIu32 " bytes on a backing file with %" PRIu32,
			n->sector_size, c->parent->sector_size);
	if (n->fixed)
		return err_set(e, EINVAL, "a fixed disk has no backing file");
	path = creation_windows_name(c);
	if (!path)
		return err_nomem(e);
	pairs[1][0] = path[0] == '\\' ? "absolute_win32_path" : "relative_path";
	pairs[1][1] = path;
	parent = (const struct vhdx *)c->parent->states[0]->view;
	guid_text(guid, parent->header.data_guid);
	snprintf(linkage, sizeof linkage, "{%s}", guid);
	memcpy(n->disk_id, parent->disk_id, GUID_LEN);
	n->locator = locator;
	n->locator_len = VHDX_LOCATOR_HEAD + LOCATOR_PAIRS * VHDX_LOCATOR_ENTRY;
	memcpy(locator, vhdx_locator_type, GUID_LEN);
	store_le16(locator + 18, LOCATOR_PAIRS);
	for (unsigned i = 0; fits && i < LOCATOR_PAIRS; i++) {
		unsigned char *entry = locator + VHDX_LOCATOR_HEAD + i * VHDX_LOCATOR_ENTRY;

		fits = put_text(locator, &n->locator_len, pairs[i][0], entry, entry + 8) &&
		       put_text(locator, &n->locator_len, pairs[i][1], entry + 4, entry + 10);
	}
	free(path);
	if (!fits)
		return err_set(e, EINVAL,
			"the name of the backing file is not UTF-8, or too long for the format");
	return 0;
}

static int put_bat(const struct creation *c, const struct vhdx_new *n, const struct vhdx *d,
	uint64_t entries, struct err *e)
{
	uint64_t pos = n->bat_pos + n->bat_len;
	unsigned char *buf;
	int r = 0;

	/* Entries of zeroes are VHDX_NOT_PRESENT. */
	if (!n->fixed && (!creation_flag(c, "block_state_zero") || n->locator))
		return 0;
	buf = malloc(BAT_STEP * VHDX_BAT_ENTRY);
	if (!buf)
		return err_nomem(e);
	for (uint64_t i = 0, k; r == 0 && i < entries; i += k) {
		k = MIN(entries - i, BAT_STEP);
		for (uint64_t at = 0; at < k; at++) {
			uint64_t entry = VHDX_ZERO;

			if (vhdx_is_bitmap_index(d, i + at)) {
				entry = 0;
			} else if (n->fixed) {
				entry = pos | VHDX_FULLY_PRESENT;
				pos += n->block_size;
			}
			store_le64(buf + at * VHDX_BAT_ENTRY, entry);
		}
		r = io_write(c->io, buf, k * VHDX_BAT_ENTRY, n->bat_pos + i * VHDX_BAT_ENTRY, e);
	}
	free(buf);
	return r;
}

static int put_metadata(const struct creation *c, const struct vhdx_new *n, struct err *e)
{
	unsigned char *t = calloc(1, VHDX_NEW_METADATA + LOCATOR_MAX);
	struct vhdx_header header = n->header;
	int r;

	if (!t)
		return err_nomem(e);
	vhdx_metadata_encode(t, n);
	r = io_write(c->io, t, VHDX_NEW_METADATA + n->locator_len, n->metadata_pos, e);
	memset(t, 0, VHDX_TABLE_LEN);
	vhdx_region_table_encode(t, n);
	for (int i = 0; r == 0 && i < 2; i++)
		r = io_write(c->io, t, VHDX_TABLE_LEN, vhdx_region_table_pos[i], e);
	/* The second header is current. */
	for (int i = 0; r == 0 && i < 2; i++, header.sequence++) {
		memset(t, 0, VHDX_HEADER_LEN);
		vhdx_header_encode(t, &header);
		r = io_write(c->io, t, VHDX_HEADER_LEN, vhdx_header_pos[i], e);
	}
	memset(t, 0, VHDX_HEADER_LEN);
	vhdx_header_encode_identifier(t);
	if (r == 0)
		r = io_write(c->io, t, VHDX_HEADER_LEN, 0, e);
	free(t);
	return r;
}

static int put_file(const struct creation *c, struct vhdx_new *n, struct err *e)
{
	struct vhdx d = {
		/* as much as counting entries of the BAT needs */
		.ratio = (VHDX_MIB * UINT64_C(8)) * n->sector_size / n->block_size,
		.nblocks = div_round_up(n->size, n->block_size),
		.differencing = n->locator != NULL,
	};
	uint64_t entries = vhdx_bat_entries(&d, d.nblocks), end;
	int r;

	n->bat_len = round_up(MAX(entries * VHDX_BAT_ENTRY, 1), VHDX_MIB);
	end = n->bat_pos + n->bat_len + (n->fixed ? d.nblocks * (uint64_t)n->block_size : 0);
	r = creation_extend(c->io, 0, end, e);
	if (r == 0)
		r = put_bat(c, n, &d, entries, e);
	return r == 0 ? put_metadata(c, n, e) : r;
}

int vhdx_create(struct creation *c, struct err *e)
{
	unsigned char locator[LOCATOR_MAX] = {0};
	struct vhdx_new n;
	int r = choose(c, &n, e);

	if (r == 0 && c->request->backing)
		r = name_parent(c, &n, locator, e);
	return r < 0 ? r : put_file(c, &n, e);
}
