/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* verb.h - rows of the table of verbs and options (verb-table.c), from which the command line is
 * parsed and help and completion are generated.
 */
#ifndef VDISK_TOOLS_LIB_VERB_H
#define VDISK_TOOLS_LIB_VERB_H

#include <stdbool.h>
#include <stddef.h>

/* The meaning of an option; verbs may have different letters for one. */
enum option_key {
	OPT_END,
	OPT_ADD,
	OPT_ADDRESS,
	OPT_ALLOW,
	OPT_APPLY,
	OPT_BACKING,
	OPT_BACKING_CHAIN,
	OPT_BACKING_FORMAT,
	OPT_BITMAPS,
	OPT_BUFFER,
	OPT_CACHE,
	OPT_CLEAR,
	OPT_COMPRESS,
	OPT_COPY_RANGE,
	OPT_COUNT_REQUESTS,
	OPT_DELETE,
	OPT_DISABLE,
	OPT_DEPTH,
	OPT_DROP,
	OPT_FLUSH,
	OPT_ENABLE,
	OPT_FORCE,
	OPT_FORMAT,  /* of the image, or of the first one */
	OPT_FORMAT2, /* of the second one */
	OPT_GRANULARITY,
	OPT_HELP,
	OPT_IGNORE_PARENT_ID,
	OPT_IMAGE_OPTS,
	OPT_LENGTH,
	OPT_LIMITS,
	OPT_LIST,
	OPT_LUKS_HEADER,
	OPT_LUKS_MEMORY,
	OPT_MERGE,
	OPT_NBD_TIMEOUT,
	OPT_NO_CREATE,
	OPT_NO_SNAPSHOTS,
	OPT_OBJECT,
	OPT_OFFSET,
	OPT_OPTIONS,
	OPT_OUTPUT, /* human or json */
	OPT_OUTPUT_FORMAT,
	OPT_PARENT,
	OPT_PARENT_FORMAT,
	OPT_PASSPHRASE,
	OPT_PATTERN,
	OPT_PICTURE,
	OPT_PREALLOCATION,
	OPT_PORT,
	OPT_PRINT,
	OPT_PROGRESS,
	OPT_QUIET,
	OPT_RATE,
	OPT_REMOVE,
	OPT_REMOVE_ALL,
	OPT_RW,
	OPT_SALVAGE,
	OPT_REPAIR,
	OPT_SEARCH,
	OPT_SHRINK,
	OPT_SHARE,
	OPT_SIZE,
	OPT_SKIP_BROKEN,
	OPT_SNAPSHOT,
	OPT_SOCKET,
	OPT_SOURCE_CACHE,
	OPT_SPARSE,
	OPT_START,
	OPT_STEP,
	OPT_STRICT,
	OPT_CREATE,
	OPT_TARGET_OPTS,
	OPT_TARGET_ZERO,
	OPT_THREADS,
	OPT_TLS_CERTS,
	OPT_TLS_PSK,
	OPT_TREE,
	OPT_UNORDERED,
	OPT_UNSAFE,
	OPT_WRITE,
	OPT_COUNT,
};

/* The kind of value of an option, for completion. */
enum value_kind {
	VALUE_NONE, /* the option is a flag */
	VALUE_TEXT,
	VALUE_FILE,
	VALUE_DIR,
	VALUE_FORMAT,
	VALUE_CACHE,  /* qemu-img's modes */
	VALUE_OUTPUT, /* human, json */
	VALUE_REPAIR, /* leaks, all */
	VALUE_SVG,    /* a file; the value is optional */
	VALUE_CREATE, /* creation options: NAME=VALUE,... */
};

struct option_row {
	enum option_key key;
	char letter;      /* 0: none */
	const char *name; /* the long one */
	enum value_kind kind;
	const char *value; /* its name in the help; NULL: a flag */
	const char *help;
};

struct args;

/* The kind of operands of a verb, for completion. */
enum operand_kind {
	OPERAND_FILE,
	OPERAND_MOUNT,     /* a mount point, or an image that vdisk open has mounted */
	OPERAND_PARTITION, /* a file, one of its partitions, a directory */
	OPERAND_VERB,
	OPERAND_SHELL,
};

struct verb {
	const char *name;
	const char *operands; /* for the help */
	const char *summary;
	const struct option_row *options; /* ends with OPT_END */
	int (*run)(const struct args *a); /* the exit status */
	enum operand_kind operand;
};

#endif
