/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Every input gets the encryption method AES, whose key needs no key derivation. */
#include <string.h>

#include "fuzz.h"
#include "io/passphrase.h"

#define AT_CRYPT_METHOD 32

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct passphrase secret = {.bytes = (unsigned char *)"mkimage", .len = 7};
	uint8_t *copy = malloc(size + AT_CRYPT_METHOD + 4);

	fuzz_require(copy != NULL);
	memcpy(copy, data, size);
	memcpy(copy + AT_CRYPT_METHOD, "\0\0\0\1", 4);
	fuzz_one_with("qcow2", &secret, copy, size);
	free(copy);
	return 0;
}
