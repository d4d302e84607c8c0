/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* log.h - what goes wrong while nobody waits for an answer: one line each, and not too many. */
#ifndef VDISKFS_BASE_LOG_H
#define VDISKFS_BASE_LOG_H

#include <pthread.h>
#include <stdbool.h>
#include <time.h>

struct log {
	bool to_syslog; /* else to stderr */
	pthread_mutex_t lock;
	time_t since;    /* when the present window began, monotonic */
	unsigned said;   /* lines in it */
	unsigned unsaid; /* lines left out since */
};

/* To stderr.  The name of the program stands in front of each line. */
void log_init(struct log *log);

/* To syslog from now on.  The connection is made here, before any sandbox. */
void log_to_syslog(struct log *log);

void log_error(struct log *log, const char *fmt, ...) __attribute__((format(printf, 2, 3), cold));

#endif
