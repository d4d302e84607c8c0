/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* luks2.c - the two copies of the header of LUKS version 2, section 2 of its specification.
 *
 * Each has a checksum of its binary part and its JSON text, and a number that grows with every
 * change: the newest whole copy is read.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "util/bytes.h"
#include "util/err.h"
#include "util/limits.h"
#include "io/io.h"
#include "luks-impl.h"

#define BINARY       4096u /* bytes before the JSON text */
#define AT_SIZE      8u
#define AT_SEQUENCE  16u
#define AT_LABEL     24u
#define AT_HASH      72u
#define AT_UUID      168u
#define AT_POSITION  256u
#define AT_CHECKSUM  448u
#define CHECKSUM_MAX 64u

#define SECOND_MAGIC "SKUL\xba\xbe"

struct copy {
	unsigned char *bytes; /* NULL: it is not whole */
	uint64_t size;
	uint64_t sequence;
};

static int check_sum(unsigned char *p, uint64_t size, struct err *e)
{
	unsigned char stored[CHECKSUM_MAX], computed[HASH_MAX];
	const struct hash *hash;
	char name[LUKS_WORD + 1] = "";

	memcpy(name, p + AT_HASH, LUKS_WORD);
	hash = digest_find(name);
	if (!hash)
		return err_set(e, ENOTSUP, "the checksum \"%s\" is not supported", name);
	memcpy(stored, p + AT_CHECKSUM, sizeof stored);
	memset(p + AT_CHECKSUM, 0, sizeof stored);
	digest_compute(hash, p, size, computed);
	if (memcmp(stored, computed, digest_size(hash)) != 0)
		return err_set(e, EINVAL, "its checksum does not match");
	return 0;
}

static int check_binary(
	const unsigned char *p, uint64_t pos, uint64_t end, uint64_t *size, struct err *e)
{
	if (memcmp(p, pos == 0 ? LUKS_MAGIC : SECOND_MAGIC, 6) != 0)
		return err_set(e, EINVAL, "not a LUKS header");
	if (load_be16(p + 6) != 2)
		return err_set(e, ENOTSUP, "LUKS version %u is not supported", load_be16(p + 6));
	*size = load_be64(p + AT_SIZE);
	if (!is_power_of_2(*size) || *size < LUKS2_MIN_HEADER || *size > LUKS2_MAX_HEADER)
		return err_set(e, EINVAL, "a header of %" PRIu64 " bytes", *size);
	if (load_be64(p + AT_POSITION) != pos || (pos > 0 && *size != pos))
		return err_set(e, EINVAL, "it says that it lies at %" PRIu64 ", not at %" PRIu64,
			load_be64(p + AT_POSITION), pos);
	if (!range_fits(pos, *size, end))
		return err_set(e, EINVAL, "cut off at %" PRIu64 " bytes", end);
	return 0;
}

/* Reads the copy at pos, if it is whole.  EINVAL and ENOTSUP: it is not. */
static int read_copy(const struct luks *l, uint64_t pos, struct copy *c, struct err *e)
{
	unsigned char start[512];
	int r;

	*c = (struct copy){.bytes = NULL};
	if (!range_fits(pos, sizeof start, l->len))
		return err_set(e, EINVAL, "cut off at %" PRIu64 " bytes", l->len);
	r = io_read(l->io, start, sizeof start, l->pos + pos, e);
	if (r == 0)
		r = check_binary(start, pos, l->len, &c->size, e);
	if (r < 0)
		return r;
	c->bytes = malloc(c->size);
	if (!c->bytes)
		return err_nomem(e);
	c->sequence = load_be64(start + AT_SEQUENCE);
	r = io_read(l->io, c->bytes, c->size, l->pos + pos, e);
	/* It may have changed since its start was read. */
	if (r == 0 && memcmp(c->bytes, start, sizeof start) != 0)
		r = err_set(e, EINVAL, "it changed while it was read");
	if (r == 0)
		r = check_sum(c->bytes, c->size, e);
	if (r < 0) {
		free(c->bytes);
		c->bytes = NULL;
	}
	return r;
}

static bool is_damage(int r)
{
	return r == -EINVAL || r == -ENOTSUP;
}

/* The second copy lies where the first one ends.  Without that, any size may be right. */
static int read_second(
	const struct luks *l, const struct copy *first, struct copy *second, struct err *e)
{
	struct err ignored = ERR_INIT;
	int r = -EINVAL;

	if (first->bytes)
		return read_copy(l, first->size, second, e);
	for (uint64_t pos = LUKS2_MIN_HEADER; is_damage(r) && pos <= LUKS2_MAX_HEADER; pos *= 2)
		r = read_copy(l, pos, second, &ignored);
	if (r < 0 && !is_damage(r))
		*e = ignored;
	return r;
}

static int parse(struct luks *l, const struct copy *c, struct err *e)
{
	const char *text = (const char *)c->bytes + BINARY;

	memset(l->label, 0, sizeof l->label);
	memset(l->uuid, 0, sizeof l->uuid);
	memcpy(l->label, c->bytes + AT_LABEL, sizeof l->label - 1);
	memcpy(l->uuid, c->bytes + AT_UUID, sizeof l->uuid - 1);
	l->header_len = 2 * c->size;
	return luks2_parse(l, text, strnlen(text, c->size - BINARY), e);
}

/* Parses the newer copy, or the other one if the text of that is damaged. */
static int parse_newest(
	struct luks *l, const struct copy *first, const struct copy *second, struct err *e)
{
	const struct copy *newer = first, *older = second;
	struct err other = ERR_INIT;
	int r;

	if (!first->bytes || (second->bytes && second->sequence > first->sequence)) {
		newer = second;
		older = first;
	}
	r = parse(l, newer, e);
	if (r == -EINVAL && older->bytes && parse(l, older, &other) == 0)
		r = 0;
	return r;
}

int luks2_read(struct luks *l, struct err *e)
{
	struct copy first, second = {.bytes = NULL};
	struct err other = ERR_INIT;
	int r = read_copy(l, 0, &first, e);

	l->version = 2;
	if (r == 0 || is_damage(r)) {
		int r2 = read_second(l, &first, &second, &other);

		if (!is_damage(r2) && r2 < 0) {
			*e = other;
			r = r2;
		} else if (r2 == 0) {
			r = 0;
		}
	}
	if (r == 0)
		r = parse_newest(l, &first, &second, e);
	if (r < 0)
		err_in(e, "LUKS header");
	free(first.bytes);
	free(second.bytes);
	return r == 0 ? luks_check_work(l, e) : r;
}
