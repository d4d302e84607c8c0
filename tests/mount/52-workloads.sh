#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Workloads on a writable disk: file systems on loop devices, fio with verification, mmap.
. "${0%/*}/functions.sh"
requires qemu-img fio tar

sound() { # FORMAT IMAGE
	case $1 in
	qcow2 | vdi | vmdk | vhdx) qemu-img check -q -f "$1" "$2" || return 1 ;;
	esac
	"$VDISK" check -q -f "$1" "$2" || [ $? = 63 ]
}
new() { # FORMAT SIZE OPTION...
	local format=$1 size=$2
	shift 2
	rm -f disk.* disk-*
	"$VDISK" create -q -f "$format" "$@" "disk.$format" "$size" && mount_image "disk.$format" mnt -o rw
}

# fio verifies all data after it has written it.
verified() { # FORMAT WORDS [OPTION...]
	local format=$1 words=$2 status
	new "$format" 48M "${@:3}" || return 1
	# shellcheck disable=SC2086
	fio --name=verify --filename=mnt/disk.raw --size=48M --rw=randwrite --verify=crc32c --verify_fatal=1 \
		--do_verify=1 --randseed=7 --invalidate=1 $words >fio.log 2>&1
	status=$?
	[ $status = 0 ] || head -n 20 fio.log >&2
	unmount mnt && [ $status = 0 ] && sound "$format" "disk.$format"
}
many="--ioengine=libaio --iodepth=16 --bsrange=512-128k --io_size=64M --fsync=200"
for format in raw qcow2 vdi vmdk vpc vhdx; do
	check "$format: verified by fio" verified $format "$many"
done
check "qcow2 with subclusters: verified by fio" verified qcow2 "$many" -o extended_l2=on
check "qcow2: written by mmap" verified qcow2 "--ioengine=mmap --bs=4k --io_size=16M"
check "vhdx: written by mmap" verified vhdx "--ioengine=mmap --bs=4k --io_size=16M"

# files_on FORMAT FS: makes a file system, fills it by tar, trims it, checks it; reads it again after a new mount.
files_on() {
	local format=$1 fs=$2 status=0
	new "$format" 512M || return 1
	case $fs in
	ext4) mkfs.ext4 -q mnt/disk.raw ;;
	xfs) mkfs.xfs -q mnt/disk.raw ;;
	btrfs) mkfs.btrfs -q -f mnt/disk.raw ;;
	esac || { unmount mnt; return 1; }
	mkdir -p fs
	mount -o loop mnt/disk.raw fs || { unmount mnt; return 1; }
	{ tar -C "$top" -cf - formats fuse tests | tar -C fs -xf - && rm -r fs/fuse && sync -f fs && fstrim fs &&
		diff -r "$top/formats" fs/formats; } || status=1
	umount fs && eventually unmount mnt && sound "$format" "disk.$format" || return 1
	[ $status = 0 ] && mount_image "disk.$format" mnt -o rw || return 1
	case $fs in
	ext4) fsck.ext4 -f -n mnt/disk.raw ;;
	xfs) xfs_repair -n mnt/disk.raw ;;
	btrfs) btrfs check --readonly mnt/disk.raw ;;
	esac >fsck.log 2>&1 || { tail -n 20 fsck.log >&2; return 1; }
	mount -o loop,ro mnt/disk.raw fs && diff -r "$top/tests" fs/tests || status=1
	umount fs && eventually unmount mnt || status=1
	return $status
}
while read -r format fs; do
	if ! is_root; then
		skip "$fs on $format: needs root"
	elif ! command -v "mkfs.$fs" >/dev/null || ! grep -qw "$fs" /proc/filesystems; then
		skip "$fs on $format: not installed or not supported by the kernel"
	else
		check "$fs on $format" files_on "$format" "$fs"
	fi
done <<-LIST
	qcow2 ext4
	vdi xfs
	vmdk btrfs
	vhdx ext4
	vpc xfs
	raw btrfs
	qcow2 btrfs
LIST
