/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* check.c - finds and repairs errors in the metadata of an image.  Output and exit status are those
 * of qemu-img check. */
#include "image/check.h"

#include <errno.h>
#include <inttypes.h>
#include <json-c/json.h>
#include <stdio.h>
#include <string.h>

#include "lib/args.h"
#include "util/err.h"
#include "image/format.h"
#include "lib/report.h"
#include "verbs.h"
#include "lib/input.h"
#include "lib/json.h"

enum { SOUND = 0, CORRUPT = 2, LEAKS = 3, UNSUPPORTED = 63 };

static void print_finding(void *arg, const char *sentence)
{
	(void)arg;
	fflush(stdout);
	fprintf(stderr, "%s\n", sentence);
}

static void print_human(const struct check_report *r)
{
	if (r->corruptions == 0 && r->leaks == 0 && r->check_errors == 0)
		puts("No errors were found on the image.");
	if (r->corruptions > 0)
		printf("\n%" PRIu64 " errors were found on the image.\n"
		       "Data may be corrupted, or further writes to the image may corrupt it.\n",
			r->corruptions);
	if (r->leaks > 0)
		printf("\n%" PRIu64 " leaked clusters were found on the image.\n"
		       "This means waste of disk space, but no harm to data.\n",
			r->leaks);
	if (r->check_errors > 0)
		printf("\n%" PRIu64 " internal errors have occurred during the check.\n",
			r->check_errors);
	if (r->total_clusters > 0 && r->allocated_clusters > 0)
		printf("%" PRIu64 "/%" PRIu64 " = %0.2f%% allocated, %0.2f%% fragmented, %0.2f%% "
		       "compressed clusters\n",
			r->allocated_clusters, r->total_clusters,
			100.0 * (double)r->allocated_clusters / (double)r->total_clusters,
			100.0 * (double)r->fragmented_clusters / (double)r->allocated_clusters,
			100.0 * (double)r->compressed_clusters / (double)r->allocated_clusters);
	if (r->image_end_offset > 0)
		printf("Image end offset: %" PRIu64 "\n", r->image_end_offset);
}

/* qemu-img leaves out numbers that are 0. */
static void add_some(struct json_object *o, const char *key, uint64_t n)
{
	if (n > 0)
		json_add_number(o, key, n);
}

static int print_json(const struct input *input, const struct check_report *r)
{
	struct json_object *o = json_object_new_object();

	add_some(o, "image-end-offset", r->image_end_offset);
	add_some(o, "total-clusters", r->total_clusters);
	add_some(o, "allocated-clusters", r->allocated_clusters);
	add_some(o, "fragmented-clusters", r->fragmented_clusters);
	add_some(o, "compressed-clusters", r->compressed_clusters);
	json_add_number(o, "check-errors", r->check_errors);
	add_some(o, "corruptions", r->corruptions);
	add_some(o, "leaks", r->leaks);
	add_some(o, "corruptions-fixed", r->corruptions_fixed);
	add_some(o, "leaks-fixed", r->leaks_fixed);
	json_object_object_add(o, "filename", json_object_new_string(input->name));
	json_object_object_add(o, "format", json_object_new_string(input->img->format->name));
	return json_print(o);
}

/* Returns 0, or the exit status after an error. */
static int check_once(struct input *input, unsigned repair, struct check_report *r)
{
	struct err e = ERR_INIT;
	int rc;

	if (!input->img->format->check) {
		report("This image format does not support checks");
		return UNSUPPORTED;
	}
	rc = image_check(input->img, repair, r, &e);
	if (rc == -ENOTSUP && repair) {
		report_warning(e.text);
		rc = image_check(input->img, 0, r, &e);
	}
	if (rc < 0)
		return report_err(&e, "Check failed");
	return 0;
}

/* Checks again after a repair, and reports the remaining errors. */
static int check_and_repair(
	struct input *input, unsigned repair, bool human, struct check_report *r)
{
	uint64_t leaks, corruptions;
	int status = check_once(input, repair, r);

	leaks = r->leaks_fixed;
	corruptions = r->corruptions_fixed;
	if (status != 0 || leaks + corruptions == 0)
		return status;
	if (human)
		printf("The following inconsistencies were found and repaired:\n\n"
		       "    %" PRIu64 " leaked clusters\n    %" PRIu64 " corruptions\n\n"
		       "Double checking the fixed image now...\n",
			leaks, corruptions);
	status = check_once(input, 0, r);
	r->leaks_fixed = leaks;
	r->corruptions_fixed = corruptions;
	return status;
}

static int check(const struct args *a, struct input *input)
{
	struct check_report r = {.found = print_finding};
	unsigned repair = args_has(a, OPT_REPAIR) ? CHECK_ALL : 0;
	bool quiet = args_has(a, OPT_QUIET);
	int status;

	if (args_is(a, OPT_REPAIR, "leaks"))
		repair = CHECK_LEAKS;
	status = check_and_repair(input, repair, !input->json && !quiet, &r);
	if (status != 0)
		return status;
	if (input->json)
		status = print_json(input, &r);
	else if (!quiet)
		print_human(&r);
	if (status != 0)
		return status;
	if (r.check_errors > 0)
		return report("Check failed");
	if (r.corruptions > 0)
		return CORRUPT;
	return r.leaks > 0 ? LEAKS : SOUND;
}

int run_check(const struct args *a)
{
	bool repair = args_has(a, OPT_REPAIR);

	if (repair && !args_is(a, OPT_REPAIR, "leaks") && !args_is(a, OPT_REPAIR, "all"))
		return args_misused("-r expects one of the following words: leaks, all");
	return input_run(a, INPUT_ALONE | INPUT_LENIENT | (repair ? INPUT_REPAIR : 0), check);
}
