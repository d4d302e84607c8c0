/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* package.h - a virtual machine in the Open Virtualization Format: an .ova archive, or an .ovf
 * descriptor with its files beside it, as a list of disks.
 *
 * Opening a package reads the table of contents, the descriptor and the manifest, and no disk.
 * Each disk is opened as an image of its own.  Names in a disk of an archive lead to members of the
 * archive and nowhere else; those in a disk beside an .ovf, to files below its directory.
 *
 * A package is shared by counting: the gate of an image holds the package of the image.
 */
#ifndef VDISK_OPEN_PACKAGE_H
#define VDISK_OPEN_PACKAGE_H

#include <stdbool.h>
#include <stddef.h>

struct err;
struct image;
struct image_options;
struct io;
struct package;
struct peek;

#define PACKAGE_PEEK 4096u

/* Does a file look like a package, by its name and its head, of which at least PACKAGE_PEEK bytes
 * were read?  An archive may be compressed by gzip as a whole. */
bool package_probe(struct io *io, const struct peek *peek);

/* May a file of this name be a package?  For directories, whose files are not opened. */
bool package_is_named(const char *name);

/* Opens a package in a file that is open and locked; takes io, also on failure.  o must outlive the
 * package and its images.  Its format is that of the disks; NULL: probe. */
int package_open_io(
	struct io *io, const struct image_options *o, struct package **p, struct err *e);

/* The same for a path below the directory root: see image_open_in. */
int package_open_in(const char *root, const char *path, const struct image_options *o,
	struct package **p, struct err *e);

/* The package stays as long as images of it are open; NULL is fine. */
void package_close(struct package *p);

/* The disks in the order of the machine, then those that are attached to none.  A disk has the name
 * of its file in the descriptor: unique, not to be trusted, and with slashes when the package has
 * directories. */
size_t package_count(const struct package *p);
const char *package_disk_name(const struct package *p, size_t disk);

/* Compares the files of an image of a package, and of its parents there, with the manifest: "ok",
 * or "wrong: ..." and the difference; malloc'ed.  NULL without an error: there is no manifest. Each
 * file is read to its end once, however often this is called; from any thread. */
int package_verify(const struct image *img, char **verdict, struct err *e);

#endif
