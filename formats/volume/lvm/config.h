/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* config.h - the text that LVM2 keeps its metadata in: sections, numbers, strings and arrays, as
 * lvm.conf(5) describes them and libdm/libdm-config.c of LVM2 reads them.
 *
 * The text is hostile: its length, its depth and the number of its values are limited.
 */
#ifndef VDISK_VOLUME_LVM_CONFIG_H
#define VDISK_VOLUME_LVM_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct err;
struct lvm_config;

/* A section, or a key with its values.  Keys and strings have no NUL inside. */
struct lvm_node {
	const char *key;
	bool is_section;
	uint32_t child, next;    /* for lvm_config_first and lvm_config_next */
	uint32_t value, nvalues; /* for lvm_config_values */
};

struct lvm_value {
	const char *text; /* NULL: a number */
	int64_t number;
};

/* Reads len bytes, or up to the first NUL.  EUCLEAN with the line, E2BIG, ENOMEM. */
int lvm_config_parse(const char *text, size_t len, struct lvm_config **config, struct err *e);
void lvm_config_free(struct lvm_config *c); /* NULL is fine */

/* The node that has all others in it. */
const struct lvm_node *lvm_config_root(const struct lvm_config *c);

/* The nodes of a section, in their order; NULL: no other. */
const struct lvm_node *lvm_config_first(const struct lvm_config *c, const struct lvm_node *section);
const struct lvm_node *lvm_config_next(const struct lvm_config *c, const struct lvm_node *node);

/* The section with this key; NULL: none. */
const struct lvm_node *lvm_config_section(
	const struct lvm_config *c, const struct lvm_node *section, const char *key);

/* The values of a key, one or an array; NULL, and *n is 0: there is no such key, or it is an array
 * of none. */
const struct lvm_value *lvm_config_values(
	const struct lvm_config *c, const struct lvm_node *section, const char *key, size_t *n);

/* A key with one string; NULL: there is none. */
const char *lvm_config_text(
	const struct lvm_config *c, const struct lvm_node *section, const char *key);

/* A key with one number from 0 up to max. */
bool lvm_config_number(const struct lvm_config *c, const struct lvm_node *section, const char *key,
	uint64_t max, uint64_t *number);

#endif
