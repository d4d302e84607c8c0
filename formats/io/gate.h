/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* gate.h - a gate opens the files that an image names.
 *
 * Every byte of an image is hostile.  A name in it is a plain file name, never a protocol.  It is
 * resolved from the directory of the image that contains it and must lead to a regular file below
 * an allowed directory: the directory of the image that the user named, or one that the user
 * allowed.  The gate of an image in an archive opens members of that archive and nothing else.
 *
 * A parent that is known by its id alone is searched for, not named.  In that search, and in it
 * alone, an image in a machine's folder for snapshots (open/vbox-registry.h) may also lead to files
 * of the folder above, because both folders belong to one machine.  So an image in such a folder
 * can make the program open files of the machine's folder, and use as its parent an image there
 * that has the recorded id.  Names in a parent which was found there may lead below the machine's
 * folder, as if the user had named that image.
 */
#ifndef VDISK_IO_GATE_H
#define VDISK_IO_GATE_H

#include <stdbool.h>

struct err;
struct gate;
struct io;
struct package;

struct gate_ops {
	int (*open)(const struct gate *g, const char *name, const char *what, struct io **io,
		struct err *e);
	struct package *(*hold)(struct package *p); /* NULL: the gate has no package */
	void (*release)(struct package *p);
};

struct gate {
	const struct gate_ops *ops;
	const char *dir;  /* relative names start here; NULL: no name leads anywhere */
	const char *root; /* the allowed directory; NULL: dir becomes that of the next gate */
	const char *machine_dir; /* the one above root, for the search of a parent; or NULL */
	const char *const *allow, *const *search; /* more allowed directories; borrowed */
	struct package *package;                  /* the image belongs to it; NULL: to none */
	const char *package_path;
};

/* The gate to the files below dir, allow and search, all of which it borrows: not to be freed.  dir
 * NULL: the gate through which the user opens images. */
struct gate gate_on(const char *dir, const char *const *allow, const char *const *search);

/* Makes the gate of an image that was opened through from and lies at path, a path without links or
 * the name of a member; NULL: it is no file. */
int gate_init(struct gate *g, const struct gate *from, const char *path, struct err *e);
void gate_free(struct gate *g);

/* Opens a file by a name in an image, unlocked; what is a word for messages ("backing file").  The
 * error has the file, the reason, and the option that would allow it. */
int gate_open(
	const struct gate *g, const char *name, const char *what, struct io **io, struct err *e);

/* Likewise a file that may be the parent whose id is recorded: machine_dir is allowed, too. */
int gate_open_parent(
	const struct gate *g, const char *name, const char *what, struct io **io, struct err *e);

/* May gate_open resolve an absolute path at all? */
bool gate_may_look(const struct gate *g, const char *path);

/* For the ops of a gate to the host's files that has a package. */
int gate_open_on_host(
	const struct gate *g, const char *name, const char *what, struct io **io, struct err *e);

#endif
