/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* create.c - new images: one of no bytes is written directly, and then resized like any other. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "util/bytes.h"
#include "util/err.h"
#include "io/cache.h"
#include "io/io.h"
#include "io/writeback.h"
#include "view/view.h"
#include "view/writer.h"
#include "alloc.h"
#include "map.h"
#include "resize.h"

#define CACHE_BYTES (16u << 20)

static const char *const compats[] = {"1.1", "0.10", "v3", "v2", NULL};
static const char *const compressions[] = {"zlib", "zstd", NULL};
static const char *const preallocations[] = {"off", "metadata", "falloc", "full", NULL};

const struct create_option qcow2_create_options[] = {
	{"encryption", CREATE_FLAG, "by AES of old versions of QEMU: only off", "off", NULL, NULL},
	{"cluster_size", CREATE_SIZE, "bytes of a cluster (512 to 2M)", "64k", NULL, "64k"},
	{"extended_l2", CREATE_FLAG, "clusters that are stored in 32 parts", "off", NULL, "off"},
	{"preallocation", CREATE_WORD, "space for the disk (off, metadata, falloc, full)", "off",
		preallocations, NULL},
	{"compression_type", CREATE_WORD, "of compressed clusters (zlib, zstd)", "zlib",
		compressions, "zlib"},
	CREATE_OPTION_SIZE,
	{"compat", CREATE_WORD, "the least version of QEMU that reads it (0.10, 1.1)", "1.1",
		compats, NULL},
	CREATE_OPTION_BACKING,
	{"data_file", CREATE_TEXT, "a file of its own for the data of the disk", NULL, NULL, NULL},
	{"data_file_raw", CREATE_FLAG, "the data file alone is the disk, too", "off", NULL, NULL},
	{"lazy_refcounts", CREATE_FLAG, "refcounts may be written late", "off", NULL, "off"},
	{"refcount_bits", CREATE_NUMBER, "bits of a refcount (1 to 64)", "16", NULL, "16"},
	{0},
};

/* The options, as a header. */

/* An option of version 3 that is used, or NULL. */
static const char *v3_option(const struct creation *c, const struct qcow2_header *h)
{
	if (h->refcount_order != 4)
		return "refcount_bits other than 16";
	if (creation_flag(c, "lazy_refcounts"))
		return "lazy_refcounts";
	if (creation_flag(c, "extended_l2"))
		return "extended_l2";
	if (creation_text(c, "data_file"))
		return "data_file";
	return h->compression != QCOW2_DEFLATE ? "compression_type=zstd" : NULL;
}

static int check_together(const struct creation *c, const struct qcow2_header *h, struct err *e)
{
	bool extended = creation_flag(c, "extended_l2"), raw = creation_flag(c, "data_file_raw");
	const char *option = h->version < 3 ? v3_option(c, h) : NULL;

	if (creation_flag(c, "encryption"))
		return err_set(e, ENOTSUP,
			"encryption=on: QEMU's old encryption by AES is not written, as it is "
			"weak");
	if (extended && h->cluster_bits < QCOW2_MIN_EXTENDED_BITS)
		return err_set(e, EINVAL, "extended_l2 needs a cluster_size of 16k or more");
	if (raw && !creation_text(c, "data_file"))
		return err_set(e, EINVAL, "data_file_raw needs a data_file");
	if (raw && c->request->backing)
		return err_set(e, EINVAL, "data_file_raw leaves no place for a backing file");
	if (c->request->compressed && !creation_is(c, "preallocation", "off"))
		return err_set(e, EINVAL, "preallocation does not go with compression");
	if (c->request->compressed && creation_text(c, "data_file"))
		return err_set(e, ENOTSUP, "a data_file cannot be compressed");
	if (c->request->backing && !extended && !creation_is(c, "preallocation", "off"))
		return err_set(e, EINVAL, "preallocation with a backing file needs extended_l2");
	return option ? err_set(e, EINVAL, "%s needs compat=1.1", option) : 0;
}

/* The clusters of an image of no bytes: the header, the refcount table, one refcount block. */
enum { FIRST_TABLE = 1, FIRST_BLOCK, FIRST_END };

static int choose_header(const struct creation *c, struct qcow2_header *h, struct err *e)
{
	uint64_t cluster = creation_number(c, "cluster_size");
	uint64_t bits = creation_number(c, "refcount_bits");

	if (!is_power_of_2(cluster) || cluster < 1u << QCOW2_MIN_CLUSTER_BITS ||
		cluster > 1u << QCOW2_MAX_CLUSTER_BITS)
		return err_set(e, EINVAL, "Cluster size must be a power of two between %d and %dk",
			1 << QCOW2_MIN_CLUSTER_BITS, 1 << (QCOW2_MAX_CLUSTER_BITS - 10));
	if (!is_power_of_2(bits) || bits > 64)
		return err_set(e, EINVAL,
			"Refcount width must be a power of two and may not exceed 64 bits");
	h->cluster_bits = __builtin_ctzll(cluster);
	h->refcount_order = __builtin_ctzll(bits);
	h->version = creation_is(c, "compat", "0.10") || creation_is(c, "compat", "v2") ? 2 : 3;
	h->compression = creation_is(c, "compression_type", "zstd") ? QCOW2_ZSTD : QCOW2_DEFLATE;
	h->length = QCOW2_HEADER_LENGTH;
	h->reftable_pos = (uint64_t)FIRST_TABLE << h->cluster_bits;
	h->reftable_clusters = 1;
	if (creation_flag(c, "lazy_refcounts"))
		h->compatible |= QCOW2_LAZY_REFCOUNTS;
	if (creation_flag(c, "extended_l2"))
		h->incompatible |= QCOW2_EXTENDED_L2;
	if (creation_text(c, "data_file"))
		h->incompatible |= QCOW2_DATA_FILE;
	if (creation_flag(c, "data_file_raw"))
		h->autoclear |= QCOW2_DATA_FILE_RAW;
	if (h->compression != QCOW2_DEFLATE)
		h->incompatible |= QCOW2_COMPRESSION;
	return check_together(c, h, e);
}

/* The first cluster. */

static int check_name(const char *what, const char *name, size_t max, struct err *e)
{
	if (name && (strlen(name) == 0 || strlen(name) > max))
		return err_set(e, EINVAL, "%s: %zu bytes are not 1..%zu", what, strlen(name), max);
	return 0;
}

static int check_names(const struct creation *c, struct err *e)
{
	const struct create_request *r = c->request;
	const char *format = r->backing ? r->backing_format : NULL;
	int ret = check_name("backing file name", r->backing, LIMIT_NAME, e);

	if (ret == 0)
		ret = check_name("backing format", format, QCOW2_FORMAT_NAME, e);
	if (ret == 0)
		ret = check_name("data file name", creation_text(c, "data_file"), LIMIT_NAME, e);
	return ret;
}

/* The backing file's name comes after the extensions. */
static int put_header(
	const struct creation *c, struct qcow2_header *h, unsigned char *p, struct err *e)
{
	const char *data = creation_text(c, "data_file"), *backing = c->request->backing;
	const char *format = c->request->backing_format;
	uint64_t len = h->version >= 3 ? QCOW2_HEADER_LENGTH : 72, max = 1u << h->cluster_bits;

	if (backing && format)
		qcow2_header_add_extension(
			p, max, &len, QCOW2_EXTENSION_BACKING_FORMAT, format, strlen(format));
	if (data)
		qcow2_header_add_extension(
			p, max, &len, QCOW2_EXTENSION_DATA_FILE, data, strlen(data));
	if (h->version >= 3 && max > 4096)
		qcow2_header_add_features(p, max, &len);
	qcow2_header_add_extension(p, max, &len, QCOW2_EXTENSION_END, NULL, 0);
	if (backing) {
		h->backing_pos = len;
		h->backing_len = strlen(backing);
		len += h->backing_len;
	}
	if (len > max)
		return err_set(e, ENAMETOOLONG,
			"the names need %" PRIu64 " bytes, more than a cluster of %" PRIu64, len,
			max);
	if (backing)
		memcpy(p + h->backing_pos, backing, h->backing_len);
	qcow2_header_encode(h, p);
	return 0;
}

static int write_empty(const struct creation *c, struct qcow2 *q, struct err *e)
{
	size_t cluster = q->cluster_size;
	unsigned char *p = calloc(FIRST_END, cluster);
	int r;

	if (!p)
		return err_nomem(e);
	r = put_header(c, &q->header, p, e);
	store_be64(p + FIRST_TABLE * cluster, FIRST_BLOCK * cluster);
	for (unsigned i = 0; i < FIRST_END; i++)
		qcow2_refcount_store(q, p + FIRST_BLOCK * cluster, i, 1);
	if (r == 0)
		r = io_write(c->io, p, FIRST_END * cluster, 0, e);
	free(p);
	return r;
}

/* The disk. */

static int allocate(void *arg, struct io *io, uint64_t pos, uint64_t len, struct err *e)
{
	const struct creation *c = arg;

	if (creation_is(c, "preallocation", "metadata"))
		return 0;
	if (io != c->io) /* a data file ends where the disk does */
		len = MIN(len, io->size - pos);
	return creation_preallocate(io, pos, len, creation_is(c, "preallocation", "full"), e);
}

static int resize(struct creation *c, struct qcow2_view *v, struct err *e)
{
	bool raw = v->q->header.autoclear & QCOW2_DATA_FILE_RAW;
	uint64_t size = round_up(c->size, 512);
	int r = writer_begin(v->view.writer, e);

	if (r == 0 && size > 0)
		r = qcow2_resize(&v->view, size, e);
	if (r == 0 && !creation_is(c, "preallocation", "off"))
		r = raw ? allocate(c, v->q->data, 0, size, e)
			: qcow2_resize_preallocate(v, 0, size, allocate, c, e);
	return r < 0 ? r : writer_finish(v->view.writer, e);
}

static int write_disk(struct creation *c, struct qcow2 *q, struct err *e)
{
	struct view *v = qcow2_map_view(q, 0, 0, 0, 0, e);
	int r = v ? 0 : -e->code;

	if (r == 0) {
		qcow2_write_ops_set(v);
		v->writer = writer_new(v, e);
		r = v->writer ? writeback_add(v->writer->writeback, c->io, e) : -e->code;
	}
	if (r == 0 && q->external)
		r = creation_part(c, creation_text(c, "data_file"), &q->data, e);
	if (r == 0 && q->external)
		r = writeback_add(v->writer->writeback, q->data, e);
	if (r == 0) {
		q->alloc = qcow2_alloc_new(q, v->writer, e);
		r = q->alloc ? resize(c, (struct qcow2_view *)v, e) : -e->code;
	}
	if (v)
		writer_free(v->writer);
	view_free(v);
	qcow2_alloc_free(q->alloc);
	return r;
}

int qcow2_create(struct creation *c, struct err *e)
{
	struct qcow2 q = {.alloc = NULL};
	struct cache *cache;
	int r = choose_header(c, &q.header, e);

	if (r == 0)
		r = check_names(c, e);
	if (r < 0)
		return r;
	cache = cache_new(CACHE_BYTES, e);
	if (!cache)
		return -e->code;
	qcow2_init(&q, c->io, cache, NULL);
	r = write_empty(c, &q, e);
	if (r == 0)
		r = write_disk(c, &q, e);
	cache_free(cache);
	return r;
}
