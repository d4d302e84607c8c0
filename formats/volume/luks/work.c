/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* work.c - limits of the time that a header can cost. */
#include <errno.h>
#include <inttypes.h>

#include "util/bytes.h"
#include "util/err.h"
#include "util/limits.h"
#include "luks-impl.h"

/* The digests that are computed to try a passphrase on a slot: for the key of the slot, and for the
 * verification of the key of the volume. */
static uint64_t digests_of(const struct luks *l, const struct luks_slot *s)
{
	uint64_t verify =
		l->digest.iterations * div_round_up(l->digest.len, digest_size(l->digest.hash));

	if (s->kdf.kind != LUKS_PBKDF2)
		return verify;
	return verify + s->kdf.iterations * div_round_up(s->area_key_len, digest_size(s->kdf.hash));
}

static uint64_t kibibytes_of(const struct luks_slot *s)
{
	return s->kdf.kind == LUKS_PBKDF2 ? 0 : (uint64_t)s->kdf.iterations * s->kdf.memory;
}

int luks_check_work(const struct luks *l, struct err *e)
{
	uint64_t digests = 0, kibibytes = 0;

	for (unsigned i = 0; i < l->nslots; i++) {
		const struct luks_slot *s = &l->slots[i];

		if (!s->used || s->refused[0])
			continue;
		if (s->kdf.iterations == 0)
			return err_set(e, EINVAL, "key slot %u: no iterations", s->number);
		digests += digests_of(l, s);
		kibibytes += kibibytes_of(s);
		if (digests_of(l, s) > LUKS_MAX_WORK || digests > LUKS_MAX_ALL_WORK ||
			kibibytes_of(s) > LUKS_MAX_ARGON2 || kibibytes > LUKS_MAX_ALL_ARGON2)
			return err_set(e, EFBIG,
				"key slot %u: to try a passphrase would take too long, with "
				"%" PRIu32 " and %" PRIu32 " iterations",
				s->number, s->kdf.iterations, l->digest.iterations);
	}
	return 0;
}
