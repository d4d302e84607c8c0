/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* vdisk.h - the public interface of libvdisk: disk images of virtual machines, as bytes.
 *
 * An image is opened once, with its backing chain, and gives any number of disks: its live disk,
 * its snapshots, the images of its chain, and the partitions and volumes in each.  A disk is read,
 * and the live one written, as a range of bytes; offsets and lengths are in bytes and need no
 * alignment.
 *
 * Paths.  A disk has the path that it has in a mount of vdiskfs(1), without the name of its file:
 *
 *     ""                            the live disk
 *     "partitions/N"                a partition, by the number that Linux gives it
 *     "volumes/NAME"                a volume of LVM, LUKS, BitLocker or md RAID
 *     "snapshots/NAME"              an internal snapshot
 *     "chain/N"                     the live disk of a parent, 1 is the nearest; 0 is "" again
 *     "chain/N/snapshots/NAME/partitions/N", and so on
 *
 * Errors.  A function that can fail returns 0 or a negative errno, and fills *error, which may be
 * NULL.  After success *error is unchanged.  Nothing is printed, and the process is not ended.
 *
 * Threads.  Any number of threads may call functions with the same image and the same disks at the
 * same time, except that nothing else may use an image while vdisk_close closes it, nor a disk
 * while vdisk_disk_close does.  A write is seen by all reads that begin after it has returned;
 * reads at the same time get old or new bytes.  Images in one process are independent of each
 * other.  After a fork(2), only one of the two processes may use an image that was open.  Only an
 * image on an NBD server has threads, one for each connection; it is of no use in the child.
 *
 * A program that writes should ignore SIGXFSZ: a file that reaches the limit of its size is EFBIG
 * then.
 */
#ifndef VDISK_H
#define VDISK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct vdisk_image;
struct vdisk_disk;

#define VDISK_ERROR_TEXT 1024

/* Texts are one line of UTF-8 without control characters. */
struct vdisk_error {
	int code;                    /* a positive errno */
	char text[VDISK_ERROR_TEXT]; /* "disk.qcow2: the reason (values)" */
	char hint[VDISK_ERROR_TEXT]; /* what the user may do about it, naming options; or "" */
};

/* A problem that is no failure, such as damage that was worked around.  Called by the functions
 * that find it, in their threads, and perhaps in several at a time; it calls none of them. */
typedef void vdisk_warning(void *arg, const char *text);

/* Opens the image at path, with its parents, and sets *image.  path: of a file, of a directory that
 * is one image, or the URI of an NBD server (nbd://, nbds://, nbd+unix://).
 *
 * options: words like those of vdiskfs -o, NULL-terminated; NULL: none.  They are copied.
 *
 *     rw                    the live disk can be written; without it, no file is changed
 *     format=NAME           the format; otherwise it is probed.  Give it ("raw") for an image that
 *                           a guest has written and that has no format of its own
 *     allow=DIR             the image may refer to files below DIR, as to those in its own
 *                           directory; any number of times, as the next ones
 *     search=DIR            where to look for a parent that was moved
 *     parent_format=NAME    the format of a parent whose child does not record it
 *     passphrase-file=FILE  a passphrase for encrypted images and volumes; UUID:FILE: for one
 *     luks-header=FILE      a LUKS header that is not on its device; UUID:FILE: for one
 *     luks-memory=SIZE      memory that a LUKS key slot may need (1280M)
 *     backing=PATH          the parent, as path, in the place of the one that the image names
 *     nobacking             parents are not opened: bytes of theirs are EIO
 *     ignore_parent_id      a parent that was modified after its child was created is accepted
 *     share                 an image that another program has open for writing is read anyway
 *     nosnapshots           the table of snapshots is not read
 *     cache=SIZE            memory for metadata and decoded clusters (32M)
 *     disk=NAME             the disk of a package (.ova, .ovf) that has several
 *     tls-certs=DIR         certificates for an NBD server
 *     tls-psk=FILE          a file of pre-shared keys for it
 *     nbd-timeout=SECONDS   time for an answer of it (60)
 *
 * EINVAL: an unknown word or a bad value, or a malformed image; EBUSY: another program has it open;
 * ENOTSUP: a feature that is not supported; EUCLEAN: a corrupt image; ENOKEY, EKEYREJECTED: no
 * passphrase, and a wrong one; EACCES: it refers to a file outside the directories allowed.
 *
 * warning: or NULL; with arg, until the image is closed. */
int vdisk_open(const char *path, const char *const *options, vdisk_warning *warning, void *arg,
	struct vdisk_image **image, struct vdisk_error *error);

/* Flushes and closes an image whose disks are closed; NULL is fine.  The image is closed after a
 * failure, too: it means that writes were lost.  Only -EBUSY, for a disk that is open, leaves it
 * open. */
int vdisk_close(struct vdisk_image *image, struct vdisk_error *error);

/* The name of the format: "qcow2".  Valid until the image is closed. */
const char *vdisk_format(const struct vdisk_image *image);

enum vdisk_kind {
	VDISK_LIVE,      /* the live disk of the image, or of a parent: "", "chain/N" */
	VDISK_SNAPSHOT,  /* "snapshots/NAME" */
	VDISK_PARTITION, /* "partitions/N" */
	VDISK_VOLUME,    /* "volumes/NAME" */
};

/* A disk in a list.  Later versions may add members at the end. */
struct vdisk_entry {
	const char *path; /* for vdisk_disk_open */
	enum vdisk_kind kind;
	uint64_t size;           /* bytes; 0 if it cannot be read */
	int64_t time;            /* of a snapshot: creation, in seconds since 1970; 0: unknown */
	const char *type;        /* of its content, as blkid(8) has it: "ext4"; "": unknown */
	const char *label;       /* of its file system; "": none */
	const char *uuid;        /* likewise */
	const char *description; /* for people, in one line: "ext4, label root"; perhaps "" */
	const char *error;       /* the reason why it cannot be read; NULL: it can be */
};

/* Receives an entry, which is valid during the call.  It may call all functions but vdisk_close.
 * Another result than 0 ends the list. */
typedef int vdisk_found(void *arg, const struct vdisk_entry *entry);

/* Calls found for the disk at path, then for what lies in it: partitions, volumes; and if it is not
 * a snapshot, its snapshots; and if path is "", the parents.  Of snapshots and parents it does not
 * list what lies in them: call it with their paths, perhaps in found.  A partition or volume has
 * only itself.
 *
 * This reads partition tables and opens encrypted volumes, which takes seconds for each if there is
 * a passphrase; it is done once.
 *
 * Returns 0, the result of found, or a negative errno as vdisk_disk_open. */
int vdisk_list(struct vdisk_image *image, const char *path, vdisk_found *found, void *arg,
	struct vdisk_error *error);

/* Describes the disk at path, "" or that of a snapshot or a parent, as JSON: the text of info.json
 * of the mount.  *json: freed by the caller with free(3). */
int vdisk_info(struct vdisk_image *image, const char *path, char **json, struct vdisk_error *error);

/* Opens the disk at path and sets *disk.  ENOENT: there is none; other errors: it cannot be read,
 * as a volume without its passphrase (ENOKEY).  The same disk may be opened several times. */
int vdisk_disk_open(struct vdisk_image *image, const char *path, struct vdisk_disk **disk,
	struct vdisk_error *error);

/* Closes a disk; NULL is fine.  This flushes nothing. */
void vdisk_disk_close(struct vdisk_disk *disk);

/* Bytes of the disk; they do not change. */
uint64_t vdisk_disk_size(const struct vdisk_disk *disk);

/* Bytes of a logical sector of the guest: 512 or 4096. */
uint32_t vdisk_disk_sector_size(const struct vdisk_disk *disk);

/* The length in bytes, a power of two, of which requests that begin at multiples of it are served
 * best: that of a cluster, block or grain. */
uint32_t vdisk_disk_preferred(const struct vdisk_disk *disk);

/* Can it be written?  True for the live disk of an image that is opened with "rw", for its
 * partitions, and for those of its volumes that are no snapshots and not damaged. */
bool vdisk_disk_is_writable(const struct vdisk_disk *disk);

/* Reads len bytes at off.  EINVAL: they pass the end of the disk; EIO: the host cannot read them,
 * or they are not there; EUCLEAN: the image is corrupt there. */
int vdisk_read(
	struct vdisk_disk *disk, void *buf, size_t len, uint64_t off, struct vdisk_error *error);

/* Writes len bytes at off; they are durable after vdisk_flush.  A failed write may have been done
 * in part.  EROFS: the disk is not writable; ENOSPC: they pass its end, or the host has no space
 * left.  Once metadata could not be written, every later write fails. */
int vdisk_write(struct vdisk_disk *disk, const void *buf, size_t len, uint64_t off,
	struct vdisk_error *error);

/* Keeps the range allocated, as far as the format and the host can. */
#define VDISK_NO_HOLE 1u

/* Makes the range read as zeroes, and frees its space if it can.  flags: 0 or VDISK_NO_HOLE.
 * Errors: as vdisk_write; EINVAL: another flag. */
int vdisk_zero(struct vdisk_disk *disk, uint64_t len, uint64_t off, unsigned flags,
	struct vdisk_error *error);

/* The content of the range is not needed any more: each byte of it reads as before or as zero.
 * Errors: as vdisk_write. */
int vdisk_discard(struct vdisk_disk *disk, uint64_t len, uint64_t off, struct vdisk_error *error);

/* Returns once all writes to the image that have returned, through any of its disks, are durable.
 * An error is not forgotten: vdisk_close returns it again. */
int vdisk_flush(struct vdisk_disk *disk, struct vdisk_error *error);

enum vdisk_extent_kind {
	VDISK_DATA, /* or not known */
	VDISK_ZERO, /* reads as zeroes; space is allocated for it */
	VDISK_HOLE, /* reads as zeroes; nothing is allocated */
};

/* Sets *kind to that of the bytes at off, and *length to the number of bytes, from off on, that are
 * known to be of this kind: at least 1, at most len.  The next extent may have the same kind.
 * Damage is VDISK_DATA: reading it returns the error.  EINVAL: len is 0, or the range passes the
 * end. */
int vdisk_extent(struct vdisk_disk *disk, uint64_t len, uint64_t off, enum vdisk_extent_kind *kind,
	uint64_t *length, struct vdisk_error *error);

/* The version of the library: "0.2.0", perhaps with a commit in brackets. */
const char *vdisk_version(void);

#ifdef __cplusplus
}
#endif
#endif
