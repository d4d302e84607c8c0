/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "protector.h"

#include <stdio.h>
#include <string.h>

#include "util/bytes.h"
#include "util/guid.h"
#include "secret.h"

#define HEADER  28u /* bytes before the entries: id, time, and what it needs */
#define SALT_AT 4u  /* in the data of a stretch key */

bool protector_next(struct entry_list *list, struct protector *p)
{
	struct entry x, stretch;

	do
		if (!entry_next(list, &x))
			return false;
	while (x.kind != KIND_PROTECTOR || x.len < HEADER);
	*p = (struct protector){.id = x.data, .needs = load_le16(x.data + 26)};
	if (entry_find(entry_list_in(&x, HEADER), -1, KIND_STRETCH, &stretch) &&
		stretch.len >= SALT_AT + SECRET_SALT)
		p->salt = stretch.data + SALT_AT;
	if (!entry_find(entry_list_in(&x, HEADER), -1, KIND_WRAPPED, &p->wrapped))
		p->wrapped.data = NULL;
	if (!entry_find(entry_list_in(&x, HEADER), -1, KIND_KEY, &p->clear))
		p->clear.data = NULL;
	return true;
}

static void describe(const struct protector *p, char text[static 96])
{
	static const struct {
		unsigned need;
		const char *name;
	} parts[] = {
		{NEEDS_TPM, "TPM"},
		{NEEDS_PIN, "PIN"},
		{NEEDS_FILE, "startup key"},
		{NEEDS_CERTIFICATE, "smart card"},
		{NEEDS_PASSWORD, "password"},
		{NEEDS_RECOVERY, "recovery password"},
	};
	size_t len = 0;

	text[0] = '\0';
	for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++)
		if (p->needs & parts[i].need)
			len += (size_t)snprintf(
				text + len, 96 - len, "%s%s", len ? " and " : "", parts[i].name);
	if (len == 0)
		snprintf(text, 96, "0x%04x", p->needs);
	if (p->needs == NEEDS_RECOVERY || p->needs == NEEDS_FILE) {
		char id[GUID_TEXT];

		guid_text(id, p->id);
		snprintf(text + len, 96 - len, " %s", id);
	}
}

bool protector_list(struct entry_list list, char text[static PROTECTOR_TEXT])
{
	bool can_be_given = false;
	struct protector p;
	size_t len = 0;

	text[0] = '\0';
	while (protector_next(&list, &p)) {
		char one[96];
		int n;

		describe(&p, one);
		n = snprintf(text + len, PROTECTOR_TEXT - len, "%s%s", len ? ", " : "", one);
		if (n < 0 || (size_t)n >= PROTECTOR_TEXT - len) {
			text[len] = '\0';
			n = 0;
		}
		len += (size_t)n;
		can_be_given |= p.needs == NEEDS_PASSWORD || p.needs == NEEDS_RECOVERY ||
				p.needs == NEEDS_FILE;
	}
	return can_be_given;
}
