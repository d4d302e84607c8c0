/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "input.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>

#include "args.h"
#include "io/cache.h"
#include "io/codec.h"
#include "util/err.h"
#include "report.h"
#include "io/passphrase.h"
#include "view/view.h"
#include "open/open.h"

#define CACHE_BYTES (64u << 20)

/* From here on no debugger and no core file sees what this process holds. */
static int read_secrets(struct session *s, struct err *e)
{
	const struct given *files = &s->args->options[OPT_PASSPHRASE];
	struct passphrase **end = &s->secrets;

	if (files->n > 0)
		prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
	for (size_t i = 0; i < files->n; i++) {
		*end = passphrase_read(files->v[i], e);
		if (!*end)
			return -e->code;
		end = &(*end)->next;
	}
	return 0;
}

bool session_begin(struct session *s, const struct args *a)
{
	struct err e = ERR_INIT;

	*s = (struct session){.args = a};
	s->cache = cache_new(CACHE_BYTES, &e);
	s->codec = s->cache ? codec_new(&e) : NULL;
	if (!s->codec || read_secrets(s, &e) < 0) {
		report_failure(&e);
		return false;
	}
	return true;
}

void session_end(struct session *s)
{
	passphrase_free(s->secrets);
	codec_free(s->codec);
	cache_free(s->cache);
}

struct image_options session_options(const struct session *s, const char *format)
{
	const struct args *a = s->args;

	return (struct image_options){
		.format = format,
		.allow = a->options[OPT_ALLOW].v,
		.search = a->options[OPT_SEARCH].v,
		.parent_formats = a->options[OPT_PARENT_FORMAT].v,
		.share = args_has(a, OPT_SHARE),
		.nosnapshots = args_has(a, OPT_NO_SNAPSHOTS),
		.ignore_parent_id = args_has(a, OPT_IGNORE_PARENT_ID),
		.any_is_raw = true,
		.secrets = s->secrets,
		.cache = s->cache,
		.codec = s->codec,
		.warn = report_warning,
	};
}

bool source_open(struct source *source, const char *name, const struct image_options *how)
{
	return source_open_as(source, name, "-f ", how);
}

bool source_open_as(struct source *source, const char *name, const char *option,
	const struct image_options *how)
{
	struct err e = ERR_INIT;

	*source = (struct source){.name = name, .how = *how};
	if (image_open(name, &source->how, &source->img, &e) < 0) {
		source->img = NULL;
		report_open(name, option, &e);
		return false;
	}
	source->state = source->img->states[0];
	return true;
}

void source_close(struct source *source)
{
	image_close(source->img);
	source->img = NULL;
}

/* What follows key up to the next comma, malloc'ed; NULL when key does not stand there. */
static char *word_after(const char *text, const char *key)
{
	const char *at = strstr(text, key);

	if (!at)
		return NULL;
	at += strlen(key);
	return strndup(at, strcspn(at, ","));
}

static bool fits(const struct state *s, const char *id, const char *name)
{
	return (!id || (s->id && strcmp(s->id, id) == 0)) &&
	       (!name || (s->name && strcmp(s->name, name) == 0));
}

static const struct state *find_exactly(const struct image *img, const char *id, const char *name)
{
	for (size_t i = 1; i < img->nstates; i++)
		if (fits(img->states[i], id, name))
			return img->states[i];
	return NULL;
}

int hint_at_snapshot(const struct source *source, const char *name)
{
	struct err e = ERR_INIT;

	state_missing(source->img, name, &e);
	report_hint(&e, "-f ");
	return EXIT_FAILURE;
}

bool source_choose(struct source *source, const char *snapshot)
{
	char *id, *name;

	if (!snapshot)
		return true;
	id = word_after(snapshot, "snapshot.id=");
	name = word_after(snapshot, "snapshot.name=");
	source->state = id || name ? find_exactly(source->img, id, name)
				   : image_find_state(source->img, snapshot);
	if (!source->state) {
		report("Failed to load snapshot: %s has no snapshot '%s'", source->name, snapshot);
		hint_at_snapshot(source, name ? name : snapshot);
	}
	free(id);
	free(name);
	return source->state != NULL;
}

/* Makes durable what work has written, of which a part may be there even when it failed. */
static int finish(struct source *source, int status)
{
	struct err e = ERR_INIT;

	if (image_finish(source->img, &e) == 0)
		return status;
	return report_failure(&e);
}

int source_run(const struct args *a, unsigned how,
	int (*work)(const struct args *a, struct source *source))
{
	struct image_options options;
	struct session s;
	struct source source = {0};
	int status = EXIT_FAILURE;
	bool json;

	if (a->n != 1)
		return args_misused("Expecting one image file name");
	if (!args_want_json(a, &json))
		return EXIT_FAILURE;
	if (session_begin(&s, a)) {
		options = session_options(&s, args_value(a, OPT_FORMAT));
		options.nobacking = how & SOURCE_ALONE;
		options.write = how & SOURCE_WRITE;
		options.repair = how & SOURCE_REPAIR;
		options.locked = how & SOURCE_LOCKED;
		options.lenient = how & SOURCE_LENIENT;
		if (source_open(&source, a->operands[0], &options))
			status = finish(&source, work(a, &source));
		source_close(&source);
	}
	session_end(&s);
	return status;
}
