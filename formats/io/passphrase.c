/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <openssl/crypto.h>

#include "util/limits.h"
#include "util/err.h"
#include "passphrase.h"

#define MAPPED (SECRET_MAX + 1) /* bytes for each: the last one shows that it is too long */

static bool guarded; /* set before there are threads */

static struct passphrase *secret_new(struct err *e)
{
	struct passphrase *s = calloc(1, sizeof *s);

	if (s)
		s->bytes = mmap(
			NULL, MAPPED, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (!s || s->bytes == MAP_FAILED) {
		free(s);
		err_nomem(e);
		return NULL;
	}
	/* The host may deny both; only the pages that are used count. */
	mlock2(s->bytes, MAPPED, MLOCK_ONFAULT);
	madvise(s->bytes, MAPPED, MADV_DONTDUMP);
	/* A child does not inherit the lock on the memory, so it should not get the bytes. */
	if (guarded)
		madvise(s->bytes, MAPPED, MADV_WIPEONFORK);
	return s;
}

void passphrase_free(struct passphrase *s)
{
	while (s) {
		struct passphrase *next = s->next;

		OPENSSL_cleanse(s->bytes, s->len);
		munmap(s->bytes, MAPPED);
		free(s);
		s = next;
	}
}

static int read_all(struct passphrase *s, int fd, struct err *e)
{
	ssize_t n;

	do {
		n = read(fd, s->bytes + s->len, MAPPED - s->len);
		if (n > 0)
			s->len += (size_t)n;
	} while ((n > 0 && s->len < MAPPED) || (n < 0 && errno == EINTR));
	if (n < 0)
		return err_set(e, errno, "%s", strerror(errno));
	if (s->len > SECRET_MAX)
		return err_set(e, EFBIG, "more than %u bytes", SECRET_MAX);
	/* The file of an empty passphrase has a newline; an empty file is a mistake. */
	return s->len > 0 ? 0 : err_set(e, EINVAL, "the file is empty");
}

static struct passphrase *read_file(const char *file, struct err *e)
{
	bool is_stdin = strcmp(file, "-") == 0;
	int fd = is_stdin ? STDIN_FILENO : open(file, O_RDONLY | O_NOCTTY | O_CLOEXEC);
	struct passphrase *s;

	if (fd < 0) {
		err_set(e, errno, "passphrase file %s: %s", file, strerror(errno));
		return NULL;
	}
	s = secret_new(e);
	if (s && read_all(s, fd, e) < 0) {
		err_in(e, "passphrase file %s", file);
		passphrase_free(s);
		s = NULL;
	}
	if (!is_stdin)
		close(fd);
	return s;
}

struct passphrase *passphrase_read(const char *file, struct err *e)
{
	char uuid[GUID_TEXT];
	struct passphrase *s = read_file(guid_cut(file, uuid), e);

	if (s)
		memcpy(s->uuid, uuid, sizeof uuid);
	return s;
}

struct passphrase *passphrase_new(const void *bytes, size_t len, struct err *e)
{
	struct passphrase *s = NULL;

	if (len > SECRET_MAX)
		err_set(e, EFBIG, "a passphrase of more than %u bytes", SECRET_MAX);
	else
		s = secret_new(e);
	if (s) {
		memcpy(s->bytes, bytes, len);
		s->len = len;
	}
	return s;
}

const struct passphrase *passphrase_for(const struct passphrase *s, const char *uuid)
{
	while (s && s->uuid[0] && strcasecmp(s->uuid, uuid) != 0)
		s = s->next;
	return s;
}

void passphrase_guard(void)
{
	guarded = true;
	prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
}

int passphrase_read_all(const char *const *files, struct passphrase **all, struct err *e)
{
	for (; files && *files; files++) {
		*all = passphrase_read(*files, e);
		if (!*all)
			return -e->code;
		all = &(*all)->next;
	}
	return 0;
}

int passphrase_missing(const char *encryption, struct err *e)
{
	err_set(e, ENOKEY, "encrypted (%s), and no passphrase was given", encryption);
	return err_hint_code(e, HINT_PASSPHRASE, NULL);
}
