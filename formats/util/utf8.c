/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "utf8.h"

uint32_t utf8_decode(const char *p, size_t len)
{
	uint32_t c = (unsigned char)p[0];

	if (len > 1)
		c &= 0x7fu >> len;
	for (size_t i = 1; i < len; i++)
		c = c << 6 | ((unsigned char)p[i] & 0x3f);
	return c;
}

size_t utf8_length(const char *p, size_t n)
{
	static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
	unsigned char first = p[0];
	size_t len = first < 0x80 ? 1 : first < 0xc0 ? 0 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
	uint32_t c;

	if (len <= 1)
		return len;
	if (len > n || first > 0xf4)
		return 0;
	for (size_t i = 1; i < len; i++)
		if (((unsigned char)p[i] & 0xc0) != 0x80)
			return 0;
	c = utf8_decode(p, len);
	if (c < least[len] || (c >= 0xd800 && c <= 0xdfff) || c > 0x10ffff)
		return 0;
	return len;
}

/* Controls of terminals, separators of lines and paragraphs, and characters of Unicode's category
 * Cf that have no shape of their own: they reverse text, or hide in it.  The joiners U+200C and
 * U+200D are left, which Persian and emoji are spelled with. */
static const struct {
	uint32_t first, last;
} unseen[] = {
	{0x0, 0x1f},
	{0x7f, 0x9f},
	{0xad, 0xad},
	{0x61c, 0x61c},
	{0x180e, 0x180e},
	{0x200b, 0x200b},
	{0x200e, 0x200f},
	{0x2028, 0x202e},
	{0x2060, 0x206f},
	{0xfeff, 0xfeff},
	{0xfff9, 0xfffb},
	{0x1bca0, 0x1bca3},
	{0x1d173, 0x1d17a},
	{0xe0000, 0xe007f},
};

bool utf8_is_visible(const char *p, size_t len)
{
	uint32_t c = utf8_decode(p, len);

	for (size_t i = 0; i < sizeof unseen / sizeof unseen[0]; i++)
		if (unseen[i].first <= c && c <= unseen[i].last)
			return false;
	return true;
}
