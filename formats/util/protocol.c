/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "protocol.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "err.h"
#include "shell.h"

/* The kinds of protocols, each with a hint of its own. */
enum kind {
	NONE,
	NBD,    /* an NBD server, in the older form of QEMU or by a transport that we do not have */
	SERVER, /* read by a server that can be started */
	PATH,   /* a path follows */
	QEMU,   /* a way of QEMU to name a disk */
};

struct protocol {
	const char *name;
	enum kind kind;
	const char *server; /* its command; it is followed by the name, unless it ends with one */
};

#define QEMU_NBD "qemu-nbd -r -f raw"

static const struct protocol protocols[] = {
	{"nbd", NBD, NULL},
	{"nbds", NBD, NULL},
	{"nbd+tcp", NBD, NULL},
	{"nbds+tcp", NBD, NULL},
	{"nbd+unix", NBD, NULL},
	{"nbds+unix", NBD, NULL},
	{"nbd+vsock", NBD, NULL},
	{"nbds+vsock", NBD, NULL},
	{"nbd+ssh", NBD, NULL},
	{"nbds+ssh", NBD, NULL},
	{"http", SERVER, "nbdkit -r curl"},
	{"https", SERVER, "nbdkit -r curl"},
	{"ftp", SERVER, "nbdkit -r curl"},
	{"ftps", SERVER, "nbdkit -r curl"},
	{"tftp", SERVER, "nbdkit -r curl"},
	{"scp", SERVER, "nbdkit -r curl"},
	{"sftp", SERVER, "nbdkit -r curl"},
	{"ssh", SERVER, "nbdkit -r ssh host=HOST PATH"},
	{"rbd", SERVER, QEMU_NBD},
	{"s3", SERVER, "nbdkit -r S3 bucket=BUCKET key=NAME"},
	{"magnet", SERVER, "nbdkit -r torrent"},
	{"iscsi", SERVER, QEMU_NBD},
	{"iser", SERVER, QEMU_NBD},
	{"vsock", QEMU, NULL},
	{"file", PATH, NULL},
	{"fat", QEMU, NULL},
	{"vvfat", QEMU, NULL},
	{"json", QEMU, NULL},
	{"nfs", SERVER, QEMU_NBD},
	{"gluster", SERVER, QEMU_NBD},
	{"gluster+tcp", SERVER, QEMU_NBD},
	{"gluster+unix", SERVER, QEMU_NBD},
	{"gluster+rdma", SERVER, QEMU_NBD},
	{"sheepdog", QEMU, NULL},
	{"vxhs", QEMU, NULL},
	{"nvme", QEMU, NULL},
	{"null-co", QEMU, NULL},
	{"null-aio", QEMU, NULL},
	{"blkdebug", QEMU, NULL},
	{"blkverify", QEMU, NULL},
	{"blkreplay", QEMU, NULL},
	{"blklogwrites", QEMU, NULL},
	{"host_device", QEMU, NULL},
	{"host_cdrom", QEMU, NULL},
	{NULL, NONE, NULL},
};

#define LETTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"

/* The kind of the protocol in front of name; *len: of its name. */
static const struct protocol *find(const char *name, size_t *len)
{
	static const struct protocol unknown = {"", QEMU, NULL};
	size_t n = strspn(name, LETTERS "0123456789+-._");

	if (n == 0 || name[n] != ':' || !strchr(LETTERS, name[0]))
		return NULL;
	*len = n;
	for (const struct protocol *p = protocols; p->name; p++)
		if (strlen(p->name) == n && strncasecmp(p->name, name, n) == 0)
			return p;
	/* A URI, whatever it leads to: no path has an empty directory after its first part. */
	return strncmp(name + n, "://", 3) == 0 ? &unknown : NULL;
}

bool protocol_is_nbd(const char *name)
{
	static const char *const schemes[] = {"nbd://", "nbds://", "nbd+unix://", "nbds+unix://",
		"nbd+vsock://", "nbds+vsock://", NULL};

	for (const char *const *s = schemes; *s; s++)
		if (strncasecmp(name, *s, strlen(*s)) == 0)
			return true;
	return false;
}

bool protocol_is_in(const char *name)
{
	size_t len;

	return find(name, &len) != NULL;
}

static int hint(const struct protocol *p, const char *name, size_t len, struct err *e)
{
	const char *rest = name + len + 1;

	if (p->kind == NBD)
		return err_hint(e, "NBD servers have URIs: nbd://HOST[:PORT][/EXPORT], "
				   "nbd+unix:///[EXPORT]?socket=PATH, and nbds for TLS");
	if (p->kind == SERVER) {
		bool is_whole = strchr(p->server, '=');

		return err_hint(e, "a server reads it: vdiskfs '[' %s%s%s ']' DIR", p->server,
			is_whole ? "" : " ", is_whole ? "" : shell_word(name).text);
	}
	if (p->kind == PATH && strncmp(rest, "//", 2) == 0)
		rest += 2;
	if (p->kind == PATH && rest[0])
		return err_hint(e, "the path alone is understood: %s", shell_word(rest).text);
	return err_hint(e, "a file of that name is ./%s", shell_word(name).text);
}

int protocol_refuse(const char *name, struct err *e)
{
	size_t len;
	const struct protocol *p = find(name, &len);

	if (!p)
		return 0;
	err_set(e, ENOTSUP, "%s: \"%.*s:\" is a protocol, and no part of a file's name", name,
		(int)len, name);
	return hint(p, name, len, e);
}
