/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* complete.c - completion for shells, made from the table of verbs and options.
 *
 * Formats are asked for when they are wanted, so that none is named here.
 */
#include <stdio.h>
#include <string.h>

#include "verb.h"

#define CACHE_MODES  "unsafe writeback writethrough none directsync"
#define LIST_FORMATS "vdisk --list-formats 2>/dev/null | cut -d' ' -f1"

static void print_verb_names(void)
{
	for (const struct verb *v = verbs; v->name; v++)
		printf("%s%s", v == verbs ? "" : " ", v->name);
}

static void print_operands(const struct verb *v)
{
	if (v->operand == OPERAND_VERB)
		print_verb_names();
	else
		fputs(SHELLS, stdout);
}

static void print_option_words(const struct verb *v)
{
	for (const struct option_row *o = v->options; o->key != OPT_END; o++) {
		if (o->letter)
			printf("-%c ", o->letter);
		printf("--%s%s ", o->name,
			o->kind == VALUE_NONE || o->kind == VALUE_SVG ? "" : "=");
	}
}

/* bash */

/* The options of a verb whose values are of this kind, as a pattern of case. */
static void print_bash_pattern(const struct verb *v, enum value_kind kind)
{
	const char *bar = "";

	for (const struct option_row *o = v->options; o->key != OPT_END; o++) {
		if (o->kind != kind)
			continue;
		if (o->letter)
			printf("%s-%c", bar, o->letter);
		printf("%s--%s", o->letter ? "|" : bar, o->name);
		bar = "|";
	}
}

static bool has_kind(const struct verb *v, enum value_kind kind)
{
	for (const struct option_row *o = v->options; o->key != OPT_END; o++)
		if (o->kind == kind)
			return true;
	return false;
}

static void print_bash_kind(const struct verb *v, enum value_kind kind, const char *action)
{
	if (!has_kind(v, kind))
		return;
	printf("\t\t");
	print_bash_pattern(v, kind);
	printf(") %s; return ;;\n", action);
}

static void print_bash_verb(const struct verb *v)
{
	printf("\t%s)\n\t\tcase $prev in\n", v->name);
	print_bash_kind(v, VALUE_FORMAT, "_vdisk_words \"$(" LIST_FORMATS ")\"");
	print_bash_kind(v, VALUE_OUTPUT, "_vdisk_words 'human json'");
	print_bash_kind(v, VALUE_CACHE, "_vdisk_words '" CACHE_MODES "'");
	print_bash_kind(v, VALUE_REPAIR, "_vdisk_words 'leaks all'");
	print_bash_kind(v, VALUE_DIR,
		"compopt -o filenames; mapfile -t COMPREPLY < <(compgen -d "
		"-- \"$cur\")");
	print_bash_kind(v, VALUE_FILE, "_vdisk_files");
	print_bash_kind(v, VALUE_TEXT, "COMPREPLY=()");
	puts("\t\tesac");
	if (v->operand != OPERAND_FILE) {
		fputs("\t\t[[ $cur == -* ]] || { _vdisk_words '", stdout);
		print_operands(v);
		puts("'; return; }");
	}
	printf("\t\twords='");
	print_option_words(v);
	printf("' ;;\n");
}

static void print_bash(void)
{
	puts("# Bash completion for vdisk, made by \"vdisk completion bash\".\n"
	     "\n"
	     "_vdisk_words() {\n"
	     "\tmapfile -t COMPREPLY < <(compgen -W \"$1\" -- \"$cur\")\n"
	     "\t[[ ${COMPREPLY[0]-} != *= ]] || compopt -o nospace\n"
	     "}\n"
	     "\n"
	     "_vdisk_files() {\n"
	     "\tcompopt -o filenames\n"
	     "\tmapfile -t COMPREPLY < <(compgen -f -- \"$cur\")\n"
	     "}\n"
	     "\n"
	     "_vdisk() {\n"
	     "\tlocal cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} words\n"
	     "\n"
	     "\t# Readline splits at \"=\".\n"
	     "\tif [[ $cur == = ]]; then\n"
	     "\t\tcur=''\n"
	     "\telif [[ $prev == = ]]; then\n"
	     "\t\tprev=${COMP_WORDS[COMP_CWORD-2]}\n"
	     "\tfi\n"
	     "\tif [[ $COMP_CWORD == 1 ]]; then");
	fputs("\t\t_vdisk_words '", stdout);
	print_verb_names();
	puts(" --help --version --list-formats'\n\t\treturn\n\tfi\n\tcase ${COMP_WORDS[1]} in");
	for (const struct verb *v = verbs; v->name; v++)
		print_bash_verb(v);
	puts("\t*) return ;;\n"
	     "\tesac\n"
	     "\tif [[ $cur == -* ]]; then _vdisk_words \"$words\"; else _vdisk_files; fi\n"
	     "}\n"
	     "\n"
	     "complete -F _vdisk vdisk");
}

/* zsh */

/* In a description, what _arguments and _describe take for their own. */
static void print_zsh_text(const char *s)
{
	for (; *s; s++) {
		if (strchr("[]:\\", *s))
			putchar('\\');
		if (*s == '\'')
			fputs("'\\'", stdout);
		putchar(*s);
	}
}

static void print_zsh_value(const struct option_row *o)
{
	static const char *const actions[] = {
		[VALUE_TEXT] = " ",
		[VALUE_FILE] = "_files",
		[VALUE_DIR] = "_files -/",
		[VALUE_FORMAT] = "_vdisk_formats",
		[VALUE_OUTPUT] = "(human json)",
		[VALUE_CACHE] = "(" CACHE_MODES ")",
		[VALUE_REPAIR] = "(leaks all)",
		[VALUE_SVG] = "_files -g \"*.svg\"",
	};

	if (o->kind != VALUE_NONE)
		printf("%s:%s:%s", o->kind == VALUE_SVG ? ":" : "", o->value, actions[o->kind]);
}

static void print_zsh_option(const struct option_row *o)
{
	const char *assign = o->kind == VALUE_NONE ? "" : o->kind == VALUE_SVG ? "=-" : "=";

	if (o->letter) {
		printf(" \\\n\t\t\t'*-%c[", o->letter);
		print_zsh_text(o->help);
		putchar(']');
		print_zsh_value(o);
		putchar('\'');
	}
	printf(" \\\n\t\t\t'*--%s%s[", o->name, assign);
	print_zsh_text(o->help);
	putchar(']');
	print_zsh_value(o);
	putchar('\'');
}

static void print_zsh(void)
{
	puts("#compdef vdisk\n"
	     "# Zsh completion for vdisk, made by \"vdisk completion zsh\".\n"
	     "\n"
	     "_vdisk_formats() {\n"
	     "\tcompadd -- ${(f)\"$(" LIST_FORMATS ")\"}\n"
	     "}\n"
	     "\n"
	     "_vdisk() {\n"
	     "\tlocal -a verbs=(");
	for (const struct verb *v = verbs; v->name; v++) {
		printf("\t\t'%s:", v->name);
		print_zsh_text(v->summary);
		puts("'");
	}
	puts("\t)\n"
	     "\tif ((CURRENT == 2)); then\n"
	     "\t\t_describe verb verbs\n"
	     "\t\t_arguments '--help[this text]' '--version[the version]' "
	     "'--list-formats[the formats]'\n"
	     "\t\treturn\n"
	     "\tfi\n"
	     "\tshift words\n"
	     "\t((CURRENT--))\n"
	     "\tcase $words[1] in");
	for (const struct verb *v = verbs; v->name; v++) {
		printf("\t%s)\n\t\t_arguments -s -S", v->name);
		for (const struct option_row *o = v->options; o->key != OPT_END; o++)
			print_zsh_option(o);
		fputs(" \\\n\t\t\t'*:", stdout);
		if (v->operand == OPERAND_FILE) {
			fputs("image:_files", stdout);
		} else {
			printf("%s:(", v->operand == OPERAND_VERB ? "verb" : "shell");
			print_operands(v);
			putchar(')');
		}
		puts("' ;;");
	}
	puts("\tesac\n"
	     "}\n"
	     "\n"
	     "_vdisk \"$@\"");
}

/* fish */

static void print_fish_text(const char *s)
{
	putchar('\'');
	for (; *s; s++) {
		if (*s == '\'' || *s == '\\')
			putchar('\\');
		putchar(*s);
	}
	putchar('\'');
}

static void print_fish_option(const struct verb *v, const struct option_row *o)
{
	static const char *const values[] = {
		[VALUE_NONE] = "",
		[VALUE_TEXT] = " -x",
		[VALUE_FILE] = " -r -F",
		[VALUE_DIR] = " -x -a '(__fish_complete_directories)'",
		[VALUE_FORMAT] = " -x -a '(vdisk --list-formats | string split -f1 \" \")'",
		[VALUE_OUTPUT] = " -x -a 'human json'",
		[VALUE_CACHE] = " -x -a '" CACHE_MODES "'",
		[VALUE_REPAIR] = " -x -a 'leaks all'",
		[VALUE_SVG] = "",
	};

	printf("complete -c vdisk -n '__fish_seen_subcommand_from %s'", v->name);
	if (o->letter)
		printf(" -s %c", o->letter);
	printf(" -l %s%s -d ", o->name, values[o->kind]);
	print_fish_text(o->help);
	putchar('\n');
}

static void print_fish(void)
{
	puts("# Fish completion for vdisk, made by \"vdisk completion fish\".");
	for (const struct verb *v = verbs; v->name; v++) {
		printf("complete -c vdisk -n __fish_use_subcommand -f -a %s -d ", v->name);
		print_fish_text(v->summary);
		putchar('\n');
		for (const struct option_row *o = v->options; o->key != OPT_END; o++)
			print_fish_option(v, o);
		if (v->operand == OPERAND_FILE)
			continue;
		printf("complete -c vdisk -n '__fish_seen_subcommand_from %s' -f -a '", v->name);
		print_operands(v);
		puts("'");
	}
}

bool completion_print(const char *shell)
{
	if (strcmp(shell, "bash") == 0)
		print_bash();
	else if (strcmp(shell, "zsh") == 0)
		print_zsh();
	else if (strcmp(shell, "fish") == 0)
		print_fish();
	else
		return false;
	return true;
}
