#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# COW overlays: temporary ones that end with the mount, and files that are kept.
. "${0%/*}/functions.sh"
. "$here/images.sh"
requires qemu-img sha256sum

some_data whole 6M
mkdir temp
export TMPDIR=$W/temp

# Changes the mounted disk and its reference.
scribble() {
	local f
	for f in "$1/disk.raw" ref; do
		printf 'abc' | dd of="$f" bs=1 seek=$((1234567 + $2)) conv=notrunc status=none || return 1
	done
}
untouched() { sha256sum -c --quiet base.sum; }

# throw_away IMAGE FORMAT: writes through a temporary overlay, which has no name and leaves no file.
throw_away() {
	mount_image "$1" mnt -o "cow,format=$2" || return 1
	scribble mnt 0 && same mnt/disk.raw ref
	local status=$?
	[ -z "$(ls temp)" ] || { echo "the overlay has a name" >&2; status=1; }
	unmount mnt || status=1
	[ -z "$(ls temp)" ] || status=1
	return $status
}

# keep IMAGE FORMAT: QEMU reads the overlay, and a second mount continues it.
keep() {
	local image=$1 format=$2
	mount_image "$image" mnt -o "format=$format,cow=$W/over.qcow2" && scribble mnt 10 && unmount mnt || return 1
	qemu-img check -q over.qcow2 && qemu-img compare -q -F raw over.qcow2 ref || return 1
	mount_image "$image" mnt -o "format=$format,cow=$W/over.qcow2" && same mnt/disk.raw ref && scribble mnt 20 && unmount mnt || return 1
	untouched && [ "$(qemu-img info --output=json over.qcow2 | jq -r '."backing-filename-format"')" = "$format" ]
}

for format in raw qcow2 vdi vmdk vpc vhdx qed; do
	case $format in
	vpc) options=(-o force_size=on) ;;
	*) options=() ;;
	esac
	rm -f base.* over.qcow2
	qemu-img convert -f raw -O "$format" "${options[@]}" whole "base.$format" || { fail "$format: no image"; continue; }
	sha256sum "base.$format" >base.sum
	cp whole ref
	check "$format: a temporary overlay" throw_away "base.$format" "$format"
	check "$format: the image did not change" untouched
	cp whole ref
	check "$format: an overlay file" keep "base.$format" "$format"
done

qemu-img convert -f raw -O qcow2 whole first.qcow2
qemu-img convert -f raw -O qcow2 whole second.qcow2
mount_image first.qcow2 mnt -o "cow=$W/of-first.qcow2" && unmount mnt
check "an overlay of another image" refused second.qcow2 "no overlay of .*second.qcow2" -o "cow=$W/of-first.qcow2"
cp whole precious.txt
check "a file that is not an overlay" refused first.qcow2 "precious.txt" -o "cow=$W/precious.txt"
check "a file that is not an overlay does not change" cmp precious.txt whole
check "cow= in a missing directory" refused first.qcow2 "No such file" -o "cow=$W/nowhere/over.qcow2"
check "a missing TMPDIR is named" env TMPDIR=/no/where bash -c \
	'! "$0" -o cow "$1" "$2" 2>&1 | grep -v "/no/where"' "$VDISKFS" "$W/first.qcow2" "$W/mnt"
qemu-img snapshot -c before first.qcow2
mount_image first.qcow2 mnt -o cow
check "the image is the second of the chain" [ -d mnt/chain/1-first.qcow2/snapshots/before ]
writes_below() { printf x | dd of=mnt/chain/1-first.qcow2/disk.raw conv=notrunc status=none; }
check_not "the image below the overlay cannot be written" writes_below
unmount mnt

# Copy on read: what was read is in the overlay, which is enough without the image below it.
kept() {
	local status=0
	rm -f kept.qcow2
	mount_image whole mnt -o "format=raw,cow=$W/kept.qcow2,copy_on_read" || return 1
	cp whole ref
	scribble mnt 100 && cat mnt/disk.raw >/dev/null && scribble mnt 200 && same mnt/disk.raw ref || status=1
	unmount mnt && qemu-img check -q kept.qcow2 && qemu-img compare -q -F raw kept.qcow2 ref || return 1
	qemu-img rebase -u -b "" kept.qcow2 && qemu-img compare -q -F raw kept.qcow2 ref && return $status
}
check "copy_on_read: all that was read is in the overlay" kept
small_reads() {
	rm -f kept.qcow2
	mount_image whole mnt -o "format=raw,cow=$W/kept.qcow2,copy_on_read" || return 1
	dd if=mnt/disk.raw of=piece bs=4k skip=3 count=1 iflag=direct status=none
	unmount mnt && cmp -n 4096 -i 12288:0 whole piece || return 1
	qemu-img map --output=json kept.qcow2 | jq -e '[.[] | select(.depth == 0) | .length] | add == 65536' >/dev/null
}
check "copy_on_read: a small read stores its cluster alone" small_reads
full_host() {
	local status=0
	rm -f kept.qcow2
	(ulimit -f 700; mount_image whole mnt -o "format=raw,cow=$W/kept.qcow2,copy_on_read") || return 1
	same mnt/disk.raw whole || status=1
	qemu-img map -U --output=json kept.qcow2 | jq -e 'any(.depth > 0 and .data)' >/dev/null || status=1
	unmount mnt && qemu-img check -q kept.qcow2 && qemu-img compare -q -F raw kept.qcow2 whole || return 1
	return $status
}
check "copy_on_read: reads go on when the overlay cannot grow" full_host
