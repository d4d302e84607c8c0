/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* fs-mount.c - see fs-mount.h.
 *
 * As root, mount(8) is tried first, and a FUSE program only where the kernel has no driver or the
 * host no loop device.  A read-only mount never writes to the image, so a journal that needs to be
 * replayed is skipped, with a warning.
 */
#include "fs-mount.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "subprocess.h"
#include "util/err.h"
#include "hidden-view.h"
#include "partition/filesystem.h"
#include "mount-table.h"
#include "part-file.h"
#include "report.h"
#include "unmount.h"

#define FSCK_CORRECTED 1 /* exit status of fsck(8) */

/* The types of file systems, by the names of libblkid. */

struct fs_type {
	const char *types;      /* names, separated by blanks */
	const char *kernel;     /* additional options for mount(8), or NULL */
	const char *norecovery; /* its option that skips replaying the journal */
	const char *driver;     /* another name of the kernel's driver */
	const char *program;    /* a FUSE program for users, and its package; NULL: none is known */
	const char *fsck;       /* checks the file before the program may write to it */
	const char *flag;       /* an additional flag for the program */
	const char *options;    /* additional -o options for the program */
	const char *program_norecovery; /* its option that skips replaying the journal */
	bool names_source;   /* the program has no fsname option: its source is the file already */
	bool program_writes; /* its writing is reliable */
	bool read_only;      /* the format cannot be written */
};

static const struct fs_type fs_types[] = {
	{.types = "ext2 ext3 ext4 ext4dev",
		.norecovery = "noload",
		.program = "fuse2fs",
		/* fuse2fs 1.47.0 crashes when it replays a journal. */
		.fsck = "e2fsck",
		/* A user who can read the image can read files of its root. */
		.options = "fakeroot",
		.program_norecovery = "norecovery",
		.program_writes = true},
	/* Copies of a machine have the same UUID, and have to be mounted together. */
	{.types = "xfs", .kernel = "nouuid", .norecovery = "norecovery"},
	{.types = "btrfs", .norecovery = "rescue=nologreplay"},
	{.types = "f2fs nilfs2", .norecovery = "norecovery"},
	{.types = "reiserfs", .norecovery = "nolog"},
	{.types = "ntfs",
		.driver = "ntfs3",
		.program = "ntfs-3g",
		.names_source = true,
		.program_writes = true},
	{.types = "vfat", .program = "fusefat"},
	/* -n: no list of mounts in the home directory. */
	{.types = "iso9660", .program = "fuseiso", .flag = "-n", .read_only = true},
	{.types = "squashfs squashfs3", .program = "squashfuse", .read_only = true},
	{.types = "erofs cramfs romfs", .read_only = true},
	{.types = ""},
};

/* Is word one of words, separated by blanks? */
static bool is_among(const char *word, const char *words)
{
	size_t n = strlen(word);

	for (const char *at = words; *at; at += strcspn(at, " "), at += *at == ' ')
		if (strncmp(at, word, n) == 0 && (at[n] == ' ' || at[n] == '\0'))
			return true;
	return false;
}

/* Returns a row without a driver or program for an unknown type. */
static const struct fs_type *find_type(const char *type)
{
	const struct fs_type *fs = fs_types;

	while (fs->types[0] && !is_among(type, fs->types))
		fs++;
	return fs;
}

struct attempt {
	const struct fs_mount *m;
	const struct part_file *file;
	const struct fs_type *fs;
	const char *type;      /* by libblkid; "": unknown */
	const char *what;      /* "partition 2" */
	char output[ERR_TEXT]; /* standard error of the program that failed */
};

/* Reports the first line that the program printed. */
static void report_output(const struct attempt *t, const char *program)
{
	const char *text = t->output + strspn(t->output, "\n");
	int n = (int)strcspn(text, "\n");

	if (n > 0)
		report("%s: %s: %.*s", t->m->image, t->what, n, text);
	else
		report("%s: %s: %s failed", t->m->image, t->what, program);
}

static void warn_of_journal(const struct attempt *t)
{
	report("warning: %s: the journal of %s is not replayed: recent changes are missing",
		t->m->image, t->what);
}

/* By the kernel. */

static int run_mount(struct attempt *t, const char *options, const char *driver)
{
	const struct fs_mount *m = t->m;
	struct subprocess c = {.n = 0};
	char all[256];

	snprintf(all, sizeof all, "%s%s%s%s%s",
		m->writable ? "rw,loop,nosuid,nodev" : "ro,loop,nosuid,nodev,noexec",
		t->fs->kernel ? "," : "", t->fs->kernel ? t->fs->kernel : "", options ? "," : "",
		options ? options : "");
	subprocess_add(&c, "mount");
	if (driver) {
		subprocess_add(&c, "-t");
		subprocess_add(&c, driver);
	}
	subprocess_add(&c, "-o");
	subprocess_add(&c, all);
	subprocess_add(&c, "--");
	subprocess_add(&c, t->file->path);
	subprocess_add(&c, m->dir);
	return subprocess_run_quietly(&c, t->output, sizeof t->output);
}

/* Has the kernel a driver, or mount(8) a helper program? */
static bool kernel_knows(const char *type)
{
	FILE *f = fopen("/proc/filesystems", "re");
	char line[128], name[128], path[PATH_MAX];
	bool found = false;

	while (f && fgets(line, sizeof line, f))
		if (line[0] == '\t' && sscanf(line, "%127s", name) == 1 && strcmp(name, type) == 0)
			found = true;
	if (f)
		fclose(f);
	snprintf(name, sizeof name, "mount.%s", type);
	return found || subprocess_find(name, path, sizeof path);
}

static bool try_kernel(struct attempt *t)
{
	char first[sizeof t->output];

	if (run_mount(t, NULL, NULL) == 0)
		return true;
	memcpy(first, t->output, sizeof first);
	if (!t->m->writable && t->fs->norecovery && run_mount(t, t->fs->norecovery, NULL) == 0) {
		warn_of_journal(t);
		return true;
	}
	if (t->fs->driver && run_mount(t, NULL, t->fs->driver) == 0)
		return true;
	memcpy(t->output, first, sizeof first);
	return false;
}

/* By a program. */

/* Will vdisk umount find the mount in the list of mounts? */
static bool is_listed(const struct attempt *t)
{
	const struct mounted *x;
	struct mount_table list;
	struct err e = ERR_INIT;
	char file[2 * PATH_MAX];
	bool listed = false;

	if (mount_table_read(&list, &e) < 0)
		report_failure(&e);
	x = mount_table_find(&list, t->m->dir);
	if (x && x->file) {
		snprintf(file, sizeof file, "%s/%s", x->view, x->file);
		listed = strcmp(file, t->file->path) == 0;
	}
	mount_table_free(&list);
	return listed;
}

/* Is the file system mounted, and does it answer?  Some programs exit with 0 although they failed.
 * before: the device of the directory without the mount. */
static bool is_served(const struct attempt *t, dev_t before)
{
	struct stat st;
	bool answers = stat(t->m->dir, &st) == 0;

	if (answers && st.st_dev == before)
		return false;
	if (answers && is_listed(t))
		return true;
	unmount_dead(t->m->dir);
	return false;
}

static bool run_program(struct attempt *t, const char *option)
{
	const struct fs_mount *m = t->m;
	const struct fs_type *fs = t->fs;
	struct subprocess c = {.n = 0};
	char *source = fs->names_source ? NULL : subprocess_option("fsname=", t->file->path);
	const char *options[] = {m->writable ? "rw" : "ro", fs->options, option, source};
	struct stat before;
	bool good = stat(m->dir, &before) == 0;

	subprocess_add(&c, fs->program);
	if (fs->flag)
		subprocess_add(&c, fs->flag);
	subprocess_add(&c, t->file->path);
	subprocess_add(&c, m->dir);
	for (size_t i = 0; i < sizeof options / sizeof options[0]; i++) {
		if (!options[i])
			continue;
		subprocess_add(&c, "-o");
		subprocess_add(&c, options[i]);
	}
	good = good && subprocess_run_quietly(&c, t->output, sizeof t->output) == 0 &&
	       is_served(t, before.st_dev);
	free(source);
	return good;
}

/* Without allow_root, root has no access to a user's mount, and so a set-user-ID program has none.
 */
static bool is_kept_out(const char *path)
{
	struct stat st;

	return getuid() != 0 && stat(path, &st) == 0 && st.st_mode & S_ISUID && st.st_uid == 0 &&
	       !hidden_view_admits_root();
}

/* False if no program can mount it, which is reported. */
static bool check_program(const struct attempt *t)
{
	const struct fs_type *fs = t->fs;
	const struct fs_mount *m = t->m;
	bool none = !fs->program || (m->writable && !fs->program_writes);
	char path[PATH_MAX];

	if (none && getuid() == 0)
		report("%s: %s is %s, for which this kernel has no driver or no loop device",
			m->image, t->what, t->type);
	else if (none && m->writable)
		report("%s: %s is %s, to which only root can write: sudo vdisk mount --rw ...",
			m->image, t->what, t->type);
	else if (none)
		report("%s: %s is %s, which only root can mount: sudo vdisk mount ...", m->image,
			t->what, t->type);
	else if (!subprocess_find(fs->program, path, sizeof path))
		report("%s: %s is %s, which needs %s: install the package %s", m->image, t->what,
			t->type, fs->program, fs->program);
	else if (is_kept_out(path))
		report("%s: %s is %s, and %s may not read a user's mount: add the line "
		       "user_allow_other to /etc/fuse.conf, or sudo vdisk mount ...",
			m->image, t->what, t->type, fs->program);
	else
		return true;
	return false;
}

static bool try_program(struct attempt *t)
{
	const struct fs_type *fs = t->fs;
	struct subprocess fsck = {.words = {fs->fsck, "-p", t->file->path}, .n = 3};

	if (!check_program(t))
		return false;
	/* The checker replays the journal. */
	if (t->m->writable && fs->fsck &&
		subprocess_run_quietly(&fsck, t->output, sizeof t->output) > FSCK_CORRECTED) {
		report_output(t, fs->fsck);
		return false;
	}
	if (run_program(t, NULL))
		return true;
	if (!t->m->writable && fs->program_norecovery && run_program(t, fs->program_norecovery)) {
		warn_of_journal(t);
		return true;
	}
	report_output(t, fs->program);
	return false;
}

static bool mount_as_root(struct attempt *t)
{
	if (try_kernel(t))
		return true;
	/* Containers may have no loop devices. */
	if (kernel_knows(t->type) && access("/dev/loop-control", W_OK) == 0) {
		report_output(t, "mount");
		return false;
	}
	return try_program(t);
}

/* A partition with volumes in it, or swap space and the like. */
static void report_container(const struct attempt *t)
{
	const struct part_file *file = t->file;

	report("%s: %s has no file system of its own: %s", t->m->image, t->what,
		filesystem_describe(t->type));
	if (file->volumes[0])
		report_advice("these volumes are in it, and can be mounted in its place: %s",
			file->volumes);
	else if (is_among(t->type, "crypto_LUKS BitLocker"))
		report_advice("--passphrase-file=FILE opens it");
	else if (strcmp(t->type, "zfs_member") == 0)
		report_advice("as root: vdiskfs %s DIR; zpool import -o readonly=on -R /mnt -d "
			      "DIR/%s POOL",
			t->m->image, file->place);
}

bool fs_mount(const struct fs_mount *m, const struct part_file *file)
{
	struct attempt t = {.m = m, .file = file, .what = file->title};
	struct err e = ERR_INIT;
	struct filesystem id = {0};
	struct statvfs st;
	bool good = false;
	int fd = open(file->path, O_RDONLY | O_CLOEXEC), r;

	if (fd < 0)
		return !report("%s: %s", file->path, strerror(errno));
	r = filesystem_read_file(fd, &id, &e);
	close(fd);
	if (r < 0)
		return !report("%s: %s", m->image, e.text);
	t.type = id.type;
	t.fs = find_type(id.type);
	if (filesystem_describe(id.type))
		report_container(&t);
	else if (m->writable && t.fs->read_only)
		report("%s: %s is %s, which is read-only: leave out --rw", m->image, t.what,
			id.type);
	else if (!id.type[0])
		report("%s: %s has no known file system", m->image, t.what);
	else if (getuid() == 0)
		good = mount_as_root(&t);
	else
		good = try_program(&t);
	if (good && m->writable && statvfs(m->dir, &st) == 0 && st.f_flag & ST_RDONLY)
		report("warning: %s: %s is mounted read-only", m->image, t.what);
	return good;
}
