/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* map.h - the places of the bytes of a logical volume: a table over physical volumes and over the
 * logical volumes that it is made of, which are maps themselves.
 *
 * Maps are shared: the pool of many thin volumes is one map.  A map does not change once it is
 * made, and belongs to one set of volumes.
 */
#ifndef VDISK_VOLUME_LVM_MAP_H
#define VDISK_VOLUME_LVM_MAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct err;
struct lvm_map;
struct table;
struct view;

/* How a map that is no table becomes a view. */
struct lvm_map_ops {
	/* The view over the children's, which it owns on success; those that are missing are NULL.
	 */
	struct view *(*view)(const struct lvm_map *m, struct view **children, struct err *e);
	void (*free)(void *description);
};

struct lvm_map {
	size_t refs;
	size_t parts;  /* maps in it and below, itself included */
	uint64_t size; /* bytes */
	struct lvm_map **children;
	size_t nchildren;
	size_t *pvs; /* numbers of devices */
	size_t npvs;
	struct table *table;           /* its members are the children, then the devices */
	const struct lvm_map_ops *ops; /* instead of a table */
	void *description;             /* of ops; owned */
	const char *no_writing;        /* the reason; NULL: it can be written */
	bool changes_bytes;            /* they are not those of devices, one by one */
};

/* An empty map with one reference. */
struct lvm_map *lvm_map_new(struct err *e);
void lvm_map_unref(struct lvm_map *m); /* NULL is fine */

/* Appends a child; takes the reference, also if it fails.  NULL: one that is missing.  E2BIG: there
 * are more than LVM_MAX_PARTS then. */
int lvm_map_add_child(struct lvm_map *m, struct lvm_map *child, struct err *e);

/* Appends a device, unless it is there; *index becomes its place. */
int lvm_map_add_pv(struct lvm_map *m, size_t number, size_t *index, struct err *e);

/* Calls back once for each device of a map and of those below. */
void lvm_map_each_pv(const struct lvm_map *m, void (*found)(size_t number, void *arg), void *arg);

/* The view over devices, by their numbers, which must outlive it. */
struct view *lvm_map_view(const struct lvm_map *m, struct view *const *devices, struct err *e);

/* The same of a table that owns the n devices, all of which are in devices, too; those of the table
 * itself come first, in its order. */
struct view *lvm_map_view_over(const struct lvm_map *m, struct view *const *devices,
	struct view *const *owned, size_t n, struct err *e);

#endif
