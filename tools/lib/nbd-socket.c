/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* nbd-socket.c - see nbd-socket.h. */
#include "nbd-socket.h"

#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "report.h"

/* Unix sockets. */

/* Is it a socket that was left over, on which nobody listens?  Sets errno for the others. */
static bool is_abandoned(const struct sockaddr_un *address)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	bool refused = fd >= 0 &&
		       connect(fd, (const struct sockaddr *)address, sizeof *address) < 0 &&
		       errno == ECONNREFUSED;
	struct stat st;

	if (fd >= 0)
		close(fd);
	refused = refused && lstat(address->sun_path, &st) == 0 && S_ISSOCK(st.st_mode);
	errno = EEXIST;
	return refused;
}

static bool bind_unix(int fd, const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	const struct sockaddr *generic = (const struct sockaddr *)&address;
	mode_t mask;
	bool good;
	int code;

	if (strlen(path) >= sizeof address.sun_path)
		return !report("%s: the name of a socket has at most %zu bytes", path,
			sizeof address.sun_path - 1);
	strcpy(address.sun_path, path);
	mask = umask(077);
	good = bind(fd, generic, sizeof address) == 0;
	if (!good && errno == EADDRINUSE && is_abandoned(&address) && unlink(path) == 0)
		good = bind(fd, generic, sizeof address) == 0;
	code = errno;
	umask(mask);
	return good || !report("%s: %s", path, strerror(code));
}

/* Sets path in a new directory below that of the session, or in /tmp. */
static bool choose_path(struct nbd_socket *s)
{
	const char *runtime = getenv("XDG_RUNTIME_DIR");

	if (asprintf(&s->dir, "%s/vdisk-serve.XXXXXX",
		    runtime && runtime[0] == '/' ? runtime : "/tmp") < 0) {
		s->dir = NULL;
		return !report("out of memory");
	}
	if (!mkdtemp(s->dir)) {
		report("%s: %s", s->dir, strerror(errno));
		free(s->dir);
		s->dir = NULL;
		return false;
	}
	if (asprintf(&s->path, "%s/nbd", s->dir) < 0) {
		s->path = NULL;
		return !report("out of memory");
	}
	return true;
}

bool nbd_socket_listen_unix(struct nbd_socket *s, const char *path)
{
	struct stat st;

	*s = (struct nbd_socket){.fd = -1};
	if (path)
		s->path = path[0] == '/' ? strdup(path) : realpath(".", NULL);
	if (path && s->path && path[0] != '/') {
		char *dir = s->path;

		if (asprintf(&s->path, "%s/%s", dir, path) < 0)
			s->path = NULL;
		free(dir);
	}
	if (path ? !s->path && report("out of memory") : !choose_path(s))
		return false;
	s->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (s->fd < 0)
		return !report("socket: %s", strerror(errno));
	if (!bind_unix(s->fd, s->path))
		return false;
	if (lstat(s->path, &st) == 0) {
		s->dev = st.st_dev;
		s->ino = st.st_ino;
	}
	return listen(s->fd, SOMAXCONN) == 0 || !report("%s: %s", s->path, strerror(errno));
}

/* TCP. */

/* Sets authority to that of the bound socket. */
static bool name_socket(struct nbd_socket *s)
{
	struct sockaddr_storage bound;
	socklen_t size = sizeof bound;
	char host[NI_MAXHOST], port[NI_MAXSERV];
	bool v6;

	if (getsockname(s->fd, (struct sockaddr *)&bound, &size) < 0 ||
		getnameinfo((struct sockaddr *)&bound, size, host, sizeof host, port, sizeof port,
			NI_NUMERICHOST | NI_NUMERICSERV) != 0)
		return !report("the address of the socket has no name");
	v6 = bound.ss_family == AF_INET6;
	if (asprintf(&s->authority, "%s%s%s:%s", v6 ? "[" : "", host, v6 ? "]" : "", port) < 0) {
		s->authority = NULL;
		return !report("out of memory");
	}
	return true;
}

static int listen_at(const struct addrinfo *at)
{
	int fd = socket(at->ai_family, at->ai_socktype | SOCK_CLOEXEC, at->ai_protocol), on = 1;

	if (fd >= 0 && setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) == 0 &&
		bind(fd, at->ai_addr, at->ai_addrlen) == 0 && listen(fd, SOMAXCONN) == 0)
		return fd;
	if (fd >= 0) {
		int code = errno;

		close(fd);
		errno = code;
	}
	return -1;
}

bool nbd_socket_listen_tcp(struct nbd_socket *s, const char *address, const char *port)
{
	struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV}, *list;
	int r;

	*s = (struct nbd_socket){.fd = -1};
	/* getaddrinfo(3) takes larger numbers, too. */
	if (!port[0] || port[strspn(port, "0123456789")] || strlen(port) > 5 || atoi(port) > 65535)
		return !report("'%s' is no port, a number from 0 to 65535", port);
	if (!address)
		address = "localhost";
	r = getaddrinfo(address, port, &hints, &list);
	if (r != 0)
		return !report("%s: port %s: %s", address, port, gai_strerror(r));
	for (const struct addrinfo *at = list; at && s->fd < 0; at = at->ai_next)
		s->fd = listen_at(at);
	if (s->fd < 0)
		report("%s: port %s: %s", address, port, strerror(errno));
	freeaddrinfo(list);
	return s->fd >= 0 && name_socket(s);
}

/* URIs. */

/* Appends text to the end of a string, with the escapes of a path or query of a URI; returns the
 * new end. */
static char *escape(char *end, const char *text)
{
	static const char plain[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~/";

	for (; *text; text++)
		if (strchr(plain, *text))
			*end++ = *text;
		else
			end += sprintf(end, "%%%02X", (unsigned char)*text);
	*end = '\0';
	return end;
}

char *nbd_socket_uri(const struct nbd_socket *s, const char *export)
{
	size_t size = 64 + 3 * (strlen(export) + strlen(s->path ? s->path : s->authority));
	char *uri = malloc(size), *end;

	if (!uri)
		return NULL;
	end = stpcpy(uri, s->path ? "nbd+unix:///" : "nbd://");
	if (!s->path)
		end = stpcpy(stpcpy(end, s->authority), "/");
	end = escape(end, export);
	if (s->path)
		escape(stpcpy(end, "?socket="), s->path);
	return uri;
}

void nbd_socket_end(struct nbd_socket *s)
{
	struct stat st;

	if (s->fd >= 0)
		close(s->fd);
	/* Another program may have replaced it. */
	if (s->ino && lstat(s->path, &st) == 0 && st.st_dev == s->dev && st.st_ino == s->ino)
		unlink(s->path);
	if (s->dir)
		rmdir(s->dir);
	free(s->path);
	free(s->dir);
	free(s->authority);
}
