/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "servers.h"

#include <errno.h>
#include <stdbool.h>

#include "nbd/nbd.h"
#include "util/err.h"
#include "util/protocol.h"
#include "child-server.h"
#include "options.h"

/* How long after a failure the child may take to end, in ms: its socket may be closed before. */
#define END_MAX 1000

bool servers_any(const struct options *o)
{
	return o->command || protocol_is_nbd(o->image) ||
	       (o->words.backing && protocol_is_nbd(o->words.backing));
}

/* name: of the server in messages; NULL: its URI. */
static int connect_one(struct servers *s, const struct options *o, const char *uri,
	const char *name, bool write, struct err *e)
{
	struct nbd_options how = open_words_server(&o->words, o->image, uri);
	int ret;

	how.write = write;
	how.name = name;
	ret = nbd_server_connect(uri, &how, &s->list[s->n], e);
	if (ret == 0)
		s->n++;
	return ret;
}

/* The server has printed the reason before it ended. */
static int connect_child(struct servers *s, const struct options *o, struct child_server *child,
	bool write, struct log *log, struct err *e)
{
	int ret = relay_init(&s->relay, child->printed, log, o->command[0], e);

	child->printed = -1;
	if (ret == 0)
		ret = relay_start(&s->relay, e);
	if (ret == 0)
		ret = connect_one(s, o, child->uri, o->image, write, e);
	child_server_remove(child);
	if (ret < 0) {
		relay_await_end(&s->relay, END_MAX);
		relay_stop(&s->relay);
		if (atomic_load(&s->relay.ended))
			err_set(e, EIO, "%s: the server ended before it answered", o->image);
	}
	return ret;
}

int servers_connect(struct servers *s, const struct options *o, struct child_server *child,
	struct log *log, struct err *e)
{
	bool write = o->writable && !o->cow;
	int ret = 0;

	*s = (struct servers){.writes = write && (o->command || protocol_is_nbd(o->image)),
		.relay = {.from = -1, .stop = -1, .stopped = -1}};
	if (o->command)
		ret = connect_child(s, o, child, write, log, e);
	else if (protocol_is_nbd(o->image))
		ret = connect_one(s, o, o->image, NULL, write, e);
	if (ret == 0 && o->words.backing && protocol_is_nbd(o->words.backing))
		ret = connect_one(s, o, o->words.backing, NULL, false, e);
	return ret;
}

unsigned servers_sockets(const struct servers *s, uint32_t *sockets, unsigned max)
{
	unsigned n = 0;

	for (size_t i = 0; i < s->n; i++)
		n += nbd_server_sockets(s->list[i], sockets + n, max - n);
	return n;
}

void servers_pause(struct servers *s)
{
	for (size_t i = 0; i < s->n; i++)
		nbd_server_pause(s->list[i]);
	relay_stop(&s->relay);
}

int servers_resume(struct servers *s, struct err *e)
{
	int ret = relay_start(&s->relay, e);

	for (size_t i = 0; ret == 0 && i < s->n; i++)
		ret = nbd_server_resume(s->list[i], e);
	return ret;
}

void servers_abort(struct servers *s)
{
	for (size_t i = s->writes ? 1 : 0; i < s->n; i++)
		nbd_server_abort(s->list[i]);
}

void servers_free(struct servers *s)
{
	for (size_t i = 0; i < s->n; i++)
		nbd_server_disconnect(s->list[i]);
	s->n = 0;
	relay_free(&s->relay);
}
