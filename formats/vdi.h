/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* vdi.h - private to the VDI driver: vdi.c opens and maps, vdi-layout.c makes files up. */
#ifndef VDISK_VDI_H
#define VDISK_VDI_H

struct layout;

#define VDI_SIGNATURE  0xbeda107fu
#define VDI_VERSION_0  0x00000002u /* 0.2, the only one before 1 */
#define VDI_VERSION_1  0x00010001u
#define VDI_ENTRY_FREE 0xffffffffu /* never written: the parent's, or zeroes */
#define VDI_ENTRY_ZERO 0xfffffffeu /* zeroes, whatever the parent has */

enum vdi_type { VDI_DYNAMIC = 1, VDI_FIXED = 2, VDI_UNDO = 3, VDI_DIFFERENCING = 4 };

extern const struct layout vdi_layout;

#endif
