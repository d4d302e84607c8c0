#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# vdisk's command line: help, manual, README and completion tell of the same verbs and options, and
# what only asks is answered on standard output.
. "${0%/*}/functions.sh"

man=$top/man/vdisk.1
tells() {
	"$VDISK" "$@" >told 2>told.err && [ -s told ] && [ ! -s told.err ]
}
fits() { ! grep -E '.{81}' told; }
same_lists() {
	"$1" "${@:3}" >a
	"$2" "${@:3}" >b
	[ -s a ] && diff a b >&2
}

for o in -h --help help; do
	check "$o" tells $o
	check "$o says how to call it" grep -q '^Usage: vdisk ' told
	check "$o fits a terminal" fits
done
version=$(sed -n 's/^VERSION := //p' "$top/Makefile")
for o in -V --version; do
	check "$o" tells $o
	check "$o is that of the Makefile" grep -qx "vdisk $version" told
done
check "--list-formats" tells --list-formats
"$VDISKFS" --list-formats | awk '{ print $1 }' >known
check "--list-formats has those of vdiskfs" eval 'diff <(awk "{ print \$1 }" told) known'

verbs_of_help() { "$VDISK" --help | sed -n '/^Verbs:/,/^$/s/^    \([a-z]*\) .*/\1/p' | sort; }
verbs_of_manual() { sed -nE 's/^\.Ss ([a-z]+) .*/\1/p' "$man" | sort; }
verbs_of_readme() { grep -oE '^\| *`vdisk [a-z]+' "$top/README.md" | awk '{ print $NF }' | sort; }
check "help and manual have the same verbs" same_lists verbs_of_help verbs_of_manual
check "help and README have the same verbs" same_lists verbs_of_help verbs_of_readme

# One option a line, "-x" or "--long".
options_of_help() {
	"$VDISK" "$1" --help | sed -n '/^Options:/,$p' | grep -oE -- '^    (-[a-zA-Z], )?--[a-z-]+' | grep -oE -- '--?[a-zA-Z-]+' | sort
}
items_of() { sed -nE "/$1/,/^\.S[sh]/s/^\.It (Fl .*)/\1/p" "$man" | grep -oE 'Fl -?[a-zA-Z-]+' | sed 's/Fl /-/'; }
# What all verbs have and what several have stands at the beginning; of the latter only what the
# verb has counts.
options_of_manual() {
	{
		items_of "^\.Ss $1 "
		items_of '^\.Ss Options of all verbs' | grep -xF -f <(options_of_help "$1")
	} | sort -u
}
options_of_bash() { sed -n "/^	$1)/,/^		words=/s/^		words='\(.*\)' ;;/\1/p" vdisk.bash | tr -s ' ' '\n' | sed 's/=$//; /^$/d' | sort; }
options_of_zsh() { sed -n "/^	$1)/,/;;$/p" vdisk.zsh | grep -oE -- "^			'\*--?[a-zA-Z-]+" | grep -oE -- '-.*' | sed 's/=-$//; s/-$//' | sort; }
options_of_fish() {
	grep -F "__fish_seen_subcommand_from $1'" vdisk.fish | grep -oE -- ' (-s [a-zA-Z]|-l [a-z-]+)' |
		sed 's/ -s /-/; s/ -l /--/' | sort
}
for shell in bash zsh fish; do
	check "completion $shell" eval '"$VDISK" completion $shell >vdisk.$shell'
	if command -v $shell >/dev/null; then
		check "$shell can read it" $shell -n vdisk.$shell
	else
		skip "$shell is not installed"
	fi
done
check_not "completion of another shell" "$VDISK" completion csh
all_listed() { sort -u <(for v in $(verbs_of_help); do options_of_help "$v"; done); }
of_all_verbs() { items_of '^\.Ss Options of all verbs' | sort -u; }
check "no option of all verbs is one of none" eval '! of_all_verbs | grep -vxF -f <(all_listed)'
for v in $(verbs_of_help); do
	check "$v --help" tells "$v" --help
	check "help $v is the same" eval 'diff told <("$VDISK" help $v)'
	check "$v --help fits a terminal" fits
	check "$v: help and manual" same_lists options_of_help options_of_manual "$v"
	for shell in bash zsh fish; do
		check "$v: help and completion for $shell" same_lists options_of_help options_of_$shell "$v"
	done
done

check "help of a verb that there is not" eval '! "$VDISK" help frobnicate 2>told.err && grep -q "Command not found" told.err'

# The library knows no command line: what names an option is in hint.c, in the words of each program.
check "no option is named by the library" eval '! grep -rnE --include="*.c" "\"[^\"]*(-o [a-z]|vdisk(fs)? -|[^a-z]--[a-z])" \
	"$top/formats" | grep -vE "/hint\.c:|cryptsetup|qemu-img|vdisk (check|rebase)"'

# What is misspelt.

meant() { # WORD VDISK-ARGUMENT...: it fails and asks whether WORD was meant
	local word=$1
	shift
	! "$VDISK" "$@" >told 2>told.err && cat told.err >&2 && grep -qF -- "did you mean $word?" told.err
}
check "a verb: an 'o' too many" meant "'info'" infoo x
check "a verb: letters swapped" meant "'convert'" covnert a b
check "a verb after help" meant "'measure'" help measrue
check "an option" meant "'--output'" info --outptu=json x
check "an option without value" meant "'--backing-chain'" info --backing-chian x
check "a format to make" meant "'vmdk'" create -f vmkd x.vmdk 1M
check "a format to make, by its suffix" meant "'vpc'" convert -O avhd one two
check "a format in capitals" meant "'qcow2'" measure -O QCOW2 --size 1M
check "a format to read" meant '"vhdx"' info -f vhddx "$man"
check "a format of a new backing file" meant "'qcow2'" rebase -u -b b -F qcow3 x
check "an option of a format" meant '"cluster_size"' create -f qcow2 -o cluster_sise=64k x.qcow2 1M
check "what is like no verb is not guessed" eval '! "$VDISK" frobnicate 2>told.err && ! grep -q "did you" told.err'
if command -v qemu-img >/dev/null; then
	qemu-img create -q -f qcow2 snaps.qcow2 1M
	qemu-img snapshot -c before-upgrade snaps.qcow2
	check "a snapshot to convert" meant '"before-upgrade"' convert -l before-upgarde -O raw snaps.qcow2 x
	check "a snapshot to apply" meant '"before-upgrade"' snapshot -a before_upgrade snaps.qcow2
	check "a snapshot to delete" meant '"before-upgrade"' snapshot -d Before-upgrade snaps.qcow2
	check "a snapshot to mount" eval '! "$VDISKFS" -o snapshot=before-upgrad snaps.qcow2 . 2>told.err && grep -q "did you mean \"before-upgrade\"" told.err'
	check "an option of vdiskfs" eval '! "$VDISKFS" -o nosnapshot snaps.qcow2 . 2>told.err && grep -q "did you mean \"nosnapshots\"" told.err'
	rm snaps.qcow2
fi
names_the_words() { ! "$VDISK" create -f vmdk -o subformat=sparse x.vmdk 1M 2>told.err && grep -q "monolithicSparse, " told.err; }
check "the words that an option takes are named" names_the_words
check "and none of it made a file" eval '[ -z "$(ls x* 2>/dev/null)" ]'

# The bash completion at work.

completes() { # LINE WORD...: completing the line gives just these
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
check "and options" completes "vdisk info --back" --backing-chain
check "and forms" completes "vdisk info --output=" human json
check "and formats" completes "vdisk info -f qc" qcow qcow2
check "and files" completes "vdisk info one" one.qcow2
check "and verbs to be explained" completes "vdisk help compl" completion
check "and names behind -o" completes "vdisk create -f qcow2 -o clu" cluster_size=
check "of the format that is made" completes "vdisk convert -f qcow2 -O vmdk one.qcow2 -o sub" subformat=
check "the next one of several" completes "vdisk create -f qcow2 -o cluster_size=64k,compa" 64k,compat=
check "and their values" completes "vdisk create -f qcow2 --options=compat=" 0.10 1.1 v2 v3
check "on and off" completes "vdisk create -f qcow2 -o lazy_refcounts=o" on off
truncate -s 16M parts.raw
sfdisk -q parts.raw <<-'END'
	label: gpt
	start=2048, size=8192, name="my part"
	start=10240, size=8192, name="a/b, c"
	start=18432, size=8192, name="x:y=z"
END
mkfs.ext4 -q -L mine -E offset=$((2048 * 512)) parts.raw 4M
mkdir -p mydir other
check "and partitions, by number and by name" completes "vdisk mount parts.raw " 1 2 3 mine 'my part' 'a/b, c' x:y=z mydir other
check "behind options and their values" completes "vdisk mount --rw -f raw --allow=other parts.raw m" mine 'my part' mydir
check "quoted" completes "vdisk mount parts.raw 'my p" 'my part'
check "with a backslash" completes 'vdisk mount parts.raw my\ p' 'my part'
check "what readline breaks" completes "vdisk mount parts.raw x:" y=z
check "and directories behind that" completes "vdisk mount parts.raw 1 m" mydir
check "and images before it" completes "vdisk mount parts" parts.raw
mounts_completed() {
	mkdir -p mnt 'mnt 2' && "$VDISKFS" one.qcow2 mnt && "$VDISKFS" parts.raw 'mnt 2' &&
		completes "vdisk umount $W/" "$W/mnt" "$W/mnt 2" && completes "vdisk umount m" mnt 'mnt 2' && completes "vdisk umount mnt\\ " 'mnt 2'
}
qemu-img create -q -f qcow2 one.qcow2 1M
check "and mounts" mounts_completed
fish_completes() { # LINE WORD...
	local line=$1
	shift
	fish -N -c 'function vdisk; command $VDISK $argv; end; source vdisk.fish; complete -C "$argv[1]"' "$line" | cut -f 1 | sort >completed
	cat completed >&2
	diff completed <(printf '%s\n' "$@" | sort)
}
if command -v fish >/dev/null; then
	check "fish completes partitions" fish_completes "vdisk mount parts.raw my" mydir/ 'my part'
	check "and mounts" fish_completes "vdisk umount $W/" "$W/mnt" "$W/mnt 2"
	check "and names behind -o" fish_completes "vdisk create --format=qcow2 -o cluster_size=64k,compa" cluster_size=64k,compat=
	check "and their values" fish_completes "vdisk convert -f vmdk -O qcow2 -o compat=v" compat=v2 compat=v3
	fish_dir() { make -s -n -C "$top" install DESTDIR=/dest "$@" | sed -n 's,.*> /dest\(.*\)/vdisk.fish$,\1,p'; }
	fish_looks() { [ -n "$1" ] && env -u XDG_DATA_DIRS HOME="$W" fish -c 'contains -- $argv[1] $fish_complete_path' "$1"; }
	check "fish looks where make install puts it" fish_looks "$(fish_dir)"
	check "and below /usr" fish_looks "$(fish_dir PREFIX=/usr)"
else
	skip "fish is not installed"
fi
unmount mnt
unmount 'mnt 2'
