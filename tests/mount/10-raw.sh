#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Raw disks: sizes to the byte, any file as raw, file names with special characters, block devices.
. "${0%/*}/functions.sh"
. "$here/images.sh"
requires qemu-img losetup

some_data whole 6M
for size in 1 511 512 513 4095 4097 65535 65536 1048577 2097152 6291455; do
	head -c $size whole >"$size.bytes"
	UNIT=4096 check "$size bytes" matches $size.bytes $size.bytes -o format=raw
done

truncate -s 0 nothing
check "0 bytes" matches nothing nothing -o format=raw
truncate -s 100M hole
check "a hole only" matches hole hole -o format=raw
truncate -s 100M island
dd if=whole of=island bs=64K count=3 seek=777 conv=notrunc status=none
check "data between two holes" matches island island -o format=raw
dd if=whole of=island bs=1 count=1 seek=104857599 conv=notrunc status=none
check "a last byte after a hole" matches island island -o format=raw

# format=raw shows the bytes of any file, also of an image.
qemu-img create -q -f qcow2 disk.qcow2 1M
qemu-img create -q -f vmdk disk.vmdk 1M
qemu-img create -q -f vdi disk.vdi 1M
for f in qcow2 vmdk vdi; do
	check "format=raw of a $f file" matches disk.$f disk.$f -o format=raw
done
seq 1 5000 >letter.txt
check "format=raw of a text" matches letter.txt letter.txt -o format=raw

# Without format=, raw is recognised by the file name or by a boot sector.
noise 1 262144 >disk.img
check "raw recognised by its name" matches disk.img disk.img
printf '\125\252' | dd of=disk.img bs=1 seek=510 conv=notrunc status=none
cp disk.img bootable
check "raw recognised by its boot sector" matches bootable bootable

names=('with blank.img' 'comma,and\backslash.img' $'new\nline.img' '-dash.img' 'smör.img' 'a:b.img' '%41.img')
for name in "${names[@]}"; do
	cp -- disk.img "./$name"
	check "a file called $(printf '%q' "$name")" matches "./$name" disk.img
done
mkdir elsewhere
ln -s ../disk.img elsewhere/link.img
check "through a symbolic link" matches elsewhere/link.img disk.img
relative() { (cd elsewhere && "$VDISKFS" ../disk.img ../m.rel) && same m.rel/disk.raw disk.img; }
mkdir m.rel
check "relative names" relative
check "unmount of a mount with relative names" unmount m.rel

if is_root && device=$(losetup -r -f --show "$W/whole"); then
	check "a block device" matches "$device" whole
	losetup -d "$device"
	device=$(losetup -r -f --show -o 512 --sizelimit 3000320 "$W/whole")
	tail -c +513 whole | head -c 3000320 >part
	check "a loop device with offset and size" matches "$device" part -o format=raw
	losetup -d "$device"
else
	skip "a block device: needs root and a loop device"
fi
