/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* qcow2.h - private to the qcow2 driver: qcow2.c opens, header.c decodes the header,
 * map.c walks the tables, snapshot-read.c finds the snapshots, crypt.c the key,
 * measure.c tells sizes of images to come, export.c makes files up.
 *
 * Section numbers are those of the published format, QEMU's docs/interop/qcow2.
 */
#ifndef VDISK_DRIVER_QCOW2_QCOW2_H
#define VDISK_DRIVER_QCOW2_QCOW2_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include "util/limits.h"
#include "image/creation.h"
#include "image/format.h"
#include "driver/common/luks.h"
#include "view/view.h"

struct cache;
struct check_report;
struct codec;
struct crypt;
struct err;
struct extent;
struct facts;
struct image;
struct io;
struct export_format;
struct measured;
struct snapshot_ops;
struct view;

#define QCOW2_MAGIC           0x514649fbu
#define QCOW2_OFFSET          0x00fffffffffffe00u /* of L1 and L2 entries */
#define QCOW2_OFFSET_BITS     56u
#define QCOW2_ENTRY_SIZE      8u                  /* bytes of an L1 or refcount table entry */
#define QCOW2_REFTABLE_OFFSET 0xfffffffffffffe00u /* of refcount table entries */

/* Of L1 and L2 entries. */
#define QCOW2_COPIED      (UINT64_C(1) << 63) /* a writer's note, stale in tables of snapshots */
#define QCOW2_L1_RESERVED UINT64_C(0x7f000000000001ff)
#define QCOW2_COMPRESSED  (UINT64_C(1) << 62)
#define QCOW2_L2_RESERVED UINT64_C(0x3f000000000001fe) /* of a cluster that is not compressed */
#define QCOW2_ZERO        UINT64_C(1)

enum qcow2_incompatible {
	QCOW2_DIRTY = 1u << 0,
	QCOW2_CORRUPT = 1u << 1,
	QCOW2_DATA_FILE = 1u << 2,
	QCOW2_COMPRESSION = 1u << 3,
	QCOW2_EXTENDED_L2 = 1u << 4,
	QCOW2_KNOWN_INCOMPATIBLE = (1u << 5) - 1,
};

#define QCOW2_LAZY_REFCOUNTS 0x1u /* compatible */
#define QCOW2_BITMAPS        0x1u /* autoclear: the bitmaps are those of the disk */
#define QCOW2_DATA_FILE_RAW  0x2u /* likewise */

enum qcow2_encryption { QCOW2_PLAIN, QCOW2_AES, QCOW2_LUKS, QCOW2_ENCRYPTIONS };
enum qcow2_compression { QCOW2_DEFLATE, QCOW2_ZSTD, QCOW2_COMPRESSIONS };

/* Fields of the header that are changed one at a time, each with what follows it. */
enum {
	QCOW2_AT_BACKING = 8, /* position, length of the name */
	QCOW2_AT_SIZE = 24,
	QCOW2_AT_L1 = 36,        /* size, position */
	QCOW2_AT_REFTABLE = 48,  /* position, clusters */
	QCOW2_AT_SNAPSHOTS = 60, /* number, position */
	QCOW2_AT_INCOMPATIBLE = 72,
	QCOW2_AT_AUTOCLEAR = 88,
};

#define QCOW2_SUBCLUSTERS 32

#define QCOW2_HEADER_LENGTH 112u /* what of it we understand, and write in version 3 */

enum qcow2_extension {
	QCOW2_EXTENSION_END = 0,
	QCOW2_EXTENSION_BACKING_FORMAT = 0xe2792acau,
	QCOW2_EXTENSION_FEATURES = 0x6803f857u,
	QCOW2_EXTENSION_BITMAPS = 0x23852875u,
	QCOW2_EXTENSION_LUKS = 0x0537be77u,
	QCOW2_EXTENSION_DATA_FILE = 0x44415441u,
};

#define QCOW2_EXTENSION_HEAD 8u /* u32 type, u32 length */

/* The feature name table is an array of { u8 set, u8 bit, char name[46] }. */
#define QCOW2_FEATURE_RECORD 48u

#define QCOW2_FORMAT_NAME 15 /* bytes of a backing format's name, as in QEMU */

/* The header and its extensions, checked as far as that needs no other part of the file. */
struct qcow2_header {
	uint32_t version;
	uint32_t cluster_bits;
	uint32_t length;
	uint64_t size; /* of the disk, as stored */
	uint32_t encryption;
	uint32_t l1_size; /* entries */
	uint64_t l1_pos;
	uint64_t reftable_pos;
	uint32_t reftable_clusters;
	uint32_t refcount_order;
	uint32_t nsnapshots;
	uint64_t snapshots_pos;
	uint64_t incompatible, compatible, autoclear;
	uint32_t compression;
	uint64_t luks_pos, luks_len;       /* 0: there is no such extension */
	uint32_t nbitmaps;                 /* 0: there is no such extension */
	uint64_t bitmaps_pos, bitmaps_len; /* of their directory */
	uint64_t backing_pos;              /* 0: no backing file */
	uint32_t backing_len;
	char backing[LIMIT_NAME + 1]; /* names are "" when there is none */
	char backing_format[QCOW2_FORMAT_NAME + 1];
	char data_file[LIMIT_NAME + 1];
};

/* Whole clusters that hold no data. */
struct qcow2_range {
	const char *what;
	uint64_t pos, len;
};

enum { QCOW2_RANGES = 6 };

/* An opened image.  Does not change once open has returned, but of a writable one what it says of
 * sizes and of where tables lie: with the gate closed, or under the meta lock where only writers
 * look at it. */
struct qcow2 {
	struct qcow2_header header;
	struct cache *cache;
	struct codec *codec;
	struct io *io;       /* tables and compressed clusters; the image's */
	struct io *data;     /* clusters: io, or the external data file */
	struct crypt *crypt; /* of clusters that are not compressed, or NULL */
	struct luks luks;    /* when that is LUKS */
	uint32_t cluster_size;
	uint32_t entry_size;   /* bytes of an L2 entry */
	uint32_t entries_bits; /* an L2 table has 1 << entries_bits of them */
	bool external;         /* data lives in an external data file, at its guest offset */
	bool extended;         /* L2 entries have a bitmap of subclusters */
	bool zero_flag;        /* bit 0 of an L2 entry says that the cluster is zero */
	uint64_t size;         /* of the live disk */
	const char *broken;    /* why the live disk cannot be read; NULL: it can */
	bool l1_misplaced;     /* the L1 table cannot be where the header says */
	bool data_missing;     /* the external data file was not found */
	struct qcow2_range ranges[QCOW2_RANGES];
	unsigned nranges;
	struct qcow2_alloc *alloc; /* of an image that is being written, or NULL */
};

/* The disk, or the saved machine, of a state. */
struct qcow2_view {
	struct view view;
	struct qcow2 *q;
	uint64_t start; /* guest offset of the view's first byte */
	uint64_t l1_pos;
	uint32_t l1_size;
};

/* Bytes of disk that an L1 entry, and so a whole L2 table, stands for. */
static inline unsigned qcow2_l1_bits(const struct qcow2 *q)
{
	return q->header.cluster_bits + q->entries_bits;
}

/* Refcounts in a block, as a power of two. */
static inline unsigned qcow2_block_bits(const struct qcow2 *q)
{
	return q->header.cluster_bits + 3 - q->header.refcount_order;
}

/* header.c */
int qcow2_header_read(const struct image *img, struct qcow2_header *h, struct err *e);

/* What comes before the extensions: 72 or QCOW2_HEADER_LENGTH bytes of zeroes at p are filled. */
void qcow2_header_encode(const struct qcow2_header *h, unsigned char *p);

/* As in struct format: the data file's.  A backing file is an image for itself. */
void qcow2_names(const unsigned char *head, size_t n, format_name_visit *visit, void *arg);

/* qcow2.c */

/* No data may lie in this range, which is called what; it has its name alone.  With the gate closed
 * once the image is open. */
void qcow2_range_set(struct qcow2 *q, const char *what, uint64_t pos, uint64_t len);

/* What follows from the header, for an image in io. */
void qcow2_derive(struct qcow2 *q, struct io *io, struct cache *cache, struct codec *codec);

/* map.c */

/* Where the input of a compressed cluster lies, by its L2 entry.  The length is in whole sectors,
 * and so an upper bound: what follows the stream there belongs to others. */
uint64_t qcow2_compressed_range(const struct qcow2 *q, uint64_t entry, uint64_t *len);

/* The L2 entry of a compressed cluster of len bytes at pos.  False: it cannot lie there. */
bool qcow2_compressed_entry(const struct qcow2 *q, uint64_t pos, uint64_t len, uint64_t *entry);

/* Decompresses what the entry of a compressed cluster that begins inside the file says. */
int qcow2_inflate(const struct qcow2 *q, uint64_t entry, void *cluster, struct err *e);

/* May an L1 table be of that size and alignment; and lie at pos: inside the file, apart from the
 * ranges; or both? */
int qcow2_l1_check_shape(const struct qcow2 *q, uint64_t pos, uint32_t entries, struct err *e);
int qcow2_l1_check_place(const struct qcow2 *q, uint64_t pos, uint32_t entries, struct err *e);
int qcow2_l1_check(const struct qcow2 *q, uint64_t pos, uint32_t entries, struct err *e);

enum qcow2_entry {
	QCOW2_ENTRY_UNALLOCATED,
	QCOW2_ENTRY_ZERO, /* without a cluster */
	QCOW2_ENTRY_ZERO_ALLOCATED,
	QCOW2_ENTRY_DATA,
	QCOW2_ENTRY_COMPRESSED,
};

/* What an L2 entry is, whatever else may be wrong with it. */
enum qcow2_entry qcow2_entry_kind(const struct qcow2 *q, uint64_t entry);

/* Finds the L2 table that an L1 entry points to; 0: it points to none. */
int qcow2_l1_decode(const struct qcow2 *q, uint64_t entry, uint64_t *table, struct err *e);

/* A view of size bytes that the L1 table at l1_pos maps from guest offset start on. */
struct view *qcow2_view_new(struct qcow2 *q, uint64_t size, uint64_t start, uint64_t l1_pos,
	uint32_t l1_size, struct err *e);

/* The image that a view is a state of; NULL: of none. */
const struct qcow2 *qcow2_of(const struct view *v);

/* crypt.c */

/* Where the LUKS header lies, if there has to be one. */
int qcow2_luks_check(const struct qcow2 *q, struct err *e);

/* Makes q->crypt, if the image is encrypted. */
int qcow2_unlock(const struct image *img, struct qcow2 *q, struct err *e);

/* What a view maps from guest offset off on is encrypted as the image is. */
int qcow2_encrypted(const struct qcow2 *q, uint64_t off, struct extent *x, struct err *e);

void qcow2_crypt_facts(const struct qcow2 *q, struct facts *f);

/* snapshot-read.c */

#define QCOW2_SNAPSHOT_FIXED 40u /* bytes of an entry before its extra data, id and name */
#define QCOW2_SNAPSHOT_ALIGN 8u  /* of the entries that follow the first */

/* An entry of the snapshot table. */
struct qcow2_snapshot {
	uint64_t l1_pos;
	uint32_t l1_size;
	uint16_t id_len, name_len;
	struct timespec when;
	uint64_t vm_clock;
	int64_t icount; /* -1: not counted */
	uint64_t vmstate_size;
	uint64_t disk_size;
	uint32_t extra_len;
	uint64_t pos, len; /* of the entry */
};

/* Reads the entry at pos, which lies in the file then; what it says of the disk may be nonsense. */
int qcow2_snapshot_read(
	const struct qcow2 *q, uint64_t pos, struct qcow2_snapshot *s, struct err *e);

/* What of an entry lies in its first bytes. */
#define QCOW2_SNAPSHOT_HEAD 64u
void qcow2_snapshot_decode(const struct qcow2 *q, uint64_t pos,
	const unsigned char raw[QCOW2_SNAPSHOT_HEAD], struct qcow2_snapshot *s);

/* Adds the state of a snapshot. */
int qcow2_snapshot_add(struct image *img, struct qcow2 *q, const struct qcow2_snapshot *s,
	const char *id, const char *name, struct err *e);

/* Adds a state for each internal snapshot; len is that of the table. */
int qcow2_snapshots_read(struct image *img, struct qcow2 *q, uint64_t *len, struct err *e);

/* snapshot-ops.c */
extern const struct snapshot_ops qcow2_snapshot_ops;

/* bitmaps.c */

#define QCOW2_BITMAP_FIXED 24u /* bytes of a directory entry before its extra data and name */

/* The entry of bitmap i, at *at of the directory; *at is that of the next one then. */
int qcow2_bitmap_read(const struct qcow2 *q, uint32_t i, uint64_t *at,
	unsigned char raw[QCOW2_BITMAP_FIXED], struct err *e);

/* With qemu-img's keys; damaged ones, and what follows, are left out. */
void qcow2_bitmap_facts(const struct qcow2 *q, struct facts *f);

/* Bytes that all of them and their directory would take in an image with clusters of so many. */
uint64_t qcow2_bitmaps_size(const struct qcow2 *q, uint64_t cluster);

/* Marks all of them as in use: whoever keeps them knows then that they are not up to date.
 * -EUCLEAN: nothing was marked, since the directory is damaged. */
int qcow2_bitmaps_mark(const struct qcow2 *q, struct err *e);

/* refcount.c: refcount number i of those that begin at p. */
uint64_t qcow2_refcount_load(const struct qcow2 *q, const unsigned char *p, uint64_t i);
void qcow2_refcount_store(const struct qcow2 *q, unsigned char *p, uint64_t i, uint64_t count);

/* create.c, as in struct format */
int qcow2_create(struct creation *c, struct err *e);
extern const struct create_option qcow2_create_options[];

/* check.c */

/* Checks the image and mends what repair says, for which q->io must be writable.  No page of its
 * metadata may be pinned or wait to be written.  For whoever opens a dirty image to write to it,
 * CHECK_ALL; it is clean then unless the report still has corruptions or check errors. */
int qcow2_check_run(struct qcow2 *q, unsigned repair, struct check_report *r, struct err *e);

/* As in struct format. */
int qcow2_check(struct image *img, unsigned repair, struct check_report *r, struct err *e);

/* verify.c */

/* Refuses an image that cannot be written to without losing data: refcounts that are too low,
 * clusters with two owners, entries that lead past the end of the file. */
int qcow2_verify(const struct image *img, struct qcow2 *q, struct err *e);

/* measure.c, likewise */
int qcow2_measure(const struct view *disk, uint64_t size, struct measured *m, struct err *e);

/* export.c */
extern const struct export_format qcow2_layout;

#endif
