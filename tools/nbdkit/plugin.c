/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* plugin.c - nbdkit-vdisk-plugin: serves a disk image, by the public library alone.
 *
 * The image is opened once, and all connections share it: a write of one is read by all others, and
 * a flush of one makes the writes of all durable, so that multi-conn is true.  Each connection has
 * a disk of its own, which its export name selects.
 *
 * The image is opened before nbdkit forks, so that the user sees why it cannot be.  The process
 * that opened it exits then, and only its child uses the image, with the locks, which belong to the
 * open files.  config_complete opens it rather than get_ready, since a passphrase may come from
 * standard input, which nbdkit closes in between.  An image on another NBD server has threads: it
 * is opened once to see whether it can be, and again after the fork.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#define NBDKIT_API_VERSION 2
#include <nbdkit-plugin.h>

#include "api/vdisk.h"
#include "holder.h"
#include "options.h"

#define THREAD_MODEL NBDKIT_THREAD_MODEL_PARALLEL

/* Limits of the NBD protocol. */
#define NAME_BYTES_MAX 4096u
#define PREFERRED_MIN  4096u
#define PREFERRED_MAX  (32u << 20)

/* Exports that nbdkit lists, beyond which it fails. */
#define EXPORTS_MAX 10000u

/* Extents in one answer: a hostile image may have one in each sector, and the client asks again. */
#define EXTENTS_MAX 65536u

static struct options options;
static struct vdisk_image *image;
static int start_dir = -1; /* the current directory before nbdkit changed it */

struct connection {
	struct vdisk_disk *disk;
	atomic_bool dirty; /* it has written since its last flush */
	struct connection *next, **link;
};

static struct connection *connections; /* under lock */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

/* Reports the error of the library, and returns -1. */
static int fail(const struct vdisk_error *error)
{
	int code = error->code;

	/* nbdkit answers EINVAL for a code that NBD does not have; but the request was valid. */
	switch (code) {
	case EPERM:
	case EROFS:
	case EIO:
	case ENOMEM:
	case EINVAL:
	case ENOSPC:
	case EFBIG:
	case EDQUOT:
	case EOPNOTSUPP:
	case EOVERFLOW:
		break;
	default:
		code = EIO;
	}
	nbdkit_error("%s%s%s", error->text, error->hint[0] ? "; " : "", error->hint);
	nbdkit_set_error(code);
	return -1;
}

/* From the command line to the open image. */

/* nbdkit has no words for a warning but those for an error. */
static void warn(void *arg, const char *text)
{
	(void)arg;
	nbdkit_error("warning: %s", text);
}

static int vdisk_config(const char *key, const char *value)
{
	if (strcmp(key, "holder") == 0)
		return holder_set(value);
	return options_add(&options, key, value);
}

static int open_image(void)
{
	struct vdisk_error error = {0};

	if (vdisk_open(options.image, (const char *const *)options.words, warn, NULL, &image,
		    &error) < 0)
		return fail(&error);
	return 0;
}

static bool is_uri(const char *name)
{
	return strncmp(name, "nbd", 3) == 0 && strstr(name, "://");
}

/* Is the image or its parent on an NBD server? */
static bool has_threads(void)
{
	static const char backing[] = "backing=";
	bool has = is_uri(options.image);

	for (size_t i = 0; i < options.n; i++)
		if (strncmp(options.words[i], backing, sizeof backing - 1) == 0)
			has |= is_uri(options.words[i] + sizeof backing - 1);
	return has;
}

static int vdisk_config_complete(void)
{
	if (!options.image) {
		nbdkit_error("the parameter image=FILE is missing");
		return -1;
	}
	/* A file that reaches the limit of its size is an error of the request, and not the end of
	 * the server. */
	signal(SIGXFSZ, SIG_IGN);
	if (options.secret)
		prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
	if (open_image() < 0)
		return -1;
	if (!has_threads())
		return 0;
	vdisk_close(image, NULL);
	image = NULL;
	start_dir = open(".", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (start_dir < 0)
		nbdkit_error("the current directory: %s", strerror(errno));
	return start_dir < 0 ? -1 : 0;
}

/* Ends the process although clients are connected. */
static void end(void)
{
	struct vdisk_error error = {0};
	struct vdisk_disk *disk;

	if (vdisk_disk_open(image, "", &disk, &error) < 0 || vdisk_flush(disk, &error) < 0)
		fail(&error);
	else
		vdisk_disk_close(disk);
	/* Refused if the clients have disks; a client that did not choose its export has none. */
	vdisk_close(image, NULL);
	_exit(error.code ? EXIT_FAILURE : EXIT_SUCCESS);
}

/* Opens the image again in the directory in which the user named it; nbdkit has left that. */
static int open_again(void)
{
	int dir = open(".", O_PATH | O_DIRECTORY | O_CLOEXEC), r = -1;

	if (dir < 0 || fchdir(start_dir) < 0)
		nbdkit_error("%s: changing the directory: %s", options.image, strerror(errno));
	else
		r = open_image();
	if (dir >= 0 && fchdir(dir) == 0)
		close(dir);
	close(start_dir);
	return r;
}

static int vdisk_after_fork(void)
{
	return !image && open_again() < 0 ? -1 : holder_start(end);
}

static void end_connection(struct connection *c)
{
	pthread_mutex_lock(&lock);
	*c->link = c->next;
	if (c->next)
		c->next->link = c->link;
	pthread_mutex_unlock(&lock);
	vdisk_disk_close(c->disk);
	free(c);
}

/* After a signal, nbdkit does not call close for connections that end then. */
static void vdisk_cleanup(void)
{
	struct vdisk_error error = {0};

	holder_stop();
	while (connections)
		end_connection(connections);
	if (vdisk_close(image, &error) < 0)
		nbdkit_error("%s", error.text);
	image = NULL;
}

static void vdisk_unload(void)
{
	options_free(&options);
}

static void vdisk_dump_plugin(void)
{
	printf("vdisk_version=%s\n", vdisk_version());
}

/* Exports. */

struct listing {
	struct nbdkit_exports *exports;
	unsigned n;
	bool failed; /* which nbdkit has reported */
};

/* A disk that cannot be opened is no export. */
static int add_export(void *arg, const struct vdisk_entry *entry)
{
	struct listing *listing = arg;
	const char *description = entry->description;

	if (entry->error || strlen(entry->path) > NAME_BYTES_MAX)
		return 0;
	if (listing->n++ == EXPORTS_MAX)
		return 1;
	if (!description[0] || strlen(description) > NAME_BYTES_MAX)
		description = NULL;
	listing->failed = nbdkit_add_export(listing->exports, entry->path, description) < 0;
	return listing->failed;
}

static int vdisk_list_exports(int readonly, int is_tls, struct nbdkit_exports *exports)
{
	struct listing listing = {.exports = exports};
	struct vdisk_error error = {0};

	(void)readonly;
	(void)is_tls;
	if (vdisk_list(image, "", add_export, &listing, &error) < 0)
		return fail(&error);
	return listing.failed ? -1 : 0;
}

struct wanted {
	const char *path;
	const char *description; /* interned by nbdkit; NULL: none */
};

static int find_description(void *arg, const struct vdisk_entry *entry)
{
	struct wanted *wanted = arg;

	if (strcmp(entry->path, wanted->path) != 0)
		return 0;
	if (entry->description[0])
		wanted->description = nbdkit_strdup_intern(entry->description);
	return 1;
}

/* It is optional, so that nothing is said of a failure. */
static const char *vdisk_export_description(void *handle)
{
	struct wanted wanted = {.path = nbdkit_export_name()};

	(void)handle;
	if (wanted.path)
		vdisk_list(image, "", find_description, &wanted, NULL);
	return wanted.description;
}

/* Connections. */

static void *vdisk_connect(int readonly)
{
	const char *name = nbdkit_export_name();
	struct connection *c = name ? calloc(1, sizeof *c) : NULL;
	struct vdisk_error error = {0};

	(void)readonly;
	if (name && !c)
		nbdkit_error("out of memory");
	if (c && vdisk_disk_open(image, name, &c->disk, &error) < 0) {
		fail(&error);
		free(c);
		c = NULL;
	}
	if (!c)
		return NULL;
	pthread_mutex_lock(&lock);
	c->next = connections;
	c->link = &connections;
	if (c->next)
		c->next->link = &c->next;
	connections = c;
	pthread_mutex_unlock(&lock);
	return c;
}

static int vdisk_flush_connection(void *handle, uint32_t flags)
{
	struct connection *c = handle;
	struct vdisk_error error = {0};

	(void)flags;
	/* Cleared before, so that a write during the flush sets it again. */
	atomic_store(&c->dirty, false);
	if (vdisk_flush(c->disk, &error) < 0) {
		atomic_store(&c->dirty, true);
		return fail(&error);
	}
	return 0;
}

/* A client that leaves without a flush does not know that its writes may be lost. */
static void vdisk_disconnect(void *handle)
{
	struct connection *c = handle;

	if (atomic_load(&c->dirty))
		vdisk_flush_connection(c, 0);
	end_connection(c);
}

static int64_t vdisk_get_size(void *handle)
{
	const struct connection *c = handle;
	uint64_t size = vdisk_disk_size(c->disk);

	if (size <= INT64_MAX)
		return (int64_t)size;
	nbdkit_error("the disk is larger than NBD permits: %" PRIu64 " bytes", size);
	return -1;
}

static int vdisk_block_size(void *handle, uint32_t *minimum, uint32_t *preferred, uint32_t *maximum)
{
	const struct connection *c = handle;
	uint32_t size = vdisk_disk_preferred(c->disk);

	*minimum = 1;
	*preferred = size < PREFERRED_MIN   ? PREFERRED_MIN
		     : size > PREFERRED_MAX ? PREFERRED_MAX
					    : size;
	*maximum = UINT32_MAX;
	return 0;
}

static int vdisk_can_write(void *handle)
{
	const struct connection *c = handle;

	return vdisk_disk_is_writable(c->disk);
}

static int yes(void *handle)
{
	(void)handle;
	return 1;
}

static int vdisk_can_fua(void *handle)
{
	(void)handle;
	return NBDKIT_FUA_EMULATE;
}

/* A read of nbdkit leaves the bytes in the cache of the library or of the host. */
static int vdisk_can_cache(void *handle)
{
	(void)handle;
	return NBDKIT_CACHE_EMULATE;
}

/* Requests. */

static int vdisk_pread(void *handle, void *buf, uint32_t count, uint64_t offset, uint32_t flags)
{
	const struct connection *c = handle;
	struct vdisk_error error = {0};

	(void)flags;
	return vdisk_read(c->disk, buf, count, offset, &error) < 0 ? fail(&error) : 0;
}

static int vdisk_pwrite(
	void *handle, const void *buf, uint32_t count, uint64_t offset, uint32_t flags)
{
	struct connection *c = handle;
	struct vdisk_error error = {0};
	int r = vdisk_write(c->disk, buf, count, offset, &error);

	(void)flags;
	/* Even if it failed, a part of it may be written. */
	atomic_store(&c->dirty, true);
	return r < 0 ? fail(&error) : 0;
}

static int vdisk_write_zeroes(void *handle, uint32_t count, uint64_t offset, uint32_t flags)
{
	struct connection *c = handle;
	struct vdisk_error error = {0};
	int r = vdisk_zero(
		c->disk, count, offset, flags & NBDKIT_FLAG_MAY_TRIM ? 0 : VDISK_NO_HOLE, &error);

	atomic_store(&c->dirty, true);
	return r < 0 ? fail(&error) : 0;
}

static int vdisk_trim(void *handle, uint32_t count, uint64_t offset, uint32_t flags)
{
	struct connection *c = handle;
	struct vdisk_error error = {0};
	int r = vdisk_discard(c->disk, count, offset, &error);

	(void)flags;
	atomic_store(&c->dirty, true);
	return r < 0 ? fail(&error) : 0;
}

static uint32_t extent_type(enum vdisk_extent_kind kind)
{
	switch (kind) {
	case VDISK_ZERO:
		return NBDKIT_EXTENT_ZERO;
	case VDISK_HOLE:
		return NBDKIT_EXTENT_HOLE | NBDKIT_EXTENT_ZERO;
	default:
		return 0;
	}
}

static int vdisk_extents(void *handle, uint32_t count, uint64_t offset, uint32_t flags,
	struct nbdkit_extents *extents)
{
	const struct connection *c = handle;
	uint64_t end = offset + count;

	for (unsigned n = 0; offset < end && n < EXTENTS_MAX; n++) {
		struct vdisk_error error = {0};
		enum vdisk_extent_kind kind;
		uint64_t len;

		if (vdisk_extent(c->disk, end - offset, offset, &kind, &len, &error) < 0)
			return fail(&error);
		if (nbdkit_add_extent(extents, offset, len, extent_type(kind)) < 0)
			return -1;
		if (flags & NBDKIT_FLAG_REQ_ONE)
			break;
		offset += len;
	}
	return 0;
}

static struct nbdkit_plugin plugin = {
	.name = "vdisk",
	.longname = "vdisk plugin",
	.description =
		"Disk images of virtual machines: qcow2, VMDK, VDI, VHD, VHDX and others, with "
		"their\nsnapshots, partitions and volumes.",
	.magic_config_key = "image",
	.config = vdisk_config,
	.config_complete = vdisk_config_complete,
	.config_help = options_help,
	.after_fork = vdisk_after_fork,
	.dump_plugin = vdisk_dump_plugin,
	.cleanup = vdisk_cleanup,
	.unload = vdisk_unload,
	.list_exports = vdisk_list_exports,
	.export_description = vdisk_export_description,
	.open = vdisk_connect,
	.close = vdisk_disconnect,
	.get_size = vdisk_get_size,
	.block_size = vdisk_block_size,
	.can_write = vdisk_can_write,
	.can_multi_conn = yes,
	.can_fua = vdisk_can_fua,
	.can_cache = vdisk_can_cache,
	.pread = vdisk_pread,
	.pwrite = vdisk_pwrite,
	.flush = vdisk_flush_connection,
	.zero = vdisk_write_zeroes,
	.trim = vdisk_trim,
	.extents = vdisk_extents,
};

NBDKIT_REGISTER_PLUGIN(plugin)
