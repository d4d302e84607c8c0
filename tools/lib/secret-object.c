/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* secret-object.c - see secret.h. */
#include "secret-object.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>

#include "io/passphrase.h"
#include "util/err.h"
#include "util/option-list.h"

static int decode(struct passphrase **s, struct err *e)
{
	struct passphrase *in = *s;
	unsigned char *out;
	size_t len = in->len;
	int n, padding = 0;

	while (len > 0 && strchr("\r\n ", in->bytes[len - 1]))
		len--;
	for (size_t i = len; i > 0 && in->bytes[i - 1] == '='; i--)
		padding++;
	out = malloc(len + 1);
	if (!out)
		return err_nomem(e);
	n = EVP_DecodeBlock(out, in->bytes, (int)len);
	*s = n >= padding ? passphrase_new(out, (size_t)(n - padding), e) : NULL;
	if (n < padding)
		err_set(e, EINVAL, "Invalid base64 data");
	OPENSSL_cleanse(out, len);
	free(out);
	passphrase_free(in);
	return *s ? 0 : -e->code;
}

static int read_options(const struct option_list *o, struct passphrase **s, struct err *e)
{
	const char *data = option_list_value(o, "data"), *file = option_list_value(o, "file"),
		   *format = option_list_value(o, "format");
	bool is_base64 = format && strcmp(format, "base64") == 0;

	if (option_list_value(o, "keyid") || option_list_value(o, "iv"))
		return err_set(e, ENOTSUP, "secrets that are encrypted (keyid=) are not supported");
	if (!data == !file)
		return err_set(e, EINVAL,
			data ? "'file' and 'data' are mutually exclusive"
			     : "Either 'file' or 'data' must be provided");
	if (!option_list_value(o, "id"))
		return err_set(e, EINVAL, "Parameter 'id' is missing");
	if (format && !is_base64 && strcmp(format, "raw") != 0)
		return err_set(e, EINVAL, "Parameter 'format' does not accept value '%s'", format);
	*s = data ? passphrase_new(data, strlen(data), e) : passphrase_read(file, e);
	if (!*s)
		return -e->code;
	return is_base64 ? decode(s, e) : 0;
}

/* The type is the first word, without a name, or qom-type. */
static int parse(struct option_list *o, const char *object, struct err *e)
{
	int r = object[0] == '{' ? option_list_read_json(o, object, e)
				 : option_list_read(o, object, "qom-type", e);
	const char *type = r == 0 ? option_list_value(o, "qom-type") : NULL;

	if (r == 0 && (!type || strcmp(type, "secret") != 0))
		r = err_set(e, EINVAL, "Parameter 'qom-type' does not accept value '%s'",
			type ? type : "");
	return r;
}

int secret_object_read(const char *object, struct passphrase **s, struct err *e)
{
	struct option_list o = {.n = 0};
	int r = parse(&o, object, e);

	*s = NULL;
	if (r == 0)
		r = read_options(&o, s, e);
	option_list_free(&o);
	return r;
}

bool secret_object_exists(const char *const *objects, const char *id)
{
	struct err ignored = ERR_INIT;
	bool found = false;

	for (; !found && objects && *objects; objects++) {
		struct option_list o = {.n = 0};
		const char *is =
			parse(&o, *objects, &ignored) == 0 ? option_list_value(&o, "id") : NULL;

		found = is && strcmp(is, id) == 0;
		option_list_free(&o);
	}
	return found;
}
