/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* vmware-dict.h - VMware's text files of lines KEY = "VALUE": .vmx, .vmsd.
 *
 * A value may have any byte as |XX; blank lines and those that begin with # are remarks.  Other
 * lines are passed over, as VMware does.  Keys ignore case; of a key that is there twice the last
 * counts.  Values are not to be trusted.
 */
#ifndef VDISK_MACHINE_VMWARE_DICT_H
#define VDISK_MACHINE_VMWARE_DICT_H

#include <stddef.h>

struct err;
struct io;

struct vmware_dict_entry {
	const char *key, *value; /* UTF-8, as far as the file keeps what it declares */
	size_t line;
};

struct vmware_dict {
	char *text;
	char **decoded; /* values that needed another encoding */
	size_t ndecoded;
	struct vmware_dict_entry *entries; /* by key, each once */
	size_t n;
};

/* Takes text of len bytes apart; it is copied. */
int vmware_dict_parse(const char *text, size_t len, struct vmware_dict *d, struct err *e);

/* All of a file, DICT_MAX_BYTES at most. */
int vmware_dict_read(struct io *io, struct vmware_dict *d, struct err *e);

void vmware_dict_free(struct vmware_dict *d);

/* The value of a key, "" when it is not there.  The key is made as by printf. */
const char *vmware_dict_get(const struct vmware_dict *d, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

#endif
