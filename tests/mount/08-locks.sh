#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# QEMU and vdiskfs respect each other's locks on images, backing files, extents and data files.
. "${0%/*}/functions.sh"
. "$here/hostile.sh"
requires qemu-img qemu-io

mkdir mnt
noise 8 1048576 >disk.raw
for f in qcow2 vmdk vdi; do qemu-img convert -q -f raw -O $f disk.raw disk.$f; done
qemu-img convert -q -f raw -O vmdk -o subformat=monolithicFlat disk.raw flat.vmdk
qemu-img create -q -f qcow2 -F qcow2 -b disk.qcow2 over.qcow2
qemu-img create -q -f qcow2 -o data_file=data.raw external.qcow2 1M
qemu-io -f qcow2 -c 'write -P 5 0 64k' external.qcow2

# hold ARGUMENT...: opens an image with qemu-io, process $holder, until let_go.
hold() {
	local line
	coproc HOLD { exec qemu-io "$@" 2>&1; }
	holder=$HOLD_PID
	# A finished read proves that the image is open.
	echo 'read 0 512' >&"${HOLD[1]}"
	while read -r line <&"${HOLD[0]}"; do
		echo "holder: $line" >&2
		[[ $line == *"read 512/512"* ]] && return 0
	done
	return 1
}
let_go() {
	local pid=$holder
	echo quit >&"${HOLD[1]}"
	wait "$pid"
}
writes() { qemu-io -f "$1" -c 'read 0 512' "$2" >/dev/null 2>&1; }
reads() { qemu-io -r -f "$1" -c 'read 0 512' "$2" >/dev/null 2>&1; }

# held_by_writer FORMAT FILE
held_by_writer() {
	hold -f "$1" "$2" || { fail "$1: qemu-io opens it"; return; }
	check "$1 opened for writing by QEMU: refused, the process is named" \
		refused_within "$2" "${2##*/}: in use for writing by qemu-io \(pid $holder\)" -o "format=$1"
	check "$1: the hint names -o share" grep -q -e '-o share' within.err
	check "$1: -o share reads it" matches "$2" disk.raw -o "format=$1,share"
	check "$1: qemu-io still runs" kill -0 "$holder"
	let_go
	check "$1: mounted after qemu-io has ended" matches "$2" disk.raw -o "format=$1"
}
for f in qcow2 vmdk vdi raw; do held_by_writer $f "$W/disk.$f"; done
held_by_writer vmdk "$W/flat.vmdk"

# Shared locks of readers do not conflict.
hold -r -f qcow2 disk.qcow2
check "opened for reading by QEMU: mounted" matches disk.qcow2 disk.raw
let_go
hold -r -U -f qcow2 disk.qcow2
check "opened with force-share by QEMU: mounted" matches disk.qcow2 disk.raw
let_go

# Locks of a mount.
for f in qcow2 vmdk vdi; do
	mount_image disk.$f mnt
	check_not "$f mounted: QEMU may not write" writes $f disk.$f
	check "$f mounted: QEMU may read" reads $f disk.$f
	check "$f mounted: a second mount is allowed" matches disk.$f disk.raw
	check_not "$f mounted: qemu-img may not create over it" qemu-img create -q -f $f disk.$f 1M
	unmount mnt
	check "$f unmounted: QEMU may write" writes $f disk.$f
done
mount_image disk.raw mnt -o format=raw
check_not "raw mounted: QEMU may not write" writes raw disk.raw
check "raw mounted: QEMU may read" reads raw disk.raw
unmount mnt
mount_image disk.qcow2 mnt -o share
check "mounted with -o share: QEMU may write" writes qcow2 disk.qcow2
unmount mnt
check "the image still reads right" matches disk.qcow2 disk.raw

# A QEMU that writes to an overlay locks its backing files as a reader.
hold -f qcow2 over.qcow2
check "backing file of an overlay that QEMU writes: mounted" matches disk.qcow2 disk.raw
check "an overlay that QEMU writes: refused" refused_within over.qcow2 "over.qcow2: in use for writing"
let_go
hold -f qcow2 disk.qcow2
check "overlay whose backing file QEMU writes: refused, the backing file is named" \
	refused_within over.qcow2 "/disk.qcow2: in use for writing by qemu-io \(pid $holder\)"
check "-o nobacking takes no lock on the backing file" eval 'mount_image over.qcow2 mnt -o nobacking && unmount mnt'
check "-o share mounts an overlay whose backing file QEMU writes" matches over.qcow2 disk.raw -o share
let_go
mount_image over.qcow2 mnt
check_not "overlay mounted: QEMU may not write to the base" writes qcow2 disk.qcow2
check "overlay mounted: QEMU may read the base" reads qcow2 disk.qcow2
unmount mnt
check "overlay unmounted: QEMU may write to the base" writes qcow2 disk.qcow2

# Data files and extents are locked like images.
hold -f qcow2 external.qcow2
check "data file of an image that QEMU writes: refused" refused_within data.raw "data.raw: in use for writing" -o format=raw
let_go
mount_image external.qcow2 mnt
check_not "data file of a mounted image: QEMU may not write" writes raw data.raw
unmount mnt
hold -f raw flat-flat.vmdk
check "VMDK whose extent QEMU writes: refused, the extent is named" \
	refused_within flat.vmdk "flat-flat.vmdk: in use for writing by qemu-io"
let_go
mount_image flat.vmdk mnt
check_not "extent of a mounted VMDK: QEMU may not write" writes raw flat-flat.vmdk
unmount mnt

# An image locked by a mount: both programs print how to release it; vdisk also prints the mount point.
hint_names_mount() { # DIRECTORY-AS-A-WORD VDISK-ARGUMENT...
	local word=$1
	shift
	! "$VDISK" "$@" 2>within.err && cat within.err >&2 && grep -q 'by vdiskfs (pid ' within.err || return 1
	grep -q -F "vdisk umount $word releases it (see vdisk list)" within.err && ! grep -e '-o share' within.err
}
mkdir -p machines "a mount"
cp disk.vdi machines/
mount_image disk.qcow2 mnt -o rw
check "mounted rw: the hint of info names the mount point" hint_names_mount "$W/mnt" info disk.qcow2
check "mounted rw: the hint of info names -U" grep -q -e '-U reads it' within.err
check "mounted rw: the hint of resize names the mount point" hint_names_mount "$W/mnt" resize disk.qcow2 2M
check "mounted rw: the hint of another vdiskfs names vdisk list" eval 'refused_within disk.qcow2 "by vdiskfs" && grep -q "vdisk list" within.err'
unmount mnt
check "unmounted: info reads it" "$VDISK" info disk.qcow2
mount_image disk.vmdk "a mount"
check "the mount point in the hint is quoted for the shell" hint_names_mount "'$W/a mount'" resize disk.vmdk 2M
unmount "a mount"
mount_image machines mnt -o rw
exec 9<>mnt/disk.vdi/disk.raw
check "an image of a mounted directory" hint_names_mount "$W/mnt" map machines/disk.vdi
exec 9<&-
unmount mnt
mount_image over.qcow2 mnt
backing_file_held() {
	! "$VDISK" resize disk.qcow2 2M 2>within.err && grep -q 'vdisk list shows where it is mounted' within.err
}
check "the backing file of a mounted overlay" backing_file_held
unmount mnt
hold -f qcow2 disk.qcow2
check "locked by qemu-io: the hint names no mount" eval '! "$VDISK" info disk.qcow2 2>within.err && ! grep "vdisk list" within.err'
let_go

# /proc/locks lists shared OFD locks on the bytes 100, 201 and 203, and none after the end.
locks_on() {
	awk -v ino=":$(stat -c %i "$1")$" '$2 == "OFDLCK" && $6 ~ ino { print $4, $7 "-" $8 }' /proc/locks | sort -u
}
locks_are() {
	local file=$1
	shift
	locks_on "$file" >held
	if [ $# = 0 ]; then [ ! -s held ]; else shows_exactly held "$@"; fi
}
if [ -r /proc/locks ] && mount_image disk.qcow2 mnt && [ -n "$(locks_on disk.qcow2)" ]; then
	check "locks are those of a reading QEMU" locks_are disk.qcow2 "READ 100-100" "READ 201-201" "READ 203-203"
	unmount mnt
	check "umount releases all locks" locks_are disk.qcow2
	mount_image disk.qcow2 mnt -o share
	check "locks with -o share are those of QEMU's force-share" locks_are disk.qcow2 "READ 100-100"
	kill -9 "$(daemon_of "$W/mnt")"
	# shellcheck disable=SC2046
	"$await_exit" "$patience" $(pids_of "$W/mnt")
	check "kill -9 releases all locks" locks_are disk.qcow2
else
	skip "locks: /proc/locks does not list them"
fi
if mountpoint -q mnt; then unmount mnt; fi
