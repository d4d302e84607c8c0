/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* mkimage.h - what the builders of test images share.
 *
 * Images here are written byte by byte from what is known of the formats, and so is what they must
 * read as: nothing of formats/ decides it but util/bytes.h.  A builder that fails ends the program.
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
	READERROR, /* as NAME.raw, but for the bytes of bad: these give EIO */
};

struct job;

/* One image.  The rest, after verdict, is the maker's. */
struct image_case {
	const char *name;
	enum verdict verdict;
	struct {
		uint64_t off, len;
	} bad;
	void (*make)(const struct job *j);
	/* A field to overwrite once the image is made: width bytes, in the format's byte order. */
	struct {
		uint64_t pos;
		unsigned width; /* 0: none */
		uint64_t value;
	} patch;
	const void *arg;
	uint64_t n;
};

/* For macros that make cases. */
#define PATCH(pos_, width_, value_) .patch = {pos_, width_, value_}

struct family {
	const char *format;
	const struct image_case *cases;
	size_t n;
};

extern const struct family qcow_family, qed_family, bochs_family, parallels_family;
extern const struct family luks_family, vdi_family, vdi_chain_family, vhd_family, vhdx_family,
	ova_family;
extern const struct family vmdk_sparse_family, vmdk_stream_family, vmdk_text_family,
	vmdk_esx_family;
extern const struct family qcow2_good_family, qcow2_bad_family;

/* One image being made. */
struct job {
	const struct image_case *c;
	const char *dir;
	int raw; /* what the image must read as; -1 when it must be refused */
};

/* A new file DIR/NAMESUFFIX, open for writing. */
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

/* What is there; it must be. */
void get(int fd, uint64_t pos, void *data, size_t len);
uint64_t get_le(int fd, uint64_t pos, unsigned width);
uint64_t get_be(int fd, uint64_t pos, unsigned width);

/* The patch of the case, if it has one. */
void patch_le(const struct job *j, int fd);
void patch_be(const struct job *j, int fd);

/* What disks hold: an endless stream in which no two sectors are equal and none is zero.  It
 * compresses well, but for the part from NOISE on, which does not at all. */
#define NOISE ((uint64_t)1 << 62)

void data_make(void *buf, uint64_t from, size_t len);
void put_data(int fd, uint64_t pos, uint64_t from, uint64_t len);

/* Deflates data into out, which has room; window as for zlib.  Returns the bytes made. */
size_t deflated(void *out, size_t room, const void *data, size_t len, int window);

/* The same as a frame of zstd. */
size_t zstd_packed(void *out, size_t room, const void *data, size_t len);

/* The disk has this data at off, or zeroes there after all. */
void expect(const struct job *j, uint64_t off, uint64_t from, uint64_t len);
void expect_zero(const struct job *j, uint64_t off, uint64_t len);
void expect_size(const struct job *j, uint64_t size);

void die(const char *fmt, ...) __attribute__((format(printf, 1, 2), noreturn));

#endif
