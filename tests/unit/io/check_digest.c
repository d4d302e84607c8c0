/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Digests and PBKDF2, compared with EVP of libcrypto. */
#include <string.h>

#include <openssl/evp.h>

#include "io/digest.h"
#include "common/unit.h"

static const char *const names[] = {
	"md5", "ripemd160", "sha1", "sha224", "sha256", "sha384", "sha512"};

START_TEST(digests)
{
	const struct hash *h = digest_find(names[_i]);
	const EVP_MD *md = EVP_get_digestbyname(names[_i]);
	unsigned char data[300], ours[HASH_MAX], theirs[EVP_MAX_MD_SIZE];

	ck_assert_ptr_nonnull(h);
	ck_assert_uint_eq(digest_size(h), EVP_MD_get_size(md));
	fill_pattern(data, sizeof data, _i);
	for (size_t len = 0; len <= sizeof data; len++) {
		digest_compute(h, data, len, ours);
		ck_assert_int_eq(EVP_Digest(data, len, theirs, NULL, md, NULL), 1);
		ck_assert_mem_eq(ours, theirs, digest_size(h));
	}
}
END_TEST

/* Passwords shorter and longer than a block; keys shorter and longer than a digest. */
START_TEST(keys)
{
	static const size_t passwords[] = {0, 1, 63, 64, 65, 127, 128, 129, 1000};
	static const size_t outputs[] = {1, 16, 20, 32, 33, 64, 127};
	const struct hash *h = digest_find(names[_i]);
	const EVP_MD *md = EVP_get_digestbyname(names[_i]);
	unsigned char password[1000], salt[HASH_SALT], ours[127], theirs[127];

	fill_pattern(password, sizeof password, _i);
	fill_pattern(salt, sizeof salt, 99);
	for (size_t i = 0; i < COUNT(passwords); i++)
		for (size_t k = 0; k < COUNT(outputs); k++)
			for (uint32_t n = 1; n <= 4; n++) {
				digest_pbkdf2(h, password, passwords[i], salt, n, ours, outputs[k]);
				ck_assert_int_eq(
					PKCS5_PBKDF2_HMAC((const char *)password, passwords[i],
						salt, sizeof salt, n, md, outputs[k], theirs),
					1);
				ck_assert_mem_eq(ours, theirs, outputs[k]);
			}
}
END_TEST

START_TEST(unknown_digests)
{
	static const char *const others[] = {"", "SHA256", "sha25", "sha2566", "sha3-256",
		"whirlpool", "shake128", "md5-sha1", "%s"};

	for (size_t i = 0; i < COUNT(others); i++)
		ck_assert_ptr_null(digest_find(others[i]));
}
END_TEST

Suite *digest_suite(void)
{
	TCase *tc = tcase_create("digest");

	tcase_add_loop_test(tc, digests, 0, COUNT(names));
	tcase_add_loop_test(tc, keys, 0, COUNT(names));
	tcase_add_test(tc, unknown_digests);
	return suite_of("digest", tc);
}
