/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* access.c - see access.h. */
#include "access.h"

#include "image/image.h"
#include "io/io.h"

/* With another group than ours, a user may be of the group of the file, which gives no access, but
 * count as one of the others here: only a file that all can read is safe then. */
mode_t access_readers(mode_t mode, gid_t gid, gid_t ours)
{
	mode &= ACCESS_ALL;
	return gid == ours || mode == ACCESS_ALL ? mode : 0;
}

mode_t access_image_readers(const struct image *top, gid_t ours)
{
	mode_t readers = ACCESS_ALL;

	for (const struct image *img = top; img; img = img->parent)
		for (size_t i = 0; i < img->nfiles; i++)
			readers &= access_readers(img->files[i]->mode, img->files[i]->gid, ours);
	return readers;
}

mode_t access_mode(const struct access *a, mode_t type, mode_t readers)
{
	mode_t mode;

	if (S_ISLNK(type))
		return S_IFLNK | 0777;
	if (a->has_umask)
		return type | ((S_ISDIR(type) ? 0777 : 0666) & ~a->umask);
	mode = S_IRUSR | (a->for_all ? ACCESS_ALL : readers);
	return type | mode | S_IWUSR | (S_ISDIR(type) ? mode >> 2 : 0);
}

/* Without allow_other the kernel denies access to other users, whatever the modes are. */
bool access_is_narrower(const struct access *a, mode_t mode, mode_t wanted)
{
	return a->for_all && (mode & ~wanted & 0777) != 0;
}
