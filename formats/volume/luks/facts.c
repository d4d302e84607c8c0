/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* facts.c - what info.json says of a LUKS header. */
#include <stdio.h>

#include "io/crypt.h"
#include "image/facts.h"
#include "luks.h"

static void facts_of_1(const struct luks *l, struct facts *f)
{
	struct crypt_mode m = crypt_mode_parse(l->mode);
	char cipher[sizeof l->cipher + 24];

	snprintf(cipher, sizeof cipher, "%s-%zu", l->cipher, crypt_key_bits(&m, l->key_len));
	facts_text(f, "ivgen-alg", m.ivgen);
	facts_text(f, "hash-alg", l->hash_name);
	facts_text(f, "cipher-alg", cipher);
	facts_text(f, "uuid", l->uuid);
	if (m.ivgen_hash[0])
		facts_text(f, "ivgen-hash-alg", m.ivgen_hash);
	facts_text(f, "cipher-mode", m.chaining);
	for (const struct luks_slot *s = l->slots; s < l->slots + l->nslots; s++) {
		struct facts *slot = facts_list(f, "slots");

		facts_flag(slot, "active", s->used);
		if (s->used)
			facts_number(slot, "iters", s->kdf.iterations);
		facts_number(slot, "key-offset", s->pos);
		if (s->used)
			facts_number(slot, "stripes", LUKS_STRIPES);
	}
	facts_number(f, "payload-offset", l->payload);
	facts_number(f, "master-key-iters", l->digest.iterations);
}

static const char *kdf_name(const struct luks_kdf *kdf)
{
	return kdf->kind == LUKS_PBKDF2    ? "pbkdf2"
	       : kdf->kind == LUKS_ARGON2I ? "argon2i"
					   : "argon2id";
}

static void facts_of_2(const struct luks *l, struct facts *f)
{
	char cipher[sizeof l->cipher + sizeof l->mode];

	snprintf(cipher, sizeof cipher, "%s-%s", l->cipher, l->mode);
	facts_number(f, "version", 2);
	facts_text(f, "uuid", l->uuid);
	if (l->label[0])
		facts_text(f, "label", l->label);
	facts_text(f, "encryption", cipher);
	facts_number(f, "sector-size", l->sector_size);
	facts_number(f, "payload-offset", l->payload);
	for (const struct luks_slot *s = l->slots; s < l->slots + l->nslots; s++) {
		struct facts *slot = facts_list(f, "slots");

		facts_number(slot, "number", s->number);
		facts_number(slot, "key-offset", s->pos);
		if (s->refused[0]) {
			facts_text(slot, "refused", s->refused);
			continue;
		}
		facts_text(slot, "kdf", kdf_name(&s->kdf));
		facts_number(slot, "iters", s->kdf.iterations);
		if (s->kdf.kind != LUKS_PBKDF2)
			facts_number(slot, "memory", (uint64_t)s->kdf.memory << 10);
	}
}

void luks_facts(const struct luks *l, struct facts *f)
{
	if (l->version == 1)
		facts_of_1(l, f);
	else
		facts_of_2(l, f);
}
