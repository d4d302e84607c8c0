/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* verify.c - one check of all metadata before an image is opened for writing.
 *
 * A writer trusts refcounts and COPIED: it allocates clusters with a refcount of 0, and overwrites
 * clusters whose entry has COPIED.  If these are wrong, or clusters in use lie beyond the end of
 * the file, a write that succeeds destroys something else.  So writing begins only when
 *
 *   each refcount is at least the number of references, from all states,
 *   each cluster whose entry in the live disk has COPIED has a refcount of 1, and
 *   nothing that is referred to lies beyond the end of its file.
 *
 * Then no cluster in use is allocated, and each one overwritten in place has one owner.  Leaks and
 * missing flags are harmless: they cost space or a copy.
 */
#include "verify.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "util/err.h"
#include "image/image.h"
#include "check-copied.h"

static void keep_first(void *arg, const char *sentence)
{
	static const char prefix[] = "ERROR";
	char *first = arg;

	if (first[0])
		return;
	if (strncmp(sentence, prefix, sizeof prefix - 1) == 0)
		sentence += sizeof prefix - 1;
	snprintf(first, ERR_TEXT, "%s", sentence + strspn(sentence, ": "));
}

static int refuse(const struct qcow2_check *c, const char *first, struct err *e)
{
	if (c->beyond_end)
		err_set(e, EIO,
			"the file is shorter than its tables say (cut short?), and is not written "
			"to: %s",
			first);
	else
		err_set(e, EUCLEAN, "its metadata is damaged, and it is not written to: %s", first);
	if (!c->beyond_end)
		err_hint_code(e, HINT_REPAIR, NULL);
	return err_hint_code(e, HINT_COW, NULL);
}

int qcow2_verify(const struct image *img, struct qcow2 *q, struct err *e)
{
	char first[ERR_TEXT] = "";
	struct check_report report = {.found = keep_first, .arg = first};
	struct qcow2_check c = {.q = q, .r = &report, .for_writing = true};
	int r = qcow2_check_look(&c, e);

	if (r == 0)
		r = qcow2_check_copied(&c, 0, e);
	if (r == 0 && report.corruptions + report.check_errors > 0)
		r = refuse(&c, first, e);
	else if (r == 0 && c.harmless > 0)
		image_warn(img,
			"%" PRIu64 " flags or snapshot entries are not up to date: harmless, vdisk "
			"check -r all repairs them",
			c.harmless);
	qcow2_check_end(&c);
	return r;
}
