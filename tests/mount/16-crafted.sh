#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Every image of mkimage: valid ones that no tool here creates, hostile ones that must be refused with a message,
# and damaged ones of which exactly the damaged range must fail.
. "${0%/*}/functions.sh"
. "$here/hostile.sh"
requires jq

# image_of NAME: prints the file to mount; other files of that name are its extents and parents.
image_of() {
	local name=$1 suffix
	for suffix in ova vmdk qcow2 vdi vpc vhdx luks qcow qed bochs parallels; do
		[ -e "made/$name.$suffix" ] && echo "made/$name.$suffix" && return
	done
	echo "mkimage made no image for $name" >&2
	return 1
}

# The files get an old date: any write changes it, and the listing shows added or removed files.
dates_of() { stat -c '%n %s %y' made/*; }

good() {
	local image
	image=$(image_of "$1") || return 1
	matches "$image" "made/$1.raw" "${with[@]}"
}

hostile() {
	local image
	image=$(image_of "$1") || return 1
	mkdir -p refused-dir
	# A refusal that first allocates what the header claims would exceed this limit.
	(
		[ -n "$sanitized" ] || ulimit -v 400000
		within timeout "$patience" "$VDISKFS" "${with[@]}" "$image" "$W/refused-dir" 2>hostile.err
	)
	was_refused $? hostile.err .
}

# damaged NAME START LEN: exactly that range is EIO and the rest is right, also in a second reading; the daemon
# still answers.
damaged() {
	local name=$1 start=$2 end=$(($2 + $3)) ref=made/$1.raw image status=0
	image=$(image_of "$name") || return 1
	mount_image "$image" mnt || return 1
	finds "$start" "$end" -d -b $(((start | end) % 4096 ? 512 : 4096)) "$ref" || status=1
	# A read through the page cache fails for the whole page.
	finds $((start & -4096)) "$(least $(((end + 4095) & -4096)) "$(stat -c %s "$ref")")" "$ref" || status=1
	cmp -n $((start & -4096)) mnt/disk.raw "$ref" || status=1
	daemon_answers "$W/mnt" || status=1
	[ -n "$sanitized" ] || [ "$(memory_of "$(daemon_of "$W/mnt")")" -lt 64 ] || status=1
	unmount mnt || status=1
	return $status
}

# finds START END OPTION... REFERENCE: a scan finds exactly that range unreadable.
finds() {
	local range="error $1 $2"
	shift 2
	"$scan" "${@:1:$#-1}" mnt/disk.raw "${@: -1}" >found && shows_exactly found "$range"
}

least() { echo $(($1 < $2 ? $1 : $2)); }

[ -x "$MKIMAGE" ] || { fail "no mkimage at $MKIMAGE"; exit 1; }
"$MKIMAGE" --list >list || { fail "mkimage --list"; exit 1; }
mkdir made
printf mkimage >passphrase
while read -r name verdict format start len; do
	rm -f made/*
	"$MKIMAGE" "$name" made || { fail "$name: mkimage"; continue; }
	touch -d 2001-01-01 made/*
	before=$(dates_of)
	with=()
	[ "$format" != luks ] || with=(-o "passphrase-file=$W/passphrase")
	case $verdict in
	ok) check "$format $name: reads as its reference" good "$name" ;;
	refuse) check "$format $name: refused" hostile "$name" ;;
	readerror) check "$format $name: EIO at $start, $len bytes" damaged "$name" "$start" "$len" ;;
	*) fail "$name: unknown verdict \"$verdict\"" ;;
	esac
	[ "$before" = "$(dates_of)" ] || fail "$name: its files were changed"
done <list
check "the list has more than 50 images" [ "$(wc -l <list)" -gt 50 ]
