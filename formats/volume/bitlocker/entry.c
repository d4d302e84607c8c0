/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "entry.h"

#include "util/bytes.h"

#define HEADER 8u /* bytes: size, role, kind, version */

bool entry_next(struct entry_list *list, struct entry *x)
{
	size_t size = list->len < HEADER ? 0 : load_le16(list->data);

	if (size < HEADER || size > list->len)
		return false;
	*x = (struct entry){
		.role = load_le16(list->data + 2),
		.kind = load_le16(list->data + 4),
		.data = list->data + HEADER,
		.len = size - HEADER,
	};
	list->data += size;
	list->len -= size;
	return true;
}

bool entry_find(struct entry_list list, int role, unsigned kind, struct entry *x)
{
	while (entry_next(&list, x))
		if (x->kind == kind && (role < 0 || x->role == (unsigned)role))
			return true;
	return false;
}

struct entry_list entry_list_in(const struct entry *x, size_t skip)
{
	if (skip > x->len)
		skip = x->len;
	return (struct entry_list){.data = x->data + skip, .len = x->len - skip};
}
