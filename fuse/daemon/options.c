/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* options.c - the command line: ours, libfuse's, and what mount(8) and fstab put among them. */
#include "options.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysinfo.h>
#include <unistd.h>

#include "util/bytes.h"
#include "util/printable.h"
#include "open/registry.h"
#include "util/nearest.h"
#include "ops/read.h"
#include "util/size.h"

#define DEFAULT_CACHE (32u << 20)
#define MIN_CACHE     (1u << 20)
#define MAX_THREADS   64
#define DEFAULT_IDLE  10
#define MAX_IDLE      86400
#define NO_HOLDER     (-1)

enum {
	KEY_ALLOW,
	KEY_SEARCH,
	KEY_PARENT_FORMAT,
	KEY_PASSPHRASE,
	KEY_DEBUG,
	KEY_ALLOW_OTHER,
};

#define SET(word, member)                                                                          \
	{                                                                                          \
		word, offsetof(struct options, member), 1                                          \
	}
#define VALUE(format, member)                                                                      \
	{                                                                                          \
		format, offsetof(struct options, member), 0                                        \
	}
#define IGNORE(word)  FUSE_OPT_KEY(word, FUSE_OPT_KEY_DISCARD)
#define PASS_ON(word) FUSE_OPT_KEY(word, FUSE_OPT_KEY_KEEP)

static const struct fuse_opt spec[] = {
	SET("-h", help),
	SET("--help", help),
	SET("-V", version),
	SET("--version", version),
	SET("--list-formats", list_formats),
	SET("-f", foreground),
	SET("-s", single_thread),
	FUSE_OPT_KEY("-d", KEY_DEBUG),
	FUSE_OPT_KEY("debug", KEY_DEBUG),
	VALUE("format=%s", format),
	VALUE("snapshot=%s", snapshot),
	FUSE_OPT_KEY("allow=", KEY_ALLOW),
	FUSE_OPT_KEY("search=", KEY_SEARCH),
	FUSE_OPT_KEY("parent_format=", KEY_PARENT_FORMAT),
	FUSE_OPT_KEY("passphrase-file=", KEY_PASSPHRASE),
	SET("nobacking", nobacking),
	SET("share", share),
	SET("nosnapshots", nosnapshots),
	SET("ignore_parent_id", ignore_parent_id),
	SET("hints=vdisk", vdisk_hints), /* from vdisk mount: hints in its words */
	VALUE("sandbox=%s", sandbox_word),
	VALUE("cache=%s", cache_word),
	VALUE("threads=%s", threads_word),
	VALUE("idle=%s", idle_word),
	VALUE("uid=%s", uid_word),
	VALUE("gid=%s", gid_word),
	VALUE("umask=%s", umask_word),
	VALUE("max_read=%u", max_read),
	VALUE("holder=%d", holder),
	SET("rw", rw),
	SET("ro", ro),
	SET("writable", writable),
	SET("cow", cow),
	VALUE("cow=%s", cow_file),
	/* mount(8) always says these two, one way or the other. */
	SET("dev", mount_words),
	SET("nodev", mount_words),
	SET("suid", mount_words),
	SET("nosuid", mount_words),
	FUSE_OPT_KEY("allow_other", KEY_ALLOW_OTHER),
	PASS_ON("allow_root"),
	PASS_ON("fsname="),
	PASS_ON("subtype="),
	PASS_ON("context="),
	PASS_ON("fscontext="),
	PASS_ON("defcontext="),
	PASS_ON("rootcontext="),
	/* What holds anyway: nothing makes a mount less safe than it is. */
	IGNORE("exec"),
	IGNORE("noexec"),
	IGNORE("atime"),
	IGNORE("noatime"),
	IGNORE("diratime"),
	IGNORE("nodiratime"),
	IGNORE("relatime"),
	IGNORE("norelatime"),
	IGNORE("strictatime"),
	IGNORE("nostrictatime"),
	IGNORE("lazytime"),
	IGNORE("nolazytime"),
	IGNORE("async"),
	IGNORE("sync"),
	IGNORE("dirsync"),
	IGNORE("auto_unmount"),
	IGNORE("default_permissions"),
	/* Words of fstab. */
	IGNORE("defaults"),
	IGNORE("auto"),
	IGNORE("noauto"),
	IGNORE("user"),
	IGNORE("user="),
	IGNORE("users"),
	IGNORE("nouser"),
	IGNORE("owner"),
	IGNORE("group"),
	IGNORE("nofail"),
	IGNORE("_netdev"),
	IGNORE("comment="),
	FUSE_OPT_END,
};

static const char usage[] =
	"Usage: vdiskfs [options] IMAGE-OR-DIRECTORY MOUNTPOINT\n"
	"\n"
	"Shows a virtual machine's disk image as plain files: disk.raw, partitions/,\n"
	"snapshots/, chain/, info.json; of a directory, each image in it as a\n"
	"directory of these.  Unmount with \"fusermount3 -u MOUNTPOINT\".\n"
	"\n"
	"Options:\n"
	"    -h, --help             this text\n"
	"    -V, --version          the version\n"
	"    --list-formats         the image formats and what can be done with each\n"
	"    -f                     stay in the foreground\n"
	"    -d, -o debug           show what the kernel asks (implies -f)\n"
	"    -s                     one worker thread\n"
	"\n"
	"    -o format=FMT          the format of IMAGE; do not look for it\n"
	"    -o allow=DIR           IMAGE may name files below DIR too (repeatable)\n"
	"    -o search=DIR          look in DIR for a parent that moved (repeatable)\n"
	"    -o parent_format=FMT   format of a parent that its child does not record\n"
	"                           (repeatable: of the next such one down the chain)\n"
	"    -o passphrase-file=FILE\n"
	"                           open encrypted images with what is in FILE, or on\n"
	"                           standard input if that is \"-\" (repeatable)\n"
	"    -o nobacking           leave parents closed; what they hold cannot be read\n"
	"    -o ignore_parent_id    take a parent that changed since its child was made\n"
	"    -o share               read although another program writes to the image\n"
	"    -o snapshot=NAME       show this snapshot in the place of the live state\n"
	"    -o nosnapshots         do not look at the internal snapshots\n"
	"    -o sandbox=on          lock the daemon in as far as the kernel can (default)\n"
	"    -o sandbox=strict      or do not mount;  -o sandbox=off  do not\n"
	"    -o cache=SIZE          memory for tables and decoded clusters (32M)\n"
	"    -o threads=N           worker threads, 1 to 64\n"
	"    -o idle=SECONDS        of a directory: close images unused for so long (10)\n"
	"    -o ro                  read-only, as without any of these:\n"
	"    -o rw                  write to the image, or to those in the directory\n"
	"    -o writable            the same for mount(8) and fstab, which always say rw\n"
	"    -o cow                 write to an overlay that is gone with the mount\n"
	"    -o cow=FILE            write to FILE, a qcow2 overlay, made if need be\n"
	"\n"
	"    -o allow_other         other users may look too (needs user_allow_other\n"
	"                           in /etc/fuse.conf); root too, for loop devices\n"
	"    -o allow_root          root may look\n"
	"    -o uid=N               whose files are, by number (who mounts)\n"
	"    -o gid=N               likewise the group\n"
	"    -o umask=OCTAL         permissions that nobody has, instead of the image's\n"
	"    -o fsname=NAME         the source in the list of mounts (IMAGE)\n"
	"    -o subtype=NAME        the type in the list of mounts (vdiskfs)\n"
	"    -o max_read=N          bytes of the longest read\n"
	"    -o holder=FD           for programs: end with the other end of the pipe FD\n"
	"                           and the last open file, and remove MOUNTPOINT\n"
	"\n"
	"The words of mount(8) and fstab are understood; \"mount -t fuse.vdiskfs\" works.\n";

static int complain(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

static int complain(const char *fmt, ...)
{
	va_list ap;

	fputs("vdiskfs: ", stderr);
	va_start(ap, fmt);
	printable_vprint(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
	return -1;
}

static int add_value(struct string_list *list, const char *arg)
{
	return string_list_add(list, strchr(arg, '=') + 1) ? 0 : complain("out of memory");
}

static int take_name(struct options *o, const char *arg)
{
	char **name = !o->image ? &o->image : &o->mountpoint;

	if (*name)
		return complain(
			"\"%s\" is one name too many: expected an image and a mount point", arg);
	*name = strdup(arg);
	return *name ? 0 : complain("out of memory");
}

/* "threads" for "threads=N" is no unknown option. */
static int refuse_option(const char *arg)
{
	struct nearest near = nearest_to(arg);
	size_t n = strlen(arg);

	for (const struct fuse_opt *known = spec; known->templ; known++) {
		if (strncmp(known->templ, arg, n) == 0 && known->templ[n] == '=')
			return complain("option \"%s\" wants a value: %s=...", arg, arg);
		nearest_offer(&near, known->templ);
	}
	if (near.best)
		return complain("unknown option \"%s\"; did you mean \"%.*s\"?", arg,
			(int)near.length, near.best);
	return complain("unknown option \"%s\"; vdiskfs --help lists them", arg);
}

/* 0: done with it, 1: libfuse shall see it, -1: complained. */
static int take_option(void *data, const char *arg, int key, struct fuse_args *out)
{
	struct options *o = data;

	(void)out;
	switch (key) {
	case KEY_ALLOW:
		return add_value(&o->allow, arg);
	case KEY_SEARCH:
		return add_value(&o->search, arg);
	case KEY_PARENT_FORMAT:
		return add_value(&o->parent_formats, arg);
	case KEY_PASSPHRASE:
		return add_value(&o->passphrases, arg);
	case KEY_DEBUG:
		o->debug = o->foreground = 1;
		return 1;
	case KEY_ALLOW_OTHER:
		o->access.for_all = true;
		return 1;
	case FUSE_OPT_KEY_NONOPT:
		return take_name(o, arg);
	default:
		if (strncmp(arg, "x-", 2) == 0 || strncmp(arg, "X-", 2) == 0)
			return 0; /* remarks in fstab for other programs */
		return refuse_option(arg);
	}
}

static int take_sandbox(struct options *o)
{
	const char *word = o->sandbox_word;

	if (!word || strcmp(word, "on") == 0)
		o->sandbox = SANDBOX_ON;
	else if (strcmp(word, "strict") == 0)
		o->sandbox = SANDBOX_STRICT;
	else if (strcmp(word, "off") == 0)
		o->sandbox = SANDBOX_OFF;
	else
		return complain("sandbox=%s: expected on, strict or off", word);
	return 0;
}

static int take_cache(struct options *o)
{
	uint64_t size;
	int ret;

	o->cache = DEFAULT_CACHE;
	if (!o->cache_word)
		return 0;
	ret = size_parse(o->cache_word, &size);
	if (ret == -EINVAL)
		return complain("cache=%s: expected a size such as 64M", o->cache_word);
	if (ret < 0 || size > SIZE_MAX / 2 || size < MIN_CACHE)
		return complain(
			"cache=%s: 1M is the least, and it must fit in memory", o->cache_word);
	o->cache = (size_t)size;
	return 0;
}

/* Accepts digits only: strtoul(3) would take blanks and a sign, too. */
static bool read_number(const char *word, int base, unsigned long max, unsigned long *n)
{
	char *end;

	if (word[0] < '0' || word[0] > '9')
		return false;
	errno = 0;
	*n = strtoul(word, &end, base);
	return *end == '\0' && errno == 0 && *n <= max;
}

static int take_threads(struct options *o)
{
	/* Two for each processor: one waits for the disk while another decodes. */
	unsigned long n = (unsigned long)MIN(MAX(4, 2 * get_nprocs()), MAX_THREADS);

	if (o->single_thread)
		n = 1;
	if (o->threads_word && (!read_number(o->threads_word, 10, MAX_THREADS, &n) || n < 1))
		return complain(
			"threads=%s: expected a number from 1 to %d", o->threads_word, MAX_THREADS);
	o->threads = (unsigned)n;
	return 0;
}

/* (uid_t)-1 is no user: chown(2) leaves the owner unchanged for it. */
static int take_access(struct options *o)
{
	struct access *a = &o->access;
	unsigned long uid = getuid(), gid = getgid(), mask = 0;

	if (o->uid_word && !read_number(o->uid_word, 10, UINT32_MAX - 1, &uid))
		return complain("uid=%s: expected the number of a user", o->uid_word);
	if (o->gid_word && !read_number(o->gid_word, 10, UINT32_MAX - 1, &gid))
		return complain("gid=%s: expected the number of a group", o->gid_word);
	if (o->umask_word && !read_number(o->umask_word, 8, 0777, &mask))
		return complain("umask=%s: expected an octal number such as 022", o->umask_word);
	a->uid = (uid_t)uid;
	a->gid = (gid_t)gid;
	a->has_umask = o->umask_word;
	a->umask = (mode_t)mask;
	return 0;
}

static int take_idle(struct options *o)
{
	unsigned long n = DEFAULT_IDLE;

	if (o->idle_word && !read_number(o->idle_word, 10, MAX_IDLE, &n))
		return complain("idle=%s: expected seconds, %d at most", o->idle_word, MAX_IDLE);
	o->idle = (unsigned)n;
	return 0;
}

/* Whoever writes "rw" wants to write.  But mount(8) puts it into every line that has no "ro",
 * always together with words on devices and set-user-ID: there it means no more than "by default",
 * which is not to write; "writable" is the word for it. */
static int take_writable(struct options *o)
{
	if (o->rw && !o->mount_words)
		o->writable = 1;
	if (o->cow_file)
		o->cow = 1;
	if (o->cow)
		o->writable = 1;
	if (o->ro && o->writable)
		return complain("-o ro: not together with rw, writable or cow");
	if (o->writable && o->snapshot)
		return complain("-o snapshot=%s: a snapshot cannot be written", o->snapshot);
	if (o->writable && o->nobacking)
		return complain("-o nobacking: what is written may need bytes of the parent");
	if (o->writable && !o->cow && o->share)
		return complain("-o share: an image that others write to cannot be written");
	return 0;
}

/* A directory that is not there would help with nothing, and nobody would know why. */
static int check_directories(const struct string_list *dirs, const char *option)
{
	for (size_t i = 0; i < dirs->n; i++) {
		struct stat st;

		if (stat(dirs->v[i], &st) < 0)
			return complain("%s=%s: %s", option, dirs->v[i], strerror(errno));
		if (!S_ISDIR(st.st_mode))
			return complain("%s=%s: not a directory", option, dirs->v[i]);
	}
	return 0;
}

static int check_names(const struct options *o)
{
	if (!o->image)
		return complain("no image named; vdiskfs --help tells more");
	if (!o->mountpoint)
		return complain("%s: no mount point named; vdiskfs --help tells more", o->image);
	return 0;
}

static int take_max_read(struct options *o)
{
	if (o->max_read == 0 || o->max_read > READ_MAX)
		o->max_read = READ_MAX;
	return 0;
}

/* The programs that we start shall not have it. */
static int take_holder(const struct options *o)
{
	if (o->holder != NO_HOLDER && fcntl(o->holder, F_SETFD, FD_CLOEXEC) < 0)
		return complain("holder=%d: %s", o->holder, strerror(errno));
	return 0;
}

static enum options_verdict answer(const struct options *o)
{
	if (o->help)
		fputs(usage, stdout);
	else if (o->version)
		puts("vdiskfs " VDISK_VERSION);
	else if (o->list_formats)
		registry_print();
	else
		return OPTIONS_MOUNT;
	return OPTIONS_DONE;
}

enum options_verdict options_parse(struct options *o, int argc, char **argv)
{
	enum options_verdict verdict;

	*o = (struct options){.fuse = FUSE_ARGS_INIT(argc, argv), .holder = NO_HOLDER};
	if (fuse_opt_parse(&o->fuse, o, spec, take_option) < 0)
		return OPTIONS_BAD;
	verdict = answer(o);
	if (verdict == OPTIONS_MOUNT &&
		(check_names(o) < 0 || take_writable(o) < 0 || take_sandbox(o) < 0 ||
			take_cache(o) < 0 || take_access(o) < 0 || take_threads(o) < 0 ||
			take_idle(o) < 0 || take_max_read(o) < 0 || take_holder(o) < 0 ||
			check_directories(&o->allow, "allow") < 0 ||
			check_directories(&o->search, "search") < 0))
		return OPTIONS_BAD;
	return verdict;
}

void options_free(struct options *o)
{
	fuse_opt_free_args(&o->fuse);
	string_list_free(&o->allow);
	string_list_free(&o->search);
	string_list_free(&o->parent_formats);
	string_list_free(&o->passphrases);
	free(o->image);
	free(o->mountpoint);
	free(o->format);
	free(o->snapshot);
	free(o->cow_file);
	free(o->sandbox_word);
	free(o->cache_word);
	free(o->threads_word);
	free(o->idle_word);
	free(o->uid_word);
	free(o->gid_word);
	free(o->umask_word);
}
