/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* snapshot-table.h - the snapshot table in memory. */
#ifndef VDISK_DRIVER_QCOW2_SNAPSHOT_TABLE_H
#define VDISK_DRIVER_QCOW2_SNAPSHOT_TABLE_H

#include <stddef.h>
#include <stdint.h>

#include "snapshot.h"

#define QCOW2_SNAPSHOT_EXTRA 24u /* bytes of extra data that QEMU writes today */

/* The entries as in the file. */
struct qcow2_snapshot_table {
	unsigned char *p;
	uint64_t len;
	uint64_t stored; /* bytes of the table in the file */
	uint32_t n;
};

/* Loads the table, with memory for more bytes.  It is to be freed, unless this fails. */
int qcow2_snapshot_table_load(
	const struct qcow2 *q, uint64_t more, struct qcow2_snapshot_table *t, struct err *e);
void qcow2_snapshot_table_free(struct qcow2_snapshot_table *t);

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

/* Writes the table to new clusters and makes the header point to it, durably. */
int qcow2_snapshot_table_store(
	struct qcow2 *q, const struct qcow2_snapshot_table *t, struct err *e);

#endif
