/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "stream.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "util/bytes.h"
#include "util/err.h"
#include "io/codec.h"
#include "io/io.h"
#include "view/writer.h"
#include "image/image.h"
#include "disk.h"
#include "tables.h"

#define GRAIN (VMDK_GRAIN * VMDK_SECTOR)

/* A stream that is being written. */
struct vmdk_stream {
	struct io *io;
	struct codec *codec;
	uint64_t capacity; /* sectors */
	uint64_t next;     /* sector of the next record */
	uint64_t grain;    /* the next grain, or a later one, follows */
	size_t gd_len;
	unsigned char *gd; /* the grain directory, as in the file */
	bool any;          /* the table has an entry */
	unsigned char table[VMDK_TABLE * 4];
};

struct vmdk_header vmdk_stream_header(uint64_t capacity, uint64_t gd)
{
	struct vmdk_header h = vmdk_plan(capacity, true).header;

	h.version = 3;
	h.flags = VMDK_COMPRESSED | VMDK_MARKERS;
	h.compression = VMDK_DEFLATE;
	h.rgd = 0;
	h.gd = gd;
	h.overhead = VMDK_STREAM_START;
	return h;
}

/* Writes a marker in sector *next, then len bytes of its type, whole sectors, and moves *next after
 * them. */
static int put(struct io *io, uint64_t *next, enum vmdk_markers type, const void *data, size_t len,
	struct err *e)
{
	unsigned char marker[VMDK_SECTOR] = {0};
	uint64_t sectors = len / VMDK_SECTOR, pos = *next * VMDK_SECTOR;
	int r;

	vmdk_header_encode_marker(sectors, type, marker);
	r = io_write(io, marker, sizeof marker, pos, e);
	if (r == 0 && len > 0)
		r = io_write(io, data, len, pos + sizeof marker, e);
	*next += 1 + sectors;
	return r;
}

/* Writes the footer and the end marker. */
static int put_footer(struct io *io, uint64_t next, uint64_t capacity, uint64_t gd, struct err *e)
{
	struct vmdk_header h = vmdk_stream_header(capacity, gd);
	unsigned char footer[VMDK_SECTOR];
	int r;

	vmdk_header_encode(&h, footer);
	r = put(io, &next, VMDK_MARKER_FOOTER, footer, sizeof footer, e);
	return r == 0 ? put(io, &next, VMDK_MARKER_END, NULL, 0, e) : r;
}

/* Writes the table of the last grains. */
static int end_table(struct vmdk_stream *s, struct err *e)
{
	uint64_t i = (s->grain - 1) / VMDK_TABLE;
	int r;

	if (!s->any)
		return 0;
	store_le32(s->gd + 4 * i, s->next + 1);
	r = put(s->io, &s->next, VMDK_MARKER_TABLE, s->table, sizeof s->table, e);
	memset(s->table, 0, sizeof s->table);
	s->any = false;
	return r;
}

static struct vmdk_stream *stream_of(const struct view *v)
{
	return ((const struct vmdk *)v)->stream;
}

/* Removes the tables, to have them at the end.  Until they are there the header leads to none: an
 * interrupted stream must not be taken for an image of zeroes. */
static int stream_begin(struct view *v, struct err *e)
{
	const struct vmdk_stream *s = stream_of(v);
	struct vmdk_header h = vmdk_stream_header(s->capacity, VMDK_GD_AT_END);
	unsigned char header[VMDK_SECTOR];
	int r;

	vmdk_header_encode(&h, header);
	r = io_write(s->io, header, sizeof header, 0, e);
	return r == 0 ? io_resize(s->io, (uint64_t)VMDK_STREAM_START * VMDK_SECTOR, e) : r;
}

/* Builds the record of a grain: sector of the disk, length and zlib stream, in whole sectors. */
static ssize_t stream_compress(
	const struct view *v, const void *unit, uint64_t off, void *packed, struct err *e)
{
	unsigned char *p = packed;
	size_t end, room = v->compressed_max - VMDK_RECORD_HEAD;
	ssize_t made =
		codec_deflate_zlib(stream_of(v)->codec, unit, GRAIN, p + VMDK_RECORD_HEAD, room, e);

	if (made < 0)
		return made;
	store_le64(p, off / VMDK_SECTOR);
	store_le32(p + 8, made);
	made += VMDK_RECORD_HEAD;
	end = round_up((size_t)made, VMDK_SECTOR);
	memset(p + made, 0, end - made);
	return end;
}

static int stream_reserve_compressed(
	struct view *v, uint64_t off, uint32_t packed, struct reservation *res, struct err *e)
{
	struct vmdk_stream *s = stream_of(v);
	uint64_t grain = off / GRAIN, end = s->next + 2 + VMDK_TABLE_SECTORS + packed / VMDK_SECTOR;
	int r = 0;

	if (grain < s->grain)
		return err_set(e, EINVAL, "grain %" PRIu64 " comes too late for a stream", grain);
	if (end > UINT32_MAX)
		return err_set(e, EFBIG, "a stream cannot have more than 2^41 bytes");
	if (s->any && grain / VMDK_TABLE != (s->grain - 1) / VMDK_TABLE)
		r = end_table(s, e);
	*res = (struct reservation){
		.off = off,
		.len = MIN(GRAIN, v->size - off),
		.io = s->io,
		.pos = s->next * VMDK_SECTOR,
		.compressed = packed,
	};
	return r;
}

static int stream_commit(struct view *v, const struct reservation *res, struct err *e)
{
	struct vmdk_stream *s = stream_of(v);
	uint64_t grain = res->off / GRAIN;

	(void)e;
	store_le32(s->table + 4 * (grain % VMDK_TABLE), res->pos / VMDK_SECTOR);
	s->grain = grain + 1;
	s->next += res->compressed / VMDK_SECTOR;
	s->any = true;
	return 0;
}

/* The next grain is written in its place. */
static void stream_cancel(struct view *v, const struct reservation *res)
{
	(void)v, (void)res;
}

static int stream_finish(struct view *v, struct err *e)
{
	struct vmdk_stream *s = stream_of(v);
	int r = end_table(s, e);
	uint64_t gd = s->next + 1;

	if (r == 0)
		r = put(s->io, &s->next, VMDK_MARKER_DIRECTORY, s->gd, s->gd_len, e);
	/* The rest is durable before the footer makes it an image. */
	if (r == 0)
		r = writer_write_back(v->writer, e);
	return r == 0 ? put_footer(s->io, s->next, s->capacity, gd, e) : r;
}

static const struct write_ops stream_write_ops = {
	.begin = stream_begin,
	.compress = stream_compress,
	.reserve_compressed = stream_reserve_compressed,
	.commit = stream_commit,
	.cancel = stream_cancel,
	.finish = stream_finish,
};

/* The tables are written at the end: until then no grain can be found. */
static int stream_map(
	const struct view *v, uint64_t off, uint64_t len, struct extent *x, struct err *e)
{
	(void)v, (void)off, (void)len, (void)x;
	return err_set(e, EIO, "a stream that is being written cannot be read");
}

static void stream_free(struct view *v)
{
	struct vmdk_stream *s = stream_of(v);

	free(s->gd);
	free(s);
	vmdk_disk_free(v);
}

static const struct view_ops stream_view_ops = {.map = stream_map, .free = stream_free};

/* An image without grains, as "create" makes it: its tables come before them. */
static bool is_empty(const struct vmdk *v)
{
	const struct vmdk_tables *t = v->desc.nlines == 1 ? v->extents[0].tables : NULL;

	return t && t->compressed && v->embedded && t->grain == GRAIN &&
	       t->per_table == VMDK_TABLE && t->text_pos == VMDK_DESC_START * VMDK_SECTOR &&
	       t->text_len == VMDK_DESC_LEN * VMDK_SECTOR &&
	       t->io->size <= t->first_grain * VMDK_SECTOR;
}

int vmdk_stream_open(const struct image *img, struct vmdk *v, struct err *e)
{
	struct vmdk_stream *s;

	if (!is_empty(v))
		return 0;
	s = calloc(1, sizeof *s);
	if (!s)
		return err_nomem(e);
	v->stream = s;
	v->view.ops = &stream_view_ops;
	s->io = img->io;
	s->codec = img->opts->codec;
	s->capacity = v->extents[0].tables->capacity / VMDK_SECTOR;
	s->next = VMDK_STREAM_START;
	s->gd_len = round_up(vmdk_plan(s->capacity, true).ntables * 4, VMDK_SECTOR);
	s->gd = calloc(1, s->gd_len + 1);
	if (!s->gd)
		return err_nomem(e);
	v->view.write = &stream_write_ops;
	v->view.granule = v->view.unit = GRAIN;
	v->view.compressed_only = true;
	v->view.compressed_max =
		round_up(VMDK_RECORD_HEAD + codec_deflate_zlib_room(GRAIN), VMDK_SECTOR);
	return 0;
}
