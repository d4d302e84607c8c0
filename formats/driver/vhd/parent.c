/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* parent.c - the header has a file name and up to eight locators, whose texts are elsewhere in the
 * file.  Names only help to find the parent: its unique id alone identifies it.
 */
#include "parent.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "util/bytes.h"
#include "util/err.h"
#include "util/guid.h"
#include "util/limits.h"
#include "util/utf16.h"
#include "footer.h"
#include "header.h"
#include "image/image.h"
#include "io/io.h"

#define LOCATOR_MAX (2u * LIMIT_NAME) /* bytes of its text */
#define NAME_BYTES  UTF16_AS_UTF8(LOCATOR_MAX / 2)

void vhd_parent_id_text(char text[VHD_ID_TEXT], const unsigned char *id)
{
	snprintf(text, VHD_ID_TEXT, "%08" PRIx32 "-%04x-%04x-%04x-%04x%08" PRIx32, load_be32(id),
		load_be16(id + 4), load_be16(id + 6), load_be16(id + 8), load_be16(id + 10),
		load_be32(id + 12));
}

/* Decodes %XX in place; false: the result would have a NUL. */
static bool decode_url(char *text)
{
	char *out = text;

	for (const char *p = text; *p; out++) {
		unsigned byte;

		if (p[0] == '%' && isxdigit((unsigned char)p[1]) && isxdigit((unsigned char)p[2])) {
			sscanf(p + 1, "%2x", &byte);
			*out = byte;
			p += 3;
		} else {
			*out = *p++;
		}
		if (*out == '\0')
			return false;
	}
	*out = '\0';
	return true;
}

/* Adds the path of "file://HOST/PATH" or "file:PATH", or a text that is no URL at all, both as it
 * is and decoded: not all programs encode.  Xen writes "file://./PATH" and "file://../PATH",
 * relative to the child; others leave the host out. */
static int add_url(struct image *img, char *url, struct err *e)
{
	const char *path = url, *slash;
	bool has_host;
	int r;

	if (strncasecmp(path, "file:", 5) == 0) {
		path += 5;
		if (strncasecmp(path, "//localhost/", 12) == 0)
			path += 11;
		else if (strncmp(path, "//", 2) == 0)
			path += 2;
	}
	slash = strchr(path, '/');
	has_host = path > url && slash > path && path[0] != '.';
	r = image_add_parent_name(img, path, e);
	if (r == 0 && has_host)
		r = image_add_parent_name(img, slash, e);
	if (r == 0 && decode_url(url))
		r = image_add_parent_name(img, path, e);
	return r;
}

/* Skips a locator that cannot be read, or is longer than any name may be. */
static int add_locators(
	struct image *img, const unsigned char *header, uint32_t code, struct err *e)
{
	unsigned char text[LOCATOR_MAX];
	char name[NAME_BYTES];
	struct err ignored = ERR_INIT;
	int r = 0;

	for (size_t i = 0; r == 0 && i < VHD_LOCATORS; i++) {
		const unsigned char *locator = header + VHD_LOCATORS_POS + i * VHD_LOCATOR_LEN;
		uint32_t len = load_be32(locator + 8);
		uint64_t pos = load_be64(locator + 16);

		if (load_be32(locator) != code || len > sizeof text ||
			!range_fits(pos, len, img->io->size) ||
			io_read(img->io, text, len, pos, &ignored) < 0)
			continue;
		if (code == VHD_W2RU || code == VHD_W2KU) {
			if (!utf16_to_utf8(name, text, len / 2, UTF16_LE))
				continue;
		} else {
			memcpy(name, text, len);
			name[len] = '\0';
		}
		r = code == VHD_MACX ? add_url(img, name, e) : image_add_parent_name(img, name, e);
	}
	return r;
}

/* Names relative to the child come first, and of these the ones in Unicode.  Xen has differencing
 * disks with raw parents, and writes zeroes for the id of such a parent. */
int vhd_parent_add_names(struct image *img, const unsigned char *header, struct err *e)
{
	static const uint32_t codes[] = {VHD_W2RU, VHD_W2KU, 0, VHD_MACX, VHD_WI2R, VHD_WI2K};
	bool is_raw = guid_is_zero(img->parent_id);
	char name[NAME_BYTES];
	int r = 0;

	for (size_t i = 0; r == 0 && i < sizeof codes / sizeof codes[0]; i++) {
		if (codes[i] != 0)
			r = add_locators(img, header, codes[i], e);
		else if (utf16_to_utf8(name, header + VHD_NAME_POS, VHD_NAME_UNITS, UTF16_BE))
			r = image_add_parent_name(img, name, e);
	}
	if (r < 0)
		return r;
	if (!img->parent_name && is_raw)
		return err_set(
			e, EUCLEAN, "header: a differencing disk without the name of a parent");
	img->parent_unproved = is_raw;
	img->parent_format = strdup(is_raw ? "raw" : "vpc");
	return img->parent_format ? 0 : err_nomem(e);
}

bool vhd_parent_knows(const struct image *img, const struct image *other)
{
	return !guid_is_zero(img->parent_id) && image_knows_parent(img, other);
}

/* A VHD as raw parent would be shown as the bytes of its file. */
static int check_raw_parent(const struct image *img, const struct image *parent, struct err *e)
{
	unsigned char head[8];
	int r = io_read_padded(parent->io, head, sizeof head, 0, e);

	if (r < 0 || memcmp(head, "conectix", sizeof head) != 0)
		return r;
	return err_set(e, EUCLEAN,
		"%s: the id of its parent is zero, which stands for a raw disk, but %s is a VHD",
		img->io->name, parent->io->name);
}

int vhd_parent_check(const struct image *img, const struct image *parent, struct err *e)
{
	const struct vhd *child = (const struct vhd *)img->states[0]->view, *base;
	char wanted[VHD_ID_TEXT], found[VHD_ID_TEXT];

	if (guid_is_zero(img->parent_id))
		return check_raw_parent(img, parent, e);
	if (!vhd_parent_knows(img, parent)) {
		vhd_parent_id_text(wanted, img->parent_id);
		vhd_parent_id_text(found, parent->id);
		err_set(e, EUCLEAN, "%s: it was made on the disk %s, but %s is %s", img->io->name,
			wanted, parent->io->name, found);
		return err_hint_code(e, HINT_IGNORE_PARENT_ID, NULL);
	}
	if (parent->format != img->format)
		return 0;
	/* The time stamp is that of the parent when the child was created: some programs take the
	 * time of its file, others the stamp in its footer. */
	base = (const struct vhd *)parent->states[0]->view;
	if (child->parent_stamp != 0 &&
		child->parent_stamp != load_be32(base->footer + VHD_FOOTER_STAMP) &&
		child->parent_stamp != (uint32_t)(base->io->mtime.tv_sec - VHD_EPOCH))
		image_warn(img, "its parent %s was changed or copied since", parent->io->name);
	return 0;
}
