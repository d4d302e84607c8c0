/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* main.c - mounts, serves and ends, in this order.
 *
 * Three processes are started before anything is read: the launcher, which is the process that the
 * user started and exits once the mount answers; the daemon; its supervisor.  With -f the launcher
 * is the daemon.  Everything that can fail because of an image - opening files, locking, reading
 * tables - is done before the mount exists; of a directory only its own existence is checked.
 *
 * Until the mount answers, the daemon stays in the process group of the launcher: a program that
 * mounts on demand (autofs) gives no other process group access to the mount point.
 */
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "daemon/child-server.h"
#include "daemon/end-watch.h"
#include "daemon/servers.h"
#include "daemon/supervisor.h"
#include "io/cache.h"
#include "io/codec.h"
#include "tree/cow.h"
#include "io/crypt.h"
#include "util/array.h"
#include "util/charset.h"
#include "util/err.h"
#include "util/protocol.h"
#include "ops/file.h"
#include "io/host.h"
#include "io/io.h"
#include "image/image.h"
#include "open/open.h"
#include "daemon/launch.h"
#include "base/log.h"
#include "daemon/session.h"
#include "daemon/invalidate.h"
#include "ops/read.h"
#include "ops/request.h"
#include "daemon/options.h"
#include "base/process.h"
#include "daemon/sandbox.h"
#include "io/passphrase.h"
#include "volume/chain.h"
#include "tree/fill.h"
#include "tree/image-pool.h"
#include "tree/pooled-image.h"
#include "tree/tree.h"
#include "volume/luks/header-file.h"
#include "daemon/host-watch.h"

/* Kernel readahead in KiB: a cold sequential read is 1.6 times as fast as with the default of 128.
 */
#define READ_AHEAD "1024"

struct daemon {
	struct options options;
	struct image_options how;
	struct passphrase *secrets;
	struct luks_header_file *luks_headers;
	/* For a directory of images: */
	char *directory; /* its path without links */
	struct host_watch *watch;
	struct encodings *encodings;
	struct locked_in locked_in;
	bool is_locked_in;
	struct string_list readable;
	struct server server;
	struct child_server child;
	struct servers servers;
	struct end_watch end_watch;
	struct log log;
	char *mountpoint;
	struct fuse_session *session;
	struct invalidate invalidate;
	struct launch launch;
	struct supervisor supervisor;
	struct cow cow;
};

/* The program whose options the hints name. */
static const struct hint_words *hint_words = &hint_words_vdiskfs;

static int report(const struct err *e)
{
	char line[HINT_LINE];

	fprintf(stderr, "vdiskfs: %s\n", e->text);
	if (hint_line(e, hint_words, line))
		fprintf(stderr, "hint: %s\n", line);
	return -1;
}

/* Receives warnings while the mount is served; NULL: standard error. */
static struct log *warnings;

static void warn(void *arg, const char *text)
{
	(void)arg;
	if (warnings)
		log_error(warnings, "warning: %s", text);
	else
		fprintf(stderr, "vdiskfs: warning: %s\n", text);
}

static void wipe_secrets(struct daemon *d)
{
	passphrase_free(d->secrets);
	d->secrets = NULL;
	d->how.secrets = NULL;
}

static int prepare_opening(struct daemon *d, struct err *e)
{
	const struct options *o = &d->options;

	d->how = (struct image_options){
		.detect_zeroes = true,
		.copy_on_read = o->copy_on_read,
		.nbd = d->servers.list,
		.secrets = d->secrets,
		.luks_headers = d->luks_headers,
		.cache = cache_new((size_t)o->words.cache, e),
		.warn = warn,
	};
	open_words_apply(&d->options.words, &d->how);
	if (!d->how.cache)
		return -e->code;
	d->how.codec = codec_new(e);
	return d->how.codec ? 0 : -e->code;
}

/* Lists the descriptors of the host files of an image and of its parents. */
static int list_files(struct locked_in *in, const struct image *img, struct err *e)
{
	for (; img; img = img->parent)
		for (size_t i = 0; i < img->nfiles; i++) {
			int *files = array_grow(in->files, in->nfiles, sizeof files[0]);

			if (!files)
				return err_nomem(e);
			in->files = files;
			files[in->nfiles] = img->files[i]->fd;
			in->nfiles++;
		}
	return 0;
}

static int show_image(struct daemon *d, struct err *e)
{
	const struct options *o = &d->options;
	struct pooled_image *image;
	struct image *img;
	int ret;

	d->how.write = o->writable && !o->cow;
	ret = o->cow ? cow_open(o->image, o->cow_file, &d->how, &d->cow, &img, e)
		     : image_open(o->image, &d->how, &img, e);
	if (ret < 0)
		return ret;
	/* Encrypted volumes are opened when they are listed. */
	if (d->secrets && !chain_has_members(img))
		wipe_secrets(d);
	image = pooled_image_of(d->server.pool, img, e);
	if (image)
		d->server.tree = tree_new(image, fill, &d->log, e);
	if (!d->server.tree)
		return -e->code;
	/* Only passthrough needs them.  A file in the list that is deleted later takes space until
	 * the kernel has freed the rules, some time after the daemon has ended. */
	return o->writable ? 0 : list_files(&d->locked_in, img, e);
}

/* The images of a directory are opened later, when the working directory is another one, the
 * sandbox is entered, and the mount may cover the directory.  So directories are made absolute and
 * opened now; a missing one stays as it is, and nothing is found there. */
static int keep_directories(struct daemon *d, struct string_list *dirs, struct err *e)
{
	for (size_t i = 0; i < dirs->n; i++) {
		char *real = realpath(dirs->v[i], NULL);

		if (real) {
			free(dirs->v[i]);
			dirs->v[i] = real;
			host_keep(real);
		}
		if (!string_list_add(&d->readable, dirs->v[i]))
			return err_nomem(e);
	}
	return 0;
}

static int open_directory(struct daemon *d, struct err *e)
{
	const struct options *o = &d->options;
	struct rlimit limit;

	d->directory = realpath(o->image, NULL);
	if (!d->directory || access(d->directory, R_OK | X_OK) < 0 || host_keep(d->directory) < 0)
		return err_set(e, errno, "%s: %s", o->image, strerror(errno));
	if (!string_list_add(&d->readable, d->directory))
		return err_nomem(e);
	d->locked_in.readable = (const char *const *)d->readable.v;
	d->locked_in.writable = o->writable ? d->directory : NULL;
	/* Each open image has at least one descriptor. */
	if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
		limit.rlim_cur = limit.rlim_max;
		setrlimit(RLIMIT_NOFILE, &limit);
	}
	host_on_shortage(image_pool_close_one, d->server.pool);
	d->watch = host_watch_new(d->server.pool, o->idle, &d->log, e);
	if (!d->watch)
		return -e->code;
	/* Libraries load their parts before the sandbox. */
	crypt_load();
	d->encodings = charsets_load();
	return d->encodings ? 0 : err_nomem(e);
}

static int show_directory(struct daemon *d, struct err *e)
{
	struct shown_dir shown;
	struct statvfs st;

	if (d->options.cow || d->options.words.backing || d->options.words.disk)
		return err_set(e, ENOTSUP, "%s: %s is for one image, not for a directory",
			d->options.image,
			d->options.cow             ? "cow"
			: d->options.words.backing ? "backing"
						   : "disk");
	if (keep_directories(d, &d->options.words.allow, e) < 0 ||
		keep_directories(d, &d->options.words.search, e) < 0 || open_directory(d, e) < 0)
		return -e->code;
	shown = (struct shown_dir){
		.path = d->directory,
		.pool = d->server.pool,
		.how = &d->how,
		.size = statvfs(d->directory, &st) == 0 ? (uint64_t)st.f_blocks * st.f_frsize : 0,
		.watch = host_watch_add,
		.watch_arg = d->watch,
	};
	d->server.tree = tree_new_dir(&shown, fill, &d->log, e);
	if (d->server.tree && host_fence() < 0)
		return err_set(
			e, errno, "%s: the list of mounts: %s", d->directory, strerror(errno));
	return d->server.tree ? 0 : -e->code;
}

/* A server may stop to answer later, and then "ls" should not have to wait for partition tables. */
static void list_early(struct daemon *d)
{
	struct dir *dir;

	if (d->servers.n > 0 && tree_list(d->server.tree->root, &dir) == 0)
		tree_unlist(dir);
}

/* The name of a server is never that of a file. */
static bool shows_directory(const struct options *o)
{
	struct stat st;

	return !o->command && !protocol_is_in(o->image) && stat(o->image, &st) == 0 &&
	       S_ISDIR(st.st_mode) && !image_is_bundle(o->image);
}

static int open_server(struct daemon *d, struct err *e)
{
	int ret = prepare_opening(d, e);

	if (ret == 0)
		ret = servers_connect(&d->servers, &d->options, &d->child, &d->log, e);
	if (ret == 0)
		ret = read_init(&d->server.read_worker, e);
	if (ret == 0)
		ret = holder_init(&d->server.holder, d->options.holder, e);
	if (ret < 0)
		return ret;
	d->server.access = d->options.access;
	d->server.max_read = d->options.max_read;
	d->server.writable = d->options.writable;
	d->server.is_remote = d->servers.n > 0;
	passthrough_init(&d->server.passthrough,
		!d->options.writable && !d->options.nopassthrough && d->servers.n == 0);
	coherence_init(&d->server.coherence);
	readahead_budget_init(&d->server.readahead, (size_t)d->options.words.cache);
	d->server.pool = image_pool_new(&d->how, d->options.snapshot, d->options.idle, e);
	if (!d->server.pool)
		return -e->code;
	ret = shows_directory(&d->options) ? show_directory(d, e) : show_image(d, e);
	if (ret < 0)
		return ret;
	tree_set_access(d->server.tree, d->options.access.gid, d->server.writable);
	list_early(d);
	return 0;
}

static int open_mount(struct daemon *d, struct err *e)
{
	struct mount_id below = {0}, id = {0};
	char path[64];

	mount_id_get(d->mountpoint, &below);
	d->session = session_open(&d->options, d->mountpoint, &d->server, e);
	if (!d->session)
		return -1;
	launch_mounted(&d->launch);
	if (!mount_id_get(d->mountpoint, &id) || (id.dev == below.dev && id.id == below.id))
		id = (struct mount_id){0}; /* /dev/fd/N: the caller mounted it elsewhere */
	supervisor_mounted(&d->supervisor, &id);
	if (session_answer(d->session, &d->server, e) < 0)
		return -1;
	if (id.dev) {
		/* Fails without root: the default of the kernel stays. */
		snprintf(path, sizeof path, "/sys/class/bdi/%u:%u/read_ahead_kb", major(id.dev),
			minor(id.dev));
		process_set_control(path, READ_AHEAD);
	}
	return 0;
}

/* Opens the image and mounts.  Reports errors. */
static int set_up(struct daemon *d)
{
	const struct options *o = &d->options;
	const int ours[] = {d->supervisor.alive, d->supervisor.done, d->launch.ready, o->holder,
		d->child.printed};
	struct err e = ERR_INIT;

	if (o->words.passphrases.n > 0)
		passphrase_guard();
	if (passphrase_read_all((const char *const *)o->words.passphrases.v, &d->secrets, &e) < 0)
		return report(&e);
	/* Inherited descriptors would keep locks and pipes of other programs open as long as the
	 * mount.  A name such as /dev/fd/3 may refer to one, also the file of a passphrase. */
	if (!strstr(o->image, "/fd/") && !strstr(o->mountpoint, "/fd/"))
		process_close_others(ours, sizeof ours / sizeof ours[0]);
	if (luks_headers_open((const char *const *)o->words.luks_headers.v, &d->luks_headers, &e) <
			0 ||
		open_server(d, &e) < 0)
		return report(&e);
	if (open_mount(d, &e) < 0)
		return e.code ? report(&e) : -1; /* code 0: reported by libfuse */
	return 0;
}

static void take_down(struct daemon *d, bool unmounted)
{
	if (d->session)
		session_close(d->session, unmounted || !d->is_locked_in);
	if (d->server.tree) {
		read_end(d->server.read_worker);
		file_close_all(d->server.tree);
		passthrough_end(&d->server.passthrough);
	}
	tree_free(d->server.tree);
	host_watch_free(d->watch);
	image_pool_free(d->server.pool);
	servers_free(&d->servers);
	child_server_free(&d->child);
	charsets_free(d->encodings);
	wipe_secrets(d);
	luks_headers_free(d->luks_headers);
	cow_free(&d->cow);
	codec_free(d->how.codec);
	cache_free(d->how.cache);
	host_end();
	string_list_free(&d->readable);
	free(d->locked_in.files);
	free(d->directory);
	free(d->mountpoint);
}

/* Enters the sandbox.  Standard error stays open until then, for what fails. */
static int lock_in(struct daemon *d, struct err *e)
{
	int null = d->options.foreground ? -1 : open("/dev/null", O_RDWR | O_CLOEXEC);
	int ret;

	d->locked_in.nsockets =
		servers_sockets(&d->servers, d->locked_in.sockets, LOCKED_IN_SOCKETS);
	ret = sandbox_enter(d->options.sandbox, &d->locked_in, e);

	d->is_locked_in = sandbox_applies(d->options.sandbox);
	if (null >= 0 && ret == 0)
		process_mute(null);
	if (null >= 0)
		close(null);
	return ret;
}

static void mount_ended(void *arg)
{
	servers_abort(arg);
}

static void end_threads(struct daemon *d)
{
	end_watch_stop(&d->end_watch);
	if (d->watch)
		host_watch_end(d->watch);
	image_pool_end_flushing(d->server.pool);
	holder_end(&d->server.holder);
	invalidate_end(&d->invalidate);
}

static int start_threads(struct daemon *d, struct err *e)
{
	struct server *server = &d->server;
	int ret = invalidate_start(&d->invalidate, d->session, server->tree, &server->coherence, e);

	if (ret < 0)
		return ret;
	ret = holder_start(&server->holder, e);
	if (ret == 0 && d->watch)
		ret = host_watch_start(d->watch, server->tree, e);
	if (ret == 0 && server->writable)
		ret = image_pool_start_flushing(server->pool, e);
	if (ret == 0)
		ret = servers_resume(&d->servers, e);
	if (ret == 0 && d->servers.n > 0)
		ret = end_watch_start(&d->end_watch, d->session, mount_ended, &d->servers, e);
	if (ret < 0)
		end_threads(d);
	return ret;
}

/* Serves until the file system is unmounted (*unmounted), a signal arrives or an error occurs. */
static int serve(struct daemon *d, bool *unmounted)
{
	struct err e = ERR_INIT;
	int ret = 0;

	servers_pause(&d->servers);
	if (!d->options.foreground) {
		launch_detach(&d->launch);
		if (chdir("/") < 0)
			ret = err_set(&e, errno, "/: %s", strerror(errno));
		else
			log_to_syslog(&d->log);
	}
	if (ret == 0)
		ret = lock_in(d, &e);
	if (ret == 0)
		ret = start_threads(d, &e);
	if (ret < 0)
		return report(&e);
	warnings = &d->log;
	supervisor_serving(&d->supervisor);
	launch_ready(&d->launch);
	ret = session_serve(d->session, d->options.threads);
	end_threads(d);
	*unmounted = ret == 0;
	/* Before the process exits, which vdisk umount waits for. */
	return image_pool_finish(d->server.pool) < 0 || ret < 0 ? -1 : 0;
}

/* The processes are started before anything secret is read, which they would have, too. */
static int mount_and_serve(struct daemon *d)
{
	const struct options *o = &d->options;
	struct err e = ERR_INIT;
	bool unmounted = false;
	int ret = -1;

	if (session_check(o, &d->mountpoint, &e) < 0 || sandbox_check(o->sandbox, &e) < 0 ||
		child_server_open(&d->child, o->command, &e) < 0 ||
		supervisor_start(&d->supervisor, d->mountpoint, o->holder >= 0, &d->child, &e) <
			0 ||
		(!o->foreground &&
			launch_daemon(&d->launch, mount_helper_status(&o->helper, false), &e) < 0))
		report(&e);
	else if (set_up(d) == 0)
		ret = serve(d, &unmounted);
	take_down(d, unmounted);
	supervisor_finish(&d->supervisor, unmounted);
	return ret;
}

int main(int argc, char **argv)
{
	struct daemon d = {.supervisor = {.alive = -1, .done = -1},
		.launch = {.ready = -1},
		.child = {.listening = -1, .printing = -1, .printed = -1}};
	enum options_verdict verdict;
	int ret = EXIT_SUCCESS;

	process_guard_stdio();
	verdict = options_parse(&d.options, argc, argv);
	if (d.options.vdisk_hints)
		hint_words = &hint_words_vdisk;
	if (verdict == OPTIONS_MOUNT) {
		umask(077);
		signal(SIGXFSZ, SIG_IGN);
		/* Keeps freed memory: buffers of clusters are allocated all the time, and page
		 * faults of a new one would cost more than reading its data. */
		mallopt(M_MMAP_THRESHOLD, 32 << 20);
		mallopt(M_TRIM_THRESHOLD, 64 << 20);
		log_init(&d.log);
		ret = mount_and_serve(&d);
	}
	if (verdict == OPTIONS_BAD || ret < 0)
		ret = mount_helper_status(&d.options.helper, verdict == OPTIONS_BAD);
	options_free(&d.options);
	return ret;
}
