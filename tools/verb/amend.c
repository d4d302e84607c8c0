/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* amend.c - changes creation options of an image that exists. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "image/amend.h"
#include "image/creation.h"
#include "image/format.h"
#include "image/image.h"
#include "open/registry.h"
#include "util/err.h"
#include "util/flag.h"
#include "util/size.h"
#include "lib/args.h"
#include "lib/create-args.h"
#include "lib/input.h"
#include "lib/progress.h"
#include "lib/report.h"
#include "verbs.h"

struct amending {
	const struct args *args;
	const struct image *img;
	struct string_list options;
	struct amendment changes;
};

typedef bool set_option(struct amending *m, const char *name, const char *value);

static bool set_compat(struct amending *m, const char *name, const char *value)
{
	(void)name;
	if (strcmp(value, "0.10") == 0 || strcmp(value, "v2") == 0)
		m->changes.version = 2;
	else if (strcmp(value, "1.1") == 0 || strcmp(value, "v3") == 0)
		m->changes.version = 3;
	else
		return !report("Unknown compatibility level %s", value);
	return true;
}

static bool set_flag(struct amending *m, const char *name, const char *value)
{
	enum amend_flag *flag = &m->changes.lazy_refcounts;
	bool on;

	if (!flag_parse(value, &on))
		return !report("Parameter '%s' expects 'on' or 'off'", name);
	if (strcmp(name, "data_file_raw") == 0)
		flag = &m->changes.data_file_raw;
	*flag = on ? AMEND_ON : AMEND_OFF;
	return true;
}

static bool set_refcount_bits(struct amending *m, const char *name, const char *value)
{
	char *end;
	unsigned long n = strtoul(value, &end, 10);

	if (end == value || *end || value[0] == '-')
		return !report("Parameter '%s' expects a number", name);
	if (n == 0 || n > 64)
		return !report("Refcount width must be a power of two and may not exceed 64 bits");
	m->changes.refcount_bits = (unsigned)n;
	return true;
}

static bool set_size(struct amending *m, const char *name, const char *value)
{
	if (size_parse(value, &m->changes.size) < 0)
		return !report("Parameter '%s' expects a size", name);
	return true;
}

static bool set_data_file(struct amending *m, const char *name, const char *value)
{
	(void)name;
	m->changes.data_file = value;
	return true;
}

/* Only what is recorded may be given. */
static bool set_backing(struct amending *m, const char *name, const char *value)
{
	const char *recorded =
		strcmp(name, "backing_file") == 0 ? m->img->parent_name : m->img->parent_format;

	if (strcmp(value, recorded ? recorded : "") == 0)
		return true;
	report("Cannot amend the backing %s",
		strcmp(name, "backing_file") == 0 ? "file" : "format");
	report_advice("vdisk rebase changes it");
	return false;
}

static const struct amend_option {
	const char *name, *kind, *help;
	set_option *set;
} amend_options[] = {
	{"backing_file", "str", "File name of a base image", set_backing},
	{"backing_fmt", "str", "Image format of the base image", set_backing},
	{"compat", "str", "Compatibility level (v2 [0.10] or v3 [1.1])", set_compat},
	{"data_file", "str", "File name of an external data file", set_data_file},
	{"data_file_raw", "bool (on/off)", "The external data file must stay valid as a raw image",
		set_flag},
	{"lazy_refcounts", "bool (on/off)", "Postpone refcount updates", set_flag},
	{"refcount_bits", "num", "Width of a reference count entry in bits", set_refcount_bits},
	{"size", "size", "Virtual disk size", set_size},
};

#define AMEND_OPTIONS (sizeof amend_options / sizeof amend_options[0])

static int print_help(const struct format *f)
{
	if (!f->amend)
		return report("Format driver '%s' does not support option amendment", f->name);
	printf("Amend options for '%s':\n", f->name);
	for (size_t i = 0; i < AMEND_OPTIONS; i++) {
		const struct amend_option *o = &amend_options[i];
		int n = printf("  %s=<%s>", o->name, o->kind);

		printf("%*s - %s\n", n < 24 ? 24 - n : 0, "", o->help);
	}
	return EXIT_SUCCESS;
}

static bool refuse_option(const struct amending *m, const char *name)
{
	const struct create_option *o = m->img->format->create_options;

	report("Invalid parameter '%s'", name);
	if (strncmp(name, "encrypt.", strlen("encrypt.")) == 0)
		report_advice("key slots are changed by qemu-img or cryptsetup");
	for (; o && o->name; o++)
		if (strcmp(o->name, name) == 0)
			fputs("This option is only supported for image creation\n", stderr);
	return false;
}

/* A word without a value stands for "on". */
static bool read_option(struct amending *m, char *word)
{
	char *value = strchr(word, '=');

	if (value)
		*value++ = '\0';
	for (size_t i = 0; i < AMEND_OPTIONS; i++)
		if (strcmp(amend_options[i].name, word) == 0)
			return amend_options[i].set(m, word, value ? value : "on");
	return refuse_option(m, word);
}

static int amend(const struct args *a, struct input *input)
{
	struct amending m = {.args = a, .img = input->img};
	struct err e = ERR_INIT;
	struct progress progress;
	bool good = create_args_read(&m.options, a);
	int status = EXIT_FAILURE;

	if (good && !input->img->format->amend)
		good = !report("Format driver '%s' does not support option amendment",
			input->img->format->name);
	for (size_t i = 0; good && i < m.options.n; i++)
		good = read_option(&m, m.options.v[i]);
	if (good) {
		progress_begin(&progress, a, 1);
		status = image_amend(input->img, &m.changes, &e) < 0 ? report_failure(&e)
								     : EXIT_SUCCESS;
		if (status == EXIT_SUCCESS)
			progress_add(&progress, 1);
		progress_end(&progress);
	}
	string_list_free(&m.options);
	return status;
}

static bool asks_for_help(const struct args *a)
{
	for (size_t i = 0; i < a->options[OPT_OPTIONS].n; i++)
		if (strcmp(a->options[OPT_OPTIONS].v[i], "help") == 0 ||
			strcmp(a->options[OPT_OPTIONS].v[i], "?") == 0)
			return true;
	return false;
}

int run_amend(const struct args *a)
{
	const struct format *f;

	if (!args_has(a, OPT_OPTIONS))
		return args_misused("Must specify options (-o)");
	if (asks_for_help(a)) {
		f = args_has(a, OPT_FORMAT) || a->n == 0 ? create_args_format(a, OPT_FORMAT)
							 : registry_find("qcow2");
		return f ? print_help(f) : EXIT_FAILURE;
	}
	if (!args_check_cache(a, OPT_CACHE, "cache option"))
		return EXIT_FAILURE;
	return input_run(a, INPUT_ALONE | INPUT_WRITE, amend);
}
