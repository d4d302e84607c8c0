/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "util/err.h"
#include "common/fault_io.h"
#include "io/io.h"
#include "machine/manifest.h"
#include "common/unit.h"

/* The digests of "abc" (FIPS 180-2). */
#define SHA1_ABC   "a9993e364706816aba3e25717850c26c9cd0d89d"
#define SHA256_ABC "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
#define SHA384_ABC                                                                                 \
	"cb00753f45a35e8bb5a03d699ac65007272c32ab0eded1631a8b605a43ff5bed"                         \
	"8086072ba1e7cc2358baeca134c825a7"
#define SHA512_ABC                                                                                 \
	"ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a"                         \
	"2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f"

static int parsed(struct manifest *m, const char *text, struct err *e)
{
	char *copy = strdup(text);
	int r = manifest_parse(copy, m, e);

	free(copy);
	return r;
}

static int check_text(struct manifest *m, const char *name, const char *text, struct err *e)
{
	struct io *io = io_from_memory(text, strlen(text), name, e);
	int r = manifest_check(m, name, io, e);

	io_unref(io);
	return r;
}

static const char *const spellings[] = {
	"SHA1(a.vmdk)= " SHA1_ABC "\n",
	"SHA256(a.vmdk)= " SHA256_ABC,
	"SHA384(a.vmdk)= " SHA384_ABC "\n",
	"SHA512(a.vmdk)= " SHA512_ABC "\n",
	"sha-1(a.vmdk)=" SHA1_ABC "\r\n",
	"\r\n\n  SHA-256 (a.vmdk) = " SHA256_ABC "  \r\n\r\n",
	"SHA1(\"a.vmdk\")= \"" SHA1_ABC "\"\n",
	"SHA1('a.vmdk')= A9993E364706816ABA3E25717850C26C9CD0D89D\n",
	"SHA1( ./a.vmdk )= " SHA1_ABC "\n",
	"SHA1(b)= " SHA1_ABC "\nSHA1(a.vmdk)= " SHA1_ABC "\nSHA1(Z)= " SHA1_ABC "\n",
	"SHA1(a.vmdk)= " SHA1_ABC "\nSHA256(a.vmdk)= " SHA256_ABC "\n",
};

START_TEST(spellings_of_digest)
{
	struct err e = ERR_INIT;
	struct manifest m;

	ck_assert_ok(parsed(&m, spellings[_i], &e), &e);
	ck_assert_ok(check_text(&m, "a.vmdk", "abc", &e), &e);
	manifest_free(&m);
	ck_assert_ok(parsed(&m, spellings[_i], &e), &e);
	ck_assert_fails(check_text(&m, "a.vmdk", "abd", &e), EUCLEAN, &e, "a.vmdk: its SHA");
	ck_assert_fails(check_text(&m, "a.vmdk.gz", "abc", &e), ENOENT, &e, "does not list it");
	manifest_free(&m);
}
END_TEST

START_TEST(quotes_and_spaces_around_names)
{
	struct err e = ERR_INIT;
	struct manifest m;

	ck_assert_ok(parsed(&m, "SHA1(a (1)= b.vmdk)= " SHA1_ABC, &e), &e);
	ck_assert_ok(check_text(&m, "a (1)= b.vmdk", "abc", &e), &e);
	manifest_free(&m);
}
END_TEST

static const struct {
	const char *text;
	int code;
	const char *part;
} broken[] = {
	{"hello\n", EINVAL, "line 1 is not of the form"},
	{"\nSHA1 a= " SHA1_ABC, EINVAL, "line 2 is not of the form"},
	{"SHA1(a) " SHA1_ABC, EINVAL, "line 1 is not"},
	{"SHA1)a(= " SHA1_ABC, EINVAL, "line 1 is not"},
	{"SHA1(a= " SHA1_ABC, EINVAL, "line 1 is not"},
	{"=", EINVAL, "line 1 is not"},
	{"(", EINVAL, "line 1 is not"},
	{"MD5(a)= 900150983cd24fb0d6963f7d28e17f72", ENOTSUP, "the digest \"MD5\""},
	{"(a)= " SHA1_ABC, ENOTSUP, "the digest \"\""},
	{"SHA1(a)= " SHA256_ABC, EINVAL, "no SHA1 digest"},
	{"SHA1(a)= ", EINVAL, "no SHA1 digest"},
	{"SHA1(a)= x9993e364706816aba3e25717850c26c9cd0d89d", EINVAL, "no SHA1 digest"},
	{"SHA1(a)= " SHA1_ABC "\nx", EINVAL, "line 2"},
};

START_TEST(broken_lines)
{
	struct err e = ERR_INIT;
	struct manifest m;

	ck_assert_fails(parsed(&m, broken[_i].text, &e), broken[_i].code, &e, broken[_i].part);
}
END_TEST

START_TEST(empty_manifest)
{
	struct err e = ERR_INIT;
	struct manifest m = {0};

	manifest_free(&m);
	ck_assert_ok(parsed(&m, "", &e), &e);
	ck_assert_fails(check_text(&m, "a", "abc", &e), ENOENT, &e, "a: ");
	manifest_free(&m);
}
END_TEST

/* A digest is computed once; a failed read is not cached. */
START_TEST(read_once)
{
	struct err e = ERR_INIT;
	struct io *io = fault_io_new("abc", 3);
	struct manifest m;

	ck_assert_ok(parsed(&m, "SHA1(a)= " SHA1_ABC, &e), &e);
	fault_io_arm(io, 1, FAULT_EIO);
	ck_assert_fails(manifest_check(&m, "a", io, &e), EIO, &e, "faulty");
	ck_assert_ok(manifest_check(&m, "a", io, &e), &e);
	fault_io_arm(io, 1, FAULT_EIO);
	ck_assert_ok(manifest_check(&m, "a", io, &e), &e);
	ck_assert(!fault_io_failed(io));
	manifest_free(&m);
	io_unref(io);
}
END_TEST

Suite *manifest_suite(void)
{
	TCase *tc = tcase_create("manifest");

	tcase_add_loop_test(tc, spellings_of_digest, 0, COUNT(spellings));
	tcase_add_test(tc, quotes_and_spaces_around_names);
	tcase_add_loop_test(tc, broken_lines, 0, COUNT(broken));
	tcase_add_test(tc, empty_manifest);
	tcase_add_test(tc, read_once);
	return suite_of("manifest", tc);
}
