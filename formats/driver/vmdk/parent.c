/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* parent.c - how a delta names its parent, and how the parent is verified.
 *
 * VMware names the file of the parent's descriptor and the parent's content ID, which changes with
 * the first write after each opening.  VirtualBox names the parent's UUID alone, so that it may be
 * of another format; a second UUID changes with the parent's content.
 */
#include "parent.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "util/err.h"
#include "util/text.h"
#include "io/io.h"
#include "image/format.h"
#include "image/image.h"
#include "descriptor.h"

static bool has_uuid(const unsigned char *id)
{
	return !guid_is_zero(id);
}

static int name_parent(struct image *img, const struct vmdk_descriptor *d, struct err *e)
{
	char name[VMDK_NAME_MAX];
	bool is_flat;
	int r = vmdk_descriptor_decode_name(d, d->parent_hint, name, e);

	if (r < 0)
		return err_in(e, "parentFileNameHint");
	/* An extent without descriptor names the file of the parent's data. */
	is_flat = d->bare && text_ends_with(name, "-flat.vmdk");
	img->parent_name = strdup(name);
	img->parent_format = strdup(is_flat ? "raw" : img->format->name);
	return img->parent_name && img->parent_format ? 0 : err_nomem(e);
}

int vmdk_parent_set(struct image *img, const struct vmdk_descriptor *d, struct err *e)
{
	memcpy(img->id, d->id, GUID_LEN);
	memcpy(img->change_id, d->change_id, GUID_LEN);
	memcpy(img->parent_id, d->parent_id, GUID_LEN);
	memcpy(img->parent_change_id, d->parent_change_id, GUID_LEN);
	if (d->parent_hint)
		return name_parent(img, d, e);
	if (d->parent_cid == VMDK_NO_CID || has_uuid(d->parent_id))
		return 0;
	/* A parent that is not opened needs no name. */
	if (img->opts->nobacking) {
		img->parent_name = strdup("?");
		return img->parent_name ? 0 : err_nomem(e);
	}
	return err_set(e, EINVAL, "it has a parent, parentCID=%08" PRIx32 ", but does not name it",
		d->parent_cid);
}

/* Without UUIDs the content ID identifies the parent, except VMDK_FIRST_CID, which all disks have
 * that were never written.  A base whose content ID is that of its own parent is still empty: the
 * parent that is searched for is that one, or has the same content. */
bool vmdk_parent_matches(const struct image *img, const struct vmdk_descriptor *child,
	const struct image *parent, const struct vmdk_descriptor *base)
{
	if (has_uuid(child->parent_id))
		return image_knows_parent(img, parent);
	return base && !child->bare && !base->bare && child->parent_cid != VMDK_NO_CID &&
	       child->parent_cid != VMDK_FIRST_CID && base->cid == child->parent_cid &&
	       base->parent_cid != base->cid;
}

int vmdk_parent_check(const struct image *img, const struct vmdk_descriptor *child,
	const struct image *parent, const struct vmdk_descriptor *base, struct err *e)
{
	/* An ESX delta without descriptor has a name and nothing else. */
	if (child->bare)
		return 0;
	if (has_uuid(child->parent_id)) {
		int r = image_check_parent(img, parent, e);

		/* VirtualBox does not set the parent's content ID. */
		if (r < 0 || !base || child->parent_cid == VMDK_NO_CID)
			return r;
	}
	if (!base)
		return err_set(e, EINVAL, "%s: its parent %s is no VMDK, but has to be",
			img->io->name, parent->io->name);
	if (base->cid == child->parent_cid)
		return 0;
	err_set(e, EINVAL,
		"%s: the parent %s was changed after the image was made: CID %08" PRIx32
		", %08" PRIx32 " expected",
		img->io->name, parent->io->name, base->cid, child->parent_cid);
	return err_hint_code(e, HINT_IGNORE_PARENT_ID, NULL);
}
