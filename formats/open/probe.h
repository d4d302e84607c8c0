/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* probe.h - finding out the format of a file, or refusing one that has none. */
#ifndef VDISK_OPEN_PROBE_H
#define VDISK_OPEN_PROBE_H

#include <stdbool.h>
#include <stddef.h>

struct err;
struct format;
struct io;
struct peek;

/* Reads what probes look at, of the head max bytes at most; malloc'ed in one block, NULL on
 * failure. name is borrowed, as that of the file. */
struct peek *probe_read(struct io *io, const char *name, size_t max, struct err *e);

/* The format that the head and tail show, and the name; NULL on failure.  is_disk: a file that no
 * format claims is raw, because another file or the user calls it a disk. */
const struct format *probe_choose(const struct peek *p, bool is_disk, struct err *e);

/* Do the first bytes, max at most, and the last ones show a format other than raw? */
bool probe_is_image(struct io *io, const char *name, size_t max);

/* The format of this name, for io; NULL when it is not known. */
const struct format *probe_named(const char *name, const struct io *io, struct err *e);

/* The name of the format that the file at path shows; NULL when it shows none or cannot be read. */
const char *probe_path(const char *path);

/* After opening io as format has failed: the name of another format that the file shows; NULL when
 * it shows none.  A file of a kind that cannot be read adds its advice to e. */
const char *probe_other(struct io *io, const struct format *format, struct err *e);

#endif
