/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* mount-helper.c - see mount-helper.h. */
#include "mount-helper.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#define STATUS_MISUSED 1
#define STATUS_FAILED  32

static bool is_helper_name(const char *path)
{
	const char *slash = path ? strrchr(path, '/') : NULL;

	return path && strncmp(slash ? slash + 1 : path, "mount.", 6) == 0;
}

static bool complain(const char *object, const char *problem)
{
	fprintf(stderr, "vdiskfs: %s: %s\n", object, problem);
	return false;
}

/* name is the path of a namespace, or the number of a process that is in it. */
static bool enter_namespace(const char *name)
{
	char path[PATH_MAX];
	bool is_number = name[0] && name[strspn(name, "0123456789")] == '\0';
	int fd;

	snprintf(path, sizeof path, is_number ? "/proc/%s/ns/mnt" : "%s", name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || setns(fd, CLONE_NEWNS) < 0) {
		complain(path, strerror(errno));
		if (fd >= 0)
			close(fd);
		return false;
	}
	close(fd);
	return true;
}

/* libfuse declares the words as not constant, and does not change them. */
static void add(struct mount_helper *h, const char *word)
{
	h->argv[h->argc++] = (char *)word;
}

/* Reads the options.  False: one is unknown, and getopt has printed it. */
static bool read_options(struct mount_helper *h, int argc, char **argv, const char **namespace)
{
	static const struct option names[] = {
		{"help", no_argument, NULL, 'h'},
		{"version", no_argument, NULL, 'V'},
		{NULL, 0, NULL, 0},
	};
	int c;

	while ((c = getopt_long(argc, argv, "sfnvrwhVN:o:t:", names, NULL)) != -1) {
		switch (c) {
		case 's':
			h->sloppy = 1;
			break;
		case 'f':
			h->fake = 1;
			break;
		case 'N':
			*namespace = optarg;
			break;
		case 'r':
			h->read_only = 1;
			break;
		case 'o':
			add(h, "-o");
			add(h, optarg);
			break;
		case 'h':
			h->help = 1;
			break;
		case 'V':
			h->version = 1;
			break;
		case '?':
			return false;
		default: /* -n, -v, -w and -t TYPE have no effect */
			break;
		}
	}
	return true;
}

bool mount_helper_translate(struct mount_helper *h, int argc, char **argv)
{
	const char *namespace = NULL;

	*h = (struct mount_helper){.is_helper = is_helper_name(argv[0])};
	/* A word becomes at most two, as -oOPTIONS does; -r, -h, -V, "--" and NULL follow once. */
	h->argv = calloc(2 * (size_t)argc + 5, sizeof h->argv[0]);
	if (!h->argv)
		return complain("command line", strerror(ENOMEM));
	if (!h->is_helper) {
		memcpy(h->argv, argv, (size_t)argc * sizeof argv[0]);
		h->argc = argc;
		return true;
	}
	/* Programs find the daemon by this name, which is that of the link otherwise. */
	prctl(PR_SET_NAME, "vdiskfs");
	add(h, argv[0]);
	if (!read_options(h, argc, argv, &namespace))
		return false;
	if (h->read_only)
		add(h, "-oro");
	if (h->help)
		add(h, "-h");
	if (h->version)
		add(h, "-V");
	add(h, "--");
	while (optind < argc)
		add(h, argv[optind++]);
	return !namespace || enter_namespace(namespace);
}

void mount_helper_free(struct mount_helper *h)
{
	free(h->argv);
	h->argv = NULL;
}

int mount_helper_status(const struct mount_helper *h, bool misused)
{
	return h->is_helper && !misused ? STATUS_FAILED : STATUS_MISUSED;
}
