/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Encrypted qcow2 images: which clusters are encrypted, with which sector numbers. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <zlib.h>

#include "build/qcow2.h"
#include "util/bytes.h"
#include "luks-make.h"
#include "io/passphrase.h"
#include "common/test_image.h"
#include "common/unit.h"

#define BITS    16
#define CLUSTER (1u << BITS)
#define SECTOR  512u
#define PASS    "passphrase"

#define LUKS_EXTENSION 0x0537be77u
#define EXTENDED_L2    16u
#define AT_LUKS        ALL_CLUSTERS /* after all other clusters */

static const struct luks_spec spec = {.cipher = "aes",
	.mode = "cbc-essiv:sha256",
	.hash = "sha1",
	.key_len = 16,
	.passphrases = {[1] = PASS},
	.iterations = 5};

static struct build_qcow2 b;
static struct subject s;
static struct passphrase secret = {.bytes = (unsigned char *)PASS, .len = sizeof PASS - 1};
static unsigned char luks_place[16];

/* Appends a LUKS header of this spec to the image. */
static void add_luks(void)
{
	size_t len, end;
	unsigned char *header = luks_make(&spec, &len);
	uint64_t pos = htobe64(build_qcow2_at(&b, AT_LUKS)), be_len = htobe64(len);

	ck_assert_ptr_nonnull(header);
	end = b.len + round_up(len, CLUSTER);
	b.bytes = realloc(b.bytes, end);
	memset(b.bytes + b.len, 0, end - b.len);
	memcpy(b.bytes + build_qcow2_at(&b, AT_LUKS), header, len);
	b.len = end;
	free(header);
	memcpy(luks_place, &pos, 8);
	memcpy(luks_place + 8, &be_len, 8);
	build_qcow2_extension(&b, LUKS_EXTENSION, luks_place, sizeof luks_place);
}

static void build_luks(uint64_t incompatible)
{
	build_qcow2_new(&b, 3, BITS, incompatible);
	build_qcow2_put32(&b, AT_CRYPT_METHOD, 2);
	add_luks();
}

static void build_aes(void)
{
	build_qcow2_new(&b, 3, BITS, 0);
	build_qcow2_put32(&b, AT_CRYPT_METHOD, 1);
}

static void set_up(void)
{
	subject_new(&s, "qcow2");
	s.o.secrets = &secret;
	build_luks(0);
}

static void tear_down(void)
{
	subject_free(&s);
	build_qcow2_free(&b);
}

/* Encrypts data cluster i, filled with the byte 0x10 + i, with sector numbers of its position in
 * the file. */
static uint64_t luks_cluster(unsigned i)
{
	uint64_t pos = build_qcow2_at(&b, AT_DATA + i);

	ck_assert_int_eq(luks_encrypt(&spec, b.bytes + pos, CLUSTER, pos / SECTOR), 0);
	return pos;
}

/* The same with sector numbers of its offset on the disk. */
static uint64_t aes_cluster(unsigned i, uint64_t off)
{
	static const unsigned char key[16] = PASS;
	uint64_t pos = build_qcow2_at(&b, AT_DATA + i);

	ck_assert_int_eq(luks_encrypt_with("aes", "cbc-plain64", key, sizeof key, b.bytes + pos,
				 CLUSTER, off / SECTOR),
		0);
	return pos;
}

static const struct view *opened(void)
{
	return subject_opens(&s, b.bytes, b.len);
}

START_TEST(luks_sectors_count_in_the_file)
{
	const struct view *v;

	build_qcow2_l2(&b, 0, luks_cluster(3) | ENTRY_COPIED);
	build_qcow2_l2(&b, 7, build_qcow2_at(&b, AT_DATA + 3));
	build_qcow2_l2(&b, 8, luks_cluster(4));
	v = opened();
	subject_reads(v, 0, CLUSTER, 0x13);
	subject_reads(v, CLUSTER, 6 * CLUSTER, 0);
	subject_reads(v, 7 * CLUSTER, CLUSTER, 0x13);
	subject_reads(v, 8 * CLUSTER + 777, 1000, 0x14);
	subject_maps(v, 7 * CLUSTER + 5, EXTENT_CRYPT, 2 * CLUSTER - 5);
	subject_maps(v, CLUSTER, EXTENT_ZERO, 6 * CLUSTER);
}
END_TEST

/* A cluster that is mapped twice decrypts differently at each offset. */
START_TEST(aes_sectors_count_on_the_disk)
{
	struct err e = ERR_INIT;
	unsigned char byte;
	const struct view *v;

	build_qcow2_free(&b);
	build_aes();
	build_qcow2_l2(&b, 5, aes_cluster(3, 5 * CLUSTER));
	build_qcow2_l2(&b, 6, build_qcow2_at(&b, AT_DATA + 3));
	v = opened();
	subject_reads(v, 5 * CLUSTER, CLUSTER, 0x13);
	ck_assert_ok(view_read(v, &byte, 1, 6 * CLUSTER, &e), &e);
	ck_assert_uint_ne(byte, 0x13);
	subject_reads(v, 5 * CLUSTER + 3, 3 * SECTOR, 0x13);
	subject_reads(v, 4 * CLUSTER, CLUSTER, 0);
}
END_TEST

/* QEMU uses the passphrase as in the file, and its first 16 bytes only. */
START_TEST(passphrases_of_aes)
{
	static struct passphrase second = {.bytes = (unsigned char *)"other", .len = 5};
	struct passphrase padded = {.bytes = (unsigned char *)PASS "\0\0", .len = sizeof PASS};
	struct passphrase first = secret;

	build_qcow2_free(&b);
	build_aes();
	build_qcow2_l2(&b, 0, aes_cluster(0, 0));
	s.o.secrets = &padded;
	subject_reads(opened(), 0, CLUSTER, 0x10);
	first.next = &second;
	s.o.secrets = &first;
	subject_reads(opened(), 0, CLUSTER, 0x10);
	s.o.secrets = NULL;
	subject_refuses(&s, b.bytes, b.len, ENOKEY, "encrypted (AES), and no passphrase");
}
END_TEST

START_TEST(zeroes_are_not_encrypted)
{
	const struct view *v;

	build_qcow2_l2(&b, 0, build_qcow2_at(&b, AT_DATA) | ENTRY_ZERO);
	build_qcow2_l2(&b, 1, ENTRY_ZERO);
	v = opened();
	subject_reads(v, 0, 3 * CLUSTER, 0);
	subject_maps(v, 0, EXTENT_ZERO, 2 * CLUSTER);
}
END_TEST

START_TEST(compressed_clusters_are_not_encrypted)
{
	unsigned char data[CLUSTER], *out = b.bytes + build_qcow2_at(&b, AT_DATA);
	z_stream z = {.next_in = data, .avail_in = CLUSTER, .next_out = out, .avail_out = CLUSTER};
	const struct view *v;

	memset(data, 0x77, sizeof data);
	ck_assert_int_eq(deflateInit2(&z, 9, Z_DEFLATED, -12, 9, Z_DEFAULT_STRATEGY), Z_OK);
	ck_assert_int_eq(deflate(&z, Z_FINISH), Z_STREAM_END);
	build_qcow2_l2(&b, 0,
		build_qcow2_compressed(&b, build_qcow2_at(&b, AT_DATA), CLUSTER - z.avail_out));
	deflateEnd(&z);
	build_qcow2_l2(&b, 1, luks_cluster(1));
	v = opened();
	subject_reads(v, 0, CLUSTER, 0x77);
	subject_maps(v, 0, EXTENT_GENERATED, CLUSTER);
	subject_reads(v, CLUSTER, CLUSTER, 0x11);
}
END_TEST

START_TEST(subclusters)
{
	const struct view *v;

	build_qcow2_free(&b);
	build_luks(EXTENDED_L2);
	build_qcow2_l2(&b, 0, luks_cluster(2));
	build_qcow2_bitmap(&b, 0, 0xf0, 0x0f);
	v = opened();
	subject_reads(v, 0, 4 * CLUSTER / 32, 0x12);
	subject_reads(v, 4 * CLUSTER / 32, CLUSTER - 4 * CLUSTER / 32, 0);
	subject_maps(v, 100, EXTENT_CRYPT, 4 * CLUSTER / 32 - 100);
}
END_TEST

START_TEST(snapshots_and_vm_states)
{
	uint64_t l1 = build_qcow2_at(&b, AT_L1_COPY);
	struct build_snapshot snapshot = {.id = "1",
		.name = "one",
		.l1_pos = l1,
		.l1_size = 2,
		.extra_len = 16,
		.vmstate_size = CLUSTER,
		.disk_size = build_qcow2_span(&b)};

	build_qcow2_l2(&b, 0, luks_cluster(5));
	build_qcow2_put64(&b, l1, build_qcow2_at(&b, AT_L2));
	build_qcow2_put64(&b, l1 + 8, build_qcow2_at(&b, AT_L2));
	build_qcow2_snapshot(&b, &snapshot);
	opened();
	ck_assert_uint_eq(s.img->nstates, 2);
	subject_reads(s.img->states[1]->view, 0, CLUSTER, 0x15);
	subject_reads(s.img->states[1]->vmstate, 0, CLUSTER, 0x15);
}
END_TEST

/* A data cluster must not be in the LUKS header or its key material. */
START_TEST(data_in_the_luks_header)
{
	const struct view *v;

	build_qcow2_l2(&b, 0, build_qcow2_at(&b, AT_LUKS));
	build_qcow2_l2(&b, 1, build_qcow2_at(&b, AT_LUKS + 8));
	build_qcow2_l2(&b, 2, luks_cluster(0));
	v = opened();
	subject_fails(v, 0, EUCLEAN, "where the LUKS header is");
	subject_fails(v, CLUSTER, EUCLEAN, "where the LUKS header is");
	subject_reads(v, 2 * CLUSTER, CLUSTER, 0x10);
	build_qcow2_l1(&b, 0, build_qcow2_at(&b, AT_LUKS));
	subject_fails(opened(), 0, EUCLEAN, "where the LUKS header is");
}
END_TEST

/* The part of a cluster beyond the end of the file cannot be decrypted, so reading it fails. */
START_TEST(truncated_cluster)
{
	const struct view *v;
	uint64_t pos = b.len;

	b.len += CLUSTER;
	b.bytes = realloc(b.bytes, b.len);
	memset(b.bytes + pos, 0x42, CLUSTER);
	ck_assert_int_eq(luks_encrypt(&spec, b.bytes + pos, CLUSTER, pos / SECTOR), 0);
	build_qcow2_l2(&b, 0, pos);
	b.len -= 10 * SECTOR + 1;
	v = opened();
	subject_reads(v, 0, CLUSTER - 11 * SECTOR, 0x42);
	subject_fails(v, CLUSTER - 11 * SECTOR, EIO, "encrypted data lies past the end");
	subject_fails(v, CLUSTER - 1, EIO, "encrypted data lies past the end");
	subject_reads(v, CLUSTER, CLUSTER, 0);
}
END_TEST

/* The data of the header extension is at 120. */
static const struct field_case field_cases[] = {
	{116, 4, 8, EINVAL, "place of the LUKS header: 8 bytes"},
	{116, 4, 17, EINVAL, "place of the LUKS header: 17 bytes"},
	{120, 8, 0, EINVAL, "LUKS header: offset 0x0"},
	{120, 8, 512, EINVAL, "LUKS header: offset 0x200"},
	{120, 8, AT_DATA *CLUSTER, EINVAL, "not a LUKS header"},
	{120, 8, AT_L1 *CLUSTER, EINVAL, "L1 table: offset 0x30000 is in the LUKS header"},
	{120, 8, UINT64_C(0x7fffffffffff0000), EINVAL, "pass the end of the file"},
	{120, 8, UINT64_C(0xffffffffffff0000), EINVAL, "pass the end of the file"},
	{128, 8, 0, EINVAL, "the LUKS header is missing"},
	{128, 8, 591, EINVAL, "cut off at 591 bytes"},
	{128, 8, 8192, EINVAL, "key slot 1: its key material"},
	{128, 8, UINT64_MAX, EINVAL, "pass the end of the file"},
	{AT_CRYPT_METHOD, 4, 0, EINVAL, "LUKS header in an image that is not encrypted"},
	{AT_CRYPT_METHOD, 4, 1, EINVAL, "LUKS header in an image that is not encrypted with it"},
	{AT_CRYPT_METHOD, 4, 3, ENOTSUP, "unsupported encryption method 3"},
	{AT_LUKS * CLUSTER + LUKS_AT_VERSION, 2, 2, ENOTSUP, "LUKS version 2"},
	{AT_LUKS * CLUSTER + LUKS_AT_ITERATIONS, 4, UINT32_MAX, EFBIG, "too long"},
	{AT_LUKS * CLUSTER + LUKS_AT_DIGEST, 4, 0, EKEYREJECTED, "no key slot opens"},
};

START_TEST(refuses)
{
	build_qcow2_field(&b, field_cases[_i].pos, field_cases[_i].width, field_cases[_i].value);
	subject_refuses(&s, b.bytes, b.len, field_cases[_i].code, field_cases[_i].text);
}
END_TEST

START_TEST(wrong_or_missing_passphrase)
{
	struct passphrase wrong = {.bytes = (unsigned char *)"wrong", .len = 5};

	s.o.secrets = &wrong;
	subject_refuses(&s, b.bytes, b.len, EKEYREJECTED, "no key slot opens");
	s.o.secrets = NULL;
	subject_refuses(&s, b.bytes, b.len, ENOKEY, "encrypted (LUKS), and no passphrase");
}
END_TEST

Suite *qcow2_crypt_suite(void)
{
	TCase *tc = tcase_create("qcow2_crypt");

	tcase_add_checked_fixture(tc, set_up, tear_down);
	tcase_add_test(tc, luks_sectors_count_in_the_file);
	tcase_add_test(tc, aes_sectors_count_on_the_disk);
	tcase_add_test(tc, passphrases_of_aes);
	tcase_add_test(tc, zeroes_are_not_encrypted);
	tcase_add_test(tc, compressed_clusters_are_not_encrypted);
	tcase_add_test(tc, subclusters);
	tcase_add_test(tc, snapshots_and_vm_states);
	tcase_add_test(tc, data_in_the_luks_header);
	tcase_add_test(tc, truncated_cluster);
	tcase_add_loop_test(tc, refuses, 0, COUNT(field_cases));
	tcase_add_test(tc, wrong_or_missing_passphrase);
	return suite_of("qcow2_crypt", tc);
}
