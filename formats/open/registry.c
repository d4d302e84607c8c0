/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include "image/format.h"
#include "io/host.h"
#include "util/nearest.h"

extern const struct format bochs_format, luks_format, parallels_format, qcow_format, qcow2_format,
	qed_format, raw_format, vdi_format, vhd_format, vhdx_format, vmdk_format;

/* Of equal bids the first wins: a fixed VHD goes before all whose magic is in the first sector, for
 * there a guest writes what it likes. */
static const struct format *const list[] = {
	&vhd_format,
	&luks_format,
	&qcow2_format,
	&qcow_format,
	&qed_format,
	&parallels_format,
	&bochs_format,
	&vdi_format,
	&vhdx_format,
	&vmdk_format,
	&raw_format,
	NULL,
};

const struct format *const *const formats = list;

/* What images and users call a format that has another name here. */
static const char *const aliases[][2] = {
	{"file", "raw"},
	{"host_device", "raw"},
	{"img", "raw"},
	{"vhd", "vpc"},
};

const struct format *format_find(const char *name)
{
	for (size_t i = 0; i < sizeof aliases / sizeof aliases[0]; i++)
		if (strcmp(name, aliases[i][0]) == 0)
			name = aliases[i][1];
	for (const struct format *const *f = formats; *f; f++)
		if (strcmp(name, (*f)->name) == 0)
			return *f;
	return NULL;
}

const char *format_nearest(const char *name)
{
	struct nearest n = nearest_to(name);

	for (const struct format *const *f = formats; *f; f++) {
		for (const char *const *s = (*f)->suffixes; s && *s; s++)
			if (strcasecmp(name, *s) == 0)
				return (*f)->name;
		nearest_offer(&n, (*f)->name);
	}
	for (size_t i = 0; i < sizeof aliases / sizeof aliases[0]; i++)
		nearest_offer(&n, aliases[i][0]);
	return n.best;
}

void format_abilities(const struct format *f, char text[FORMAT_ABILITIES])
{
	const struct {
		const char *word;
		bool can;
	} abilities[] = {
		{"parents", f->has_parents},
		{"snapshots", f->has_snapshots},
		{"check", f->check != NULL},
		{"write", f->can_write},
		{"create", f->create != NULL},
		{"export", f->layouts != NULL},
	};
	size_t n = snprintf(text, FORMAT_ABILITIES, "read");

	for (size_t i = 0; i < sizeof abilities / sizeof abilities[0]; i++)
		if (abilities[i].can)
			n += snprintf(text + n, FORMAT_ABILITIES - n, ", %s", abilities[i].word);
}

static bool text_ends_with(const struct format *f, const char *suffix)
{
	for (const char *const *s = f->suffixes; s && *s; s++)
		if (strcasecmp(suffix, *s) == 0)
			return true;
	return false;
}

const struct format *format_of_name(const char *name)
{
	const char *dot = strrchr(name, '.');

	for (const struct format *const *f = formats; dot && dot != name && *f; f++)
		if (text_ends_with(*f, dot + 1))
			return *f;
	return NULL;
}

const struct format *format_bundle(const char *dir, char *path, size_t size)
{
	struct stat st;

	for (const struct format *const *f = formats; *f; f++) {
		if (!(*f)->bundle)
			continue;
		if (snprintf(path, size, "%s/%s", dir, (*f)->bundle) < (int)size &&
			host_stat(path, &st) == 0 && S_ISREG(st.st_mode))
			return *f;
	}
	return NULL;
}

const struct format *format_probe(const struct peek *p)
{
	const struct format *best = NULL;
	int highest = 0;

	for (const struct format *const *f = formats; *f; f++) {
		int bid = (*f)->probe(p);

		if (bid > highest) {
			highest = bid;
			best = *f;
		}
	}
	return best;
}

/* What is known by its magic and not read: none of it may be taken for a raw disk.  The advice is a
 * sentence with the file's name for "%s". */
#define UNPACK(command) command " %s unpacks it"
#define FILTER(command) command " <%s >NEW unpacks it" /* whatever suffix the name has */
static const struct {
	struct foreign is;
	bool at_tail;
	unsigned pos;
	const char *magic;
	unsigned len;
} foreign[] = {
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

const struct foreign *format_foreign(const struct peek *p)
{
	for (size_t i = 0; i < sizeof foreign / sizeof foreign[0]; i++) {
		const unsigned char *at = foreign[i].at_tail ? p->tail : p->head;
		size_t n = foreign[i].at_tail ? p->ntail : p->nhead;

		if (foreign[i].pos + foreign[i].len <= n &&
			memcmp(at + foreign[i].pos, foreign[i].magic, foreign[i].len) == 0)
			return &foreign[i].is;
	}
	return NULL;
}
