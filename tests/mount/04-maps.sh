#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# The maps (README.md and those of formats/, fuse/, tools/ and tests/) name only files, functions, structures and
# identifiers that are in the source, and link only to existing files.
#
# Names in backticks, outside of indented blocks:
#   view/write.c    a path from the map's folder or from the top; if it contains NAME, NN or FOLDER, the part before
#   write.c         a file in the map's folder or below
#   view_read()     a function that is defined; with a .c file in brackets after it, in that file
#   struct view     a structure that is defined
#   request_lock    an identifier; its underscore distinguishes it from a word
# README.md also names paths in mounts, so there only a path that begins with a folder of the source is checked.
. "${0%/*}/functions.sh"

cd "$top" || exit 1
folders=(formats fuse tools tests)

find "${folders[@]}" -name '*.[ch]' -exec cat {} + >"$W/source"
# A function's first line begins in column 0, as does the brace that ends it.
awk '
	/^[a-zA-Z_].*\(/ { name = $0; sub(/\(.*/, "", name); sub(/.*[ *]/, "", name) }
	/^}/ || /;$/ { name = "" }
	/^\{/ && name != "" { print name; name = "" }
	/^(typedef )?struct [a-z0-9_]+ \{/ { sub(/^typedef /, ""); print "struct " $2 }' "$W/source" | sort -u >"$W/defined"
grep -ohE '[A-Za-z_][A-Za-z0-9_]*_[A-Za-z0-9_]+' "$W/source" | sort -u >"$W/identifiers"

quoted() { grep -v '^    ' "$1" | grep -oE '`[^`]+`' | tr -d '`' | sort -u; }
links() { grep -v '^    ' "$1" | grep -oE '\]\([^)#]+' | sed 's/^](//; /^[a-z]*:/d' | sort -u; }

# Prints function and file of each pair like `view_read()` (`view/view.c`).
placed() { grep -oE '`[a-z0-9_]+\(\)` \(`[^`]+\.c`' "$1" | sed -E 's/`([a-z0-9_]+)\(\)` \(`(.*)`/\1 \2/' | sort -u; }
is_defined_in() { # FUNCTION FILE
	grep -qE "^([a-z].*[ *])?$1\(" "$2" 2>/dev/null
}

exists_as_path() { [ -e "$1/$2" ] || [ -e "$2" ]; }
exists_by_name() { [ -n "$(find "$1" -name "$2" -not -path './build/*' -print -quit)" ]; }

# unknown MAP [FOLDER]: prints the names of the map that do not exist.
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

# Each kind of name is detected when it does not exist.
missed() { # LINE PATTERN
	printf '%s\n' "$1" >"$W/map"
	[ "$(unknown "$W/map" formats)" = "$2" ]
}
check "a missing path is detected" missed 'See `view/nowhere.c`.' 'path view/nowhere.c'
check "a missing folder is detected" missed 'See `nowhere/`.' 'path nowhere/'
check "a missing file is detected" missed 'See `nowhere.h`.' 'file nowhere.h'
check "a broken link is detected" missed 'See [it](nowhere/README.md).' 'link to nowhere/README.md'
check "an undefined function is detected" missed '`view_frobnicate()` reads.' 'function view_frobnicate()'
check "a function of libc, used but not defined, is detected" missed '`memcpy()` copies.' 'function memcpy()'
check "an undefined structure is detected" missed 'a `struct frobnicate`' 'struct frobnicate'
check "an unknown identifier is detected" missed 'under `frobnicate_lock`' 'identifier frobnicate_lock'
check "a function named with a wrong file is detected" missed '`view_read()` (`view/write.c`)' 'view_read in view/write.c'
check "existing names are accepted" missed '`view_read()` (`view/view.c`), `view/view.c`, `view.c`, `view/`, `view_read()`, `struct view`, `view_read`' ''

# tests/layers detects includes that go upwards and files and functions that are too long.

check "includes of the tree go down" "$top/tests/layers"
mkdir -p "$W/tree/formats/util" "$W/tree/formats/io" "$W/tree/fuse" "$W/tree/tools"
: >"$W/tree/formats/io/io.h"
breaks() { # LINE PATTERN: in a file of formats/util
	printf '%b' "$1" >"$W/tree/formats/util/a.c"
	! "$top/tests/layers" "$W/tree" >"$W/found" && grep -qE -- "$2" "$W/found"
}
check "an include that goes up is detected" breaks '#include "io/io.h"\n' 'formats/util must not include formats/io'
check "an include of a missing header is detected" breaks '#include "io/nowhere.h"\n' 'no such header'
check "a file of 601 lines is detected" breaks "$(printf '\\n%.0s' {1..601})" 'more than 600 lines'
check "a function of 61 lines is detected" breaks "{$(printf '\\n%.0s' {1..61})}\\n" 'a function of'
check "a loop inside of four blocks is detected" breaks '\t\t\t\t\tfor (;;)\n' 'nested deeper'
check "tests/layers accepts an empty file" eval ': >"$W/tree/formats/util/a.c" && "$top/tests/layers" "$W/tree"'
