/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* policy.h - the gate: which files a name inside an image may open.
 *
 * Every byte of an image is hostile.  A name in it is a plain file name, never a protocol.  It is
 * taken from the directory of the image that says it and must lead to a regular file below the
 * directory of the image that the user named, or below a directory that the user allowed.  Of an
 * image in an archive it leads to a member of that, or nowhere.
 */
#ifndef VDISK_POLICY_H
#define VDISK_POLICY_H

struct err;
struct image;
struct io;

/* Opens name as img says it, unlocked; what is a word for messages ("backing file").  The error
 * says which file was refused, why, and which option would let it in. */
int policy_open(
	const struct image *img, const char *name, const char *what, struct io **io, struct err *e);

#endif
