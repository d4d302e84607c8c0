/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* registry.c - the kinds of volumes.
 *
 * The order is that of libblkid: a mirror whose metadata is at its end begins with the bytes of
 * what lies on the array, and is a member of that all the same.
 */
#include <stddef.h>

#include "bitlocker/bitlocker.h"
#include "luks/luks.h"
#include "lvm/lvm.h"
#include "md/md.h"
#include "reader.h"

const struct volume_reader *const volume_readers[] = {
	&md_reader,
	&lvm_reader,
	&bitlocker_reader,
	&luks_reader,
	NULL,
};
