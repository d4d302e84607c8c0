/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* package_test.h - packages in the directory of the test: x.ova, or x.ovf and its files.  Disks are
 * raw, or VMDK descriptors that name further files. */
#ifndef UNIT_OPEN_PACKAGE_TEST_H
#define UNIT_OPEN_PACKAGE_TEST_H

#include "build/tar.h"
#include "util/err.h"
#include "image/image.h"

#define RAW  "http://en.wikipedia.org/wiki/Byte"
#define VMDK "http://www.vmware.com/interfaces/specifications/vmdk.html#streamOptimized"

struct package_test {
	struct tar_build tar;
	struct image_options o;
	struct package *p;
	struct image *img;
	struct err e;
	unsigned char disk[8192];
};

#define WARNING_SIZE 256
extern char warning[WARNING_SIZE]; /* the last one */

#define LIST(...) ((const char *const[]){__VA_ARGS__, NULL})

void package_test_begin(struct package_test *w);
int open_package(struct package_test *w, const char *path);
void package_test_end(struct package_test *w);
/* Returns a descriptor of disks with these files in this format. */
char *package_test_descriptor(const char *format, const char *more, const char *const *files);
void add_descriptor(
	struct package_test *w, const char *format, const char *more, const char *const *files);
void add_disk(struct package_test *w, const char *name);
void add_vmdk(struct package_test *w, const char *name, const char *extent);
void package_test_opens(struct package_test *w);
void shows_disk(struct package_test *w, size_t disk);
void refuses_disk(struct package_test *w, size_t disk, int code, const char *part);

#endif
