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
#include "driver/common/luks.h"

struct luks_disk {
	struct view view;
	struct luks luks;
	struct crypt *crypt;
};

static int luks_map(
	const struct view *v, uint64_t off, uint64_t len, struct extent *x, struct err *e)
{
	const struct luks_disk *d = (const struct luks_disk *)v;
	int r = extent_in_file(x, d->luks.io, d->luks.payload, off, len, 0, e);

	return r < 0 ? r : extent_encrypted(x, d->crypt, off / CRYPT_SECTOR, e);
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
	int r;

	if (!d)
		return err_nomem(e);
	d->view.ops = &luks_ops;
	r = luks_read(&d->luks, img->io, 0, size, e);
	if (r == 0 && size < d->luks.payload)
		r = err_set(e, EINVAL,
			"the file ends at %" PRIu64 ", before the encrypted data at %" PRIu64, size,
			d->luks.payload);
	if (r == 0)
		r = luks_unlock(&d->luks, img->opts, &d->crypt, e);
	d->view.size = (size - d->luks.payload) / CRYPT_SECTOR * CRYPT_SECTOR;
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

/* Version 2 is claimed, too: it is refused by name. */
static int luks_probe(const struct peek *p)
{
	return p->nhead >= 6 && memcmp(p->head, LUKS_MAGIC, 6) == 0 ? 100 : 0;
}

static const char *const suffixes[] = {"luks", NULL};

const struct format luks_format = {
	.name = "luks",
	.title = "LUKS-encrypted disk, version 1",
	.suffixes = suffixes,
	.probe = luks_probe,
	.open = luks_open,
	.facts = luks_disk_facts,
};
