/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* map.c - prints or draws where the data of a disk is stored.
 *
 * For the picture the disk is divided into columns, with a row for each image of the chain.  A cell
 * is darker the more data of its column is stored in its image. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "lib/args.h"
#include "lib/contents-tree.h"
#include "util/printable.h"
#include "util/bytes.h"
#include "util/err.h"
#include "io/io.h"
#include "lib/filenames.h"
#include "lib/block-status.h"
#include "lib/report.h"
#include "verbs.h"
#include "lib/input.h"
#include "view/view.h"
#include "image/format.h"
#include "image/image.h"
#include "util/size.h"

#define SVG_COLUMNS 1000u
#define SVG_ROW     28u
#define MIN_COLUMNS 20u
#define MAX_COLUMNS 240u

struct printing {
	const struct input *input;
	bool begun;
	const struct io *io; /* of the last line */
	char *name;          /* of that file */
};

static const char *word(bool yes)
{
	return yes ? "true" : "false";
}

static int print_json(void *arg, const struct block_status *p)
{
	struct printing *to = arg;

	printf("%s{ \"start\": %" PRIu64 ", \"length\": %" PRIu64
	       ", \"depth\": %u, \"present\": %s, \"zero\": %s, \"data\": %s, \"compressed\": %s",
		to->begun ? ",\n" : "", p->start, p->len, p->depth, word(p->present), word(p->zero),
		word(p->data), word(p->compressed));
	if (p->io)
		printf(", \"offset\": %" PRIu64, p->io->start + p->pos);
	putchar('}');
	to->begun = true;
	return 0;
}

static int print_line(void *arg, const struct block_status *p)
{
	struct printing *to = arg;

	if (!p->data || p->zero)
		return 0;
	if (!p->io)
		return report("File contains external, encrypted or compressed clusters.");
	if (to->io != p->io) {
		free(to->name);
		to->name = filenames_of_io(to->input->img, to->input->name, p->io);
		to->io = p->io;
	}
	printable_print(stdout, "%#-16" PRIx64 "%#-16" PRIx64 "%#-16" PRIx64 "%s", p->start, p->len,
		p->io->start + p->pos, to->name ? to->name : p->io->name);
	putchar('\n');
	return 0;
}

/* The picture. */

struct picture {
	const struct input *input;
	uint64_t start, len;
	size_t columns, layers;
	uint64_t *data; /* bytes of data, by layer and column */
};

/* The start of column i, len * i / columns, without overflow. */
static uint64_t column_start(const struct picture *p, size_t i)
{
	uint64_t width = p->len / p->columns, rest = p->len % p->columns;

	return p->start + width * i + rest * i / p->columns;
}

static size_t column_of(const struct picture *p, uint64_t off)
{
	/* A lower bound, since no column is wider. */
	size_t i = (size_t)((off - p->start) / (p->len / p->columns + 1));

	while (i + 1 < p->columns && column_start(p, i + 1) <= off)
		i++;
	return i;
}

static int count(void *arg, const struct block_status *piece)
{
	struct picture *p = arg;
	uint64_t off = piece->start, end = off + piece->len, next;

	for (; piece->data && !piece->zero && off < end; off = next) {
		size_t i = column_of(p, off);

		next = MIN(end, column_start(p, i + 1));
		p->data[piece->depth * p->columns + i] += next - off;
	}
	return 0;
}

/* The part of a cell that is data, 0 to 1. */
static double share(const struct picture *p, size_t layer, size_t column)
{
	uint64_t size = column_start(p, column + 1) - column_start(p, column);

	return size ? (double)p->data[layer * p->columns + column] / (double)size : 0;
}

static uint64_t sum(const struct picture *p, size_t layer)
{
	uint64_t n = 0;

	for (size_t i = 0; i < p->columns; i++)
		n += p->data[layer * p->columns + i];
	return n;
}

static const char *shade(double part)
{
	static const char *const shades[] = {"·", "░", "▒", "▓", "█"};

	return part <= 0 ? shades[0] : shades[1 + (int)MIN(3.0, part * 4)];
}

static void print_name(FILE *f, const struct image *img, bool xml)
{
	char name[256];

	snprintf(name, sizeof name, "%s", image_basename(img));
	err_clean(name);
	for (const char *c = name; *c; c++)
		if (xml && strchr("<>&\"'", *c))
			fprintf(f, "&#%d;", *c);
		else
			fputc(*c, f);
}

static void draw_strip(const struct picture *p)
{
	const struct image *img = p->input->img;

	for (size_t layer = 0; layer < p->layers; layer++, img = img->parent) {
		for (size_t i = 0; i < p->columns; i++)
			fputs(shade(share(p, layer, i)), stdout);
		printf("\n%zu  ", layer);
		print_name(stdout, img, false);
		printf("  %s, %s of data\n", img->format->name, size_text(sum(p, layer)).text);
	}
	printf("each column: %s\n", size_text(div_round_up(p->len, p->columns)).text);
	tree_contents(0, false, p->input->img);
}

static void draw_row(FILE *f, const struct picture *p, size_t layer)
{
	for (size_t i = 0, n; i < p->columns; i += n) {
		double dark = share(p, layer, i);

		for (n = 1; i + n < p->columns && share(p, layer, i + n) == dark; n++)
			;
		if (dark > 0)
			fprintf(f,
				"<rect x=\"%zu\" y=\"%zu\" width=\"%zu\" height=\"%u\" "
				"fill=\"hsl(%zu,60%%,40%%)\" fill-opacity=\"%.2f\"/>\n",
				i, layer * 2 * SVG_ROW + SVG_ROW, n, SVG_ROW - 8, layer * 137 % 360,
				0.2 + 0.8 * dark);
	}
}

static void draw_svg(FILE *f, const struct picture *p)
{
	const struct image *img = p->input->img;
	size_t height = p->layers * 2 * SVG_ROW + 8;

	fprintf(f,
		"<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %u %zu\" "
		"font-family=\"sans-serif\" font-size=\"14\">\n",
		SVG_COLUMNS, height);
	for (size_t layer = 0; layer < p->layers; layer++, img = img->parent) {
		size_t y = layer * 2 * SVG_ROW;

		fprintf(f, "<text x=\"0\" y=\"%zu\">%zu ", y + SVG_ROW - 8, layer);
		print_name(f, img, true);
		fprintf(f, " (%s, %s of data)</text>\n", img->format->name,
			size_text(sum(p, layer)).text);
		fprintf(f, "<rect x=\"0\" y=\"%zu\" width=\"%u\" height=\"%u\" fill=\"#eee\"/>\n",
			y + SVG_ROW, SVG_COLUMNS, SVG_ROW - 8);
		draw_row(f, p, layer);
	}
	fputs("</svg>\n", f);
}

static int write_svg(const char *file, const struct picture *p)
{
	FILE *f = fopen(file, "we");
	bool failed;

	if (!f)
		return report("%s: %s", file, strerror(errno));
	draw_svg(f, p);
	failed = ferror(f) != 0;
	if (fclose(f) != 0 || failed)
		return report("%s: %s", file, strerror(errno));
	return EXIT_SUCCESS;
}

static size_t terminal_columns(void)
{
	struct winsize w;

	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &w) < 0 || w.ws_col == 0)
		return 80;
	return MIN(MAX_COLUMNS, MAX(MIN_COLUMNS, w.ws_col));
}

/* Draws [start, end) to file as SVG; NULL: to the terminal, as text.  Returns the exit status. */
static int draw(const struct input *input, uint64_t start, uint64_t end, const char *file)
{
	struct picture p = {
		.input = input,
		.start = start,
		.len = end - start,
		.columns = file ? SVG_COLUMNS : terminal_columns(),
		.layers = image_depth(input->img),
	};
	struct err e = ERR_INIT;
	int status = EXIT_SUCCESS;

	if (start >= end)
		return report("there is nothing to draw");
	p.data = calloc(p.layers * p.columns, sizeof p.data[0]);
	if (!p.data)
		return report("out of memory");
	if (block_status_visit(input, start, end, count, &p, &e) < 0)
		status = report_err(&e, "Failed to read image metadata");
	else if (file)
		status = write_svg(file, &p);
	else
		draw_strip(&p);
	free(p.data);
	return status;
}

/* The range of -s and -l. */
static bool choose_range(
	const struct args *a, const struct input *input, uint64_t *start, uint64_t *end)
{
	uint64_t size = input->state->view->size, len = size;

	*start = 0;
	if (!args_size(a, OPT_START, "start offset", start) ||
		!args_size(a, OPT_LENGTH, "max length", &len))
		return false;
	*end = MIN(size, *start) + MIN(len, size - MIN(size, *start));
	return true;
}

static int map(const struct args *a, struct input *input)
{
	struct printing to = {.input = input};
	struct err e = ERR_INIT;
	uint64_t start, end;
	int r;

	if (!choose_range(a, input, &start, &end))
		return EXIT_FAILURE;
	if (args_has(a, OPT_PICTURE))
		return draw(input, start, end, args_value(a, OPT_PICTURE));
	if (input->json)
		putchar('[');
	else
		printf("%-16s%-16s%-16s%s\n", "Offset", "Length", "Mapped to", "File");
	r = block_status_visit(input, start, end, input->json ? print_json : print_line, &to, &e);
	free(to.name);
	if (input->json && r == 0)
		puts("]");
	if (r < 0)
		report_err(&e, "Failed to read image metadata");
	return r == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

int run_map(const struct args *a)
{
	return input_run(a, 0, map);
}
