/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* driver.c - Hyper-V's second format: fixed, dynamic and differencing disks of up to 64 TiB, and
 * the driver's struct format.
 *
 * A file that was not closed has changes in its log.  They belong to it: they are replayed in
 * memory when it is read, and in the file when it is opened for writing.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "util/err.h"
#include "alloc.h"
#include "header.h"
#include "image/facts.h"
#include "image/format.h"
#include "image/image.h"
#include "io/io.h"
#include "log.h"
#include "map.h"
#include "metadata.h"
#include "region-table.h"
#include "view/writer.h"

extern const struct format vhdx_format;

static void vhdx_free(struct view *v)
{
	struct vhdx *d = (struct vhdx *)v;

	free(d->alloc.used);
	free(d->log.entry);
	freed_end(&d->freed);
	io_unref(d->io);
	free(d);
}

static const struct view_ops vhdx_ops = {.map = vhdx_map, .free = vhdx_free};

static int read_disk(struct image *img, struct vhdx *d, struct err *e)
{
	uint64_t needed, entries;
	struct io *replayed;
	int r = vhdx_header_read(d, e);

	if (r == 0 && !guid_is_zero(d->header.log_guid)) {
		r = vhdx_log_replay(d->io, &d->header, &replayed, e);
		if (r < 0)
			return r;
		if (!img->opts->write)
			image_warn(
				img, "it was not closed properly; its log is replayed in memory");
		io_unref(d->io);
		d->io = replayed;
		d->replayed = true;
	}
	if (r == 0)
		r = vhdx_region_table_read(d, e);
	if (r == 0)
		r = vhdx_metadata_read(img, d, e);
	if (r < 0)
		return r;
	needed = vhdx_bat_entries(d, d->nblocks);
	entries = d->parts[VHDX_BAT].len / VHDX_BAT_ENTRY;
	if (needed > entries)
		return err_set(e, EUCLEAN,
			"BAT: %" PRIu64 " entries, %" PRIu64 " needed for a disk of %" PRIu64
			" bytes",
			entries, needed, d->view.size);
	return 0;
}

static int vhdx_open(struct image *img, struct err *e)
{
	struct vhdx *d = calloc(1, sizeof *d);
	int r;

	if (!d)
		return err_nomem(e);
	d->view = (struct view){.ops = &vhdx_ops, .cache = img->opts->cache};
	d->io = io_ref(img->io);
	r = read_disk(img, d, e);
	if (r == 0 && img->writable) {
		d->view.write = &vhdx_write_ops;
		d->view.granule = d->sector_size;
		d->view.unit = d->block_size;
	}
	if (r == 0 && !image_add_state(img, NULL, NULL, &d->view, e))
		r = -e->code;
	if (r < 0)
		vhdx_free(&d->view);
	else
		img->sector_size = d->sector_size;
	return r;
}

static int vhdx_start_writing(struct image *img, struct err *e)
{
	struct vhdx *d = (struct vhdx *)img->states[0]->view;
	bool unclean = d->replayed;
	int r = unclean ? vhdx_log_apply(img, d, e) : 0;

	if (r == 0 && unclean)
		image_warn(img, "it was not closed properly; its log was replayed");
	img->writer->pending_max = VHDX_LOG_PAGES / 2;
	if (r == 0)
		r = vhdx_alloc_scan(d, e);
	return r < 0 ? r : vhdx_log_start(d, e);
}

static const struct vhdx *vhdx_of(const struct image *img)
{
	return (const struct vhdx *)img->states[0]->view;
}

/* All disks of a chain have the same id: parents differ in the GUID that changes with their
 * data (section 2.6.2.6.3). */
static bool vhdx_knows_parent(const struct image *img, const struct image *other)
{
	const struct vhdx *child = vhdx_of(img);
	char found[GUID_TEXT];

	if (other->format != &vhdx_format)
		return false;
	guid_text(found, vhdx_of(other)->header.data_guid);
	return strcasecmp(found, child->linkage[0]) == 0 ||
	       strcasecmp(found, child->linkage[1]) == 0;
}

static int vhdx_check_parent(const struct image *img, const struct image *parent, struct err *e)
{
	const struct vhdx *child = vhdx_of(img), *base = vhdx_of(parent);
	char found[GUID_TEXT];

	guid_text(found, base->header.data_guid);
	if (!vhdx_knows_parent(img, parent)) {
		err_set(e, EUCLEAN,
			"%s: it was made on a parent with %s, but %s has %s: it was changed since",
			img->io->name, child->linkage[0], parent->io->name, found);
		return err_hint_code(e, HINT_IGNORE_PARENT_ID, NULL);
	}
	if (base->sector_size != child->sector_size)
		return err_set(e, EUCLEAN,
			"%s: sectors of %" PRIu32 " bytes on a parent with %" PRIu32, img->io->name,
			child->sector_size, base->sector_size);
	return 0;
}

static void vhdx_facts(const struct image *img, struct facts *f)
{
	const struct vhdx *d = vhdx_of(img);
	char text[GUID_TEXT];

	facts_text(f, "subformat",
		d->differencing ? "differencing"
		: d->fixed      ? "fixed"
				: "dynamic");
	guid_text(text, d->disk_id);
	facts_text(f, "disk-id", text);
	guid_text(text, d->header.data_guid);
	facts_text(f, "data-write-guid", text);
	facts_number(f, "logical-sector-size", d->sector_size);
	if (d->physical_sector_size)
		facts_number(f, "physical-sector-size", d->physical_sector_size);
	facts_cluster_size(f, d->block_size);
	facts_dirty(f, d->replayed);
}

static int vhdx_probe(const struct peek *p)
{
	return p->nhead >= 8 && memcmp(p->head, "vhdxfile", 8) == 0 ? 100 : 0;
}

static const char *const suffixes[] = {"vhdx", "avhdx", NULL};

static const struct export_format *const layouts[] = {&vhdx_export, NULL};

const struct format vhdx_format = {
	.name = "vhdx",
	.title = "Hyper-V disk (VHDX)",
	.suffixes = suffixes,
	.has_parents = true,
	.probe = vhdx_probe,
	.open = vhdx_open,
	.can_write = true,
	.start_writing = vhdx_start_writing,
	.create = vhdx_create,
	.create_options = vhdx_create_options,
	.can_back = true,
	.check_parent = vhdx_check_parent,
	.knows_parent = vhdx_knows_parent,
	.facts = vhdx_facts,
	.check = vhdx_check,
	.layouts = layouts,
};
