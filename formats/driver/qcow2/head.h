/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* head.h - the header of an image that is open for writing, with its extensions, written anew. */
#ifndef VDISK_DRIVER_QCOW2_HEAD_H
#define VDISK_DRIVER_QCOW2_HEAD_H

#include <stdint.h>

struct err;
struct qcow2;
struct qcow2_header;

/* Makes the header, the names and extensions of the file say what new says, durably, and sets
 * q->header to it.  backing_pos and backing_len of new are computed.  Extensions that are not
 * understood are kept.  ENOSPC: the name has no place in the first cluster.  The meta lock is held.
 */
int qcow2_head_write(struct qcow2 *q, const struct qcow2_header *new, struct err *e);

#endif
