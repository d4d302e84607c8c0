/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* completion.c - prints completion scripts for shells, generated from the table of verbs and
 * options.
 *
 * The scripts call vdisk for lists that change: formats, mounts, partitions, creation options.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "candidates.h"
#include "lib/args.h"
#include "verbs.h"

#define CACHE_MODES  "unsafe writeback writethrough none directsync"
#define LIST_FORMATS "vdisk --list-formats 2>/dev/null | cut -d' ' -f1"

static const struct verb *verbs; /* the table of all */

static void print_verb_names(void)
{
	for (const struct verb *v = verbs; v->name; v++)
		printf("%s%s", v == verbs ? "" : " ", v->name);
}

/* For OPERAND_VERB and OPERAND_SHELL. */
static void print_operands(const struct verb *v)
{
	if (v->operand == OPERAND_VERB)
		print_verb_names();
	else
		fputs("bash zsh fish", stdout);
}

/* The option for the format of the image that -o describes. */
static const struct option_row *format_option(const struct verb *v)
{
	const struct option_row *found = NULL;

	for (const struct option_row *o = v->options; o->key != OPT_END; o++)
		if (o->key == OPT_OUTPUT_FORMAT || (o->key == OPT_FORMAT && !found))
			found = o;
	return found;
}

/* bash */

static bool has_kind(const struct verb *v, enum value_kind kind)
{
	for (const struct option_row *o = v->options; o->key != OPT_END; o++)
		if (o->kind == kind)
			return true;
	return false;
}

/* Prints the options with values of this kind as a pattern of case. */
static void print_bash_kind(const struct verb *v, enum value_kind kind, const char *action)
{
	const char *lead = "\t\t";

	if (!has_kind(v, kind))
		return;
	for (const struct option_row *o = v->options; o->key != OPT_END; o++) {
		if (o->kind != kind)
			continue;
		fputs(lead, stdout);
		if (o->letter)
			printf("-%c|", o->letter);
		printf("--%s", o->name);
		lead = "|";
	}
	printf(") %s; return ;;\n", action);
}

/* Prints the options that have a value, each between blanks. */
static void print_bash_with_value(const struct verb *v)
{
	for (const struct option_row *o = v->options; o->key != OPT_END; o++) {
		if (o->kind == VALUE_NONE || o->kind == VALUE_SVG)
			continue;
		if (o->letter)
			printf(" -%c", o->letter);
		printf(" --%s", o->name);
	}
	putchar(' ');
}

static void print_bash_operands(const struct verb *v)
{
	if (v->operand == OPERAND_FILE)
		return;
	fputs("\t\t[[ $cur == -* ]] || { ", stdout);
	if (v->operand == OPERAND_MOUNT) {
		fputs("_vdisk_mounts", stdout);
	} else if (v->operand == OPERAND_PARTITION) {
		fputs("_vdisk_partition '", stdout);
		print_bash_with_value(v);
		putchar('\'');
	} else {
		fputs("_vdisk_words '", stdout);
		print_operands(v);
		putchar('\'');
	}
	puts("; return; }");
}

/* Readline splits the value of -o at "=", so it is taken from the line. */
static void print_bash_create(const struct verb *v)
{
	const struct option_row *format = format_option(v);

	if (!has_kind(v, VALUE_CREATE))
		return;
	printf("\t\tif [[ ${COMP_LINE:0:COMP_POINT} =~ \\ (-o|--options)[=\\ ]([^\\ ]*)$ ]]; then\n"
	       "\t\t\t_vdisk_create \"${BASH_REMATCH[2]}\" '-%c|--%s'\n"
	       "\t\t\treturn\n"
	       "\t\tfi\n",
		format->letter, format->name);
}

static void print_bash_verb(const struct verb *v)
{
	printf("\t%s)\n", v->name);
	print_bash_create(v);
	puts("\t\tcase $prev in");
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
	print_bash_operands(v);
	printf("\t\twords='");
	for (const struct option_row *o = v->options; o->key != OPT_END; o++) {
		if (o->letter)
			printf("-%c ", o->letter);
		printf("--%s%s ", o->name,
			o->kind == VALUE_NONE || o->kind == VALUE_SVG ? "" : "=");
	}
	printf("' ;;\n");
}

static const char bash_words[] =
	"# Parses the line: $typed are the words, $whole is the word at the cursor.\n"
	"# Readline splits words at = and :, and replaces the text after the last one; $kept "
	"is\n"
	"# the text before.\n"
	"_vdisk_split() {\n"
	"\tlocal line=${COMP_LINE:0:COMP_POINT} breaks=${COMP_WORDBREAKS//[^=:]/}\n"
	"\tlocal quote='' c i\n"
	"\ttyped=() whole='' kept=''\n"
	"\tfor ((i = 0; i < ${#line}; i++)); do\n"
	"\t\tc=${line:i:1}\n"
	"\t\tif [[ $c == \"$quote\" ]]; then\n"
	"\t\t\tquote=''\n"
	"\t\telif [[ -z $quote && $c == [\\'\\\"] ]]; then\n"
	"\t\t\tquote=$c\n"
	"\t\telif [[ $c == \\\\ && $quote != \\' ]]; then\n"
	"\t\t\ti=$((i + 1))\n"
	"\t\t\twhole+=${line:i:1}\n"
	"\t\telif [[ -n $quote || $c != [[:blank:]] ]]; then\n"
	"\t\t\twhole+=$c\n"
	"\t\telif [[ -n $whole ]]; then\n"
	"\t\t\ttyped+=(\"$whole\")\n"
	"\t\t\twhole=''\n"
	"\t\tfi\n"
	"\tdone\n"
	"\t[[ -n $quote || -z $breaks ]] || kept=${whole%\"${whole##*[$breaks]}\"}\n"
	"}\n"
	"\n"
	"# Offers the lines of standard input that begin with $whole.\n"
	"_vdisk_lines() {\n"
	"\tlocal line\n"
	"\tcompopt -o filenames\n"
	"\tCOMPREPLY=()\n"
	"\twhile IFS= read -r line; do\n"
	"\t\t[[ $line != \"$whole\"* ]] || COMPREPLY+=(\"${line#\"$kept\"}\")\n"
	"\tdone\n"
	"}\n";

static const char bash_helpers[] =
	"# Mount points, relative to the current directory if the word is relative.\n"
	"_vdisk_mounts() {\n"
	"\tlocal typed whole kept here=$PWD/\n"
	"\t_vdisk_split\n"
	"\t[[ -n $whole && $whole != /* ]] || here=''\n"
	"\t_vdisk_lines < <(vdisk completion mounts 2>/dev/null |\n"
	"\t\twhile IFS= read -r dir; do printf '%s\\n' \"${dir#\"$here\"}\"; done)\n"
	"}\n"
	"\n"
	"# Operands: an image, the number or name of a partition, a directory.\n"
	"_vdisk_partition() {\n"
	"\tlocal typed whole kept operands=() i word\n"
	"\t_vdisk_split\n"
	"\tfor ((i = 2; i < ${#typed[@]}; i++)); do\n"
	"\t\tword=${typed[i]}\n"
	"\t\tif [[ $word != -* ]]; then\n"
	"\t\t\toperands+=(\"$word\")\n"
	"\t\telif [[ $1 == *\" $word \"* ]]; then\n"
	"\t\t\ti=$((i + 1))\n"
	"\t\tfi\n"
	"\tdone\n"
	"\tif [[ ${#operands[@]} == 0 ]]; then\n"
	"\t\t_vdisk_files\n"
	"\t\treturn\n"
	"\tfi\n"
	"\tword=${operands[0]}\n"
	"\t[[ $word != '~/'* ]] || word=$HOME/${word:2}\n"
	"\t_vdisk_lines < <(\n"
	"\t\t[[ ${#operands[@]} -gt 1 ]] || vdisk completion partitions \"$word\" "
	"2>/dev/null\n"
	"\t\tcompgen -d -- \"$whole\")\n"
	"}\n"
	"\n"
	"# WORDS FORMAT-OPTIONS: the name of a creation option, or after \"=\" its values.\n"
	"_vdisk_create() {\n"
	"\tlocal before='' word=$1 format=raw line\n"
	"\tif [[ $word == *,* ]]; then\n"
	"\t\tbefore=${word%,*},\n"
	"\t\tword=${word##*,}\n"
	"\tfi\n"
	"\t[[ ! $COMP_LINE =~ \\ ($2)[=\\ ]?([a-z0-9]+) ]] || format=${BASH_REMATCH[2]}\n"
	"\tCOMPREPLY=()\n"
	"\twhile IFS= read -r line; do\n"
	"\t\t[[ $line == \"$word\"* ]] || continue\n"
	"\t\tcase $word/$line in\n"
	"\t\t*=*/*=) ;;\n"
	"\t\t*=*/* | */*=) COMPREPLY+=(\"$before$line\") ;;\n"
	"\t\tesac\n"
	"\tdone < <(vdisk completion options \"$format\" 2>/dev/null)\n"
	"\tcompopt -o nospace\n"
	"\t[[ $1 != *=* || $COMP_WORDBREAKS != *=* ]] ||\n"
	"\t\tCOMPREPLY=(\"${COMPREPLY[@]#\"${1%=*}=\"}\")\n"
	"}\n";

static void print_bash(void)
{
	puts("# Bash completion for vdisk, generated by \"vdisk completion bash\".\n");
	puts(bash_words);
	puts(bash_helpers);
	puts(""
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

/* Escapes the characters that _arguments and _describe interpret. */
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

/* Prints an option after its name and "[". */
static void print_zsh_rest(const struct option_row *o)
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
		[VALUE_CREATE] = "->create",
	};

	print_zsh_text(o->help);
	putchar(']');
	if (o->kind != VALUE_NONE)
		printf("%s:%s:%s", o->kind == VALUE_SVG ? ":" : "", o->value, actions[o->kind]);
	putchar('\'');
}

static void print_zsh_option(const struct option_row *o)
{
	const char *assign = o->kind == VALUE_NONE ? "" : o->kind == VALUE_SVG ? "=-" : "=";

	if (o->letter) {
		printf(" \\\n\t\t\t'*-%c[", o->letter);
		print_zsh_rest(o);
	}
	printf(" \\\n\t\t\t'*--%s%s[", o->name, assign);
	print_zsh_rest(o);
}

/* Values with "->" are completed after _arguments, by its state. */
static void print_zsh_operands(const struct verb *v)
{
	switch (v->operand) {
	case OPERAND_FILE:
		fputs(" \\\n\t\t\t'*:image:_files'", stdout);
		return;
	case OPERAND_MOUNT:
		fputs(" \\\n\t\t\t'1:directory:_vdisk_mounts'", stdout);
		return;
	case OPERAND_PARTITION:
		fputs(" \\\n\t\t\t'1:image:_files' '2:partition:->partition' "
		      "'3:directory:_files -/'",
			stdout);
		return;
	case OPERAND_VERB:
	case OPERAND_SHELL:
		printf(" \\\n\t\t\t'*:%s:(", v->operand == OPERAND_VERB ? "verb" : "shell");
		print_operands(v);
		fputs(")'", stdout);
		return;
	}
}

static void print_zsh_verb(const struct verb *v)
{
	const struct option_row *format = format_option(v);

	printf("\t%s)\n\t\t_arguments -s -S", v->name);
	for (const struct option_row *o = v->options; o->key != OPT_END; o++)
		print_zsh_option(o);
	print_zsh_operands(v);
	if (has_kind(v, VALUE_CREATE))
		printf("\n\t\tformat=${opt_args[-%c]:-${opt_args[--%s]:-raw}}", format->letter,
			format->name);
	puts(" ;;");
}

static const char zsh_helpers[] =
	"_vdisk_formats() {\n"
	"\tcompadd -- ${(f)\"$(" LIST_FORMATS ")\"}\n"
	"}\n"
	"\n"
	"_vdisk_mounts() {\n"
	"\tcompadd -- ${(f)\"$(vdisk completion mounts 2>/dev/null)\"}\n"
	"}\n"
	"\n"
	"# The numbers and names of the partitions in IMAGE, or a directory.\n"
	"_vdisk_partitions() {\n"
	"\tcompadd -- ${(f)\"$(vdisk completion partitions $1 2>/dev/null)\"}\n"
	"\t_files -/\n"
	"}\n"
	"\n"
	"# FORMAT: the name of a creation option, or after \"=\" its values.\n"
	"_vdisk_create() {\n"
	"\tlocal -a candidates=(${(f)\"$(vdisk completion options $1 2>/dev/null)\"})\n"
	"\tcompset -P '*,'\n"
	"\tif [[ $PREFIX == *=* ]]; then\n"
	"\t\tcandidates=(${candidates:#*=})\n"
	"\telse\n"
	"\t\tcandidates=(${(M)candidates:#*=})\n"
	"\tfi\n"
	"\tcompadd -S '' -- $candidates\n"
	"}\n";

static void print_zsh(void)
{
	puts("#compdef vdisk\n"
	     "# Zsh completion for vdisk, generated by \"vdisk completion zsh\".\n"
	     "");
	puts(zsh_helpers);
	puts("_vdisk() {\n"
	     "\tlocal state format\n"
	     "\tlocal -a line\n"
	     "\tlocal -A opt_args\n"
	     "\tlocal -a verbs=(");
	for (const struct verb *v = verbs; v->name; v++) {
		printf("\t\t'%s:", v->name);
		print_zsh_text(v->summary);
		puts("'");
	}
	puts("\t)\n"
	     "\tif ((CURRENT == 2)); then\n"
	     "\t\t_describe verb verbs\n"
	     "\t\t_arguments '--help[print this help]' '--version[print the version]' "
	     "'--list-formats[list the formats]'\n"
	     "\t\treturn\n"
	     "\tfi\n"
	     "\tshift words\n"
	     "\t((CURRENT--))\n"
	     "\tcase $words[1] in");
	for (const struct verb *v = verbs; v->name; v++)
		print_zsh_verb(v);
	puts("\tesac\n"
	     "\tcase $state in\n"
	     "\tpartition) _vdisk_partitions ${(Q)line[1]} ;;\n"
	     "\tcreate) _vdisk_create $format ;;\n"
	     "\tesac\n"
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
		[VALUE_CREATE] = "",
	};
	const struct option_row *format = format_option(v);

	printf("complete -c vdisk -n '__fish_seen_subcommand_from %s'", v->name);
	if (o->letter)
		printf(" -s %c", o->letter);
	printf(" -l %s%s", o->name, values[o->kind]);
	if (o->kind == VALUE_CREATE)
		printf(" -x -a '(__vdisk_create -%c --%s)'", format->letter, format->name);
	fputs(" -d ", stdout);
	print_fish_text(o->help);
	putchar('\n');
}

static const char fish_helpers[] =
	"# The image among the words so far.\n"
	"function __vdisk_image\n"
	"\tfor word in (commandline -opc)[3..]\n"
	"\t\tif test -f $word\n"
	"\t\t\techo $word\n"
	"\t\t\treturn\n"
	"\t\tend\n"
	"\tend\n"
	"end\n"
	"\n"
	"# FORMAT-OPTION...: the name of a creation option, or after \"=\" its values.\n"
	"function __vdisk_create\n"
	"\tset -l format raw\n"
	"\tset -l typed (commandline -opc)\n"
	"\tset -l word (commandline -ct | string replace -r '^--?[a-z]+=?' '' | string "
	"collect -a)\n"
	"\tset -l before (string match -r '.*,' -- $word | string collect -a)\n"
	"\tfor i in (seq (count $typed))\n"
	"\t\tcontains -- $typed[$i] $argv; and set format $typed[(math $i + 1)]\n"
	"\t\tstring match -q -- \"$argv[2]=*\" $typed[$i]; and set format (string replace -- "
	"\"$argv[2]=\" '' $typed[$i])\n"
	"\tend\n"
	"\tfor line in (vdisk completion options $format 2>/dev/null)\n"
	"\t\tif string match -q '*=' -- $line\n"
	"\t\t\tstring match -rq '=[^,]*$' -- $word; and continue\n"
	"\t\telse\n"
	"\t\t\tstring match -rq '=[^,]*$' -- $word; or continue\n"
	"\t\tend\n"
	"\t\techo \"$before$line\"\n"
	"\tend\n"
	"end\n";

static void print_fish_operands(const struct verb *v)
{
	if (v->operand != OPERAND_FILE)
		printf("complete -c vdisk -n '__fish_seen_subcommand_from %s' ", v->name);
	switch (v->operand) {
	case OPERAND_MOUNT:
		puts("-f -a '(vdisk completion mounts 2>/dev/null)'");
		return;
	case OPERAND_PARTITION:
		puts("-a '(vdisk completion partitions (__vdisk_image) 2>/dev/null)'");
		return;
	case OPERAND_VERB:
	case OPERAND_SHELL:
		fputs("-f -a '", stdout);
		print_operands(v);
		puts("'");
		return;
	case OPERAND_FILE: /* the default of fish */
		return;
	}
}

static void print_fish(void)
{
	puts("# Fish completion for vdisk, generated by \"vdisk completion fish\".\n");
	puts(fish_helpers);
	for (const struct verb *v = verbs; v->name; v++) {
		printf("complete -c vdisk -n __fish_use_subcommand -f -a %s -d ", v->name);
		print_fish_text(v->summary);
		putchar('\n');
		for (const struct option_row *o = v->options; o->key != OPT_END; o++)
			print_fish_option(v, o);
		print_fish_operands(v);
	}
}

int run_completion(const struct args *a)
{
	const char *shell = a->n == 1 ? a->operands[0] : "";

	verbs = a->verbs;
	if (strcmp(shell, "bash") == 0)
		print_bash();
	else if (strcmp(shell, "zsh") == 0)
		print_zsh();
	else if (strcmp(shell, "fish") == 0)
		print_fish();
	else if (!candidates_print(a))
		return args_misused("Expecting a shell: bash, zsh or fish");
	return EXIT_SUCCESS;
}
