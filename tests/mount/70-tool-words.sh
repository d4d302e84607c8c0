#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# vdisk's command line: help, manual, README and completion document the same verbs and options; help and lists go
# to standard output.
. "${0%/*}/functions.sh"

man=$top/man/vdisk.1
prints() {
	"$VDISK" "$@" >printed 2>printed.err && [ -s printed ] && [ ! -s printed.err ]
}
fits() { ! grep -E '.{81}' printed; }
same_lists() {
	"$1" "${@:3}" >a
	"$2" "${@:3}" >b
	[ -s a ] && diff a b >&2
}

for o in -h --help help; do
	check "$o" prints $o
	check "$o prints the usage" grep -q '^Usage: vdisk ' printed
	check "$o prints at most 80 columns" fits
done
version=$(sed -n 's/^VERSION := //p' "$top/Makefile")
for o in -V --version; do
	check "$o" prints $o
	check "$o is the version of the Makefile" grep -qxE "vdisk ${version//./\\.}( \([^ ]+\))?" printed
done
check "--list-formats" prints --list-formats
"$VDISKFS" --list-formats | awk '{ print $1 }' >known
check "--list-formats has the formats of vdiskfs" eval 'diff <(awk "{ print \$1 }" printed) known'

verbs_of_help() { "$VDISK" --help | sed -n '/^Verbs:/,/^$/s/^    \([a-z]*\) .*/\1/p' | sort; }
verbs_of_manual() { sed -nE 's/^\.Ss ([a-z]+) .*/\1/p' "$man" | sort; }
verbs_of_readme() { grep -oE '^\| *`vdisk [a-z]+' "$top/README.md" | awk '{ print $NF }' | sort; }
check "help and manual have the same verbs" same_lists verbs_of_help verbs_of_manual
check "help and README have the same verbs" same_lists verbs_of_help verbs_of_readme

# One option a line, -x or --long.
options_of_help() {
	"$VDISK" "$1" --help | sed -n '/^Options:/,$p' | grep -oE -- '^    (-[a-zA-Z], )?--[a-z-]+' | grep -oE -- '--?[a-zA-Z-]+' | sort -u
}
items_of() { sed -nE "/$1/,/^\.S[sh]/s/^\.It (Fl .*)/\1/p" "$man" | grep -oE 'Fl -?[a-zA-Z-]+' | sed 's/Fl /-/'; }
# The manual describes the options of all or several verbs in one section; of these, only those count that the
# verb has in its help.
options_of_manual() {
	{
		items_of "^\.Ss $1 "
		items_of '^\.Ss Options of all verbs' | grep -xF -f <(options_of_help "$1")
	} | sort -u
}
options_of_bash() { sed -n "/^	$1)/,/^		words=/s/^		words='\(.*\)' ;;/\1/p" vdisk.bash | tr -s ' ' '\n' | sed 's/=$//; /^$/d' | sort -u; }
options_of_zsh() { sed -n "/^	$1)/,/;;$/p" vdisk.zsh | grep -oE -- "^			'\*--?[a-zA-Z-]+" | grep -oE -- '-.*' | sed 's/=-$//; s/-$//' | sort -u; }
options_of_fish() {
	grep -F "__fish_seen_subcommand_from $1'" vdisk.fish | grep -oE -- ' (-s [a-zA-Z]|-l [a-z-]+)' |
		sed 's/ -s /-/; s/ -l /--/' | sort -u
}
for shell in bash zsh fish; do
	check "completion $shell" eval '"$VDISK" completion $shell >vdisk.$shell'
	if command -v $shell >/dev/null; then
		check "$shell parses the completion" $shell -n vdisk.$shell
	else
		skip "$shell is not installed"
	fi
done
check_not "completion for an unknown shell" "$VDISK" completion csh
all_listed() { sort -u <(for v in $(verbs_of_help); do options_of_help "$v"; done); }
of_all_verbs() { items_of '^\.Ss Options of all verbs' | sort -u; }
check "the section of common options has no unused option" eval '! of_all_verbs | grep -vxF -f <(all_listed)'
for v in $(verbs_of_help); do
	check "$v --help" prints "$v" --help
	check "help $v prints the same" eval 'diff printed <("$VDISK" help $v)'
	check "$v --help prints at most 80 columns" fits
	check "$v: help and manual" same_lists options_of_help options_of_manual "$v"
	for shell in bash zsh fish; do
		check "$v: help and completion for $shell" same_lists options_of_help options_of_$shell "$v"
	done
done

check "help of an unknown verb" eval '! "$VDISK" help frobnicate 2>printed.err && grep -q "Command not found" printed.err'

# The library is used by two programs, so only hint.c may name options, in the words of each program.
check "the library names options only in hint.c" eval '! grep -rnE --include="*.c" "\"[^\"]*(-o [a-z]|vdisk(fs)? -|[^a-z]--[a-z])" \
	"$top/formats" | grep -vE "/hint\.c:|cryptsetup|qemu-img|vdisk (check|rebase)"'

# Misspelt words: the error suggests the right one.

suggests() { # WORD VDISK-ARGUMENT...: fails and suggests WORD
	local word=$1
	shift
	! "$VDISK" "$@" >printed 2>printed.err && cat printed.err >&2 && grep -qF -- "did you mean $word?" printed.err
}
check "a verb with a letter too many" suggests "'info'" infoo x
check "a verb with two letters swapped" suggests "'convert'" covnert a b
check "a verb after help" suggests "'measure'" help measrue
check "an option" suggests "'--output'" info --outptu=json x
check "an option without value" suggests "'--backing-chain'" info --backing-chian x
check "a format to create" suggests "'vmdk'" create -f vmkd x.vmdk 1M
check "a format to create, misspelt suffix" suggests "'vpc'" convert -O avhd one two
check "a format in capitals" suggests "'qcow2'" measure -O QCOW2 --size 1M
check "a format to open" suggests '"vhdx"' info -f vhddx "$man"
check "a format of a new backing file" suggests "'qcow2'" rebase -u -b b -F qcow3 x
check "an option of a format" suggests '"cluster_size"' create -f qcow2 -o cluster_sise=64k x.qcow2 1M
check "an unknown word like no verb: no suggestion" eval '! "$VDISK" frobnicate 2>printed.err && ! grep -q "did you" printed.err'
if command -v qemu-img >/dev/null; then
	qemu-img create -q -f qcow2 snaps.qcow2 1M
	qemu-img snapshot -c before-upgrade snaps.qcow2
	check "a snapshot to convert" suggests '"before-upgrade"' convert -l before-upgarde -O raw snaps.qcow2 x
	check "a snapshot to apply" suggests '"before-upgrade"' snapshot -a before_upgrade snaps.qcow2
	check "a snapshot to delete" suggests '"before-upgrade"' snapshot -d Before-upgrade snaps.qcow2
	check "a snapshot to mount" eval '! "$VDISKFS" -o snapshot=before-upgrad snaps.qcow2 . 2>printed.err && grep -q "did you mean \"before-upgrade\"" printed.err'
	check "an option of vdiskfs" eval '! "$VDISKFS" -o nosnapshot snaps.qcow2 . 2>printed.err && grep -q "did you mean \"nosnapshots\"" printed.err'
	rm snaps.qcow2
fi
names_the_words() { ! "$VDISK" create -f vmdk -o subformat=sparse x.vmdk 1M 2>printed.err && grep -q "monolithicSparse, " printed.err; }
check "the values of an option are listed" names_the_words
check "the failed commands created no file" eval '[ -z "$(ls x* 2>/dev/null)" ]'

# The completion in bash.

completes() { # LINE WORD...: the completions of the line are exactly these
	local line=$1 got
	shift
	got=$(bash -c '
		. ./vdisk.bash
		vdisk() { "$VDISK" "$@"; }
		compopt() { :; }
		COMP_LINE=$1 COMP_POINT=${#1} COMP_WORDBREAKS="=:"
		read -ra COMP_WORDS <<<"${1//=/ = }"
		[[ $1 != *" " && $1 != *= ]] || COMP_WORDS+=("")
		COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
		_vdisk
		printf "%s\n" "${COMPREPLY[@]}"' -- "$line" | sort | tr '\n' ' ')
	echo "$got" >&2
	[ "$got" = "$(printf '%s\n' "$@" | sort | tr '\n' ' ')" ]
}
export VDISK
touch one.qcow2 two.qcow2
check "bash completes verbs" completes "vdisk compa" compare
check "bash completes options" completes "vdisk info --back" --backing-chain
check "bash completes output formats" completes "vdisk info --output=" human json
check "bash completes image formats" completes "vdisk info -f qc" qcow qcow2
check "bash completes files" completes "vdisk info one" one.qcow2
check "bash completes verbs after help" completes "vdisk help compl" completion
check "bash completes creation options after -o" completes "vdisk create -f qcow2 -o clu" cluster_size=
check "bash completes creation options of the output format" completes "vdisk convert -f qcow2 -O vmdk one.qcow2 -o sub" subformat=
check "bash completes the second creation option" completes "vdisk create -f qcow2 -o cluster_size=64k,compa" 64k,compat=
check "bash completes values of creation options" completes "vdisk create -f qcow2 --options=compat=" 0.10 1.1 v2 v3
check "bash completes on and off" completes "vdisk create -f qcow2 -o lazy_refcounts=o" on off
truncate -s 16M parts.raw
sfdisk -q parts.raw <<-'END'
	label: gpt
	start=2048, size=8192, name="my part"
	start=10240, size=8192, name="a/b, c"
	start=18432, size=8192, name="x:y=z"
END
mkfs.ext4 -q -L mine -E offset=$((2048 * 512)) parts.raw 4M
mkdir -p mydir other
check "bash completes partitions by number and by name" completes "vdisk mount parts.raw " 1 2 3 mine 'my part' 'a/b, c' x:y=z mydir other
check "bash completes partitions after options with values" completes "vdisk mount --rw -f raw --allow=other parts.raw m" mine 'my part' mydir
check "bash completes a quoted name" completes "vdisk mount parts.raw 'my p" 'my part'
check "bash completes a name with a backslash" completes 'vdisk mount parts.raw my\ p' 'my part'
check "bash completes a name with a colon" completes "vdisk mount parts.raw x:" y=z
check "bash completes directories after a partition" completes "vdisk mount parts.raw 1 m" mydir
check "bash completes images before a partition" completes "vdisk mount parts" parts.raw
mounts_completed() {
	mkdir -p mnt 'mnt 2' && "$VDISKFS" one.qcow2 mnt && "$VDISKFS" parts.raw 'mnt 2' &&
		completes "vdisk umount $W/" "$W/mnt" "$W/mnt 2" && completes "vdisk umount m" mnt 'mnt 2' && completes "vdisk umount mnt\\ " 'mnt 2'
}
qemu-img create -q -f qcow2 one.qcow2 1M
check "bash completes mounts" mounts_completed
fish_completes() { # LINE WORD...
	local line=$1
	shift
	fish -N -c 'function vdisk; command $VDISK $argv; end; source vdisk.fish; complete -C "$argv[1]"' "$line" | cut -f 1 | sort >completed
	cat completed >&2
	diff completed <(printf '%s\n' "$@" | sort)
}
if command -v fish >/dev/null; then
	check "fish completes partitions" fish_completes "vdisk mount parts.raw my" mydir/ 'my part'
	check "fish completes mounts" fish_completes "vdisk umount $W/" "$W/mnt" "$W/mnt 2"
	check "fish completes creation options after -o" fish_completes "vdisk create --format=qcow2 -o cluster_size=64k,compa" cluster_size=64k,compat=
	check "fish completes values of creation options" fish_completes "vdisk convert -f vmdk -O qcow2 -o compat=v" compat=v2 compat=v3
	fish_dir() { make -s -n -C "$top" install DESTDIR=/dest "$@" | sed -n 's,.*> "/dest\(.*\)/vdisk.fish"$,\1,p'; }
	fish_looks() { [ -n "$1" ] && env -u XDG_DATA_DIRS HOME="$W" fish -c 'contains -- $argv[1] $fish_complete_path' "$1"; }
	check "fish searches the directory of make install" fish_looks "$(fish_dir)"
	check "fish searches the directory of make install with PREFIX=/usr" fish_looks "$(fish_dir PREFIX=/usr)"
else
	skip "fish is not installed"
fi
unmount mnt
unmount 'mnt 2'
