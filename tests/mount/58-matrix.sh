#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# cp from every kind of disk to every format that mkdir can create, within one mount: qemu-img checks each copy, and
# it is read back through the mount.
. "${0%/*}/functions.sh"
. "$here/images.sh"
requires qemu-img qemu-io cp
ranges=$BUILD/tests/mount/ranges

formats="raw qcow2 vdi vmdk vhd vhdx"
mkdir vms
declare -A disk ref # for each source: its path in the mount, its reference

# --- Sources.
# source_of NAME FORMAT SUFFIX [OPTION...]: converts src.ref by qemu-img.
source_of() {
	disk[$1]=$1.$3/disk.raw ref[$1]=src.ref
	qemu-img convert -q -f raw -O "$2" "${@:4}" src.ref "vms/$1.$3"
}
# plain NAME: copies NAME.ref as a raw image.
plain() {
	disk[$1]=$1.raw/disk.raw ref[$1]=$1.ref
	cp --sparse=always "$1.ref" "vms/$1.raw"
}
some_data src.ref 3M
printf '\353\0' | dd of=src.ref conv=notrunc status=none # a boot sector's jump, since text would not be recognised as raw
plain src
source_of plain qcow2 qcow2
source_of extended qcow2 qcow2 -o extended_l2=on
source_of deflate qcow2 qcow2 -c -o cluster_size=4k
source_of zstd qcow2 qcow2 -c -o compression_type=zstd
source_of v1 qcow qcow
source_of qed qed qed
source_of sparse vmdk vmdk
source_of flat vmdk vmdk -o subformat=twoGbMaxExtentFlat
source_of stream vmdk vmdk -o subformat=streamOptimized
source_of vdi vdi vdi
source_of dynamic vpc vhd -o force_size=on
source_of fixed vpc vhd -o subformat=fixed,force_size=on
source_of vhdx vhdx vhdx
source_of parallels parallels hdd

cp src.ref vms/base.raw
qemu-img create -q -f qcow2 -b base.raw -F raw vms/mid.qcow2
scribble qcow2 vms/mid.qcow2 3145728 65536 5 6 wwz
qemu-img snapshot -c before vms/mid.qcow2
reference vms/mid.qcow2 before.ref
disk[snapshot]=mid.qcow2/snapshots/before/disk.raw ref[snapshot]=before.ref
scribble qcow2 vms/mid.qcow2 3145728 65536 6 6 wwz
reference vms/mid.qcow2 mid.ref
qemu-img create -q -f qcow2 -b mid.qcow2 -F qcow2 vms/top.qcow2 4M # longer than its backing file
qemu-io -f qcow2 -c 'write -P 3 3M 64k' -c 'write -z 1M 64k' vms/top.qcow2 >/dev/null
reference vms/top.qcow2 top.ref
disk[chain]=top.qcow2/disk.raw ref[chain]=top.ref
disk[layer]=top.qcow2/chain/1-mid.qcow2/disk.raw ref[layer]=mid.ref

head -c 1000003 src.ref >odd.ref
head -c 512 src.ref >tiny.ref
truncate -s 9M empty.ref
noise 8 2200000 >full.ref
truncate -s %512 full.ref
for i in odd tiny empty full; do plain $i; done

# --- Copies.
qemu_format() { case $1 in vhd) echo vpc ;; *) echo "$1" ;; esac; }
# equal_and_sound COPY REFERENCE: the copy is equal, and qemu-img check finds no error.  All formats but raw round
# the size up to sectors.
equal_and_sound() {
	local suffix=${1##*.} whole=$2
	[ "$suffix" != raw ] || { cmp "$1" "$2" && return; }
	[ $(($(stat -c %s "$2") % 512)) = 0 ] || { whole=whole.ref && cp "$2" whole.ref && truncate -s %512 whole.ref; }
	[ "$suffix" = vhd ] || qemu-img check -q -f "$suffix" "$1" >&2 || return 1 # qemu-img has no check for VHD
	# qemu-img compare reports a longer image with zeroes at its end as equal, with a warning.
	qemu-img compare -f "$(qemu_format "$suffix")" -F raw "$1" "$whole" >compare.out 2>&1 &&
		! grep -i mismatch compare.out || { cat compare.out >&2; return 1; }
}
copied() { mkdir "mnt/$1.to.$2" && cp "mnt/${disk[$1]}" "mnt/$1.to.$2/disk.raw" && cmp -n "$(stat -c %s "${ref[$1]}")" "mnt/$1.to.$2/disk.raw" "${ref[$1]}"; }
mount_image vms mnt -o rw,idle=1 || exit 1
for i in "${!disk[@]}"; do
	for f in $formats; do copied "$i" "$f" || fail "$i to $f: copy failed"; done
done

# --- 5 TiB with little allocated data: copied quickly, and the copy allocates as little.
qemu-img create -q -f qcow2 vms/large.qcow2 5T
qemu-io -f qcow2 -c 'write -P 7 0 64k' -c 'write -P 8 2T 200k' -c 'write -P 9 5497558138368 512' vms/large.qcow2 >/dev/null
large() {
	mkdir "mnt/large.to.$1" && timeout "$patience" cp mnt/large.qcow2/disk.raw "mnt/large.to.$1/disk.raw" || return 1
	[ "$("$ranges" "mnt/large.to.$1/disk.raw" | awk '{ n += $2 } END { print (n < 64 * 1048576) }')" = 1 ]
}
for f in raw qcow2 vdi vmdk vhdx; do check "5 TiB to $f" large $f; done
too_large() { mkdir mnt/large.to.vhd && ! cp mnt/large.qcow2/disk.raw mnt/large.to.vhd/disk.raw 2>err && grep -q 'File too large' err; }
check "5 TiB to vhd: refused" too_large
unmount mnt

for i in "${!disk[@]}"; do
	for f in $formats; do check "$i to $f" equal_and_sound "vms/$i.to.$f" "${ref[$i]}"; done
done
reads_large() {
	qemu-io -r -f "$1" -c 'read -P 7 0 64k' -c 'read -P 0 64k 1M' -c 'read -P 8 2T 200k' \
		-c 'read -P 0 4T 1M' -c 'read -P 9 5497558138368 512' "vms/large.to.$1" >large.out && ! grep -i 'fail' large.out
}
for f in raw qcow2 vdi vmdk vhdx; do check "5 TiB to $f, as qemu-io reads it" reads_large $f; done
