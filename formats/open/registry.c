/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "registry.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include "foreign.h"
#include "image/format.h"
#include "io/host.h"
#include "util/nearest.h"

extern const struct format bochs_format, luks_format, parallels_format, qcow_format, qcow2_format,
	qed_format, raw_format, vdi_format, vhd_format, vhdx_format, vmdk_format;

/* The first of equal scores wins.  A fixed VHD goes before all formats whose magic is in the first
 * sector, because that sector of a fixed VHD is the guest's. */
const struct format *const registry[] = {
	&vhd_format,
	&luks_format,
	&qcow2_format,
	&qcow_format,
	&qed_format,
	&parallels_format,
	&bochs_format,
	&vdi_format,
	&vhdx_format,
	&vmdk_format,
	&raw_format,
	NULL,
};

/* Other names that images and users have for a format. */
static const char *const aliases[][2] = {
	{"file", "raw"},
	{"host_device", "raw"},
	{"img", "raw"},
	{"vhd", "vpc"},
};

void registry_print(void)
{
	char abilities[FORMAT_ABILITIES];

	for (const struct format *const *f = registry; *f; f++) {
		format_abilities(*f, abilities);
		printf("%-9s  %-36s  %s\n", (*f)->name, (*f)->title, abilities);
	}
}

const struct format *registry_find(const char *name)
{
	for (size_t i = 0; i < sizeof aliases / sizeof aliases[0]; i++)
		if (strcmp(name, aliases[i][0]) == 0)
			name = aliases[i][1];
	for (const struct format *const *f = registry; *f; f++)
		if (strcmp(name, (*f)->name) == 0)
			return *f;
	return NULL;
}

static bool has_suffix(const struct format *f, const char *suffix)
{
	for (const char *const *s = f->suffixes; s && *s; s++)
		if (strcasecmp(suffix, *s) == 0)
			return true;
	return false;
}

const char *registry_nearest(const char *name)
{
	struct nearest n = nearest_to(name);

	for (const struct format *const *f = registry; *f; f++) {
		if (has_suffix(*f, name))
			return (*f)->name;
		nearest_offer(&n, (*f)->name);
	}
	for (size_t i = 0; i < sizeof aliases / sizeof aliases[0]; i++)
		nearest_offer(&n, aliases[i][0]);
	return n.best;
}

const struct format *registry_find_by_filename(const char *name)
{
	const char *dot = strrchr(name, '.');

	for (const struct format *const *f = registry; dot && dot != name && *f; f++)
		if (has_suffix(*f, dot + 1))
			return *f;
	return NULL;
}

const struct format *registry_find_bundle(const char *dir, char path[PATH_MAX])
{
	struct stat st;

	for (const struct format *const *f = registry; *f; f++)
		if ((*f)->bundle &&
			snprintf(path, PATH_MAX, "%s/%s", dir, (*f)->bundle) < PATH_MAX &&
			host_stat(path, &st) == 0 && S_ISREG(st.st_mode))
			return *f;
	return NULL;
}

const struct format *registry_probe(const struct peek *p)
{
	const struct format *best = NULL;
	struct peek peek = *p;
	int highest = 0;

	peek.is_foreign = foreign_find(p) != NULL;
	for (const struct format *const *f = registry; *f; f++) {
		int score = (*f)->probe(&peek);

		if (score > highest) {
			highest = score;
			best = *f;
		}
	}
	return best;
}
