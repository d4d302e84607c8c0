/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* io.h - an opened host file, or a stand-in for one (memory, a fault injector).
 *
 * Positional and safe from many threads at once.  The size is what it was when the file was opened
 * and what we made of it since: what others add later is not seen, and what they take away is EIO,
 * never zeroes.  Images are never mapped into memory, since a file cut short would then kill the
 * process.
 *
 * A writable file has no other writer.  Each write compares its length with the size first: one
 * past the end of a file that another program has cut would fill the gap with zeroes, and one at
 * the end of a file that another program has appended to would overwrite its bytes.  An io that has
 * met a difference is altered for good: it is not written any more, and what was cut off stays EIO
 * when the file becomes longer again.  A cut between the comparison and the write is met by the
 * next comparison.
 *
 * An io is shared by counting: io_ref and io_unref belong to opening and closing, which one thread
 * does alone.
 */
#ifndef VDISK_IO_IO_H
#define VDISK_IO_IO_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <time.h>

struct cache;
struct err;
struct io;
struct writeback;

struct io_ops {
	/* Bytes read, fewer than len only at the end of the file; or -errno. */
	ssize_t (*read)(struct io *io, void *buf, size_t len, uint64_t pos);
	/* lseek SEEK_DATA or SEEK_HOLE: the position found, -ENXIO past the last; NULL: all is
	 * data. */
	int64_t (*seek)(struct io *io, uint64_t pos, int whence);

	/* For a writable io; all give 0 or -errno.  The wrappers below keep size. */
	int (*write)(struct io *io, const void *buf, size_t len, uint64_t pos);
	/* Copies bytes of from, which has a descriptor, without looking at them: how many, or
	 * -errno when it has to be done by reading and writing.  NULL: always. */
	ssize_t (*copy)(
		struct io *io, uint64_t pos, const struct io *from, uint64_t from_pos, size_t len);
	int (*sync)(struct io *io); /* what was written is durable */
	int (*resize)(struct io *io, uint64_t size);
	/* Makes the range read as zeroes, giving its room back; inside the file.  -EOPNOTSUPP, or
	 * NULL: cannot. */
	int (*punch)(struct io *io, uint64_t pos, uint64_t len);
	/* Sees to it that writing to the range finds room, without changing a byte.  -EOPNOTSUPP,
	 * or NULL: nobody can promise that. */
	int (*reserve)(struct io *io, uint64_t pos, uint64_t len);

	/* The length of the file now; NULL: only we change it. */
	uint64_t (*length)(const struct io *io);
	/* For one made from other ios: the altered file among them, or NULL. */
	struct io *(*find_altered)(struct io *io);

	void (*close)(struct io *io); /* frees io, never the name */
};

struct io {
	const struct io_ops *ops;
	char *name;         /* path as opened; for messages and for finding neighbours */
	const char *member; /* in an archive: the end of name that names it there; or NULL */
	int fd;             /* -1: no descriptor to splice from */
	uint64_t start;     /* where the first byte is in what fd has open: 0 but in an archive */
	unsigned refs;
	_Atomic uint64_t size;
	bool writable;
	bool nosync;           /* syncs are left out: who made it makes it anew after a crash */
	_Atomic bool unsynced; /* something was written since the last sync */
	atomic_bool sparse;    /* the host file has holes worth asking for */
	bool is_block;         /* a block device */
	dev_t dev;             /* of the file that it is, or that it lies in */
	ino_t ino;             /* 0: not a file */
	uint64_t stored;       /* bytes that the host has allocated */
	struct timespec mtime, ctime;
	mode_t mode; /* type and permissions */
	gid_t gid;
	struct cache *cache; /* holds blocks of the file until it is closed; NULL: none does */
	struct writeback *writeback; /* collects changes of its metadata; NULL: it has none */

	/* Held by whoever changes the length of the file; in between length and size are equal. */
	pthread_mutex_t length_lock;
	atomic_bool altered; /* by another program: its length was cut_from and became cut_to */
	uint64_t cut_from, cut_to;
	atomic_bool altered_told; /* see err_is_first */
	atomic_bool *any_altered; /* of the files of a writable image; set with altered; or NULL */
};

/* Opens a regular file or a block device.  A FIFO or another special file is refused at once. */
struct io *io_open(const char *path, struct err *e);

/* Takes the descriptor fd, also on failure; name is copied. */
struct io *io_from_fd(int fd, const char *name, struct err *e);

/* Lets an opened file be written as well: the very same one, whatever its name leads to now.  Locks
 * of the descriptor are lost. */
int io_make_writable(struct io *io, struct err *e);

/* A stand-in over len bytes at data, which is borrowed and must stay. */
struct io *io_from_memory(const void *data, size_t len, const char *name, struct err *e);

/* The member of an archive that lies at [pos, pos+len) of the file archive, which it holds; read
 * and spliced where it is.  Its name is "ARCHIVE:MEMBER". */
struct io *io_slice(
	struct io *archive, uint64_t pos, uint64_t len, const char *member, struct err *e);

/* For stand-ins: a struct of bytes that begins with a struct io, zeroes but for the ops, a copy of
 * name, no descriptor and one reference. */
void *io_new(size_t bytes, const struct io_ops *ops, const char *name, struct err *e);

/* For stand-ins made from another io: to be known as what it is made from. */
void io_stand_for(struct io *io, const struct io *of);

struct io *io_ref(struct io *io);
void io_unref(struct io *io); /* NULL is fine */

/* As ops->read, but what was cut off stays behind the end of the file. */
ssize_t io_read_some(struct io *io, void *buf, size_t len, uint64_t pos);

/* Exactly len bytes; the end of the file on the way is EIO. */
int io_read(struct io *io, void *buf, size_t len, uint64_t pos, struct err *e);

/* As io_read, but what lies at or past io->size reads as zeroes. */
int io_read_padded(struct io *io, void *buf, size_t len, uint64_t pos, struct err *e);

/* Exactly len bytes, of a writable io; the file grows as needed.  ENOSPC, EDQUOT and EFBIG are told
 * as they are, all else is EIO. */
int io_write(struct io *io, const void *buf, size_t len, uint64_t pos, struct err *e);

/* Exactly len bytes of another file; shared with it where the host's file system can. */
int io_copy(struct io *io, uint64_t pos, struct io *from, uint64_t from_pos, uint64_t len,
	struct err *e);

/* The range reads as zeroes then: as holes where the host can, else by writing.  EUCLEAN: it lies
 * past the end of the file. */
int io_zero(struct io *io, uint64_t pos, uint64_t len, struct err *e);

/* The host has room for the range then, as far as it can promise that: what is written there later
 * does not fail with ENOSPC.  Its bytes stay, and so does the size of the file. */
int io_reserve(struct io *io, uint64_t pos, uint64_t len, struct err *e);

/* As io_reserve; EOPNOTSUPP: the host cannot promise it. */
int io_allocate(struct io *io, uint64_t pos, uint64_t len, struct err *e);

/* Gives the room of the range back to the host, as far as it lies inside the file and the host can;
 * what is read there then is undefined. */
void io_discard(struct io *io, uint64_t pos, uint64_t len);

/* Cuts the file or makes it longer, by zeroes. */
int io_resize(struct io *io, uint64_t size, struct err *e);

/* Returns once all that was written is durable. */
int io_sync(struct io *io, struct err *e);

/* All of a file that is a text, max bytes at most: malloc'ed, with a NUL behind it. */
int io_read_text(struct io *io, uint64_t max, char **text, struct err *e);

/* The next position >= pos of data (SEEK_DATA) or of a hole (SEEK_HOLE) in the host file, io->size
 * when there is none.  A host file system that cannot tell has data everywhere; what a file lost
 * since it was opened counts as data. */
uint64_t io_seek(struct io *io, uint64_t pos, int whence);

/* Are both the same file, or the same member of one, by whatever names? */
bool io_is_same(const struct io *a, const struct io *b);

/* The altered file, io itself or one that it is made from, or NULL. */
struct io *io_find_altered(struct io *io);

/* 0, or the error of a file that is altered. */
int io_check(struct io *io, struct err *e);

#endif
