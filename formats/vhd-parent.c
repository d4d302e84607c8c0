/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* vhd-parent.c - how a differencing VHD finds its parent and knows it again.
 *
 * The header has a name and up to eight locators, which are texts elsewhere in the file.  None is
 * to be trusted: what makes a file the parent is its unique id alone.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "bounds.h"
#include "bytes.h"
#include "err.h"
#include "image.h"
#include "io.h"
#include "utf16.h"
#include "vhd.h"

#define LOCATOR_MAX (2u * LIMIT_NAME) /* bytes of its text */
#define NAME_ROOM   UTF16_AS_UTF8(LOCATOR_MAX / 2)

static int hex_digit(int c)
{
	return c >= '0' && c <= '9'   ? c - '0'
	       : c >= 'a' && c <= 'f' ? c - 'a' + 10
	       : c >= 'A' && c <= 'F' ? c - 'A' + 10
				      : -1;
}

/* "file://HOST/PATH" with %XX in it.  XenServer's "file://./PATH" is a path from here. */
static bool name_from_url(char name[NAME_ROOM], const unsigned char *p, size_t len)
{
	static const char scheme[] = "file://";
	const size_t skip = sizeof scheme - 1;
	const unsigned char *end = p + len, *path;

	if (len < skip || memcmp(p, scheme, skip) != 0)
		return false;
	path = memchr(p + skip, '/', len - skip);
	if (!path)
		return false;
	if (path == p + skip + 1 && path[-1] == '.')
		path++;
	while (path < end && *path) {
		bool quoted = end - path >= 3 && *path == '%' && hex_digit(path[1]) >= 0 &&
			      hex_digit(path[2]) >= 0;

		*name = quoted ? hex_digit(path[1]) << 4 | hex_digit(path[2]) : *path;
		if (*name++ == '\0')
			return false;
		path += quoted ? 3 : 1;
	}
	*name = '\0';
	return true;
}

/* A locator that cannot be read, or that is longer than any name may be, is as good as none. */
static bool name_from_locator(struct io *io, const unsigned char *locator, char name[NAME_ROOM])
{
	uint32_t code = load_be32(locator), len = load_be32(locator + 8);
	uint64_t pos = load_be64(locator + 16);
	unsigned char text[LOCATOR_MAX];
	struct err ignored = ERR_INIT;

	if (len > sizeof text || !range_fits(pos, len, io->size) ||
		io_read(io, text, len, pos, &ignored) < 0)
		return false;
	if (code == VHD_MACX)
		return name_from_url(name, text, len);
	return utf16_to_utf8(name, text, len / 2, UTF16_LE);
}

static int add_locators(
	struct image *img, const unsigned char *header, uint32_t code, struct err *e)
{
	char name[NAME_ROOM];
	int r = 0;

	for (size_t i = 0; r == 0 && i < VHD_LOCATORS; i++) {
		const unsigned char *locator = header + VHD_LOCATORS_POS + i * VHD_LOCATOR_LEN;

		if (load_be32(locator) == code && name_from_locator(img->io, locator, name))
			r = image_add_parent_name(img, name, e);
	}
	return r;
}

int vhd_name_parent(struct image *img, const unsigned char *header, struct err *e)
{
	char name[NAME_ROOM];
	int r = add_locators(img, header, VHD_W2RU, e);

	if (r == 0)
		r = add_locators(img, header, VHD_W2KU, e);
	if (r == 0 && utf16_to_utf8(name, header + VHD_NAME_POS, VHD_NAME_UNITS, UTF16_BE))
		r = image_add_parent_name(img, name, e);
	if (r == 0)
		r = add_locators(img, header, VHD_MACX, e);
	if (r < 0)
		return r;
	if (!img->parent_name)
		return err_set(e, EUCLEAN, "header: a differencing disk that names no parent");
	img->parent_format = strdup("vpc");
	return img->parent_format ? 0 : err_nomem(e);
}

/* The stamp is the parent's when the child was made, but programs disagree about which: of its file
 * or of its footer. */
static bool stamp_fits(const struct vhd *child, const struct vhd *parent)
{
	return child->parent_stamp == 0 || child->parent_stamp == parent->stamp ||
	       child->parent_stamp == (uint32_t)(parent->io->mtime.tv_sec - VHD_EPOCH);
}

int vhd_check_parent(const struct image *img, const struct image *parent, struct err *e)
{
	const struct vhd *child = (const struct vhd *)img->states[0]->view;
	const struct vhd *base = (const struct vhd *)parent->states[0]->view;
	char wanted[VHD_ID_TEXT], found[VHD_ID_TEXT];

	if (memcmp(child->parent_id, base->id, VHD_ID_LEN) != 0) {
		vhd_id_text(wanted, child->parent_id);
		vhd_id_text(found, base->id);
		err_set(e, EUCLEAN, "%s: it was made on the disk %s, but %s is %s", img->io->name,
			wanted, parent->io->name, found);
		return err_hint(e, "-o ignore_parent_id takes it all the same");
	}
	if (!stamp_fits(child, base))
		image_warn(img, "its parent %s was changed or copied since", parent->io->name);
	return 0;
}
