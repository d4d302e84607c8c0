/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* group.h - a volume group, from its metadata (lib/format_text/import_vsn1.c of LVM2).
 *
 * The sizes of a group and of its volumes are in extents, those of it in bytes.
 */
#ifndef VDISK_VOLUME_LVM_GROUP_H
#define VDISK_VOLUME_LVM_GROUP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "config.h"
#include "util/err.h"

struct lvm_map;

#define LVM_ID 39 /* "xxxxxx-xxxx-xxxx-xxxx-xxxx-xxxx-xxxxxx" and the NUL */

#define LVM_NAME 128 /* bytes of a name, and of one of device-mapper, with the NUL */

#define LVM_NO_PV SIZE_MAX

/* Flags that matter to a reader. */
enum {
	LVM_WRITE = 1 << 0,
	LVM_VISIBLE = 1 << 1,
	LVM_PVMOVE = 1 << 2,
	LVM_NOTSYNCED = 1 << 3,
	LVM_REBUILD = 1 << 4,
	LVM_MISSING = 1 << 5,
};

struct lvm_pv {
	const char *key; /* its name in the metadata, "pv0" */
	char id[LVM_ID];
	const char *hint; /* what the guest called its device; NULL: unknown */
	unsigned flags;
	uint64_t start;   /* bytes before the first extent */
	uint64_t extents; /* their number */

	/* For lvm.c: */
	size_t number; /* among the devices of the group; LVM_NO_PV: there is none */
	size_t other;  /* a second device with the same id; LVM_NO_PV: there is none */
};

struct lvm_lv {
	const char *name;
	char id[LVM_ID];
	unsigned flags;
	const char *unknown_flag; /* one that this reader does not know; NULL: none */
	uint64_t extents;
	struct lvm_segment *segments; /* in their order, without gaps */
	size_t nsegments;
	struct lvm_lv *snapshot; /* the hidden volume that makes this one a snapshot */
	bool is_origin;          /* of snapshots; writes would have to keep the old bytes for */

	/* For build.c: */
	struct lvm_map *map;
	struct lvm_map *store; /* of a snapshot: what its own segments say */
	struct err *failed;    /* why there is no map */
	bool is_used;          /* as a part of another one */
	bool is_striped;       /* and not linear */
};

struct lvm_segment {
	uint64_t start, extents;
	unsigned flags; /* of the volume */
	const char *type;
	const struct lvm_node *node;
	const struct lvm_lv *merging; /* thin: the snapshot that is to be merged into it; itself */
};

struct lvm_group {
	const char *name;
	char id[LVM_ID];
	uint64_t seqno;
	unsigned flags;
	uint64_t extent;    /* bytes */
	struct lvm_pv *pvs; /* sorted by key */
	size_t npvs;
	struct lvm_lv *lvs; /* sorted by name */
	size_t nlvs;
	struct lvm_config *config; /* owned; all texts are in it */
};

/* Part of a segment: extents of a physical or a logical volume from the first one on. */
struct lvm_area {
	struct lvm_pv *pv;
	struct lvm_lv *lv; /* NULL: pv is set */
	uint64_t extent;
	size_t part; /* for build.c: the number of the device in the map */
};

/* Reads only name, id and seqno. */
int lvm_group_read_head(const char *text, size_t len, struct lvm_group *g, struct err *e);

/* Reads all; EUCLEAN: it is not as LVM writes it.  Free with lvm_group_free, also after
 * lvm_group_read_head. */
int lvm_group_read(const char *text, size_t len, struct lvm_group *g, struct err *e);
void lvm_group_free(struct lvm_group *g);

struct lvm_pv *lvm_find_pv(const struct lvm_group *g, const char *key);
struct lvm_lv *lvm_find_lv(const struct lvm_group *g, const char *name);

/* Reads an array of areas, [ "pv0", 0, "pv1", 0 ], of n areas; the caller frees it.  NULL with an
 * error. */
struct lvm_area *lvm_areas(const struct lvm_group *g, const struct lvm_segment *s, const char *key,
	size_t n, struct err *e);

/* The volume that a key of a segment names; NULL with an error. */
struct lvm_lv *lvm_segment_lv(
	const struct lvm_group *g, const struct lvm_segment *s, const char *key, struct err *e);

/* A number of a segment from least up to most. */
int lvm_segment_number(const struct lvm_group *g, const struct lvm_segment *s, const char *key,
	uint64_t least, uint64_t most, uint64_t *number, struct err *e);

/* Formats the 32 characters of an id; false: they are not those of one. */
bool lvm_id_format(char id[LVM_ID], const char *raw);

/* Would LVM allow this as the name of a group or a volume? */
bool lvm_name_is_valid(const char *name);

#endif
