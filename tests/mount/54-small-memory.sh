#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# In a control group of 64 MiB, for itself and its readers, a daemon reads and writes large and scattered images without
# being killed, and its own memory stays small.
. "${0%/*}/functions.sh"
requires qemu-img qemu-io
is_root || { skip "all: only root creates control groups"; exit 0; }

limit=64M
drive=$BUILD/tests/bench/drive

# make_group: a group below that of this shell, of whichever version of control groups limits memory.
make_group() {
	local own
	own=$(awk -F: '$2 ~ /(^|,)memory(,|$)/ { print $3 }' /proc/self/cgroup)
	if [ "$own" ]; then
		group=$(awk '/ - cgroup .*[, ]memory/ { print $5; exit }' /proc/self/mountinfo)$own/vdiskfs-test.$$
		mkdir "$group" && echo $limit >"$group/memory.limit_in_bytes"
		events=$group/memory.oom_control
	else
		own=$(awk -F: '$1 == 0 { print $3 }' /proc/self/cgroup)
		group=$(awk '/ - cgroup2 / { print $5; exit }' /proc/self/mountinfo)$own/vdiskfs-test.$$
		mkdir "$group" && echo $limit >"$group/memory.max" && echo 0 >"$group/memory.swap.max"
		events=$group/memory.events
	fi
}
make_group 2>/dev/null || { [ ! -d "${group:-}" ] || rmdir "$group"; skip "all: no control group for memory can be created"; exit 0; }
remove_group() {
	cleanup
	eventually rmdir "$group"
}
trap remove_group EXIT

killed() { awk '$1 == "oom_kill" { print $2 }' "$events"; }
# The daemon's own memory, in KiB.  The rest of the group is page cache.
peak() {
	local p
	for p in $(pids_of "$W/m"); do awk '/^VmHWM:/ { print $2 }' "/proc/$p/status"; done | sort -n | tail -n 1
}

# in_group IMAGE OPTIONS COMMAND...
in_group() {
	local image=$1 options=$2 status
	shift 2
	(
		echo "$BASHPID" >"$group/cgroup.procs"
		# shellcheck disable=SC2086
		mount_image "$image" m $options && "$@"
	)
	status=$?
	echo "$image: $(peak) KiB, killed: $(killed)" >&2
	[ "$(peak)" -lt 65536 ] || status=1
	unmount m || status=1
	[ "$(killed)" = 0 ] && return $status
}

seed=$(seed_of order)
qemu-img create -q -f qcow2 scattered.qcow2 16G
{
	seq 0 4095 | shuf --random-source=<(yes "$seed") | awk '{ print "write -q -P", 1 + $1 % 250, $1 * 64 "k 64k" }'
	seq 100 5400 | shuf -n 1000 --random-source=<(yes "$seed") | awk '{ print "write -q -P", 1 + $1 % 250, $1 * 3 "M 4k" }'
} | qemu-io -f qcow2 scattered.qcow2 >qemu-io.log
for _ in $(seq 12); do noise "$seed" 2000000; head -c 4M /dev/zero; seq 200000; done >disk.raw
truncate -s %1M disk.raw
qemu-img convert -f raw -O vmdk -o subformat=streamOptimized disk.raw stream.vmdk
qemu-img convert -f raw -O vhdx disk.raw disk.vhdx

readers() { # four at once, at different places
	local i pids=()
	for i in 0 1 2 3; do
		dd if=m/disk.raw bs=1M skip=$((i * 40)) count=200 status=none >/dev/null &
		pids+=($!)
	done
	for i in "${pids[@]}"; do wait "$i" || return 1; done
	"$drive" random m/disk.raw 4 1 >&2
}
same() { cmp m/disk.raw disk.raw; }
write_through() {
	dd if=disk.raw of=m/disk.raw bs=1M conv=notrunc status=none &&
		dd if=disk.raw of=m/disk.raw bs=64k count=300 seek=100001 conv=notrunc,fsync status=none &&
		cmp -n "$(stat -c %s disk.raw)" m/disk.raw disk.raw
}
check "a scattered qcow2 of 16 GiB, 4 readers" in_group scattered.qcow2 "" readers
check "a compressed VMDK" in_group stream.vmdk "" same
check "a VHDX" in_group disk.vhdx "" same
for format in qcow2 vdi; do
	qemu-img create -q -f $format new.$format 16G
	check "writes into a $format of 16 GiB" in_group new.$format "-o rw" write_through
done

# Disks of 16 TiB with three clusters.
ends_and_holes() {
	[ "$(head -c 1 m/disk.raw | tr -d '\7' | wc -c)" = 0 ] && [ "$(tail -c 1 m/disk.raw | tr -d '\11' | wc -c)" = 0 ] || return 1
	[ "$("$drive" extents m/disk.raw | cut -d' ' -f1)" = 3 ]
}
for format in qcow2 vmdk vdi vhdx; do
	qemu-img create -q -f $format huge.$format 16T &&
		qemu-io -f $format -c 'write -q -P 7 0 64k' -c 'write -q -P 8 15T 64k' \
			-c "write -q -P 9 $((16 * 1024 ** 4 - 65536)) 64k" huge.$format ||
		{ skip "16 TiB, $format: QEMU cannot create it"; continue; }
	check "16 TiB, $format: first and last byte, holes" in_group huge.$format "" ends_and_holes
done
# Files of ext4 are a little shorter than 16 TiB.
copied() {
	cp --sparse=auto m/disk.raw copy.raw && [ "$(stat -c %b copy.raw)" -lt 16384 ] &&
		cmp -n 65536 copy.raw m/disk.raw && cmp -i 15393162788864 -n 65536 copy.raw m/disk.raw
}
if truncate -s 15T copy.raw 2>/dev/null; then
	qemu-img create -q -f qcow2 long.qcow2 15T
	qemu-io -f qcow2 -c 'write -q -P 7 0 64k' -c 'write -q -P 8 14T 64k' long.qcow2
	check "15 TiB, a copy with its holes" in_group long.qcow2 "" copied
else
	skip "15 TiB, a copy with its holes: the file system has no files as long"
fi
