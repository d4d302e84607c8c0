/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Programs on Windows write texts in the code page of the system.  Only encodings of this list are
 * handed to iconv: a file must not choose which of all its converters run.  None of them has a byte
 * of ASCII inside another character that would matter to the parsers of the texts.
 */
#include "charset.h"

#include <errno.h>
#include <iconv.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "err.h"

static const struct {
	const char *declared, *iconv;
} known[] = {
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

#define KNOWN (sizeof known / sizeof known[0])

struct encodings {
	iconv_t converters[KNOWN];
};

static bool is_ascii(const char *s)
{
	for (; *s; s++)
		if (*s & 0x80)
			return false;
	return true;
}

static int convert(const char *encoding, const char *name, char *out, size_t size, struct err *e)
{
	iconv_t cd = iconv_open("UTF-8", encoding);
	char *in = (char *)name; /* iconv does not write there */
	size_t nin = strlen(name), nout = size - 1, r;

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

int charset_decode(const char *declared, const char *name, char *out, size_t size, struct err *e)
{
	const char *encoding = NULL;

	if (!declared || strcasecmp(declared, "UTF-8") == 0 || is_ascii(name)) {
		if (strlen(name) >= size)
			return err_set(e, ENAMETOOLONG, "a name of %zu bytes", strlen(name));
		strcpy(out, name);
		return 0;
	}
	for (size_t i = 0; i < KNOWN && !encoding; i++)
		if (strcasecmp(declared, known[i].declared) == 0)
			encoding = known[i].iconv;
	if (!encoding)
		return err_set(e, ENOTSUP,
			"the name \"%.200s\" is in the encoding \"%.40s\", which is not supported",
			name, declared);
	return convert(encoding, name, out, size, e);
}

/* glibc keeps a converter loaded as long as it is open. */
struct encodings *charsets_load(void)
{
	struct encodings *all = malloc(sizeof *all);

	for (size_t i = 0; all && i < KNOWN; i++)
		all->converters[i] = iconv_open("UTF-8", known[i].iconv);
	return all;
}

void charsets_free(struct encodings *all)
{
	for (size_t i = 0; all && i < KNOWN; i++)
		if (all->converters[i] != (iconv_t)-1)
			iconv_close(all->converters[i]);
	free(all);
}
