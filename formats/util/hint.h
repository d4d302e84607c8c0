/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* hint.h - hints: advice that follows an error.
 *
 * The library does not know the options of the programs.  An error carries codes (err_hint_code),
 * which each program turns into sentences with its own options.
 */
#ifndef VDISK_UTIL_HINT_H
#define VDISK_UTIL_HINT_H

enum hint {
	HINT_TEXT,             /* the argument is the sentence */
	HINT_ALLOW,            /* allow the directory in the argument */
	HINT_ENTER,            /* allow a directory in the FUSE mount */
	HINT_SEARCH,           /* name a directory in which the parent is looked for */
	HINT_NOBACKING,        /* leave the parents closed */
	HINT_PARENT_FORMAT,    /* give the format in the argument, which no child records */
	HINT_IGNORE_PARENT_ID, /* accept a parent whose id does not match */
	HINT_SHARE,            /* read in spite of a lock */
	HINT_MOUNTED,          /* vdiskfs holds the file in the argument */
	HINT_REPAIR,           /* repair the image */
	HINT_COW,              /* write to an overlay */
	HINT_NOSNAPSHOTS,      /* do not read the snapshot table */
	HINT_PASSPHRASE,       /* give a passphrase */
	HINT_LIST_FORMATS,     /* list the formats */
	HINT_RAW,              /* open it as raw */
	HINT_FORMAT,           /* it looks like the format in the argument */
	/* Another program has locked the file in the argument; no sentences, but words of qemu-img
	 * in the program that stands for it. */
	HINT_LOCK_READ,     /* and forbids reading */
	HINT_LOCK_WRITE,    /* and forbids writing */
	HINT_LOCK_SHARE,    /* and writes to it */
	HINT_SALVAGE,       /* the format in the argument, when given, opens what is left */
	HINT_BACKING,       /* name the parent, which may be the server in the argument */
	HINT_TLS,           /* give certificates to verify a server */
	HINT_TLS_PSK,       /* give pre-shared keys to verify a server */
	HINT_DISK,          /* name one disk of a package */
	HINT_REMOVE_BITMAP, /* remove a bitmap */
	HINT_COUNT,
};

struct err;

/* The options of a program. */
struct hint_words {
	const char *program;
	const char *format; /* gives the format of the file, up to the value: "-f " */
	const char *always; /* follows HINT_ALLOW: the setting of io/settings.h, or "" */
	const char
		*options[HINT_COUNT]; /* up to the value; NULL: hints that need one are left out */
	const char *mounted;          /* the sentence for HINT_MOUNTED; NULL: a general one */
};

#define HINT_LINE 1024

/* Writes the hints of e to line, joined by "; ".  Returns line, or NULL without hints. */
const char *hint_line(const struct err *e, const struct hint_words *words, char line[HINT_LINE]);

extern const struct hint_words hint_words_vdiskfs, hint_words_vdisk, hint_words_library;

#endif
