/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* unit.h - what the unit suites share. */
#ifndef VDISK_UNIT_H
#define VDISK_UNIT_H

#include <check.h>

#define SUITE(name) Suite *name##_suite(void);
#include "suites.h"
#undef SUITE

#endif
