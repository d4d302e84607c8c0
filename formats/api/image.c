/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* image.c - images of vdisk.h: opened as the words say, and closed. */
#include <errno.h>
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "handle.h"
#include "image/format.h"
#include "image/info.h"
#include "io/cache.h"
#include "io/codec.h"
#include "io/io.h"
#include "io/passphrase.h"
#include "nbd/nbd.h"
#include "open/open.h"
#include "util/nearest.h"
#include "util/protocol.h"
#include "util/version.h"
#include "volume/contents.h"
#include "volume/luks/header-file.h"
#include "volumes.h"

int handle_fail(struct vdisk_error *to, const struct err *e)
{
	char line[HINT_LINE];
	const char *hint;

	if (to) {
		hint = hint_line(e, &hint_words_library, line);
		to->code = e->code;
		snprintf(to->text, sizeof to->text, "%s", e->text);
		snprintf(to->hint, sizeof to->hint, "%s", hint ? hint : "");
	}
	return -e->code;
}

static int refuse_word(const char *word, struct err *e)
{
	struct nearest near = nearest_to(word);

	if (open_words_has_value(word))
		return err_set(e, EINVAL, "option \"%s\" needs a value: %s=...", word, word);
	open_words_offer(&near);
	err_set(e, EINVAL, "unknown option \"%s\"", word);
	if (near.best)
		err_hint(e, "did you mean \"%.*s\"?", (int)near.length, near.best);
	return -EINVAL;
}

static int read_words(struct vdisk_image *image, const char *const *words, struct err *e)
{
	bool write = false;

	for (; words && *words; words++) {
		int r = 0;

		if (strcmp(*words, "rw") == 0)
			write = true;
		else
			r = open_words_add(&image->words, *words, e);
		if (r < 0)
			return r == -ENOENT ? refuse_word(*words, e) : r;
	}
	image->how.write = write;
	return open_words_check(&image->words, write ? OPEN_WRITE : OPEN_READ, e);
}

/* Connects the servers whose URIs the caller has given.  An image names none. */
static int connect_servers(struct vdisk_image *image, const char *path, struct err *e)
{
	const struct open_words *words = &image->words;
	const char *const names[] = {path, words->backing};
	struct nbd_server **next = image->servers;
	int r = 0;

	for (size_t i = 0; r == 0 && i < 2; i++) {
		struct nbd_options o = open_words_server(words, path, names[i]);

		if (!names[i] || !protocol_is_nbd(names[i]))
			continue;
		o.write = image->how.write && i == 0;
		r = nbd_server_connect(names[i], &o, next, e);
		if (r == 0)
			next++;
	}
	image->how.nbd = image->servers;
	return r;
}

/* What was opened is freed by image_free, also after an error. */
static int open_image(struct vdisk_image *image, const char *path, struct err *e)
{
	struct image_options *how = &image->how;
	struct open_words *words = &image->words;
	int r = passphrase_read_all((const char *const *)words->passphrases.v, &image->secrets, e);

	if (r == 0)
		r = luks_headers_open(
			(const char *const *)words->luks_headers.v, &image->luks_headers, e);
	if (r == 0)
		r = connect_servers(image, path, e);
	if (r < 0)
		return r;
	open_words_apply(words, how);
	how->secrets = image->secrets;
	how->luks_headers = image->luks_headers;
	how->detect_zeroes = true;
	how->cache = cache_new(words->cache ? (size_t)words->cache : OPEN_CACHE, e);
	how->codec = how->cache ? codec_new(e) : NULL;
	return how->codec ? image_open(path, how, &image->img, e) : -e->code;
}

static void image_free(struct vdisk_image *image)
{
	volumes_forget(image);
	image_close(image->img);
	for (struct nbd_server **s = image->servers; *s; s++)
		nbd_server_disconnect(*s);
	passphrase_free(image->secrets);
	luks_headers_free(image->luks_headers);
	codec_free(image->how.codec);
	cache_free(image->how.cache);
	open_words_free(&image->words);
	pthread_mutex_destroy(&image->lock);
	free(image);
}

int vdisk_open(const char *path, const char *const *options, vdisk_warning *warning, void *arg,
	struct vdisk_image **out, struct vdisk_error *error)
{
	struct vdisk_image *image = calloc(1, sizeof *image);
	struct err e = ERR_INIT;
	int r;

	if (!image) {
		err_nomem(&e);
		return handle_fail(error, &e);
	}
	pthread_mutex_init(&image->lock, NULL);
	image->how.warn = warning;
	image->how.warn_arg = arg;
	r = read_words(image, options, &e);
	if (r == 0)
		r = open_image(image, path, &e);
	if (r < 0) {
		image_free(image);
		return handle_fail(error, &e);
	}
	*out = image;
	return 0;
}

int vdisk_close(struct vdisk_image *image, struct vdisk_error *error)
{
	struct err e = ERR_INIT;
	int r;

	if (!image)
		return 0;
	if (atomic_load(&image->disks) > 0) {
		err_set(&e, EBUSY, "%s: %u of its disks are open", image->img->io->name,
			atomic_load(&image->disks));
		return handle_fail(error, &e);
	}
	volumes_forget(image);
	r = image_finish(image->img, &e);
	image_free(image);
	return r < 0 ? handle_fail(error, &e) : 0;
}

const char *vdisk_format(const struct vdisk_image *image)
{
	return image->img->format->name;
}

static char *info_of(const struct place *place, struct err *e)
{
	struct json_object *o = info_absolute(place->img, place->state);
	char *text;

	contents_add(o, place->img, place->state, false);
	text = info_text(o, e);
	json_object_put(o);
	return text;
}

int vdisk_info(struct vdisk_image *image, const char *path, char **json, struct vdisk_error *error)
{
	struct err e = ERR_INIT;
	struct place place;
	char *text = NULL;

	if (place_find(&place, image->img, path, &e) == 0) {
		if (place.kind == VDISK_LIVE || place.kind == VDISK_SNAPSHOT)
			text = info_of(&place, &e);
		else
			err_set(&e, EINVAL, "%s: it is a part of a disk", path);
		place_drop(&place);
	}
	if (!text)
		return handle_fail(error, &e);
	*json = text;
	return 0;
}

const char *vdisk_version(void)
{
	return version_text;
}
