/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* verb-table.h - the one table of verbs and options. */
#ifndef VDISK_TOOLS_VERB_TABLE_H
#define VDISK_TOOLS_VERB_TABLE_H

#include "lib/verb.h"

extern const struct verb verbs[]; /* ends with a name of NULL */

#endif
