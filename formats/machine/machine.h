/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* machine.h - the description of a virtual machine: its disks, now and in each of its snapshots,
 * and the files of these disks.
 *
 * vmx.c and vbox.c read the descriptions of VMware and VirtualBox into this.  Nothing here opens an
 * image.  All texts are malloc'ed, UTF-8 if the description is, and hostile: file names are as
 * written, relative to the description's directory unless they are absolute.
 */
#ifndef VDISK_MACHINE_MACHINE_H
#define VDISK_MACHINE_MACHINE_H

#include <stdbool.h>
#include <stddef.h>
#include <time.h>

#include "util/guid.h"

struct err;

/* A disk of one state. */
struct machine_disk {
	char *slot; /* where it is attached ("scsi0:0", "SATA 0:1"): one disk through all states */
	char *file; /* the image that had the disk's bytes when the state was saved */
};

/* The state [0] is the current one, the others are snapshots. */
struct machine_state {
	char *name; /* may be empty, and two may have the same */
	struct timespec when;
	size_t parent; /* number of the snapshot that it is based on; 0: none */
	size_t ndisks;
	struct machine_disk *disks;
};

/* A disk image of the machine, attached or not. */
struct machine_medium {
	char *file;
	unsigned char id[GUID_LEN], parent[GUID_LEN]; /* zero: not given */
	bool registered; /* the description has its file; else it only names the id */
	bool is_raw;     /* a raw disk has no id: the description alone identifies it */
	char *refusal;   /* the reason why its bytes cannot be shown, or NULL */
};

struct machine {
	char *name;
	char *snapshot_dir; /* of its differencing images, as written; NULL: not given */
	size_t nstates, nmedia;
	struct machine_state *states;
	struct machine_medium *media;
};

struct machine *machine_new(const char *name, struct err *e); /* with the state [0], empty */
void machine_free(struct machine *m);                         /* NULL is fine */

/* Copy the texts; NULL (or -ENOMEM) without memory.  The element returned stays until the next
 * call. */
struct machine_state *machine_add_state(struct machine *m, const char *name, struct err *e);
int machine_add_disk(
	struct machine_state *state, const char *slot, const char *file, struct err *e);
struct machine_medium *machine_add_medium(struct machine *m, const char *file, struct err *e);

/* The medium of this id, or NULL; also when the id is zero. */
const struct machine_medium *machine_find_medium(
	const struct machine *m, const unsigned char id[GUID_LEN]);

#endif
