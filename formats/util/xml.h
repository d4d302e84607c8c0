/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* xml.h - the XML of machine descriptions as a tree: OVF, VirtualBox's .vbox, Parallels' bundles.
 *
 * Names are compared without their namespace: writers disagree on prefixes, and no name that is
 * searched for means two things.  A document type is refused, since entities and references to
 * other files come with it.  The texts of the tree are UTF-8 and as in the file: not to be trusted.
 */
#ifndef VDISK_UTIL_XML_H
#define VDISK_UTIL_XML_H

#include <stddef.h>

struct err;

struct xml {
	const char *name; /* without prefix */
	char *text; /* what stands directly in it, joined, without blanks at the ends; may be NULL
		     */
	size_t ntext;
	struct xml *parent, *child, *next;
	struct xml *last; /* child */
	size_t nattrs;
	const char **attrs; /* name, value, name, value ... */
};

/* A document of len bytes; the root element, which is the caller's.  EINVAL names the line. */
int xml_parse(const char *text, size_t len, struct xml **root, struct err *e);

void xml_free(struct xml *root); /* NULL is fine */

/* The first element called name in node, or NULL, also when node is NULL. */
const struct xml *xml_child(const struct xml *node, const char *name);

/* The next one after node, in the same parent, that has its name. */
const struct xml *xml_again(const struct xml *node);

/* The value of an attribute, or NULL, also when node is NULL. */
const char *xml_attr(const struct xml *node, const char *name);

/* The text of the first element called name in node: "" when there is none. */
const char *xml_text(const struct xml *node, const char *name);

#endif
