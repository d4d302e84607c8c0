/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* verb-table.c - the one table of verbs and options.  Letters and names are qemu-img's where it has
 * them.
 */
#include "verb-table.h"

#include "verb/verbs.h"

/* clang-format off */

#define FORMAT(of) {OPT_FORMAT, 'f', "format", VALUE_FORMAT, "FMT", \
	"the format of " of "; do not look for it"}
#define OUTPUT {OPT_OUTPUT, 0, "output", VALUE_OUTPUT, "FORM", \
	"human: as text (default); json: for programs"}
#define QUIET {OPT_QUIET, 'q', "quiet", VALUE_NONE, NULL, \
	"print nothing but errors"}
#define PROGRESS {OPT_PROGRESS, 'p', "progress", VALUE_NONE, NULL, \
	"show how far it is"}
#define CACHE(of) {OPT_CACHE, 't', "cache", VALUE_CACHE, "MODE", \
	"unsafe: do not sync " of}
#define BACKING_FORMAT {OPT_BACKING_FORMAT, 'F', "backing-format", VALUE_FORMAT, "FMT", \
	"the format of that, which is recorded"}
#define SNAPSHOT(verb) {OPT_SNAPSHOT, 'l', "snapshot", VALUE_TEXT, "SNAPSHOT", \
	verb " the disk of this internal snapshot"}
#define THREADS {OPT_THREADS, 'm', "threads", VALUE_TEXT, "N", \
	"work with N threads (one for each processor)"}

/* Of all verbs that open an image. */
#define OPENING \
	{OPT_SHARE, 'U', "force-share", VALUE_NONE, NULL, \
		"read although another program writes to the image"}, \
	{OPT_ALLOW, 0, "allow", VALUE_DIR, "DIR", \
		"images may name files below DIR (repeatable)"}, \
	{OPT_SEARCH, 0, "search", VALUE_DIR, "DIR", \
		"look in DIR for a parent that moved (repeatable)"}, \
	{OPT_PARENT_FORMAT, 0, "parent-format", VALUE_FORMAT, "FMT", \
		"format of an unrecorded parent (repeatable)"}, \
	{OPT_PASSPHRASE, 0, "passphrase-file", VALUE_FILE, "FILE", \
		"FILE has the passphrase (repeatable)"}, \
	{OPT_IGNORE_PARENT_ID, 0, "ignore-parent-id", VALUE_NONE, NULL, \
		"take a parent that has changed since"}

/* Of verbs that read the live disk: writers keep the snapshots intact, so they must know them. */
#define NO_SNAPSHOTS {OPT_NO_SNAPSHOTS, 0, "no-snapshots", VALUE_NONE, NULL, \
	"do not read the table of internal snapshots"}

#define END \
	{OPT_HELP, 'h', "help", VALUE_NONE, NULL, "this text"}, \
	{OPT_END, 0, NULL, VALUE_NONE, NULL, NULL}

static const struct option_row check_options[] = {
	FORMAT("IMAGE"), OUTPUT,
	{OPT_REPAIR, 'r', "repair", VALUE_REPAIR, "WHAT",
		"mend leaks, or all that is wrong"},
	QUIET, OPENING, END
};

static const struct option_row commit_options[] = {
	FORMAT("IMAGE"),
	{OPT_BACKING, 'b', "base", VALUE_FILE, "FILE",
		"the image to write to (what IMAGE is based on)"},
	{OPT_DROP, 'd', "drop", VALUE_NONE, NULL, "do not empty IMAGE afterwards"},
	{OPT_RATE, 'r', "rate-limit", VALUE_TEXT, "RATE", "write no more bytes in a second"},
	CACHE("what is written to"),
	PROGRESS, QUIET, OPENING, END
};

static const struct option_row compare_options[] = {
	FORMAT("IMAGE1"),
	{OPT_FORMAT2, 'F', "second-format", VALUE_FORMAT, "FMT", "the format of IMAGE2"},
	{OPT_STRICT, 's', "strict", VALUE_NONE, NULL,
		"sizes, and what is stored, must be the same as well"},
	PROGRESS, QUIET, THREADS, NO_SNAPSHOTS, OPENING, END
};

static const struct option_row completion_options[] = {
	END
};

static const struct option_row convert_options[] = {
	FORMAT("the images"),
	{OPT_OUTPUT_FORMAT, 'O', "output-format", VALUE_FORMAT, "FMT",
		"the format of OUTPUT (raw)"},
	SNAPSHOT("convert"),
	{OPT_OPTIONS, 'o', "options", VALUE_CREATE, "OPTIONS",
		"how to make it: NAME=VALUE,...; help tells of them"},
	{OPT_BACKING, 'B', "backing", VALUE_FILE, "FILE",
		"what OUTPUT shall be based on; it gets what differs"},
	BACKING_FORMAT,
	{OPT_COMPRESS, 'c', "compress", VALUE_NONE, NULL,
		"compress what is written (qcow2, vmdk streams)"},
	{OPT_CACHE, 't', "cache", VALUE_CACHE, "MODE",
		"unsafe (default), or another: sync OUTPUT"},
	{OPT_NO_CREATE, 'n', "no-create", VALUE_NONE, NULL,
		"write into OUTPUT, which is there and as large"},
	{OPT_SPARSE, 'S', "sparse-size", VALUE_TEXT, "SIZE",
		"so many zeroes become a hole (4k); 0: none do"},
	THREADS,
	{OPT_UNORDERED, 'W', "out-of-order", VALUE_NONE, NULL,
		"write in any order, which is done anyway"},
	PROGRESS, QUIET, NO_SNAPSHOTS, OPENING, END
};

static const struct option_row create_options[] = {
	{OPT_FORMAT, 'f', "format", VALUE_FORMAT, "FMT", "the format of IMAGE (raw)"},
	{OPT_OPTIONS, 'o', "options", VALUE_CREATE, "OPTIONS",
		"how to make it: NAME=VALUE,...; help tells of them"},
	{OPT_BACKING, 'b', "backing", VALUE_FILE, "FILE", "what it shall be based on"},
	BACKING_FORMAT,
	{OPT_UNSAFE, 'u', "unsafe", VALUE_NONE, NULL, "do not look at the backing file"},
	{OPT_FORCE, 0, "force", VALUE_NONE, NULL, "replace IMAGE if it is there"},
	QUIET, OPENING, END
};

static const struct option_row help_options[] = {
	END
};

static const struct option_row info_options[] = {
	FORMAT("IMAGE"), OUTPUT,
	{OPT_BACKING_CHAIN, 0, "backing-chain", VALUE_NONE, NULL,
		"tell of all images that it is based on, too"},
	{OPT_TREE, 0, "tree", VALUE_NONE, NULL,
		"draw its chain, snapshots and partitions"},
	NO_SNAPSHOTS, OPENING, END
};

static const struct option_row map_options[] = {
	FORMAT("IMAGE"), OUTPUT,
	{OPT_START, 's', "start-offset", VALUE_TEXT, "OFFSET", "begin there"},
	{OPT_LENGTH, 'l', "max-length", VALUE_TEXT, "LENGTH", "look at no more than this"},
	{OPT_PICTURE, 0, "picture", VALUE_SVG, "FILE.svg",
		"draw it, in the terminal or into a file"},
	NO_SNAPSHOTS, OPENING, END
};

static const struct option_row measure_options[] = {
	FORMAT("IMAGE"), OUTPUT,
	{OPT_OUTPUT_FORMAT, 'O', "output-format", VALUE_FORMAT, "FMT",
		"the format that it would be converted to (raw)"},
	{OPT_SIZE, 's', "size", VALUE_TEXT, "SIZE", "of an empty disk of this size"},
	SNAPSHOT("measure"),
	NO_SNAPSHOTS, OPENING, END
};

static const struct option_row list_options[] = {
	OUTPUT, END
};

static const struct option_row mount_options[] = {
	FORMAT("IMAGE"),
	{OPT_RW, 0, "rw", VALUE_NONE, NULL, "writable; read-only is the default"},
	SNAPSHOT("mount"),
	NO_SNAPSHOTS, OPENING, END
};

static const struct option_row umount_options[] = {
	END
};

static const struct option_row rebase_options[] = {
	FORMAT("IMAGE"),
	{OPT_BACKING, 'b', "backing", VALUE_FILE, "FILE",
		"what it shall be based on; '': on nothing"},
	BACKING_FORMAT,
	{OPT_UNSAFE, 'u', "unsafe", VALUE_NONE, NULL,
		"change the name alone: FILE has the same contents"},
	CACHE("IMAGE"),
	PROGRESS, QUIET, OPENING, END
};

static const struct option_row resize_options[] = {
	FORMAT("IMAGE"),
	{OPT_SHRINK, 0, "shrink", VALUE_NONE, NULL, "it may lose what is at its end"},
	QUIET, OPENING, END
};

static const struct option_row snapshot_options[] = {
	FORMAT("IMAGE"), OUTPUT,
	{OPT_LIST, 'l', "list", VALUE_NONE, NULL, "list the snapshots (default)"},
	{OPT_TAKE, 'c', "create", VALUE_TEXT, "NAME",
		"take a snapshot, also of a mounted disk"},
	{OPT_APPLY, 'a', "apply", VALUE_TEXT, "SNAPSHOT",
		"go back to a snapshot, by name or id"},
	{OPT_DELETE, 'd', "delete", VALUE_TEXT, "NAME",
		"delete a snapshot, also of a mounted disk"},
	QUIET, OPENING, END
};

const struct verb verbs[] = {
	{"check", "IMAGE", "look for damage in an image, and mend it",
		check_options, run_check, OPERAND_FILE},
	{"commit", "IMAGE", "write what an image changes to what it is based on",
		commit_options, run_commit, OPERAND_FILE},
	{"compare", "IMAGE1 IMAGE2", "compare the disks of two images",
		compare_options, run_compare, OPERAND_FILE},
	{"completion", "SHELL", "print the completion script for bash, zsh or fish",
		completion_options, run_completion, OPERAND_SHELL},
	{"convert", "IMAGE... OUTPUT", "copy disks into an image of another format",
		convert_options, run_convert, OPERAND_FILE},
	{"create", "IMAGE [SIZE]", "make a new, empty image",
		create_options, run_create, OPERAND_FILE},
	{"help", "[VERB]", "explain the verbs, or the options of one",
		help_options, run_help, OPERAND_VERB},
	{"info", "IMAGE", "tell what an image is",
		info_options, run_info, OPERAND_FILE},
	{"list", "", "tell what of images is mounted where",
		list_options, run_list, OPERAND_FILE},
	{"map", "IMAGE", "tell where the data of a disk lies",
		map_options, run_map, OPERAND_FILE},
	{"measure", "IMAGE", "tell how large an image would become",
		measure_options, run_measure, OPERAND_FILE},
	{"mount", "IMAGE [PARTITION] DIR", "mount a file system of a guest",
		mount_options, run_mount, OPERAND_PARTITION},
	{"rebase", "IMAGE", "base an image on another one",
		rebase_options, run_rebase, OPERAND_FILE},
	{"resize", "IMAGE [+|-]SIZE", "change the size of a disk",
		resize_options, run_resize, OPERAND_FILE},
	{"snapshot", "IMAGE", "list, take, apply and delete internal snapshots",
		snapshot_options, run_snapshot, OPERAND_FILE},
	{"umount", "DIR", "unmount it, and wait until the image is released",
		umount_options, run_umount, OPERAND_MOUNT},
	{NULL, NULL, NULL, NULL, NULL, OPERAND_FILE},
};

/* clang-format on */
