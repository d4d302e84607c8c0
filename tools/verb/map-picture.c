/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* map-picture.c - see map-picture.h.  The disk is divided into columns, with a row for each image
 * of the chain.  A cell is darker the more data of its column is stored in its image. */
#include "map-picture.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "util/bytes.h"
#include "util/err.h"
#include "image/format.h"
#include "image/image.h"
#include "lib/block-status.h"
#include "lib/report.h"
#include "util/size.h"
#include "lib/input.h"

#define SVG_COLUMNS 1000u
#define SVG_ROW     28u
#define MIN_COLUMNS 20u
#define MAX_COLUMNS 240u

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

	for (; piece->data && off < end; off = next) {
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

int map_picture_draw(const struct input *input, uint64_t start, uint64_t end, const char *file)
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

	if (p.len == 0)
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
