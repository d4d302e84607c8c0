/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "label.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "util/bytes.h"
#include "util/limits.h"
#include "view/view.h"

#define SECTOR  512
#define SECTORS 4 /* that a label can be in */

/* Positions in the label, and in the header of the physical volume that it refers to. */
#define LABEL_SECTOR 8
#define LABEL_CRC    16
#define LABEL_OFFSET 20
#define LABEL_TYPE   24
#define LABEL_SIZE   32
#define PV_AREAS     40

/* Positions in the header of a metadata area. */
#define MDA_MAGIC   4
#define MDA_VERSION 20
#define MDA_START   24
#define MDA_LEN     32
#define MDA_TEXT    40
#define MDA_HEADER  512

#define TEXT_IGNORED 1 /* a flag: the area is not used to balance the load */

static const char mda_magic[] = " LVM2 x[5A%r0N*>";

uint32_t lvm_crc(const void *data, size_t len)
{
	return ~(uint32_t)crc32(~0xf597a6cfu, data, (uInt)len);
}

/* The label. */

/* Reads a list of places that a place at 0 ends; returns the position after it, or 0. */
static size_t read_places(
	const unsigned char *sector, size_t pos, struct lvm_place *places, size_t max, size_t *n)
{
	for (*n = 0; pos + 16 <= SECTOR; pos += 16) {
		uint64_t start = load_le64(sector + pos);

		if (start == 0)
			return pos + 16;
		if (*n < max)
			places[(*n)++] = (struct lvm_place){start, load_le64(sector + pos + 8)};
	}
	return 0;
}

static int parse_label(const unsigned char *sector, struct lvm_label *label, struct err *e)
{
	size_t pos = load_le32(sector + LABEL_OFFSET), ignored;

	if (pos < LABEL_SIZE || pos > SECTOR - PV_AREAS ||
		!lvm_id_format(label->id, (const char *)sector + pos))
		return err_set(
			e, EUCLEAN, "its label of LVM has no valid physical volume at %zu", pos);
	pos = read_places(sector, pos + PV_AREAS, NULL, 0, &ignored);
	if (pos)
		pos = read_places(sector, pos, label->areas, LVM_MAX_AREAS, &label->nareas);
	if (!pos)
		return err_set(e, EUCLEAN, "its label of LVM has lists of areas without an end");
	return 1;
}

static bool is_label(const unsigned char *sector)
{
	return memcmp(sector, "LABELONE", 8) == 0 &&
	       memcmp(sector + LABEL_TYPE, "LVM2 001", 8) == 0;
}

static bool is_intact(const unsigned char *sector, size_t number)
{
	return load_le64(sector + LABEL_SECTOR) == number &&
	       load_le32(sector + LABEL_CRC) ==
		       lvm_crc(sector + LABEL_OFFSET, SECTOR - LABEL_OFFSET);
}

int lvm_label_read(const struct view *device, struct lvm_label *label, struct err *e)
{
	unsigned char head[SECTORS * SECTOR];
	size_t n = MIN(device->size, sizeof head) / SECTOR, damaged = SECTORS;
	struct err ignored = ERR_INIT;

	if (n == 0 || view_read(device, head, n * SECTOR, 0, &ignored) < 0)
		return 0;
	for (size_t i = 0; i < n; i++) {
		const unsigned char *sector = head + i * SECTOR;

		if (is_label(sector) && is_intact(sector, i))
			return parse_label(sector, label, e);
		if (is_label(sector) && damaged == SECTORS)
			damaged = i;
	}
	if (damaged == SECTORS)
		return 0;
	return err_set(e, EUCLEAN, "the label of LVM in sector %zu has a wrong checksum or number",
		damaged);
}

/* The metadata. */

static int parse_area(const unsigned char *header, const struct lvm_place *area, struct lvm_text *t,
	struct err *e)
{
	uint64_t len = load_le64(header + MDA_LEN);
	const unsigned char *text = header + MDA_TEXT;

	if (load_le64(header + MDA_START) != area->start || len <= MDA_HEADER)
		return err_set(e, EUCLEAN, "its header is that of %" PRIu64 " bytes at %" PRIu64,
			len, load_le64(header + MDA_START));
	t->area = (struct lvm_place){area->start, len};
	t->pos = load_le64(text);
	t->len = load_le64(text + 8);
	t->crc = load_le32(text + 16);
	if (t->pos == 0 || load_le32(text + 20) & TEXT_IGNORED)
		return 0;
	if (t->pos < MDA_HEADER || t->pos >= len || t->len == 0 || t->len > len - MDA_HEADER)
		return err_set(e, EUCLEAN,
			"its text of %" PRIu64 " bytes at %" PRIu64 " is not in %" PRIu64 " bytes",
			t->len, t->pos, len);
	return 1;
}

int lvm_text_find(
	const struct view *device, const struct lvm_place *area, struct lvm_text *t, struct err *e)
{
	unsigned char header[MDA_HEADER];
	int r;

	if (!range_fits(area->start, sizeof header, device->size))
		r = err_set(e, EUCLEAN, "it passes the end");
	else
		r = view_read(device, header, sizeof header, area->start, e);
	if (r == 0 && (memcmp(header + MDA_MAGIC, mda_magic, sizeof mda_magic - 1) != 0 ||
			      load_le32(header + MDA_VERSION) != 1 ||
			      load_le32(header) !=
				      lvm_crc(header + MDA_MAGIC, sizeof header - MDA_MAGIC)))
		r = err_set(e, EUCLEAN, "its header has a wrong magic, version or checksum");
	if (r == 0)
		r = parse_area(header, area, t, e);
	return r < 0 ? err_in(e, "metadata area at %" PRIu64, area->start) : r;
}

static int read_ring(const struct view *device, const struct lvm_text *t, char *text, struct err *e)
{
	uint64_t len = MIN(t->len, t->area.len - t->pos);
	int r;

	if (!range_fits(t->area.start, t->area.len, device->size))
		return err_set(e, EUCLEAN, "it passes the end");
	r = view_read(device, text, len, t->area.start + t->pos, e);
	if (r == 0 && len < t->len)
		r = view_read(device, text + len, t->len - len, t->area.start + MDA_HEADER, e);
	if (r == 0 && lvm_crc(text, t->len) != t->crc)
		r = err_set(e, EUCLEAN, "its text has a wrong checksum");
	return r;
}

char *lvm_text_read(const struct view *device, const struct lvm_text *t, struct err *e)
{
	char *text;

	if (t->len > LVM_MAX_TEXT) {
		err_set(e, E2BIG, "metadata of %" PRIu64 " bytes, more than %u", t->len,
			LVM_MAX_TEXT);
		return NULL;
	}
	text = malloc(t->len + 1);
	if (!text) {
		err_nomem(e);
		return NULL;
	}
	text[t->len] = '\0';
	if (read_ring(device, t, text, e) == 0)
		return text;
	err_in(e, "metadata area at %" PRIu64, t->area.start);
	free(text);
	return NULL;
}
