/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>

#include "util/bytes.h"
#include "util/err.h"
#include "image/image.h"
#include "view/view.h"
#include "volume/reader.h"
#include "bitlocker.h"
#include "metadata.h"
#include "protector.h"
#include "sectors.h"
#include "unlock.h"

static void free_member(void *priv)
{
	bitlocker_clear(priv);
	free(priv);
}

/* Has a volume neither a clear key nor plain bytes? */
static bool needs_key(const struct bitlocker *b)
{
	struct entry_list list = b->entries;
	struct protector p;

	while (protector_next(&list, &p))
		if (p.needs == 0)
			return false;
	return b->encrypted > 0;
}

static int probe(struct volume_member *m, struct err *e)
{
	struct bitlocker *b = malloc(sizeof *b);
	int r;

	if (!b)
		return err_nomem(e);
	r = bitlocker_read(b, m->device->view, e);
	if (r == 1) {
		m->priv = b;
		snprintf(m->device->group, sizeof m->device->group, "%s", b->guid);
		snprintf(m->device->id, sizeof m->device->id, "%s", b->guid);
		m->device->label = b->label;
		b->label = NULL;
		m->device->needs_key = needs_key(b);
	} else {
		free_member(b);
	}
	return r;
}

/* A decrypted volume has its boot sector in plain.  This is checked since its metadata still name a
 * cipher, and readers do not agree on what that means. */
static int check_decrypted(const struct volume_member *m, struct err *e)
{
	const struct bitlocker *b = m->priv;
	unsigned char boot[512];
	int r;

	if (b->encrypted > 0)
		return err_set(e, EUCLEAN,
			"BitLocker: decrypted, but its first %" PRIu64 " bytes are encrypted",
			b->encrypted);
	r = view_read(m->device->view, boot, sizeof boot, b->header.start, e);
	if (r == 0 && load_le16(boot + 510) != 0xaa55)
		r = err_set(e, EUCLEAN, "BitLocker: decrypted, but without a boot sector in plain");
	return r;
}

/* The bytes of a volume in a state in which Windows changes them are not certain. */
static int check_state(const struct volume_member *m, struct err *e)
{
	const struct bitlocker *b = m->priv;

	if (b->on_write || b->state == BITLOCKER_ON_WRITE)
		return err_set(e, ENOTSUP,
			"BitLocker still encrypts it as it is written to (EOW), which is not "
			"supported: which parts are encrypted is not documented");
	switch (b->state) {
	case BITLOCKER_ENCRYPTED:
	case BITLOCKER_PAUSED:
		return b->encrypted > 0
			       ? 0
			       : err_set(e, EUCLEAN,
					 "BitLocker: encrypted, but only its first 0 bytes");
	case BITLOCKER_DECRYPTED:
		return check_decrypted(m, e);
	case BITLOCKER_CONVERTING:
		return err_set(e, ENOTSUP,
			"BitLocker is just encrypting or decrypting it: let Windows end or pause "
			"that");
	default:
		return err_set(e, ENOTSUP, "BitLocker: the state %u is not known", b->state);
	}
}

static int make_sectors(const struct volume_group *g, struct sectors **sectors, struct err *e)
{
	const struct bitlocker *b = g->members[0]->priv;
	struct volume_key key;
	int r = check_state(g->members[0], e);

	if (r < 0)
		return r;
	if (b->state == BITLOCKER_DECRYPTED)
		return sectors_new(b, NULL, sectors, e);
	if (!sectors_mode(b->method))
		return err_set(e, ENOTSUP,
			"BitLocker: the encryption method 0x%04x is not supported", b->method);
	r = bitlocker_unlock(b, g->how->secrets, &key, e);
	if (r == 0)
		r = sectors_new(b, &key, sectors, e);
	OPENSSL_cleanse(&key, sizeof key);
	return r;
}

static int add_volume(
	const struct volume_group *g, const char *name, struct sectors *sectors, struct err *e)
{
	const struct bitlocker *b = g->members[0]->priv;
	struct volume *v = volume_add(g, name, NULL, g->members, 1, e);

	if (!v) {
		sectors_free(sectors);
		return -e->code;
	}
	v->mapping = sectors;
	v->size = b->size;
	v->no_writing = "volumes of BitLocker can only be read";
	v->changes_bytes = b->state != BITLOCKER_DECRYPTED;
	snprintf(v->uuid, sizeof v->uuid, "%s", b->guid);
	if (b->state == BITLOCKER_DECRYPTED)
		snprintf(v->layout, sizeof v->layout, "decrypted");
	else
		snprintf(v->layout, sizeof v->layout, "aes-%s", sectors_mode(b->method));
	return 0;
}

static int assemble(const struct volume_group *g, bool last, struct err *e)
{
	const struct bitlocker *b = g->members[0]->priv;
	char name[sizeof "bitlocker-" + GUID_TEXT];
	struct err why = ERR_INIT;
	struct sectors *sectors;
	int r = make_sectors(g, &sectors, &why);

	(void)last;
	snprintf(name, sizeof name, "bitlocker-%s", b->guid);
	if (r == 0)
		return add_volume(g, name, sectors, e);
	return r == -ENOMEM ? err_nomem(e) : volume_add_failed(g, name, NULL, &why, e);
}

static struct view *view(const struct volume *v, struct view **members, struct err *e)
{
	return sectors_view(v->mapping, members[0], v->members[0]->name, e);
}

const struct volume_reader bitlocker_reader = {
	.kind = "bitlocker",
	.type = "BitLocker",
	.alone = true,
	.probe = probe,
	.free_member = free_member,
	.assemble = assemble,
	.view = view,
	.free_mapping = sectors_free,
};
