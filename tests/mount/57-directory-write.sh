#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# A writable directory of images: each image is opened for writing only when it is written to.
. "${0%/*}/functions.sh"
. "$here/images.sh"
. "$here/hostile.sh"
requires qemu-img qemu-io losetup xfs_io

some_data some 8M
put() { dd if=some of="$1" bs=64K seek="$2" count="$3" conv=notrunc status=none; }
mkdir vms vms/sub
for f in raw qcow2 vdi vmdk vhdx; do qemu-img create -q -f $f "vms/a.$f" 8M; done
qemu-img create -q -f vpc -o force_size=on vms/sub/a.vhd 8M
qemu-img create -q -f qcow2 -F raw -b a.raw vms/over.qcow2
qemu-img create -q -f qcow vms/old.qcow 8M
qemu-img snapshot -c one vms/a.qcow2
disks="a.raw a.qcow2 a.vdi a.vmdk a.vhdx sub/a.vhd"
truncate -s 8M zeroes
cp --sparse=never zeroes full

mount_image vms mnt -o rw,idle=1 || exit 1
write_all() {
	local d
	for d in $disks; do
		put mnt/$d/disk.raw 3 50 && put mnt/$d/disk.raw 100 7 && sync mnt/$d/disk.raw || return 1
	done
	put full 3 50 && put full 100 7
}
check "writes to an image of each format" write_all
agree() {
	local d
	for d in $disks; do cmp mnt/$d/disk.raw full || return 1; done
}
check "the images read back" agree
no_exports() { [ ! -e mnt/a.qcow2/export ] && [ -e mnt/a.qcow2/snapshots/one/export/a.qcow2-one-export.vdi ]; }
check "a writable image has no exports, its snapshots have" no_exports
check_not "a snapshot cannot be written" put mnt/a.qcow2/snapshots/one/disk.raw 0 1
cannot() { ! put mnt/old.qcow/disk.raw 0 1 2>err && grep -q 'Read-only' err && cmp mnt/old.qcow/disk.raw zeroes; }
check "an image of a read-only format cannot be written" cannot
over() { cmp mnt/over.qcow2/disk.raw full && put mnt/over.qcow2/disk.raw 1 1 && cmp -s mnt/over.qcow2/disk.raw some; [ $? = 1 ]; }
check "writes to an overlay do not change its backing file" over
busy() {
	local status
	exec 9<mnt/over.qcow2/chain/1-a.raw/disk.raw
	! put mnt/a.raw/disk.raw 0 1 2>err && grep 'busy' err
	status=$?
	exec 9<&-
	return $status
}
check "a backing file that is open for reading cannot be written" busy
readers() {
	local status
	eventually qemu-io -f vdi -c 'write 0 1' vms/a.vdi >/dev/null || return 1
	exec 9<mnt/a.vdi/disk.raw
	! put mnt/a.vdi/disk.raw 0 1 2>err && grep 'busy' err
	status=$?
	exec 9<&-
	put mnt/a.vdi/disk.raw 0 1 && [ $status = 0 ]
}
check "an image that is open for reading cannot be written until it is closed" readers
in_use() {
	local pid status
	cmp mnt/a.vmdk/disk.raw full && eventually qemu-io -f vmdk -c 'read 0 1' vms/a.vmdk >/dev/null || return 1
	coproc qemu-io -f vmdk vms/a.vmdk
	pid=$COPROC_PID
	echo length >&"${COPROC[1]}"
	read -r -t "$patience" -u "${COPROC[0]}"
	! put mnt/a.vmdk/disk.raw 0 1 2>err && grep -E 'busy|Read-only' err # depends on whether the image is still open read-only
	status=$?
	kill "$pid"
	wait "$pid" 2>/dev/null
	return $status
}
check "an image that another program uses cannot be written" in_use
closed() { eventually qemu-img compare -q -f qcow2 -F raw vms/a.qcow2 full && qemu-img check -q vms/a.qcow2; }
check "an idle image is closed and QEMU's lock is free" closed
unmount mnt

equal_and_sound() {
	local d
	put full 0 1 && qemu-img compare -q -f vdi -F raw vms/a.vdi full || return 1
	qemu-img check -q vms/a.vdi && qemu-img check -q vms/a.vhdx && qemu-img check -q vms/a.vmdk
}
check "qemu-img reads and checks the images" equal_and_sound
strict() {
	local status=0
	mount_image vms mnt -o rw,sandbox=strict || return 1
	put mnt/a.vhdx/disk.raw 0 1 || status=1
	unmount mnt && [ $status = 0 ] && qemu-img compare -q -f vhdx -F raw vms/a.vhdx full
}
[ -n "$sanitized" ] || check "sandbox=strict" strict
check "-o cow of a directory is refused" refused vms 'cow is for one image' -o cow

# info.json has the space on the host, while the image is open for writing as after it was closed.

is_closed() { ! readlink "/proc/$(daemon_of "$W/mnt")/fd"/* | grep /i.qcow2; }
info_follows() {
	mkdir info && qemu-img create -q -f qcow2 info/i.qcow2 8M && mount_image info mnt -o rw,idle=1 || return 1
	put mnt/i.qcow2/disk.raw 0 100 && sync mnt/i.qcow2/disk.raw && cp mnt/i.qcow2/info.json open.json &&
		eventually is_closed && cp mnt/i.qcow2/info.json closed.json && stat -c %s mnt/i.qcow2/info.json >length
	unmount mnt && [ "$(wc -c <closed.json)" = "$(cat length)" ] && [ "$(tail -n 1 closed.json)" = "}" ] && cmp open.json closed.json &&
		grep "\"actual-size\": $(($(stat -c %b info/i.qcow2) * 512))," open.json
}
check "info.json of an image that is written" info_follows
