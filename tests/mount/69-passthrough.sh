#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Passthrough: a file with exactly the bytes of a host file is read by the kernel, without the daemon.
. "${0%/*}/functions.sh"
requires qemu-img losetup

some_data src.raw 12M
dd if=/dev/zero of=src.raw bs=512 count=1 conv=notrunc status=none # text is no disk
qemu-img convert -f raw -O vmdk -o subformat=monolithicFlat src.raw flat.vmdk
qemu-img convert -f raw -O vpc -o subformat=fixed,force_size=on src.raw fixed.vhd
qemu-img convert -f raw -O vdi -o static=on src.raw static.vdi
qemu-img create -q -f qcow2 -F raw -b src.raw top.qcow2
qemu-img create -q -f qcow2 -o data_file=data.raw,data_file_raw=on,preallocation=metadata data.qcow2 12M
qemu-img convert -n -S 0 -f raw -O qcow2 src.raw data.qcow2
mkdir dir mnt plain.hdd
cp src.raw dir/a.img
cp src.raw plain.hdd/plain.hds
cat >plain.hdd/DiskDescriptor.xml <<'END'
<?xml version='1.0' encoding='UTF-8'?>
<Parallels_disk_image Version="1.0">
<Disk_Parameters><Disk_size>24576</Disk_size><Padding>0</Padding></Disk_Parameters>
<StorageData><Storage><Start>0</Start><End>24576</End><Blocksize>2048</Blocksize>
<Image><GUID>{5fbaabe3-6958-40ff-92a7-860e329aab41}</GUID><Type>Plain</Type><File>plain.hds</File></Image>
</Storage></StorageData>
</Parallels_disk_image>
END

# Compares a file of the mount with src.raw, and sets requests to the number of system calls that the daemon makes for
# it: without passthrough at least 24, of 512 KiB at most.
count_requests() { # FILE
	local pid before after
	pid=$(pids_of "$W/mnt" | xargs -n 1 sh -c 'grep -qx vdiskfs "/proc/$0/comm" && echo "$0"')
	calls() { sed -n 's/^syscr: //p' "/proc/$pid/io"; }
	[ -e "mnt/$1" ] && before=$(calls) && cmp "mnt/$1" src.raw && after=$(calls) && requests=$((after - before)) &&
		echo "$requests requests"
}
reads_alone() { count_requests "$1" && [ $requests -lt 16 ]; }
reads_by_daemon() { count_requests "$1" && [ $requests -ge 24 ]; }
on_mount() { # COMMAND IMAGE FILE [OPTION...]
	local status=0
	mount_image "$2" mnt "${@:4}" || return 1
	"$1" "$3" || status=1
	unmount mnt && return $status
}
passes() { check "$1" on_mount reads_alone "${@:2}"; } # WHAT IMAGE FILE [OPTION...]
not_passed() { check "$1" on_mount reads_by_daemon "${@:2}"; }

kernel_has_passthrough() {
	printf '%s\n' 6.9 "$(uname -r)" | sort -CV || return 1
	[ ! -e /proc/config.gz ] || zgrep -q '^CONFIG_FUSE_PASSTHROUGH=y' /proc/config.gz
}
if is_root && kernel_has_passthrough; then
	passes "a raw image" src.raw disk.raw
	passes "without the sandbox" src.raw disk.raw -o sandbox=off
	passes "a flat VMDK" flat.vmdk disk.raw
	passes "the raw base of a chain" top.qcow2 chain/1-src.raw/disk.raw
	passes "a raw data file" data.qcow2 disk.raw
	passes "an image in a directory" dir a.img/disk.raw
	passes "a plain Parallels image" plain.hdd disk.raw
	not_passed "nopassthrough" src.raw disk.raw -o nopassthrough
	not_passed "nopassthrough, an image in a directory" dir a.img/disk.raw -o nopassthrough
else
	skip "reading without the daemon: needs root and Linux 6.9 with CONFIG_FUSE_PASSTHROUGH"
fi

# The daemon reads a file that has other bytes, or another length, than the host file.

check "the footer of a fixed VHD is not read" matches fixed.vhd src.raw
check "nor the header of a static VDI" matches static.vdi src.raw
head -c 5000001 src.raw >odd.raw
check "the last sector of a raw image may be short" matches odd.raw odd.raw
cp flat-flat.vmdk kept
printf 'more than the disk' >>flat-flat.vmdk
check "an extent with more bytes than the disk" matches flat.vmdk src.raw
cp kept flat-flat.vmdk

# All files that are open on one node are read in the same way.

mount_image src.raw mnt
exec 5<mnt/disk.raw 6<mnt/disk.raw
check "two readers at a time" eval 'cmp - src.raw <&5 && cmp - src.raw <&6'
exec 5<&- 6<&-
check "one after them" cmp mnt/disk.raw src.raw
direct() { (set -o pipefail; dd if="$1" iflag=direct bs=1M status=none | cmp - src.raw); }
check "direct I/O" direct mnt/disk.raw
if is_root; then
	check "a loop device" eval 'dev=$(losetup -r -f --show mnt/disk.raw) && cmp "$dev" src.raw; status=$?; losetup -d "$dev"; [ $status = 0 ]'
fi
unmount mnt

# The kernel would fail an open with O_DIRECT with EIO if the file system of the image has none, such as ramfs.

if is_root && mkdir ramfs && mount -t ramfs ramfs ramfs; then
	cp src.raw ramfs
	check "the host file cannot be opened with O_DIRECT" eval '! dd if=ramfs/src.raw iflag=direct of=/dev/null count=1 2>err && grep "Invalid" err'
	mount_image ramfs/src.raw mnt
	check "a file of the mount can" direct mnt/disk.raw
	unmount mnt
	umount ramfs
else
	skip "a host file system without O_DIRECT: needs root and ramfs"
fi

# Reading a file that is cut short while it is open fails, at the latest when the file is closed.

cp src.raw cut.raw
mount_image cut.raw mnt
mkfifo pipe
fails_when_cut() {
	local reader status
	dd if=mnt/disk.raw of=pipe bs=64K status=none 2>err &
	reader=$!
	eventually eval '[ "$(readlink /proc/'$reader'/fd/0)" = "$W/mnt/disk.raw" ]' || return 1
	truncate -s 6M cut.raw
	cat pipe >copy
	wait $reader
	status=$?
	cat err >&2
	[ $status != 0 ] && grep -q 'Input/output error' err
}
check "a reader of a file that is cut short" fails_when_cut
check "and the next one" eval '! cp mnt/disk.raw copy 2>err && grep "Input/output error" err'
unmount mnt
