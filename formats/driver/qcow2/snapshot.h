/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* snapshot.h - entries of the snapshot table, and the states of the image that they describe. */
#ifndef VDISK_DRIVER_QCOW2_SNAPSHOT_H
#define VDISK_DRIVER_QCOW2_SNAPSHOT_H

#include <stddef.h>
#include <stdint.h>
#include <time.h>

struct err;
struct image;
struct qcow2;

#define QCOW2_SNAPSHOT_FIXED 40u /* bytes of an entry before its extra data, id and name */
#define QCOW2_SNAPSHOT_HEAD  64u /* bytes of an entry that are decoded: with known extra data */
#define QCOW2_SNAPSHOT_ALIGN 8u  /* of the entries after the first */
#define QCOW2_SNAPSHOT_EXTRA 24u /* bytes of extra data that QEMU writes today */

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

void qcow2_snapshot_decode(const struct qcow2 *q, uint64_t pos,
	const unsigned char raw[QCOW2_SNAPSHOT_HEAD], struct qcow2_snapshot *s);

/* Reads the entry at pos, and checks that it lies in the file; its disk is not checked. */
int qcow2_snapshot_read(
	const struct qcow2 *q, uint64_t pos, struct qcow2_snapshot *s, struct err *e);

/* Reads the id and the name of an entry, which the caller frees, also when it fails. */
int qcow2_snapshot_read_names(const struct qcow2 *q, const struct qcow2_snapshot *s, char **id,
	char **name, struct err *e);

/* Adds the state of a snapshot. */
int qcow2_snapshot_add(struct image *img, struct qcow2 *q, const struct qcow2_snapshot *s,
	const char *id, const char *name, struct err *e);

/* Adds a state for each internal snapshot, and sets the range of the table. */
int qcow2_snapshot_add_all(struct image *img, struct qcow2 *q, struct err *e);

/* The table in memory: the entries as in the file. */
struct qcow2_snapshot_table {
	unsigned char *p;
	uint64_t len;
	uint64_t stored; /* bytes of the table in the file */
	uint32_t n;
};

/* Loads the table, with memory for more bytes.  Unless this fails, p is to be freed or stored. */
int qcow2_snapshot_table_load(
	const struct qcow2 *q, uint64_t more, struct qcow2_snapshot_table *t, struct err *e);

void qcow2_snapshot_table_append(struct qcow2_snapshot_table *t, const struct qcow2_snapshot *s,
	const char *id, const char *name);
void qcow2_snapshot_table_remove(struct qcow2_snapshot_table *t, size_t i);
void qcow2_snapshot_table_rename(struct qcow2_snapshot_table *t, size_t i, const char *name);

/* The most bytes that an appended entry takes. */
static inline uint64_t qcow2_snapshot_table_entry_max(const struct qcow2_snapshot *s)
{
	return QCOW2_SNAPSHOT_FIXED + QCOW2_SNAPSHOT_EXTRA + s->id_len + s->name_len +
	       QCOW2_SNAPSHOT_ALIGN;
}

/* Writes the table to new clusters and makes the header point to it, durably; frees p. */
int qcow2_snapshot_table_store(struct qcow2 *q, struct qcow2_snapshot_table *t, struct err *e);

#endif
