#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Concurrent readers of views that share caches and files, with small and large caches.
. "${0%/*}/functions.sh"
. "$here/images.sh"
requires qemu-img qemu-io sfdisk

# Three chains: a compressed disk with partitions, and on it an overlay with a snapshot.
size=$((48 * 1048576 / slowness / 512 * 512 + 512))
some_data base.raw $size
sfdisk -q base.raw <<-'TABLE'
	label: dos
	1: start=2048, size=9000, type=83
	2: start=11049, type=83
TABLE
qemu-img convert -q -f raw -O qcow2 -c -o compression_type=zstd,cluster_size=32k base.raw zstd.qcow2
qemu-img convert -q -f raw -O qcow2 -c base.raw deflate.qcow2
qemu-img convert -q -f raw -O vmdk -o subformat=streamOptimized base.raw stream.vmdk
# top FILE BASE FORMAT
top() {
	qemu-img create -q -f qcow2 -b "$2" -F "$3" "$1"
	scribble qcow2 "$1" $size 65536 "$(seed_of "$1" 1)" 30
	qemu-img snapshot -c 'then' "$1"
	scribble qcow2 "$1" $size 65536 "$(seed_of "$1" 2)" 30
	reference "$1" "$1.ref"
	reference "$1" "$1.then" -l 'then'
}
top a.qcow2 zstd.qcow2 qcow2
top b.qcow2 deflate.qcow2 qcow2
top c.qcow2 stream.vmdk vmdk

readers() { # IMAGE BASE MOUNT: 8 processes of 4 threads each
	local image=$1 layer=$2 dir=$3 pids=() pid status=0
	local pairs=(
		"$dir/disk.raw" "$image.ref" "$dir/disk.raw" "$image.ref"
		"$dir/snapshots/then/disk.raw" "$image.then" "$dir/snapshots/then/disk.raw" "$image.then"
		"$dir/chain/0-$image/disk.raw" "$image.ref" "$dir/chain/1-$layer/disk.raw" base.raw
		"$dir/chain/1-$layer/partitions/1.raw" part1 "$dir/chain/1-$layer/partitions/2.raw" part2
	)
	for ((i = 0; i < ${#pairs[@]}; i += 2)); do
		"$compare" -t 4 -n $((400 / slowness)) -s "$(seed_of "$i")" "${pairs[i]}" "${pairs[i + 1]}" &
		pids+=($!)
	done
	# Concurrent listings.
	for i in 1 2 3 4 5; do
		find "$dir" -printf '%s\n' >/dev/null || status=1
		cat "$dir/info.json" "$dir"/chain/*/info.json >/dev/null || status=1
	done
	for pid in "${pids[@]}"; do wait "$pid" || status=1; done
	return $status
}
tail -c +1048577 base.raw | head -c 4608000 >part1
tail -c +$((11049 * 512 + 1)) base.raw >part2
truncate -s $(((size / 512 - 11049) * 512)) part2
for options in cache=1M cache=64M threads=1 threads=32,cache=2M; do
	mount_with=(-o "$options")
	check "8 readers, $options, over zstd" on_mount a.qcow2 readers a.qcow2 zstd.qcow2
	check "8 readers, $options, over deflate" on_mount b.qcow2 readers b.qcow2 deflate.qcow2
	check "8 readers, $options, over a stream" on_mount c.qcow2 readers c.qcow2 stream.vmdk
done
mount_with=(-s)
check "8 readers, one thread" on_mount a.qcow2 readers a.qcow2 zstd.qcow2
