/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* luks.c - the versions of LUKS, and the passphrases. */
#include "luks.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>

#include "util/bytes.h"
#include "util/err.h"
#include "util/limits.h"
#include "io/crypt.h"
#include "io/io.h"
#include "io/passphrase.h"
#include "image/facts.h"
#include "image/image.h"
#include "luks-impl.h"

bool luks_is_header(const void *bytes, size_t len)
{
	return len >= 6 && memcmp(bytes, LUKS_MAGIC, 6) == 0;
}

/* A header of version 2 whose first copy is damaged has another one, so all that is not version 1
 * is tried as that. */
int luks_read(struct luks *l, struct io *io, uint64_t pos, uint64_t len, struct err *e)
{
	unsigned char start[8];
	int r;

	*l = (struct luks){.io = io, .pos = pos, .len = len};
	if (len < sizeof start)
		return err_set(e, EINVAL, "LUKS header: cut off at %" PRIu64 " bytes", len);
	r = io_read(io, start, sizeof start, pos, e);
	if (r < 0)
		return r;
	if (!luks_is_header(start, sizeof start) || load_be16(start + 6) == 2)
		return luks2_read(l, e);
	return luks1_read(l, io, pos, len, e);
}

/* Data that lies in the header would be written over it. */
static int check_overlap(const struct luks *l, struct err *e)
{
	if (l->payload < l->header_len)
		return err_set(e, EINVAL,
			"its encrypted data at %" PRIu64 " is in the header of %" PRIu64 " bytes",
			l->payload, l->header_len);
	for (unsigned i = 0; i < l->nslots; i++) {
		const struct luks_slot *s = &l->slots[i];

		if (s->len > 0 && l->payload < s->pos + s->len)
			return err_set(e, EINVAL,
				"its encrypted data at %" PRIu64
				" is before the end of the key material of slot %u, %" PRIu64,
				l->payload, s->number, s->pos + s->len);
	}
	return 0;
}

int luks_data_size(const struct luks *l, uint64_t device, uint64_t *size, struct err *e)
{
	int r;

	if (l->payload == 0 && !l->detached)
		return err_set(e, ENOTSUP, "a detached LUKS header: its data is on another device");
	r = l->detached ? 0 : check_overlap(l, e);
	if (r < 0)
		return r;
	if (!range_fits(l->payload, l->size, device))
		return err_set(e, EINVAL,
			"it ends at %" PRIu64 ", before the encrypted data at %" PRIu64
			" or inside of it",
			device, l->payload);
	*size = l->size ? l->size : device - l->payload;
	*size -= *size % l->sector_size;
	return 0;
}

/* Passphrases. */

struct attempt {
	const struct luks *luks;
	const struct image_options *how;
	unsigned char key[CRYPT_KEY_MAX]; /* of a slot, then that of the volume */
	uint32_t key_len;
	char refused[192]; /* why a slot cannot be opened */
};

static void refuse(struct attempt *a, const struct luks_slot *slot, const char *why)
{
	if (!a->refused[0])
		snprintf(a->refused, sizeof a->refused, "; key slot %u: %.160s", slot->number, why);
}

/* A slot that cannot be opened leaves the others. */
static int try_slot(struct attempt *a, const struct luks_slot *slot, const void *passphrase,
	size_t len, struct err *e)
{
	uint64_t most = a->how->luks_memory ? a->how->luks_memory >> 10 : LUKS_MAX_MEMORY;
	struct err slot_e = ERR_INIT;
	char why[96];
	int r;

	if (slot->refused[0]) {
		refuse(a, slot, slot->refused);
		return 0;
	}
	if (slot->kdf.kind != LUKS_PBKDF2 && slot->kdf.memory > most) {
		snprintf(why, sizeof why,
			"it needs %" PRIu32 " MiB of memory, more than %" PRIu64 " MiB",
			slot->kdf.memory >> 10, most >> 10);
		refuse(a, slot, why);
		return 0;
	}
	a->key_len = slot->key_len;
	r = luks_try_slot(a->luks, slot, passphrase, len, a->key, &slot_e);
	if (r >= 0)
		return r;
	if (slot_e.code == EIO) {
		*e = slot_e;
		return r;
	}
	refuse(a, slot, slot_e.text);
	return 0;
}

static int try_slots(struct attempt *a, const void *passphrase, size_t len, struct err *e)
{
	const struct luks *l = a->luks;
	int r = 0;

	for (unsigned priority = 3; r == 0 && priority-- > 0;)
		for (unsigned i = 0; r == 0 && i < l->nslots; i++)
			if (l->slots[i].used && l->slots[i].priority == priority)
				r = try_slot(a, &l->slots[i], passphrase, len, e);
	return r;
}

/* Many editors add a newline to a file: the passphrase is tried without it, too. */
static int try_passphrases(struct attempt *a, struct err *e)
{
	const struct passphrase *s = passphrase_for(a->how->secrets, a->luks->uuid);
	int r = 0;

	for (; r == 0 && s; s = passphrase_for(s->next, a->luks->uuid)) {
		r = try_slots(a, s->bytes, s->len, e);
		if (r == 0 && s->bytes[s->len - 1] == '\n')
			r = try_slots(a, s->bytes, s->len - 1, e);
	}
	return r;
}

static int make_crypt(const struct luks *l, const unsigned char *key, uint32_t len,
	struct crypt **c, struct err *e)
{
	int r = crypt_new(l->cipher, l->mode, key, len, c, e);

	if (r == 0)
		crypt_set_sectors(*c, l->sector_size, l->payload, false);
	return r;
}

int luks_unlock(
	const struct luks *l, const struct image_options *how, struct crypt **crypt, struct err *e)
{
	struct attempt a = {.luks = l, .how = how};
	struct crypt *unused;
	/* Reports an unknown cipher at once, not after seconds of iterations. */
	int r = l->key_len > 0 ? make_crypt(l, a.key, l->key_len, &unused, e) : 0;

	if (r < 0)
		return err_in(e, "LUKS header");
	if (l->key_len > 0)
		crypt_free(unused);
	if (!passphrase_for(how->secrets, l->uuid)) {
		r = crypt_without_key(how->locked, "LUKS", crypt, e);
		if (r == 0)
			crypt_set_sectors(*crypt, l->sector_size, l->payload, false);
		return r;
	}
	r = try_passphrases(&a, e);
	if (r == 1)
		r = make_crypt(l, a.key, a.key_len, crypt, e);
	else if (r == 0)
		r = err_set(e, EKEYREJECTED, "no key slot opens with this passphrase%s", a.refused);
	OPENSSL_cleanse(a.key, sizeof a.key);
	return r;
}
