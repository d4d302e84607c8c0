/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* help.h - prints --help from the table of verbs. */
#ifndef VDISK_TOOLS_VERB_HELP_H
#define VDISK_TOOLS_VERB_HELP_H

struct verb;

/* The overview of all verbs; the table ends with a name of NULL. */
void help_print(const struct verb *verbs);

/* The options of one verb. */
void help_print_verb(const struct verb *v);

/* The verb of this name; NULL: there is none, and the nearest name has been suggested. */
const struct verb *help_find(const struct verb *verbs, const char *name);

#endif
