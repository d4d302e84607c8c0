/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* mount-id.c - see mount-id.h. */
#include "mount-id.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "io/host.h"

/* A flag of statx(2) since Linux 6.8; the C library's headers may be older. */
#define MNT_ID_UNIQUE 0x4000u

bool mount_id_get(const char *path, struct mount_id *id)
{
	struct statx st;

	*id = (struct mount_id){0};
	if (host_peek(AT_FDCWD, path, STATX_TYPE | MNT_ID_UNIQUE, &st) < 0)
		return false;
	id->dev = makedev(st.stx_dev_major, st.stx_dev_minor);
	id->id = st.stx_mask & MNT_ID_UNIQUE ? st.stx_mnt_id : 0;
	return true;
}
