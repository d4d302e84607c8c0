/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "package_test.h"

#include <stdio.h>
#include <stdlib.h>

#include "io/io.h"
#include "open/package-disk.h"
#include "open/package.h"
#include "common/unit.h"
#include "view/view.h"

char warning[WARNING_SIZE];

static void note_warning(void *arg, const char *text)
{
	(void)arg;
	strncpy(warning, text, sizeof warning - 1);
}

void package_test_begin(struct package_test *w)
{
	memset(w, 0, sizeof *w);
	w->o = options_new();
	w->o.warn = note_warning;
	warning[0] = '\0';
	fill_pattern(w->disk, sizeof w->disk, 1);
}

int open_package(struct package_test *w, const char *path)
{
	struct io *io = io_open(path, &w->e);

	return io ? package_open_io(io, &w->o, &w->p, &w->e) : -w->e.code;
}

void package_test_end(struct package_test *w)
{
	image_close(w->img);
	package_close(w->p);
	tar_build_free(&w->tar);
	options_free(&w->o);
}

/* Returns a descriptor of disks with these files in this format. */
char *package_test_descriptor(const char *format, const char *more, const char *const *files)
{
	char *text = malloc(4096), *p = text;

	p += sprintf(p, "<Envelope><References>");
	for (size_t i = 0; files[i]; i++)
		p += sprintf(p, "<File id='f%zu' href='%s' %s/>", i, files[i], more);
	p += sprintf(p, "</References><DiskSection>");
	for (size_t i = 0; files[i]; i++)
		p += sprintf(p, "<Disk diskId='%zu' fileRef='f%zu' format='%s'/>", i, i, format);
	sprintf(p, "</DiskSection></Envelope>");
	return text;
}

void add_descriptor(
	struct package_test *w, const char *format, const char *more, const char *const *files)
{
	char *text = package_test_descriptor(format, more, files);

	tar_build_file(&w->tar, "x.ovf", text);
	free(text);
}

void add_disk(struct package_test *w, const char *name)
{
	tar_build_add(&w->tar, '0', name, w->disk, sizeof w->disk);
}

void add_vmdk(struct package_test *w, const char *name, const char *extent)
{
	char text[512];

	snprintf(text, sizeof text,
		"# Disk DescriptorFile\nversion=1\nCID=12345678\nparentCID=ffffffff\n"
		"createType=\"monolithicFlat\"\nRW 16 FLAT \"%s\" 0\n",
		extent);
	tar_build_file(&w->tar, name, text);
}

void package_test_opens(struct package_test *w)
{
	if (w->tar.len > 0)
		tar_build_write(&w->tar, "x.ova");
	ck_assert_ok(open_package(w, w->tar.len > 0 ? "x.ova" : "x.ovf"), &w->e);
}

void shows_disk(struct package_test *w, size_t disk)
{
	unsigned char buf[8192];

	ck_assert_ok(package_disk_open(w->p, disk, &w->img, &w->e), &w->e);
	ck_assert_uint_eq(w->img->states[0]->view->size, sizeof buf);
	ck_assert_ok(view_read(w->img->states[0]->view, buf, sizeof buf, 0, &w->e), &w->e);
	ck_assert_mem_eq(buf, w->disk, sizeof buf);
}

void refuses_disk(struct package_test *w, size_t disk, int code, const char *part)
{
	w->img = NULL;
	ck_assert_fails(package_disk_open(w->p, disk, &w->img, &w->e), code, &w->e, part);
	ck_assert_ptr_null(w->img);
}
