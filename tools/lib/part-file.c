/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* part-file.c - see part-file.h.  Partitions and volumes are known by the extended attributes of
 * their files.
 */
#include "part-file.h"

#include <dirent.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>

#include "util/bytes.h"
#include "util/err.h"
#include "partition/filesystem.h"
#include "report.h"

#define NAME_SIZE 256
#define FAILED    ".error.txt"

/* Kinds of names, in the order in which they are searched. */
enum { PATH, LABEL, PARTLABEL, UUID, PARTUUID, NAMES };

static const struct {
	const char *prefix, *attribute;
	bool any_case;
} kinds[NAMES] = {
	[PATH] = {"", "path", false},
	[LABEL] = {"LABEL=", "label", false},
	[PARTLABEL] = {"PARTLABEL=", "partlabel", false},
	[UUID] = {"UUID=", "uuid", true},
	[PARTUUID] = {"PARTUUID=", "partuuid", true},
};

struct part {
	bool is_volume;
	unsigned number;      /* of a partition */
	char name[NAME_SIZE]; /* of the file, without its suffix */
	bool failed;          /* the file has the reason why the volume cannot be read */
	char names[NAMES][NAME_SIZE];
	char type[NAME_SIZE]; /* of the file system */
	char on[NAME_SIZE];   /* numbers of the partitions that a volume lies on: "2 3" */
};

struct parts {
	struct part *list;
	size_t n;
	const char *image;
};

static void read_attribute(const char *path, const struct part *p, const char *key, char *value)
{
	char name[64];
	ssize_t n;

	snprintf(name, sizeof name, "user.vdisk.%s.%s", p->is_volume ? "volume" : "partition", key);
	n = getxattr(path, name, value, NAME_SIZE - 1);
	value[n > 0 ? n : 0] = '\0';
}

/* Cuts suffix off name, if it ends so. */
static bool cut_suffix(char *name, const char *suffix)
{
	size_t len = strlen(name), n = strlen(suffix);

	if (len <= n || strcmp(name + len - n, suffix) != 0)
		return false;
	name[len - n] = '\0';
	return true;
}

/* Adds the file, unless it is none of a partition or a volume. */
static bool add_part(struct parts *parts, const char *dir, const char *file, bool is_volume)
{
	struct part *list, p = {.is_volume = is_volume};
	char path[PATH_MAX];

	if (snprintf(path, sizeof path, "%s/%s", dir, file) >= (int)sizeof path)
		return false;
	snprintf(p.name, sizeof p.name, "%s", file);
	p.failed = is_volume && cut_suffix(p.name, FAILED);
	if (!p.failed && !cut_suffix(p.name, ".raw"))
		return true;
	p.number = is_volume ? 0 : (unsigned)strtoul(p.name, NULL, 10);
	for (size_t i = 0; i < NAMES; i++)
		read_attribute(path, &p, kinds[i].attribute, p.names[i]);
	read_attribute(path, &p, "fstype", p.type);
	read_attribute(path, &p, "partitions", p.on);
	list = reallocarray(parts->list, parts->n + 1, sizeof list[0]);
	if (!list)
		return false;
	list[parts->n++] = p;
	parts->list = list;
	return true;
}

/* Partitions by their numbers, then volumes by their names. */
static int compare_parts(const void *a, const void *b)
{
	const struct part *x = a, *y = b;

	if (x->is_volume != y->is_volume)
		return x->is_volume ? 1 : -1;
	if (x->number != y->number)
		return x->number < y->number ? -1 : 1;
	return strcmp(x->name, y->name);
}

/* A disk without partitions, or without volumes, has no such directory. */
static bool read_dir(struct parts *parts, const char *dir, const char *name, bool is_volume)
{
	char path[PATH_MAX];
	struct dirent *d;
	bool good = true;
	DIR *list;

	snprintf(path, sizeof path, "%s/%s", dir, name);
	list = opendir(path);
	while (list && good && (d = readdir(list)))
		if (d->d_type == DT_REG)
			good = add_part(parts, path, d->d_name, is_volume);
	if (list)
		closedir(list);
	return good;
}

static bool read_parts(struct parts *parts, const char *dir)
{
	bool good =
		read_dir(parts, dir, "partitions", false) && read_dir(parts, dir, "volumes", true);

	if (parts->n > 0)
		qsort(parts->list, parts->n, sizeof parts->list[0], compare_parts);
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

/* Returns the number of partitions and volumes with this name, and one of them. */
static size_t find_name(const struct parts *parts, const char *word, const struct part **found)
{
	size_t n = 0;

	for (size_t i = 0; i < parts->n; i++) {
		if (strcmp(parts->list[i].name, word) == 0) {
			*found = &parts->list[i];
			return 1;
		}
	}
	for (size_t i = 0; i < NAMES && n == 0; i++)
		n = find_kind(parts, i, word, found);
	for (size_t i = 0; i < NAMES && n == 0; i++) {
		size_t len = strlen(kinds[i].prefix);

		if (len > 0 && strncasecmp(word, kinds[i].prefix, len) == 0)
			n = find_kind(parts, i, word + len, found);
	}
	return n;
}

/* The name that a user would give. */
static const char *name_of(const struct part *p)
{
	return p->names[PATH][0] ? p->names[PATH] : p->name;
}

/* Appends to a text, which ends in "..." if it is cut. */
__attribute__((format(printf, 3, 4))) static void append(
	char *text, size_t size, const char *fmt, ...)
{
	size_t used = strlen(text);
	va_list ap;

	va_start(ap, fmt);
	if (vsnprintf(text + used, size - used, fmt, ap) >= (int)(size - used))
		memcpy(text + size - 4, "...", 4);
	va_end(ap);
}

/* Writes '1 (ext4 "root"), 2 (swap), vg/home (xfs)'. */
static void describe(const struct parts *parts, char *text, size_t size)
{
	text[0] = '\0';
	for (size_t i = 0; i < parts->n; i++) {
		const struct part *p = &parts->list[i];
		const char *name = p->names[LABEL][0] ? p->names[LABEL] : p->names[PARTLABEL];

		append(text, size, "%s%s", i > 0 ? ", " : "", name_of(p));
		if (p->failed)
			append(text, size, " (cannot be read)");
		else if (p->type[0] || name[0])
			append(text, size, " (%s%s%s%s%s)", p->type,
				p->type[0] && name[0] ? " " : "", name[0] ? "\"" : "", name,
				name[0] ? "\"" : "");
	}
	err_clean(text);
}

static bool is_container(const struct part *p)
{
	return p->failed || filesystem_describe(p->type);
}

/* Writes the volumes that lie on partition p and are no containers themselves. */
static void list_volumes(const struct parts *parts, const struct part *p, char *text, size_t size)
{
	char number[16], on[NAME_SIZE + 2];

	text[0] = '\0';
	snprintf(number, sizeof number, " %u ", p->number);
	for (size_t i = 0; i < parts->n && !p->is_volume; i++) {
		const struct part *v = &parts->list[i];

		snprintf(on, sizeof on, " %s ", v->on);
		if (v->is_volume && !is_container(v) && strstr(on, number))
			append(text, size, "%s%s", text[0] ? ", " : "", name_of(v));
	}
	err_clean(text);
}

/* The only partition or volume that has no others in it, as far as is known; NULL: there are
 * several. */
static const struct part *find_only(const struct parts *parts)
{
	const struct part *only = NULL;

	if (parts->n == 1)
		return &parts->list[0];
	for (size_t i = 0; i < parts->n; i++) {
		if (is_container(&parts->list[i]))
			continue;
		if (only)
			return NULL;
		only = &parts->list[i];
	}
	return only;
}

/* NULL after an error. */
static const struct part *choose(const struct parts *parts, const char *name)
{
	const struct part *found = name ? NULL : find_only(parts);
	const char *image = parts->image;
	char text[ERR_TEXT];
	size_t n;

	if (found)
		return found;
	n = name ? find_name(parts, name, &found) : 0;
	if (n == 1)
		return found;
	describe(parts, text, sizeof text);
	if (!name)
		report("%s: it has %zu partitions and volumes; select one by its number or name: "
		       "%s",
			image, parts->n, text);
	else if (n > 1)
		report("%s: %zu partitions are called \"%s\"; select one by its number", image, n,
			name);
	else if (parts->n == 0)
		report("%s: it has no partitions; without \"%s\" the disk itself is mounted", image,
			name);
	else if (strchr(name, '/') || name[0] == '.')
		report("%s: \"%s\" is neither the number nor a name of a partition or volume; "
		       "there are %s",
			image, name, text);
	else
		report("%s: there is no partition or volume \"%s\"; there are %s", image, name,
			text);
	return NULL;
}

/* Reports the reason that the file of a volume has. */
static void report_failed(const char *image, const struct part_file *file)
{
	char text[ERR_TEXT] = "";
	FILE *f = fopen(file->path, "re");

	if (f && fgets(text, sizeof text, f))
		text[strcspn(text, "\n")] = '\0';
	if (f)
		fclose(f);
	report("%s: %s: %s", image, file->title, text);
}

static bool set_place(struct part_file *file, const char *dir, const char *place)
{
	snprintf(file->place, sizeof file->place, "%s", place);
	return snprintf(file->path, sizeof file->path, "%s/%s", dir, place) <
	       (int)sizeof file->path;
}

static bool set_part(
	struct part_file *file, const char *dir, const struct parts *parts, const struct part *p)
{
	char place[PART_NAME];

	snprintf(place, sizeof place, "%s/%s%s", p->is_volume ? "volumes" : "partitions", p->name,
		p->failed ? FAILED : ".raw");
	snprintf(file->title, sizeof file->title, "%s %s", p->is_volume ? "volume" : "partition",
		name_of(p));
	list_volumes(parts, p, file->volumes, sizeof file->volumes);
	if (!set_place(file, dir, place))
		return false;
	if (p->failed)
		report_failed(parts->image, file);
	return !p->failed;
}

bool part_file_find(struct part_file *file, const char *dir, const char *image, const char *name)
{
	struct parts parts = {.image = image};
	const struct part *part;
	struct stat st;
	bool good = read_parts(&parts, dir);

	*file = (struct part_file){.title = "the disk"};
	if (good && (!set_place(file, dir, "disk.raw") || stat(file->path, &st) < 0 ||
			    !S_ISREG(st.st_mode))) {
		report("%s: it is a directory of images; give one of them", image);
		good = false;
	}
	if (good && (name || parts.n > 0)) {
		part = choose(&parts, name);
		good = part && set_part(file, dir, &parts, part);
	}
	free(parts.list);
	return good;
}
