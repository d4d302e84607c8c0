/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "libnbd.h"

#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <stddef.h>

#include "util/err.h"

#define LIBRARY "libnbd.so.0"

struct libnbd libnbd;

/* The place of a function in the table, with its name. */
struct symbol {
	const char *name;
	size_t at;
};

#define SYMBOL(name) {"nbd_" #name, offsetof(struct libnbd, name)},
static const struct symbol symbols[] = {LIBNBD_FUNCTIONS(SYMBOL){NULL, 0}};

static int missing(struct err *e)
{
	err_set(e, ENOTSUP, "NBD servers are read by libnbd, which is not installed: %s",
		dlerror());
	return err_hint(e, "the package is libnbd0 in Debian, libnbd in other systems");
}

static int load(struct err *e)
{
	struct libnbd found;
	void *library;

	if (libnbd.create)
		return 0;
	library = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL);
	if (!library)
		return missing(e);
	for (const struct symbol *s = symbols; s->name; s++) {
		void *function = dlsym(library, s->name);

		if (!function)
			return missing(e);
		*(void **)((char *)&found + s->at) = function;
	}
	libnbd = found;
	return 0;
}

/* Two threads of a program may open the first images on servers at the same time. */
int libnbd_load(struct err *e)
{
	static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
	int r;

	pthread_mutex_lock(&lock);
	r = load(e);
	pthread_mutex_unlock(&lock);
	return r;
}
