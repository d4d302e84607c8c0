/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* log.h - the log: log-replay.c reads it, log-write.c writes it. */
#ifndef VDISK_DRIVER_VHDX_LOG_H
#define VDISK_DRIVER_VHDX_LOG_H

#include "vhdx.h"

#define VHDX_LOG_SECTOR     4096u
#define VHDX_LOG_ENTRY_HEAD 64u
#define VHDX_LOG_DESCRIPTOR 32u

/* Pages in one entry: the descriptors of an entry are all in its first sector. */
#define VHDX_LOG_PAGES 126u

/* Sets *replayed to file with the log of h replayed in memory; it holds file. */
int vhdx_log_replay(
	struct io *file, const struct vhdx_header *h, struct io **replayed, struct err *e);

/* Writes to the file of img what was replayed in memory, and empties the log. */
int vhdx_log_apply(struct image *img, struct vhdx *d, struct err *e);

int vhdx_log_start(struct vhdx *d, struct err *e);

/* As prepare of struct write_ops: the pages that wait are in the log, durably. */
int vhdx_log_prepare(struct view *v, struct err *e);

/* Empties the log: all of it is in its place. */
int vhdx_log_end(struct vhdx *d, struct err *e);

#endif
