/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* log-write.c - changes of metadata on their way through the log (section 2.3).
 *
 * Each flush is one entry of the log, so that it happens as a whole or not at all: data is durable
 * first, then the entry, and only then the pages are written to their places.  They are durable
 * there before the next entry is written, so each entry is the tail of its own sequence.  It does
 * not overwrite the entry before it, which is the active one until it is complete.
 */
#include "log.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "util/bytes.h"
#include "util/err.h"
#include "header.h"
#include "image/image.h"
#include "io/io.h"
#include "io/replay.h"
#include "io/writeback.h"
#include "region-table.h"
#include "view/writer.h"

#define SECTOR    VHDX_LOG_SECTOR
#define PAGE_HEAD 8u /* bytes of a page that its descriptor has */
#define PAGE_TAIL 4u

int vhdx_log_apply(struct image *img, struct vhdx *d, struct err *e)
{
	const struct vhdx_range *log = &d->parts[VHDX_LOG];
	int r = guid_random(d->header.file_guid, e);

	if (r < 0)
		return r;
	if (replay_touches(d->io, 0, vhdx_region_table_pos[0]) ||
		replay_touches(d->io, log->pos, log->len))
		return err_set(e, EUCLEAN, "log: it changes the headers, or itself");
	r = replay_apply(d->io, e);
	if (r == 0)
		r = io_sync(img->io, e);
	if (r < 0)
		return r;
	io_unref(d->io);
	d->io = io_ref(img->io);
	r = vhdx_log_end(d, e);
	if (r == 0)
		d->replayed = false;
	return r;
}

int vhdx_log_start(struct vhdx *d, struct err *e)
{
	d->log.entry = malloc((1 + VHDX_LOG_PAGES) * SECTOR);
	if (!d->log.entry)
		return err_nomem(e);
	return io_reserve(d->io, d->header.log_pos, d->header.log_len, e);
}

static int add_page(
	void *arg, struct io *io, uint64_t pos, const unsigned char *page, struct err *e)
{
	struct vhdx_log *l = arg;
	unsigned char *desc = l->entry + VHDX_LOG_ENTRY_HEAD + l->npages * VHDX_LOG_DESCRIPTOR;
	unsigned char *data = l->entry + (1 + l->npages) * SECTOR;

	(void)io;
	if (l->npages == VHDX_LOG_PAGES)
		return err_set(e, EIO, "log: an entry has no space for more than %u pages",
			VHDX_LOG_PAGES);
	memcpy(desc, "desc", 4);
	memcpy(desc + 4, page + SECTOR - PAGE_TAIL, PAGE_TAIL);
	memcpy(desc + 8, page, PAGE_HEAD);
	store_le64(desc + 16, pos);
	store_le64(desc + 24, l->sequence);
	memcpy(data, "data", 4);
	store_le32(data + 4, l->sequence >> 32);
	memcpy(data + 8, page + PAGE_HEAD, SECTOR - PAGE_HEAD - PAGE_TAIL);
	store_le32(data + SECTOR - 4, (uint32_t)l->sequence);
	l->npages++;
	return 0;
}

/* Completes the entry and writes it; the log is a ring. */
static int write_entry(struct vhdx *d, struct err *e)
{
	struct vhdx_log *l = &d->log;
	uint32_t n = 1 + l->npages, sectors = d->header.log_len / SECTOR;
	uint32_t first = MIN(n, sectors - l->next);
	int r;

	memcpy(l->entry, "loge", 4);
	store_le32(l->entry + 8, n * SECTOR);
	store_le32(l->entry + 12, l->next * SECTOR);
	store_le64(l->entry + 16, l->sequence);
	store_le32(l->entry + 24, l->npages);
	memcpy(l->entry + 32, d->header.log_guid, GUID_LEN);
	store_le64(l->entry + 48, d->io->size);
	store_le64(l->entry + 56, d->io->size);
	store_le32(l->entry + 4, vhdx_header_checksum(l->entry, n * SECTOR));
	r = io_write(d->io, l->entry, (size_t)first * SECTOR,
		d->header.log_pos + (uint64_t)l->next * SECTOR, e);
	if (r == 0 && n > first)
		r = io_write(d->io, l->entry + (size_t)first * SECTOR, (size_t)(n - first) * SECTOR,
			d->header.log_pos, e);
	if (r == 0)
		r = io_sync(d->io, e);
	if (r == 0)
		l->next = (l->next + n) % sectors;
	return r;
}

/* The header names the log only once that has its first entry: a log without a valid one is
 * damaged. */
int vhdx_log_prepare(struct view *v, struct err *e)
{
	struct vhdx *d = (struct vhdx *)v;
	struct vhdx_log *l = &d->log;
	bool first = guid_is_zero(d->header.log_guid);
	int r;

	if (writeback_pending(v->writer->writeback) == 0)
		return 0;
	r = io_sync(d->io, e);
	if (r == 0 && first)
		r = guid_random(d->header.log_guid, e);
	if (r < 0)
		return r;
	memset(l->entry, 0, SECTOR);
	l->npages = 0;
	l->sequence++;
	r = writeback_each(v->writer->writeback, add_page, l, e);
	if (r == 0)
		r = write_entry(d, e);
	return r == 0 && first ? vhdx_header_write(d, e) : r;
}

int vhdx_log_end(struct vhdx *d, struct err *e)
{
	if (guid_is_zero(d->header.log_guid))
		return 0;
	memset(d->header.log_guid, 0, GUID_LEN);
	return vhdx_header_write_both(d, e);
}
