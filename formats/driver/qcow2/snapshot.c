/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* snapshot-read.c - the table of internal snapshots, each of which becomes a state of the image.
 *
 * Entries have no fixed length: when one cannot be walked over, none that follows can be found, and
 * the table as a whole is invalid.  What else may be wrong with an entry is that snapshot's trouble
 * alone: it is listed, and reading it says why it cannot be read.
 */
#include "snapshot.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "util/bytes.h"
#include "util/err.h"
#include "io/meta.h"
#include "io/io.h"
#include "view/view.h"
#include "image/image.h"
#include "l1.h"
#include "map.h"
#include "qcow2.h"

/* Extra data grew over time: 8 bytes bring the long VM state size, 16 the disk size, 24 the count
 * of instructions. */
static void decode_extra(struct qcow2_snapshot *s, const unsigned char *p)
{
	if (s->extra_len >= 8)
		s->vmstate_size = load_be64(p);
	if (s->extra_len >= 16)
		s->disk_size = load_be64(p + 8) & ~(uint64_t)511;
	if (s->extra_len >= 24)
		s->icount = (int64_t)load_be64(p + 16);
}

static void decode_fixed(struct qcow2_snapshot *s, const unsigned char *p)
{
	s->l1_pos = load_be64(p);
	s->l1_size = load_be32(p + 8);
	s->id_len = load_be16(p + 12);
	s->name_len = load_be16(p + 14);
	s->when.tv_sec = load_be32(p + 16);
	s->when.tv_nsec = MIN(load_be32(p + 20), 999999999);
	s->vm_clock = load_be64(p + 24);
	s->vmstate_size = load_be32(p + 32);
	s->extra_len = load_be32(p + 36);
	s->len = QCOW2_SNAPSHOT_FIXED + (uint64_t)s->extra_len + s->id_len + s->name_len;
}

void qcow2_snapshot_decode(const struct qcow2 *q, uint64_t pos,
	const unsigned char raw[QCOW2_SNAPSHOT_HEAD], struct qcow2_snapshot *s)
{
	*s = (struct qcow2_snapshot){.pos = pos, .disk_size = q->size, .icount = -1};
	decode_fixed(s, raw);
	decode_extra(s, raw + QCOW2_SNAPSHOT_FIXED);
}

int qcow2_snapshot_read(
	const struct qcow2 *q, uint64_t pos, struct qcow2_snapshot *s, struct err *e)
{
	unsigned char raw[QCOW2_SNAPSHOT_HEAD];
	int r = meta_read(q->cache, q->io, raw, sizeof raw, pos, e);

	if (r < 0)
		return r;
	qcow2_snapshot_decode(q, pos, raw, s);
	if (s->extra_len > QCOW2_MAX_SNAPSHOT_EXTRA)
		return err_set(e, EINVAL, "%" PRIu32 " bytes of extra data are more than %d",
			s->extra_len, QCOW2_MAX_SNAPSHOT_EXTRA);
	if (!range_fits(pos, s->len, q->io->size))
		return err_set(e, EINVAL, "passes the end of the file, 0x%" PRIx64, q->io->size);
	return 0;
}

static uint64_t vmstate_start(const struct qcow2 *q, const struct qcow2_snapshot *s)
{
	return round_up(s->disk_size, UINT64_C(1) << qcow2_l1_bits(q));
}

/* Is the disk of the snapshot one that can be read? */
static int check_disk(const struct qcow2 *q, const struct qcow2_snapshot *s, struct err *e)
{
	if (q->external)
		return err_set(e, ENOTSUP,
			"snapshots in an image with an external data file keep no data");
	if (s->disk_size > LIMIT_DISK_SIZE)
		return err_set(e, EINVAL, "disk size %" PRIu64 " is more than %" PRIu64,
			s->disk_size, LIMIT_DISK_SIZE);
	return qcow2_l1_check(q, s->l1_pos, s->l1_size, e);
}

/* The VM state is mapped by the first L1 entries behind the disk. */
static int check_vmstate(const struct qcow2 *q, const struct qcow2_snapshot *s, struct err *e)
{
	int r = check_disk(q, s, e);
	uint64_t reach;

	if (r < 0)
		return r;
	reach = (uint64_t)s->l1_size << qcow2_l1_bits(q);
	if (!range_fits(vmstate_start(q, s), s->vmstate_size, reach))
		return err_set(e, EUCLEAN,
			"VM state: %" PRIu64 " bytes are more than the L1 table reaches",
			s->vmstate_size);
	return 0;
}

static struct view *broken_view(uint64_t size, struct err *why, struct err *e)
{
	err_in(why, "the snapshot cannot be read");
	return view_broken(MIN(size, LIMIT_DISK_SIZE), why->text, e);
}

static struct view *disk_view(struct qcow2 *q, const struct qcow2_snapshot *s, struct err *e)
{
	struct err why = ERR_INIT;

	if (check_disk(q, s, &why) < 0)
		return broken_view(s->disk_size, &why, e);
	return qcow2_map_view(q, s->disk_size, 0, s->l1_pos, s->l1_size, e);
}

static struct view *vmstate_view(struct qcow2 *q, const struct qcow2_snapshot *s, struct err *e)
{
	struct err why = ERR_INIT;

	if (check_vmstate(q, s, &why) < 0)
		return broken_view(s->vmstate_size, &why, e);
	return qcow2_map_view(q, s->vmstate_size, vmstate_start(q, s), s->l1_pos, s->l1_size, e);
}

static int make_views(
	struct qcow2 *q, const struct qcow2_snapshot *s, struct state *state, struct err *e)
{
	state->view = disk_view(q, s, e);
	if (!state->view)
		return -e->code;
	if (s->vmstate_size == 0)
		return 0;
	state->vmstate = vmstate_view(q, s, e);
	return state->vmstate ? 0 : -e->code;
}

int qcow2_snapshot_add(struct image *img, struct qcow2 *q, const struct qcow2_snapshot *s,
	const char *id, const char *name, struct err *e)
{
	struct state *state = state_new(id, name, e);
	int r;

	if (!state)
		return -e->code;
	state->when = s->when;
	state->vm_clock = s->vm_clock;
	state->icount = s->icount;
	r = make_views(q, s, state, e);
	if (r == 0)
		r = state_add(img, state, e);
	if (r < 0)
		state_put(state);
	return r;
}

static int add_state(
	struct image *img, struct qcow2 *q, const struct qcow2_snapshot *s, struct err *e)
{
	uint64_t pos = s->pos + QCOW2_SNAPSHOT_FIXED + s->extra_len;
	char *id = calloc(1, s->id_len + 1u), *name = calloc(1, s->name_len + 1u);
	int r;

	if (!id || !name)
		r = err_nomem(e);
	else
		r = meta_read(q->cache, q->io, id, s->id_len, pos, e);
	if (r == 0)
		r = meta_read(q->cache, q->io, name, s->name_len, pos + s->id_len, e);
	if (r == 0)
		r = qcow2_snapshot_add(img, q, s, id, name, e);
	free(id);
	free(name);
	return r;
}

static int table_read(struct image *img, struct qcow2 *q, uint64_t *len, struct err *e)
{
	uint64_t start = q->header.snapshots_pos;

	*len = 0;
	if (start & (q->cluster_size - 1))
		return err_set(e, EINVAL, "offset 0x%" PRIx64 " is not a multiple of %" PRIu32,
			start, q->cluster_size);
	if (q->header.nsnapshots > QCOW2_MAX_SNAPSHOTS)
		return err_set(e, EFBIG, "%" PRIu32 " snapshots are more than %d",
			q->header.nsnapshots, QCOW2_MAX_SNAPSHOTS);
	for (uint32_t i = 0; i < q->header.nsnapshots; i++) {
		struct qcow2_snapshot s;
		int r = qcow2_snapshot_read(q, start + *len, &s, e);

		if (r < 0)
			return err_in(e, "entry %" PRIu32, i);
		*len += round_up(s.len, QCOW2_SNAPSHOT_ALIGN);
		if (*len > QCOW2_MAX_SNAPSHOT_BYTES)
			return err_set(e, EFBIG, "more than %u bytes", QCOW2_MAX_SNAPSHOT_BYTES);
		r = add_state(img, q, &s, e);
		if (r < 0)
			return r;
	}
	return 0;
}

int qcow2_snapshot_add_all(struct image *img, struct qcow2 *q, uint64_t *len, struct err *e)
{
	int r = table_read(img, q, len, e);

	if (r < 0) {
		*len = 0;
		err_in(e, "snapshot table invalid");
		err_hint_code(e, HINT_NOSNAPSHOTS, NULL);
	}
	return r;
}
