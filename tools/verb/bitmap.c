/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* bitmap.c - changes the persistent bitmaps of an image, in the order of the options. */
#include <stdlib.h>
#include <string.h>

#include "image/bitmaps.h"
#include "image/image.h"
#include "util/err.h"
#include "lib/args.h"
#include "lib/input.h"
#include "lib/report.h"
#include "verbs.h"

struct bitmap_changes {
	const struct args *args;
	struct input_session session;
	struct input input, source; /* source: of -b */
	const char *name;
	uint64_t granularity;
	size_t merged; /* --merge options done */
};

static const struct action {
	enum option_key key;
	const char *name;
} actions[] = {
	{OPT_ADD, "add"},
	{OPT_REMOVE, "remove"},
	{OPT_REMOVE_ALL, "remove-all"},
	{OPT_CLEAR, "clear"},
	{OPT_ENABLE, "enable"},
	{OPT_DISABLE, "disable"},
	{OPT_MERGE, "merge"},
};

#define ACTIONS (sizeof actions / sizeof actions[0])

static const char *action_name(enum option_key key)
{
	for (size_t i = 0; i < ACTIONS; i++)
		if (actions[i].key == key)
			return actions[i].name;
	return NULL;
}

static int merge(struct bitmap_changes *c, struct err *e)
{
	const struct image *from = c->source.img ? c->source.img : c->input.img;
	const char *source = c->args->options[OPT_MERGE].v[c->merged++];

	return bitmaps_merge(c->input.img, c->name, from, source, e);
}

static int run_action(struct bitmap_changes *c, enum option_key key, struct err *e)
{
	struct image *img = c->input.img;
	struct bitmap_info new = {.name = c->name, .granularity = c->granularity, .enabled = true};

	switch (key) {
	case OPT_ADD:
		return bitmaps_add(img, &new, e);
	case OPT_REMOVE:
		return bitmaps_remove(img, c->name, e);
	case OPT_REMOVE_ALL:
		return bitmaps_remove_all(img, e);
	case OPT_CLEAR:
		return bitmaps_clear(img, c->name, e);
	case OPT_MERGE:
		return merge(c, e);
	default:
		return bitmaps_enable(img, c->name, key == OPT_ENABLE, e);
	}
}

static bool open_images(struct bitmap_changes *c)
{
	const struct args *a = c->args;
	const char *source = args_value(a, OPT_BACKING);
	struct image_options how = input_session_source(&c->session, args_value(a, OPT_FORMAT));

	how.write = true;
	how.nobacking = true;
	if (!input_open(&c->input, a->operands[0], &how))
		return false;
	how = input_session_options(&c->session, args_value(a, OPT_BACKING_FORMAT));
	how.nobacking = true;
	return !source || input_open_as(&c->source, source, "-F ", &how);
}

static int change(struct bitmap_changes *c)
{
	const struct args *a = c->args;
	struct err e = ERR_INIT;

	if (!open_images(c))
		return EXIT_FAILURE;
	for (size_t i = 0; i < a->norder; i++) {
		const char *name = action_name(a->order[i]);

		if (name && run_action(c, a->order[i], &e) < 0)
			return report_err(&e, "Operation %s on bitmap %s failed", name,
				c->name ? c->name : "");
	}
	return image_finish(c->input.img, &e) < 0 ? report_failure(&e) : EXIT_SUCCESS;
}

/* Checks the options together, in the words of qemu-img. */
static bool check(const struct args *a, bool named, bool any)
{
	if (!any)
		return !report("Need at least one of --add, --remove, --remove-all, --clear, "
			       "--enable, --disable, or --merge");
	if (args_has(a, OPT_GRANULARITY) && !args_has(a, OPT_ADD))
		return !report("granularity only supported with --add");
	if (args_has(a, OPT_BACKING_FORMAT) && !args_has(a, OPT_BACKING))
		return !report("-F only supported with -b");
	if (args_has(a, OPT_BACKING) && !args_has(a, OPT_MERGE))
		return !report("Merge bitmap source file only supported with --merge");
	if (named && a->n != 2)
		return !report("Expecting filename and bitmap name");
	return named || a->n == 1 || !report("Expecting filename");
}

int run_bitmap(const struct args *a)
{
	struct bitmap_changes c = {.args = a, .name = a->n > 1 ? a->operands[1] : NULL};
	bool named = false, any = false;
	int status = EXIT_FAILURE;

	for (size_t i = 0; i < ACTIONS; i++) {
		any |= args_has(a, actions[i].key);
		named |= actions[i].key != OPT_REMOVE_ALL && args_has(a, actions[i].key);
	}
	if (!args_size(a, OPT_GRANULARITY, "granularity", &c.granularity) || !check(a, named, any))
		return EXIT_FAILURE;
	if (input_session_begin(&c.session, a))
		status = change(&c);
	input_close(&c.source);
	input_close(&c.input);
	input_session_end(&c.session);
	return status;
}
