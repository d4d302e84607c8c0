/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* check-read.h - tables read by a check, whose work is bounded by what the host stores of the file.
 */
#ifndef VDISK_DRIVER_QCOW2_CHECK_READ_H
#define VDISK_DRIVER_QCOW2_CHECK_READ_H

#include "check.h"

/* The bytes that the host stores of the file: holes cost nothing. */
uint64_t qcow2_check_read_stored(const struct qcow2_check *c);

/* Limits the bytes and references of a walk over all tables to those of a sound file. */
void qcow2_check_read_limit(struct qcow2_check *c);

/* The same, and limits the findings to those of a file whose refcounts are all lost. */
void qcow2_check_read_restart(struct qcow2_check *c);

/* Reads len bytes of a table; bytes beyond the end of the file are zeroes.  *empty: all of them
 * are, and buf was left alone. */
int qcow2_check_read(
	struct qcow2_check *c, uint64_t pos, void *buf, size_t len, bool *empty, struct err *e);

/* Reads the first *n, a cluster at most, of the len bytes of a table into c->buf.  *empty: they
 * are in a hole of the file, which may be longer than a cluster. */
int qcow2_check_read_piece(
	struct qcow2_check *c, uint64_t pos, uint64_t len, uint64_t *n, bool *empty, struct err *e);

#endif
