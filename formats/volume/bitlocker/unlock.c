/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "unlock.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>

#include "util/bytes.h"
#include "util/err.h"
#include "util/limits.h"
#include "io/digest.h"
#include "io/passphrase.h"
#include "metadata.h"
#include "protector.h"
#include "secret.h"

#define NONCE      12u
#define TAG        16u
#define KEY_ENTRY  12u /* bytes of an entry of a key before its bytes, the method included */
#define KEY_METHOD 4u
#define MAX_KEY    VOLUME_KEY_MAX

struct attempt {
	const struct bitlocker *b;
	unsigned stretches;
	unsigned char master[SECRET_KEY];
};

/* AES-256-CCM.  False: the key is not that of the data. */
static bool decrypt(EVP_CIPHER_CTX *ctx, const unsigned char *key, const struct entry *wrapped,
	unsigned char *out, int len)
{
	const unsigned char *nonce = wrapped->data, *tag = nonce + NONCE;
	int n;

	return EVP_DecryptInit_ex(ctx, EVP_aes_256_ccm(), NULL, NULL, NULL) == 1 &&
	       EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_IVLEN, NONCE, NULL) == 1 &&
	       EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_TAG, TAG, (void *)tag) == 1 &&
	       EVP_DecryptInit_ex(ctx, NULL, NULL, key, nonce) == 1 &&
	       EVP_DecryptUpdate(ctx, NULL, &n, NULL, len) == 1 &&
	       EVP_DecryptUpdate(ctx, out, &n, tag + TAG, len) == 1;
}

/* Opens an entry that wraps one of a key.  1: key has the bytes of that; 0: by is not its key, or
 * it wraps something else. */
static int unwrap(const struct entry *wrapped, const unsigned char by[static SECRET_KEY],
	struct volume_key *key, struct err *e)
{
	unsigned char plain[KEY_ENTRY + MAX_KEY];
	size_t len = wrapped->len - NONCE - TAG;
	EVP_CIPHER_CTX *ctx;
	bool ok;

	if (wrapped->len < NONCE + TAG + KEY_ENTRY || len > sizeof plain)
		return 0;
	ctx = EVP_CIPHER_CTX_new();
	if (!ctx)
		return err_nomem(e);
	ok = decrypt(ctx, by, wrapped, plain, (int)len) && load_le16(plain) == len &&
	     load_le16(plain + 4) == KIND_KEY;
	EVP_CIPHER_CTX_free(ctx);
	if (ok) {
		key->len = len - KEY_ENTRY;
		memcpy(key->bytes, plain + KEY_ENTRY, key->len);
	}
	OPENSSL_cleanse(plain, sizeof plain);
	return ok;
}

/* 1: a->master is the master key, which the protector wraps in by. */
static int open_protector(struct attempt *a, const struct protector *p,
	const unsigned char by[static SECRET_KEY], struct err *e)
{
	struct volume_key key;
	int r;

	if (!p->wrapped.data)
		return 0;
	r = unwrap(&p->wrapped, by, &key, e);
	if (r == 1 && key.len != sizeof a->master)
		r = 0;
	if (r == 1)
		memcpy(a->master, key.bytes, sizeof a->master);
	OPENSSL_cleanse(&key, sizeof key);
	return r;
}

/* Volumes whose protection is suspended have a key without protection. */
static int try_clear_key(struct attempt *a, struct err *e)
{
	struct entry_list list = a->b->entries;
	struct protector p;
	int r = 0;

	while (r == 0 && protector_next(&list, &p))
		if (p.needs == 0 && p.clear.data && p.clear.len == KEY_METHOD + SECRET_KEY)
			r = open_protector(a, &p, p.clear.data + KEY_METHOD, e);
	return r;
}

static int try_stretched(struct attempt *a, const struct protector *p,
	const unsigned char from[static SECRET_KEY], struct err *e)
{
	unsigned char key[SECRET_KEY];
	int r;

	if (!p->salt)
		return 0;
	if (a->stretches++ == BITLOCKER_MAX_STRETCHES)
		return err_set(e, EFBIG,
			"more than %u combinations of a passphrase and a protector, which would "
			"take too long",
			BITLOCKER_MAX_STRETCHES);
	secret_stretch(from, p->salt, key);
	r = open_protector(a, p, key, e);
	OPENSSL_cleanse(key, sizeof key);
	return r;
}

static int try_secret(struct attempt *a, const struct secret *s, struct err *e)
{
	struct entry_list list = a->b->entries;
	struct protector p;
	int r = 0;

	while (r == 0 && protector_next(&list, &p)) {
		if (p.needs == NEEDS_PASSWORD && s->is_password)
			r = try_stretched(a, &p, s->password, e);
		else if (p.needs == NEEDS_RECOVERY && s->is_recovery)
			r = try_stretched(a, &p, s->recovery, e);
		else if (p.needs == NEEDS_FILE && s->is_external &&
			 memcmp(p.id, s->external_id, GUID_LEN) == 0)
			r = open_protector(a, &p, s->external, e);
	}
	return r;
}

static int try_bytes(struct attempt *a, const unsigned char *bytes, size_t len, struct err *e)
{
	struct secret s;
	int r = secret_read(&s, bytes, len, e);

	if (r == 0)
		r = try_secret(a, &s, e);
	OPENSSL_cleanse(&s, sizeof s);
	return r;
}

/* Many editors add a line end to a file, which a password hardly ever has: it is tried without it
 * first. */
static int try_passphrase(struct attempt *a, const struct passphrase *s, struct err *e)
{
	size_t len = s->len;
	int r = 0;

	if (len > 0 && s->bytes[len - 1] == '\n')
		len--;
	if (len > 0 && len < s->len && s->bytes[len - 1] == '\r')
		len--;
	r = try_bytes(a, s->bytes, len, e);
	return r == 0 && len < s->len ? try_bytes(a, s->bytes, s->len, e) : r;
}

static int not_opened(const struct bitlocker *b, const struct passphrase *secrets, struct err *e)
{
	char text[PROTECTOR_TEXT];

	if (!protector_list(b->entries, text))
		return err_set(e, ENOKEY, "BitLocker, locked, and no passphrase can open it (%s)",
			*text ? text : "it has no protectors");
	if (secrets)
		err_set(e, EKEYREJECTED, "BitLocker, locked: no passphrase opens it (%s)", text);
	else
		err_set(e, ENOKEY, "BitLocker, locked (%s)", text);
	return err_hint_code(e, HINT_PASSPHRASE, NULL);
}

/* Compares the digest that the seal wraps with that of the metadata.  Without a seal only the
 * checksum protects them. */
static int check_seal(const struct attempt *a, struct err *e)
{
	unsigned char digest[HASH_MAX];
	struct volume_key wrapped;
	struct entry seal;
	int r;

	if (!entry_find(bitlocker_seal(a->b), -1, KIND_WRAPPED, &seal))
		return 0;
	r = unwrap(&seal, a->master, &wrapped, e);
	if (r < 0)
		return r;
	digest_compute(digest_find("sha256"), a->b->block, a->b->len, digest);
	if (r == 0 || wrapped.len != 32 || CRYPTO_memcmp(digest, wrapped.bytes, 32) != 0)
		return err_set(e, EUCLEAN,
			"BitLocker: the metadata are not those that the master key seals");
	return 0;
}

static int open_volume_key(const struct attempt *a, struct volume_key *key, struct err *e)
{
	struct entry wrapped;
	int r = 0;

	if (entry_find(a->b->entries, ROLE_VOLUME_KEY, KIND_WRAPPED, &wrapped))
		r = unwrap(&wrapped, a->master, key, e);
	if (r == 0)
		return err_set(e, EUCLEAN, "BitLocker: the key of the volume is damaged");
	return r < 0 ? r : 0;
}

int bitlocker_unlock(const struct bitlocker *b, const struct passphrase *secrets,
	struct volume_key *key, struct err *e)
{
	struct attempt a = {.b = b};
	int r = try_clear_key(&a, e);

	secrets = passphrase_for(secrets, b->guid);
	for (const struct passphrase *s = secrets; r == 0 && s;
		s = passphrase_for(s->next, b->guid))
		r = try_passphrase(&a, s, e);
	if (r == 0)
		r = not_opened(b, secrets, e);
	else if (r == 1)
		r = check_seal(&a, e);
	if (r == 0)
		r = open_volume_key(&a, key, e);
	OPENSSL_cleanse(&a, sizeof a);
	return r;
}
