/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* package.h - virtual machines packed up by the Open Virtualization Format: an .ova archive, or an
 * .ovf descriptor with its files beside it, as a list of disks.
 *
 * Opening a package reads the table of contents, the descriptor and the manifest, and no disk.
 * Each disk is opened as an image of its own.  Names in a disk of an archive lead to members of the
 * archive and nowhere else; with an .ovf the policy is that of any image in its directory.
 *
 * A package is shared by counting: an image holds the one that it came from.
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

/* Is the file a package, or means to be one, by its head, of which at least PACKAGE_PEEK bytes were
 * read?  An archive may be compressed by gzip as a whole. */
bool package_probe(struct io *io, const struct peek *peek);

/* Does a file of this name deserve that look?  For directories that are listed unopened. */
bool package_is_named(const char *name);

/* o must outlive the package and its images.  Its format is that of the disks; NULL: probe. */
int package_open(
	const char *path, const struct image_options *o, struct package **p, struct err *e);

/* The same for a path that nobody has chosen by hand: see image_open_in. */
int package_open_in(const char *fence, const char *path, const struct image_options *o,
	struct package **p, struct err *e);

/* The same of a file that is open and locked already, which it takes, also on failure. */
int package_open_io(
	struct io *io, const struct image_options *o, struct package **p, struct err *e);

/* The package stays as long as images of it are open; NULL is fine. */
void package_close(struct package *p);

/* The disks in the order that the machine has them, then those that are attached to none.  Their
 * names are those of their files as the descriptor gives them: unique, not to be trusted, and with
 * slashes when the package has directories. */
size_t package_count(const struct package *p);
const char *package_disk_name(const struct package *p, size_t disk);

/* Whether the files of an image from a package, and of its parents from there, are as the manifest
 * says: "ok", or "wrong: ..." and what; malloc'ed.  NULL without an error: there is no manifest.
 * Reads each file to its end once, however often it is asked; may be called from any thread. */
int package_verify(const struct image *img, char **verdict, struct err *e);

#endif
