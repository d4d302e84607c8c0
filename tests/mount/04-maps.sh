#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# The maps (README.md, and that of formats/, fuse/, tools/ and tests/) name only files, functions, structures and
# identifiers of the source, and only links that lead to a file.
#
# In backticks, outside of indented blocks, a map writes
#   view/write.c    a path from the map's folder or from the top; of one with NAME, NN or FOLDER in it, the folders before
#   write.c         a file somewhere in the map's folder
#   view_read()     a function that is defined; with a .c file in brackets after it, in that file
#   struct view     a structure that is defined
#   request_lock    an identifier, known by its underscore
# README.md describes mounts as well: there only a path that begins with a folder of the source counts as one.
. "${0%/*}/functions.sh"

cd "$top" || exit 1
folders=(formats fuse tools tests)

find "${folders[@]}" -name '*.[ch]' -exec cat {} + >"$W/source"
# A function's first line begins in column 0, as does the brace after its last one.
awk '
	/^[a-zA-Z_].*\(/ { name = $0; sub(/\(.*/, "", name); sub(/.*[ *]/, "", name) }
	/^}/ || /;$/ { name = "" }
	/^\{/ && name != "" { print name; name = "" }
	/^(typedef )?struct [a-z0-9_]+ \{/ { sub(/^typedef /, ""); print "struct " $2 }' "$W/source" | sort -u >"$W/defined"
grep -ohE '[A-Za-z_][A-Za-z0-9_]*_[A-Za-z0-9_]+' "$W/source" | sort -u >"$W/identifiers"

quoted() { grep -v '^    ' "$1" | grep -oE '`[^`]+`' | tr -d '`' | sort -u; }
links() { grep -v '^    ' "$1" | grep -oE '\]\([^)#]+' | sed 's/^](//; /^[a-z]*:/d' | sort -u; }

# Functions with the file that defines them, `view_read()` (`view/view.c`), a pair a line.
placed() { grep -oE '`[a-z0-9_]+\(\)` \(`[^`]+\.c`' "$1" | sed -E 's/`([a-z0-9_]+)\(\)` \(`(.*)`/\1 \2/' | sort -u; }
is_defined_in() { # FUNCTION FILE
	grep -qE "^([a-z].*[ *])?$1\(" "$2" 2>/dev/null
}

exists_as_path() { [ -e "$1/$2" ] || [ -e "$2" ]; }
exists_by_name() { [ -n "$(find "$1" -name "$2" -not -path './build/*' -print -quit)" ]; }

# unknown MAP [FOLDER]: prints the names of the map that stand for nothing.
unknown() {
	local map=$1 folder=${2:-$(dirname "$1")} name file
	while read -r name; do [ -e "$folder/$name" ] || echo "link to $name"; done < <(links "$map")
	while read -r name; do
		[[ ! $name =~ ^([^A-Z]*/)?[a-z_]*(NAME|NN-|FOLDER) ]] || name=${BASH_REMATCH[1]}
		if [[ $name =~ ^[a-z_][a-z0-9_]*\(\)$ ]]; then
			grep -qxF -- "${name%??}" "$W/defined" || echo "function $name"
		elif [[ $name =~ ^struct\ [a-z0-9_]+$ ]]; then
			grep -qxF -- "$name" "$W/defined" || echo "$name"
		elif [[ $name =~ ^[A-Za-z0-9_.][A-Za-z0-9_.-]*/[A-Za-z0-9_./-]*$ ]]; then
			[ "$folder" != . ] || [[ " ${folders[*]} " == *" ${name%%/*} "* ]] || continue
			exists_as_path "$folder" "$name" || echo "path $name"
		elif [[ $name =~ ^[A-Za-z0-9_-]+\.(c|h|sh)$ ]]; then
			exists_by_name "$folder" "$name" || echo "file $name"
		elif [[ $name =~ ^[A-Za-z][A-Za-z0-9_]*_[A-Za-z0-9_]+$ && $folder != . ]]; then
			grep -qxF -- "$name" "$W/identifiers" || echo "identifier $name"
		fi
	done < <(quoted "$map")
	while read -r name file; do
		is_defined_in "$name" "$folder/$file" || is_defined_in "$name" "$file" || echo "$name in $file"
	done < <(placed "$map")
}
all_known() { [ -s "$1" ] && ! unknown "$@" | grep . >&2; }

for map in README.md "${folders[@]/%//README.md}"; do
	check "$map names only what exists" all_known "$map"
done
for map in "${folders[@]/%//README.md}"; do
	check "README.md links $map" grep -qF "]($map)" README.md
done
hints_exist() { # PAGE
	local hint
	sed -n 's/^hint: //p' "$1" >"$W/hints" && [ -s "$W/hints" ] || return 1
	while read -r hint; do grep -F -- "\"%o ${hint#-o * }\"" formats/util/hint.c || return 1; done <"$W/hints"
}
check "vdiskfs.1 quotes a hint that exists" hints_exist man/vdiskfs.1

# Each kind of name is one that can be missed.
missed() { # LINE PATTERN
	printf '%s\n' "$1" >"$W/map"
	[ "$(unknown "$W/map" formats)" = "$2" ]
}
check "a path that is not there is found" missed 'See `view/nowhere.c`.' 'path view/nowhere.c'
check "and a folder" missed 'See `nowhere/`.' 'path nowhere/'
check "and a file" missed 'See `nowhere.h`.' 'file nowhere.h'
check "and a link" missed 'See [it](nowhere/README.md).' 'link to nowhere/README.md'
check "and a function" missed '`view_frobnicate()` reads.' 'function view_frobnicate()'
check "and one that is only used" missed '`memcpy()` copies.' 'function memcpy()'
check "and a structure" missed 'a `struct frobnicate`' 'struct frobnicate'
check "and an identifier" missed 'under `frobnicate_lock`' 'identifier frobnicate_lock'
check "and a function in another file" missed '`view_read()` (`view/write.c`)' 'view_read in view/write.c'
check "those that are there are not" missed '`view_read()` (`view/view.c`), `view/view.c`, `view.c`, `view/`, `view_read()`, `struct view`, `view_read`' ''

# So do includes, and the size of files and functions.

check "includes go down" "$top/tests/layers"
mkdir -p "$W/tree/formats/util" "$W/tree/formats/io" "$W/tree/fuse" "$W/tree/tools"
: >"$W/tree/formats/io/io.h"
breaks() { # LINE PATTERN: of a file in formats/util
	printf '%b' "$1" >"$W/tree/formats/util/a.c"
	! "$top/tests/layers" "$W/tree" >"$W/found" && grep -qE -- "$2" "$W/found"
}
check "an include that goes up is found" breaks '#include "io/io.h"\n' 'formats/util must not include formats/io'
check "and one that leads nowhere" breaks '#include "io/nowhere.h"\n' 'no such header'
check "and a file of 601 lines" breaks "$(printf '\\n%.0s' {1..601})" 'more than 600 lines'
check "and a function of 61 lines" breaks "{$(printf '\\n%.0s' {1..61})}\\n" 'a function of'
check "and a loop inside of four blocks" breaks '\t\t\t\t\tfor (;;)\n' 'nested deeper'
check "a tree without any is sound" eval ': >"$W/tree/formats/util/a.c" && "$top/tests/layers" "$W/tree"'
