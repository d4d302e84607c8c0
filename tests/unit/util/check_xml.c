/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "util/limits.h"
#include "util/err.h"
#include "common/unit.h"
#include "util/xml.h"

static struct xml *parsed(const char *text)
{
	struct err e = ERR_INIT;
	struct xml *root = NULL;

	ck_assert_msg(xml_parse(text, strlen(text), &root, &e) == 0, "%s", e.text);
	return root;
}

static void refused(const char *text, size_t len, int code, const char *why)
{
	struct err e = ERR_INIT;
	struct xml *root = NULL;

	ck_assert_int_eq(xml_parse(text, len, &root, &e), -code);
	ck_assert_msg(strstr(e.text, why), "%s", e.text);
	ck_assert_ptr_null(root);
}

START_TEST(tree)
{
	struct xml *root = parsed("<a one='1' two='2'><b>x</b><c/><b k='v'> y\n </b></a>");
	const struct xml *b = xml_child(root, "b");

	ck_assert_str_eq(root->name, "a");
	ck_assert_str_eq(xml_attr(root, "one"), "1");
	ck_assert_str_eq(xml_attr(root, "two"), "2");
	ck_assert_ptr_null(xml_attr(root, "three"));
	ck_assert_str_eq(b->text, "x");
	ck_assert_str_eq(xml_text(root, "b"), "x");
	ck_assert_str_eq(xml_text(root, "c"), "");
	ck_assert_str_eq(xml_text(root, "d"), "");
	b = xml_again(b);
	ck_assert_str_eq(b->text, "y");
	ck_assert_str_eq(xml_attr(b, "k"), "v");
	ck_assert_ptr_eq(b->parent, root);
	ck_assert_ptr_null(xml_again(b));
	xml_free(root);
}
END_TEST

START_TEST(null_elements)
{
	ck_assert_ptr_null(xml_child(NULL, "a"));
	ck_assert_ptr_null(xml_attr(NULL, "a"));
	ck_assert_str_eq(xml_text(NULL, "a"), "");
	xml_free(NULL);
}
END_TEST

START_TEST(namespaces)
{
	struct xml *root =
		parsed("<o:E xmlns:o='urn:x' xmlns='urn:y' o:href='1'><F o:id='2'/></o:E>");

	ck_assert_str_eq(root->name, "E");
	ck_assert_str_eq(xml_attr(root, "href"), "1");
	ck_assert_str_eq(xml_attr(xml_child(root, "F"), "id"), "2");
	xml_free(root);
}
END_TEST

/* Real files use prefixes that they do not declare; xmlns attributes are not attributes of the
 * element. */
START_TEST(undeclared_prefixes)
{
	struct xml *root = parsed("<ovf:E vbox:id='1' xmlns:href='urn:x' xmlns='urn:y' a:href='2'>"
				  "<rasd:F vssd:b:c='u:v'>t</rasd:F></ovf:E>");

	ck_assert_str_eq(root->name, "E");
	ck_assert_uint_eq(root->nattrs, 2);
	ck_assert_str_eq(xml_attr(root, "id"), "1");
	ck_assert_str_eq(xml_attr(root, "href"), "2");
	ck_assert_str_eq(xml_text(root, "F"), "t");
	ck_assert_str_eq(xml_attr(xml_child(root, "F"), "c"), "u:v");
	xml_free(root);
}
END_TEST

/* Characters that end a prefix elsewhere have no meaning in a value. */
START_TEST(special_characters_in_values)
{
	char text[5000], value[2001];
	struct xml *root;

	memset(value, 'v', 2000);
	value[2000] = '\0';
	snprintf(text, sizeof text, "<E a='%s:x' b='%s&#10;y'/>", value, value);
	root = parsed(text);
	ck_assert_uint_eq(strlen(xml_attr(root, "a")), 2002);
	ck_assert_str_eq(xml_attr(root, "b") + 2000, "\ny");
	xml_free(root);
}
END_TEST

START_TEST(text_between_elements)
{
	struct xml *root =
		parsed("<a>  1 &lt; 2<!-- no -->\n&amp;&#x41;<b>in</b><![CDATA[<>]]>  </a>");

	ck_assert_str_eq(root->text, "1 < 2\n&A<>");
	xml_free(root);
	root = parsed("<a> \n <b/> \n </a>");
	ck_assert_ptr_null(root->text);
	xml_free(root);
}
END_TEST

START_TEST(encodings)
{
	static const char latin1[] = "<?xml version='1.0' encoding='ISO-8859-1'?><a>\xe9</a>";
	static const char utf16[] = "\xff\xfe<\0a\0>\0\xe9\0<\0/\0a\0>\0";
	struct err e = ERR_INIT;
	struct xml *root = parsed(latin1);

	ck_assert_str_eq(root->text, "\xc3\xa9");
	xml_free(root);
	ck_assert_int_eq(xml_parse(utf16, sizeof utf16 - 1, &root, &e), 0);
	ck_assert_str_eq(root->text, "\xc3\xa9");
	xml_free(root);
}
END_TEST

START_TEST(malformed)
{
	refused("", 0, EINVAL, "line 1: ");
	refused("<a><b></a>", 10, EINVAL, "line 1: mismatched tag");
	refused("<a>\n<b>\n", 8, EINVAL, "line 3: no element found");
	refused("<a/>\0<b/>", 9, EINVAL, "line 1: ");
	refused("<a k='1' k='2'/>", 16, EINVAL, "duplicate attribute");
	refused("<a>&what;</a>", 13, EINVAL, "undefined entity");
	refused("<a>\xff</a>", 8, EINVAL, "line 1: ");
}
END_TEST

START_TEST(document_types)
{
	static const char bomb[] = "<!DOCTYPE a [<!ENTITY b 'bb'><!ENTITY c '&b;&b;'>]><a>&c;</a>";
	static const char outside[] = "<!DOCTYPE a SYSTEM 'file:///etc/passwd'><a/>";

	refused(bomb, sizeof bomb - 1, ENOTSUP, "line 1: it has a document type");
	refused(outside, sizeof outside - 1, ENOTSUP, "it has a document type");
}
END_TEST

/* Returns n times open, followed by n times close. */
static char *repeated(size_t n, const char *open, const char *close)
{
	size_t len = 3 + n * (strlen(open) + strlen(close)) + 4;
	char *text = malloc(len + 1), *out = stpcpy(text, "<r>");

	for (size_t i = 0; i < n; i++)
		out = stpcpy(out, open);
	for (size_t i = 0; i < n; i++)
		out = stpcpy(out, close);
	strcpy(out, "</r>");
	return text;
}

/* The root element counts. */
START_TEST(limits)
{
	const struct {
		size_t n;
		const char *open, *close, *why;
	} cases[] = {
		{XML_MAX_DEPTH - 1, "<d>", "</d>", "more elements"},
		{XML_MAX_ELEMENTS - 1, "<e/>", "", "more elements"},
		{XML_MAX_TEXT, "&lt;", "", "a text is longer"},
	};

	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		char *text = repeated(cases[i].n, cases[i].open, cases[i].close);

		xml_free(parsed(text));
		free(text);
		text = repeated(cases[i].n + 1, cases[i].open, cases[i].close);
		refused(text, strlen(text), EINVAL, cases[i].why);
		free(text);
	}
}
END_TEST

Suite *xml_suite(void)
{
	Suite *s = suite_create("xml");
	TCase *tc = tcase_create("xml");

	tcase_add_test(tc, tree);
	tcase_add_test(tc, null_elements);
	tcase_add_test(tc, namespaces);
	tcase_add_test(tc, undeclared_prefixes);
	tcase_add_test(tc, special_characters_in_values);
	tcase_add_test(tc, text_between_elements);
	tcase_add_test(tc, encodings);
	tcase_add_test(tc, malformed);
	tcase_add_test(tc, document_types);
	tcase_add_test(tc, limits);
	suite_add_tcase(s, tc);
	return s;
}
