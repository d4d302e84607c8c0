/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "util/array.h"
#include "util/err.h"
#include "util/limits.h"

struct lvm_config {
	struct lvm_node *nodes; /* the first is the root; 0 as a link is none */
	size_t nnodes;
	struct lvm_value *values;
	size_t nvalues;
	char *strings;
};

struct parser {
	struct lvm_config *c;
	const char *text, *p, *end;
	char *out; /* in c->strings, which is as long as the text and a NUL */
	struct err *e;
};

static int wrong(struct parser *p, const char *expected)
{
	unsigned line = 1;

	for (const char *q = p->text; q < p->p; q++)
		line += *q == '\n';
	return err_set(p->e, EUCLEAN, "line %u of the metadata: %s is expected", line, expected);
}

static int too_many(struct parser *p)
{
	return err_set(p->e, E2BIG, "the metadata has more than %u keys or values", LVM_MAX_VALUES);
}

static bool is_blank(char c)
{
	return isspace((unsigned char)c);
}

/* The next character that is neither blank nor in a comment; NUL: the end. */
static char peek(struct parser *p)
{
	while (p->p < p->end) {
		if (*p->p == '#')
			while (p->p < p->end && *p->p != '\n')
				p->p++;
		else if (is_blank(*p->p))
			p->p++;
		else
			return *p->p;
	}
	return '\0';
}

static bool skip(struct parser *p, char c)
{
	if (peek(p) != c)
		return false;
	p->p++;
	return true;
}

/* Strings.  In "", a backslash takes its meaning from '"' and '\\' alone. */

static int parse_string(struct parser *p, const char **string)
{
	char quote = *p->p++;

	*string = p->out;
	while (p->p < p->end && *p->p != quote) {
		if (quote == '"' && *p->p == '\\' && p->p + 1 < p->end &&
			(p->p[1] == '"' || p->p[1] == '\\'))
			p->p++;
		*p->out++ = *p->p++;
	}
	if (p->p == p->end)
		return wrong(p, "the end of a string");
	p->p++;
	*p->out++ = '\0';
	return 0;
}

static int parse_key(struct parser *p, const char **key)
{
	if (*p->p == '"' || *p->p == '\'')
		return parse_string(p, key);
	*key = p->out;
	while (p->p < p->end && !is_blank(*p->p) && !strchr("#={}", *p->p))
		*p->out++ = *p->p++;
	if (p->out == *key)
		return wrong(p, "a key");
	*p->out++ = '\0';
	return 0;
}

/* Values. */

static int parse_number(struct parser *p, int64_t *number)
{
	char digits[32];
	size_t n = 0;
	char *end;

	while (p->p < p->end && n < sizeof digits - 1 &&
		(isdigit((unsigned char)*p->p) || (n == 0 && strchr("+-", *p->p))))
		digits[n++] = *p->p++;
	digits[n] = '\0';
	errno = 0;
	*number = strtoll(digits, &end, 10);
	return errno || end == digits || *end ? wrong(p, "a number") : 0;
}

static int parse_value(struct parser *p)
{
	struct lvm_value value = {.text = NULL}, *values;
	char c = peek(p);
	int r = c == '"' || c == '\'' ? parse_string(p, &value.text)
				      : parse_number(p, &value.number);

	if (r < 0)
		return r;
	if (p->c->nvalues == LVM_MAX_VALUES)
		return too_many(p);
	values = array_grow(p->c->values, p->c->nvalues, sizeof values[0]);
	if (!values)
		return err_nomem(p->e);
	p->c->values = values;
	values[p->c->nvalues++] = value;
	return 0;
}

static int parse_values(struct parser *p, uint32_t node)
{
	uint32_t first = (uint32_t)p->c->nvalues;
	int r = 0;

	if (!skip(p, '[')) {
		r = parse_value(p);
	} else {
		while (r == 0 && !skip(p, ']')) {
			r = parse_value(p);
			skip(p, ',');
		}
	}
	p->c->nodes[node].value = first;
	p->c->nodes[node].nvalues = (uint32_t)p->c->nvalues - first;
	return r;
}

/* Sections. */

static int add_node(struct parser *p, const char *key, uint32_t *number)
{
	struct lvm_node *nodes;

	if (p->c->nnodes == LVM_MAX_VALUES)
		return too_many(p);
	nodes = array_grow(p->c->nodes, p->c->nnodes, sizeof nodes[0]);
	if (!nodes)
		return err_nomem(p->e);
	p->c->nodes = nodes;
	nodes[p->c->nnodes] = (struct lvm_node){.key = key};
	*number = (uint32_t)p->c->nnodes++;
	return 0;
}

static int parse_section(struct parser *p, uint32_t section, unsigned depth);

static int parse_node(struct parser *p, unsigned depth, uint32_t *node)
{
	const char *key;
	int r = parse_key(p, &key);

	if (r == 0)
		r = add_node(p, key, node);
	if (r < 0)
		return r;
	if (skip(p, '=')) /* cannot be part of a key */
		return parse_values(p, *node);
	if (!skip(p, '{'))
		return wrong(p, "\"=\" or \"{\"");
	if (depth == LVM_MAX_SECTIONS)
		return wrong(p, "a section that is not as deep");
	r = parse_section(p, *node, depth + 1);
	if (r == 0 && !skip(p, '}'))
		return wrong(p, "\"}\"");
	return r;
}

/* Reads up to the end of the section. */
static int parse_section(struct parser *p, uint32_t section, unsigned depth)
{
	uint32_t last = 0, node;

	p->c->nodes[section].is_section = true;
	for (char c; (c = peek(p)) != '}' && c != '\0'; last = node) {
		int r = parse_node(p, depth, &node);

		if (r < 0)
			return r;
		if (last)
			p->c->nodes[last].next = node;
		else
			p->c->nodes[section].child = node;
	}
	return 0;
}

static int parse(struct parser *p)
{
	uint32_t root;
	int r = add_node(p, "", &root);

	if (r == 0)
		r = parse_section(p, root, 0);
	return r == 0 && peek(p) ? wrong(p, "the end") : r;
}

int lvm_config_parse(const char *text, size_t len, struct lvm_config **config, struct err *e)
{
	struct parser p = {.text = text, .p = text, .e = e};
	int r;

	p.end = text + strnlen(text, len);
	p.c = calloc(1, sizeof *p.c);
	if (p.c)
		p.c->strings = malloc((size_t)(p.end - p.text) + 1);
	if (!p.c || !p.c->strings) {
		lvm_config_free(p.c);
		return err_nomem(e);
	}
	p.out = p.c->strings;
	r = parse(&p);
	if (r < 0)
		lvm_config_free(p.c);
	else
		*config = p.c;
	return r;
}

void lvm_config_free(struct lvm_config *c)
{
	if (!c)
		return;
	free(c->nodes);
	free(c->values);
	free(c->strings);
	free(c);
}

/* Reading. */

const struct lvm_node *lvm_config_root(const struct lvm_config *c)
{
	return &c->nodes[0];
}

static const struct lvm_node *link_of(const struct lvm_config *c, uint32_t number)
{
	return number ? &c->nodes[number] : NULL;
}

const struct lvm_node *lvm_config_first(const struct lvm_config *c, const struct lvm_node *section)
{
	return link_of(c, section->child);
}

const struct lvm_node *lvm_config_next(const struct lvm_config *c, const struct lvm_node *node)
{
	return link_of(c, node->next);
}

static const struct lvm_node *find(const struct lvm_config *c, const struct lvm_node *section,
	const char *key, bool is_section)
{
	const struct lvm_node *n = lvm_config_first(c, section);

	while (n && (n->is_section != is_section || strcmp(n->key, key) != 0))
		n = lvm_config_next(c, n);
	return n;
}

const struct lvm_node *lvm_config_section(
	const struct lvm_config *c, const struct lvm_node *section, const char *key)
{
	return find(c, section, key, true);
}

const struct lvm_value *lvm_config_values(
	const struct lvm_config *c, const struct lvm_node *section, const char *key, size_t *n)
{
	const struct lvm_node *node = find(c, section, key, false);

	*n = node ? node->nvalues : 0;
	return *n ? &c->values[node->value] : NULL;
}

const char *lvm_config_text(
	const struct lvm_config *c, const struct lvm_node *section, const char *key)
{
	size_t n;
	const struct lvm_value *v = lvm_config_values(c, section, key, &n);

	return n == 1 ? v->text : NULL;
}

bool lvm_config_number(const struct lvm_config *c, const struct lvm_node *section, const char *key,
	uint64_t max, uint64_t *number)
{
	size_t n;
	const struct lvm_value *v = lvm_config_values(c, section, key, &n);

	if (n != 1 || v->text || v->number < 0 || (uint64_t)v->number > max)
		return false;
	*number = (uint64_t)v->number;
	return true;
}
