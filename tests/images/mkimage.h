/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* mkimage.h - common functions of the builders of test images.
 *
 * A builder writes an image byte by byte from the specification of its format, and the expected
 * contents beside it; nothing of formats/ is used but util/bytes.h.  A builder that fails ends the
 * program.
 */
#ifndef MKIMAGE_H
#define MKIMAGE_H

#include <stddef.h>
#include <stdint.h>

#define KIB           ((uint64_t)1 << 10)
#define MIB           ((uint64_t)1 << 20)
#define N_ELEMENTS(a) (sizeof(a) / sizeof *(a))

enum verdict {
	READS,     /* as NAME.raw */
	REFUSED,   /* by an error when opened; there is no NAME.raw */
	READERROR, /* as NAME.raw, but reads of the range bad fail with EIO */
};

struct job;

/* One image.  The members after verdict are for its builder. */
struct image_case {
	const char *name;
	enum verdict verdict;
	struct {
		uint64_t off, len;
	} bad;
	void (*make)(const struct job *j);
	/* A field that patch_le or patch_be overwrites, in the byte order of the format. */
	struct {
		uint64_t pos;
		unsigned width; /* 0: none */
		uint64_t value;
	} patch;
	const void *arg;
	uint64_t n;
};

/* For macros that define cases. */
#define PATCH(pos_, width_, value_) .patch = {pos_, width_, value_}

struct image_set {
	const char *format;
	const struct image_case *cases;
	size_t n;
};

extern const struct image_set qcow_images, qed_images, bochs_images, parallels_images;
extern const struct image_set luks_images, vdi_images, vdi_chain_images, vhd_images, vhdx_images,
	ova_images;
extern const struct image_set vmdk_sparse_images, vmdk_stream_images, vmdk_text_images,
	vmdk_esx_images;
extern const struct image_set qcow2_good_images, qcow2_bad_images;

/* The image that is being created. */
struct job {
	const struct image_case *c;
	const char *dir;
	int raw; /* the expected contents; -1 if the image must be refused */
};

/* Creates a file DIR/NAMESUFFIX, open for reading and writing. */
int file_new(const struct job *j, const char *suffix);
void file_resize(int fd, uint64_t size);

void put(int fd, uint64_t pos, const void *data, size_t len);
void put_text(int fd, uint64_t pos, const char *text);
void put_byte(int fd, uint64_t pos, uint8_t v);
void put_le(int fd, uint64_t pos, unsigned width, uint64_t v);
void put_be(int fd, uint64_t pos, unsigned width, uint64_t v);
void put_le16(int fd, uint64_t pos, uint16_t v);
void put_le32(int fd, uint64_t pos, uint32_t v);
void put_le64(int fd, uint64_t pos, uint64_t v);
void put_be32(int fd, uint64_t pos, uint32_t v);
void put_be64(int fd, uint64_t pos, uint64_t v);

/* Read from the file; a short read ends the program. */
void get(int fd, uint64_t pos, void *data, size_t len);
uint64_t get_le(int fd, uint64_t pos, unsigned width);
uint64_t get_be(int fd, uint64_t pos, unsigned width);

/* Writes the patch of the case, if it has one. */
void patch_le(const struct job *j, int fd);
void patch_be(const struct job *j, int fd);

/* The data of disks: an endless stream in which no two sectors are equal and none is zero.  It
 * compresses well, except from NOISE on, where it is incompressible. */
#define NOISE ((uint64_t)1 << 62)

void data_make(void *buf, uint64_t from, size_t len);
void put_data(int fd, uint64_t pos, uint64_t from, uint64_t len);

/* Compresses data to out, which has size room; window as for zlib.  Returns the compressed size. */
size_t deflated(void *out, size_t room, const void *data, size_t len, int window);

/* Compresses data to a zstd frame. */
size_t zstd_compressed(void *out, size_t room, const void *data, size_t len);

/* Set the expected contents: at off, the disk has this range of the data stream, or zeroes. */
void expect(const struct job *j, uint64_t off, uint64_t from, uint64_t len);
void expect_zero(const struct job *j, uint64_t off, uint64_t len);
void expect_size(const struct job *j, uint64_t size);

/* Writes the members of an md array; args: see mkimage --md. */
void md_files(char **args);

void die(const char *fmt, ...) __attribute__((format(printf, 1, 2), noreturn));

#endif
