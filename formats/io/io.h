/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* io.h - an opened host file, or a stand-in for one (memory, a fault injector).
 *
 * Positional and safe from many threads at once.  The size is that at opening, with the changes by
 * this process: bytes that other programs append are not read, and bytes that they cut off are EIO,
 * never zeroes.  Images are never mapped into memory, since a file that is cut would then kill the
 * process.
 *
 * A writable file has no other writer.  Each write compares its length with the size first: one
 * past the end of a file that another program has cut would fill the gap with zeroes, and one at
 * the end of a file that another program has appended to would overwrite its bytes.  After a
 * difference an io stays altered: it is not written any more, and the bytes that were cut off stay
 * EIO when the file becomes longer again.  The next comparison finds a cut between a comparison and
 * its write.
 *
 * An io is shared by counting: only one thread, while it opens or closes an image, calls io_ref and
 * io_unref.
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
	/* lseek with SEEK_DATA or SEEK_HOLE: the position, -ENXIO past the last; NULL: all is
	 * data. */
	int64_t (*seek)(struct io *io, uint64_t pos, int whence);

	/* As io_make_writable; NULL: not possible. */
	int (*make_writable)(struct io *io, struct err *e);

	/* For a writable io; all return 0 or -errno.  The functions below update size. */
	int (*write)(struct io *io, const void *buf, size_t len, uint64_t pos);
	/* Copies bytes of from, which has a descriptor, by the host: their number, or -errno when
	 * they have to be read and written.  NULL: always. */
	ssize_t (*copy)(
		struct io *io, uint64_t pos, const struct io *from, uint64_t from_pos, size_t len);
	int (*sync)(struct io *io); /* makes earlier writes durable */
	int (*resize)(struct io *io, uint64_t size);
	/* Makes a range inside the file a hole.  -EOPNOTSUPP, or NULL: not possible. */
	int (*punch)(struct io *io, uint64_t pos, uint64_t len);
	/* As io_discard, of a range inside the file; NULL: as punch. */
	void (*discard)(struct io *io, uint64_t pos, uint64_t len);
	/* Reserves space for the range, without changing a byte.  -EOPNOTSUPP, or NULL: the host
	 * cannot guarantee that. */
	int (*reserve)(struct io *io, uint64_t pos, uint64_t len);

	/* As io_fetch; NULL: not possible. */
	void (*fetch)(struct io *io, uint64_t pos, uint64_t len);

	/* The present length of the file; NULL: only this process changes it. */
	uint64_t (*length)(const struct io *io);
	/* 0, or the error of an io that is lost: nothing of it can be read or written any more.  e
	 * may be NULL; NULL: it cannot be lost. */
	int (*check)(struct io *io, struct err *e);
	/* For a stand-in for other ios: the altered or lost one among them, or NULL. */
	struct io *(*find_altered)(struct io *io);

	void (*close)(struct io *io); /* frees io, never the name */
};

struct io {
	const struct io_ops *ops;
	char *name;         /* path as opened; for messages and for finding neighbours */
	const char *title;  /* for the names of files that are derived of it, where name ends with
			     * no file name; or NULL */
	const char *member; /* in an archive: the end of name that names it there; or NULL */
	int fd;             /* -1: no descriptor to splice from */
	uint64_t start;     /* position of the first byte in the file of fd: 0 but in an archive */
	unsigned refs;
	_Atomic uint64_t size;
	bool writable;
	bool nosync;           /* no syncs: the file is created again after a crash */
	_Atomic bool unsynced; /* there was a write after the last sync */
	atomic_bool sparse;    /* the host file may have holes */
	bool is_block;         /* a block device */
	bool direct;           /* a regular file whose file system has O_DIRECT */
	dev_t dev;             /* of the file, or of that of its archive */
	ino_t ino;             /* 0: not a file */
	const void *server;    /* that has it, also when it is opened again; NULL: it is local */
	uint64_t stored;       /* bytes that the host had allocated at opening: see io_stored */
	struct timespec mtime, ctime;
	mode_t mode; /* type and permissions */
	gid_t gid;
	struct cache *cache;         /* may have blocks of the file; NULL: has none */
	struct writeback *writeback; /* of its metadata; NULL: it is not changed */

	/* Held around each change of the length; length and size are equal when it is free. */
	pthread_mutex_t length_lock;
	atomic_bool altered; /* by another program: its length was cut_from and became cut_to */
	uint64_t cut_from, cut_to;
	atomic_bool altered_logged; /* see err_is_first */
	atomic_bool *any_altered; /* of the files of a writable image; set with altered; or NULL */
};

/* Opens a regular file or a block device.  A FIFO or another special file is refused at once. */
struct io *io_open(const char *path, struct err *e);

/* Takes the descriptor fd, also on failure; name is copied. */
struct io *io_from_fd(int fd, const char *name, struct err *e);

/* Opens the same file for writing, also if another one has its name now.  Locks of the descriptor
 * are lost.  EROFS: a server does not let it be written. */
int io_make_writable(struct io *io, struct err *e);

/* A stand-in for len bytes at data, which is borrowed. */
struct io *io_from_memory(const void *data, size_t len, const char *name, struct err *e);

/* The member of an archive at [pos, pos+len) of the file archive, which it holds; it is read and
 * spliced from there.  Its name is "ARCHIVE:MEMBER". */
struct io *io_slice(
	struct io *archive, uint64_t pos, uint64_t len, const char *member, struct err *e);

/* For stand-ins: a struct of bytes that begins with a struct io, zeroes but for the ops, a copy of
 * name, no descriptor and one reference. */
void *io_new(size_t bytes, const struct io_ops *ops, const char *name, struct err *e);

/* For a stand-in: gives io the identity, size and times of the io that it stands for. */
void io_stand_for(struct io *io, const struct io *of);

/* The bytes that the host has allocated for the file: now, if it is writable, else at opening. */
uint64_t io_stored(const struct io *io);

struct io *io_ref(struct io *io);
void io_unref(struct io *io); /* NULL is fine */

/* As ops->read, but the file ends where it was cut, also if it became longer since. */
ssize_t io_read_some(struct io *io, void *buf, size_t len, uint64_t pos);

/* Exactly len bytes; the end of the file on the way is EIO. */
int io_read(struct io *io, void *buf, size_t len, uint64_t pos, struct err *e);

/* Lets the host read the range into its page cache, or a server send it, without waiting for it: it
 * will be read soon.
 * Bytes past the end are ignored, and so are errors. */
void io_fetch(struct io *io, uint64_t pos, uint64_t len);

/* The first len bytes; a shorter file is EINVAL. */
int io_read_header(struct io *io, void *buf, size_t len, struct err *e);

/* As io_read, but bytes at or past io->size read as zeroes. */
int io_read_padded(struct io *io, void *buf, size_t len, uint64_t pos, struct err *e);

/* Exactly len bytes, of a writable io; the file grows as needed.  ENOSPC, EDQUOT and EFBIG are
 * returned, every other error is EIO. */
int io_write(struct io *io, const void *buf, size_t len, uint64_t pos, struct err *e);

/* Exactly len bytes of another file; shared with it if the host's file system can. */
int io_copy(struct io *io, uint64_t pos, struct io *from, uint64_t from_pos, uint64_t len,
	struct err *e);

/* Makes the range read as zeroes: as a hole if the host can, else by writing.  EUCLEAN: it passes
 * the end of the file. */
int io_zero(struct io *io, uint64_t pos, uint64_t len, struct err *e);

/* Reserves space on the host for the range, if the host can: later writes to it do not fail with
 * ENOSPC.  The bytes and the size of the file do not change. */
int io_reserve(struct io *io, uint64_t pos, uint64_t len, struct err *e);

/* As io_reserve; EOPNOTSUPP: the host cannot guarantee it. */
int io_allocate(struct io *io, uint64_t pos, uint64_t len, struct err *e);

/* Frees the space of the range, as far as it is inside the file and the host can; its bytes are
 * undefined then. */
void io_discard(struct io *io, uint64_t pos, uint64_t len);

/* Cuts the file, or extends it by zeroes. */
int io_resize(struct io *io, uint64_t size, struct err *e);

/* Makes all earlier writes durable. */
int io_sync(struct io *io, struct err *e);

/* Reads a whole file of text, max bytes at most: malloc'ed, with a NUL at its end. */
int io_read_text(struct io *io, uint64_t max, char **text, struct err *e);

/* The next position >= pos of data (SEEK_DATA) or of a hole (SEEK_HOLE) in the host file, io->size
 * when there is none.  On a host file system without SEEK_DATA all is data; bytes that were cut off
 * since the file was opened count as data. */
uint64_t io_seek(struct io *io, uint64_t pos, int whence);

/* Are both the same file, or the same member of one, also by different names? */
bool io_is_same(const struct io *a, const struct io *b);

/* The altered or lost file, io itself or one that it stands for, or NULL. */
struct io *io_find_altered(struct io *io);

/* 0, or the error of a file that is altered or lost. */
int io_check(struct io *io, struct err *e);

#endif
