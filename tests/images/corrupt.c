/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "corrupt.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "mkimage.h"

static const struct corruptions *const all[] = {&qcow2_corruptions, &vdi_corruptions,
	&vmdk_corruptions, &vhdx_corruptions, &vpc_corruptions};

uint64_t choose(struct target *v, uint64_t n)
{
	v->state = v->state * 6364136223846793005u + 1442695040888963407u;
	return (v->state >> 33) % n;
}

static uint64_t choose_one(struct target *v, uint64_t pos, uint64_t n, unsigned width,
	wanted_fn *wanted, uint64_t (*get_one)(int, uint64_t, unsigned))
{
	uint64_t count = 0, which;

	for (uint64_t i = 0; i < n; i++)
		count += wanted(get_one(v->fd, pos + i * width, width)) != 0;
	if (count == 0)
		die("no entry to corrupt at %llu", (unsigned long long)pos);
	which = choose(v, count);
	for (uint64_t i = 0;; i++)
		if (wanted(get_one(v->fd, pos + i * width, width)) && which-- == 0)
			return pos + i * width;
}

uint64_t choose_le(struct target *v, uint64_t pos, uint64_t n, unsigned width, wanted_fn *wanted)
{
	return choose_one(v, pos, n, width, wanted, get_le);
}

uint64_t choose_be(struct target *v, uint64_t pos, uint64_t n, unsigned width, wanted_fn *wanted)
{
	return choose_one(v, pos, n, width, wanted, get_be);
}

void corrupt_list(void)
{
	for (size_t i = 0; i < N_ELEMENTS(all); i++)
		for (size_t k = 0; k < all[i]->n; k++)
			printf("%s %s\n", all[i]->list[k].format, all[i]->list[k].name);
}

static const struct corruption *find(const char *format, const char *name)
{
	for (size_t i = 0; i < N_ELEMENTS(all); i++)
		for (size_t k = 0; k < all[i]->n; k++) {
			const struct corruption *c = &all[i]->list[k];

			if (strcmp(c->format, format) == 0 && strcmp(c->name, name) == 0)
				return c;
		}
	die("there is no corruption %s of %s; --corruptions shows all", name, format);
}

void corrupt_file(const char *format, const char *name, const char *path, const char *seed)
{
	const struct corruption *c = find(format, name);
	struct target v = {.fd = open(path, O_RDWR | O_CLOEXEC), .state = strtoull(seed, NULL, 0)};
	struct stat st;

	if (v.fd < 0 || fstat(v.fd, &st) < 0)
		die("%s: %m", path);
	v.size = st.st_size;
	choose(&v, 1);
	c->plant(&v);
	close(v.fd);
}
