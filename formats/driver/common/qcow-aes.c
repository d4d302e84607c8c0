/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "qcow-aes.h"

#include <string.h>

#include <openssl/crypto.h>

#include "util/bytes.h"
#include "io/crypt.h"
#include "io/passphrase.h"
#include "image/image.h"

#define KEY_LEN 16u

/* The key is the passphrase, cut or padded with NULs: the first passphrase unchanged, as in QEMU.
 */
int qcow_aes_unlock(const struct image *img, struct crypt **crypt, struct err *e)
{
	const struct passphrase *s = passphrase_for(img->opts->secrets, "");
	unsigned char key[KEY_LEN] = {0};
	int r;

	if (!s)
		return crypt_without_key(img->opts->locked, "AES", crypt, e);
	memcpy(key, s->bytes, MIN(s->len, sizeof key));
	r = crypt_new("aes", "cbc-plain64", key, sizeof key, crypt, e);
	OPENSSL_cleanse(key, sizeof key);
	if (r < 0)
		return r;
	image_warn(img,
		"encrypted with AES, which does not detect a wrong passphrase: if it is wrong, so "
		"is "
		"what you see%s",
		s->len <= sizeof key && s->bytes[s->len - 1] == '\n'
			? "; the newline at its end is a part of it"
			: "");
	return 0;
}
