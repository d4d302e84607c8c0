/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "mountinfo.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#define STEP 16384u

int mountinfo_open(void)
{
	return open("/proc/self/mountinfo", O_RDONLY | O_CLOEXEC);
}

/* The whole file, malloc'ed; NULL with errno. */
static char *read_all(int fd)
{
	size_t len = 0, capacity = 0;
	char *text = NULL;
	ssize_t n;

	do {
		if (capacity - len < STEP) {
			char *more = realloc(text, capacity += 4 * STEP);

			if (!more) {
				free(text);
				return NULL;
			}
			text = more;
		}
		n = pread(fd, text + len, capacity - len - 1, (off_t)len);
		len += n > 0 ? (size_t)n : 0;
	} while (n > 0 || (n < 0 && errno == EINTR));
	if (n < 0) {
		free(text);
		return NULL;
	}
	text[len] = '\0';
	return text;
}

/* The kernel writes blanks and the like as \ooo. */
static void unescape(char *text)
{
	char *out = text;

	for (const char *in = text; *in; out++) {
		if (in[0] == '\\' && in[1] && in[2] && in[3]) {
			*out = (char)(64 * (in[1] - '0') + 8 * (in[2] - '0') + (in[3] - '0'));
			in += 4;
		} else {
			*out = *in++;
		}
	}
	*out = '\0';
}

/* "36 35 98:0 /root DIR options tags... - TYPE SOURCE options" */
static bool split(char *text, struct mount_line *line)
{
	char *rest = strstr(text, " - "), *save, *word = strtok_r(text, " ", &save);
	unsigned major_no, minor_no;
	char *dir, *source;

	if (!rest || !word || !strtok_r(NULL, " ", &save))
		return false;
	*rest = '\0';
	word = strtok_r(NULL, " ", &save);
	if (!word || sscanf(word, "%u:%u", &major_no, &minor_no) != 2)
		return false;
	strtok_r(NULL, " ", &save);
	dir = strtok_r(NULL, " ", &save);
	line->dev = makedev(major_no, minor_no);
	line->type = strtok_r(rest + 3, " ", &save);
	source = strtok_r(NULL, " ", &save);
	if (!dir || !line->type || !source)
		return false;
	unescape(dir);
	unescape(source);
	line->dir = dir;
	line->source = source;
	return true;
}

int mountinfo_each(int fd, mountinfo_visit_fn *visit, void *arg)
{
	char *text = fd < 0 ? NULL : read_all(fd), *next = text, *at;
	struct mount_line line;

	if (!text)
		return fd < 0 ? -EBADF : -errno;
	while ((at = strsep(&next, "\n")))
		if (split(at, &line))
			visit(arg, &line);
	free(text);
	return 0;
}

int mountinfo_read(mountinfo_visit_fn *visit, void *arg)
{
	int fd = mountinfo_open(), r;

	if (fd < 0)
		return -errno;
	r = mountinfo_each(fd, visit, arg);
	close(fd);
	return r;
}

bool mountinfo_is_fuse(const char *type)
{
	size_t n = strcspn(type, "."); /* a subtype follows a dot */

	return (n == 4 && memcmp(type, "fuse", n) == 0) ||
	       (n == 7 && memcmp(type, "fuseblk", n) == 0);
}

void mountinfo_process_name(char name[MOUNTINFO_NAME], dev_t dev)
{
	snprintf(name, MOUNTINFO_NAME, "vdiskfs:%u", minor(dev));
}
