/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* mix MIB FILE <REAL - writes a typical disk of MIB MiB: of each 16 MiB, 10 are data from standard
 * input, 2 are incompressible noise, 4 are a hole. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define MIB      (1u << 20)
#define STRIPE   16
#define HOLES    4
#define REAL_END 14 /* holes, then real data, then noise */

static void make_noise(uint64_t *buf, uint64_t *state)
{
	for (size_t i = 0; i < MIB / sizeof *buf; i++) {
		*state ^= *state << 13;
		*state ^= *state >> 7;
		*state ^= *state << 17;
		buf[i] = *state;
	}
}

static int write_mix(FILE *out, long n, uint64_t *buf)
{
	uint64_t state = 88172645463325252u;

	for (long i = 0; i < n; i++) {
		if (i % STRIPE < HOLES) {
			if (fseek(out, MIB, SEEK_CUR) < 0)
				return -1;
			continue;
		}
		if (i % STRIPE >= REAL_END)
			make_noise(buf, &state);
		else if (fread(buf, MIB, 1, stdin) != 1)
			return -1;
		if (fwrite(buf, MIB, 1, out) != 1)
			return -1;
	}
	return 0;
}

int main(int argc, char **argv)
{
	FILE *out = argc == 3 ? fopen(argv[2], "wx") : NULL;
	uint64_t *buf = malloc(MIB);
	long n = argc == 3 ? atol(argv[1]) : 0;

	if (!out || !buf || n < 1)
		return 2;
	if (write_mix(out, n, buf) < 0 || fflush(out) != 0 ||
		ftruncate(fileno(out), (off_t)n * MIB) < 0) {
		fprintf(stderr, "mix: %s could not be filled\n", argv[2]);
		return 1;
	}
	return 0;
}
