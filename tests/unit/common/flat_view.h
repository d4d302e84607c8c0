/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* flat_view.h - a view of bytes in memory, and the comparison of a view with bytes. */
#ifndef UNIT_COMMON_FLAT_VIEW_H
#define UNIT_COMMON_FLAT_VIEW_H

#include <stddef.h>
#include <stdint.h>

struct view;

/* The bytes are borrowed, and may change.  view_free frees it. */
struct view *flat_view_new(const void *bytes, size_t len);

/* Makes every read of [off, off+len) fail. */
void flat_view_break(struct view *v, uint64_t off, uint64_t len);

/* Asserts that the view has these bytes: as a whole, and in random pieces that several threads
 * read. */
void flat_view_compare(const struct view *v, const void *bytes, size_t len);

#endif
