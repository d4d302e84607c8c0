/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* facts.h - facts of an image that its driver reports, for info.json and the tools.
 *
 * Keys are those of qemu-img's "format-specific" data, so that scripts keep working; a fact for
 * which qemu-img has no key gets a new one.  The last value of a key wins.
 */
#ifndef VDISK_IMAGE_FACTS_H
#define VDISK_IMAGE_FACTS_H

#include <stdbool.h>
#include <stdint.h>

struct facts;
struct image;
struct io;
struct json_object;

void facts_text(struct facts *f, const char *key, const char *value);
void facts_flag(struct facts *f, const char *key, bool value);
void facts_number(struct facts *f, const char *key, uint64_t value);

/* The name of a file of the image. */
void facts_file(struct facts *f, const char *key, const struct io *io);

/* A list of objects ("extents"): facts_list gives a place to put the next object's facts. */
struct facts *facts_list(struct facts *f, const char *key);

/* A list of words ("flags"), which may be empty. */
void facts_words(struct facts *f, const char *key, const char *const *words, unsigned n);

/* An object of facts ("encrypt"). */
struct facts *facts_object(struct facts *f, const char *key);

/* For the image as a whole, beside "format-specific": qemu-img's "cluster-size", "dirty-flag",
 * "encrypted". */
void facts_cluster_size(struct facts *f, uint64_t bytes);
void facts_dirty(struct facts *f, bool dirty);
void facts_encrypted(struct facts *f);

/* For info.c: adds the facts of the driver of img to the object of the image.  filename: the image
 * is called so. */
void facts_add(struct json_object *o, const struct image *img, const char *filename);

void facts_add_text(struct json_object *o, const char *key, const char *value);
void facts_add_number(struct json_object *o, const char *key, uint64_t value);

#endif
