/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* vmdk-name.c - names in a descriptor, which are in the encoding that it declares.
 *
 * Those who write descriptors on Windows use the code page of their system.  Names here are UTF-8.
 * Only encodings of this list are handed to iconv: an image must not choose which of all its
 * converters run.  None of them has a byte of ASCII inside another character that would matter to
 * the parser of the text.
 */
#include <errno.h>
#include <iconv.h>
#include <string.h>
#include <strings.h>

#include "bounds.h"
#include "err.h"
#include "vmdk.h"

static const struct {
	const char *declared, *iconv;
} encodings[] = {
	{"windows-874", "CP874"},
	{"windows-932", "CP932"},
	{"windows-936", "CP936"},
	{"windows-949", "CP949"},
	{"windows-950", "CP950"},
	{"windows-1250", "CP1250"},
	{"windows-1251", "CP1251"},
	{"windows-1252", "CP1252"},
	{"windows-1253", "CP1253"},
	{"windows-1254", "CP1254"},
	{"windows-1255", "CP1255"},
	{"windows-1256", "CP1256"},
	{"windows-1257", "CP1257"},
	{"windows-1258", "CP1258"},
	{"Shift_JIS", "CP932"},
	{"EUC-JP", "EUC-JP"},
	{"GBK", "CP936"},
	{"GB2312", "CP936"},
	{"GB18030", "GB18030"},
	{"Big5", "CP950"},
	{"EUC-KR", "CP949"},
	{"ISO-8859-1", "ISO-8859-1"},
	{"ISO-8859-2", "ISO-8859-2"},
	{"ISO-8859-15", "ISO-8859-15"},
};

static bool is_ascii(const char *s)
{
	for (; *s; s++)
		if (*s & 0x80)
			return false;
	return true;
}

static const char *find_encoding(const char *declared)
{
	for (size_t i = 0; i < sizeof encodings / sizeof encodings[0]; i++)
		if (strcasecmp(declared, encodings[i].declared) == 0)
			return encodings[i].iconv;
	return NULL;
}

static int convert(const char *encoding, const char *name, char out[VMDK_NAME_ROOM], struct err *e)
{
	iconv_t cd = iconv_open("UTF-8", encoding);
	char *in = (char *)name; /* iconv does not write there */
	size_t nin = strlen(name), nout = VMDK_NAME_ROOM - 1, r;

	if (cd == (iconv_t)-1)
		return err_set(e, ENOTSUP, "names in %s cannot be read: this system has no %s",
			encoding, encoding);
	r = iconv(cd, &in, &nin, &out, &nout);
	iconv_close(cd);
	if (r == (size_t)-1)
		return err_set(
			e, EINVAL, "the name \"%.200s\" is not written in %s", name, encoding);
	*out = '\0';
	return 0;
}

int vmdk_name_decode(
	const struct vmdk_desc *d, const char *name, char out[VMDK_NAME_ROOM], struct err *e)
{
	const char *encoding;

	if (strlen(name) > LIMIT_NAME)
		return err_set(e, ENAMETOOLONG, "a file name of more than %d bytes", LIMIT_NAME);
	if (!d->encoding || strcasecmp(d->encoding, "UTF-8") == 0 || is_ascii(name)) {
		strcpy(out, name);
		return 0;
	}
	encoding = find_encoding(d->encoding);
	if (!encoding)
		return err_set(e, ENOTSUP,
			"the name \"%.200s\" is in the encoding \"%.40s\", which is not supported",
			name, d->encoding);
	return convert(encoding, name, out, e);
}
