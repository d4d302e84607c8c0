/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* serve.c - serves an image by NBD, with nbdkit and nbdkit-vdisk-plugin, until a signal ends it.
 *
 * The image is opened here before nbdkit opens it, to list its exports, and so that messages have
 * the words of vdisk.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "api/vdisk.h"
#include "image/format.h"
#include "image/image.h"
#include "io/passphrase.h"
#include "io/settings.h"
#include "lib/args.h"
#include "lib/input.h"
#include "lib/nbd-socket.h"
#include "lib/nbdkit.h"
#include "lib/report.h"
#include "util/err.h"
#include "util/printable.h"
#include "util/shell.h"
#include "util/size.h"
#include "util/string-list.h"
#include "verbs.h"

/* Options as words of the library: those that end in "=" take the value of the option. */
static const struct {
	enum option_key key;
	const char *word;
} passed[] = {
	{OPT_FORMAT, "format="},
	{OPT_RW, "rw"},
	{OPT_SHARE, "share"},
	{OPT_ALLOW, "allow="},
	{OPT_SEARCH, "search="},
	{OPT_PARENT, "backing="},
	{OPT_PARENT_FORMAT, "parent_format="},
	{OPT_PASSPHRASE, "passphrase-file="},
	{OPT_LUKS_HEADER, "luks-header="},
	{OPT_LUKS_MEMORY, "luks-memory="},
	{OPT_IGNORE_PARENT_ID, "ignore_parent_id"},
	{OPT_NO_SNAPSHOTS, "nosnapshots"},
	{OPT_NBD_TIMEOUT, "nbd-timeout="},
	{OPT_TLS_CERTS, "tls-certs="},
	{OPT_TLS_PSK, "tls-psk="},
};

#define NPASSED (sizeof passed / sizeof passed[0])

/* Adds FIRST SECOND as one string. */
static bool add_joined(struct string_list *list, const char *first, const char *second)
{
	char *word;
	bool good = asprintf(&word, "%s%s", first, second) >= 0;

	if (good) {
		good = string_list_add(list, word);
		free(word);
	}
	return good || !report("out of memory");
}

/* The directories of the settings, as all verbs have them. */
static bool add_allowed(struct string_list *words)
{
	struct string_list dirs = {0};
	struct err e = ERR_INIT;
	bool good = settings_add_allowed(&dirs, &e) == 0 || !report_failure(&e);

	for (size_t i = 0; i < dirs.n && good; i++)
		good = add_joined(words, "allow=", dirs.v[i]);
	string_list_free(&dirs);
	return good;
}

static bool make_words(struct string_list *words, const struct args *a)
{
	for (size_t i = 0; i < NPASSED; i++) {
		const struct given *g = &a->options[passed[i].key];

		for (size_t j = 0; j < g->n; j++)
			if (!add_joined(words, passed[i].word, g->v[j] ? g->v[j] : ""))
				return false;
	}
	return add_allowed(words);
}

/* The words as parameters of the plugin: all have a value. */
static bool make_parameters(
	struct string_list *parameters, const struct string_list *words, const char *image)
{
	bool good = add_joined(parameters, "image=", image);

	for (size_t i = 0; i < words->n && good; i++)
		good = add_joined(parameters, words->v[i], strchr(words->v[i], '=') ? "" : "=true");
	return good;
}

/* Copies standard input to a file in memory, which nbdkit inherits; returns its descriptor. */
static int copy_input(void)
{
	int fd = memfd_create("passphrase", 0);
	char buf[4096];
	ssize_t n = -1;

	while (fd >= 0 && (n = read(STDIN_FILENO, buf, sizeof buf)) > 0)
		if (write(fd, buf, n) != n)
			break;
	explicit_bzero(buf, sizeof buf);
	if (n != 0) {
		report("standard input: %s", strerror(errno));
		if (fd >= 0)
			close(fd);
		return -1;
	}
	return fd;
}

/* Puts the name of a copy in the place of a passphrase file "-", since standard input can be read
 * only once, but is read by this process and by nbdkit.  *name: freed by the caller. */
static bool keep_input(const struct args *a, char **name)
{
	const struct given *files = &a->options[OPT_PASSPHRASE];

	*name = NULL;
	for (size_t i = 0; i < files->n; i++) {
		int fd;

		if (strcmp(files->v[i], "-") != 0)
			continue;
		fd = *name ? -1 : copy_input();
		if (!*name && fd < 0)
			return false;
		if (!*name && asprintf(name, "/proc/self/fd/%d", fd) < 0) {
			*name = NULL;
			return !report("out of memory");
		}
		files->v[i] = *name;
	}
	return true;
}

struct serving {
	const struct args *args;
	struct nbd_socket socket;
	struct string_list words;        /* for the library */
	struct string_list exports;      /* their paths */
	struct string_list descriptions; /* one for each */
};

/* The exports. */

/* A disk that cannot be read is no export. */
static int add_export(void *arg, const struct vdisk_entry *entry)
{
	struct serving *s = arg;
	char text[2 * ERR_TEXT];

	if (entry->error) {
		report("warning: %s: %s", entry->path, entry->error);
		return 0;
	}
	snprintf(text, sizeof text, "%s%s%s", size_text(entry->size).text,
		entry->description[0] ? "  " : "", entry->description);
	return string_list_add(&s->exports, entry->path) && string_list_add(&s->descriptions, text)
		       ? 0
		       : -ENOMEM;
}

/* Opens the image as the plugin will. */
static bool list_exports(struct serving *s, struct vdisk_error *error)
{
	struct vdisk_image *image;
	bool good = vdisk_open(s->args->operands[0], (const char *const *)s->words.v, NULL, NULL,
			    &image, error) == 0;

	if (good) {
		good = vdisk_list(image, "", add_export, s, error) == 0;
		vdisk_close(image, NULL);
	}
	return good;
}

/* Opens the image as the other verbs do, whose messages have hints in the words of vdisk and which
 * take a file without a known format for a raw disk.  True if it is one. */
static bool is_raw(const struct serving *s, const struct vdisk_error *error)
{
	struct input_session session;
	struct image_options how;
	struct input input = {0};
	bool raw = false;

	if (input_session_begin(&session, s->args)) {
		how = input_session_source(&session, args_value(s->args, OPT_FORMAT));
		how.write = args_has(s->args, OPT_RW);
		if (input_open(&input, s->args->operands[0], &how)) {
			raw = !input.img->format_given &&
			      strcmp(input.img->format->name, "raw") == 0;
			if (!raw)
				report("%s", error->text);
		}
		input_close(&input);
	}
	input_session_end(&session);
	return raw;
}

static bool find_exports(struct serving *s)
{
	struct vdisk_error error = {0};

	if (list_exports(s, &error))
		return true;
	if (!is_raw(s, &error))
		return false;
	if (!string_list_add(&s->words, "format=raw"))
		return !report("out of memory");
	return list_exports(s, &error) || !report("%s", error.text);
}

/* The server. */

static bool listen_as(struct serving *s)
{
	const char *port = args_value(s->args, OPT_PORT), *path = args_value(s->args, OPT_SOCKET);

	return port ? nbd_socket_listen_tcp(&s->socket, args_value(s->args, OPT_ADDRESS), port)
		    : nbd_socket_listen_unix(&s->socket, path);
}

/* The server is ready. */
static void print_exports(void *arg)
{
	const struct serving *s = arg;
	struct shell_word live = {""};

	for (size_t i = 0; i < s->exports.n; i++) {
		char *uri = nbd_socket_uri(&s->socket, s->exports.v[i]);

		if (!uri)
			continue;
		if (i == 0)
			live = shell_word(uri);
		printable_print(stdout, "%s  %s", uri, s->descriptions.v[i]);
		putchar('\n');
		free(uri);
	}
	fflush(stdout);
	report_advice("qemu-system-x86_64 -drive format=raw%s,file=%s starts a guest; qemu-img and "
		      "nbdcopy take a URI for a file; Ctrl-C ends the server",
		args_has(s->args, OPT_RW) ? "" : ",snapshot=on", live.text);
}

static int run_server(struct serving *s, const struct nbdkit *nbdkit)
{
	struct string_list parameters = {0};
	int status = EXIT_FAILURE;

	if (make_parameters(&parameters, &s->words, s->args->operands[0]) && listen_as(s))
		status = nbdkit_serve(nbdkit, &parameters, s->socket.fd, print_exports, s);
	nbd_socket_end(&s->socket);
	string_list_free(&parameters);
	return status;
}

static int serve(const struct args *a, const struct nbdkit *nbdkit)
{
	struct serving s = {.args = a, .socket.fd = -1};
	int status = EXIT_FAILURE;

	if (make_words(&s.words, a) && find_exports(&s))
		status = run_server(&s, nbdkit);
	string_list_free(&s.words);
	string_list_free(&s.exports);
	string_list_free(&s.descriptions);
	return status;
}

static bool is_well_used(const struct args *a)
{
	if (a->n != 1)
		return !args_misused("Expecting one image file name");
	if (args_has(a, OPT_PORT) && args_has(a, OPT_SOCKET))
		return !args_misused("--port and --socket cannot be used together");
	if (a->options[OPT_PARENT].n > 1)
		return !args_misused("--parent can be given only once");
	if (args_has(a, OPT_ADDRESS) && !args_has(a, OPT_PORT))
		return !args_misused("--address needs --port");
	return true;
}

int run_serve(const struct args *a)
{
	struct nbdkit nbdkit;
	int status = EXIT_FAILURE;
	char *input;

	if (!is_well_used(a) || !nbdkit_find(&nbdkit))
		return EXIT_FAILURE;
	/* Without this, a reader of the URIs that leaves would leave the socket, too. */
	signal(SIGPIPE, SIG_IGN);
	if (a->options[OPT_PASSPHRASE].n > 0)
		passphrase_guard();
	if (keep_input(a, &input))
		status = serve(a, &nbdkit);
	free(input);
	return status;
}
