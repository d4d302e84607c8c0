/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* write-inside.h - writes by a request that has entered the view already: for a view above that
 * changes the bytes on their way, as encryption does.  The request has begun to write through that
 * view, which has the same writer.
 */
#ifndef VDISK_VIEW_WRITE_INSIDE_H
#define VDISK_VIEW_WRITE_INSIDE_H

#include <stddef.h>
#include <stdint.h>

struct err;
struct view;

/* Can all of the range be written?  EROFS, ENOSPC. */
int view_check_inside(const struct view *v, uint64_t off, uint64_t len, struct err *e);

/* As view_write and view_allocate. */
int view_write_inside(struct view *v, const void *buf, size_t len, uint64_t off, struct err *e);
int view_allocate_inside(struct view *v, uint64_t off, uint64_t len, struct err *e);

#endif
