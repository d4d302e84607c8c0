/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* copy.c - copies ranges between views, files of the host directly. */
#include <stdlib.h>

#include "util/bytes.h"
#include "util/err.h"
#include "io/io.h"
#include "view.h"

#define CHUNK     (1u << 20)
#define FROM_FILE (16u << 20) /* at a time: a write holds locks that others wait for */

/* Copies at most *len bytes that are data; *len becomes their number. */
static int copy_data(const struct view *from, uint64_t off, struct view *to, uint64_t to_off,
	uint64_t *len, void *buf, struct err *e)
{
	struct err ignored;
	struct extent x;
	int r;

	/* Not from file to file if the source image can change: its request_lock would be held
	 * while another image is waited for. */
	if (!from->writer && view_resolve(from, off, MIN(*len, FROM_FILE), &x, &ignored) == 0 &&
		x.kind == EXTENT_FILE && x.io->fd >= 0) {
		*len = x.len;
		return view_write_from(to, x.io, x.pos, x.len, to_off, e);
	}
	*len = MIN(*len, CHUNK);
	r = view_read(from, buf, *len, off, e);
	return r == 0 ? view_write(to, buf, *len, to_off, e) : r;
}

int64_t view_copy(const struct view *from, uint64_t off, struct view *to, uint64_t to_off,
	uint64_t len, struct err *e)
{
	uint64_t done = 0, n;
	void *buf;
	int r = 0;

	if (off >= from->size)
		return 0;
	len = MIN(len, from->size - off);
	buf = malloc(CHUNK);
	if (!buf)
		return err_nomem(e);
	while (r == 0 && done < len) {
		bool data;

		view_enter(from);
		data = view_look(from, off + done, &n);
		view_leave(from);
		n = MIN(n, len - done);
		if (data)
			r = copy_data(from, off + done, to, to_off + done, &n, buf, e);
		else
			r = view_clear(to, to_off + done, n, e);
		if (r == 0)
			done += n;
	}
	free(buf);
	return r < 0 && done == 0 ? r : (int64_t)done;
}
