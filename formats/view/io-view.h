/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* io-view.h - a view as an io, for code that reads and writes files: LUKS headers, encrypted
 * sectors.
 *
 * It holds no reference: v must outlive it.  Its writes go through the view, and become durable
 * with the image of the view.
 */
#ifndef VDISK_VIEW_IO_VIEW_H
#define VDISK_VIEW_IO_VIEW_H

struct err;
struct io;
struct view;

/* Each call enters v (view_enter).  name, for messages, is copied. */
struct io *io_from_view(const struct view *v, const char *name, struct err *e);

/* The same for the io of an extent that a view above v maps, of which request_lock is held already:
 * the caller has entered v. */
struct io *io_from_view_inside(struct view *v, const char *name, struct err *e);

/* The view that io shows; NULL: io is of another kind. */
const struct view *io_view_of(const struct io *io);

#endif
