/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* crypt.c - encrypted images: LUKS, and the older AES method.
 *
 * Standard clusters of disks and VM states are encrypted; tables and compressed clusters never are.
 */
#include "crypt.h"

#include <errno.h>
#include <inttypes.h>

#include "util/bytes.h"
#include "util/err.h"
#include "io/crypt.h"
#include "io/io.h"
#include "view/view.h"
#include "image/facts.h"
#include "image/image.h"
#include "driver/common/qcow-aes.h"
#include "qcow2.h"

int qcow2_crypt_check_luks(const struct qcow2 *q, struct err *e)
{
	uint64_t pos = q->header.luks_pos, len = q->header.luks_len;

	if (len == 0)
		return err_set(e, EINVAL, "encrypted with LUKS, but the LUKS header is missing");
	if (pos == 0 || (pos & (q->cluster_size - 1)))
		return err_set(e, EINVAL,
			"LUKS header: offset 0x%" PRIx64 " is not a multiple of %" PRIu32, pos,
			q->cluster_size);
	if (!range_fits(pos, len, q->io->size))
		return err_set(e, EINVAL,
			"LUKS header: %" PRIu64 " bytes at 0x%" PRIx64
			" pass the end of the file, 0x%" PRIx64,
			len, pos, q->io->size);
	return 0;
}

int qcow2_crypt_unlock(const struct image *img, struct qcow2 *q, struct err *e)
{
	int r;

	if (q->header.encryption == QCOW2_AES)
		return qcow_aes_unlock(img, &q->crypt, e);
	if (q->header.encryption != QCOW2_LUKS)
		return 0;
	r = luks_read(&q->luks, q->io, q->header.luks_pos, q->header.luks_len, e);
	return r < 0 ? r : luks_unlock(&q->luks, img->opts, &q->crypt, e);
}

/* The AES method numbers sectors from the start of the disk, LUKS from the start of the file. */
int qcow2_crypt_extent(const struct qcow2 *q, uint64_t off, struct extent *x, struct err *e)
{
	uint64_t from = q->header.encryption == QCOW2_AES ? off : x->pos;

	return extent_encrypted(x, q->crypt, from / CRYPT_SECTOR, e);
}

void qcow2_crypt_facts(const struct qcow2 *q, struct facts *f)
{
	struct facts *inner;

	if (q->header.encryption == QCOW2_PLAIN)
		return;
	facts_encrypted(f);
	inner = facts_object(f, "encrypt");
	facts_text(inner, "format", q->header.encryption == QCOW2_AES ? "aes" : "luks");
	if (q->header.encryption == QCOW2_LUKS)
		luks_facts(&q->luks, inner);
}
