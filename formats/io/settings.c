/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "settings.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "io.h"
#include "util/err.h"
#include "util/string-list.h"
#include "util/text.h"

#define FILE_MAX 65536
#define BLANKS   " \t\r"

/* A directory that is missing is no error: it may be that of a pool that is not mounted now. */
static int add(struct string_list *dirs, const char *dir, struct err *e)
{
	struct stat st;

	if (dir[0] != '/')
		return err_set(e, EINVAL, "\"%s\" is no absolute path of a directory", dir);
	if (stat(dir, &st) < 0 || !S_ISDIR(st.st_mode))
		return 0;
	return string_list_add(dirs, dir) ? 0 : err_nomem(e);
}

static int read_line(struct string_list *dirs, char *line, struct err *e)
{
	char *value, *key;

	line = text_trim(line, BLANKS);
	if (line[0] == '\0' || line[0] == '#')
		return 0;
	value = strchr(line, '=');
	if (!value)
		return err_set(e, EINVAL, "\"%s\" is not \"allow = DIR\"", line);
	*value++ = '\0';
	key = text_trim(line, BLANKS);
	if (strcmp(key, "allow") != 0)
		return err_set(e, EINVAL, "there is no setting \"%s\"; \"allow\" is one", key);
	return add(dirs, text_trim(value, BLANKS), e);
}

static int read_lines(struct string_list *dirs, char *text, struct err *e)
{
	unsigned number = 1;
	int r = 0;

	for (char *line = text, *end; r == 0 && line; line = end, number++) {
		end = strchr(line, '\n');
		if (end)
			*end++ = '\0';
		r = read_line(dirs, line, e);
		if (r < 0)
			err_in(e, "line %u", number);
	}
	return r;
}

static int read_file(struct string_list *dirs, const char *path, struct err *e)
{
	struct stat st;
	struct io *io;
	char *text;
	int r;

	if (stat(path, &st) < 0 && (errno == ENOENT || errno == ENOTDIR || errno == EACCES))
		return 0;
	io = io_open(path, e);
	if (!io)
		return -e->code;
	r = io_read_text(io, FILE_MAX, &text, e);
	io_unref(io);
	if (r < 0)
		return r;
	r = read_lines(dirs, text, e);
	if (r < 0)
		err_in(e, "%s", path);
	free(text);
	return r;
}

static int read_file_of_user(struct string_list *dirs, struct err *e)
{
	const char *config = secure_getenv("XDG_CONFIG_HOME"), *home = secure_getenv("HOME");
	char path[PATH_MAX];
	int n;

	if (config && config[0] == '/')
		n = snprintf(path, sizeof path, "%s/vdiskfs.conf", config);
	else if (home && home[0] == '/')
		n = snprintf(path, sizeof path, "%s/.config/vdiskfs.conf", home);
	else
		return 0;
	return n < (int)sizeof path ? read_file(dirs, path, e) : 0;
}

static int read_variable(struct string_list *dirs, struct err *e)
{
	const char *value = secure_getenv("VDISK_ALLOW");
	char *text = value ? strdup(value) : NULL, *dir, *rest = text;
	int r = !value || text ? 0 : err_nomem(e);

	while (r == 0 && (dir = strsep(&rest, ":")))
		if (*dir)
			r = add(dirs, dir, e);
	if (r < 0)
		err_in(e, "VDISK_ALLOW");
	free(text);
	return r;
}

int settings_add_allowed(struct string_list *dirs, struct err *e)
{
	int r = read_file(dirs, "/etc/vdiskfs.conf", e);

	if (r == 0)
		r = read_file_of_user(dirs, e);
	return r == 0 ? read_variable(dirs, e) : r;
}
