/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* memscan FILE PID...
 *
 * Searches the memory of processes for the contents of FILE and prints "PID NAME COPIES UNLOCKED"
 * for each: the number of copies, and how many of them are in memory that may be swapped out or
 * written to core files.  Needs root. */
#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LARGEST (UINT64_C(1) << 28) /* larger mappings are skipped */

struct word {
	char bytes[4096];
	size_t len;
};

struct found {
	unsigned copies, unlocked;
};

static unsigned count_in(int mem, uint64_t start, uint64_t end, const struct word *w)
{
	size_t len = (size_t)(end - start);
	unsigned n = 0;
	char *bytes;
	ssize_t got;

	if (end - start > LARGEST || !(bytes = malloc(len)))
		return 0;
	got = pread(mem, bytes, len, (off_t)start);
	for (char *at = bytes; got > 0; at++) {
		at = memmem(at, (size_t)(bytes + got - at), w->bytes, w->len);
		if (!at)
			break;
		n++;
	}
	free(bytes);
	return n;
}

/* A mapping in smaps is a line with its addresses, lines of counters, and a last line "VmFlags:".
 */
static void scan_mappings(FILE *smaps, int mem, const struct word *w, struct found *f)
{
	uint64_t start, end;
	unsigned here = 0;
	char line[4096], mode[5];

	while (fgets(line, sizeof line, smaps)) {
		if (sscanf(line, "%" SCNx64 "-%" SCNx64 " %4s", &start, &end, mode) == 3 &&
			strchr(line, '-'))
			here = mode[0] == 'r' ? count_in(mem, start, end, w) : 0;
		if (strncmp(line, "VmFlags:", 8) != 0)
			continue;
		f->copies += here;
		if (!strstr(line, " lo") || !strstr(line, " dd"))
			f->unlocked += here;
	}
}

static bool scan(const char *pid, const struct word *w)
{
	struct found f = {0};
	char path[64], name[32] = "?\n";
	FILE *smaps, *comm;
	int mem;

	snprintf(path, sizeof path, "/proc/%.20s/comm", pid);
	comm = fopen(path, "re");
	snprintf(path, sizeof path, "/proc/%.20s/smaps", pid);
	smaps = fopen(path, "re");
	snprintf(path, sizeof path, "/proc/%.20s/mem", pid);
	mem = open(path, O_RDONLY | O_CLOEXEC);
	if (!comm || !smaps || mem < 0 || !fgets(name, sizeof name, comm)) {
		perror(pid);
		return false;
	}
	name[strcspn(name, "\n")] = '\0';
	scan_mappings(smaps, mem, w, &f);
	printf("%s %s %u %u\n", pid, name, f.copies, f.unlocked);
	fclose(comm);
	fclose(smaps);
	close(mem);
	return true;
}

int main(int argc, char **argv)
{
	FILE *file = argc > 2 ? fopen(argv[1], "re") : NULL;
	struct word w = {.len = 0};
	bool good = true;

	if (!file)
		return 2;
	w.len = fread(w.bytes, 1, sizeof w.bytes, file);
	fclose(file);
	for (int i = 2; i < argc && w.len > 0; i++)
		good = scan(argv[i], &w) && good;
	return good && w.len > 0 ? 0 : 1;
}
