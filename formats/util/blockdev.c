/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* blockdev.c - see blockdev.h.
 *
 * A description becomes a list of options with dotted names, "file.filename".  Its nodes are the
 * image, at most a range of a file below it, and the file: "", "file." and "file.file.".
 */
#include "blockdev.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "err.h"
#include "option-list.h"
#include "size.h"

/* The value of the option, which counts as used; NULL: there is none. */
static const char *take(struct option_list *o, const char *prefix, const char *name)
{
	size_t len = strlen(prefix);

	for (size_t i = 0; i < o->n; i++) {
		struct option_value *option = &o->list[i];

		if (strncmp(option->name, prefix, len) == 0 &&
			strcmp(option->name + len, name) == 0) {
			option->used = true;
			return option->value;
		}
	}
	return NULL;
}

static bool is_file_driver(const char *driver)
{
	return strcmp(driver, "file") == 0 || strcmp(driver, "host_device") == 0;
}

static int take_size(
	struct option_list *o, const char *prefix, const char *name, uint64_t *size, struct err *e)
{
	const char *value = take(o, prefix, name);

	if (!value || size_parse(value, size) == 0)
		return 0;
	return err_set(
		e, EINVAL, "Parameter '%s' expects a size such as 64k, not '%s'", name, value);
}

/* The range of a raw node, in its file or in the range of the node below. */
static int take_range(struct blockdev *b, struct option_list *o, const char *prefix, struct err *e)
{
	uint64_t offset = 0, size = UINT64_MAX;
	int r = take_size(o, prefix, "offset", &offset, e);

	if (r == 0)
		r = take_size(o, prefix, "size", &size, e);
	if (r == 0 && (offset > 0 || size != UINT64_MAX) && !blockdev_is_plain(b))
		r = err_set(e, ENOTSUP, "a range of a range is not supported");
	if (r == 0 && (offset > 0 || size != UINT64_MAX)) {
		b->offset = offset;
		b->size = size;
	}
	return r;
}

static int set(char **member, const char *value, struct err *e)
{
	*member = strdup(value);
	return *member ? 0 : err_nomem(e);
}

/* Reads the node of this prefix that is a file. */
static int take_file(struct blockdev *b, struct option_list *o, const char *prefix, struct err *e)
{
	const char *name = take(o, prefix, "filename");

	if (!name)
		return err_set(e, EINVAL, "The 'file' block driver requires a file name");
	return set(&b->file, blockdev_path(name), e);
}

/* Reads the node of this prefix that is an image, or a range of a file. */
static int take_image(struct blockdev *b, struct option_list *o, const char *prefix,
	const char *driver, struct err *e)
{
	bool is_raw = driver && strcmp(driver, "raw") == 0;
	const char *secret = take(o, prefix, "encrypt.key-secret");
	int r = is_raw ? take_range(b, o, prefix, e) : 0;

	secret = secret ? secret : take(o, prefix, "key-secret");
	if (r == 0 && secret && !b->secret)
		r = set(&b->secret, secret, e);
	/* A raw node below an image passes its bytes. */
	if (r < 0 || !driver || (is_raw && prefix[0]))
		return r;
	if (prefix[0])
		return err_set(e, ENOTSUP,
			"the driver '%s' is not supported below an image, only file and raw",
			driver);
	return set(&b->format, driver, e);
}

static int take_nodes(struct blockdev *b, struct option_list *o, struct err *e)
{
	static const char *const prefixes[] = {"", "file.", "file.file.", "file.file.file."};

	for (size_t i = 0; i < sizeof prefixes / sizeof prefixes[0]; i++) {
		const char *driver = take(o, prefixes[i], "driver");
		bool is_file =
			driver ? is_file_driver(driver) : take(o, prefixes[i], "filename") != NULL;

		if (is_file && i == 0 && driver && set(&b->format, "raw", e) < 0)
			return -e->code;
		if (is_file)
			return take_file(b, o, prefixes[i], e);
		if (take_image(b, o, prefixes[i], driver, e) < 0)
			return -e->code;
	}
	return err_set(e, EINVAL, "A block device must be specified for \"file\"");
}

/* Options that change nothing of the disk. */
static bool is_harmless(const char *name)
{
	static const char *const names[] = {"read-only", "auto-read-only", "discard",
		"detect-zeroes", "node-name", "aio", "locking", "force-share", "encrypt.format",
		"lazy-refcounts", "pr-manager", "aio-max-batch", "x-check-cache-dropped",
		"l2-cache-size", "cache-size", "refcount-cache-size", "overlap-check",
		"drop-cache"};

	while (strncmp(name, "file.", 5) == 0)
		name += 5;
	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
		if (strcmp(name, names[i]) == 0)
			return true;
	return strncmp(name, "cache.", 6) == 0;
}

static int read_all(struct blockdev *b, struct option_list *o, struct err *e)
{
	const char *backing = take(o, "", "backing");
	int r = take_nodes(b, o, e);

	if (r == 0 && backing && backing[0])
		r = err_set(e, ENOTSUP, "the option 'backing' can be null alone");
	b->alone = backing != NULL;
	for (size_t i = 0; r == 0 && i < o->n; i++)
		if (!o->list[i].used && !is_harmless(o->list[i].name))
			r = err_set(
				e, ENOTSUP, "the option '%s' is not supported", o->list[i].name);
	return r;
}

bool blockdev_is(const char *name)
{
	return strncmp(name, "json:", 5) == 0 || strncmp(name, "file:", 5) == 0;
}

const char *blockdev_path(const char *name)
{
	if (strncmp(name, "file:", 5) != 0)
		return name;
	return name + (strncmp(name, "file:///", 8) == 0 ? 7 : 5);
}

bool blockdev_is_plain(const struct blockdev *b)
{
	return b->offset == 0 && b->size == UINT64_MAX && !b->alone && !b->secret;
}

int blockdev_parse(struct blockdev *b, const char *name, struct err *e)
{
	struct option_list o = {.n = 0};
	int r;

	*b = (struct blockdev){.size = UINT64_MAX};
	if (strncmp(name, "json:", 5) != 0)
		return set(&b->file, blockdev_path(name), e);
	r = option_list_read_json(&o, name + 5, e);
	if (r == 0)
		r = read_all(b, &o, e);
	option_list_free(&o);
	return r;
}

int blockdev_parse_options(struct blockdev *b, const char *text, struct err *e)
{
	struct option_list o = {.n = 0};
	int r;

	*b = (struct blockdev){.size = UINT64_MAX};
	r = option_list_read(&o, text, NULL, e);
	if (r == 0)
		r = read_all(b, &o, e);
	option_list_free(&o);
	return r;
}

void blockdev_free(struct blockdev *b)
{
	free(b->file);
	free(b->format);
	free(b->secret);
	*b = (struct blockdev){0};
}
