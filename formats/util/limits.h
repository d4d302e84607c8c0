/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* limits.h - limits of the resources that an image can use.
 *
 * Limits that QEMU has, too, are the same, so that no image that QEMU opens is refused here.
 */
#ifndef VDISK_UTIL_LIMITS_H
#define VDISK_UTIL_LIMITS_H

#include <stdint.h>

#define LIMIT_DISK_SIZE   ((uint64_t)INT64_MAX) /* bytes of a virtual disk: an off_t */
#define LIMIT_CHAIN_DEPTH 256                   /* images in a backing chain */
#define LIMIT_NAME        1023                  /* bytes of a file name in an image */
#define LIMIT_PEEK        (64u << 10)           /* bytes at the head of a file that probes see */
#define LIMIT_DESCRIPTOR  (1u << 20)            /* bytes of a file that may just name others */

#define QCOW2_MAX_L1_BYTES         (32u << 20) /* active or of a snapshot */
#define QCOW2_MAX_REFTABLE_BYTES   (8u << 20)
#define QCOW2_MAX_SNAPSHOTS        65536
#define QCOW2_MAX_SNAPSHOT_BYTES   (64u << 20) /* the whole table */
#define QCOW2_MAX_SNAPSHOT_EXTRA   1024
#define QCOW2_MAX_BITMAP_TABLE     (1u << 30) /* bytes */
#define QCOW2_MAX_BITMAPS          65535u
#define QCOW2_MAX_BITMAP_CLUSTERS  (1u << 27)            /* of one bitmap */
#define QCOW2_MAX_BITMAP_BYTES     (UINT64_C(512) << 20) /* of bits of one that is added */
#define QCOW2_MAX_BITMAP_DIRECTORY (64u << 20)           /* bytes */
#define QCOW2_MAX_BITMAP_MEMORY    (64u << 20) /* of all bitmaps that are kept up to date */
#define QCOW2_MIN_CLUSTER_BITS     9
#define QCOW2_MAX_CLUSTER_BITS     21
#define QCOW2_MIN_EXTENDED_BITS    14 /* a subcluster, 1/32, has a sector at least */

#define QCOW_MIN_CLUSTER_BITS 9
#define QCOW_MAX_CLUSTER_BITS 16
#define QCOW_MIN_TABLE_BITS   6
#define QCOW_MAX_TABLE_BITS   13

#define QED_MIN_CLUSTER (4u << 10)
#define QED_MAX_CLUSTER (64u << 20)
#define QED_MAX_TABLE   16u /* clusters */

#define BOCHS_MAX_CATALOG (1u << 20) /* entries */
#define BOCHS_MAX_EXTENT  (8u << 20)

#define PARALLELS_MAX_CLUSTER   (INT32_MAX / 513) /* sectors */
#define PARALLELS_MAX_STORAGES  256
#define PARALLELS_MAX_SNAPSHOTS 256

#define VMDK_MAX_DESCRIPTOR         (1u << 20)
#define VMDK_MAX_EXTENTS            4096
#define VMDK_MAX_GRAIN_SECTORS      0x200000u
#define VMDK_MAX_GTES_PER_GT        512
#define VMDK_MAX_GD_BYTES           (32u << 20)
#define VMDK_MAX_COMPRESSED_SECTORS 4096u      /* of a compressed grain: 2 MiB, as in qcow2 */
#define VMDK_MAX_RECOVERED          (4u << 20) /* grains found without a directory: 32 MiB of memory */
#define VMDK_MAX_PADDING            (64u << 20) /* zeroes after the footer of a stream */

#define VDI_MAX_BLOCKS 0x1fffffffu  /* a map of 2 GiB: as many as its u32 offset reaches */
#define VDI_MAX_BLOCK  (256u << 20) /* bytes; VirtualBox opens up to 128 MiB */

#define VHD_MAX_PLACES (1u << 22) /* blocks of a disk that is written to: 2 TiB in 512 KiB */

#define VHDX_MAX_DISK    (UINT64_C(64) << 40)
#define VHDX_MAX_FILE    (UINT64_C(256) << 40) /* that is written to: 32 MiB of memory */
#define VHDX_MIN_BLOCK   (1u << 20)
#define VHDX_MAX_BLOCK   (256u << 20)
#define VHDX_MAX_ENTRIES 2047        /* of a region or metadata table */
#define VHDX_MAX_ITEM    (1u << 20)  /* bytes of a metadata item */
#define VHDX_MAX_LOG     (32u << 20) /* bytes; writers make logs of 1 MiB */
#define VHDX_MAX_CHANGES 16384       /* pages and runs of zeroes in a log to be replayed */

#define LAYOUT_MAX_CHUNKS (1u << 20) /* of 32768 granules: 2 PiB in granules of 64 KiB */
#define LAYOUT_MAX_MIXED  16384      /* of them with a bitmap of 4 KiB */

#define SECRET_MAX (1u << 20) /* bytes of a passphrase */

/* Unlocking a slot costs its iterations for each digest that the key is long.  At their time the
 * fastest machines make headers of some 30 million in two seconds. */
#define LUKS_MAX_WORK     UINT64_C(64000000)  /* of a slot */
#define LUKS_MAX_ALL_WORK UINT64_C(192000000) /* of all slots */

/* Argon2 costs its memory for each pass: a GiB is some second of a processor. */
#define LUKS_MAX_ARGON2     (UINT64_C(64) << 20)   /* KiB of all passes of a slot */
#define LUKS_MAX_ALL_ARGON2 (UINT64_C(192) << 20)  /* of all slots */
#define LUKS_MAX_MEMORY     (UINT64_C(1280) << 10) /* KiB, unless an option says more */
#define LUKS_MAX_LANES      64
#define LUKS_MIN_DIGEST     20u /* bytes */

#define LUKS2_MIN_HEADER  (16u << 10) /* bytes of a copy */
#define LUKS2_MAX_HEADER  (4u << 20)
#define LUKS2_MAX_OBJECTS 8192 /* in its JSON text */
#define LUKS2_MAX_VALUES  131072
#define LUKS2_MAX_DEPTH   32

#define XML_MAX_BYTES    (16u << 20)
#define XML_MAX_ELEMENTS (256u << 10)
#define XML_MAX_DEPTH    1024        /* VirtualBox nests snapshots, two elements each */
#define XML_MAX_TEXT     (64u << 10) /* bytes in one element */

#define TAR_MAX_MEMBERS 65536
#define TAR_MAX_HEADERS (4 * TAR_MAX_MEMBERS)
#define TAR_MAX_RECORDS (1u << 20) /* bytes that stand beside one header */

#define OVF_MAX_ITEMS  4096 /* files, disks, and pieces of hardware each */
#define OVF_MAX_CHUNKS 65536

#define MANIFEST_MAX_BYTES (16u << 20) /* 65536 chunks of a disk have a line each */

#define GUNZIP_MAX_POINTS 1024 /* of 32 KiB each, where decoding can begin */

#define VBOX_MAX_MEDIA     4096 /* that one machine registers */
#define VBOX_MAX_SNAPSHOTS 4096

#define DICT_MAX_BYTES    (4 << 20)
#define DICT_MAX_ENTRIES  65536
#define VMX_MAX_SNAPSHOTS 4096
#define VMX_MAX_DISKS     512 /* of a snapshot */

#define VBOX_DIR_MAX_MACHINES     64    /* descriptions in one directory that are read */
#define PARENT_SEARCH_MAX_FILES   4096  /* files that are opened to find a parent by its id */
#define PARENT_SEARCH_MAX_DEPTH   8     /* directories below those that the user gave for it */
#define PARENT_SEARCH_MAX_ENTRIES 65536 /* entries of these that are read */

#define DISKS_MAX             256 /* that hold members of volumes on several disks, in one directory */
#define VOLUME_MAX_DEPTH      8     /* volumes on volumes */
#define VOLUME_MAX            4096  /* of one state */
#define VOLUME_MAX_ALL_STACKS 65536 /* the same of all volumes together */
#define VOLUME_MAX_STACK      4096  /* devices below one, each counted as often as it is used */

#define RAID_MAX_MEMBERS  1920 /* as many as a superblock of md has places for */
#define RAID10_MAX_COPIES 32   /* near ones and far ones each */
#define RAID6_MAX_MEMBERS 255  /* as many as Q has different factors for */

/* Tries of a passphrase on a protector, a million digests each. */
#define BITLOCKER_MAX_STRETCHES 32u

#define LVM_MAX_TEXT     (8u << 20) /* bytes of the metadata of a group; LVM makes areas of 1 MiB */
#define LVM_MAX_VALUES   (1u << 20) /* keys, and values, in it */
#define LVM_MAX_SECTIONS 8          /* sections in sections; LVM writes four */
#define LVM_MAX_DEPTH    8          /* logical volumes on others of the same group */
#define LVM_MAX_PARTS    4096       /* logical volumes that one is made of */
#define LVM_MAX_LEGS     253        /* of a RAID volume: as many as dm-raid has */
#define LVM_MAX_REGIONS  (1u << 28) /* of a mirror: 32 MiB of its log are read */

/* Snapshots of LVM: exceptions, 2 GiB of which are read; runs of them, 64 MiB of memory; runs of
 * all snapshots that are open. */
#define SNAPSHOT_MAX_EXCEPTIONS (1u << 27)
#define SNAPSHOT_MAX_RUNS       (1u << 22)
#define SNAPSHOT_MAX_ALL_RUNS   (1u << 23)

#define LIMIT_PARTITIONS 256        /* of one table */
#define LIMIT_GPT_ARRAY  (1u << 20) /* bytes of the entry array */

#endif
