/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* log.h - logs errors of the daemon, to standard error and later to syslog, with a limited rate. */
#ifndef VDISKFS_BASE_LOG_H
#define VDISKFS_BASE_LOG_H

#include <pthread.h>
#include <stdbool.h>
#include <time.h>

struct log {
	bool to_syslog; /* else to stderr */
	pthread_mutex_t lock;
	time_t since;        /* start of the current window, monotonic */
	unsigned logged;     /* lines logged in it */
	unsigned suppressed; /* lines suppressed in it */
};

/* Starts with standard error. */
void log_init(struct log *log);

/* Switches to syslog.  To be called before the sandbox, as it connects. */
void log_to_syslog(struct log *log);

/* Passes on a line that another program printed: as it is to standard error, like an error to
 * syslog. */
void log_pass_on(struct log *log, const char *program, const char *line);

void log_error(struct log *log, const char *fmt, ...) __attribute__((format(printf, 2, 3), cold));

#endif
