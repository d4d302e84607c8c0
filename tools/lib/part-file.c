/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* part-file.c - see part-file.h.  Partitions are known by the extended attributes of their files.
 */
#include "part-file.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>

#include "util/err.h"
#include "partition/filesystem.h"
#include "report.h"

#define NAME_SIZE 256

/* Kinds of names, in the order in which they are searched. */
enum { LABEL, PARTLABEL, UUID, PARTUUID, NAMES };

static const struct {
	const char *prefix, *attribute;
	bool any_case;
} kinds[NAMES] = {
	[LABEL] = {"LABEL=", "user.vdisk.partition.label", false},
	[PARTLABEL] = {"PARTLABEL=", "user.vdisk.partition.partlabel", false},
	[UUID] = {"UUID=", "user.vdisk.partition.uuid", true},
	[PARTUUID] = {"PARTUUID=", "user.vdisk.partition.partuuid", true},
};

struct part {
	unsigned number;
	char names[NAMES][NAME_SIZE];
	char type[NAME_SIZE]; /* of the file system */
};

struct parts {
	struct part *list;
	size_t n;
};

static void read_attribute(const char *path, const char *name, char *value)
{
	ssize_t n = getxattr(path, name, value, NAME_SIZE - 1);

	value[n > 0 ? n : 0] = '\0';
}

/* 5 for "5.raw", 0 for any other name. */
static unsigned number_of(const char *file)
{
	unsigned number;
	int end = 0;

	return sscanf(file, "%u.raw%n", &number, &end) == 1 && end > 0 && !file[end] ? number : 0;
}

static bool add_part(struct parts *parts, const char *dir, const char *file)
{
	struct part *list, *p;
	char path[PATH_MAX];

	if (snprintf(path, sizeof path, "%s/%s", dir, file) >= (int)sizeof path)
		return false;
	list = reallocarray(parts->list, parts->n + 1, sizeof list[0]);
	if (!list)
		return false;
	parts->list = list;
	p = &list[parts->n++];
	p->number = number_of(file);
	for (size_t i = 0; i < NAMES; i++)
		read_attribute(path, kinds[i].attribute, p->names[i]);
	read_attribute(path, "user.vdisk.partition.fstype", p->type);
	return true;
}

static int by_number(const void *a, const void *b)
{
	const struct part *x = a, *y = b;

	return x->number < y->number ? -1 : x->number > y->number;
}

/* A disk without partitions has no directory partitions/. */
static bool read_parts(struct parts *parts, const char *dir)
{
	char path[PATH_MAX];
	struct dirent *d;
	bool good = true;
	DIR *list;

	snprintf(path, sizeof path, "%s/partitions", dir);
	list = opendir(path);
	while (list && good && (d = readdir(list)))
		if (number_of(d->d_name) > 0)
			good = add_part(parts, path, d->d_name);
	if (list)
		closedir(list);
	if (parts->n > 0)
		qsort(parts->list, parts->n, sizeof parts->list[0], by_number);
	if (!good)
		report("out of memory");
	return good;
}

/* Compares with the plain name, and with the encoded one of links in by-label/: "my\x20disk". */
static bool is_same(const char *name, const char *word, bool any_case)
{
	char *encoded = filesystem_encode(name);
	bool same = (any_case ? strcasecmp(name, word) : strcmp(name, word)) == 0 ||
		    (encoded && strcmp(encoded, word) == 0);

	free(encoded);
	return name[0] && same;
}

static size_t find_kind(
	const struct parts *parts, size_t kind, const char *word, const struct part **found)
{
	size_t n = 0;

	for (size_t i = 0; i < parts->n; i++) {
		if (!is_same(parts->list[i].names[kind], word, kinds[kind].any_case))
			continue;
		*found = &parts->list[i];
		n++;
	}
	return n;
}

/* Returns the number of partitions with this name, and one of them. */
static size_t find_name(const struct parts *parts, const char *word, const struct part **found)
{
	char number[16];
	size_t n = 0;

	for (size_t i = 0; i < parts->n; i++) {
		snprintf(number, sizeof number, "%u", parts->list[i].number);
		if (strcmp(number, word) == 0) {
			*found = &parts->list[i];
			return 1;
		}
	}
	for (size_t i = 0; i < NAMES && n == 0; i++)
		n = find_kind(parts, i, word, found);
	for (size_t i = 0; i < NAMES && n == 0; i++) {
		size_t len = strlen(kinds[i].prefix);

		if (strncasecmp(word, kinds[i].prefix, len) == 0)
			n = find_kind(parts, i, word + len, found);
	}
	return n;
}

/* Writes '1 (ext4 "root"), 2 (swap)'. */
static void describe(const struct parts *parts, char *text, size_t size)
{
	size_t used = 0;

	for (size_t i = 0; i < parts->n && used < size; i++) {
		const struct part *p = &parts->list[i];
		const char *name = p->names[LABEL][0] ? p->names[LABEL] : p->names[PARTLABEL];

		used += (size_t)snprintf(
			text + used, size - used, "%s%u", i > 0 ? ", " : "", p->number);
		if (used < size && (p->type[0] || name[0]))
			used += (size_t)snprintf(text + used, size - used, " (%s%s%s%s%s)", p->type,
				p->type[0] && name[0] ? " " : "", name[0] ? "\"" : "", name,
				name[0] ? "\"" : "");
	}
	if (used >= size)
		memcpy(text + size - 4, "...", 4);
	err_clean(text);
}

/* NULL after an error. */
static const struct part *choose(const struct parts *parts, const char *image, const char *name)
{
	const struct part *found = NULL;
	char text[ERR_TEXT];
	size_t n;

	if (!name && parts->n == 1)
		return &parts->list[0];
	n = name ? find_name(parts, name, &found) : 0;
	if (n == 1)
		return found;
	describe(parts, text, sizeof text);
	if (!name)
		report("%s: it has %zu partitions; select one by its number or label: %s", image,
			parts->n, text);
	else if (n > 1)
		report("%s: %zu partitions are called \"%s\"; select one by its number", image, n,
			name);
	else if (parts->n == 0)
		report("%s: it has no partitions; without \"%s\" the disk itself is mounted", image,
			name);
	else if (strchr(name, '/') || name[0] == '.')
		report("%s: \"%s\" is neither the number nor a name of a partition; there are %s",
			image, name, text);
	else
		report("%s: there is no partition \"%s\"; there are %s", image, name, text);
	return NULL;
}

/* number 0: the whole disk. */
static bool set_path(struct part_file *file, const char *dir, unsigned number)
{
	int n;

	file->number = number;
	if (number > 0)
		n = snprintf(file->path, sizeof file->path, "%s/partitions/%u.raw", dir, number);
	else
		n = snprintf(file->path, sizeof file->path, "%s/disk.raw", dir);
	return n < (int)sizeof file->path;
}

bool part_file_find(struct part_file *file, const char *dir, const char *image, const char *name)
{
	struct parts parts = {0};
	const struct part *part;
	struct stat st;
	bool good = read_parts(&parts, dir);

	if (good &&
		(!set_path(file, dir, 0) || stat(file->path, &st) < 0 || !S_ISREG(st.st_mode))) {
		report("%s: it is a directory of images; give one of them", image);
		good = false;
	}
	if (good && (name || parts.n > 0)) {
		part = choose(&parts, image, name);
		good = part && set_path(file, dir, part->number);
	}
	free(parts.list);
	return good;
}
