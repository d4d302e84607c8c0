/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* input.c - see input.h. */
#include "input.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "args.h"
#include "io/cache.h"
#include "io/codec.h"
#include "util/err.h"
#include "io/settings.h"
#include "report.h"
#include "secret-object.h"
#include "io/passphrase.h"
#include "nbd/nbd.h"
#include "open/open.h"
#include "util/protocol.h"
#include "volume/luks/header-file.h"

#define CACHE_BYTES (64u << 20)

/* The directories of --allow, and those of the settings. */
static int allow(struct input_session *s, struct err *e)
{
	const struct given *given = &s->args->options[OPT_ALLOW];

	for (size_t i = 0; i < given->n; i++)
		if (!string_list_add(&s->allow, given->v[i]))
			return err_nomem(e);
	return settings_add_allowed(&s->allow, e);
}

static int read_secrets(struct input_session *s, struct err *e)
{
	const struct given *objects = &s->args->options[OPT_OBJECT];
	int r = passphrase_read_all(s->args->options[OPT_PASSPHRASE].v, &s->secrets, e);

	for (size_t i = 0; r == 0 && i < objects->n; i++) {
		struct passphrase *secret;

		r = secret_object_read(objects->v[i], &secret, e);
		if (r == 0) {
			secret->next = s->secrets;
			s->secrets = secret;
		}
	}
	return r;
}

static bool is_connected(const struct input_session *s, const char *uri)
{
	for (struct nbd_server *const *server = s->nbd; *server; server++)
		if (strcmp(nbd_server_uri(*server), uri) == 0)
			return true;
	return false;
}

/* The seconds of --nbd-timeout, 0 without it; false: they are no number. */
static bool timeout_of(const struct args *a, unsigned *timeout)
{
	const char *word = args_value(a, OPT_NBD_TIMEOUT);
	char *end = NULL;
	unsigned long n = word && word[0] >= '0' && word[0] <= '9' ? strtoul(word, &end, 10) : 0;

	*timeout = (unsigned)n;
	if (!word || (n >= 1 && n <= NBD_TIMEOUT_MAX && *end == '\0'))
		return true;
	return !report("Invalid time '%s'; allowed are 1 to %d seconds", word, NBD_TIMEOUT_MAX);
}

/* Connects the server, if name is the URI of one and it is not connected yet. */
static bool connect_server(struct input_session *s, const char *name)
{
	struct nbd_options o = {
		.tls_certs = args_value(s->args, OPT_TLS_CERTS),
		.tls_psk = args_value(s->args, OPT_TLS_PSK),
	};
	struct err e = ERR_INIT;
	size_t n = 0;

	if (!timeout_of(s->args, &o.timeout))
		return false;
	if (!protocol_is_nbd(name) || is_connected(s, name))
		return true;
	while (s->nbd[n])
		n++;
	if (n == INPUT_SERVERS_MAX)
		return !report("more than %d NBD servers", INPUT_SERVERS_MAX);
	if (nbd_server_connect(name, &o, &s->nbd[n], &e) == 0)
		return true;
	report_open(name, "-f ", &e);
	return false;
}

static bool connect_servers(struct input_session *s)
{
	const struct args *a = s->args;
	const struct given *parents = &a->options[OPT_PARENT];
	const char *backing = args_value(a, OPT_BACKING);
	bool good = !backing || connect_server(s, backing);

	for (size_t i = 0; good && i < a->n; i++)
		good = connect_server(s, a->operands[i]);
	for (size_t i = 0; good && i < parents->n; i++)
		good = connect_server(s, parents->v[i]);
	return good;
}

bool input_session_begin(struct input_session *s, const struct args *a)
{
	struct err e = ERR_INIT;

	*s = (struct input_session){.args = a};
	if (!args_check_cache(a, OPT_CACHE, "cache option") ||
		!args_check_cache(a, OPT_SOURCE_CACHE, "source cache option"))
		return false;
	if (a->options[OPT_PASSPHRASE].n > 0 || a->options[OPT_OBJECT].n > 0)
		passphrase_guard();
	s->cache = cache_new(CACHE_BYTES, &e);
	s->codec = s->cache ? codec_new(&e) : NULL;
	if (s->codec && allow(s, &e) == 0 && read_secrets(s, &e) == 0 &&
		luks_headers_open(a->options[OPT_LUKS_HEADER].v, &s->luks_headers, &e) == 0)
		return args_size(a, OPT_LUKS_MEMORY, "memory", &s->luks_memory) &&
		       connect_servers(s);
	report_failure(&e);
	return false;
}

void input_session_end(struct input_session *s)
{
	string_list_free(&s->allow);
	passphrase_free(s->secrets);
	luks_headers_free(s->luks_headers);
	for (struct nbd_server **server = s->nbd; *server; server++)
		nbd_server_disconnect(*server);
	codec_free(s->codec);
	cache_free(s->cache);
}

static void warn(void *arg, const char *text)
{
	(void)arg;
	report_warning(text);
}

struct image_options input_session_options(const struct input_session *s, const char *format)
{
	const struct args *a = s->args;

	return (struct image_options){
		.format = format,
		.allow = (const char *const *)s->allow.v,
		.search = a->options[OPT_SEARCH].v,
		.parent_formats = a->options[OPT_PARENT_FORMAT].v,
		.share = args_has(a, OPT_SHARE),
		.nosnapshots = args_has(a, OPT_NO_SNAPSHOTS),
		.ignore_parent_id = args_has(a, OPT_IGNORE_PARENT_ID),
		.nbd = s->nbd,
		.any_is_raw = true,
		.secrets = s->secrets,
		.luks_headers = s->luks_headers,
		.luks_memory = s->luks_memory,
		.cache = s->cache,
		.codec = s->codec,
		.warn = warn,
	};
}

struct image_options input_session_source(const struct input_session *s, const char *format)
{
	struct image_options how = input_session_options(s, format);

	how.backing = s->args->options[OPT_PARENT].v;
	return how;
}

bool input_open(struct input *input, const char *name, const struct image_options *how)
{
	return input_open_as(input, name, "-f ", how);
}

bool input_open_as(
	struct input *input, const char *name, const char *option, const struct image_options *how)
{
	struct err e = ERR_INIT;

	*input = (struct input){.name = name, .how = *how};
	if (image_open(name, &input->how, &input->img, &e) < 0) {
		input->img = NULL;
		report_open(name, option, &e);
		return false;
	}
	input->state = input->img->states[0];
	return true;
}

static bool is_described(const struct input_session *s, const char *operand)
{
	return args_has(s->args, OPT_IMAGE_OPTS) || blockdev_is(operand);
}

static int describe(const struct input_session *s, const char *operand, struct blockdev *b,
	struct image_options *how, struct err *e)
{
	const struct given *objects = &s->args->options[OPT_OBJECT];
	int r = args_has(s->args, OPT_IMAGE_OPTS) ? blockdev_parse_options(b, operand, e)
						  : blockdev_parse(b, operand, e);

	if (r == 0 && b->secret && !secret_object_exists(objects->v, b->secret))
		r = err_set(e, ENOENT, "No secret with id '%s'", b->secret);
	if (r == 0 && how->format && args_has(s->args, OPT_IMAGE_OPTS))
		r = err_set(e, EINVAL, "--image-opts and --format are mutually exclusive");
	if (r < 0)
		return r;
	if (b->format)
		how->format = b->format;
	how->nobacking |= b->alone;
	if (b->offset > 0 || b->size != UINT64_MAX) {
		how->range_start = b->offset;
		how->range_size = b->size;
	}
	return 0;
}

bool input_open_operand(struct input *input, const struct input_session *s, const char *operand,
	const char *option, const struct image_options *how)
{
	struct image_options options = *how;
	struct blockdev b = {.file = NULL};
	struct err e = ERR_INIT;
	bool good;

	if (is_described(s, operand) && describe(s, operand, &b, &options, &e) < 0) {
		report_open(operand, option, &e);
		blockdev_free(&b);
		return false;
	}
	good = input_open_as(input, b.file ? b.file : operand, option, &options);
	input->described = b;
	if (options.range_size > 0)
		input->name = operand; /* the file is not the disk */
	return good;
}

void input_close(struct input *input)
{
	image_close(input->img);
	input->img = NULL;
	blockdev_free(&input->described);
}

/* The text after key up to the next comma, malloc'ed; NULL if key does not occur. */
static char *value_of(const char *text, const char *key)
{
	const char *at = strstr(text, key);

	if (!at)
		return NULL;
	at += strlen(key);
	return strndup(at, strcspn(at, ","));
}

int input_hint_snapshot(const struct input *input, const char *name)
{
	struct err e = ERR_INIT;

	state_missing(input->img, name, &e);
	report_hint(&e, "-f ");
	return EXIT_FAILURE;
}

bool input_choose_state(struct input *input, const char *snapshot)
{
	const struct image *img = input->img;
	char *id, *name;

	if (!snapshot)
		return true;
	id = value_of(snapshot, "snapshot.id=");
	name = value_of(snapshot, "snapshot.name=");
	input->state = id || name ? NULL : image_find_state(img, snapshot);
	for (size_t i = 1; (id || name) && i < img->nstates && !input->state; i++) {
		const struct state *s = img->states[i];

		if ((!id || (s->id && strcmp(s->id, id) == 0)) &&
			(!name || (s->name && strcmp(s->name, name) == 0)))
			input->state = s;
	}
	if (!input->state) {
		report("Failed to load snapshot: %s has no snapshot '%s'", input->name, snapshot);
		input_hint_snapshot(input, name ? name : snapshot);
	}
	free(id);
	free(name);
	return input->state != NULL;
}

int input_run(
	const struct args *a, unsigned how, int (*work)(const struct args *a, struct input *input))
{
	struct image_options options;
	struct input_session s;
	struct input input = {0};
	struct err e = ERR_INIT;
	int status = EXIT_FAILURE;
	bool json;

	if (a->n != 1)
		return args_misused("Expecting one image file name");
	if (!args_want_json(a, &json))
		return EXIT_FAILURE;
	if (input_session_begin(&s, a)) {
		options = input_session_source(&s, args_value(a, OPT_FORMAT));
		options.nobacking = how & INPUT_ALONE;
		options.write = how & INPUT_WRITE;
		options.repair = how & INPUT_REPAIR;
		options.locked = how & INPUT_LOCKED;
		options.lenient = how & INPUT_LENIENT;
		if (input_open_operand(&input, &s, a->operands[0], "-f ", &options)) {
			input.json = json;
			status = work(a, &input);
			/* Also after a failure: part of the changes may have been written. */
			if (image_finish(input.img, &e) < 0)
				status = report_failure(&e);
		}
		input_close(&input);
	}
	input_session_end(&s);
	return status;
}
