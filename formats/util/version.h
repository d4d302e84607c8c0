/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* version.h - the version that the programs print. */
#ifndef VDISK_UTIL_VERSION_H
#define VDISK_UTIL_VERSION_H

/* For example "0.2.0 (v0.2.0-12-gabcdef0)"; without the tag or commit in brackets, if the source
 * was no git checkout. */
extern const char version_text[];

#endif
