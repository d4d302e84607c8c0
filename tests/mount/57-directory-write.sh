#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# A directory of images that can be written: each by itself, and opened for that only when need be.
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
check "each of them" write_all
agree() {
	local d
	for d in $disks; do cmp mnt/$d/disk.raw full || return 1; done
}
check "and is read back" agree
no_exports() { [ ! -e mnt/a.qcow2/export ] && [ -e mnt/a.qcow2/snapshots/one/export/a.qcow2-one-export.vdi ]; }
check "what can change has no exports, what cannot has" no_exports
check_not "snapshots are not written" put mnt/a.qcow2/snapshots/one/disk.raw 0 1
cannot() { ! put mnt/old.qcow/disk.raw 0 1 2>err && grep -q 'Read-only' err && cmp mnt/old.qcow/disk.raw zeroes; }
check "nor what of its format can only be read" cannot
over() { cmp mnt/over.qcow2/disk.raw full && put mnt/over.qcow2/disk.raw 1 1 && cmp -s mnt/over.qcow2/disk.raw some; [ $? = 1 ]; }
check "an overlay and its base" over
busy() {
	local status
	exec 9<mnt/over.qcow2/chain/1-a.raw/disk.raw
	! put mnt/a.raw/disk.raw 0 1 2>err && grep 'busy' err
	status=$?
	exec 9<&-
	return $status
}
check "but not a base that is read" busy
readers() {
	local status
	eventually qemu-io -f vdi -c 'write 0 1' vms/a.vdi >/dev/null || return 1
	exec 9<mnt/a.vdi/disk.raw
	! put mnt/a.vdi/disk.raw 0 1 2>err && grep 'busy' err
	status=$?
	exec 9<&-
	put mnt/a.vdi/disk.raw 0 1 && [ $status = 0 ]
}
check "nor what somebody reads, until he is done" readers
in_use() {
	local pid status
	cmp mnt/a.vmdk/disk.raw full && eventually qemu-io -f vmdk -c 'read 0 1' vms/a.vmdk >/dev/null || return 1
	coproc qemu-io -f vmdk vms/a.vmdk
	pid=$COPROC_PID
	echo length >&"${COPROC[1]}"
	read -r -t "$patience" -u "${COPROC[0]}"
	! put mnt/a.vmdk/disk.raw 0 1 2>err && grep -E 'busy|Read-only' err # as it was known, or not
	status=$?
	kill "$pid"
	wait "$pid" 2>/dev/null
	return $status
}
check "what another program has" in_use
closed() { eventually qemu-img compare -q -f qcow2 -F raw vms/a.qcow2 full && qemu-img check -q vms/a.qcow2; }
check "given up once it is idle" closed
unmount mnt

judged() {
	local d
	put full 0 1 && qemu-img compare -q -f vdi -F raw vms/a.vdi full || return 1
	qemu-img check -q vms/a.vdi && qemu-img check -q vms/a.vhdx && qemu-img check -q vms/a.vmdk
}
check "as others read them" judged
strict() {
	local status=0
	mount_image vms mnt -o rw,sandbox=strict || return 1
	put mnt/a.vhdx/disk.raw 0 1 || status=1
	unmount mnt && [ $status = 0 ] && qemu-img compare -q -f vhdx -F raw vms/a.vhdx full
}
[ -n "$sanitized" ] || check "in the strictest sandbox" strict
check "no cow of a directory" refused vms 'cow is for one image' -o cow
