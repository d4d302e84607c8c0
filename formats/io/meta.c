/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "meta.h"

#include <string.h>

#include "io.h"
#include "util/bytes.h"

static int load_page(void *arg, void *buf, size_t len, struct err *e)
{
	const struct cache_request *request = arg;

	return io_read_padded((struct io *)request->key.source, buf, len, request->key.id, e);
}

static struct cache_key key_of(const struct io *io, uint64_t pos)
{
	return (struct cache_key){.source = io, .space = CACHE_PAGES, .id = pos - pos % META_PAGE};
}

int meta_pin(struct cache *c, struct io *io, uint64_t pos, struct meta *m, struct err *e)
{
	struct cache_request page = {
		.key = key_of(io, pos), .len = META_PAGE, .load = load_page, .arg = &page};
	size_t skip = pos % META_PAGE;
	int r = cache_pin(c, &page, &m->block, e);

	if (r < 0)
		return r;
	m->p = m->block->data + skip;
	m->n = META_PAGE - skip;
	return 0;
}

void meta_unpin(struct cache *c, struct meta *m)
{
	cache_unpin(c, m->block);
}

int meta_read(struct cache *c, struct io *io, void *buf, size_t len, uint64_t pos, struct err *e)
{
	while (len > 0) {
		struct meta m;
		size_t n;
		int r = meta_pin(c, io, pos, &m, e);

		if (r < 0)
			return r;
		n = MIN(len, m.n);
		memcpy(buf, m.p, n);
		meta_unpin(c, &m);
		buf = (char *)buf + n;
		pos += n;
		len -= n;
	}
	return 0;
}

int meta_modify(struct cache *c, struct io *io, uint64_t pos, cache_change *change, void *arg,
	struct err *e)
{
	struct cache_request page = {
		.key = key_of(io, pos), .len = META_PAGE, .load = load_page, .arg = &page};

	return cache_modify(c, &page, change, arg, e);
}

bool meta_has_note(struct cache *c, struct io *io, uint64_t pos)
{
	struct cache_key key = key_of(io, pos);

	return cache_has_note(c, &key);
}

void meta_release(struct cache *c, struct io *io, uint64_t pos)
{
	struct cache_key key = key_of(io, pos);

	cache_release(c, &key);
}
