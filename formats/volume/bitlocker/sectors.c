/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* sectors.c - maps a volume: its first bytes are elsewhere, and BitLocker's own data read as
 * zeroes.
 */
#include "sectors.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>

#include "util/bytes.h"
#include "util/err.h"
#include "io/crypt.h"
#include "io/io.h"
#include "view/io-view.h"
#include "view/view.h"
#include "metadata.h"
#include "unlock.h"

#define HIDDEN (BITLOCKER_COPIES + 1) /* the copies, and the place of the first bytes */

struct sectors {
	uint64_t size, encrypted; /* as of struct bitlocker */
	struct bitlocker_range header, hidden[HIDDEN];
	struct crypt *crypt; /* NULL: nothing is encrypted */
};

/* Ciphers. */

struct method {
	unsigned number;
	const char *mode; /* of AES */
	size_t key_len;   /* bytes */
	size_t stored;    /* bytes that the volume has for it */
};

/* The diffuser has room for two keys of 32 bytes, whatever their length. */
static const struct method methods[] = {
	{0x8000, "cbc-elephant", 32, 64},
	{0x8001, "cbc-elephant", 64, 64},
	{0x8002, "cbc-eboiv", 16, 16},
	{0x8003, "cbc-eboiv", 32, 32},
	{0x8004, "xts-plain64", 32, 32},
	{0x8005, "xts-plain64", 64, 64},
};

static const struct method *find_method(unsigned number)
{
	for (size_t i = 0; i < sizeof methods / sizeof methods[0]; i++)
		if (methods[i].number == number)
			return &methods[i];
	return NULL;
}

const char *sectors_mode(unsigned method)
{
	const struct method *m = find_method(method);

	return m ? m->mode : NULL;
}

static int make_crypt(
	struct sectors *s, const struct bitlocker *b, const struct volume_key *key, struct err *e)
{
	const struct method *m = find_method(b->method);
	unsigned char bytes[VOLUME_KEY_MAX];
	int r;

	if (!m)
		return err_set(e, ENOTSUP,
			"BitLocker: the encryption method 0x%04x is not supported", b->method);
	if (key->len != m->stored)
		return err_set(e, EUCLEAN, "BitLocker: a key of %zu bytes for AES in %s mode",
			key->len, m->mode);
	memcpy(bytes, key->bytes, key->len);
	if (m->key_len < m->stored)
		memcpy(bytes + m->key_len / 2, bytes + m->stored / 2, m->key_len / 2);
	r = crypt_new("aes", m->mode, bytes, m->key_len, &s->crypt, e);
	OPENSSL_cleanse(bytes, sizeof bytes);
	if (r == 0)
		crypt_set_sectors(s->crypt, b->sector, 0, true);
	return r;
}

int sectors_new(const struct bitlocker *b, const struct volume_key *key, struct sectors **out,
	struct err *e)
{
	struct sectors *s = calloc(1, sizeof *s);
	int r;

	if (!s)
		return err_nomem(e);
	s->size = b->size;
	s->encrypted = b->encrypted;
	s->header = b->header;
	s->hidden[0] = b->header;
	for (unsigned i = 0; i < BITLOCKER_COPIES; i++)
		s->hidden[1 + i] = (struct bitlocker_range){b->copies[i], BITLOCKER_AREA};
	r = key ? make_crypt(s, b, key, e) : 0;
	if (r < 0)
		sectors_free(s);
	else
		*out = s;
	return r;
}

void sectors_free(void *sectors)
{
	struct sectors *s = sectors;

	crypt_free(s->crypt);
	free(s);
}

/* The view. */

struct sectors_view {
	struct view view;
	const struct sectors *sectors;
	struct view *member; /* owned */
	struct io *io;       /* the bytes of the member */
};

/* The place of the bytes at off in the member, or none if they are hidden; cuts *len to where that
 * ends. */
static bool find_place(const struct sectors *s, uint64_t off, uint64_t *len, uint64_t *place)
{
	if (off < s->header.len) {
		*len = MIN(*len, s->header.len - off);
		*place = s->header.start + off;
		return true;
	}
	*place = off;
	for (unsigned i = 0; i < HIDDEN; i++) {
		const struct bitlocker_range *r = &s->hidden[i];

		if (off < r->start) {
			*len = MIN(*len, r->start - off);
		} else if (off - r->start < r->len) {
			*len = MIN(*len, r->len - (off - r->start));
			return false;
		}
	}
	return true;
}

static int sectors_map(
	const struct view *view, uint64_t off, uint64_t len, struct extent *x, struct err *e)
{
	const struct sectors_view *v = (const struct sectors_view *)view;
	const struct sectors *s = v->sectors;

	(void)e;
	if (!find_place(s, off, &len, &x->pos)) {
		x->kind = EXTENT_ZERO;
	} else if (s->crypt && x->pos < s->encrypted) {
		x->kind = EXTENT_CRYPT;
		x->io = v->io;
		x->crypt = s->crypt;
		x->sector = crypt_sector_number(s->crypt, x->pos);
		len = MIN(len, s->encrypted - x->pos);
	} else {
		x->kind = EXTENT_BELOW;
		x->below = v->member;
	}
	x->len = len;
	return 0;
}

static void sectors_view_free(struct view *view)
{
	struct sectors_view *v = (struct sectors_view *)view;

	io_unref(v->io);
	view_free(v->member);
	free(v);
}

struct view *sectors_view(
	const struct sectors *s, struct view *member, const char *name, struct err *e)
{
	static const struct view_ops ops = {.map = sectors_map, .free = sectors_view_free};
	struct sectors_view *v = calloc(1, sizeof *v);

	if (!v) {
		err_nomem(e);
		return NULL;
	}
	v->io = io_from_view_inside(member, name, e);
	if (!v->io) {
		free(v);
		return NULL;
	}
	v->view.ops = &ops;
	v->view.size = s->size;
	v->view.writer = member->writer;
	v->sectors = s;
	v->member = member;
	return &v->view;
}
