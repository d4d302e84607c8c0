/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <string.h>

#include "fuzz.h"
#include "volume/luks/luks.h"
#include "io/passphrase.h"

#define AT_ITERATIONS 164
#define AT_SLOTS      208
#define SLOT_SIZE     48

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Limits the iterations of PBKDF2 to 3: with more, an input would spend all its time there. */
static void cut_iterations(uint8_t *p)
{
	p[0] = p[1] = p[2] = 0;
	p[3] &= 3;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct passphrase secret = {.bytes = (unsigned char *)"mkimage\n", .len = 8};
	uint8_t *copy;

	if (size < LUKS1_HEADER)
		return fuzz_one_with("luks", &secret, data, size);
	copy = malloc(size);
	fuzz_require(copy != NULL);
	memcpy(copy, data, size);
	cut_iterations(copy + AT_ITERATIONS);
	for (int i = 0; i < LUKS1_SLOTS; i++)
		cut_iterations(copy + AT_SLOTS + i * SLOT_SIZE + 4);
	fuzz_one_with("luks", &secret, copy, size);
	free(copy);
	return 0;
}
