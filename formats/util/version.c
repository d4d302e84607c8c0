/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* version.c - see version.h.  VDISK_VERSION is defined for this file only, because it changes with
 * every commit. */
#include "util/version.h"

const char version_text[] = VDISK_VERSION;
