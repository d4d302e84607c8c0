/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* log.c - see log.h.
 *
 * A damaged image can make every read fail: after BURST lines in WINDOW seconds the others are
 * counted only.
 */
#include "log.h"

#include <stdarg.h>
#include <stdio.h>
#include <syslog.h>

#include "util/err.h"
#include "process.h"

#define BURST  10
#define WINDOW 30 /* seconds */

void log_init(struct log *log)
{
	*log = (struct log){.lock = PTHREAD_MUTEX_INITIALIZER};
}

void log_to_syslog(struct log *log)
{
	/* syslog(3) needs local time: the time zone file cannot be read in the sandbox. */
	tzset();
	openlog("vdiskfs", LOG_PID | LOG_NDELAY, LOG_DAEMON);
	log->to_syslog = true;
}

static void log_line(const struct log *log, const char *line)
{
	if (log->to_syslog)
		syslog(LOG_ERR, "%s", line);
	else
		fprintf(stderr, "vdiskfs: %s\n", line);
}

/* True if one more line may be logged.  *missed: the number of lines suppressed before it. */
static bool log_admit(struct log *log, unsigned *missed)
{
	time_t now = process_now();
	bool admit;

	*missed = 0;
	pthread_mutex_lock(&log->lock);
	if (now - log->since >= WINDOW) {
		log->since = now;
		log->logged = 0;
		*missed = log->suppressed;
		log->suppressed = 0;
	}
	admit = log->logged < BURST;
	if (admit)
		log->logged++;
	else
		log->suppressed++;
	pthread_mutex_unlock(&log->lock);
	return admit;
}

void log_error(struct log *log, const char *fmt, ...)
{
	char line[1024];
	unsigned missed;
	va_list ap;

	if (!log_admit(log, &missed))
		return;
	if (missed) {
		snprintf(line, sizeof line, "%u more errors were not logged", missed);
		log_line(log, line);
	}
	va_start(ap, fmt);
	vsnprintf(line, sizeof line, fmt, ap);
	va_end(ap);
	err_clean(line); /* file names may have control characters */
	log_line(log, line);
}

void log_pass_on(struct log *log, const char *program, const char *line)
{
	if (log->to_syslog)
		log_error(log, "%s: %s", program, line);
	else
		fprintf(stderr, "%s\n", line);
}
