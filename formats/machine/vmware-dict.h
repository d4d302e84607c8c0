/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* vmware-dict.h - VMware's text files of lines KEY = "VALUE": .vmx, .vmsd.
 *
 * A value may have any byte as |XX; blank lines and those that begin with # are comments.  Other
 * lines are skipped, as by VMware.  Keys ignore case; of two lines with the same key the last
 * counts.  Values are hostile.
 */
#ifndef VDISK_MACHINE_VMWARE_DICT_H
#define VDISK_MACHINE_VMWARE_DICT_H

#include <stddef.h>

struct err;
struct io;

struct vmware_dict_entry {
	const char *key, *value; /* UTF-8, if the file is in the encoding that it declares */
	size_t line;
};

struct vmware_dict {
	char *text;
	char **decoded; /* values that were converted */
	size_t ndecoded;
	struct vmware_dict_entry *entries; /* by key, each once */
	size_t n;
};

/* Reads all of a file, DICT_MAX_BYTES at most. */
int vmware_dict_read(struct io *io, struct vmware_dict *d, struct err *e);

void vmware_dict_free(struct vmware_dict *d);

/* The value of a key, "" when it is absent.  The key is formatted as by printf. */
const char *vmware_dict_get(const struct vmware_dict *d, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

#endif
