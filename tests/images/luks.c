/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* luks.c - LUKS1 disks in modes that no tool here creates, and damaged ones.  The passphrase is
 * "mkimage". */
#include <stdlib.h>

#include "luks-make.h"
#include "luks2-make.h"
#include "mkimage.h"

#define SECTOR 512u
#define DISK   (9 * SECTOR)

#define SPEC(mode_, hash_, key_len_, slot_)                                                        \
	{                                                                                          \
		.cipher = "aes", .mode = mode_, .hash = hash_, .key_len = key_len_,                \
		.passphrases = {[slot_] = "mkimage"}, .iterations = 3                              \
	}

static const struct luks_spec plain = SPEC("cbc-plain64", "sha256", 16, 0);
static const struct luks_spec last_slot = SPEC("cbc-plain64", "sha256", 16, 7);
static const struct luks_spec odd_material = SPEC("cbc-essiv:sha256", "sha1", 24, 2);
static const struct luks_spec xts_512 = SPEC("xts-plain64", "sha256", 64, 0);
static const struct luks_spec xts_256 = SPEC("xts-plain", "sha1", 32, 0);
static const struct luks_spec cbc_128 = SPEC("cbc-essiv:sha256", "sha1", 16, 3);
static const struct luks_spec cbc_256 = SPEC("cbc-plain", "sha384", 32, 0);
static const struct luks_spec xts_384 = SPEC("xts-plain64", "sha512", 48, 0);
static const struct luks_spec xts_essiv = SPEC("xts-essiv:sha256", "md5", 64, 0);
static const struct luks_spec ctr_plain = SPEC("ctr-plain", "ripemd160", 32, 0);
static const struct luks_spec ecb = SPEC("ecb-plain64", "sha224", 32, 0);
static const struct luks_spec ecb_alone = SPEC("ecb", "sha256", 16, 0);
static const struct luks_spec camellia = {"camellia", "xts-plain64", "sha384", 64, {"mkimage"}, 3};
static const struct luks_spec aria = {"aria", "cbc-plain64", "sha256", 32, {"mkimage"}, 3};
static const struct luks_spec stranger = {"aes", "cbc-plain64", "sha256", 16, {"stranger"}, 3};
static const struct luks_spec locked = {"aes", "cbc-plain64", "sha256", 16, {NULL}, 3};

static int make(const struct job *j, const struct luks_spec *spec, size_t *header_len)
{
	unsigned char disk[DISK], *header = luks_make(spec, header_len);
	int fd = file_new(j, ".luks");

	data_make(disk, 0, sizeof disk);
	if (!header || luks_encrypt(spec, disk, sizeof disk, 0) < 0)
		die("%s: libcrypto does not support it", j->c->name);
	put(fd, 0, header, *header_len);
	put(fd, *header_len, disk, sizeof disk);
	free(header);
	return fd;
}

static void make_luks(const struct job *j)
{
	size_t header_len;
	int fd = make(j, j->c->arg, &header_len);

	expect(j, 0, 0, DISK);
	patch_be(j, fd);
}

/* The file ends inside its last sector. */
static void make_odd_end(const struct job *j)
{
	size_t header_len;
	int fd = make(j, &plain, &header_len);

	expect(j, 0, 0, DISK - SECTOR);
	file_resize(fd, header_len + DISK - 1);
}

static const struct luks2_spec luks2 = {
	"aes-xts-plain64", 64, 4096, 0, "sha256", "pbkdf2", "mkimage", "a label"};
static const struct luks2_spec luks2_argon2 = {
	"aes-cbc-essiv:sha256", 32, 512, 8, "sha512", "argon2id", "mkimage", NULL};

static void make_luks2(const struct job *j)
{
	const struct luks2_spec *spec = j->c->arg;
	unsigned char disk[8 * SECTOR], *header = luks2_make(spec);
	int fd = file_new(j, ".luks");

	data_make(disk, 0, sizeof disk);
	if (!header || luks2_encrypt(spec, disk, sizeof disk, 0) < 0)
		die("%s: libcrypto does not support it", j->c->name);
	put(fd, 0, header, LUKS2_MAKE_DATA);
	put(fd, LUKS2_MAKE_DATA, disk, sizeof disk);
	free(header);
	expect(j, 0, 0, sizeof disk);
}

static void make_cut(const struct job *j)
{
	size_t header_len;

	file_resize(make(j, &plain, &header_len), j->c->n);
}

#define GOOD(name_, spec_)                                                                         \
	{                                                                                          \
		.name = "luks-" name_, .make = make_luks, .arg = &spec_                            \
	}
#define HARMLESS(name_, pos_, width_, value_)                                                      \
	{                                                                                          \
		.name = "luks-" name_, .make = make_luks, .arg = &plain,                           \
		PATCH(pos_, width_, value_)                                                        \
	}
#define REFUSE(name_, pos_, width_, value_)                                                        \
	{                                                                                          \
		.name = "luks-" name_, .verdict = REFUSED, .make = make_luks, .arg = &plain,       \
		PATCH(pos_, width_, value_)                                                        \
	}
#define SLOT(i, field) (LUKS_AT_SLOTS + (i)*LUKS_SLOT_SIZE + (field))

static const struct image_case cases[] = {
	GOOD("plain", plain),
	GOOD("last-slot", last_slot),
	GOOD("odd-material", odd_material),
	GOOD("xts-512", xts_512),
	GOOD("xts-256", xts_256),
	GOOD("cbc-128", cbc_128),
	GOOD("cbc-256", cbc_256),
	GOOD("xts-384", xts_384),
	GOOD("xts-essiv", xts_essiv),
	GOOD("ctr-plain", ctr_plain),
	GOOD("ecb", ecb),
	GOOD("ecb-alone", ecb_alone),
	GOOD("camellia", camellia),
	GOOD("aria", aria),
	{.name = "luks2-plain", .make = make_luks2, .arg = &luks2},
	{.name = "luks2-argon2id", .make = make_luks2, .arg = &luks2_argon2},
	{.name = "luks-odd-end", .make = make_odd_end},
	HARMLESS("no-uuid", LUKS_AT_UUID, 8, 0),
	HARMLESS("unused-iterations", SLOT(3, LUKS_SLOT_ITERATIONS), 4, 0xffffffff),

	{.name = "luks-stranger", .verdict = REFUSED, .make = make_luks, .arg = &stranger},
	{.name = "luks-no-slot", .verdict = REFUSED, .make = make_luks, .arg = &locked},
	{.name = "luks-header-cut", .verdict = REFUSED, .make = make_cut, .n = 591},
	{.name = "luks-material-cut", .verdict = REFUSED, .make = make_cut, .n = 4096 + 63999},
	{.name = "luks-data-cut", .verdict = REFUSED, .make = make_cut, .n = 1032 * SECTOR - 1},
	REFUSE("version-0", LUKS_AT_VERSION, 2, 0),
	REFUSE("version-2", LUKS_AT_VERSION, 2, 2),
	REFUSE("cipher", LUKS_AT_CIPHER, 8, 0x736572656e747000),
	REFUSE("cipher-endless", LUKS_AT_CIPHER + 31, 1, 'x'),
	REFUSE("mode", LUKS_AT_MODE, 4, 0x67636d2d),
	REFUSE("hash", LUKS_AT_HASH, 4, 0x74696765),
	REFUSE("payload-0", LUKS_AT_PAYLOAD, 4, 0),
	REFUSE("payload-in-material", LUKS_AT_PAYLOAD, 4, 1000),
	REFUSE("payload-far", LUKS_AT_PAYLOAD, 4, 0xffffffff),
	REFUSE("key-0", LUKS_AT_KEY_LEN, 4, 0),
	REFUSE("key-17", LUKS_AT_KEY_LEN, 4, 17),
	REFUSE("key-long", LUKS_AT_KEY_LEN, 4, 0xffffffff),
	REFUSE("digest", LUKS_AT_DIGEST, 4, 0),
	REFUSE("iterations-0", LUKS_AT_ITERATIONS, 4, 0),
	REFUSE("iterations-2-31", LUKS_AT_ITERATIONS, 4, 0x80000000),
	REFUSE("iterations-all-ones", LUKS_AT_ITERATIONS, 4, 0xffffffff),
	REFUSE("slot-state", SLOT(4, 0), 4, 0x00ac71f2),
	REFUSE("slot-iterations-0", SLOT(0, LUKS_SLOT_ITERATIONS), 4, 0),
	REFUSE("slot-iterations-all-ones", SLOT(0, LUKS_SLOT_ITERATIONS), 4, 0xffffffff),
	REFUSE("slot-in-header", SLOT(0, LUKS_SLOT_SECTOR), 4, 1),
	REFUSE("slot-far", SLOT(0, LUKS_SLOT_SECTOR), 4, 0xffffffff),
	REFUSE("slots-overlap", SLOT(1, LUKS_SLOT_SECTOR), 4, 132),
	REFUSE("stripes-0", SLOT(0, LUKS_SLOT_STRIPES), 4, 0),
	REFUSE("stripes-all-ones", SLOT(6, LUKS_SLOT_STRIPES), 4, 0xffffffff),
};

const struct image_set luks_images = {"luks", cases, N_ELEMENTS(cases)};
