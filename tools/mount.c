/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* mount.c - a file system of a guest, in one command: vdiskfs shows the image in a hidden place,
 * and the file of the partition there is mounted by the kernel (as root) or by a program for users.
 */
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "args.h"
#include "child.h"
#include "mounts.h"
#include "report.h"
#include "run.h"
#include "umount.h"

#define MAX_WORDS 24 /* -o of vdiskfs */

struct mounting {
	const struct args *args;
	const char *image, *partition; /* partition: NULL when none was named */
	char *dir;                     /* absolute */
	char *view;                    /* the hidden mount point */
	char file[PATH_MAX];           /* what shall be mounted */
	char type[64];                 /* of its file system; "" when it is not known */
	bool rw;
};

/* The daemon that was built with us, or else the one on the way. */
static const char *daemon_path(char *path, size_t size)
{
	ssize_t n = readlink("/proc/self/exe", path, size - sizeof "vdiskfs");
	char *slash;

	if (n > 0) {
		path[n] = '\0';
		slash = strrchr(path, '/');
		strcpy(slash + 1, "vdiskfs");
		if (access(path, X_OK) == 0)
			return path;
	}
	return "vdiskfs";
}

/* Commas and backslashes in words of -o are escaped for libfuse. */
static char *option_word(const char *key, const char *value)
{
	char *word = malloc(strlen(key) + 2 * strlen(value) + 1), *p;

	if (!word)
		return NULL;
	p = stpcpy(word, key);
	for (; *value; value++) {
		if (*value == ',' || *value == '\\')
			*p++ = '\\';
		*p++ = *value;
	}
	*p = '\0';
	return word;
}

struct words {
	char *v[MAX_WORDS];
	unsigned n;
};

static void add_words(
	struct words *w, const struct args *a, enum option_key key, const char *option)
{
	const struct given *g = &a->options[key];

	for (size_t i = 0; i < g->n && w->n < MAX_WORDS; i++) {
		w->v[w->n] = option_word(option, g->v[i] ? g->v[i] : "");
		if (w->v[w->n])
			w->n++;
	}
}

static bool show_image(const struct mounting *m)
{
	char path[PATH_MAX];
	struct command c = {.n = 0};
	struct words w = {.n = 0};
	int status;

	add_words(&w, m->args, OPT_FORMAT, "format=");
	add_words(&w, m->args, OPT_SHARE, "share");
	add_words(&w, m->args, OPT_ALLOW, "allow=");
	add_words(&w, m->args, OPT_SEARCH, "search=");
	add_words(&w, m->args, OPT_PARENT_FORMAT, "parent_format=");
	add_words(&w, m->args, OPT_PASSPHRASE, "passphrase-file=");
	add_words(&w, m->args, OPT_IGNORE_PARENT_ID, "ignore_parent_id");
	add_words(&w, m->args, OPT_NO_SNAPSHOTS, "nosnapshots");
	add_words(&w, m->args, OPT_SNAPSHOT, "snapshot=");
	command_add(&c, daemon_path(path, sizeof path));
	command_add(&c, "-o");
	command_add(&c, m->rw ? "hints=vdisk,rw" : "hints=vdisk,ro");
	for (unsigned i = 0; i < w.n && w.n < MAX_WORDS; i++) {
		command_add(&c, "-o");
		command_add(&c, w.v[i]);
	}
	command_add(&c, "--");
	command_add(&c, m->image);
	command_add(&c, m->view);
	status = w.n < MAX_WORDS ? command_run(&c, false) : report("too many options");
	if (status == 127)
		report("vdiskfs is not installed");
	for (unsigned i = 0; i < w.n; i++)
		free(w.v[i]);
	return status == 0;
}

static bool is_file(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 && S_ISREG(st.st_mode);
}

static bool try_file(struct mounting *m, const char *place, const char *name, const char *suffix)
{
	char real[PATH_MAX];

	if (snprintf(m->file, sizeof m->file, "%s/%s%s%s", m->view, place, name, suffix) >=
		(int)sizeof m->file)
		return false;
	/* Links lead to the file by its number, and that is what umount looks for. */
	if (!is_file(m->file) || !realpath(m->file, real))
		return false;
	strcpy(m->file, real);
	return true;
}

/* The partitions: how many, and the name of one of them. */
static unsigned count_partitions(const struct mounting *m, char *name, size_t size)
{
	char path[PATH_MAX];
	struct dirent *d;
	unsigned n = 0;
	DIR *dir;

	snprintf(path, sizeof path, "%s/partitions", m->view);
	dir = opendir(path);
	while (dir && (d = readdir(dir))) {
		const char *dot = strchr(d->d_name, '.');

		if (!dot || dot == d->d_name || strcmp(dot, ".raw") != 0)
			continue;
		snprintf(name, size, "%.*s", (int)(dot - d->d_name), d->d_name);
		n++;
	}
	if (dir)
		closedir(dir);
	return n;
}

static bool find_named(struct mounting *m)
{
	static const char *const places[] = {"partitions/by-label/", "partitions/by-partlabel/",
		"partitions/by-uuid/", "partitions/by-partuuid/"};

	if (strchr(m->partition, '/') || m->partition[0] == '.') {
		report("\"%s\" is neither the number nor a name of a partition", m->partition);
		return false;
	}
	if (try_file(m, "partitions/", m->partition, ".raw"))
		return true;
	for (size_t i = 0; i < sizeof places / sizeof places[0]; i++)
		if (try_file(m, places[i], m->partition, ""))
			return true;
	report("%s: there is no partition \"%s\"; vdisk info --tree shows those that there are",
		m->image, m->partition);
	return false;
}

static bool find_partition(struct mounting *m)
{
	char name[NAME_MAX + 1];
	unsigned n;

	if (m->partition)
		return find_named(m);
	n = count_partitions(m, name, sizeof name);
	if (n > 1) {
		report("%s: it has %u partitions; say which one, by its number or label", m->image,
			n);
		return false;
	}
	if (n == 1 ? try_file(m, "partitions/", name, ".raw") : try_file(m, "disk", "", ".raw"))
		return true;
	report("%s: it has no disk that could be mounted", m->image);
	return false;
}

static void read_type(struct mounting *m)
{
	ssize_t n = getxattr(m->file, "user.vdisk.partition.fstype", m->type, sizeof m->type - 1);

	m->type[n > 0 ? n : 0] = '\0';
}

/* A journal that was not played out needs writing; read-only it is left out of account. */
static const char *without_journal(const char *type)
{
	if (strcmp(type, "ext3") == 0 || strcmp(type, "ext4") == 0)
		return "ro,loop,nosuid,nodev,noexec,noload";
	if (strcmp(type, "xfs") == 0)
		return "ro,loop,nosuid,nodev,noexec,norecovery";
	return NULL;
}

static int mount_with(const struct mounting *m, const char *options, bool quiet)
{
	struct command c = {.n = 0};

	command_add(&c, "mount");
	command_add(&c, "-o");
	command_add(&c, options);
	command_add(&c, "--");
	command_add(&c, m->file);
	command_add(&c, m->dir);
	return command_run(&c, quiet);
}

static bool mount_by_kernel(const struct mounting *m)
{
	const char *again = m->rw ? NULL : without_journal(m->type);
	const char *plain = m->rw ? "rw,loop,nosuid,nodev" : "ro,loop,nosuid,nodev,noexec";

	if (mount_with(m, plain, again != NULL) == 0)
		return true;
	if (!again || mount_with(m, again, false) != 0)
		return false;
	report("warning: %s: its journal has changes that are not in what you see", m->image);
	return true;
}

/* Programs that mount a file system for a user. */
static const struct {
	const char *types, *program;
} helpers[] = {
	{"ext2 ext3 ext4", "fuse2fs"},
	{"ntfs", "ntfs-3g"},
	{"vfat", "fusefat"},
	{"iso9660", "fuseiso"},
	{"squashfs", "squashfuse"},
};

static const char *helper_for(const char *type)
{
	for (size_t i = 0; i < sizeof helpers / sizeof helpers[0]; i++) {
		const char *at = type[0] ? strstr(helpers[i].types, type) : NULL;
		size_t n = strlen(type);

		if (at && (at[n] == ' ' || at[n] == '\0'))
			return helpers[i].program;
	}
	return NULL;
}

static bool mount_by_helper(const struct mounting *m)
{
	const char *program = helper_for(m->type);
	struct command c = {.n = 0};
	char *source = option_word(m->rw ? "rw,fsname=" : "ro,fsname=", m->file);
	int status;

	if (!program || !command_is_there(program)) {
		report("only root can mount %s%s%s", m->type[0] ? m->type : "this file system",
			program ? "; for users there is " : "", program ? program : "");
		free(source);
		return false;
	}
	command_add(&c, program);
	command_add(&c, m->file);
	command_add(&c, m->dir);
	command_add(&c, "-o");
	command_add(&c, source ? source : "ro");
	status = command_run(&c, false);
	free(source);
	return status == 0;
}

static bool mount_partition(struct mounting *m)
{
	if (!find_partition(m))
		return false;
	read_type(m);
	return getuid() == 0 ? mount_by_kernel(m) : mount_by_helper(m);
}

static bool make_view(struct mounting *m)
{
	char *home = mounts_home(true);
	bool made = home && asprintf(&m->view, "%s/XXXXXX", home) >= 0 && mkdtemp(m->view);

	if (home && !made)
		report("%s: %s", home, strerror(errno));
	free(home);
	return made;
}

static int mount_image(struct mounting *m)
{
	if (!make_view(m))
		return EXIT_FAILURE;
	if (!show_image(m)) {
		rmdir(m->view);
		return EXIT_FAILURE;
	}
	if (mount_partition(m))
		return EXIT_SUCCESS;
	umount_view(m->view, true);
	return EXIT_FAILURE;
}

int run_mount(const struct args *a)
{
	struct mounting m = {.args = a, .rw = args_has(a, OPT_RW)};
	struct stat st;
	int status;

	if (a->n != 2 && a->n != 3)
		return args_misused("Expecting an image, perhaps a partition, and a directory");
	m.image = a->operands[0];
	m.partition = a->n == 3 ? a->operands[1] : NULL;
	m.dir = realpath(a->operands[a->n - 1], NULL);
	if (!m.dir || stat(m.dir, &st) < 0)
		return report("%s: %s", a->operands[a->n - 1], strerror(errno));
	if (S_ISDIR(st.st_mode))
		status = mount_image(&m);
	else
		status = report("%s: a mount point must be a directory", m.dir);
	free(m.view);
	free(m.dir);
	return status;
}
