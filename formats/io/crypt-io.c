/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* crypt-io.c - encrypted bytes of an io.
 *
 * A sector is only meaningful as a whole.  So that nobody reads one half of which another thread
 * has written, sectors that can be written are read and written under the lock of their region.
 */
#include <stdlib.h>
#include <string.h>

#include "util/bytes.h"
#include "util/err.h"
#include "crypt-impl.h"
#include "io.h"

#define BUFFER (256u << 10) /* bytes encrypted at a time */

static size_t skip_of(const struct crypt *c, uint64_t pos)
{
	return (pos - c->first) % c->sector_size;
}

static pthread_rwlock_t *lock_of(struct crypt *c, uint64_t pos)
{
	return &c->locks[(pos - c->first) / CRYPT_REGION % CRYPT_LOCKS];
}

/* How many of len bytes at pos are in the region of the first. */
static size_t in_region(const struct crypt *c, uint64_t pos, size_t len)
{
	return MIN(len, CRYPT_REGION - (pos - c->first) % CRYPT_REGION);
}

/* Whole sectors, under their lock. */
static int load(struct crypt *c, struct io *io, void *buf, size_t len, uint64_t pos,
	uint64_t sector, struct err *e)
{
	int r = io_read(io, buf, len, pos, e);

	return r < 0 ? r : crypt_convert(c, CRYPT_DECRYPT, buf, len, sector, e);
}

/* Whole sectors of one region. */
static int read_sectors(struct crypt *c, struct io *io, void *buf, size_t len, uint64_t pos,
	uint64_t sector, struct err *e)
{
	pthread_rwlock_t *lock = io->writable ? lock_of(c, pos) : NULL;
	int r;

	if (lock)
		pthread_rwlock_rdlock(lock);
	r = io_read(io, buf, len, pos, e);
	if (lock)
		pthread_rwlock_unlock(lock);
	return r < 0 ? r : crypt_convert(c, CRYPT_DECRYPT, buf, len, sector, e);
}

/* The len bytes of a sector that begin at its byte skip; pos: of the sector. */
static int read_part(struct crypt *c, struct io *io, void *buf, size_t len, size_t skip,
	uint64_t pos, uint64_t sector, struct err *e)
{
	char whole[CRYPT_SECTOR_MAX];
	int r = read_sectors(c, io, whole, c->sector_size, pos, sector, e);

	if (r == 0)
		memcpy(buf, whole + skip, len);
	return r;
}

int crypt_read(struct crypt *c, struct io *io, void *buf, size_t len, uint64_t pos, uint64_t sector,
	struct err *e)
{
	char *p = buf;

	while (len > 0) {
		size_t skip = skip_of(c, pos), most = io->writable ? in_region(c, pos, len) : len;
		bool is_part = skip > 0 || most < c->sector_size;
		size_t n = is_part ? MIN(len, c->sector_size - skip) : most - most % c->sector_size;
		int r = is_part ? read_part(c, io, p, n, skip, pos - skip, sector, e)
				: read_sectors(c, io, p, n, pos, sector, e);

		if (r < 0)
			return r;
		sector += crypt_sector_number(c, skip + n);
		p += n;
		pos += n;
		len -= n;
	}
	return 0;
}

/* Bytes of one region, which begin skip bytes after pos, with the rest of their first and their
 * last sector; size: of all these sectors, in buf. */
static int change(struct crypt *c, struct io *io, char *buf, const char *bytes, size_t len,
	uint64_t pos, size_t skip, uint64_t sector, struct err *e)
{
	size_t one = c->sector_size, size = round_up(skip + len, one), last = size - one;
	int r = 0;

	if (skip > 0)
		r = load(c, io, buf, one, pos, sector, e);
	if (r == 0 && skip + len < size && (last > 0 || skip == 0))
		r = load(c, io, buf + last, one, pos + last, sector + crypt_sector_number(c, last),
			e);
	memcpy(buf + skip, bytes, len);
	if (r == 0)
		r = crypt_convert(c, CRYPT_ENCRYPT, buf, size, sector, e);
	return r < 0 ? r : io_write(io, buf, size, pos, e);
}

int crypt_write(struct crypt *c, struct io *io, const void *buf, size_t len, uint64_t pos,
	uint64_t sector, struct err *e)
{
	char *sectors = malloc(MIN(BUFFER, round_up(len, c->sector_size) + c->sector_size));
	const char *p = buf;
	int r = sectors ? 0 : err_nomem(e);

	while (r == 0 && len > 0) {
		size_t skip = skip_of(c, pos), n = MIN(in_region(c, pos, len), BUFFER - skip);
		pthread_rwlock_t *lock = lock_of(c, pos);

		pthread_rwlock_wrlock(lock);
		r = change(c, io, sectors, p, n, pos - skip, skip, sector, e);
		pthread_rwlock_unlock(lock);
		sector += crypt_sector_number(c, skip + n);
		p += n;
		pos += n;
		len -= n;
	}
	free(sectors);
	return r;
}
