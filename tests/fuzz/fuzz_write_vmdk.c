/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fuzz_write.h"

FUZZ_WRITE("vmdk", fuzz_no_checksums)
