#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Readahead follows the map: what a sequential reader will read next is in the page cache of the host, in whichever
# order and file it lies, and nothing else is; a random reader gets nothing that it does not read.  So do the verbs
# that read a whole disk.
. "${0%/*}/functions.sh"
requires qemu-img qemu-io fusermount3

cached=$BUILD/tests/mount/cached
slow=$BUILD/tests/bench/slow
mb=64
seed=$(seed_of order)

# scatter FILE FIRST STEP: writes each STEP-th 64 KiB unit from FIRST on, in random order.
scatter() {
	seq "$2" "$3" $((mb * 16 - 1)) | shuf --random-source=<(yes "$seed") |
		awk '{ print "write -q -P", 1 + $1 % 250, $1 * 64 "k 64k" }' | qemu-io -f qcow2 "$1" >qemu-io.log
}

mkdir images
noise "$seed" $((mb << 17)) >eighth
for _ in 1 2 3 4 5 6 7 8; do cat eighth; done >images/disk.raw
truncate -s ${mb}M images/disk.raw
qemu-img create -q -f qcow2 images/scattered.qcow2 ${mb}M && scatter images/scattered.qcow2 0 1 || exit 1
cp images/scattered.qcow2 images/base.qcow2
qemu-img create -q -f qcow2 -b base.qcow2 -F qcow2 images/chain.qcow2 && scatter images/chain.qcow2 1 2 || exit 1
for format in vmdk vdi vpc vhdx; do
	qemu-img convert -f raw -O $format images/disk.raw images/disk.$format || exit 1
done
qemu-img convert -f raw -O qcow2 -c images/disk.raw images/deflate.qcow2 &&
	qemu-img convert -f raw -O vmdk -o subformat=streamOptimized images/disk.raw images/stream.vmdk || exit 1

# QEMU does not report the positions of a VHDX file.
map=qemu-img
# ranges IMAGE START END: prints "FILE POSITION LENGTH" for what stores these MiB of the disk.
ranges() {
	$map map --output=json "$1" | awk -v start="$2" -v end="$3" '
		BEGIN { FS = "[:,}]"; start *= 1048576; end *= 1048576 }
		{
			gsub(/["{\[ ]/, "")
			for (i = 1; i < NF; i++) v[$i] = $(i + 1)
			from = v["start"]; to = from + v["length"]
			if (v["data"] != "true" || to <= start || from >= end) next
			a = from < start ? start : from; b = to > end ? end : to
			printf "%s %d %d\n", v["depth"], v["offset"] + a - from, b - a
		}'
}

# share FILE <RANGES: prints how many percent of the ranges are in the page cache.
share() { # RANGES
	local found
	found=$("$cached" "$1") || return 1
	echo "$1: $found" >&2
	echo $((100 * ${found% *} / ${found#* }))
}

is_most() { [ "$1" -ge 98 ]; }
is_little() { [ "$1" -le 15 ]; }

# A new mount of slow has no page in the page cache.
on_cold_disk() { # COMMAND...
	local slow_pid status
	mkdir -p cold
	"$slow" images cold 0 &
	slow_pid=$!
	eventually mountpoint -q cold || return 1
	"$@"
	status=$?
	umount cold 2>/dev/null || fusermount3 -u cold || status=1
	wait "$slow_pid"
	return $status
}

on_mount() { # IMAGE COMMAND...
	local status
	mount_image "cold/$1" m || return 1
	shift
	"$@"
	status=$?
	unmount m && return $status
}
on_cold_mount() { on_cold_disk on_mount "$@"; }

# are_cached START END TEST: tests the share of these MiB of the disk in each file of the chain.
are_cached() {
	local depth=0 file
	for file in "${files[@]}"; do
		"$3" "$(grep "^$depth " <"$1-$2" | cut -d' ' -f2- | share "cold/$file")" || return 1
		depth=$((depth + 1))
	done
}

# is_fetched END IMAGE [BASE]: the disk is from 4 MiB to END, and hardly anything after 32.
is_fetched() {
	local end=$1 files=("${@:2}")
	ranges "images/$2" 4 "$end" >"4-$end"
	ranges "images/$2" 32 $mb >32-$mb
	[ -s "4-$end" ] && [ -s 32-$mb ] && eventually are_cached 4 "$end" is_most && are_cached 32 $mb is_little
}

# mapped_ahead IMAGE [BASE]: reads 4 MiB; the next 6 are fetched.
mapped_ahead() { dd if=m/disk.raw of=/dev/null bs=128k count=32 status=none && is_fetched 10 "$@"; }

# stored_ahead IMAGE: units are stored in the order of the disk.
first_is_cached() { [ "$(share "$1" <<<"0 $(($(stat -c %s "$1") * 8 / mb))")" -ge 98 ]; }
rest_is_not() { is_little "$(share "$1" <<<"$(($(stat -c %s "$1") / 2)) $(($(stat -c %s "$1") / 2))")"; }
stored_ahead() {
	dd if=m/disk.raw of=/dev/null bs=128k count=32 status=none &&
		eventually first_is_cached "cold/$1" && rest_is_not "cold/$1"
}

random_reads() { # IMAGE
	local found
	seq 1 40 | awk -v s="$seed" -v n=$((mb * 256)) 'BEGIN { srand(s) } { print "read -q", int(rand() * n) * 4 "k 4k" }' |
		qemu-io -r -f raw m/disk.raw >qemu-io.log || return 1
	found=$("$cached" "cold/$1" <<<"0 $(stat -c %s "cold/$1")")
	echo "$found" >&2
	[ "${found% *}" -le $((8 << 20)) ]
}

check "a map that scatters the disk is followed" on_cold_mount scattered.qcow2 mapped_ahead scattered.qcow2
check "in both files of a chain" on_cold_mount chain.qcow2 mapped_ahead chain.qcow2 base.qcow2
for format in vmdk vdi vpc vhdx; do
	[ $format != vhdx ] || map=$VDISK
	check "$format" on_cold_mount disk.$format mapped_ahead disk.$format
done
for image in deflate.qcow2 stream.vmdk; do
	check "units in the order of the disk, $image" on_cold_mount $image stored_ahead $image
done
for image in scattered.qcow2 deflate.qcow2; do
	check "nothing is fetched for a random reader, $image" on_cold_mount $image random_reads $image
done

# One thread, so that no other one reads ahead.
compare_ahead() {
	"$VDISK" compare -m 1 cold/chain.qcow2 cold/other.qcow2
	[ $? = 1 ] && is_fetched 7 chain.qcow2 base.qcow2 && is_fetched 7 other.qcow2
}
# The output has no space for more than 4 MiB.
convert_ahead() {
	(trap '' XFSZ && ulimit -f 4096 && ! "$VDISK" convert -m 1 -O qcow2 cold/chain.qcow2 out.qcow2) &&
		is_fetched 7 chain.qcow2 base.qcow2
}

cp images/base.qcow2 images/other.qcow2
qemu-io -f qcow2 -c 'write -q -P 255 4M 64k' images/other.qcow2 || exit 1
check "vdisk compare stops at a difference after 4 MiB" on_cold_disk compare_ahead
check "vdisk convert stops after 4 MiB" on_cold_disk convert_ahead
