/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* log-write.c - changes of metadata on their way through the log (section 2.3).
 *
 * Each flush is one entry of the log, so that all of it happens or nothing: data is durable first,
 * then the entry, and only then the pages go where they belong.  They are durable there before the
 * next entry is written, so that each is its own tail; but it does not touch the one before it,
 * which is what counts until it is whole.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "util/bytes.h"
#include "util/crc32c.h"
#include "util/err.h"
#include "io/io.h"
#include "io/replay.h"
#include "write.h"
#include "io/writeback.h"
#include "view/writer.h"

#define SECTOR     4096u
#define ENTRY_HEAD 64u
#define DESCRIPTOR 32u
#define PAGE_HEAD  8u /* bytes of a page that its descriptor has */
#define PAGE_TAIL  4u

/* What an older program left in the log. */

int vhdx_journal_replay(struct vhdx *d, struct io *file, struct err *e)
{
	const struct vhdx_range *log = &d->parts[VHDX_LOG];
	int r;

	if (replay_touches(d->io, 0, vhdx_regions_pos[0]) ||
		replay_touches(d->io, log->pos, log->len))
		return err_set(e, EUCLEAN, "log: it changes the headers, or itself");
	r = replay_apply(d->io, e);
	if (r == 0)
		r = io_sync(file, e);
	if (r < 0)
		return r;
	io_unref(d->io);
	d->io = io_ref(file);
	return vhdx_journal_end(d, e);
}

int vhdx_journal_start(struct vhdx *d, struct err *e)
{
	d->writing->entry = malloc((1 + VHDX_LOG_PAGES) * SECTOR);
	if (!d->writing->entry)
		return err_nomem(e);
	return io_reserve(d->io, d->header.log_pos, d->header.log_len, e);
}

/* An entry. */

static uint32_t log_sectors(const struct vhdx *d)
{
	return d->header.log_len / SECTOR;
}

static int add_page(
	void *arg, struct io *io, uint64_t pos, const unsigned char *page, struct err *e)
{
	struct vhdx *d = arg;
	struct vhdx_writing *w = d->writing;
	unsigned char *desc = w->entry + ENTRY_HEAD + w->npages * DESCRIPTOR;
	unsigned char *data = w->entry + (1 + w->npages) * SECTOR;

	(void)io;
	if (w->npages == VHDX_LOG_PAGES)
		return err_set(
			e, EIO, "log: it has no room for more than %u pages", VHDX_LOG_PAGES);
	memcpy(desc, "desc", 4);
	memcpy(desc + 4, page + SECTOR - PAGE_TAIL, PAGE_TAIL);
	memcpy(desc + 8, page, PAGE_HEAD);
	store_le64(desc + 16, pos);
	store_le64(desc + 24, w->sequence);
	memcpy(data, "data", 4);
	store_le32(data + 4, w->sequence >> 32);
	memcpy(data + 8, page + PAGE_HEAD, SECTOR - PAGE_HEAD - PAGE_TAIL);
	store_le32(data + SECTOR - 4, (uint32_t)w->sequence);
	w->npages++;
	return 0;
}

static void put_head(const struct vhdx *d)
{
	const struct vhdx_writing *w = d->writing;
	uint32_t len = (1 + w->npages) * SECTOR;

	memcpy(w->entry, "loge", 4);
	store_le32(w->entry + 8, len);
	store_le32(w->entry + 12, w->next * SECTOR);
	store_le64(w->entry + 16, w->sequence);
	store_le32(w->entry + 24, w->npages);
	memcpy(w->entry + 32, d->header.log_guid, GUID_LEN);
	store_le64(w->entry + 48, d->io->size);
	store_le64(w->entry + 56, d->io->size);
	store_le32(w->entry + 4, vhdx_checksum(w->entry, len));
}

/* The log is a ring. */
static int write_entry(struct vhdx *d, struct err *e)
{
	struct vhdx_writing *w = d->writing;
	uint32_t n = 1 + w->npages, first = MIN(n, log_sectors(d) - w->next);
	int r = io_write(d->io, w->entry, (size_t)first * SECTOR,
		d->header.log_pos + (uint64_t)w->next * SECTOR, e);

	if (r == 0 && n > first)
		r = io_write(d->io, w->entry + (size_t)first * SECTOR, (size_t)(n - first) * SECTOR,
			d->header.log_pos, e);
	if (r == 0)
		r = io_sync(d->io, e);
	if (r == 0)
		w->next = (w->next + n) % log_sectors(d);
	return r;
}

/* A header that speaks of the log comes after its first entry: there is one at any time then. */
int vhdx_journal_prepare(struct view *v, struct err *e)
{
	struct vhdx *d = (struct vhdx *)v;
	struct vhdx_writing *w = d->writing;
	bool first = guid_is_zero(d->header.log_guid);
	int r;

	if (writeback_pending(v->writer->writeback) == 0)
		return 0;
	r = io_sync(d->io, e);
	if (r == 0 && first)
		r = guid_random(d->header.log_guid, e);
	if (r < 0)
		return r;
	memset(w->entry, 0, SECTOR);
	w->npages = 0;
	w->sequence++;
	r = writeback_each(v->writer->writeback, add_page, d, e);
	if (r < 0)
		return r;
	put_head(d);
	r = write_entry(d, e);
	return r == 0 && first ? vhdx_header_write(d, e) : r;
}

int vhdx_journal_end(struct vhdx *d, struct err *e)
{
	if (guid_is_zero(d->header.log_guid))
		return 0;
	memset(d->header.log_guid, 0, GUID_LEN);
	return vhdx_headers_write(d, e);
}
