/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tree.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "err.h"
#include "format.h"
#include "fsid.h"
#include "image.h"
#include "ptable.h"
#include "report.h"
#include "size.h"
#include "source.h"
#include "view.h"

#define DEPTH_MAX 260 /* images of a chain, and what hangs on the last */

/* Where we are: for each level, whether more comes behind what is being drawn there. */
struct branch {
	bool more[DEPTH_MAX];
	unsigned depth;
};

static void print_lead(const struct branch *b)
{
	for (unsigned i = 0; i < b->depth; i++) {
		bool last = i + 1 == b->depth;

		if (b->more[i])
			fputs(last ? "├── " : "│   ", stdout);
		else
			fputs(last ? "└── " : "    ", stdout);
	}
}

/* Text of an image's choice. */
static void print_clean(const char *text)
{
	char clean[ERR_TEXT];

	snprintf(clean, sizeof clean, "%s", text);
	err_clean(clean);
	fputs(clean, stdout);
}

static void print_partition(struct view *disk, const struct partition *p)
{
	struct err e = ERR_INIT;
	struct fsid id = {0};
	struct view *part = view_slice(disk, p->start, p->len, &e);

	printf("%u  %s", p->number, size_text(p->len).text);
	if (!part || fsid_read(part, &id, &e) < 0) {
		printf("  cannot be read: %s", e.text);
	} else {
		printf("  %s", id.type[0] ? id.type : "no file system known here");
		if (id.label[0]) {
			fputs("  \"", stdout);
			print_clean(id.label);
			putchar('"');
		}
	}
	putchar('\n');
	view_free(part);
}

static void print_table(struct branch *b, struct view *disk, const struct ptable *t)
{
	struct branch inner = *b;

	print_lead(b);
	printf("partitions (%s)\n", t->scheme);
	inner.depth++;
	for (size_t i = 0; i < t->n; i++) {
		inner.more[b->depth] = i + 1 < t->n;
		print_lead(&inner);
		print_partition(disk, &t->parts[i]);
	}
}

static void print_snapshots(struct branch *b, const struct image *img)
{
	struct branch inner = *b;
	char date[32];
	struct tm tm;

	print_lead(b);
	puts("snapshots");
	inner.depth++;
	for (size_t i = 1; i < img->nstates; i++) {
		const struct state *s = img->states[i];

		inner.more[b->depth] = i + 1 < img->nstates;
		print_lead(&inner);
		print_clean(s->name);
		if (localtime_r(&s->when.tv_sec, &tm) &&
			strftime(date, sizeof date, "%Y-%m-%d %H:%M:%S", &tm) > 0)
			printf("  %s", date);
		printf("%s\n", s->vmstate ? "  with the machine's state" : "");
	}
}

static void print_image(struct branch *b, const struct image *img)
{
	struct view *disk = img->states[0]->view;
	struct err e = ERR_INIT;
	struct ptable t = {0};
	bool has_table, has_snapshots = img->nstates > 1;

	print_clean(image_basename(img));
	printf("  %s, %s\n", img->format->name, size_text(disk->size).text);
	has_table = ptable_read(disk, img->sector_size, &t, &e) == 0 && t.n > 0;
	b->depth++;
	b->more[b->depth - 1] = has_snapshots || img->parent;
	if (has_table)
		print_table(b, disk, &t);
	b->more[b->depth - 1] = img->parent != NULL;
	if (has_snapshots)
		print_snapshots(b, img);
	ptable_free(&t);
}

int tree_print(const struct source *source)
{
	struct branch b = {.depth = 0};

	for (const struct image *img = source->img; img; img = img->parent) {
		if (b.depth > 0) {
			b.more[b.depth - 1] = false;
			print_lead(&b);
			fputs("based on ", stdout);
		}
		if (b.depth + 2 >= DEPTH_MAX)
			return report("the chain is too long to be drawn");
		print_image(&b, img);
	}
	return EXIT_SUCCESS;
}
