/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* verbs.h - the table of verbs and options, and the functions of the verbs, each in a file of its
 * own.  All return the exit status. */
#ifndef VDISK_TOOLS_VERB_VERBS_H
#define VDISK_TOOLS_VERB_VERBS_H

struct args;
struct verb;

extern const struct verb verb_table[]; /* ends with a name of NULL; defined in verb-table.c */

int run_amend(const struct args *a);
int run_bench(const struct args *a);
int run_bitmap(const struct args *a);
int run_check(const struct args *a);
int run_commit(const struct args *a);
int run_compare(const struct args *a);
int run_completion(const struct args *a);
int run_convert(const struct args *a);
int run_create(const struct args *a);
int run_dd(const struct args *a);
int run_help(const struct args *a);
int run_info(const struct args *a);
int run_list(const struct args *a);
int run_map(const struct args *a);
int run_measure(const struct args *a);
int run_mount(const struct args *a);
int run_open(const struct args *a);
int run_rebase(const struct args *a);
int run_resize(const struct args *a);
int run_serve(const struct args *a);
int run_snapshot(const struct args *a);
int run_umount(const struct args *a);

#endif
