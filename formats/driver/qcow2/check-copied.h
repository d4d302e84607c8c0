/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* check-copied.h - the flag COPIED in the tables of the live disk. */
#ifndef VDISK_DRIVER_QCOW2_CHECK_COPIED_H
#define VDISK_DRIVER_QCOW2_CHECK_COPIED_H

#include "check.h"

/* Reports flags that are wrong, and repairs those that repair allows and that can be repaired
 * without doubt. */
int qcow2_check_copied(struct qcow2_check *c, unsigned repair, struct err *e);

#endif
