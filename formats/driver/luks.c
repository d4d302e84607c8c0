/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* luks.c - files that are LUKS as a whole: header, key material, encrypted disk.
 *
 * The file does not record which sectors were written: all are data.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "util/err.h"
#include "io/crypt.h"
#include "io/io.h"
#include "view/view.h"
#include "image/facts.h"
#include "image/format.h"
#include "image/image.h"
#include "volume/luks/header-file.h"
#include "volume/luks/luks.h"

struct luks_disk {
	struct view view;
	struct luks luks;
	struct io *io; /* of the data */
	struct crypt *crypt;
};

static int luks_map(
	const struct view *v, uint64_t off, uint64_t len, struct extent *x, struct err *e)
{
	const struct luks_disk *d = (const struct luks_disk *)v;
	int r = extent_in_file(x, d->io, d->luks.payload, off, len, 0, e);

	if (r < 0)
		return r;
	return extent_encrypted(
		x, d->crypt, d->luks.first_sector + crypt_sector_number(d->crypt, off), e);
}

static void luks_free(struct view *v)
{
	crypt_free(((struct luks_disk *)v)->crypt);
	free(v);
}

static const struct view_ops luks_ops = {.map = luks_map, .free = luks_free};

static int luks_open(struct image *img, struct err *e)
{
	struct luks_disk *d = calloc(1, sizeof *d);
	uint64_t size = img->io->size;
	const struct luks_device device = {
		.io = img->io, .len = size, .partuuid = "", .is_bare = true};
	int r;

	if (!d)
		return err_nomem(e);
	d->view.ops = &luks_ops;
	d->io = img->io;
	r = luks_read_device(&d->luks, &device, img->opts->luks_headers, e);
	if (r == 0)
		r = luks_data_size(&d->luks, size, &size, e);
	if (r == 0)
		r = luks_unlock(&d->luks, img->opts, &d->crypt, e);
	d->view.size = size;
	if (r == 0 && !image_add_state(img, NULL, NULL, &d->view, e))
		r = -e->code;
	if (r < 0)
		luks_free(&d->view);
	return r;
}

static void luks_disk_facts(const struct image *img, struct facts *f)
{
	facts_encrypted(f);
	luks_facts(&((const struct luks_disk *)img->states[0]->view)->luks, f);
}

static int luks_probe(const struct peek *p)
{
	return luks_is_header(p->head, p->nhead) ? 100 : 0;
}

static const char *const suffixes[] = {"luks", NULL};

const struct format luks_format = {
	.name = "luks",
	.title = "LUKS-encrypted disk",
	.suffixes = suffixes,
	.probe = luks_probe,
	.open = luks_open,
	.facts = luks_disk_facts,
};
