/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* check-read.c - tables read by a check, within limits. */
#include "check.h"

#include <errno.h>
#include <unistd.h>

#include "util/bytes.h"
#include "util/err.h"
#include "io/io.h"

/* A sound image uses each cluster once as a table.  The factor allows for harmless damage, and for
 * a host file system that stores less by compression; more is crafted to keep a check busy. */
#define BUDGET_FACTOR 16
#define BUDGET_LEAST  (64u << 20)

/* A sound image stores an entry for each reference, or a refcount of at least a bit.  Tables that
 * overlap in holes of the file have any number of references. */
#define REFER_FACTOR 8
#define REFER_LEAST  (64u << 20)

#define FINDINGS_LEAST (1u << 16)

uint64_t qcow2_check_read_stored(const struct qcow2_check *c)
{
	const struct io *io = c->q->io;

	return io->sparse ? io->stored : io->size;
}

/* A sparse file can have many windows, each of which takes a walk. */
void qcow2_check_read_limit(struct qcow2_check *c)
{
	uint64_t stored = MIN(qcow2_check_read_stored(c), UINT64_MAX / 32);
	uint64_t windows = div_round_up(c->nclusters, c->nwindow);

	c->budget = BUDGET_LEAST / windows + BUDGET_FACTOR * stored;
	c->references_max = REFER_LEAST / windows + REFER_FACTOR * stored;
}

/* When all refcounts are lost, there is a finding or a repair for each entry, of 8 bytes. */
void qcow2_check_read_restart(struct qcow2_check *c)
{
	qcow2_check_read_limit(c);
	c->r->findings_max =
		c->r->findings + FINDINGS_LEAST + qcow2_check_read_stored(c) / QCOW2_ENTRY_SIZE;
}

int qcow2_check_read(
	struct qcow2_check *c, uint64_t pos, void *buf, size_t len, bool *empty, struct err *e)
{
	struct io *io = c->q->io;

	*empty = pos >= io->size || io_seek(io, pos, SEEK_DATA) - pos >= len;
	if (*empty)
		return 0;
	if (len > c->budget)
		return err_set(e, EUCLEAN,
			"its tables overlap: they have more bytes than the file has data");
	c->budget -= len;
	return io_read_padded(io, buf, len, pos, e);
}

int qcow2_check_read_piece(
	struct qcow2_check *c, uint64_t pos, uint64_t len, uint64_t *n, bool *empty, struct err *e)
{
	struct io *io = c->q->io;
	uint64_t data = pos < io->size ? io_seek(io, pos, SEEK_DATA) : io->size;
	uint64_t hole = (data < io->size ? data - pos : len) & ~(uint64_t)(c->q->cluster_size - 1);

	*empty = hole > 0;
	*n = MIN(len, *empty ? hole : c->q->cluster_size);
	return *empty ? 0 : qcow2_check_read(c, pos, c->buf, *n, empty, e);
}
