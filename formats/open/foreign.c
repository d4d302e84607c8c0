/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* foreign.c - the magics of other kinds of files: none of them may be taken for a raw disk. */
#include "foreign.h"

#include <stdbool.h>
#include <string.h>

#include "image/format.h"

#define UNPACK(command) command " %s unpacks it"
#define FILTER(command) command " <%s >NEW unpacks it" /* whatever suffix the name has */
static const struct {
	struct foreign is;
	bool at_tail;
	unsigned pos;
	const char *magic;
	unsigned len;
} kinds[] = {
	{{"an unfinished VMDK", NULL}, false, 0, "kdmv", 4},
	{{"a list of changes to a VMDK", "the disk is in the VMDK beside it"}, false, 0,
		"\xa2\x72\x19\xf6\1\0\0", 8},
	{{"an Apple disk image", "dmg2img %s NEW makes a raw disk of it"}, true, 0, "koly", 4},
	{{"an encrypted Apple disk image", NULL}, false, 0, "encrcdsa", 8},
	{{"an Apple sparse disk image", NULL}, false, 0, "sprs", 4},
	{{"an EnCase image", "ewfexport %s makes a raw disk of it"}, false, 0, "EVF\t\r\n\xff\0",
		8},
	{{"an EnCase image", "ewfexport %s makes a raw disk of it"}, false, 0, "EVF2\r\n\x81\0", 8},
	{{"an EnCase logical image", NULL}, false, 0, "LVF\t\r\n\xff\0", 8},
	{{"an AFF image", "affuse %s DIR shows its disk in DIR"}, false, 0, "AFF10\r\n\0", 8},
	{{"a cloop image", "extract_compressed_fs %s NEW makes a raw disk of it"}, false, 0,
		"#!/bin/sh\n#V2.0 Format\n", 23},
	{{"a Windows image (WIM)", "it holds files, not a disk: wimmount %s DIR shows them"}, false,
		0, "MSWIM\0\0\0", 8},
	{{"a compressed hard disk (CHD)", "chdman extracthd -i %s -o NEW makes a raw disk of it"},
		false, 0, "MComprHD", 8},
	{{"a compressed ISO image", NULL}, false, 0, "CISO", 4},
	{{"an Android sparse image", "simg2img %s NEW makes a raw disk of it"}, false, 0,
		"\x3a\xff\x26\xed", 4},
	{{"a Partclone image", "partclone.restore puts it back onto a partition"}, false, 0,
		"partclone-image", 15},
	{{"an Acronis backup", NULL}, false, 0, "\xb4\x6e\x68\x44", 4},
	{{"a Proxmox backup", "vma extract %s DIR unpacks it"}, false, 0, "VMA\0", 4},
	{{"a User-mode Linux COW file", "uml_moo %s NEW makes a raw disk of it"}, false, 0, "OOOM",
		4},
	{{"a tar archive", UNPACK("tar -xf")}, false, 257, "ustar", 5},
	{{"a gzip file", FILTER("gunzip")}, false, 0, "\x1f\x8b", 2},
	{{"an xz file", FILTER("unxz")}, false, 0,
		"\xfd"
		"7zXZ",
		5},
	{{"a bzip2 file", FILTER("bunzip2")}, false, 0, "BZh", 3},
	{{"a zstd file", FILTER("unzstd")}, false, 0, "\x28\xb5\x2f\xfd", 4},
	{{"a zip file", UNPACK("unzip")}, false, 0, "PK\3\4", 4},
	{{"an lz4 file", FILTER("unlz4")}, false, 0, "\x04\x22\x4d\x18", 4},
	{{"an lzip file", FILTER("lzip -d")}, false, 0, "LZIP\1", 5},
	{{"an lzop file", FILTER("lzop -d")}, false, 0, "\x89LZO", 4},
	{{"a RAR file", UNPACK("unrar x")}, false, 0, "Rar!\x1a\x07", 6},
	{{"a 7-Zip file", UNPACK("7z x")}, false, 0, "7z\xbc\xaf\x27\x1c", 6},
};

const struct foreign *foreign_find(const struct peek *p)
{
	for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
		const unsigned char *at = kinds[i].at_tail ? p->tail : p->head;
		size_t n = kinds[i].at_tail ? p->ntail : p->nhead;

		if (kinds[i].pos + kinds[i].len <= n &&
			memcmp(at + kinds[i].pos, kinds[i].magic, kinds[i].len) == 0)
			return &kinds[i].is;
	}
	return NULL;
}
