/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* driver.c - VirtualBox disk images: opening them, and the driver's struct format.
 *
 * An image names its parent by a UUID alone; the core searches for the file.
 */
#include <stdlib.h>

#include "util/bytes.h"
#include "util/err.h"
#include "util/guid.h"
#include "alloc.h"
#include "header.h"
#include "image/facts.h"
#include "image/format.h"
#include "image/image.h"
#include "io/io.h"
#include "map.h"

static void vdi_free(struct view *v)
{
	struct vdi *d = (struct vdi *)v;

	free(d->alloc.used);
	free(d);
}

static const struct view_ops vdi_ops = {.map = vdi_map, .free = vdi_free};

static int vdi_open(struct image *img, struct err *e)
{
	struct vdi *d = calloc(1, sizeof *d);
	int r;

	if (!d)
		return err_nomem(e);
	d->view = (struct view){.ops = &vdi_ops, .cache = img->opts->cache};
	d->io = img->io;
	r = vdi_header_read(img, d, e);
	/* A sector of the block map is written at any time: no data may be in it. */
	if (r == 0 && d->version_0) {
		img->no_writing = "it is of VDI version 0.2, which only very old programs write";
	} else if (r == 0 && d->data_pos % 512 != 0) {
		img->no_writing = "its data do not begin at a multiple of 512";
	} else if (r == 0 && img->writable) {
		d->view.write = &vdi_write_ops;
		d->view.granule = d->view.unit = d->block_size;
	}
	if (r == 0 && !image_add_state(img, NULL, NULL, &d->view, e))
		r = -e->code;
	if (r < 0)
		free(d);
	return r;
}

static int vdi_start_writing(struct image *img, struct err *e)
{
	struct vdi *d = (struct vdi *)img->states[0]->view;
	int r = vdi_alloc_scan(d, e);
	uint64_t end;

	if (r < 0)
		return r;
	/* The file may end inside the last block. */
	end = vdi_slot_pos(d, d->alloc.end);
	r = d->io->size < end ? io_resize(d->io, end, e) : 0;
	return r == 0 ? vdi_alloc_close_gaps(d, e) : r;
}

static void add_guid(struct facts *f, const char *key, const unsigned char *id)
{
	char text[GUID_TEXT];

	guid_text(text, id);
	facts_text(f, key, text);
}

static void vdi_facts(const struct image *img, struct facts *f)
{
	static const char *const types[] = {
		[VDI_DYNAMIC] = "dynamic",
		[VDI_FIXED] = "fixed",
		[VDI_UNDO] = "undo",
		[VDI_DIFFERENCING] = "differencing",
	};
	const struct vdi *d = (const struct vdi *)img->states[0]->view;

	facts_text(f, "create-type", types[d->type]);
	add_guid(f, "uuid", img->id);
	if (!guid_is_zero(img->parent_id))
		add_guid(f, "parent-uuid", img->parent_id);
	facts_cluster_size(f, d->block_size);
}

static int vdi_probe(const struct peek *p)
{
	return p->nhead >= 68 && load_le32(p->head + VDI_SIGNATURE_POS) == VDI_SIGNATURE ? 100 : 0;
}

static const char *const suffixes[] = {"vdi", NULL};

static const struct export_format *const layouts[] = {&vdi_export, NULL};

const struct format vdi_format = {
	.name = "vdi",
	.title = "VirtualBox disk image",
	.suffixes = suffixes,
	.has_parents = true,
	.probe = vdi_probe,
	.open = vdi_open,
	.can_write = true,
	.start_writing = vdi_start_writing,
	.create = vdi_create,
	.create_options = vdi_create_options,
	.can_back = true,
	.check_parent = image_check_parent,
	.knows_parent = image_knows_parent,
	.facts = vdi_facts,
	.check = vdi_check,
	.layouts = layouts,
};
