#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Runs stress.c: 18 threads on a writable mount of a directory.  STRESS_SECONDS sets the duration; SEED repeats a
# run.
. "${0%/*}/functions.sh"
. "$here/images.sh"
. "$here/hostile.sh"
requires qemu-img

seed=$SEED
seconds=${STRESS_SECONDS:-15}
stressed() { # OPTION...
	local status=0 f
	mkdir vms mnt
	for f in one.qcow2 two.vdi three.vmdk four.vhdx five.raw six.qcow2 seven.vdi eight.raw static.qcow2; do
		qemu-img create -q -f "${f##*.}" "vms/$f" 4M || return 1
	done
	mount_image vms mnt -o "rw,idle=1" "$@" || return 1
	"$BUILD/tests/mount/stress" "$W/mnt" "$W/vms" "$seconds" "$seed" || status=1
	unmount mnt || status=1
	for f in vms/{one.qcow2,two.vdi,three.vmdk,four.vhdx,six.qcow2,seven.vdi,static.qcow2}; do
		"$VDISK" check -q "$f" || { echo "$f" >&2; status=1; }
	done
	for f in vms/{one.qcow2,six.qcow2,static.qcow2}; do qemu-img check -q "$f" || { echo "$f: QEMU" >&2; status=1; }; done
	rm -rf vms
	rmdir mnt
	return $status
}
echo "SEED=$seed" >&2
check "18 threads for $seconds s, SEED=$seed" stressed
