#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# vdisk check beside qemu-img's: every damage that is planted and found by qemu-img is found, and
# qcow2 images are mended to the same disk.
. "${0%/*}/functions.sh"
requires qemu-img qemu-io

some_data half.raw 3M
truncate -s 8M half.raw
convert_to() { qemu-img convert -q -f raw "$@"; }
convert_to -O qcow2 -o cluster_size=4k half.raw good.qcow2
convert_to -c -O qcow2 -o cluster_size=4k half.raw packed.qcow2
convert_to -O vdi half.raw good.vdi
convert_to -O vmdk half.raw good.vmdk
convert_to -O vhdx -o block_size=1M half.raw good.vhdx
convert_to -O vpc half.raw good.vpc

# What a check finds: 0 nothing, 1 that it cannot be looked at, 2 corruptions, 3 leaks.
theirs() { qemu-img check -q -f "$format" "$@" >/dev/null 2>&1; }
ours() { "$VDISK" check -q -f "$format" "$@"; }

for format in qcow2 vdi vmdk vhdx vpc; do
	check "nothing is found in a good $format" ours good.$format
done

# Damaged images of all kinds and several seeds, a test each kind.

# found FILE: what they find, we find; in qcow2 it is the same.
found() {
	local they we
	ours "$1"
	we=$?
	[ $format != vpc ] || { [ $we -gt 1 ]; return; }
	theirs "$1"
	they=$?
	[ $format != qcow2 ] || { [ $we = $they ]; return; }
	[ $they = 0 ] || [ $we != 0 ]
}

same_disk() { qemu-img compare -q -f qcow2 -F qcow2 "$1" "$2"; }

# Both mend it, and are then as content with it; where both can read the disk, it is the same one.
# Where qemu-img gives up, we may be better: it is satisfied then, and reads as before.
mended() {
	local they we
	cp "$1" mended.theirs
	cp "$1" mended.ours
	theirs -r all mended.theirs
	they=$?
	ours -r all mended.ours
	we=$?
	[ "$they $we" != "1 0" ] || { theirs mended.ours && same_disk "$1" mended.ours; return; }
	[ $we = $they ] || { echo "status $we, of qemu-img $they"; return 1; }
	theirs mended.theirs
	they=$?
	theirs mended.ours
	we=$?
	[ $we = $they ] || { echo "then $we, of qemu-img $they"; return 1; }
	same_disk mended.theirs mended.ours
	we=$?
	[ $we = 0 ] && return
	# What cannot be read is not to be read in either.
	[ $we -gt 1 ] && ! qemu-img convert -f qcow2 -O raw mended.theirs theirs.raw &&
		! qemu-img convert -f qcow2 -O raw mended.ours ours.raw
}

# Is it well again, or left as it is by what says so?  What was mended reads as before.
mended_by_us() {
	local before after
	"$VDISK" convert -f "$format" -O raw "$1" before.raw 2>/dev/null
	before=$?
	ours -r all "$1"
	"$VDISK" convert -f "$format" -O raw "$1" after.raw 2>/dev/null
	after=$?
	[ $before = $after ] && { [ $before != 0 ] || cmp before.raw after.raw; }
}

each_seed() {
	local seed from=good
	[ "$damage" != packed-past-end ] || from=packed
	for seed in 1 2; do
		cp $from."$format" bad."$format"
		"$MKIMAGE" --corrupt "$format" "$damage" bad."$format" $seed || return 1
		"$@" bad."$format" || { echo "seed $seed"; return 1; }
	done
}

"$MKIMAGE" --corruptions >kinds
while read -r format damage; do
	check "$format $damage is found" each_seed found
	if [ "$format" = qcow2 ]; then
		check "$format $damage is mended as by qemu-img" each_seed mended
	else
		check "$format $damage: a repair costs nothing" each_seed mended_by_us
	fi
done <kinds
