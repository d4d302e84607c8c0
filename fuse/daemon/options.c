/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* options.c - see options.h. */
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

#include "io/settings.h"
#include "util/bytes.h"
#include "util/err.h"
#include "nbd/nbd.h"
#include "util/printable.h"
#include "open/registry.h"
#include "util/nearest.h"
#include "ops/read.h"
#include "util/size.h"
#include "util/version.h"
#include "child-server.h"
#include "servers.h"

#define MAX_THREADS  128
#define DEFAULT_IDLE 10
#define MAX_IDLE     86400
#define NO_HOLDER    (-1)

enum {
	KEY_DEBUG,
	KEY_ALLOW_OTHER,
	KEY_REMOUNT,
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
	VALUE("snapshot=%s", snapshot),
	SET("nopassthrough", nopassthrough),
	SET("hints=vdisk", vdisk_hints), /* vdisk mount: hints name its options */
	VALUE("sandbox=%s", sandbox_word),
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
	SET("copy_on_read", copy_on_read),
	/* mount.fuse3 always passes dev or nodev, and suid or nosuid: see parse_writable. */
	SET("dev", mount_words),
	SET("nodev", mount_words),
	SET("suid", mount_words),
	SET("nosuid", mount_words),
	FUSE_OPT_KEY("allow_other", KEY_ALLOW_OTHER),
	FUSE_OPT_KEY("remount", KEY_REMOUNT),
	PASS_ON("allow_root"),
	PASS_ON("fsname="),
	PASS_ON("subtype="),
	PASS_ON("context="),
	PASS_ON("fscontext="),
	PASS_ON("defcontext="),
	PASS_ON("rootcontext="),
	/* Ignored: the mount is always nodev, nosuid, noexec and noatime. */
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
	IGNORE("mand"),
	IGNORE("nomand"),
	IGNORE("iversion"),
	IGNORE("noiversion"),
	IGNORE("silent"),
	IGNORE("loud"),
	IGNORE("symfollow"),
	IGNORE("nosymfollow"),
	IGNORE("auto_unmount"),
	IGNORE("default_permissions"),
	/* Options for other programs that read fstab. */
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
	"       vdiskfs [options] NBD-URI MOUNTPOINT\n"
	"       vdiskfs [options] '[' NBD-SERVER ARGUMENT... ']' MOUNTPOINT\n"
	"\n"
	"Mounts a disk image of a virtual machine as plain files: disk.raw, partitions/,\n"
	"snapshots/, chain/, info.json.  In the mount of a directory, each image in it is\n"
	"a directory of these.  \"fusermount3 -u MOUNTPOINT\" unmounts.\n"
	"\n"
	"Options:\n"
	"    -h, --help             print this help\n"
	"    -V, --version          print the version\n"
	"    --list-formats         list the formats and what is supported for each\n"
	"    -f                     stay in the foreground\n"
	"    -d, -o debug           print each request of the kernel (implies -f)\n"
	"    -s                     use one worker thread\n"
	"\n"
	"    -o format=FMT          format of IMAGE (default: probed)\n"
	"    -o allow=DIR           images may refer to files below DIR (repeatable)\n"
	"    -o search=DIR          search DIR for parents that moved (repeatable)\n"
	"    -o parent_format=FMT   format of a parent whose child does not record it\n"
	"                           (repeatable: for the next one down the chain)\n"
	"    -o passphrase-file=FILE\n"
	"                           read a passphrase for encrypted images from FILE,\n"
	"                           or from standard input for \"-\" (repeatable);\n"
	"                           UUID:FILE: for the volume with this UUID alone\n"
	"    -o luks-header=FILE    use the LUKS header in FILE for its volume\n"
	"                           (repeatable); UUID:FILE: for this partition\n"
	"    -o luks-memory=SIZE    memory that a LUKS key slot may need (1280M)\n"
	"    -o backing=FILE        the backing file of IMAGE, instead of the one that it\n"
	"                           names: a path or the URI of an NBD server\n"
	"    -o nobacking           do not open parents; their data cannot be read\n"
	"    -o ignore_parent_id    accept a parent modified after its child was created\n"
	"    -o share               read even if another program writes to the image\n"
	"    -o tls-certs=DIR       certificates for NBD servers with TLS: nbds://HOST\n"
	"    -o tls-psk=FILE        a file of pre-shared keys for them\n"
	"    -o nbd-timeout=SECONDS time for an answer of an NBD server (60)\n"
	"    -o snapshot=NAME       show this snapshot instead of the live state\n"
	"    -o disk=NAME           show this disk of a package that has several\n"
	"    -o nosnapshots         do not read the snapshot table\n"
	"    -o sandbox=on          confine the daemon as far as the kernel can (default)\n"
	"    -o sandbox=strict      fail if the kernel cannot;  -o sandbox=off: do not\n"
	"    -o cache=SIZE          memory for metadata and decoded clusters (32M)\n"
	"    -o threads=N           worker threads, 1 to 128\n"
	"    -o nopassthrough       read host files by the daemon, not by the kernel\n"
	"    -o idle=SECONDS        directory: close images unused for this long (10)\n"
	"    -o ro                  mount read-only (default)\n"
	"    -o rw                  write to the image, or to all images of the directory\n"
	"    -o writable            the same in fstab, where mount(8) always adds rw\n"
	"    -o cow                 write to an overlay that is discarded at unmount\n"
	"    -o cow=FILE            write to FILE, a qcow2 overlay, created if missing\n"
	"    -o copy_on_read        with cow=FILE: keep what is read in FILE, too\n"
	"\n"
	"    -o allow_other         give all users access, and root for loop devices\n"
	"                           (needs user_allow_other in /etc/fuse.conf)\n"
	"    -o allow_root          give root access\n"
	"    -o uid=N               owner of all files, by number (default: the caller)\n"
	"    -o gid=N               group of all files, by number\n"
	"    -o umask=OCTAL         permissions to remove (default: as of the image)\n"
	"    -o fsname=NAME         source in the list of mounts (default: IMAGE)\n"
	"    -o subtype=NAME        type in the list of mounts (default: vdiskfs)\n"
	"    -o max_read=N          size of the longest read in bytes\n"
	"    -o holder=FD           for programs: exit once the other end of the pipe FD\n"
	"                           and all files are closed, and remove MOUNTPOINT\n"
	"\n"
	"Options of mount(8) and fstab are accepted; \"mount -t vdiskfs\" works.\n";

__attribute__((format(printf, 1, 2))) static int complain(const char *fmt, ...)
{
	va_list ap;

	fputs("vdiskfs: ", stderr);
	va_start(ap, fmt);
	printable_vprint(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
	return -1;
}

static int parse_name(struct options *o, const char *arg)
{
	char **name = !o->image ? &o->image : &o->mountpoint;

	if (name == &o->mountpoint && arg == o->command_name)
		return complain("%s: a command is for the image, before the mount point", arg);
	if (*name)
		return complain(
			"\"%s\": too many operands, expected an image and a mount point", arg);
	*name = strdup(arg);
	return *name ? 0 : complain("out of memory");
}

/* Distinguishes "threads" for "threads=N" from an unknown option. */
static int refuse_option(const char *arg)
{
	struct nearest near = nearest_to(arg);
	size_t n = strlen(arg);

	for (const struct fuse_opt *known = spec; known->templ; known++) {
		if (strncmp(known->templ, arg, n) == 0 && known->templ[n] == '=')
			return complain("option \"%s\" needs a value: %s=...", arg, arg);
		nearest_offer(&near, known->templ);
	}
	if (open_words_has_value(arg))
		return complain("option \"%s\" needs a value: %s=...", arg, arg);
	open_words_offer(&near);
	if (near.best)
		return complain("unknown option \"%s\"; did you mean \"%.*s\"?", arg,
			(int)near.length, near.best);
	return complain("unknown option \"%s\"; vdiskfs --help lists them", arg);
}

/* The options that say how an image is opened are those of the library. */
static int parse_word(struct options *o, const char *arg)
{
	struct err e = ERR_INIT;
	int ret = open_words_add(&o->words, arg, &e);

	if (ret == -ENOENT)
		return o->helper.sloppy ? 0 : refuse_option(arg);
	return ret < 0 ? complain("%s", e.text) : 0;
}

/* For fuse_opt_parse: 0 if the option is handled, 1 to pass it on to libfuse, -1 after an error. */
static int parse_option(void *data, const char *arg, int key, struct fuse_args *out)
{
	struct options *o = data;

	(void)out;
	switch (key) {
	case KEY_DEBUG:
		o->debug = o->foreground = 1;
		return 1;
	case KEY_ALLOW_OTHER:
		o->access.for_all = true;
		return 1;
	case KEY_REMOUNT:
		return complain("-o remount: the options of a mount cannot be changed; "
				"unmount and mount again");
	case FUSE_OPT_KEY_NONOPT:
		return parse_name(o, arg);
	default:
		if (strncmp(arg, "x-", 2) == 0 || strncmp(arg, "X-", 2) == 0)
			return 0; /* fstab options for other programs */
		return parse_word(o, arg);
	}
}

static int parse_sandbox(struct options *o)
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

/* Without a word *n stays.  Accepts digits only: strtoul(3) would take blanks and a sign, too. */
static bool read_number(const char *word, int base, unsigned long max, unsigned long *n)
{
	char *end;

	if (!word)
		return true;
	if (word[0] < '0' || word[0] > '9')
		return false;
	errno = 0;
	*n = strtoul(word, &end, base);
	return *end == '\0' && errno == 0 && *n <= max;
}

/* Two threads for each processor: one waits for the disk while another decodes.  A server answers
 * each request late, and many at once; and while all requests that the kernel makes by itself
 * (MAX_BACKGROUND) wait for one that does not answer, others are served.  They are started when
 * they are needed. */
static unsigned long default_threads(const struct options *o)
{
	if (o->single_thread)
		return 1;
	if (servers_any(o))
		return MAX_THREADS;
	return (unsigned long)MIN(MAX(4, 2 * get_nprocs()), MAX_THREADS);
}

static int parse_numbers(struct options *o)
{
	unsigned long uid = getuid(), gid = getgid(), mask = 0, idle = DEFAULT_IDLE;
	unsigned long threads = default_threads(o);

	/* (uid_t)-1 is no user: chown(2) leaves the owner unchanged for it. */
	if (!read_number(o->uid_word, 10, UINT32_MAX - 1, &uid))
		return complain("uid=%s: expected the number of a user", o->uid_word);
	if (!read_number(o->gid_word, 10, UINT32_MAX - 1, &gid))
		return complain("gid=%s: expected the number of a group", o->gid_word);
	if (!read_number(o->umask_word, 8, 0777, &mask))
		return complain("umask=%s: expected an octal number such as 022", o->umask_word);
	if (!read_number(o->threads_word, 10, MAX_THREADS, &threads) || threads < 1)
		return complain(
			"threads=%s: expected a number from 1 to %d", o->threads_word, MAX_THREADS);
	if (!read_number(o->idle_word, 10, MAX_IDLE, &idle))
		return complain(
			"idle=%s: expected a number of seconds up to %d", o->idle_word, MAX_IDLE);
	o->access.uid = (uid_t)uid;
	o->access.gid = (gid_t)gid;
	o->access.has_umask = o->umask_word;
	o->access.umask = (mode_t)mask;
	o->threads = (unsigned)threads;
	o->idle = (unsigned)idle;
	return 0;
}

/* "rw" makes the image writable on our own command line only.  mount(8) passes it whenever fstab
 * has no "ro", to a mount helper or by mount.fuse3, which adds options about devices and
 * set-user-ID; there it stands for the default, which is read-only, and "writable" is needed. */
static int parse_writable(struct options *o)
{
	if (o->rw && !o->mount_words && !o->helper.is_helper)
		o->writable = 1;
	if (o->cow_file)
		o->cow = 1;
	if (o->cow)
		o->writable = 1;
	if (o->ro && o->writable)
		return complain("-o ro cannot be combined with rw, writable or cow");
	if (o->writable && o->snapshot)
		return complain("-o snapshot=%s: a snapshot cannot be written", o->snapshot);
	if (o->copy_on_read && !o->cow_file)
		return complain("-o copy_on_read: it needs a file for what was read: -o cow=FILE");
	return 0;
}

/* After those of the options were checked: a directory of the settings may be missing. */
static int check_words(struct options *o)
{
	enum open_use use = o->cow ? OPEN_OVERLAY : o->writable ? OPEN_WRITE : OPEN_READ;
	struct err e = ERR_INIT;

	if (open_words_check(&o->words, use, &e) < 0 ||
		settings_add_allowed(&o->words.allow, &e) < 0)
		return complain("%s", e.text);
	return 0;
}

static int check_and_complete(struct options *o)
{
	if (!o->image)
		return complain("no image given; see vdiskfs --help");
	if (!o->mountpoint)
		return complain("%s: no mount point given; see vdiskfs --help", o->image);
	if (o->max_read == 0 || o->max_read > READ_MAX)
		o->max_read = READ_MAX;
	if (parse_writable(o) < 0 || parse_sandbox(o) < 0 || parse_numbers(o) < 0)
		return -1;
	/* Programs that the daemon starts must not keep the pipe open. */
	if (o->holder != NO_HOLDER && fcntl(o->holder, F_SETFD, FD_CLOEXEC) < 0)
		return complain("holder=%d: %s", o->holder, strerror(errno));
	return check_words(o);
}

enum options_verdict options_parse(struct options *o, int argc, char **argv)
{
	*o = (struct options){.holder = NO_HOLDER, .words.cache = OPEN_CACHE};
	if (!mount_helper_translate(&o->helper, argc, argv))
		return OPTIONS_BAD;
	if (!o->helper.is_helper &&
		!child_server_take(&o->helper.argc, o->helper.argv, &o->command, &o->command_name))
		return OPTIONS_BAD;
	o->fuse = (struct fuse_args)FUSE_ARGS_INIT(o->helper.argc, o->helper.argv);
	if (fuse_opt_parse(&o->fuse, o, spec, parse_option) < 0)
		return OPTIONS_BAD;
	if (o->help)
		fputs(usage, stdout);
	else if (o->version)
		printf("vdiskfs %s\n", version_text);
	else if (o->list_formats)
		registry_print();
	else if (check_and_complete(o) < 0)
		return OPTIONS_BAD;
	else if (!o->helper.fake)
		return OPTIONS_MOUNT;
	return OPTIONS_DONE;
}

void options_free(struct options *o)
{
	fuse_opt_free_args(&o->fuse);
	mount_helper_free(&o->helper);
	open_words_free(&o->words);
	free(o->image);
	free(o->mountpoint);
	free(o->snapshot);
	free(o->cow_file);
	free(o->sandbox_word);
	free(o->threads_word);
	free(o->idle_word);
	free(o->uid_word);
	free(o->gid_word);
	free(o->umask_word);
	free(o->command);
	free(o->command_name);
}
