#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Partitions: tables of all kinds with file systems, found by number and by name, mounted through loop devices
# where possible.
. "${0%/*}/functions.sh"
. "$here/images.sh"
requires qemu-img sfdisk fdisk partx sgdisk mkfs.ext4 mkfs.vfat mkfs.xfs mkfs.btrfs getfattr

# One file system of each kind, with files if mkfs can add them.
mkdir tree tree/sub
seq 200000 >tree/numbers
noise 8 100000 >tree/sub/noise
mkfs_ext4() { truncate -s "$2" "$1" && mkfs.ext4 -q -L 'root fs' -U 11111111-2222-3333-4444-555555555555 -d tree "$1"; }
mkfs_vfat() { truncate -s "$2" "$1" && mkfs.vfat -n EFIBOOT -i ABCD1234 "$1" >/dev/null; }
mkfs_xfs() { truncate -s "$2" "$1" && mkfs.xfs -q -L data/1 -m uuid=22222222-2222-3333-4444-555555555555 -p xfs.proto "$1"; }
printf '/\n0 0\nd--755 0 0\nnumbers ---644 0 0 tree/numbers\nsub d--755 0 0\nnoise ---644 0 0 tree/sub/noise\n$\n$\n' >xfs.proto
mkfs_btrfs() { truncate -s "$2" "$1" && mkfs.btrfs -q -L 'bütter' -U 33333333-2222-3333-4444-555555555555 --rootdir tree "$1"; }
mkfs_ext4 ext4.fs 24M
mkfs_vfat vfat.fs 8M
mkfs_xfs xfs.fs 300M
mkfs_btrfs btrfs.fs 128M

# into DISK START FILE: copies a file system to a sector of a disk.
into() { dd if="$3" of="$1" bs=512 seek="$2" conv=notrunc,sparse status=none; }
# slice_is MOUNT-FILE DISK START SECTORS: the partition is equal to these sectors.  Only the ends of a large one
# are compared, unless $thorough is set.
thorough=
slice_is() {
	local len=$(($4 * 512)) piece
	[ "$(stat -c %s "$1")" = $len ] || { echo "$1: $(stat -c %s "$1") bytes, not $len"; return 1; }
	piece=$len
	[ -n "$thorough" ] || [ $len -lt 20000000 ] || piece=4194304
	cmp -i 0:$(($3 * 512)) -n $piece "$1" "$2" || return 1
	cmp -i $((len - piece)):$(($3 * 512 + len - piece)) -n $piece "$1" "$2" || return 1
	[ "$(getfattr --only-values -n user.vdisk.partition.start "$1")" = $(($3 * 512)) ]
}
listed() { # MOUNT NAME...: partitions/ has exactly these files
	local dir=$1
	shift
	[ "$(find "$dir/partitions" -mindepth 1 -maxdepth 1 -type f -printf '%f\n' | sort -n | tr '\n' ' ')" = "$*${*:+ }" ]
}
leads() { # LINK NAME: the link leads to the partition by a relative path
	local target=../$2
	case $1 in */by-label/* | */by-uuid/*) target=../partitions/$2 ;; esac
	[ "$(readlink "$1")" = "$target" ] && [ "$(stat -L -c %i "$1")" = "$(stat -c %i "${1%/by-*}/${target#../}")" ]
}

# --- MBR with logical partitions, a gap, and numbers out of disk order.
truncate -s 600M mbr.img
sfdisk -q mbr.img <<-'TABLE'
	label: dos
	label-id: 0xcafe0123
	1: start=100000, size=49152, type=83, bootable
	2: start=2048, size=16384, type=ef
	4: start=160000, size=1060000, type=f
	5: start=161000, size=614400, type=83
	6: start=776000, size=262144, type=83
	7: start=1040001, size=3, type=83
TABLE
into mbr.img 100000 ext4.fs
into mbr.img 2048 vfat.fs
into mbr.img 161000 xfs.fs
into mbr.img 776000 btrfs.fs
mbr() {
	local p=$1/partitions
	listed "$1" 1.raw 2.raw 5.raw 6.raw 7.raw &&
		slice_is "$p/1.raw" mbr.img 100000 49152 && slice_is "$p/2.raw" mbr.img 2048 16384 &&
		slice_is "$p/5.raw" mbr.img 161000 614400 && slice_is "$p/6.raw" mbr.img 776000 262144 &&
		slice_is "$p/7.raw" mbr.img 1040001 3
}
thorough=yes
check "MBR" on_mount mbr.img mbr
thorough=
mbr_links() {
	local p=$1/partitions
	[ ! -e "$p/by-partlabel" ] && [ "$(find "$p" -type l | wc -l)" = 7 ] &&
		[ "$(find "$1/by-label" "$1/by-uuid" -type l | wc -l)" = 8 ] &&
		[ "$(readlink "$p/by-label")" = ../by-label ] && cmp "$p/by-label/root\\x20fs" "$p/1.raw" &&
		leads "$p/by-partuuid/cafe0123-01" 1.raw && leads "$p/by-partuuid/cafe0123-02" 2.raw &&
		leads "$p/by-partuuid/cafe0123-05" 5.raw && leads "$p/by-partuuid/cafe0123-07" 7.raw &&
		leads "$1/by-label/root\\x20fs" 1.raw && leads "$1/by-label/EFIBOOT" 2.raw &&
		leads "$1/by-label/data\\x2f1" 5.raw && leads "$1/by-label/bütter" 6.raw &&
		leads "$1/by-uuid/11111111-2222-3333-4444-555555555555" 1.raw && leads "$1/by-uuid/ABCD-1234" 2.raw &&
		leads "$1/by-uuid/22222222-2222-3333-4444-555555555555" 5.raw &&
		leads "$1/by-uuid/33333333-2222-3333-4444-555555555555" 6.raw
}
check "MBR: links by label, UUID and PARTUUID" on_mount mbr.img mbr_links
attribute() { [ "$(getfattr --only-values -n "user.vdisk.partition.$2" "$1")" = "$3" ]; }
mbr_attributes() {
	local p=$1/partitions
	attribute "$p/1.raw" label 'root fs' && attribute "$p/1.raw" fstype ext4 &&
		attribute "$p/1.raw" type 0x83 && attribute "$p/5.raw" label data/1 &&
		attribute "$p/2.raw" uuid ABCD-1234 && attribute "$p/6.raw" partuuid cafe0123-06 &&
		! getfattr -n user.vdisk.partition.label "$p/7.raw" 2>/dev/null
}
check "MBR: attributes" on_mount mbr.img mbr_attributes

# --- GPT with gaps and names, in every format; the backup table; sectors of 4 KiB.
truncate -s 600M gpt.img
sgdisk -a 1 -U 01234567-89AB-CDEF-0123-456789ABCDEF -n 1:2048:+8M -t 1:ef00 -c '1:EFI system' \
	-n 2:20480:+24M -c '2:rööt/x' -n 5:80000:+300M -c 5:data -n 9:700001:+128M -c 9:data \
	-u 1:00000001-89AB-CDEF-0123-456789ABCDEF gpt.img >/dev/null
into gpt.img 2048 vfat.fs
into gpt.img 20480 ext4.fs
into gpt.img 80000 xfs.fs
into gpt.img 700001 btrfs.fs
gpt() {
	local p=$1/partitions
	listed "$1" 1.raw 2.raw 5.raw 9.raw && slice_is "$p/1.raw" gpt.img 2048 16384 &&
		slice_is "$p/2.raw" gpt.img 20480 49152 && slice_is "$p/5.raw" gpt.img 80000 614400 &&
		slice_is "$p/9.raw" gpt.img 700001 262144
}
check "GPT" on_mount gpt.img gpt
gpt_links() {
	local p=$1/partitions
	leads "$p/by-partlabel/EFI\\x20system" 1.raw && leads "$p/by-partlabel/rööt\\x2fx" 2.raw &&
		leads "$p/by-partlabel/data" 5.raw && [ "$(find "$p/by-partlabel" -type l | wc -l)" = 3 ] &&
		leads "$p/by-partuuid/00000001-89ab-cdef-0123-456789abcdef" 1.raw &&
		leads "$1/by-label/root\\x20fs" 2.raw && leads "$1/by-uuid/ABCD-1234" 1.raw &&
		attribute "$p/1.raw" type c12a7328-f81f-11d2-ba4b-00a0c93ec93b &&
		attribute "$p/2.raw" partlabel rööt/x
}
check "GPT: links; of equal names, the first partition has the link" on_mount gpt.img gpt_links
for f in qcow2 vmdk vdi; do
	qemu-img convert -q -f raw -O $f gpt.img gpt.$f
	check "GPT in $f" on_mount gpt.$f gpt
done
cp --sparse=always gpt.img wiped.img
dd if=/dev/zero of=wiped.img bs=512 seek=1 count=33 conv=notrunc status=none
check "GPT: only the backup table" on_mount wiped.img gpt
cp --sparse=always gpt.img flipped.img
patch flipped.img $((2 * 512 + 128 + 56)) ff
check "GPT: a damaged table is replaced by the backup" on_mount flipped.img gpt
cp --sparse=always gpt.img grown.img
truncate -s +50M grown.img
check "GPT on a grown disk" on_mount grown.img gpt
cp --sparse=always gpt.img cut.img
truncate -s $((900000 * 512)) cut.img
cut() {
	local p=$1/partitions
	listed "$1" 1.raw 2.raw 5.raw 9.raw && slice_is "$p/5.raw" gpt.img 80000 614400 &&
		slice_is "$p/9.raw" gpt.img 700001 199999
}
check "GPT on a truncated disk: the last partition is shortened" on_mount cut.img cut
truncate -s $((600000 * 512)) cut.img
mostly_cut() { listed "$1" 1.raw 2.raw 5.raw; }
check "GPT on a truncated disk: a partition beyond the end is not listed" on_mount cut.img mostly_cut
cp --sparse=always gpt.img hybrid.img
sgdisk -h 1:2 hybrid.img >/dev/null
check "GPT with a hybrid MBR" on_mount hybrid.img gpt

if is_root && truncate -s 64M gpt4k.img && device=$(losetup -b 4096 -f --show "$W/gpt4k.img" 2>/dev/null); then
	sgdisk -o -n 1:256:+24M -c 1:four -n 3:8192:+8M "$device" >/dev/null
	losetup -d "$device"
	into gpt4k.img 2048 ext4.fs
	four_k() {
		listed "$1" 1.raw 3.raw && slice_is "$1/partitions/1.raw" gpt4k.img 2048 49152 &&
			slice_is "$1/partitions/3.raw" gpt4k.img 65536 16384 && leads "$1/partitions/by-partlabel/four" 1.raw
	}
	check "GPT in sectors of 4 KiB" on_mount gpt4k.img four_k
else
	skip "GPT in sectors of 4 KiB: needs root and a loop device with such sectors"
fi

# --- Disks without partitions have no directory partitions/.
none() { [ "$(ls -A "$1")" = $'disk.raw\nexport\ninfo.json' ]; }
whole() {
	[ "$(ls -A "$1")" = $'by-label\nby-uuid\ndisk.raw\nexport\ninfo.json' ] &&
		[ "$(readlink "$1/by-label/root\\x20fs")" = ../disk.raw ] && cmp "$1/by-uuid/11111111-2222-3333-4444-555555555555" ext4.fs
}
check "a file system without a partition table is found by label and UUID" on_mount ext4.fs whole
cp vfat.fs vfat.img
fat() { [ ! -e "$1/partitions" ] && cmp "$1/by-uuid/abcd-1234" vfat.img; }
check "a boot sector without a partition table" on_mount vfat.img fat
truncate -s 10M blank.img
sgdisk -o blank.img >/dev/null 2>&1
check "an empty GPT" on_mount blank.img none
truncate -s 10M looped.img
sfdisk -q looped.img <<-'TABLE'
	label: dos
	1: start=2048, size=8192, type=83
	2: start=10240, size=10240, type=5
	5: start=11264, size=1024, type=83
	6: start=14336, size=1024, type=83
TABLE
patch looped.img $((10240 * 512 + 446 + 16 + 8)) 00000000
looped() { listed "$1" 1.raw 5.raw && slice_is "$1/partitions/5.raw" looped.img 11264 1024; }
check "a chain of logical partitions with a loop" on_mount looped.img looped

# --- Partitions of snapshots and of backing files.
qemu-img convert -q -f raw -O qcow2 gpt.img snap.qcow2
qemu-img snapshot -c before snap.qcow2
qemu-io -f qcow2 -c "write -z 1M 1M" -c "write -z 0 34k" -c "write -z $((600 * 1048576 - 65536)) 64k" snap.qcow2 >/dev/null
qemu-img create -q -f qcow2 -b snap.qcow2 -F qcow2 over.qcow2
snapshots_differ() {
	[ ! -e "$1/partitions" ] && [ ! -e "$1/chain/0-over.qcow2/partitions" ] &&
		slice_is "$1/chain/1-snap.qcow2/snapshots/before/partitions/2.raw" gpt.img 20480 49152 &&
		leads "$1/chain/1-snap.qcow2/snapshots/before/by-label/root\\x20fs" 2.raw
}
check "partitions of a backing file's snapshot" on_mount over.qcow2 snapshots_differ

# --- The kernel mounts the file systems.
loop_mount() { # FILE [empty]: mounts it below guest/ and compares with tree/
	local device status=0
	device=$(losetup -r -f --show "$1") || return 1
	mkdir -p guest
	if mount -o ro,nosuid,nodev,noexec "$device" guest; then
		[ $# = 2 ] || diff -r -x lost+found guest tree || status=1
		umount guest || status=1
	else
		status=1
	fi
	losetup -d "$device"
	return $status
}
known() { grep -qw "$1" /proc/filesystems || modprobe -q "$1" 2>/dev/null; }
loop_in() { # PARTITION [empty] MOUNT
	local partition=$1
	shift
	loop_mount "${*: -1}/partitions/$partition" "${@:1:$#-1}"
}
if is_root && losetup -f >/dev/null 2>&1; then
	while read -r fs number label empty; do
		known "$fs" || { skip "loop mount of $fs: this kernel has no $fs"; continue; }
		check "loop mount of $fs by number" on_mount gpt.qcow2 loop_in "$number.raw" $empty
		check "loop mount of $fs by label" on_mount gpt.vmdk loop_in "by-label/$label" $empty
	done <<-'LIST'
	ext4 2 root\x20fs
	vfat 1 EFIBOOT empty
	xfs 5 data\x2f1
	btrfs 9 bütter
	LIST
	# Several loop devices on one mount.
	mkdir all
	mount_image mbr.img all
	check "loop mount from MBR by UUID" loop_mount all/partitions/by-uuid/11111111-2222-3333-4444-555555555555
	check "loop mount of a logical partition" loop_mount all/partitions/6.raw
	device=$(losetup -r -P -f --show all/disk.raw)
	mkdir -p guest
	# A kernel without partition tables gets the partitions from partx; without udev and devtmpfs they have no nodes.
	partition_of_loop() {
		local major minor node=${device}p1 name=${device##*/}
		udevadm settle 2>/dev/null
		[ -e "/sys/block/$name/${name}p1" ] || partx -a "$device" || return 1
		IFS=: read -r major minor <"/sys/block/$name/${name}p1/dev" || return 1
		[ -b "$node" ] || { node=$W/node && mknod "$node" b "$major" "$minor" || return 1; }
		mount -o ro "$node" guest && diff -r -x lost+found guest tree
	}
	check "the kernel's partitions of disk.raw" partition_of_loop
	umount guest 2>/dev/null
	losetup -d "$device"
	unmount all
else
	skip "loop mounts: need root and loop devices"
fi

# --- BSD disklabels and Apple maps, whose positions are those that other programs read.
# same_as PROGRAM MOUNT: the partitions of the mount are the lines "NUMBER START SECTORS" of the program.
same_as() {
	local want number start sectors
	want=$("$1")
	# shellcheck disable=SC2046
	[ -n "$want" ] && listed "$2" $(sed 's/ .*/.raw/' <<<"$want") || return 1
	while read -r number start sectors; do
		slice_is "$2/partitions/$number.raw" "$disk" "$start" "$sectors" || return 1
	done <<<"$want"
}
by_parted() { parted -s -m "$disk" unit s print | awk -F: '/^[0-9]+:/ && $6 != "Apple" { print $1, $2 + 0, $4 + 0 }'; }
by_partx() { partx -g -o NR,START,SECTORS "$disk" | awk '{ print $1, $2, $3 }' | grep -v "${without:-^$}"; }
if command -v parted >/dev/null; then
	for disk in bsd mac; do
		truncate -s 100M $disk.img
		parted -s $disk.img mklabel $disk mkpart ext2 1MiB 26MiB mkpart ext2 30MiB 60MiB mkpart ext2 60MiB 61MiB
		into $disk.img 2048 ext4.fs
		disk=$disk.img
		check "$disk: partitions of parted" on_mount "$disk" same_as by_parted
		other_labels() { leads "$1/by-label/root\\x20fs" "$number.raw"; }
		number=1
		[ "$disk" = bsd.img ] || number=2
		check "$disk: the label of a file system" on_mount "$disk" other_labels
	done
	mac_names() { attribute "$1/partitions/2.raw" type Apple_UNIX_SVR2; }
	check "mac.img: types" on_mount mac.img mac_names
else
	skip "BSD and Apple: parted is not installed"
fi
truncate -s 64M slices.img
sfdisk -q slices.img <<-'TABLE'
	label: dos
	1: start=2048, size=60000, type=a5
	2: start=70000, size=20000, type=5
	5: start=71000, size=1000, type=83
TABLE
printf '%s\n' b y n a 2064 +24M n b 56000 +2M t a 7 t b 1 w | fdisk slices.img >/dev/null 2>&1
disk=slices.img
without='^2 '
check "partitions in a BSD slice of an MBR" on_mount slices.img same_as by_partx
without=
