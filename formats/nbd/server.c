/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* server.c - connecting to a server, and its end. */
#include "server.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ahead.h"
#include "extents.h"
#include "libnbd.h"
#include "nbd.h"
#include "util/bytes.h"
#include "util/err.h"
#include "util/limits.h"
#include "util/text.h"

/* Seconds for each connection after the first. */
#define MORE_MAX 5u

/* Longer requests are cut, so that all connections share them. */
#define REQUEST_MAX (1u << 20)

/* Of a server that does not tell: the protocol recommends to keep to it. */
#define READ_ALIGN 512u

#define ALIGN_MAX (64u << 10) /* of the protocol */

/* Failures. */

static bool has_connection(const struct nbd_server *s)
{
	for (unsigned i = 0; i < s->n; i++)
		if (s->connections[i] && connection_is_alive(s->connections[i]))
			return true;
	return false;
}

/* A write that got no answer may still be done, after later ones of other connections: nothing more
 * may be written then.  A server that is late is so on all connections: to wait for it once more on
 * each would take several times as long. */
static void note_failure(void *arg, const char *reason, bool late)
{
	struct nbd_server *s = arg;

	pthread_mutex_lock(&s->lock);
	if (!s->reason[0])
		snprintf(s->reason, sizeof s->reason, "%s", reason);
	if (late || s->writable || !has_connection(s))
		s->failed = true;
	pthread_mutex_unlock(&s->lock);
}

/* TLS. */

static bool is_tls(const char *uri)
{
	return strncasecmp(uri, "nbds", 4) == 0;
}

static int check_tls(const char *uri, const struct nbd_options *o, struct err *e)
{
	bool has_keys = o->tls_certs || o->tls_psk;

	if (has_keys && !is_tls(uri))
		return err_set(e, EINVAL,
			"%s: certificates and keys are for servers whose URI begins with nbds",
			uri);
	if (o->tls_certs && o->tls_psk)
		return err_set(
			e, EINVAL, "%s: either certificates or pre-shared keys, not both", uri);
	if (is_tls(uri) && strcasestr(uri, "tls-verify-peer"))
		return err_set(e, EINVAL, "%s: a server with TLS is always verified", uri);
	if (!is_tls(uri) || has_keys || strstr(uri, "tls-psk-file="))
		return 0;
	err_set(e, EINVAL, "%s: nothing is known by which the server can be verified", uri);
	err_hint_code(e, HINT_TLS, NULL);
	return err_hint_code(e, HINT_TLS_PSK, NULL);
}

/* libnbd before 1.20.3 compares a certificate with the name of the host alone, and so believes any
 * that comes through a socket without one (CVE-2024-7383). */
static bool verifies_sockets(const char *version)
{
	unsigned numbers[3] = {0};

	sscanf(version, "%u.%u.%u", &numbers[0], &numbers[1], &numbers[2]);
	return numbers[0] > 1 || numbers[1] > 20 || (numbers[1] == 20 && numbers[2] >= 3);
}

/* libnbd takes the authorities of the system if those in dir are missing, and before 1.20.3
 * verifies nothing then. */
static int check_authority(const char *dir, struct err *e)
{
	char path[PATH_MAX];

	if (snprintf(path, sizeof path, "%s/ca-cert.pem", dir) >= (int)sizeof path)
		return err_set(e, ENAMETOOLONG, "%s: %s", dir, strerror(ENAMETOOLONG));
	return access(path, R_OK) < 0 ? err_set(e, errno, "%s: %s", path, strerror(errno)) : 0;
}

/* Certificates say nothing if they are not verified. */
static int check_verification(
	struct nbd_handle *h, const char *uri, const struct nbd_options *o, struct err *e)
{
	const char *version = libnbd.get_version(h);

	if (o->tls_certs && check_authority(o->tls_certs, e) < 0)
		return -e->code;
	if (!o->tls_certs || strncasecmp(uri, "nbds://", 7) == 0 || verifies_sockets(version))
		return 0;
	err_set(e, ENOTSUP,
		"%s: libnbd %s does not verify the certificates of a server at a socket", uri,
		version);
	return err_hint(e, "libnbd 1.20.3 does; pre-shared keys are verified by all versions");
}

static int set_options(struct nbd_handle *h, const struct nbd_options *o)
{
	if (libnbd.set_uri_allow_local_file(h, true) < 0 ||
		libnbd.add_meta_context(h, LIBNBD_CONTEXT_BASE_ALLOCATION) < 0 ||
		libnbd.set_tls_verify_peer(h, true) < 0 ||
		(o->tls_certs && libnbd.set_tls_certificates(h, o->tls_certs) < 0))
		return -1;
	return o->tls_psk ? libnbd.set_tls_psk_file(h, o->tls_psk) : 0;
}

/* Connecting. */

static int open_handle(const char *uri, const struct nbd_options *o, unsigned timeout,
	struct nbd_handle **handle, struct err *e)
{
	struct nbd_handle *h = libnbd.create();
	int r;

	if (!h)
		return err_nomem(e);
	r = check_verification(h, uri, o, e);
	if (r == 0 && set_options(h, o) < 0)
		r = err_set(e, EINVAL, "%s: %s", uri, libnbd.get_error());
	if (r == 0 && connection_handshake(h, uri, timeout, e) < 0)
		r = err_in(e, "%s", o->name ? o->name : uri);
	if (r == 0 && is_tls(uri) && libnbd.get_tls_negotiated(h) != 1)
		r = err_set(e, EPROTO, "%s: the connection is not encrypted", uri);
	if (r < 0)
		libnbd.close(h);
	else
		*handle = h;
	return r;
}

static int read_title(struct nbd_server *s, struct nbd_handle *h, struct err *e)
{
	char *name = libnbd.get_export_name(h);
	const char *last = name ? text_basename(name) : "";

	s->title = strdup(*last ? last : "disk");
	free(name);
	return s->title ? 0 : err_nomem(e);
}

static uint32_t power_of_2(int64_t value, uint32_t otherwise)
{
	return value > 0 && value <= ALIGN_MAX && is_power_of_2((uint64_t)value) ? (uint32_t)value
										 : otherwise;
}

static int read_limits(struct nbd_server *s, struct nbd_handle *h, struct err *e)
{
	int64_t size = libnbd.get_size(h);
	int64_t min = libnbd.get_block_size(h, LIBNBD_SIZE_MINIMUM);
	int64_t max = libnbd.get_block_size(h, LIBNBD_SIZE_MAXIMUM);

	if (size < 0)
		return err_set(
			e, EPROTO, "%s: the server tells no size: %s", s->uri, libnbd.get_error());
	s->write_align = power_of_2(min, 1);
	s->read_align = power_of_2(min, READ_ALIGN);
	s->max = max > 0 ? (uint32_t)MIN(max, REQUEST_MAX) : REQUEST_MAX;
	s->max = MAX(s->max & ~(s->read_align - 1), s->read_align);
	/* A part of a block at the end cannot be read. */
	s->size = (uint64_t)size & ~(uint64_t)(s->write_align - 1);
	s->read_only = libnbd.is_read_only(h) != 0;
	s->can_flush = libnbd.can_flush(h) == 1;
	s->can_trim = libnbd.can_trim(h) == 1;
	s->can_zero = libnbd.can_zero(h) == 1;
	s->has_extents = libnbd.can_meta_context(h, LIBNBD_CONTEXT_BASE_ALLOCATION) == 1;
	return 0;
}

/* Takes the handle, also on failure. */
static int add_connection(
	struct nbd_server *s, struct nbd_handle *h, unsigned timeout, struct err *e)
{
	struct connection *c;
	int r = connection_begin(h, timeout, note_failure, s, &c, e);

	if (r < 0)
		return r;
	pthread_mutex_lock(&s->lock);
	s->connections[s->n++] = c;
	pthread_mutex_unlock(&s->lock);
	return 0;
}

/* A server that takes no more connections is used with those that it has taken; some let one wait
 * until another ends. */
static void connect_more(
	struct nbd_server *s, const char *uri, const struct nbd_options *o, unsigned timeout)
{
	struct err ignored = ERR_INIT;
	struct nbd_handle *h;

	while (s->n < SERVER_CONNECTIONS &&
		open_handle(uri, o, MIN(timeout, MORE_MAX), &h, &ignored) == 0) {
		if (libnbd.get_size(h) < 0 || (uint64_t)libnbd.get_size(h) < s->size ||
			libnbd.is_read_only(h) != s->read_only) {
			libnbd.close(h);
			return;
		}
		if (add_connection(s, h, timeout, &ignored) < 0)
			return;
	}
}

static int connect_all(
	struct nbd_server *s, const char *uri, const struct nbd_options *o, struct err *e)
{
	unsigned timeout = o->timeout ? o->timeout : NBD_TIMEOUT;
	struct nbd_handle *h;
	bool several;
	int r = open_handle(uri, o, timeout, &h, e);

	if (r < 0)
		return r;
	r = read_limits(s, h, e);
	if (r == 0)
		r = read_title(s, h, e);
	if (r == 0 && o->write)
		r = server_check_writable(s, e);
	if (r < 0) {
		libnbd.close(h);
		return r;
	}
	several = libnbd.can_multi_conn(h) == 1;
	r = add_connection(s, h, timeout, e);
	if (r == 0 && several)
		connect_more(s, uri, o, timeout);
	return r;
}

int server_check_writable(const struct nbd_server *s, struct err *e)
{
	if (s->read_only)
		return err_set(e, EROFS, "%s: the server lets nobody write", s->uri);
	if (!s->can_flush)
		return err_set(e, EROFS,
			"%s: the server cannot flush, so nothing that is written is safe", s->uri);
	return 0;
}

static struct nbd_server *new_server(const char *name, struct err *e)
{
	struct nbd_server *s = calloc(1, sizeof *s);
	pthread_rwlockattr_t attributes;

	if (s)
		s->uri = strdup(name);
	if (!s || !s->uri) {
		free(s);
		err_nomem(e);
		return NULL;
	}
	pthread_mutex_init(&s->lock, NULL);
	clock_gettime(CLOCK_REALTIME, &s->when);
	streams_init(&s->streams);
	pthread_rwlockattr_init(&attributes);
#ifdef PTHREAD_RWLOCK_WRITER_NONRECURSIVE_INITIALIZER_NP
	pthread_rwlockattr_setkind_np(&attributes, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
#endif
	pthread_rwlock_init(&s->parts_lock, &attributes);
	pthread_rwlockattr_destroy(&attributes);
	return s;
}

int nbd_server_connect(
	const char *uri, const struct nbd_options *o, struct nbd_server **out, struct err *e)
{
	struct nbd_server *s;
	int r = check_tls(uri, o, e);

	if (r == 0)
		r = libnbd_load(e);
	if (r < 0)
		return r;
	s = new_server(o->name ? o->name : uri, e);
	if (!s)
		return -e->code;
	r = connect_all(s, uri, o, e);
	if (r == 0) {
		s->ahead = ahead_new(s->size, server_send, s, e);
		s->extents = s->ahead ? extents_new(e) : NULL;
		r = s->extents ? 0 : -e->code;
	}
	if (r < 0) {
		nbd_server_disconnect(s);
		return r;
	}
	*out = s;
	return 0;
}

/* The others may fail at the same time, and look for one that is alive. */
static void end_connection(struct nbd_server *s, unsigned i)
{
	struct connection *c;

	pthread_mutex_lock(&s->lock);
	c = s->connections[i];
	s->connections[i] = NULL;
	pthread_mutex_unlock(&s->lock);
	connection_end(c);
}

void nbd_server_disconnect(struct nbd_server *s)
{
	if (!s)
		return;
	for (unsigned i = 0; i < s->n; i++)
		end_connection(s, i);
	ahead_free(s->ahead);
	extents_free(s->extents);
	streams_end(&s->streams);
	pthread_rwlock_destroy(&s->parts_lock);
	pthread_mutex_destroy(&s->lock);
	free(s->title);
	free(s->uri);
	free(s);
}

const char *nbd_server_uri(const struct nbd_server *s)
{
	return s->uri;
}

void nbd_server_pause(struct nbd_server *s)
{
	for (unsigned i = 0; i < s->n; i++)
		connection_pause(s->connections[i]);
}

int nbd_server_resume(struct nbd_server *s, struct err *e)
{
	int r = 0;

	for (unsigned i = 0; r == 0 && i < s->n; i++)
		r = connection_resume(s->connections[i], e);
	return r < 0 ? err_in(e, "%s", s->uri) : 0;
}

void nbd_server_abort(struct nbd_server *s)
{
	pthread_mutex_lock(&s->lock);
	if (!s->reason[0])
		snprintf(s->reason, sizeof s->reason, "the connection is not needed any more");
	s->failed = true;
	s->failed_logged = true; /* nobody is interested */
	pthread_mutex_unlock(&s->lock);
	for (unsigned i = 0; i < s->n; i++)
		connection_abort(s->connections[i]);
}

unsigned nbd_server_sockets(const struct nbd_server *s, uint32_t *sockets, unsigned max)
{
	unsigned n = 0;

	for (; n < s->n && n < max; n++)
		sockets[n] = (uint32_t)connection_socket(s->connections[n]);
	return n;
}
