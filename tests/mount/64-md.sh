#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Arrays of Linux md in the partitions of a disk.  The members are built by mkimage from pictures of the layouts;
# mdadm reads every superblock, and the contents are those of the file system that was put in.
. "${0%/*}/functions.sh"
. "$here/images.sh"
requires qemu-img sgdisk mkfs.ext4 e2fsck mdadm blkid

mkdir tree
seq 100000 >tree/numbers
truncate -s 12M fs
mkfs.ext4 -q -L 'md root' -U 11111111-2222-3333-4444-555555555555 -d tree fs

# disk_of DISK MEMBER...: a GPT disk with a partition for each member, of its size.
disk_of() {
	local disk=$1 start=2048 n=1 size args=()
	shift
	rm -f "$disk"
	truncate -s $(($(cat "$@" | wc -c) + 2048 * 512 * ($# + 2))) "$disk"
	for member; do
		size=$(($(stat -c %s "$member") / 512))
		args+=(-n "$n:$start:$((start + size - 1))" -t "$n:fd00")
		start=$(((start + size + 2047) / 2048 * 2048)) n=$((n + 1))
	done
	sgdisk -a 1 "${args[@]}" "$disk" >/dev/null || return 1
	start=2048
	for member; do
		dd if="$member" of="$disk" bs=512 seek=$start conv=notrunc,sparse status=none
		start=$(((start + $(stat -c %s "$member") / 512 + 2047) / 2048 * 2048))
	done
}

# member_is NUMBER LEVEL FILE SIZE: what mdadm reads of a superblock.
member_is() {
	local said
	said=$(mdadm --examine "$3") || return 1
	grep -q 'Checksum : .* correct' <<<"$said" && grep -q "Raid Level : $2\$" <<<"$said" &&
		grep -qE "Device Role : Active device $1\$|^this +$1 " <<<"$said" &&
		{ [ -z "$4" ] || grep -qE "Array Size : $4( |\$)" <<<"$said"; }
}

name=data
holds() { # MOUNT: the array, and the label of its file system
	local v=$1/volumes/md-$name.raw
	[ "$(ls "$1/volumes")" = "md-$name.raw" ] && cmp -n "$(stat -c %s fs)" fs "$v" &&
		[ "$(readlink "$1/by-label/md\\x20root")" = "../volumes/md-$name.raw" ] && e2fsck -fn "$v" >/dev/null
}

# array NAME VERSION LEVEL LAYOUT CHUNK ROWS LEVEL-WORD: the members NAME.0..., the disk NAME.img
array() {
	local i=0 members=() size=
	"$MKIMAGE" --md "$2" "$3" "$4" "$5" "$6" fs "$1." || return 1
	while [ -e "$1.$i" ]; do
		members+=("$1.$i") i=$((i + 1))
	done
	name=data
	[ "$2" != 0.90 ] || name=3
	i=0
	disk_of "$1.img" "${members[@]}" && mount_image "$1.img" mnt && holds mnt || { unmount mnt; return 1; }
	[ "$3" = linear ] || [ "$3" = 0 ] || size=$(($(stat -c %s mnt/volumes/md-$name.raw) / 1024))
	unmount mnt || return 1
	for member in "${members[@]}"; do
		member_is $i "$7" "$member" "$size" || { mdadm --examine "$member"; return 1; }
		[ "$(blkid -p -o value -s TYPE "$member")" = linux_raid_member ] || return 1
		i=$((i + 1))
	done
}
for version in 0.90 1.0 1.1 1.2; do
	check "raid1, $version" array raid1-$version $version 1 0 65536 00 raid1
	check "raid5, $version" array raid5-$version $version 5 2 65536 "01P 1P0 P01" raid5
	check "raid0, $version" array raid0-$version $version 0 2 65536 01 raid0
	check "linear, $version" array linear-$version $version linear 0 65536 01 linear
done
check "raid4" array raid4 1.2 4 0 65536 012P raid4
check "raid5, right-asymmetric" array raid5-ra 1.2 5 1 65536 "P01 0P1 01P" raid5
check "raid6" array raid6 1.2 6 2 524288 "Q01P 01PQ 1PQ0 PQ01" raid6
check "raid6 of DDF" array raid6-ddf 1.2 6 10 65536 "01QP 1QP0 QP01 P01Q" raid6
check "raid10" array raid10 1.2 10 0x102 524288 0011 raid10

# --- Missing members.
for image in qcow2 vmdk vdi; do
	disk_of some.img raid6.0 raid6.3
	qemu-img convert -q -f raw -O $image some.img some.$image
	name=data
	check "raid6 without two members, in $image" on_mount some.$image holds
done
for missing in 0 1 2; do
	rest=(raid5-1.2.0 raid5-1.2.1 raid5-1.2.2)
	unset "rest[$missing]"
	disk_of some.img "${rest[@]}"
	check "raid5 without member $missing" on_mount some.img holds
done
disk_of some.img raid10.3 raid10.0
check "raid10 without two members, in any order" on_mount some.img holds
disk_of some.img raid5-1.2.1
says() { [ "$(ls "$1/volumes")" = "md-data.error.txt" ] && grep -q "$text" "$1/volumes/md-data.error.txt"; }
text='2 of 3 members are missing'
check "raid5 without two members says so" on_mount some.img says
disk_of some.img raid0-1.2.1
text='1 of 2 members are missing, none can be'
check "raid0 without a member says so" on_mount some.img says
disk_of some.img raid5-1.2.0 raid5-1.2.0 raid5-1.2.1
text='have the same place'
check "a copy of a member is not guessed about" on_mount some.img says

# --- Nothing is written.
not_written() {
	! printf x 2>/dev/null | dd of="$1/volumes/md-data.raw" conv=notrunc status=none 2>/dev/null && holds "$1"
}
cp --sparse=always raid1-1.2.img rw.img
cat_error() { mount_image rw.img mnt -o rw && not_written mnt && unmount mnt; }
check "an array is not written" cat_error
check "the disk of it is unchanged" cmp rw.img raid1-1.2.img

sparse() { [ "$(stat -c %b "$1/volumes/md-data.raw")" -lt $((5 * 2048)) ]; }
disk_of some.img raid5-1.2.0 raid5-1.2.2
check "holes stay holes, also of a missing member" on_mount some.img sparse
