/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* options.h - the parameters of the plugin as options of the library. */
#ifndef VDISK_TOOLS_NBDKIT_OPTIONS_H
#define VDISK_TOOLS_NBDKIT_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>

struct options {
	const char *image; /* borrowed from nbdkit; NULL: not given */
	char **words;      /* for vdisk_open: n words and NULL; NULL while there are none */
	size_t n;
	bool secret; /* there is a passphrase */
};

/* Adds the parameter KEY=VALUE.  -1 after an error, which is reported.  Only image and the
 * parameters that are true or false are known here; the library refuses unknown ones. */
int options_add(struct options *o, const char *key, const char *value);

void options_free(struct options *o);

extern const char options_help[];

#endif
