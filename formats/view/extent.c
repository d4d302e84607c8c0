/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "extent.h"

#include <errno.h>
#include <inttypes.h>

#include "util/bytes.h"
#include "util/err.h"
#include "io/crypt.h"
#include "io/io.h"

int extent_in_file(struct extent *x, struct io *io, uint64_t start, uint64_t skip, uint64_t len,
	uint64_t unit, struct err *e)
{
	uint64_t pos, begun;

	x->len = len;
	if (start >= io->size || __builtin_add_overflow(start, skip, &pos))
		return err_set(e, EIO,
			"%s: data at %" PRIu64 " lies past the end of the file, %" PRIu64, io->name,
			start, io->size);
	x->io = io;
	if (unit > 0) {
		/* The extent ends with the last unit that begins inside the file. */
		begun = div_round_up(io->size - start, unit) * unit;
		if (skip >= begun)
			return err_set(e, EIO,
				"%s: data at %" PRIu64 " lies past the end of the file, %" PRIu64,
				io->name, pos, io->size);
		x->len = MIN(len, begun - skip);
	}
	if (pos >= io->size) {
		x->kind = EXTENT_ZERO;
		return 0;
	}
	x->kind = EXTENT_FILE;
	x->pos = pos;
	x->len = MIN(x->len, io->size - pos);
	return 0;
}

int extent_encrypted(struct extent *x, struct crypt *crypt, uint64_t sector, struct err *e)
{
	uint64_t end;

	/* Bytes beyond the end of the file would be zeroes, which decrypt to nonsense. */
	end = x->kind == EXTENT_FILE ? crypt_whole_end(crypt, x->io->size) : 0;
	if (x->kind != EXTENT_FILE || x->pos >= end)
		return err_set(e, EIO, "encrypted data lies past the end of the file");
	x->kind = EXTENT_CRYPT;
	x->len = MIN(x->len, end - x->pos);
	x->crypt = crypt;
	x->sector = sector;
	return 0;
}
