/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* snapshot.c - the table of internal snapshots, each of which becomes a state of the image.
 *
 * Entries have no fixed length: when one is damaged so that its end is unknown, those after it
 * cannot be found, and the table as a whole is invalid.  Other damage of an entry concerns that
 * snapshot alone: it is listed, and reading it fails with the reason.
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

void qcow2_snapshot_decode(const struct qcow2 *q, uint64_t pos,
	const unsigned char raw[QCOW2_SNAPSHOT_HEAD], struct qcow2_snapshot *s)
{
	*s = (struct qcow2_snapshot){.pos = pos, .disk_size = q->size, .icount = -1};
	s->l1_pos = load_be64(raw);
	s->l1_size = load_be32(raw + 8);
	s->id_len = load_be16(raw + 12);
	s->name_len = load_be16(raw + 14);
	s->when.tv_sec = load_be32(raw + 16);
	s->when.tv_nsec = MIN(load_be32(raw + 20), 999999999);
	s->vm_clock = load_be64(raw + 24);
	s->vmstate_size = load_be32(raw + 32);
	s->extra_len = load_be32(raw + 36);
	s->len = QCOW2_SNAPSHOT_FIXED + (uint64_t)s->extra_len + s->id_len + s->name_len;
	/* The extra data of newer programs is longer. */
	if (s->extra_len >= 8)
		s->vmstate_size = load_be64(raw + QCOW2_SNAPSHOT_FIXED);
	if (s->extra_len >= 16)
		s->disk_size = load_be64(raw + QCOW2_SNAPSHOT_FIXED + 8) & ~(uint64_t)511;
	if (s->extra_len >= 24)
		s->icount = (int64_t)load_be64(raw + QCOW2_SNAPSHOT_FIXED + 16);
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

int qcow2_snapshot_read_names(const struct qcow2 *q, const struct qcow2_snapshot *s, char **id,
	char **name, struct err *e)
{
	uint64_t pos = s->pos + QCOW2_SNAPSHOT_FIXED + s->extra_len;
	int r;

	*id = calloc(1, s->id_len + 1u);
	*name = calloc(1, s->name_len + 1u);
	if (!*id || !*name)
		return err_nomem(e);
	r = meta_read(q->cache, q->io, *id, s->id_len, pos, e);
	return r < 0 ? r : meta_read(q->cache, q->io, *name, s->name_len, pos + s->id_len, e);
}

/* Checks that the disk of the snapshot can be read. */
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

/* A view of size bytes from guest offset start on; if r < 0, its reads fail with why. */
static struct view *make_view(struct qcow2 *q, const struct qcow2_snapshot *s, uint64_t size,
	uint64_t start, int r, struct err *why, struct err *e)
{
	if (r == 0)
		return qcow2_map_view(q, size, start, s->l1_pos, s->l1_size, e);
	err_in(why, "the snapshot cannot be read");
	return view_broken(MIN(size, LIMIT_DISK_SIZE), why->text, e);
}

static int make_views(
	struct qcow2 *q, const struct qcow2_snapshot *s, struct state *state, struct err *e)
{
	struct err why = ERR_INIT;
	/* The VM state is mapped by the first L1 entries after those of the disk. */
	uint64_t start = round_up(s->disk_size, UINT64_C(1) << qcow2_l1_bits(q));
	int r = check_disk(q, s, &why);

	state->view = make_view(q, s, s->disk_size, 0, r, &why, e);
	if (!state->view)
		return -e->code;
	if (s->vmstate_size == 0)
		return 0;
	why = (struct err)ERR_INIT;
	r = check_disk(q, s, &why);
	if (r == 0 && !range_fits(start, s->vmstate_size, (uint64_t)s->l1_size << qcow2_l1_bits(q)))
		r = err_set(&why, EUCLEAN,
			"VM state: %" PRIu64 " bytes are more than the L1 table maps",
			s->vmstate_size);
	state->vmstate = make_view(q, s, s->vmstate_size, start, r, &why, e);
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

static int add_entry(
	struct image *img, struct qcow2 *q, const struct qcow2_snapshot *s, struct err *e)
{
	char *id, *name;
	int r = qcow2_snapshot_read_names(q, s, &id, &name, e);

	if (r == 0)
		r = qcow2_snapshot_add(img, q, s, id, name, e);
	free(id);
	free(name);
	return r;
}

static int add_entries(struct image *img, struct qcow2 *q, uint64_t *len, struct err *e)
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
		r = add_entry(img, q, &s, e);
		if (r < 0)
			return r;
	}
	return 0;
}

int qcow2_snapshot_add_all(struct image *img, struct qcow2 *q, uint64_t *len, struct err *e)
{
	int r = add_entries(img, q, len, e);

	if (r < 0) {
		*len = 0;
		err_in(e, "snapshot table invalid");
		err_hint_code(e, HINT_NOSNAPSHOTS, NULL);
	}
	return r;
}
