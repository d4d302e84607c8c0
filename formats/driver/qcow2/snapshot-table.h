/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* snapshot-table.h - the table of snapshots of an image that was opened, so that it makes sense. */
#ifndef VDISK_DRIVER_QCOW2_SNAPSHOT_TABLE_H
#define VDISK_DRIVER_QCOW2_SNAPSHOT_TABLE_H

#include <stddef.h>
#include <stdint.h>

#include "qcow2.h"

struct err;

#define QCOW2_SNAPSHOT_EXTRA 24u /* bytes of extra data that QEMU writes today */

/* Entries one behind the other, as in the file. */
struct qcow2_snaps {
	unsigned char *p;
	uint64_t len;
	uint64_t had; /* bytes in the file */
	uint32_t n;
};

/* more: bytes that may be added.  To be freed, unless it fails. */
int qcow2_snaps_load(const struct qcow2 *q, uint64_t more, struct qcow2_snaps *t, struct err *e);
void qcow2_snaps_free(struct qcow2_snaps *t);

void qcow2_snaps_append(
	struct qcow2_snaps *t, const struct qcow2_snapshot *s, const char *id, const char *name);
void qcow2_snaps_remove(struct qcow2_snaps *t, size_t i);
void qcow2_snaps_rename(struct qcow2_snaps *t, size_t i, const char *name);

/* Bytes that an entry takes, at most. */
static inline uint64_t qcow2_snaps_room(const struct qcow2_snapshot *s)
{
	return QCOW2_SNAPSHOT_FIXED + QCOW2_SNAPSHOT_EXTRA + s->id_len + s->name_len +
	       QCOW2_SNAPSHOT_ALIGN;
}

/* It takes the place of the one in the file; durable on return. */
int qcow2_snaps_store(struct qcow2 *q, const struct qcow2_snaps *t, struct err *e);

#endif
