/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* qcow2.c - writes headers, tables and clusters of qcow2 images. */
#include <string.h>

#include "util/bytes.h"
#include "mkimage.h"
#include "qcow2.h"

#define L1_CLUSTER 3u
#define SECTOR     512u

static uint32_t entry_size(const struct qcow2 *q)
{
	return q->h.incompatible & INCOMPATIBLE_EXTENDED_L2 ? 16 : 8;
}

static uint32_t table_entries(const struct qcow2 *q)
{
	return q->cluster / entry_size(q);
}

static uint32_t count_tables(const struct qcow2 *q)
{
	return div_round_up(q->h.size, q->cluster * table_entries(q));
}

static void put_header(const struct qcow2 *q)
{
	put_be32(q->fd, 0, 0x514649fb);
	put_be32(q->fd, 4, q->h.version);
	put_be32(q->fd, 20, q->h.bits);
	put_be64(q->fd, 24, q->h.size);
	put_be32(q->fd, 36, count_tables(q));
	put_be64(q->fd, 40, L1_CLUSTER * q->cluster);
	put_be64(q->fd, 48, q->cluster);
	put_be32(q->fd, 56, 1);
	if (q->h.version < 3)
		return;
	put_be64(q->fd, 72, q->h.incompatible);
	put_be32(q->fd, 96, 4);
	put_be32(q->fd, 100, q->h.length);
	if (q->h.length > 104)
		put_byte(q->fd, 104, q->h.compression);
}

void qcow2_begin(
	struct qcow2 *q, const struct job *j, const char *suffix, const struct qcow2_header *h)
{
	memset(q, 0, sizeof *q);
	q->j = j;
	q->h = *h;
	q->cluster = (uint64_t)1 << h->bits;
	q->extensions = h->version < 3 ? 72 : h->length;
	q->fd = file_new(j, suffix);
	put_header(q);
	for (unsigned i = 0; i <= L1_CLUSTER; i++)
		qcow2_alloc(q);
	q->refs[L1_CLUSTER] = count_tables(q) > 0;
	for (uint32_t i = 0; i < count_tables(q); i++)
		put_be64(q->fd, L1_CLUSTER * q->cluster + 8 * i, qcow2_alloc(q) | COPIED);
	expect_size(j, h->size / SECTOR * SECTOR);
}

void qcow2_end(struct qcow2 *q)
{
	uint64_t block = 2 * q->cluster;

	put_be64(q->fd, q->cluster, block);
	for (uint32_t i = 0; i < q->next; i++) {
		put_byte(q->fd, block + 2 * i, q->refs[i] >> 8);
		put_byte(q->fd, block + 2 * i + 1, q->refs[i]);
	}
	patch_be(q->j, q->fd);
}

void qcow2_extension(struct qcow2 *q, uint32_t type, const char *text)
{
	put_be32(q->fd, q->extensions, type);
	put_be32(q->fd, q->extensions + 4, strlen(text));
	put_text(q->fd, q->extensions + 8, text);
	q->extensions += 8 + round_up(strlen(text), 8);
}

void qcow2_backing(struct qcow2 *q, const char *format, const char *name)
{
	qcow2_extension(q, EXTENSION_FORMAT, format);
	qcow2_extension(q, 0, "");
	put_be64(q->fd, 8, q->extensions);
	put_be32(q->fd, 16, strlen(name));
	put_text(q->fd, q->extensions, name);
}

uint64_t qcow2_alloc(struct qcow2 *q)
{
	if (q->next == MIN(MAX_CLUSTERS, q->cluster / 2))
		die("%s: too many clusters", q->j->c->name);
	q->refs[q->next++] = 1;
	file_resize(q->fd, q->next * q->cluster);
	return (q->next - 1) * q->cluster;
}

static uint64_t entry_pos(const struct qcow2 *q, uint32_t guest)
{
	/* The tables are contiguous. */
	return (L1_CLUSTER + 1) * q->cluster + (uint64_t)guest * entry_size(q);
}

void qcow2_entry(struct qcow2 *q, uint32_t guest, uint64_t entry)
{
	put_be64(q->fd, entry_pos(q, guest), entry);
}

void qcow2_bitmap(struct qcow2 *q, uint32_t guest, uint64_t bitmap)
{
	put_be64(q->fd, entry_pos(q, guest) + 8, bitmap);
}

uint64_t qcow2_data(struct qcow2 *q, uint32_t guest)
{
	uint64_t pos = qcow2_alloc(q), off = guest * q->cluster;
	uint64_t end = q->h.size / SECTOR * SECTOR;

	put_data(q->fd, pos, off, q->cluster);
	qcow2_entry(q, guest, pos | COPIED);
	expect(q->j, off, off, MIN(q->cluster, end - off));
	return pos;
}

uint64_t qcow2_compressed_entry(const struct qcow2 *q, uint64_t pos, size_t len)
{
	uint64_t more = (pos + len - 1) / SECTOR - pos / SECTOR;

	return COMPRESSED | more << (62 - (q->h.bits - 8)) | pos;
}

void qcow2_compressed(struct qcow2 *q, uint32_t guest, uint64_t pos, const void *data, size_t len)
{
	uint64_t end = round_up(pos + len, SECTOR);

	put(q->fd, pos, data, len);
	qcow2_entry(q, guest, qcow2_compressed_entry(q, pos, len));
	/* Each cluster that has a sector of the range gets a reference. */
	for (uint64_t i = pos / q->cluster; i <= (end - 1) / q->cluster; i++)
		q->refs[i]++;
}
