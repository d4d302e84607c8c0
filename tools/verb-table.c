/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* verb-table.c - the one table of verbs and options.  Options that qemu-img has, too, have its
 * letters and names. */
#include "lib/verb.h"
#include "verb/verbs.h"

/* clang-format off */

#define FORMAT_NAMED(name, of) {OPT_FORMAT, 'f', name, VALUE_FORMAT, "FMT", \
	"format of " of " (default: probed)"}
#define FORMAT(of) FORMAT_NAMED("format", of)
#define OUTPUT {OPT_OUTPUT, 0, "output", VALUE_OUTPUT, "FORM", \
	"human (default) or json"}
#define QUIET {OPT_QUIET, 'q', "quiet", VALUE_NONE, NULL, \
	"print errors only"}
#define PROGRESS {OPT_PROGRESS, 'p', "progress", VALUE_NONE, NULL, \
	"show progress"}
#define CACHE(of) {OPT_CACHE, 't', "cache", VALUE_CACHE, "MODE", \
	"unsafe: do not sync " of}
/* The host decides on the caching of what is read: the values are checked, no more. */
#define SOURCE_CACHE {OPT_SOURCE_CACHE, 'T', "source-cache", VALUE_CACHE, "MODE", \
	"accepted and checked, without effect"}
#define READ_CACHE(letter) {OPT_SOURCE_CACHE, letter, "cache", VALUE_CACHE, "MODE", \
	"accepted and checked, without effect"}
#define BACKING_FORMAT {OPT_BACKING_FORMAT, 'F', "backing-format", VALUE_FORMAT, "FMT", \
	"format of the backing file, to be recorded"}
/* The letter of QEMU 11. */
#define BACKING_FORMAT_B {OPT_BACKING_FORMAT, 'B', "backing-format", VALUE_FORMAT, "FMT", \
	"the same as -F"}
#define SNAPSHOT(verb) {OPT_SNAPSHOT, 'l', "snapshot", VALUE_TEXT, "SNAPSHOT", \
	verb " this snapshot instead of the live disk"}
#define THREADS {OPT_THREADS, 'm', "parallel", VALUE_TEXT, "N", \
	"number of threads (default: one per processor)"}

#define OBJECT {OPT_OBJECT, 0, "object", VALUE_TEXT, "OBJECT", \
	"passphrase: secret,id=ID,data=TEXT or file=FILE"}
#define IMAGE_OPTS OBJECT, {OPT_IMAGE_OPTS, 0, "image-opts", VALUE_NONE, NULL, \
	"IMAGE is NAME=VALUE,... as of QEMU's block devices"}
#define SHARE {OPT_SHARE, 'U', "force-share", VALUE_NONE, NULL, \
	"read even if another program writes to the image"}

/* Options of all verbs that open an image. */
#define OPENING \
	{OPT_ALLOW, 0, "allow", VALUE_DIR, "DIR", \
		"images may refer to files below DIR (repeatable)"}, \
	{OPT_SEARCH, 0, "search", VALUE_DIR, "DIR", \
		"search DIR for parents that moved (repeatable)"}, \
	{OPT_PARENT, 0, "parent", VALUE_FILE, "FILE", \
		"use FILE, not the recorded parent (repeatable)"}, \
	{OPT_PARENT_FORMAT, 0, "parent-format", VALUE_FORMAT, "FMT", \
		"format of an unrecorded parent (repeatable)"}, \
	{OPT_PASSPHRASE, 0, "passphrase-file", VALUE_FILE, "FILE", \
		"read a passphrase from FILE (repeatable)"}, \
	{OPT_LUKS_HEADER, 0, "luks-header", VALUE_FILE, "FILE", \
		"use the LUKS header in FILE (repeatable)"}, \
	{OPT_LUKS_MEMORY, 0, "luks-memory", VALUE_TEXT, "SIZE", \
		"memory that a LUKS key slot may need (1280M)"}, \
	{OPT_IGNORE_PARENT_ID, 0, "ignore-parent-id", VALUE_NONE, NULL, \
		"accept a parent modified after its child"}, \
	{OPT_NBD_TIMEOUT, 0, "nbd-timeout", VALUE_TEXT, "SECONDS", \
		"time for an answer of an NBD server (60)"}, \
	{OPT_TLS_CERTS, 0, "tls-certs", VALUE_DIR, "DIR", \
		"certificates to verify an nbds:// server by"}, \
	{OPT_TLS_PSK, 0, "tls-psk", VALUE_FILE, "FILE", \
		"pre-shared keys to verify an nbds:// server by"}

/* For verbs that only read.  A writer needs the snapshot table, to keep clusters of snapshots. */
#define NO_SNAPSHOTS {OPT_NO_SNAPSHOTS, 0, "no-snapshots", VALUE_NONE, NULL, \
	"do not read the snapshot table"}

#define END \
	{OPT_HELP, 'h', "help", VALUE_NONE, NULL, "print this help"}, \
	{OPT_END, 0, NULL, VALUE_NONE, NULL, NULL}

static const struct option_row no_options[] = {
	END
};

static const struct option_row amend_options[] = {
	FORMAT("IMAGE"),
	{OPT_OPTIONS, 'o', "options", VALUE_CREATE, "OPTIONS",
		"options NAME=VALUE,... to change; help lists them"},
	{OPT_FORCE, 0, "force", VALUE_NONE, NULL, "accepted, without effect"},
	{OPT_CACHE, 't', "cache", VALUE_CACHE, "MODE", "accepted and checked, without effect"},
	PROGRESS, QUIET, OPENING, END
};

static const struct option_row bitmap_options[] = {
	FORMAT("IMAGE"),
	{OPT_ADD, 0, "add", VALUE_NONE, NULL, "add an empty bitmap, enabled"},
	{OPT_GRANULARITY, 'g', "granularity", VALUE_TEXT, "SIZE",
		"bytes of disk for each of its bits (--add)"},
	{OPT_REMOVE, 0, "remove", VALUE_NONE, NULL, "remove the bitmap"},
	{OPT_REMOVE_ALL, 0, "remove-all", VALUE_NONE, NULL, "remove all bitmaps"},
	{OPT_CLEAR, 0, "clear", VALUE_NONE, NULL, "make all of its bits 0"},
	{OPT_ENABLE, 0, "enable", VALUE_NONE, NULL, "record writes from now on"},
	{OPT_DISABLE, 0, "disable", VALUE_NONE, NULL, "record no more writes"},
	{OPT_MERGE, 0, "merge", VALUE_TEXT, "SOURCE", "set the bits of the bitmap SOURCE, too"},
	{OPT_BACKING, 'b', "source-file", VALUE_FILE, "FILE",
		"image with SOURCE (default: IMAGE)"},
	{OPT_BACKING_FORMAT, 'F', "source-format", VALUE_FORMAT, "FMT", "format of that image"},
	OPENING, END
};

static const struct option_row bench_options[] = {
	FORMAT("IMAGE"),
	{OPT_COUNT_REQUESTS, 'c', "count", VALUE_TEXT, "N", "number of requests (75000)"},
	{OPT_DEPTH, 'd', "depth", VALUE_TEXT, "N", "requests at a time, up to 64 (64)"},
	{OPT_BUFFER, 's', "buffer-size", VALUE_TEXT, "SIZE", "bytes of a request (4k)"},
	{OPT_STEP, 'S', "step-size", VALUE_TEXT, "SIZE", "distance of requests (that size)"},
	{OPT_OFFSET, 'o', "offset", VALUE_TEXT, "OFFSET", "offset of the first request (0)"},
	{OPT_WRITE, 'w', "write", VALUE_NONE, NULL, "write, which destroys the data"},
	{OPT_PATTERN, 0, "pattern", VALUE_TEXT, "BYTE", "the byte to write (0)"},
	{OPT_FLUSH, 0, "flush-interval", VALUE_TEXT, "N", "flush after each N requests"},
	READ_CACHE('t'),
	QUIET, SHARE, IMAGE_OPTS, OPENING, END
};

static const struct option_row check_options[] = {
	FORMAT("IMAGE"), OUTPUT,
	{OPT_REPAIR, 'r', "repair", VALUE_REPAIR, "WHAT", "repair leaks, or all errors"},
	READ_CACHE('T'), QUIET, SHARE, IMAGE_OPTS, OPENING, END
};

static const struct option_row commit_options[] = {
	FORMAT("IMAGE"),
	{OPT_BACKING, 'b', "base", VALUE_FILE, "FILE",
		"image to write to (default: the backing file)"},
	{OPT_DROP, 'd', "drop", VALUE_NONE, NULL, "do not empty IMAGE afterwards"},
	{OPT_RATE, 'r', "rate-limit", VALUE_TEXT, "RATE", "write at most RATE bytes per second"},
	CACHE("the image written to"),
	PROGRESS, QUIET, IMAGE_OPTS, OPENING, END
};

static const struct option_row compare_options[] = {
	FORMAT_NAMED("a-format", "IMAGE1"),
	{OPT_FORMAT2, 'F', "b-format", VALUE_FORMAT, "FMT", "format of IMAGE2 (default: probed)"},
	{OPT_STRICT, 's', "strict", VALUE_NONE, NULL, "sizes and allocation must be the same, too"},
	READ_CACHE('T'), PROGRESS, QUIET, THREADS, NO_SNAPSHOTS, SHARE, IMAGE_OPTS, OPENING, END
};

static const struct option_row convert_options[] = {
	FORMAT_NAMED("source-format", "the images"),
	{OPT_OUTPUT_FORMAT, 'O', "target-format", VALUE_FORMAT, "FMT",
		"format of OUTPUT (default: raw)"},
	SNAPSHOT("convert"),
	{OPT_OPTIONS, 'o', "target-format-options", VALUE_CREATE, "OPTIONS",
		"creation options NAME=VALUE,...; help lists them"},
	{OPT_BACKING, 'B', "backing", VALUE_FILE, "FILE",
		"backing file of OUTPUT; store differences only"},
	{OPT_BACKING, 'b', "backing", VALUE_FILE, "FILE", "the same as -B"},
	BACKING_FORMAT,
	{OPT_COMPRESS, 'c', "compress", VALUE_NONE, NULL,
		"compress the data (qcow2, vmdk streams)"},
	{OPT_CACHE, 't', "target-cache", VALUE_CACHE, "MODE", "unsafe (default); other modes sync OUTPUT"},
	SOURCE_CACHE,
	{OPT_BITMAPS, 0, "bitmaps", VALUE_NONE, NULL, "copy persistent bitmaps, too"},
	{OPT_SKIP_BROKEN, 0, "skip-broken-bitmaps", VALUE_NONE, NULL,
		"but none that is in use"},
	{OPT_NO_CREATE, 'n', "no-create", VALUE_NONE, NULL,
		"write to an existing OUTPUT, as large or larger"},
	{OPT_TARGET_OPTS, 0, "target-image-opts", VALUE_NONE, NULL,
		"with -n: OUTPUT is NAME=VALUE,..."},
	{OPT_SPARSE, 'S', "sparse-size", VALUE_TEXT, "SIZE",
		"make holes of runs of SIZE zeroes (4k); 0: none"},
	THREADS,
	{OPT_RATE, 'r', "rate-limit", VALUE_TEXT, "RATE", "write at most RATE bytes per second"},
	{OPT_SALVAGE, 0, "salvage", VALUE_NONE, NULL, "zeroes in the place of what cannot be read"},
	{OPT_COPY_RANGE, 'C', "copy-range-offloading", VALUE_NONE, NULL,
		"accepted and checked, without effect"},
	{OPT_TARGET_ZERO, 0, "target-is-zero", VALUE_NONE, NULL,
		"with -n: OUTPUT reads as zeroes"},
	{OPT_UNORDERED, 'W', "oob-writes", VALUE_NONE, NULL, "write out of order"},
	PROGRESS, QUIET, NO_SNAPSHOTS, SHARE, IMAGE_OPTS, OPENING, END
};

static const struct option_row create_options[] = {
	{OPT_FORMAT, 'f', "format", VALUE_FORMAT, "FMT", "format of IMAGE (default: raw)"},
	{OPT_OPTIONS, 'o', "options", VALUE_CREATE, "OPTIONS",
		"creation options NAME=VALUE,...; help lists them"},
	{OPT_BACKING, 'b', "backing", VALUE_FILE, "FILE", "backing file of IMAGE"},
	BACKING_FORMAT, BACKING_FORMAT_B,
	{OPT_UNSAFE, 'u', "backing-unsafe", VALUE_NONE, NULL, "do not open the backing file"},
	QUIET, OBJECT, OPENING, END
};

static const struct option_row dd_options[] = {
	FORMAT("the input"),
	{OPT_OUTPUT_FORMAT, 'O', "target-format", VALUE_FORMAT, "FMT",
		"format of the output (default: raw)"},
	NO_SNAPSHOTS, SHARE, IMAGE_OPTS, OPENING, END
};

static const struct option_row info_options[] = {
	FORMAT("IMAGE"), OUTPUT,
	READ_CACHE('t'),
	{OPT_BACKING_CHAIN, 0, "backing-chain", VALUE_NONE, NULL, "describe all parents, too"},
	{OPT_LIMITS, 0, "limits", VALUE_NONE, NULL, "print limits of requests, too"},
	{OPT_TREE, 0, "tree", VALUE_NONE, NULL, "draw the chain, snapshots and partitions"},
	NO_SNAPSHOTS, SHARE, IMAGE_OPTS, OPENING, END
};

static const struct option_row map_options[] = {
	FORMAT("IMAGE"), OUTPUT,
	{OPT_START, 's', "start-offset", VALUE_TEXT, "OFFSET", "start of the range"},
	{OPT_LENGTH, 'l', "max-length", VALUE_TEXT, "LENGTH", "length of the range"},
	{OPT_PICTURE, 0, "picture", VALUE_SVG, "FILE.svg",
		"draw the map in the terminal or to a file"},
	NO_SNAPSHOTS, SHARE, IMAGE_OPTS, OPENING, END
};

static const struct option_row measure_options[] = {
	FORMAT("IMAGE"), OUTPUT,
	{OPT_OUTPUT_FORMAT, 'O', "target-format", VALUE_FORMAT, "FMT",
		"format to convert to (default: raw)"},
	{OPT_SIZE, 's', "size", VALUE_TEXT, "SIZE", "measure an empty disk of this size"},
	{OPT_OPTIONS, 'o', "options", VALUE_CREATE, "OPTIONS",
		"creation options NAME=VALUE,...; help lists them"},
	SNAPSHOT("measure"),
	NO_SNAPSHOTS, SHARE, IMAGE_OPTS, OPENING, END
};

static const struct option_row list_options[] = {
	OUTPUT, END
};

static const struct option_row mount_options[] = {
	FORMAT("IMAGE"),
	{OPT_RW, 0, "rw", VALUE_NONE, NULL, "mount read-write (default: read-only)"},
	SNAPSHOT("mount"),
	NO_SNAPSHOTS, SHARE, OPENING, END
};

static const struct option_row open_options[] = {
	FORMAT("IMAGE"),
	{OPT_PRINT, 0, "print", VALUE_NONE, NULL, "print the mount point and open no folder"},
	NO_SNAPSHOTS, SHARE, OPENING, END
};

static const struct option_row rebase_options[] = {
	FORMAT("IMAGE"),
	{OPT_BACKING, 'b', "backing", VALUE_FILE, "FILE", "new backing file; '' for none"},
	BACKING_FORMAT, BACKING_FORMAT_B,
	{OPT_UNSAFE, 'u', "backing-unsafe", VALUE_NONE, NULL,
		"change the name only: FILE has the same contents"},
	{OPT_COMPRESS, 'c', "compress", VALUE_NONE, NULL, "compress what is copied"},
	CACHE("IMAGE"), 
	{OPT_SOURCE_CACHE, 'T', "backing-cache", VALUE_CACHE, "MODE",
		"accepted and checked, without effect"},
	PROGRESS, QUIET, SHARE, IMAGE_OPTS, OPENING, END
};

static const struct option_row resize_options[] = {
	FORMAT("IMAGE"),
	{OPT_SHRINK, 0, "shrink", VALUE_NONE, NULL, "permit shrinking, which loses data at the end"},
	{OPT_PREALLOCATION, 0, "preallocation", VALUE_TEXT, "MODE",
		"allocate what is added: metadata, falloc, full"},
	QUIET, IMAGE_OPTS, OPENING, END
};

static const struct option_row serve_options[] = {
	FORMAT("IMAGE"),
	{OPT_SOCKET, 0, "socket", VALUE_FILE, "PATH",
		"listen at this Unix socket (default: a private one)"},
	{OPT_PORT, 0, "port", VALUE_TEXT, "N", "listen at a TCP port; 0: at a free one"},
	{OPT_ADDRESS, 0, "address", VALUE_TEXT, "HOST",
		"listen at this address (default: localhost)"},
	{OPT_RW, 0, "rw", VALUE_NONE, NULL, "clients may write (default: read-only)"},
	NO_SNAPSHOTS, SHARE, OPENING, END
};

static const struct option_row snapshot_options[] = {
	FORMAT("IMAGE"), OUTPUT,
	{OPT_LIST, 'l', "list", VALUE_NONE, NULL, "list snapshots (default)"},
	{OPT_CREATE, 'c', "create", VALUE_TEXT, "NAME",
		"create a snapshot, also of a mounted disk"},
	{OPT_APPLY, 'a', "apply", VALUE_TEXT, "SNAPSHOT",
		"revert the disk to a snapshot, by name or ID"},
	{OPT_DELETE, 'd', "delete", VALUE_TEXT, "NAME",
		"delete a snapshot, also of a mounted disk"},
	QUIET, SHARE, IMAGE_OPTS, OPENING, END
};

const struct verb verb_table[] = {
	{"amend", "IMAGE", "change options that an image was created with",
		amend_options, run_amend, OPERAND_FILE},
	{"bench", "IMAGE", "measure the time of requests to a disk",
		bench_options, run_bench, OPERAND_FILE},
	{"bitmap", "IMAGE [BITMAP]", "change the persistent bitmaps of an image",
		bitmap_options, run_bitmap, OPERAND_FILE},
	{"check", "IMAGE", "find errors in an image and repair them",
		check_options, run_check, OPERAND_FILE},
	{"commit", "IMAGE", "write the data of an image to its backing file",
		commit_options, run_commit, OPERAND_FILE},
	{"compare", "IMAGE1 IMAGE2", "compare the disks of two images",
		compare_options, run_compare, OPERAND_FILE},
	{"completion", "SHELL", "print the completion script for bash, zsh or fish",
		no_options, run_completion, OPERAND_SHELL},
	{"convert", "IMAGE... OUTPUT", "copy disks to an image of another format",
		convert_options, run_convert, OPERAND_FILE},
	{"create", "IMAGE [SIZE]", "create an empty image",
		create_options, run_create, OPERAND_FILE},
	{"dd", "[bs=N] [count=N] [skip=N] if=IMAGE of=OUTPUT", "copy a range of a disk",
		dd_options, run_dd, OPERAND_FILE},
	{"help", "[VERB]", "list the verbs, or the options of one",
		no_options, run_help, OPERAND_VERB},
	{"info", "IMAGE", "describe an image",
		info_options, run_info, OPERAND_FILE},
	{"list", "", "list the mounts of disk images",
		list_options, run_list, OPERAND_FILE},
	{"map", "IMAGE", "show where the data of a disk is stored",
		map_options, run_map, OPERAND_FILE},
	{"measure", "IMAGE", "calculate the size of a converted image",
		measure_options, run_measure, OPERAND_FILE},
	{"mount", "IMAGE [PARTITION] DIR", "mount a file system of a disk image",
		mount_options, run_mount, OPERAND_PARTITION},
	{"open", "IMAGE", "mount an image and open its folder",
		open_options, run_open, OPERAND_FILE},
	{"rebase", "IMAGE", "change the backing file of an image",
		rebase_options, run_rebase, OPERAND_FILE},
	{"resize", "IMAGE [+|-]SIZE", "change the size of a disk",
		resize_options, run_resize, OPERAND_FILE},
	{"serve", "IMAGE", "serve an image to QEMU and others, by NBD",
		serve_options, run_serve, OPERAND_FILE},
	{"snapshot", "IMAGE", "list, create, apply and delete internal snapshots",
		snapshot_options, run_snapshot, OPERAND_FILE},
	{"umount", "DIR|IMAGE", "unmount, and wait until the image is released",
		no_options, run_umount, OPERAND_MOUNT},
	{.name = NULL},
};

/* clang-format on */
