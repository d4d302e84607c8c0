/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* xml.c - a tree of elements, built while expat reads.
 *
 * Everything is bounded: the bytes of a file, the elements in it and how deep they nest, which also
 * bounds the recursion of xml_free.
 */
#include "xml.h"

#include <errno.h>
#include <expat.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "limits.h"
#include "err.h"

struct builder {
	XML_Parser parser;
	struct xml *root, *at; /* at: the element that is open */
	size_t n, depth;
	struct err *e;
	bool failed;
};

static void give_up(struct builder *b, int code, const char *why)
{
	if (b->failed)
		return;
	b->failed = true;
	err_set(b->e, code, "line %lu: %s", (unsigned long)XML_GetCurrentLineNumber(b->parser),
		why);
	XML_StopParser(b->parser, XML_FALSE);
}

/* Namespaces are not resolved: some writers use a prefix without declaring it, and mean the usual
 * namespace. */
static const char *local(const char *name)
{
	const char *last = strrchr(name, ':');

	return last ? last + 1 : name;
}

/* One block of memory: the element, its attributes, all their text. */
static struct xml *element_new(const char *name, const char **attrs)
{
	size_t n = 0, bytes = sizeof(struct xml) + strlen(local(name)) + 1;
	struct xml *node;
	char *out;

	for (; attrs[n]; n++) /* of values all counts */
		bytes += sizeof attrs[0] + strlen(n % 2 ? attrs[n] : local(attrs[n])) + 1;
	node = calloc(1, bytes);
	if (!node)
		return NULL;
	node->attrs = (const char **)(node + 1);
	out = (char *)(node->attrs + n);
	node->name = out;
	out = stpcpy(out, local(name)) + 1;
	for (size_t i = 0; i < n; i += 2) {
		const char **attr = node->attrs + 2 * node->nattrs;

		if (strcmp(attrs[i], "xmlns") == 0 || strncmp(attrs[i], "xmlns:", 6) == 0)
			continue;
		attr[0] = out;
		out = stpcpy(out, local(attrs[i])) + 1;
		attr[1] = out;
		out = stpcpy(out, attrs[i + 1]) + 1;
		node->nattrs++;
	}
	return node;
}

static void XMLCALL on_start(void *data, const char *name, const char **attrs)
{
	struct builder *b = data;
	struct xml *node;

	if (++b->n > XML_MAX_ELEMENTS || ++b->depth > XML_MAX_DEPTH) {
		give_up(b, EINVAL, "it has more elements than any real description");
		return;
	}
	node = element_new(name, attrs);
	if (!node) {
		give_up(b, ENOMEM, "out of memory");
		return;
	}
	node->parent = b->at;
	if (!b->at)
		b->root = node;
	else if (b->at->last)
		b->at->last->next = node;
	else
		b->at->child = node;
	if (b->at)
		b->at->last = node;
	b->at = node;
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static void XMLCALL on_end(void *data, const char *name)
{
	struct builder *b = data;

	(void)name;
	while (b->at->ntext > 0 && is_blank(b->at->text[b->at->ntext - 1]))
		b->at->text[--b->at->ntext] = '\0';
	b->at = b->at->parent;
	b->depth--;
}

/* Blanks between elements, which is most of the text in a file, are not kept. */
static void XMLCALL on_text(void *data, const char *s, int len)
{
	struct builder *b = data;
	size_t had = b->at->ntext, n = (size_t)len;
	char *text;

	while (had == 0 && n > 0 && is_blank(*s)) {
		s++;
		n--;
	}
	if (n == 0)
		return;
	if (had + n > XML_MAX_TEXT) {
		give_up(b, EINVAL, "a text is longer than any real one");
		return;
	}
	text = realloc(b->at->text, had + n + 1);
	if (!text) {
		give_up(b, ENOMEM, "out of memory");
		return;
	}
	b->at->text = text;
	memcpy(text + had, s, n);
	b->at->ntext = had + n;
	text[had + n] = '\0';
}

static void XMLCALL on_doctype(
	void *data, const char *name, const char *system, const char *public, int has_subset)
{
	(void)name;
	(void)system;
	(void)public;
	(void)has_subset;
	give_up(data, ENOTSUP, "it has a document type, which is not read");
}

int xml_parse(const char *text, size_t len, struct xml **root, struct err *e)
{
	struct builder b = {.e = e};

	if (len > XML_MAX_BYTES)
		return err_set(e, EINVAL, "%zu bytes of XML, more than %u", len, XML_MAX_BYTES);
	b.parser = XML_ParserCreate(NULL);
	if (!b.parser)
		return err_nomem(e);
	XML_SetUserData(b.parser, &b);
	XML_SetElementHandler(b.parser, on_start, on_end);
	XML_SetCharacterDataHandler(b.parser, on_text);
	XML_SetStartDoctypeDeclHandler(b.parser, on_doctype);
	if (XML_Parse(b.parser, text, (int)len, XML_TRUE) != XML_STATUS_OK)
		give_up(&b, EINVAL, XML_ErrorString(XML_GetErrorCode(b.parser)));
	XML_ParserFree(b.parser);
	if (b.failed) {
		xml_free(b.root);
		return -e->code;
	}
	*root = b.root;
	return 0;
}

void xml_free(struct xml *root)
{
	struct xml *next;

	for (struct xml *node = root ? root->child : NULL; node; node = next) {
		next = node->next;
		xml_free(node);
	}
	if (root)
		free(root->text);
	free(root);
}

static const struct xml *called(const struct xml *node, const char *name)
{
	while (node && strcmp(node->name, name) != 0)
		node = node->next;
	return node;
}

const struct xml *xml_child(const struct xml *node, const char *name)
{
	return node ? called(node->child, name) : NULL;
}

const struct xml *xml_again(const struct xml *node)
{
	return called(node->next, node->name);
}

const char *xml_attr(const struct xml *node, const char *name)
{
	for (size_t i = 0; node && i < node->nattrs; i++)
		if (strcmp(node->attrs[2 * i], name) == 0)
			return node->attrs[2 * i + 1];
	return NULL;
}

const char *xml_text(const struct xml *node, const char *name)
{
	const struct xml *child = xml_child(node, name);

	return child && child->text ? child->text : "";
}
