/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* header.c - the header and its extensions.
 *
 * A header is returned only if each number in it can be used: shifts are in range, names are whole,
 * and no unknown incompatible feature is set.  The positions of tables are checked by their users.
 */
#include "header.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "util/bytes.h"
#include "util/err.h"
#include "io/meta.h"
#include "io/io.h"
#include "image/image.h"

#define HEADER_V2 72u
#define HEADER_V3 104u /* at least */

#define MAX_REFCOUNT_ORDER 6
#define V2_REFCOUNT_ORDER  4

struct extension {
	uint32_t type;
	uint32_t len;
	uint64_t pos; /* of the data */
};

#define LUKS_POINTER 16u /* u64 position, u64 length */

static void header_decode(struct qcow2_header *h, const unsigned char *p)
{
	h->version = load_be32(p + 4);
	h->backing_pos = load_be64(p + 8);
	h->backing_len = load_be32(p + 16);
	h->cluster_bits = load_be32(p + 20);
	h->size = load_be64(p + 24);
	h->encryption = load_be32(p + 32);
	h->l1_size = load_be32(p + 36);
	h->l1_pos = load_be64(p + 40);
	h->reftable_pos = load_be64(p + 48);
	h->reftable_clusters = load_be32(p + 56);
	h->nsnapshots = load_be32(p + 60);
	h->snapshots_pos = load_be64(p + 64);
	h->length = HEADER_V2;
	h->refcount_order = V2_REFCOUNT_ORDER;
	if (h->version < 3)
		return;
	h->incompatible = load_be64(p + 72);
	h->compatible = load_be64(p + 80);
	h->autoclear = load_be64(p + 88);
	h->refcount_order = load_be32(p + 96);
	h->length = load_be32(p + 100);
	h->compression = h->length > HEADER_V3 ? p[104] : QCOW2_DEFLATE;
}

void qcow2_header_encode(const struct qcow2_header *h, unsigned char *p)
{
	store_be32(p, QCOW2_MAGIC);
	store_be32(p + 4, h->version);
	store_be64(p + QCOW2_AT_BACKING, h->backing_pos);
	store_be32(p + QCOW2_AT_BACKING + 8, h->backing_len);
	store_be32(p + 20, h->cluster_bits);
	store_be64(p + QCOW2_AT_SIZE, h->size);
	store_be32(p + 32, h->encryption);
	store_be32(p + QCOW2_AT_L1, h->l1_size);
	store_be64(p + QCOW2_AT_L1 + 4, h->l1_pos);
	store_be64(p + QCOW2_AT_REFTABLE, h->reftable_pos);
	store_be32(p + QCOW2_AT_REFTABLE + 8, h->reftable_clusters);
	store_be32(p + QCOW2_AT_SNAPSHOTS, h->nsnapshots);
	store_be64(p + QCOW2_AT_SNAPSHOTS + 4, h->snapshots_pos);
	if (h->version < 3)
		return;
	store_be64(p + 72, h->incompatible);
	store_be64(p + 80, h->compatible);
	store_be64(p + QCOW2_AT_AUTOCLEAR, h->autoclear);
	store_be32(p + 96, h->refcount_order);
	store_be32(p + 100, h->length);
	p[104] = h->compression;
}

void qcow2_header_add_extension(unsigned char *p, uint64_t max, uint64_t *pos, uint32_t type,
	const void *data, uint32_t len)
{
	unsigned char *x = p + *pos;

	*pos += QCOW2_EXTENSION_HEAD + round_up(len, 8);
	if (*pos > max)
		return;
	store_be32(x, type);
	store_be32(x + 4, len);
	if (len > 0)
		memcpy(x + QCOW2_EXTENSION_HEAD, data, len);
}

static const struct feature {
	uint8_t set, bit;
	const char *name;
} features[] = {
	{0, 0, "dirty bit"},
	{0, 1, "corrupt bit"},
	{0, 2, "external data file"},
	{0, 3, "compression type"},
	{0, 4, "extended L2 entries"},
	{1, 0, "lazy refcounts"},
	{2, 0, "bitmaps"},
	{2, 1, "raw external data"},
};

#define FEATURES (sizeof features / sizeof features[0])

void qcow2_header_add_features(unsigned char *p, uint64_t max, uint64_t *len)
{
	unsigned char table[FEATURES * QCOW2_FEATURE_RECORD] = {0};

	for (size_t i = 0; i < FEATURES; i++) {
		unsigned char *record = table + i * QCOW2_FEATURE_RECORD;

		record[0] = features[i].set;
		record[1] = features[i].bit;
		memcpy(record + 2, features[i].name, strlen(features[i].name));
	}
	qcow2_header_add_extension(p, max, len, QCOW2_EXTENSION_FEATURES, table, sizeof table);
}

static int check_version(const struct qcow2_header *h, uint64_t file_size, struct err *e)
{
	uint32_t least = h->version >= 3 ? HEADER_V3 : HEADER_V2;

	if (h->version == 1)
		return err_set(e, ENOTSUP, "this is a qcow version 1 image, another format");
	if (h->version != 2 && h->version != 3)
		return err_set(e, ENOTSUP, "unsupported version %" PRIu32 " of qcow2", h->version);
	if (file_size < least)
		return err_set(e, EINVAL,
			"header truncated: the file has %" PRIu64 " bytes, not %" PRIu32, file_size,
			least);
	return 0;
}

static int check_numbers(const struct qcow2_header *h, struct err *e)
{
	if (h->cluster_bits < QCOW2_MIN_CLUSTER_BITS || h->cluster_bits > QCOW2_MAX_CLUSTER_BITS)
		return err_set(e, EINVAL, "cluster_bits: %" PRIu32 " is outside %d..%d",
			h->cluster_bits, QCOW2_MIN_CLUSTER_BITS, QCOW2_MAX_CLUSTER_BITS);
	if (h->version >= 3 && (h->length < HEADER_V3 || h->length > 1u << h->cluster_bits))
		return err_set(e, EINVAL, "header length: %" PRIu32 " is outside %u..%u", h->length,
			HEADER_V3, 1u << h->cluster_bits);
	if (h->refcount_order > MAX_REFCOUNT_ORDER)
		return err_set(e, EINVAL, "refcount order: %" PRIu32 " is more than %d",
			h->refcount_order, MAX_REFCOUNT_ORDER);
	if (h->size > LIMIT_DISK_SIZE)
		return err_set(e, EINVAL, "disk size: %" PRIu64 " is more than %" PRIu64, h->size,
			LIMIT_DISK_SIZE);
	if (h->backing_pos && !range_fits(h->backing_pos, h->backing_len, 1u << h->cluster_bits))
		return err_set(e, EINVAL,
			"backing file name out of range: %" PRIu32 " bytes at 0x%" PRIx64
			" are not inside the first cluster",
			h->backing_len, h->backing_pos);
	return 0;
}

static uint64_t extensions_end(const struct qcow2_header *h)
{
	return h->backing_pos ? h->backing_pos : 1u << h->cluster_bits;
}

/* Reads the extension at *pos and moves *pos after it.  1: there is one, 0: the end, or -errno. */
static int extension_next(
	const struct image *img, struct extension *x, uint64_t *pos, uint64_t end, struct err *e)
{
	unsigned char head[QCOW2_EXTENSION_HEAD];
	int r;

	if (*pos >= end)
		return 0;
	if (end - *pos < sizeof head)
		return err_set(e, EINVAL,
			"header extension at 0x%" PRIx64 ": passes the end of the area, 0x%" PRIx64,
			*pos, end);
	r = meta_read(img->opts->cache, img->io, head, sizeof head, *pos, e);
	if (r < 0)
		return r;
	x->type = load_be32(head);
	x->len = load_be32(head + 4);
	x->pos = *pos + sizeof head;
	if (x->type == QCOW2_EXTENSION_END)
		return 0;
	if (x->len > end - x->pos)
		return err_set(e, EINVAL,
			"header extension at 0x%" PRIx64 ": %" PRIu32
			" bytes pass the end of the area, 0x%" PRIx64,
			*pos, x->len, end);
	*pos = x->pos + round_up(x->len, 8);
	return 1;
}

/* Features for a message, in a buffer that may be too small for all of them. */
struct feature_list {
	char text[ERR_TEXT / 2];
	size_t len;
};

static void feature_add(struct feature_list *list, const char *name, unsigned bit)
{
	size_t left = sizeof list->text - list->len;
	int n = snprintf(list->text + list->len, left, "%s%s%sbit %u%s", list->len ? ", " : "",
		name, *name ? " (" : "", bit, *name ? ")" : "");

	list->len += MIN((size_t)n, left - 1);
}

/* Adds the features that have a name in the table; returns the others.  The last record of a table
 * may be cut short. */
static uint64_t add_named_features(const struct image *img, const struct extension *table,
	uint64_t unknown, struct feature_list *list)
{
	struct err ignored = ERR_INIT;

	for (uint32_t at = 0; unknown && at < table->len; at += QCOW2_FEATURE_RECORD) {
		unsigned char record[QCOW2_FEATURE_RECORD + 1] = "";

		if (meta_read(img->opts->cache, img->io, record,
			    MIN(QCOW2_FEATURE_RECORD, table->len - at), table->pos + at,
			    &ignored) < 0)
			break;
		if (record[0] != 0 || record[1] > 63 || !(unknown >> record[1] & 1))
			continue;
		feature_add(list, (char *)record + 2, record[1]);
		unknown &= ~(UINT64_C(1) << record[1]);
	}
	return unknown;
}

/* Damaged extensions are ignored: the features are reported without names then. */
static int refuse_features(
	const struct image *img, const struct qcow2_header *h, uint64_t unknown, struct err *e)
{
	uint64_t pos = h->length;
	struct extension x;
	struct feature_list list = {.len = 0};
	struct err ignored = ERR_INIT;

	while (extension_next(img, &x, &pos, extensions_end(h), &ignored) == 1)
		if (x.type == QCOW2_EXTENSION_FEATURES) {
			unknown = add_named_features(img, &x, unknown, &list);
			break;
		}
	for (unsigned bit = 0; bit < 64; bit++)
		if (unknown >> bit & 1)
			feature_add(&list, "", bit);
	return err_set(e, ENOTSUP, "unsupported incompatible feature: %s", list.text);
}

static int check_features(const struct image *img, const struct qcow2_header *h, struct err *e)
{
	uint64_t unknown = h->incompatible & ~(uint64_t)QCOW2_KNOWN_INCOMPATIBLE;
	bool marked = h->incompatible & QCOW2_COMPRESSION;

	if (unknown)
		return refuse_features(img, h, unknown, e);
	if (h->encryption >= QCOW2_ENCRYPTIONS)
		return err_set(e, ENOTSUP, "unsupported encryption method %" PRIu32, h->encryption);
	if ((h->incompatible & QCOW2_EXTENDED_L2) && h->cluster_bits < QCOW2_MIN_EXTENDED_BITS)
		return err_set(e, EINVAL,
			"cluster_bits: %" PRIu32 " is less than %d, which extended L2 needs",
			h->cluster_bits, QCOW2_MIN_EXTENDED_BITS);
	if (h->compression >= QCOW2_COMPRESSIONS)
		return err_set(e, ENOTSUP, "unsupported compression type %" PRIu32, h->compression);
	/* The bit is set for all types but deflate, so that old readers refuse them. */
	if (marked != (h->compression != QCOW2_DEFLATE))
		return err_set(e, EINVAL,
			"compression type %" PRIu32 ": incompatible bit 3 must be %s",
			h->compression, marked ? "clear" : "set");
	return 0;
}

/* Reads a name of len bytes, at most max, and terminates it.  Bytes beyond the end of the file
 * would read as zeroes, and so as a shorter name. */
static int name_read(const struct image *img, const char *what, uint64_t pos, uint32_t len,
	uint32_t max, char *out, struct err *e)
{
	int r;

	if (len == 0 || len > max)
		return err_set(
			e, EINVAL, "%s: %" PRIu32 " bytes are not 1..%" PRIu32, what, len, max);
	if (!range_fits(pos, len, img->io->size))
		return err_set(e, EINVAL, "%s: passes the end of the file", what);
	r = meta_read(img->opts->cache, img->io, out, len, pos, e);
	if (r < 0)
		return r;
	out[len] = '\0';
	if (strlen(out) != len)
		return err_set(e, EINVAL, "%s: has a NUL in it", what);
	return 0;
}

static int extension_apply(
	const struct image *img, struct qcow2_header *h, const struct extension *x, struct err *e)
{
	unsigned char raw[QCOW2_BITMAPS_RECORD];
	int r;

	switch (x->type) {
	case QCOW2_EXTENSION_BACKING_FORMAT:
		if (x->len == 0) /* QEMU writes this when it does not know the format */
			return 0;
		return name_read(img, "backing format", x->pos, x->len, QCOW2_FORMAT_NAME,
			h->backing_format, e);
	case QCOW2_EXTENSION_DATA_FILE:
		return name_read(
			img, "data file name", x->pos, x->len, LIMIT_NAME, h->data_file, e);
	case QCOW2_EXTENSION_BITMAPS:
		/* Damaged bitmaps do not concern those who only read the disk. */
		if (x->len != QCOW2_BITMAPS_RECORD)
			return 0;
		r = meta_read(img->opts->cache, img->io, raw, QCOW2_BITMAPS_RECORD, x->pos, e);
		if (r < 0)
			return r;
		h->nbitmaps = load_be32(raw);
		h->bitmaps_len = load_be64(raw + 8);
		h->bitmaps_pos = load_be64(raw + 16);
		return 0;
	case QCOW2_EXTENSION_LUKS:
		if (h->encryption != QCOW2_LUKS)
			return err_set(
				e, EINVAL, "LUKS header in an image that is not encrypted with it");
		if (x->len != LUKS_POINTER)
			return err_set(e, EINVAL,
				"place of the LUKS header: %" PRIu32 " bytes, not %u", x->len,
				LUKS_POINTER);
		r = meta_read(img->opts->cache, img->io, raw, LUKS_POINTER, x->pos, e);
		if (r < 0)
			return r;
		h->luks_pos = load_be64(raw);
		h->luks_len = load_be64(raw + 8);
		return 0;
	default:
		return 0;
	}
}

int qcow2_header_read(const struct image *img, struct qcow2_header *h, struct err *e)
{
	unsigned char raw[QCOW2_HEADER_LENGTH];
	struct extension x;
	uint64_t pos;
	int r = io_read_padded(img->io, raw, sizeof raw, 0, e);

	if (r < 0)
		return r;
	if (load_be32(raw) != QCOW2_MAGIC)
		return err_set(e, EINVAL, "not a qcow2 image");
	*h = (struct qcow2_header){0};
	header_decode(h, raw);
	r = check_version(h, img->io->size, e);
	if (r == 0)
		r = check_numbers(h, e);
	if (r == 0)
		r = check_features(img, h, e);
	if (r == 0 && h->backing_pos)
		r = name_read(img, "backing file name", h->backing_pos, h->backing_len, LIMIT_NAME,
			h->backing, e);
	pos = h->length;
	while (r == 0 && (r = extension_next(img, &x, &pos, extensions_end(h), e)) == 1)
		r = extension_apply(img, h, &x, e);
	return r;
}

void qcow2_header_names(const unsigned char *head, size_t n, format_name_visit *visit, void *arg)
{
	struct qcow2_header h = {0};
	char name[LIMIT_NAME + 1];
	uint64_t pos, len, end;

	if (n < QCOW2_HEADER_LENGTH || load_be32(head) != QCOW2_MAGIC || load_be32(head + 4) < 3)
		return;
	header_decode(&h, head);
	end = h.backing_pos ? MIN(h.backing_pos, n) : n;
	for (pos = h.length; range_fits(pos, QCOW2_EXTENSION_HEAD, end); pos += round_up(len, 8)) {
		uint32_t type = load_be32(head + pos);

		len = load_be32(head + pos + 4);
		pos += QCOW2_EXTENSION_HEAD;
		if (type == QCOW2_EXTENSION_END || !range_fits(pos, len, end))
			return;
		if (type != QCOW2_EXTENSION_DATA_FILE || len > LIMIT_NAME)
			continue;
		memcpy(name, head + pos, len);
		name[len] = '\0';
		visit(arg, name, false);
	}
}
