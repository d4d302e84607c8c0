/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "header.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "util/bytes.h"
#include "util/crc32c.h"
#include "util/err.h"
#include "util/limits.h"
#include "io/io.h"

const uint64_t vhdx_header_pos[] = {64 << 10, 128 << 10};

uint32_t vhdx_header_checksum(const unsigned char *p, size_t len)
{
	static const unsigned char zero[4];
	uint32_t crc;

	crc = crc32c(0, p, 4);
	crc = crc32c(crc, zero, sizeof zero);
	return crc32c(crc, p + 8, len - 8);
}

bool vhdx_header_is_valid(const unsigned char *p, size_t len, const char *signature)
{
	return memcmp(p, signature, 4) == 0 && vhdx_header_checksum(p, len) == load_le32(p + 4);
}

/* Chooses the current one (section 2.2.2).  Disk2vhd writes two that are the same. */
static int choose_header(unsigned char h[2][VHDX_HEADER_LEN], unsigned *current, struct err *e)
{
	bool valid[2];
	uint64_t sequence[2];

	for (int i = 0; i < 2; i++) {
		valid[i] = vhdx_header_is_valid(h[i], VHDX_HEADER_LEN, "head");
		sequence[i] = load_le64(h[i] + 8);
	}
	if (!valid[0] && !valid[1])
		return err_set(e, EUCLEAN, "header: both copies are damaged");
	if (valid[0] && valid[1] && sequence[0] == sequence[1] &&
		memcmp(h[0], h[1], VHDX_HEADER_LEN) != 0)
		return err_set(e, EUCLEAN,
			"header: two different ones have the sequence number %" PRIu64,
			sequence[0]);
	*current = valid[1] && (!valid[0] || sequence[1] > sequence[0]);
	return 0;
}

/* Without a GUID the log is empty, whatever it holds and whatever its position is. */
static int check_log(struct vhdx *d, const unsigned char *h, struct err *e)
{
	struct vhdx_header *header = &d->header;

	header->log_len = load_le32(h + 68);
	header->log_pos = load_le64(h + 72);
	d->parts[VHDX_LOG] = (struct vhdx_range){"log", header->log_pos, header->log_len};
	if (guid_is_zero(header->log_guid)) {
		if (header->log_pos < VHDX_MIB ||
			!range_fits(header->log_pos, header->log_len, d->io->size))
			d->parts[VHDX_LOG] = (struct vhdx_range){.what = "log"};
		return 0;
	}
	if (load_le16(h + 64) != 0)
		return err_set(e, ENOTSUP, "log: version %u is not supported", load_le16(h + 64));
	if (header->log_len == 0 || header->log_len % VHDX_MIB != 0 || header->log_pos < VHDX_MIB ||
		header->log_pos % VHDX_MIB != 0)
		return err_set(e, EUCLEAN,
			"log: %" PRIu32 " bytes at 0x%" PRIx64 ", whole MiB expected",
			header->log_len, header->log_pos);
	if (header->log_len > VHDX_MAX_LOG)
		return err_set(e, EFBIG, "log: %" PRIu32 " bytes, at most %u are replayed",
			header->log_len, VHDX_MAX_LOG);
	if (!range_fits(header->log_pos, header->log_len, d->io->size))
		return err_set(e, EUCLEAN,
			"log: %" PRIu32 " bytes at 0x%" PRIx64
			" pass the end of the file, 0x%" PRIx64,
			header->log_len, header->log_pos, d->io->size);
	return 0;
}

int vhdx_header_read(struct vhdx *d, struct err *e)
{
	unsigned char h[2][VHDX_HEADER_LEN], magic[8];
	unsigned current = 0;
	int r = io_read_padded(d->io, magic, sizeof magic, 0, e);

	if (r == 0 && memcmp(magic, "vhdxfile", sizeof magic) != 0)
		r = err_set(e, EINVAL, "not a VHDX image: no vhdxfile at its beginning");
	for (int i = 0; r == 0 && i < 2; i++)
		r = io_read_padded(d->io, h[i], VHDX_HEADER_LEN, vhdx_header_pos[i], e);
	if (r == 0)
		r = choose_header(h, &current, e);
	if (r < 0)
		return r;
	if (load_le16(h[current] + 66) != 1)
		return err_set(
			e, ENOTSUP, "version %u is not supported", load_le16(h[current] + 66));
	d->parts[VHDX_HEADERS] = (struct vhdx_range){"header", 0, VHDX_MIB};
	d->header.slot = current;
	d->header.sequence = load_le64(h[current] + 8);
	memcpy(d->header.file_guid, h[current] + 16, GUID_LEN);
	memcpy(d->header.data_guid, h[current] + 32, GUID_LEN);
	memcpy(d->header.log_guid, h[current] + 48, GUID_LEN);
	return check_log(d, h[current], e);
}

/* Section 2.2.1. */
void vhdx_header_encode_identifier(unsigned char *p)
{
	static const char creator[] = "vdiskfs";

	memcpy(p, "vhdxfile", 8);
	for (size_t i = 0; i < sizeof creator - 1; i++)
		p[8 + 2 * i] = creator[i];
}

/* Section 2.2.2. */
void vhdx_header_encode(unsigned char *h, const struct vhdx_header *header)
{
	memcpy(h, "head", 4);
	store_le64(h + 8, header->sequence);
	memcpy(h + 16, header->file_guid, GUID_LEN);
	memcpy(h + 32, header->data_guid, GUID_LEN);
	memcpy(h + 48, header->log_guid, GUID_LEN);
	store_le16(h + 66, 1);
	store_le32(h + 68, header->log_len);
	store_le64(h + 72, header->log_pos);
	store_le32(h + 4, vhdx_header_checksum(h, VHDX_HEADER_LEN));
}

int vhdx_header_write(struct vhdx *d, struct err *e)
{
	unsigned char h[VHDX_HEADER_LEN] = {0};
	struct vhdx_header next = d->header;
	int r;

	next.slot = !next.slot;
	next.sequence++;
	vhdx_header_encode(h, &next);
	r = io_write(d->io, h, sizeof h, vhdx_header_pos[next.slot], e);
	if (r == 0)
		r = io_sync(d->io, e);
	if (r == 0)
		d->header = next;
	return r;
}

int vhdx_header_write_both(struct vhdx *d, struct err *e)
{
	int r = vhdx_header_write(d, e);

	return r < 0 ? r : vhdx_header_write(d, e);
}
