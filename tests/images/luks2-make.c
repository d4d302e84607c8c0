/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "luks2-make.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <argon2.h>
#include <openssl/evp.h>

#include "luks-make.h"
#include "util/bytes.h"

#define BINARY     4096u /* bytes before the text */
#define AREA       (64u << 10)
#define ITERATIONS 7
#define MEMORY     64 /* KiB */
#define LANES      2
#define SALT       "a salt of thirty-two bytes, yes."

enum { AT_SIZE = 8, AT_SEQUENCE = 16, AT_LABEL = 24, AT_HASH = 72, AT_UUID = 168 };
enum { AT_POSITION = 256, AT_CHECKSUM = 448 };

static void split_name(const struct luks2_spec *s, char cipher[32], char mode[64])
{
	const char *dash = strchr(s->encryption, '-');

	snprintf(cipher, 32, "%.*s", (int)(dash - s->encryption), s->encryption);
	snprintf(mode, 64, "%s", dash + 1);
}

int luks2_encrypt(const struct luks2_spec *s, void *buf, size_t len, uint64_t off)
{
	const struct luks_sectors sectors = {
		.size = s->sector_size,
		.first = s->iv_tweak + off / 512,
		.step = s->sector_size / 512,
	};
	char cipher[32], mode[64];

	split_name(s, cipher, mode);
	return luks_encrypt_sectors(cipher, mode, luks_master, s->key_len, buf, len, &sectors);
}

static int derive(const struct luks2_spec *s, const EVP_MD *md, unsigned char *key)
{
	const char *p = s->passphrase;

	if (strcmp(s->kdf, "pbkdf2") == 0)
		return PKCS5_PBKDF2_HMAC(p, strlen(p), (const unsigned char *)SALT, 32, ITERATIONS,
			       md, s->key_len, key)
			       ? 0
			       : -1;
	return argon2_hash(ITERATIONS, MEMORY, LANES, p, strlen(p), SALT, 32, key, s->key_len, NULL,
		0, strcmp(s->kdf, "argon2i") == 0 ? Argon2_i : Argon2_id, ARGON2_VERSION_13);
}

static int fill_area(const struct luks2_spec *s, const EVP_MD *md, unsigned char *area)
{
	unsigned char key[LUKS_MAKE_KEY];
	char cipher[32], mode[64];

	split_name(s, cipher, mode);
	luks_split(md, s->key_len, area);
	if (derive(s, md, key) < 0)
		return -1;
	return luks_encrypt_with(
		cipher, mode, key, s->key_len, area, round_up(s->key_len * 4000, 512), 0);
}

static void put_kdf(const struct luks2_spec *s, const char *salt, char *text, size_t size)
{
	if (strcmp(s->kdf, "pbkdf2") == 0)
		snprintf(text, size,
			"{\"type\":\"pbkdf2\",\"hash\":\"%s\",\"iterations\":%d,\"salt\":\"%s\"}",
			s->hash, ITERATIONS, salt);
	else
		snprintf(text, size,
			"{\"type\":\"%s\",\"time\":%d,\"memory\":%d,\"cpus\":%d,\"salt\":\"%s\"}",
			s->kdf, ITERATIONS, MEMORY, LANES, salt);
}

static void put_text(const struct luks2_spec *s, const EVP_MD *md, char *text)
{
	unsigned char digest[EVP_MAX_MD_SIZE], salt[64], value[128];
	char kdf[512];

	PKCS5_PBKDF2_HMAC((const char *)luks_master, s->key_len, (const unsigned char *)SALT, 32,
		ITERATIONS, md, EVP_MD_get_size(md), digest);
	EVP_EncodeBlock(salt, (const unsigned char *)SALT, 32);
	EVP_EncodeBlock(value, digest, EVP_MD_get_size(md));
	put_kdf(s, (char *)salt, kdf, sizeof kdf);
	snprintf(text, LUKS2_MAKE_COPY - BINARY,
		"{\"keyslots\":{\"0\":{\"type\":\"luks2\",\"key_size\":%zu,"
		"\"af\":{\"type\":\"luks1\",\"stripes\":4000,\"hash\":\"%s\"},"
		"\"area\":{\"type\":\"raw\",\"offset\":\"%u\",\"size\":\"%u\","
		"\"encryption\":\"%s\",\"key_size\":%zu},\"kdf\":%s}},"
		"\"tokens\":{},\"segments\":{\"0\":{\"type\":\"crypt\",\"offset\":\"%u\","
		"\"size\":\"dynamic\",\"iv_tweak\":\"%llu\",\"encryption\":\"%s\","
		"\"sector_size\":%zu}},"
		"\"digests\":{\"0\":{\"type\":\"pbkdf2\",\"keyslots\":[\"0\"],\"segments\":[\"0\"],"
		"\"hash\":\"%s\",\"iterations\":%d,\"salt\":\"%s\",\"digest\":\"%s\"}},"
		"\"config\":{\"json_size\":\"12288\",\"keyslots_size\":\"262144\"}}",
		s->key_len, s->hash, AREA, LUKS2_MAKE_DATA - AREA, s->encryption, s->key_len, kdf,
		LUKS2_MAKE_DATA, (unsigned long long)s->iv_tweak, s->encryption, s->sector_size,
		s->hash, ITERATIONS, (char *)salt, (char *)value);
}

void luks2_seal(unsigned char *header, unsigned copy)
{
	unsigned char *p = header + copy * LUKS2_MAKE_COPY;

	memset(p + AT_CHECKSUM, 0, 64);
	EVP_Digest(p, LUKS2_MAKE_COPY, p + AT_CHECKSUM, NULL, EVP_sha256(), NULL);
}

bool luks2_edit(unsigned char *header, unsigned copy, const char *from, const char *to)
{
	char *text = (char *)header + copy * LUKS2_MAKE_COPY + BINARY;
	char *found = strstr(text, from);
	size_t rest;

	if (!found || strlen(text) - strlen(from) + strlen(to) >= LUKS2_MAKE_COPY - BINARY)
		return false;
	rest = strlen(found + strlen(from));
	memmove(found + strlen(to), found + strlen(from), rest);
	memcpy(found, to, strlen(to));
	memset(found + strlen(to) + rest, 0,
		text + LUKS2_MAKE_COPY - BINARY - (found + strlen(to) + rest));
	luks2_seal(header, copy);
	return true;
}

static void put_copy(
	const struct luks2_spec *s, const EVP_MD *md, unsigned char *header, unsigned copy)
{
	unsigned char *p = header + copy * LUKS2_MAKE_COPY;

	memcpy(p, copy ? "SKUL\xba\xbe\0\2" : "LUKS\xba\xbe\0\2", 8);
	store_be64(p + AT_SIZE, LUKS2_MAKE_COPY);
	store_be64(p + AT_SEQUENCE, 5);
	if (s->label)
		strncpy((char *)p + AT_LABEL, s->label, 48);
	strcpy((char *)p + AT_HASH, "sha256");
	strcpy((char *)p + AT_UUID, LUKS2_MAKE_UUID);
	store_be64(p + AT_POSITION, copy * LUKS2_MAKE_COPY);
	put_text(s, md, (char *)p + BINARY);
	luks2_seal(header, copy);
}

unsigned char *luks2_make(const struct luks2_spec *s)
{
	const EVP_MD *md = EVP_get_digestbyname(s->hash);
	unsigned char *p = calloc(1, LUKS2_MAKE_DATA);

	if (!p || !md || fill_area(s, md, p + AREA) != 0) {
		free(p);
		return NULL;
	}
	put_copy(s, md, p, 0);
	put_copy(s, md, p, 1);
	return p;
}
