/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* System calls that are allowed depending on their arguments, each in a child process with the
 * filter. */
#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "daemon/seccomp.h"
#include "common/unit.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED true
#else
#define SANITIZED false
#endif

static void *nothing(void *arg)
{
	return arg;
}

/* Each makes a system call and returns 0 or errno. */

static int a_thread(void)
{
	pthread_t thread;
	int code = pthread_create(&thread, NULL, nothing, NULL);

	return code ? code : pthread_join(thread, NULL);
}

static int a_process(void)
{
	pid_t pid = fork();

	if (pid == 0)
		_exit(0);
	return pid < 0 ? errno : 0;
}

static int a_process_that_shares_memory(void)
{
	return syscall(SYS_clone, CLONE_VM | CLONE_VFORK | SIGCHLD, 0, 0, 0, 0) < 0 ? errno : 0;
}

static int a_name_space(void)
{
	return syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, 0, 0, 0, 0) < 0 ? errno : 0;
}

static int clone3_flags(void)
{
	struct clone_args args = {.exit_signal = SIGCHLD};
	long pid = syscall(SYS_clone3, &args, sizeof args);

	if (pid == 0)
		_exit(0);
	return pid < 0 ? errno : 0;
}

static int map(int prot)
{
	return mmap(NULL, 4096, prot, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED ? errno : 0;
}

static int memory(void)
{
	return map(PROT_READ | PROT_WRITE);
}

static int memory_to_execute(void)
{
	return map(PROT_READ | PROT_WRITE | PROT_EXEC);
}

static int memory_that_becomes_executable(void)
{
	void *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return mprotect(p, 4096, PROT_READ | PROT_EXEC) < 0 ? errno : 0;
}

static int ends[2];

static int send_to_peer(void)
{
	return send(ends[0], "x", 1, 0) < 0 ? errno : 0;
}

static int send_to_address(void)
{
	struct sockaddr_un to = {.sun_family = AF_UNIX, .sun_path = "socket"};

	return sendto(ends[0], "x", 1, 0, (struct sockaddr *)&to, sizeof to) < 0 ? errno : 0;
}

static int a_signal_to_oneself(void)
{
	return syscall(SYS_tgkill, getpid(), syscall(SYS_gettid), 0) < 0 ? errno : 0;
}

static pid_t parent;

static int a_signal_to_another(void)
{
	return syscall(SYS_tgkill, parent, parent, 0) < 0 ? errno : 0;
}

static int a_lock(void)
{
	struct flock lock = {.l_type = F_RDLCK};

	return fcntl(STDIN_FILENO, F_OFD_GETLK, &lock) < 0 && errno == EPERM ? EPERM : 0;
}

static int signals_of_a_descriptor(void)
{
	return fcntl(ends[0], F_SETOWN, parent) < 0 ? errno : 0;
}

static int open_with(int flags)
{
	return openat(AT_FDCWD, "file", flags, 0600) < 0 ? errno : 0;
}

static int reading(void)
{
	return open_with(O_RDONLY);
}

static int writing(void)
{
	return open_with(O_RDWR);
}

static int making(void)
{
	return openat(AT_FDCWD, "new", O_RDONLY | O_CREAT, 0600) < 0 ? errno : 0;
}

static int removing(void)
{
	return unlinkat(AT_FDCWD, "file", 0) < 0 ? errno : 0;
}

static int a_program(void)
{
	char *argv[] = {(char *)"true", NULL};

	return execv("/bin/true", argv) < 0 ? errno : 0;
}

/* Messages on one of the two sockets, and new sockets. */

static int send_message(int socket)
{
	struct iovec piece = {(void *)"x", 1};
	struct msghdr message = {.msg_iov = &piece, .msg_iovlen = 1};

	return sendmsg(socket, &message, 0) < 0 ? errno : 0;
}

static int receive(int socket)
{
	char byte;

	return recv(socket, &byte, 1, MSG_DONTWAIT) < 0 && errno != EAGAIN ? errno : 0;
}

static int message_to_server(void)
{
	return send_message(ends[0]);
}

static int message_to_another(void)
{
	return send_message(ends[1]);
}

static int answer_of_server(void)
{
	return receive(ends[0]);
}

static int message_of_another(void)
{
	return receive(ends[1]);
}

static int end_of_sending(void)
{
	return shutdown(ends[0], SHUT_WR) < 0 ? errno : 0;
}

static int new_socket(void)
{
	return socket(AF_UNIX, SOCK_STREAM, 0) < 0 ? errno : 0;
}

static int new_connection(void)
{
	struct sockaddr_un to = {.sun_family = AF_UNIX, .sun_path = "socket"};

	return connect(ends[0], (struct sockaddr *)&to, sizeof to) < 0 ? errno : 0;
}

#ifdef __s390x__ /* the arguments are in memory, which a filter cannot read */
#define OF_MMAP 0
#else
#define OF_MMAP EPERM
#endif

static const struct {
	int (*call)(void);
	int no_files, opens, writes; /* expected result with each filter */
} calls[] = {
	{a_thread, 0, 0, 0},
	{a_process, EPERM, EPERM, EPERM},
	{a_process_that_shares_memory, EPERM, EPERM, EPERM},
	{a_name_space, EPERM, EPERM, EPERM},
	{clone3_flags, ENOSYS, ENOSYS, ENOSYS},
	{memory, 0, 0, 0},
	{memory_to_execute, OF_MMAP, OF_MMAP, OF_MMAP},
	{memory_that_becomes_executable, EPERM, EPERM, EPERM},
	{send_to_peer, 0, 0, 0},
	{send_to_address, EPERM, EPERM, EPERM},
	{a_signal_to_oneself, 0, 0, 0},
	{a_signal_to_another, EPERM, EPERM, EPERM},
	{a_lock, 0, 0, 0},
	{signals_of_a_descriptor, EPERM, EPERM, EPERM},
	{reading, EPERM, 0, 0},
	{writing, EPERM, EPERM, 0},
	{making, EPERM, EPERM, 0},
	{removing, EPERM, EPERM, 0},
	{a_program, EPERM, EPERM, EPERM},
};

#ifdef __i386__ /* a filter cannot read the arguments of socketcall */
#define OF_SOCKETCALL 0
#else
#define OF_SOCKETCALL EPERM
#endif

static const struct {
	int (*call)(void);
	int with_server, without;
} messages[] = {
	{message_to_server, 0, EPERM},
	{message_to_another, OF_SOCKETCALL, EPERM},
	{answer_of_server, 0, EPERM},
	{message_of_another, OF_SOCKETCALL, EPERM},
	{end_of_sending, 0, EPERM},
	{new_socket, EPERM, EPERM},
	{new_connection, EPERM, EPERM},
	{send_to_address, EPERM, EPERM},
	{a_program, EPERM, EPERM},
	{reading, EPERM, EPERM},
};

/* Returns the result of a call in a child process with the filter. */
static int result_with_rights(const struct seccomp_rights *rights, int (*call)(void))
{
	int status;
	pid_t pid;

	parent = getpid();
	pid = fork();
	if (pid == 0) {
		prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
		_exit(seccomp_enter(rights) < 0 ? 255 : call());
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_msg(WIFEXITED(status), "ended by signal %d", WTERMSIG(status));
	return WEXITSTATUS(status);
}

static int result_with_filter(enum seccomp_files files, int (*call)(void))
{
	return result_with_rights(&(struct seccomp_rights){.files = files}, call);
}

START_TEST(calls_are_filtered_by_arguments)
{
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_DGRAM, 0, ends), 0);
	write_text("file", "x");
	ck_assert_int_eq(result_with_filter(SECCOMP_NO_FILES, calls[_i].call), calls[_i].no_files);
	ck_assert_int_eq(result_with_filter(SECCOMP_OPENS, calls[_i].call), calls[_i].opens);
	ck_assert_int_eq(result_with_filter(SECCOMP_WRITES, calls[_i].call), calls[_i].writes);
}
END_TEST

START_TEST(only_servers_get_messages)
{
	struct seccomp_rights none = {.files = SECCOMP_NO_FILES}, one = none;
	uint32_t server;

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_DGRAM, 0, ends), 0);
	write_text("file", "x");
	server = (uint32_t)ends[0];
	one.sockets = &server;
	one.nsockets = 1;
	ck_assert_int_eq(result_with_rights(&one, messages[_i].call), messages[_i].with_server);
	ck_assert_int_eq(result_with_rights(&none, messages[_i].call), messages[_i].without);
}
END_TEST

Suite *seccomp_suite(void)
{
	TCase *tc = tcase_create("seccomp");

	use_temp_dir(tc);
	if (!seccomp_is_there())
		report_skipped("seccomp: the kernel, or this machine, has no filter");
	else if (SANITIZED)
		report_skipped("seccomp: sanitizers need system calls that the filter denies");
	else {
		tcase_add_loop_test(tc, calls_are_filtered_by_arguments, 0, COUNT(calls));
		tcase_add_loop_test(tc, only_servers_get_messages, 0, COUNT(messages));
	}
	return suite_of("seccomp", tc);
}
