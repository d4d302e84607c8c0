/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* fuse-conf.h - /etc/fuse.conf, which limits what fusermount3 does for users. */
#ifndef VDISK_TOOLS_LIB_FUSE_CONF_H
#define VDISK_TOOLS_LIB_FUSE_CONF_H

#include <stdbool.h>

/* Is user_allow_other set, so that a user may give root and others access to a mount? */
bool fuse_conf_allows_other(void);

#endif
