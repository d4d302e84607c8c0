/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* check_gate.c - which names open which files.  Each test runs in an empty directory with the
 * image vm/top.img; secret.img, one level above it, must never be opened. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "util/limits.h"
#include "util/err.h"
#include "io/io.h"
#include "io/gate.h"
#include "common/unit.h"

struct gate_test {
	char here[256], vm[300];
	struct gate gate;
	struct err e;
};

static void gate_test_begin(struct gate_test *w)
{
	memset(w, 0, sizeof *w);
	ck_assert_ptr_nonnull(getcwd(w->here, sizeof w->here));
	snprintf(w->vm, sizeof w->vm, "%s/vm", w->here);
	write_text("vm/top.img", "top");
	write_text("vm/base.img", "base");
	write_text("vm/sub/deep.img", "deep");
	write_text("secret.img", "secret");
	write_text("vm2/near.img", "near"); /* "vm" is a prefix of this directory's name */
	w->gate = gate_on(w->vm, NULL, NULL);
}

static const char *read_text(struct io *io)
{
	static char text[64];
	struct err e = ERR_INIT;

	ck_assert_uint_lt(io->size, sizeof text);
	ck_assert_ok(io_read(io, text, io->size, 0, &e), &e);
	text[io->size] = '\0';
	io_unref(io);
	return text;
}

static void opens(struct gate_test *w, const char *name, const char *text)
{
	struct io *io = NULL;

	ck_assert_ok(gate_open(&w->gate, name, "parent", &io, &w->e), &w->e);
	ck_assert_str_eq(read_text(io), text);
}

static void refuses(struct gate_test *w, const char *name, int code, const char *part)
{
	struct io *io = NULL;
	int before = open("/dev/null", O_RDONLY | O_CLOEXEC), after;

	close(before);
	ck_assert_fails(gate_open(&w->gate, name, "parent", &io, &w->e), code, &w->e, part);
	after = open("/dev/null", O_RDONLY | O_CLOEXEC);
	close(after);
	ck_assert_int_eq(before, after); /* no descriptor has leaked */
}

static const char *here(const struct gate_test *w, const char *name)
{
	static char path[PATH_MAX];

	snprintf(path, sizeof path, "%s/%s", w->here, name);
	return path;
}

START_TEST(plain_names)
{
	struct gate_test w;

	gate_test_begin(&w);
	opens(&w, "base.img", "base");
	opens(&w, "./base.img", "base");
	opens(&w, "sub/deep.img", "deep");
	opens(&w, "sub/../base.img", "base");
	opens(&w, "../vm/base.img", "base");
	opens(&w, here(&w, "vm/base.img"), "base");
	opens(&w, "sub//deep.img", "deep");
}
END_TEST

START_TEST(names_outside_the_directory)
{
	struct gate_test w;

	gate_test_begin(&w);
	refuses(&w, "../secret.img", EACCES, "outside the image's directory");
	ck_assert_ptr_nonnull(strstr(hint_of(&w.e), "-o allow="));
	ck_assert_ptr_nonnull(strstr(hint_of(&w.e), w.here));
	refuses(&w, here(&w, "secret.img"), EACCES, "outside");
	refuses(&w, "sub/../../secret.img", EACCES, "outside");
	refuses(&w, here(&w, "vm2/near.img"), EACCES, "outside");
	refuses(&w, "/etc/passwd", EACCES, "\"/etc/passwd\" lies outside");
	refuses(&w, "..", EACCES, "outside");
	refuses(&w, ".", EACCES, "outside");
	refuses(&w, "/", EACCES, "outside");
	ck_assert_ptr_nonnull(strstr(hint_of(&w.e), "allow=/ "));
}
END_TEST

START_TEST(symbolic_links)
{
	struct gate_test w;

	gate_test_begin(&w);
	ck_assert_int_eq(symlink("base.img", "vm/in.img"), 0);
	ck_assert_int_eq(symlink("../secret.img", "vm/out.img"), 0);
	ck_assert_int_eq(symlink(here(&w, "secret.img"), "vm/out2.img"), 0);
	ck_assert_int_eq(symlink("..", "vm/up"), 0);
	ck_assert_int_eq(symlink("nowhere", "vm/dangling.img"), 0);
	ck_assert_int_eq(symlink("round.img", "vm/round.img"), 0);
	opens(&w, "in.img", "base");
	opens(&w, "up/vm/base.img", "base");
	refuses(&w, "out.img", EACCES, "outside");
	refuses(&w, "out2.img", EACCES, "outside");
	refuses(&w, "up/secret.img", EACCES, "outside");
	refuses(&w, "dangling.img", ENOENT, "\"dangling.img\"");
	refuses(&w, "round.img", ELOOP, "\"round.img\"");
}
END_TEST

START_TEST(not_regular_files)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = "vm/socket"};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct gate_test w;

	gate_test_begin(&w);
	ck_assert_int_eq(mkfifo("vm/fifo", 0600), 0);
	ck_assert_int_eq(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
	close(fd);
	refuses(&w, "fifo", EINVAL, "a FIFO");
	refuses(&w, "socket", ENXIO, "\"socket\"");
	refuses(&w, "sub", EINVAL, "a directory");
	refuses(&w, "base.img/", ENOTDIR, "base.img/");
	refuses(&w, "base.img/x", ENOTDIR, "base.img/x");
	refuses(&w, "/dev/zero", EACCES, "outside");
	refuses(&w, "/proc/self/mem", EACCES, "outside");
}
END_TEST

/* A device is refused even if every directory is allowed. */
START_TEST(devices)
{
	static const char *const everything[] = {"/", NULL};
	struct gate_test w;

	gate_test_begin(&w);
	w.gate.allow = everything;
	refuses(&w, "/dev/zero", EINVAL, "a character device");
	opens(&w, here(&w, "secret.img"), "secret");
}
END_TEST

START_TEST(names_of_open_descriptors)
{
	struct gate_test w;
	int fd, pipes[2];
	char name[64];

	gate_test_begin(&w);
	fd = open("secret.img", O_RDONLY | O_CLOEXEC);
	snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
	refuses(&w, name, EACCES, "outside");
	snprintf(name, sizeof name, "/dev/fd/%d", fd);
	refuses(&w, name, EACCES, "outside");
	ck_assert_int_eq(pipe(pipes), 0);
	snprintf(name, sizeof name, "/proc/self/fd/%d", pipes[0]);
	refuses(&w, name, EACCES, "outside");
	close(fd);
	close(pipes[0]);
	close(pipes[1]);
}
END_TEST

START_TEST(invalid_names)
{
	char name[LIMIT_NAME + 2];
	struct gate_test w;

	gate_test_begin(&w);
	refuses(&w, "", EINVAL, "empty name");
	refuses(&w, "gone.img", ENOENT, "parent \"gone.img\": No such file");
	ck_assert_str_eq(hint_of(&w.e), "");
	/* "././.../base.img" */
	for (size_t i = 0; i + 8 < LIMIT_NAME; i += 2)
		memcpy(name + i, "./", 2);
	strcpy(name + LIMIT_NAME - 9, "/base.img");
	ck_assert_uint_eq(strlen(name), LIMIT_NAME);
	opens(&w, name, "base");
	memset(name, 'x', LIMIT_NAME);
	name[LIMIT_NAME] = '\0';
	refuses(&w, name, ENAMETOOLONG, "File name too long");
	name[LIMIT_NAME] = 'x';
	name[LIMIT_NAME + 1] = '\0';
	refuses(&w, name, ENAMETOOLONG, "more than 1023 bytes");
}
END_TEST

/* QEMU would open these as URLs or protocols. */
START_TEST(protocols_are_file_names)
{
	static const char *const names[] = {"json:{\"driver\":\"raw\"}", "nbd://127.0.0.1:10809/x",
		"fat:/etc", "file:base.img", "https://example.org/x.img"};
	struct gate_test w;

	gate_test_begin(&w);
	for (size_t i = 0; i < COUNT(names); i++) {
		refuses(&w, names[i], ENOENT, names[i]);
		ck_assert_ptr_nonnull(strstr(hint_of(&w.e), "protocols are never followed"));
	}
	write_text("vm/nbd:x", "a file after all");
	opens(&w, "nbd:x", "a file after all");
	refuses(&w, "C:\\vm\\base.img", ENOENT, "C:\\vm");
	ck_assert_str_eq(hint_of(&w.e), "");
}
END_TEST

START_TEST(allowed_directories)
{
	const char *allow[] = {"/nonexistent", "vm2", NULL}, *search[] = {"elsewhere/", NULL};
	struct gate_test w;

	gate_test_begin(&w);
	write_text("elsewhere/moved.img", "moved");
	write_text("vm2/sub/below.img", "below");
	w.gate.allow = allow;
	w.gate.search = search;
	opens(&w, "../vm2/near.img", "near");
	opens(&w, here(&w, "vm2/sub/below.img"), "below");
	opens(&w, "../elsewhere/moved.img", "moved");
	opens(&w, "base.img", "base");
	refuses(&w, "../secret.img", EACCES, "outside");
}
END_TEST

START_TEST(allowed_directory_is_a_link)
{
	const char *allow[] = {"link", NULL};
	struct gate_test w;

	gate_test_begin(&w);
	ck_assert_int_eq(symlink("vm2", "link"), 0);
	w.gate.allow = allow;
	opens(&w, "../vm2/near.img", "near");
	/* The name is compared as text, so the same file under another name is refused. */
	refuses(&w, "../link/near.img", EACCES, "outside");
}
END_TEST

/* A name is relative to the image that has it; the allowed directory is that of the image the user
 * named. */
START_TEST(parent_in_a_subdirectory)
{
	struct gate_test w;
	char sub[400];

	gate_test_begin(&w);
	snprintf(sub, sizeof sub, "%s/sub", w.vm);
	w.gate.dir = sub;
	opens(&w, "deep.img", "deep");
	opens(&w, "../base.img", "base");
	refuses(&w, "../../secret.img", EACCES, "outside");
	refuses(&w, "base.img", ENOENT, "base.img");
}
END_TEST

START_TEST(image_in_the_root_directory)
{
	struct gate_test w;

	gate_test_begin(&w);
	w.gate.dir = "/";
	w.gate.root = "/";
	opens(&w, here(&w, "secret.img"), "secret");
	opens(&w, here(&w, "secret.img") + 1, "secret");
	refuses(&w, "/", EACCES, "outside");
}
END_TEST

START_TEST(image_without_a_directory)
{
	struct gate_test w;

	gate_test_begin(&w);
	w.gate.dir = NULL;
	w.gate.root = NULL;
	refuses(&w, "base.img", EACCES, "not a file with neighbours");
	refuses(&w, here(&w, "vm/base.img"), EACCES, "not a file with neighbours");
}
END_TEST

/* Another thread replaces a file by a link to secret.img, and a directory by a link to another
 * one, while the gate opens names. */

static void *swap(void *arg)
{
	const atomic_bool *done = arg;

	while (!atomic_load(done)) {
		rename("vm/good.img", "vm/swap.img");
		rename("vm/link.img", "vm/swap.img");
		rename("vm/sub", "vm/was-sub");
		rename("vm/link-out", "vm/sub");
		/* undo it for the next round */
		rename("vm/sub", "vm/link-out");
		rename("vm/was-sub", "vm/sub");
		if (link("vm/base.img", "vm/good.img") < 0 ||
			symlink("../secret.img", "vm/link.img") < 0)
			break;
	}
	return NULL;
}

static bool is_refusal(int code)
{
	return code == EACCES || code == ENOENT || code == ELOOP || code == EXDEV ||
	       code == EAGAIN || code == ENOTDIR;
}

START_TEST(files_swapped_during_open)
{
	static const char *const names[] = {"swap.img", "sub/deep.img"};
	atomic_bool done = false;
	struct gate_test w;
	pthread_t thread;
	unsigned opened = 0;

	gate_test_begin(&w);
	write_text("outside/deep.img", "secret");
	ck_assert_int_eq(symlink("../outside", "vm/link-out"), 0);
	ck_assert_int_eq(link("vm/base.img", "vm/good.img"), 0);
	ck_assert_int_eq(symlink("../secret.img", "vm/link.img"), 0);
	ck_assert_int_eq(pthread_create(&thread, NULL, swap, &done), 0);
	for (int i = 0; i < 10000; i++) {
		struct io *io;
		int r = gate_open(&w.gate, names[i % 2], "parent", &io, &w.e);

		if (r < 0) {
			ck_assert_msg(is_refusal(-r), "%s", w.e.text);
			continue;
		}
		opened++;
		ck_assert_str_eq(read_text(io), i % 2 ? "deep" : "base");
	}
	atomic_store(&done, true);
	pthread_join(thread, NULL);
	ck_assert_uint_gt(opened, 0);
}
END_TEST

/* Returns the root of the gate for an image at path that was opened through w's gate. */
static const char *root_of_next_gate(const struct gate_test *w, const char *path)
{
	static char root[PATH_MAX];
	struct err e = ERR_INIT;
	struct gate next;

	ck_assert_ok(gate_init(&next, &w->gate, path, &e), &e);
	snprintf(root, sizeof root, "%s", next.root);
	gate_free(&next);
	return root;
}

/* The image is in vm/sub, the .vbox file of its machine in vm: parents are searched there, but
 * names do not lead there. */
START_TEST(directory_of_the_machine)
{
	struct gate_test w;
	char sub[320], path[400];
	struct io *io = NULL;

	gate_test_begin(&w);
	snprintf(sub, sizeof sub, "%s/sub", w.vm);
	w.gate.dir = sub;
	w.gate.root = sub;
	snprintf(path, sizeof path, "%s/base.img", w.vm);
	ck_assert_fails(
		gate_open_parent(&w.gate, path, "parent", &io, &w.e), EACCES, &w.e, "outside");
	ck_assert_str_eq(root_of_next_gate(&w, path), sub);
	w.gate.machine_dir = w.vm;
	refuses(&w, path, EACCES, "outside");
	refuses(&w, "../base.img", EACCES, "outside");
	ck_assert_ok(gate_open_parent(&w.gate, path, "parent", &io, &w.e), &w.e);
	ck_assert_str_eq(read_text(io), "base");
	ck_assert_ok(gate_open_parent(&w.gate, "deep.img", "parent", &io, &w.e), &w.e);
	ck_assert_str_eq(read_text(io), "deep");
	ck_assert_int_eq(symlink("../secret.img", "vm/link.img"), 0);
	ck_assert_fails(gate_open_parent(&w.gate, "../link.img", "parent", &io, &w.e), EACCES, &w.e,
		"outside");
	ck_assert_fails(gate_open_parent(&w.gate, "../../secret.img", "parent", &io, &w.e), EACCES,
		&w.e, "outside");
	/* The names in a parent found there are limited to that directory. */
	ck_assert_str_eq(root_of_next_gate(&w, path), w.vm);
	snprintf(path, sizeof path, "%s/deep.img", sub);
	ck_assert_str_eq(root_of_next_gate(&w, path), sub);
	snprintf(path, sizeof path, "%s/secret.img", w.here);
	ck_assert_str_eq(root_of_next_gate(&w, path), sub);
}
END_TEST

/* The gate of an image that the user named: the allowed directory is that of the image. */
START_TEST(image_named_by_the_user)
{
	struct gate_test w;
	struct gate user;
	char path[400];

	gate_test_begin(&w);
	user = gate_on(NULL, NULL, NULL);
	snprintf(path, sizeof path, "%s/sub/deep.img", w.vm);
	ck_assert_ok(gate_init(&w.gate, &user, path, &w.e), &w.e);
	ck_assert_str_eq(w.gate.root, w.gate.dir);
	opens(&w, "deep.img", "deep");
	refuses(&w, "../base.img", EACCES, "outside");
	gate_free(&w.gate);
	ck_assert_ok(gate_init(&w.gate, &user, "/x", &w.e), &w.e);
	ck_assert_str_eq(w.gate.root, "/");
	gate_free(&w.gate);
	ck_assert_ok(gate_init(&w.gate, &user, NULL, &w.e), &w.e);
	refuses(&w, path, EACCES, "not a file with neighbours");
	gate_free(&w.gate);
}
END_TEST

Suite *gate_suite(void)
{
	TCase *tc = tcase_create("gate");

	use_temp_dir(tc);
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, plain_names);
	tcase_add_test(tc, names_outside_the_directory);
	tcase_add_test(tc, symbolic_links);
	tcase_add_test(tc, not_regular_files);
	tcase_add_test(tc, devices);
	tcase_add_test(tc, names_of_open_descriptors);
	tcase_add_test(tc, invalid_names);
	tcase_add_test(tc, protocols_are_file_names);
	tcase_add_test(tc, allowed_directories);
	tcase_add_test(tc, allowed_directory_is_a_link);
	tcase_add_test(tc, parent_in_a_subdirectory);
	tcase_add_test(tc, image_in_the_root_directory);
	tcase_add_test(tc, image_without_a_directory);
	tcase_add_test(tc, directory_of_the_machine);
	tcase_add_test(tc, image_named_by_the_user);
	tcase_add_test(tc, files_swapped_during_open);
	return suite_of("gate", tc);
}
