/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* candidates.h - words that the completion scripts ask for while a line is being typed. */
#ifndef VDISK_TOOLS_VERB_CANDIDATES_H
#define VDISK_TOOLS_VERB_CANDIDATES_H

#include <stdbool.h>

struct args;

/* Prints one candidate a line: the mount points for "mounts", the numbers and names of partitions
 * for "partitions IMAGE", the options of create -o for "options FORMAT".  False: the operands are
 * none of these, or an error was reported. */
bool candidates_print(const struct args *a);

#endif
