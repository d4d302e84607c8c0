/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* snapshot.h - entries of the snapshot table, and the states of the image that they make. */
#ifndef VDISK_DRIVER_QCOW2_SNAPSHOT_H
#define VDISK_DRIVER_QCOW2_SNAPSHOT_H

#include <stdint.h>
#include <time.h>

struct err;
struct image;
struct qcow2;

#define QCOW2_SNAPSHOT_FIXED 40u /* bytes of an entry before its extra data, id and name */
#define QCOW2_SNAPSHOT_HEAD  64u /* bytes of an entry that are decoded: with known extra data */
#define QCOW2_SNAPSHOT_ALIGN 8u  /* of the entries after the first */

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

/* Reads the entry at pos, and checks that it lies in the file; its disk may be nonsense. */
int qcow2_snapshot_read(
	const struct qcow2 *q, uint64_t pos, struct qcow2_snapshot *s, struct err *e);

/* Reads the id and the name of an entry, which the caller frees, also when it fails. */
int qcow2_snapshot_read_names(const struct qcow2 *q, const struct qcow2_snapshot *s, char **id,
	char **name, struct err *e);

/* Adds the state of a snapshot. */
int qcow2_snapshot_add(struct image *img, struct qcow2 *q, const struct qcow2_snapshot *s,
	const char *id, const char *name, struct err *e);

/* Adds a state for each internal snapshot; *len is the length of the table. */
int qcow2_snapshot_add_all(struct image *img, struct qcow2 *q, uint64_t *len, struct err *e);

#endif
