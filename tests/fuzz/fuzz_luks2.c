/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* fuzz_luks2.c - LUKS2.  The input is the file; the checksums of both copies are made right, and
 * the work of key slots small, without which an input would spend all its time there. */
#include <ctype.h>
#include <string.h>

#include "fuzz.h"
#include "io/digest.h"
#include "io/passphrase.h"

#define BINARY 4096u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Shortens the number after each key to so many digits. */
static void cut_numbers(char *text, const char *key, size_t digits)
{
	for (char *p = strstr(text, key); p; p = strstr(p, key)) {
		p += strlen(key);
		while (*p == ' ')
			p++;
		for (size_t n = 0; isdigit((unsigned char)*p); p++)
			if (++n > digits)
				*p = ' ';
	}
}

static void cut_work(char *text)
{
	cut_numbers(text, "\"iterations\":", 1);
	cut_numbers(text, "\"time\":", 1);
	cut_numbers(text, "\"memory\":", 3); /* KiB */
}

static void seal(uint8_t *p, size_t size)
{
	uint64_t len = load_be64(p + 8);

	if (len <= BINARY || len > size)
		return;
	p[len - 1] = '\0';
	cut_work((char *)p + BINARY);
	memset(p + 72, 0, 32);
	strcpy((char *)p + 72, "sha256");
	memset(p + 448, 0, 64);
	digest_compute(digest_find("sha256"), p, len, p + 448);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct passphrase secret = {.bytes = (unsigned char *)"mkimage\n", .len = 8};
	uint8_t *copy = malloc(size + 1);

	fuzz_require(copy != NULL);
	memcpy(copy, data, size);
	if (size >= BINARY + 512) {
		uint64_t second = load_be64(copy + 8);

		seal(copy, size);
		if (second <= size && size - second >= BINARY + 512)
			seal(copy + second, size - second);
	}
	fuzz_one_with("luks", &secret, copy, size);
	free(copy);
	return 0;
}
