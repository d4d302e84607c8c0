/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* child-server.h - an NBD server that is started for a mount and ends with it:
 *
 *     vdiskfs '[' nbdkit -r curl https://host/a.qcow2 ']' mnt
 *
 * The server is handed a socket that listens already, as systemd does it (LISTEN_FDS), so nobody
 * has to wait until it does; only the user can connect to it.  The server is a child of the
 * supervisor, which outlives the daemon in every case, and has a session of its own.
 */
#ifndef VDISKFS_DAEMON_CHILD_SERVER_H
#define VDISKFS_DAEMON_CHILD_SERVER_H

#include <pthread.h>
#include <stdbool.h>
#include <sys/types.h>

struct err;

struct child_server {
	char **command;  /* NULL-terminated, borrowed; NULL: there is no server */
	char *dir, *uri; /* the directory of the socket, and its URI; NULL: none yet */
	int listening;   /* the socket; -1: none, or it is closed */
	int printing;    /* the pipe of its standard output and error: the end of the server */
	int printed;     /* the end of the daemon, who closes it */
	/* In the supervisor: */
	pthread_t waiter; /* waits for the end of the process */
	bool is_watched;  /* it runs */
	pthread_mutex_t lock;
	pthread_cond_t ended;
	pid_t pid; /* 0: none, or it has ended; lock */
};

/* In the words of a command line, replaces "[", a command and "]" by one word, *name, malloc'ed,
 * which is the image for all messages.  *command: the command, malloc'ed, of the same words; NULL:
 * there is none.  False: an error was printed. */
bool child_server_take(int *argc, char **argv, char ***command, char **name);

/* Makes the socket and the pipe, before the supervisor is started.  Does nothing without a command,
 * and neither do the others. */
int child_server_open(struct child_server *c, char **command, struct err *e);

/* In the supervisor: starts the server. */
void child_server_run(struct child_server *c);

/* In the supervisor, once it has closed all other descriptors: starts a thread that waits for the
 * end of the server, so that it does not stay as a zombie; other processes of it end, too. */
void child_server_watch(struct child_server *c);

/* In the supervisor: ends the server, by force if that takes longer than some seconds. */
void child_server_end(struct child_server *c);

/* In the daemon, once the supervisor runs: closes the descriptors of the server. */
void child_server_leave(struct child_server *c);

/* Removes the socket: the daemon is connected, or never will be.  In either process. */
void child_server_remove(struct child_server *c);

void child_server_free(struct child_server *c);

#endif
