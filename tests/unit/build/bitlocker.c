/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* bitlocker.c - builds volumes from the description of the format; of formats/ it uses util/bytes.h
 * alone. */
#include "bitlocker.h"

#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>
#include <openssl/sha.h>
#include <zlib.h>

#include "util/bytes.h"
#include "luks-make.h"

const uint64_t bl_copies[3] = {256 << 10, 512 << 10, 832 << 10};

const char bl_password[] = "correct horse \xc3\xa9\xf0\x9f\x90\x8e";
static const unsigned char password_utf16[] =
	"c\0o\0r\0r\0e\0c\0t\0 \0h\0o\0r\0s\0e\0 \0\xe9\0\x3d\xd8\x0e\xdc";
static const uint16_t recovery_groups[8] = {0, 1, 65535, 11223, 59483, 10101, 20202, 30303};

#define KEY 32u

static const unsigned char master[KEY] = "the master key is 32 bytes long";
static const unsigned char clear_key[KEY] = "nobody has to know a clear key";
static const unsigned char startup_key[KEY] = "on a stick of memory, like so";
static const unsigned char volume_key[64] =
	"the key of the volume: sixty-four bytes for all of its modes";
static const unsigned char guid[16] = {0x33, 0x22, 0x11, 0x00, 0x55, 0x44, 0x77, 0x66, 0x88, 0x99,
	0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xff};
static const unsigned char kind_guid[16] = {0x3b, 0xd6, 0x67, 0x49, 0x29, 0x2e, 0xd8, 0x4a, 0x83,
	0x99, 0xf6, 0xa3, 0x39, 0xe3, 0xd0, 0x01};

/* Methods. */

static const char *mode_of(unsigned method)
{
	static const char *const modes[] = {"cbc-elephant", "cbc-eboiv", "xts-plain64"};

	return modes[(method - 0x8000) / 2];
}

/* Bytes of the keys that the cipher uses. */
static size_t key_len(unsigned method)
{
	size_t own = method % 2 ? 32 : 16;

	return method == 0x8002 || method == 0x8003 ? own : 2 * own;
}

static void encrypt(const struct bl_spec *s, unsigned char *volume, uint64_t at, size_t len)
{
	size_t size = s->sector ? s->sector : 512;
	const struct luks_sectors sectors = {.size = size, .first = at / size, .step = 1};
	unsigned char key[64];

	memcpy(key, volume_key, sizeof key);
	if (s->method == 0x8000)
		memcpy(key + 16, volume_key + 32, 16);
	if (luks_encrypt_sectors("aes", mode_of(s->method), key, key_len(s->method), volume + at,
		    len, &sectors) < 0)
		abort();
}

/* Entries. */

struct list {
	unsigned char bytes[8192];
	size_t len;
};

static void put(struct list *l, const void *data, size_t len)
{
	memcpy(l->bytes + l->len, data, len);
	l->len += len;
}

static void put_number(struct list *l, unsigned width, uint64_t value)
{
	for (unsigned i = 0; i < width; i++)
		l->bytes[l->len++] = value >> 8 * i;
}

static void put_entry(struct list *l, unsigned role, unsigned kind, const void *data, size_t len)
{
	put_number(l, 2, 8 + len);
	put_number(l, 2, role);
	put_number(l, 2, kind);
	put_number(l, 2, 1);
	put(l, data, len);
}

/* AES-CCM: nonce, tag, and the encrypted data. */
static void put_wrapped(
	struct list *l, unsigned role, const unsigned char by[KEY], const void *bytes, size_t len)
{
	struct list plain = {.len = 0}, out = {.len = 0}, key = {.len = 0};
	EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
	unsigned char *tag = out.bytes + 12;
	int n;

	put_number(&key, 4, 0x2003);
	put(&key, bytes, len);
	put_entry(&plain, 0, 1, key.bytes, key.len);
	put(&out, "time and 12.", 12);
	put_number(&out, 8, 0);
	put_number(&out, 8, 0);
	if (EVP_EncryptInit_ex(ctx, EVP_aes_256_ccm(), NULL, NULL, NULL) != 1 ||
		EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_IVLEN, 12, NULL) != 1 ||
		EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_TAG, 16, NULL) != 1 ||
		EVP_EncryptInit_ex(ctx, NULL, NULL, by, out.bytes) != 1 ||
		EVP_EncryptUpdate(ctx, NULL, &n, NULL, (int)plain.len) != 1 ||
		EVP_EncryptUpdate(ctx, tag + 16, &n, plain.bytes, (int)plain.len) != 1 ||
		EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, 16, tag) != 1)
		abort();
	EVP_CIPHER_CTX_free(ctx);
	put_entry(l, role, 5, out.bytes, out.len + plain.len);
}

static void stretch(const void *hash, const unsigned char salt[16], unsigned char key[KEY])
{
	unsigned char state[88] = {0};

	memcpy(state + 32, hash, 32);
	memcpy(state + 64, salt, 16);
	for (uint32_t i = 0; i < 0x100000; i++) {
		store_le64(state + 80, i);
		SHA256(state, sizeof state, state);
	}
	memcpy(key, state, KEY);
}

/* Protectors. */

static void password_hash(unsigned char hash[32])
{
	SHA256(password_utf16, sizeof password_utf16 - 1, hash);
	SHA256(hash, 32, hash);
}

static void recovery_hash(unsigned char hash[32])
{
	unsigned char key[16];

	for (unsigned i = 0; i < 8; i++)
		store_le16(key + 2 * i, recovery_groups[i]);
	SHA256(key, sizeof key, hash);
}

/* A protector of a number, which is also in its id, with a key of its own, with a salt, or with
 * neither. */
static void put_protector(struct list *l, unsigned needs, const unsigned char *clear,
	const unsigned char *salt, const unsigned char by[KEY])
{
	struct list p = {.len = 0}, part = {.len = 0};

	put(&p, "protector of ", 14);
	put_number(&p, 2, needs);
	put_number(&p, 8, 0x1d5bc0ffee);
	put_number(&p, 2, 0);
	put_number(&p, 2, needs);
	if (clear) {
		put_number(&part, 4, 0x2002);
		put(&part, clear, KEY);
		put_entry(&p, 0, 1, part.bytes, part.len);
	}
	if (salt) {
		put_number(&part, 4, 0x1000);
		put(&part, salt, 16);
		put(&part, "an entry that nobody reads", 26);
		put_entry(&p, 0, 3, part.bytes, part.len);
	}
	put_wrapped(&p, 0, by, master, sizeof master);
	put_entry(l, 2, 8, p.bytes, p.len);
}

static void put_stretched(struct list *l, unsigned needs, void (*hash)(unsigned char[32]))
{
	unsigned char key[KEY], salt[16] = "salt of ........";

	salt[15] = (unsigned char)(needs >> 8);
	hash(key);
	stretch(key, salt, key);
	put_protector(l, needs, NULL, salt, key);
}

static void put_protectors(struct list *l, unsigned protectors)
{
	if (protectors & BL_TPM)
		put_protector(l, 0x0500, NULL, NULL,
			(const unsigned char *)"the TPM keeps this key for itself");
	if (protectors & BL_PASSWORD)
		put_stretched(l, 0x2000, password_hash);
	if (protectors & BL_RECOVERY_PASSWORD)
		put_stretched(l, 0x0800, recovery_hash);
	if (protectors & BL_STARTUP_KEY)
		put_protector(l, 0x0200, NULL, NULL, startup_key);
	if (protectors & BL_CLEAR)
		put_protector(l, 0, clear_key, NULL, clear_key);
}

size_t bl_startup_key(unsigned char file[BL_FILE_MAX])
{
	struct list f = {.len = 0}, e = {.len = 0}, key = {.len = 0};

	put(&e, "protector of ", 14);
	put_number(&e, 2, 0x0200);
	put_number(&e, 8, 0x1d5bc0ffee);
	put_entry(&e, 0, 2, "E\0x\0t\0", 8);
	put_number(&key, 4, 0x2002);
	put(&key, startup_key, KEY);
	put_entry(&e, 0, 1, key.bytes, key.len);
	put_number(&f, 4, 48 + 8 + e.len);
	put_number(&f, 4, 1);
	put_number(&f, 4, 48);
	put_number(&f, 4, 48 + 8 + e.len);
	put(&f, e.bytes, 16);
	put_number(&f, 8, 1);
	put_number(&f, 8, 0);
	put_entry(&f, 6, 9, e.bytes, e.len);
	memcpy(file, f.bytes, f.len);
	return f.len;
}

/* Metadata. */

static void seal_copy(unsigned char *copy)
{
	size_t len = 16u * load_le16(copy + BL_AT_LEN);
	unsigned char digest[32];
	struct list l = {.len = 0};

	if (len < BL_AT_ENTRIES || len > BL_AREA - 200)
		return;
	SHA256(copy, len, digest);
	put_number(&l, 2, BL_AREA - len);
	put_number(&l, 2, 2);
	put_number(&l, 4, crc32(0, copy, (unsigned)len));
	put_wrapped(&l, 0, master, digest, sizeof digest);
	memcpy(copy + len, l.bytes, l.len);
}

void bl_seal(unsigned char *volume)
{
	for (unsigned i = 0; i < 3; i++)
		seal_copy(volume + bl_copies[i]);
}

static void put_entries(struct list *l, const struct bl_spec *s)
{
	struct list place = {.len = 0};

	put_entry(l, 7, 2, "P\0C\0 \0C\0:\0\0", 12);
	put_protectors(l, s->protectors);
	put_wrapped(l, 3, master, volume_key, s->method == 0x8000 ? 64 : key_len(s->method));
	if (s->protectors & BL_PLACE_ENTRY) {
		put_number(&place, 8, BL_HEADER_AT);
		put_number(&place, 8, BL_HEADER);
		put(&place, "more that nobody reads", 22);
		put_entry(l, 15, 15, place.bytes, place.len);
	}
}

static void put_block(struct list *l, const struct bl_spec *s, const struct list *entries)
{
	put(l, "-FVE-FS-", 8);
	put_number(l, 2, round_up(BL_AT_ENTRIES + entries->len, 16) / 16);
	put_number(l, 2, 2);
	put_number(l, 2, s->state ? s->state : 4);
	put_number(l, 2, 4);
	put_number(l, 8, s->state ? s->encrypted : BL_SIZE);
	put_number(l, 4, 0);
	put_number(l, 4, BL_HEADER / (s->sector ? s->sector : 512));
	for (unsigned i = 0; i < 3; i++)
		put_number(l, 8, bl_copies[i]);
	put_number(l, 8, BL_HEADER_AT);
	put_number(l, 4, 48 + entries->len);
	put_number(l, 4, 1);
	put_number(l, 4, 48);
	put_number(l, 4, 48 + entries->len);
	put(l, guid, sizeof guid);
	put_number(l, 4, 17);
	put_number(l, 4, s->method | s->method << 16);
	put_number(l, 8, 0x1d5bc0ffee);
	put(l, entries->bytes, entries->len);
}

void bl_append(unsigned char *volume, unsigned role, unsigned kind, const void *data, size_t len)
{
	for (unsigned i = 0; i < 3; i++) {
		unsigned char *copy = volume + bl_copies[i], *set = copy + BL_AT_SET;
		size_t end = load_le32(set);

		store_le16(set + end, (uint16_t)(8 + len));
		store_le16(set + end + 2, (uint16_t)role);
		store_le16(set + end + 4, (uint16_t)kind);
		memcpy(set + end + 8, data, len);
		store_le32(set, (uint32_t)(end + 8 + len));
		store_le16(
			copy + BL_AT_LEN, (uint16_t)(round_up(BL_AT_SET + end + 8 + len, 16) / 16));
	}
	bl_seal(volume);
}

static void put_boot(unsigned char *boot, const struct bl_spec *s)
{
	unsigned char *p = boot + (s->to_go ? 424 : 160);

	memset(boot, 0, 512);
	memcpy(boot, "\xeb\x58\x90", 3);
	memcpy(boot + 3, s->to_go ? "MSWIN4.1" : "-FVE-FS-", 8);
	store_le16(boot + 11, (uint16_t)s->sector);
	memcpy(p, kind_guid, 16);
	for (unsigned i = 0; i < 3; i++)
		store_le64(p + 16 + 8 * i, bl_copies[i]);
	store_le16(boot + 510, 0xaa55);
}

void bl_make(const struct bl_spec *s, unsigned char *plain, unsigned char *volume)
{
	uint64_t encrypted = s->state ? s->encrypted : BL_SIZE;
	struct list entries = {.len = 0}, block = {.len = 0};

	memcpy(volume, plain, BL_SIZE);
	memcpy(volume + BL_HEADER_AT, plain, BL_HEADER);
	encrypt(s, volume, 0, encrypted);
	put_boot(volume, s);
	put_entries(&entries, s);
	put_block(&block, s, &entries);
	for (unsigned i = 0; i < 3; i++) {
		memset(volume + bl_copies[i], 0xa5, BL_AREA);
		memset(volume + bl_copies[i], 0, 8192);
		memcpy(volume + bl_copies[i], block.bytes, block.len);
		memset(plain + bl_copies[i], 0, BL_AREA);
	}
	memset(plain + BL_HEADER_AT, 0, BL_HEADER);
	bl_seal(volume);
}
