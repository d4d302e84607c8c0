/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* mount-table.c - the kernel's list of mounts, read twice: the views first, then what lies on them.
 */
#include "mount-table.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "report.h"

#define VIEW_TYPE "fuse.vdiskfs"

/* What programs with libfuse 2 cannot be told in -o fsname=. */
#define NOT_IN_OPTIONS ",\\ \t\n"

struct line {
	char *dir, *type, *source;
};

/* Blanks and the like are written as \040. */
static void unescape(char *s)
{
	char *out = s;

	for (; *s; s++) {
		if (s[0] == '\\' && s[1] >= '0' && s[1] <= '3' && s[2] && s[3]) {
			*out++ = (char)((s[1] - '0') * 64 + (s[2] - '0') * 8 + (s[3] - '0'));
			s += 3;
		} else {
			*out++ = *s;
		}
	}
	*out = '\0';
}

/* "36 35 98:0 /root DIR opts tags... - TYPE SOURCE super-opts" */
static bool split(char *text, struct line *line)
{
	char *rest = strstr(text, " - "), *save;

	if (!rest)
		return false;
	*rest = '\0';
	line->dir = strtok_r(text, " ", &save);
	for (int i = 0; i < 4 && line->dir; i++)
		line->dir = strtok_r(NULL, " ", &save);
	line->type = strtok_r(rest + 3, " ", &save);
	line->source = strtok_r(NULL, " \n", &save);
	if (!line->dir || !line->type || !line->source)
		return false;
	unescape(line->dir);
	unescape(line->source);
	return true;
}

static struct mounted *add(struct mounts *m)
{
	struct mounted *list = reallocarray(m->list, m->n + 1, sizeof list[0]);

	if (!list)
		return NULL;
	m->list = list;
	list[m->n] = (struct mounted){0};
	return &list[m->n++];
}

/* Directly in the home of our views. */
static bool is_hidden(const char *dir)
{
	char *home = mounts_home(false);
	size_t n = home ? strlen(home) : 0;
	bool hidden =
		n > 0 && strncmp(dir, home, n) == 0 && dir[n] == '/' && !strchr(dir + n + 1, '/');

	free(home);
	return hidden;
}

static bool add_view(struct mounts *m, const struct line *line)
{
	struct mounted *x;

	if (strcmp(line->type, VIEW_TYPE) != 0)
		return true;
	x = add(m);
	if (!x)
		return false;
	x->image = strdup(line->source);
	x->view = strdup(line->dir);
	x->dir = strdup(line->dir);
	x->hidden = is_hidden(line->dir);
	return x->image && x->view && x->dir;
}

/* The file behind a loop device, or the source itself, which programs for users name. */
static bool file_of(const char *source, char *file, size_t size, bool *loop)
{
	char path[128];
	size_t n;
	FILE *f;

	*loop = strncmp(source, "/dev/loop", 9) == 0;
	if (!*loop)
		return snprintf(file, size, "%s", source) < (int)size;
	snprintf(path, sizeof path, "/sys/block/%.32s/loop/backing_file", source + 5);
	f = fopen(path, "re");
	if (!f)
		return false;
	n = fread(file, 1, size - 1, f);
	fclose(f);
	file[n] = '\0';
	file[strcspn(file, "\n")] = '\0';
	return n > 0;
}

static const struct mounted *view_of(const struct mounts *m, const char *file)
{
	for (size_t i = m->n; i-- > 0;) {
		size_t n = strlen(m->list[i].view);

		if (!m->list[i].file && strncmp(file, m->list[i].view, n) == 0 && file[n] == '/')
			return &m->list[i];
	}
	return NULL;
}

/* When a daemon was killed its view is gone, and what was mounted from it is not: the kernel then
 * shows the file as if the view's root were everybody's.  NULL: it is nothing of the kind. */
static const char *file_of_lost_view(const char *file)
{
	char *home = mounts_home(false);
	size_t n = home ? strlen(home) : 0;

	/* A FUSE program goes on to tell the name that it was given. */
	if (n > 0 && strncmp(file, home, n) == 0 && file[n] == '/')
		file = strchr(file + n + 1, '/');
	free(home);
	if (!file || access(file, F_OK) == 0)
		return NULL;
	return strcmp(file, "/disk.raw") == 0 || strncmp(file, "/partitions/", 12) == 0 ? file + 1
											: NULL;
}

static bool add_inner(struct mounts *m, const struct line *line)
{
	const struct mounted *view;
	struct mounted new = {0}, *x;
	const char *rest;
	char file[PATH_MAX];

	if (strcmp(line->type, VIEW_TYPE) == 0 ||
		!file_of(line->source, file, sizeof file, &new.by_kernel))
		return true;
	view = view_of(m, file);
	rest = view ? file + strlen(view->view) + 1 : file_of_lost_view(file);
	if (!rest)
		return true;
	new.image = strdup(view ? view->image : "an image no longer served");
	new.view = strdup(view ? view->view : "");
	new.hidden = view && view->hidden;
	new.file = strdup(rest);
	new.dir = strdup(line->dir);
	x = add(m);
	if (x)
		*x = new;
	return x && new.image &&new.view &&new.file &&new.dir;
}

static bool read_lines(struct mounts *m, bool (*take)(struct mounts *, const struct line *))
{
	FILE *f = fopen("/proc/self/mountinfo", "re");
	char *text = NULL;
	size_t size = 0;
	struct line line;
	bool good = f != NULL;

	while (good && getline(&text, &size, f) > 0)
		if (split(text, &line))
			good = take(m, &line);
	free(text);
	if (f)
		fclose(f);
	return good;
}

bool mounts_read(struct mounts *m)
{
	*m = (struct mounts){0};
	if (read_lines(m, add_view) && read_lines(m, add_inner))
		return true;
	report("the list of mounts: %s", strerror(errno));
	return false;
}

void mounts_free(struct mounts *m)
{
	for (size_t i = 0; i < m->n; i++) {
		free(m->list[i].image);
		free(m->list[i].view);
		free(m->list[i].file);
		free(m->list[i].dir);
	}
	free(m->list);
}

const struct mounted *mounts_find(const struct mounts *m, const char *dir)
{
	for (size_t i = m->n; i-- > 0;)
		if (strcmp(m->list[i].dir, dir) == 0)
			return &m->list[i];
	return NULL;
}

bool mounts_is_used(const struct mounts *m, const char *view)
{
	for (size_t i = 0; i < m->n; i++)
		if (m->list[i].file && strcmp(m->list[i].view, view) == 0)
			return true;
	return false;
}

bool mounts_is_shown(const struct mounts *m, const struct mounted *x)
{
	return x->file || !x->hidden || !mounts_is_used(m, x->view);
}

/* As fusermount3 reads it: a word alone on its line. */
bool mounts_may_allow_other(void)
{
	FILE *f = fopen("/etc/fuse.conf", "re");
	char line[256], word[sizeof line], rest;
	bool may = false;

	while (f && fgets(line, sizeof line, f)) {
		line[strcspn(line, "#")] = '\0';
		if (sscanf(line, "%255s %c", word, &rest) == 1 &&
			strcmp(word, "user_allow_other") == 0)
			may = true;
	}
	if (f)
		fclose(f);
	return may;
}

/* Nobody else may have a hand in it. */
static bool is_ours(const char *dir)
{
	struct stat st;

	return lstat(dir, &st) == 0 && S_ISDIR(st.st_mode) && st.st_uid == getuid() &&
	       (st.st_mode & (S_IWGRP | S_IWOTH)) == 0;
}

static bool make_home(const char *home)
{
	if (mkdir(home, 0700) < 0 && errno != EEXIST)
		report("%s: %s", home, strerror(errno));
	else if (!is_ours(home))
		report("%s: it should be a directory of ours alone", home);
	else
		return true;
	return false;
}

char *mounts_home(bool make)
{
	const char *runtime = getenv("XDG_RUNTIME_DIR");
	char *home, *real;
	int n;

	if (getuid() == 0)
		n = asprintf(&home, "/run/vdisk");
	else if (runtime && runtime[0] == '/' && !strpbrk(runtime, NOT_IN_OPTIONS))
		n = asprintf(&home, "%s/vdisk", runtime);
	else
		n = asprintf(&home, "/tmp/vdisk-%u", (unsigned)getuid());
	if (n < 0)
		return NULL;
	if (make && !make_home(home)) {
		free(home);
		return NULL;
	}
	/* As the list of mounts has it, without links. */
	real = realpath(home, NULL);
	if (!real)
		return home;
	free(home);
	return real;
}
