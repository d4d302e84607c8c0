#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Mount points from which the daemon would reach its own mount: a directory over itself, over its parent, inside
# itself, two that contain each other; hung mounts below the directory; mounts on demand.  A process that waits for
# itself in the kernel cannot be killed, so every command has a time limit.
. "${0%/*}/functions.sh"
. "$here/images.sh"
. "$here/hostile.sh"
requires qemu-img

limit=$((20 * slowness))
# on MOUNTPOINT IMAGE [OPTION...]: mounts IMAGE.
on() { within "$VDISKFS" "${@:3}" "$2" "$W/$1"; }
# within COMMAND...: runs the command with a time limit.
within() { timeout -k 5 $limit "$@"; }
has() { # DIR NAME...: the directory has exactly these entries
	[ "$(within ls "$1")" = "$(printf '%s\n' "${@:2}")" ] || { within ls -l "$1" >&2; return 1; }
}
right() { within cmp "$1/disk.raw" src.raw; }
is_mounted() { [[ $(</proc/self/mountinfo) == *" $W/$1 "* ]]; }
# ends DIR...: unmounts in this order; no process is left.
ends() {
	local dir status=0
	for dir; do unmount "$dir" || status=1; done
	return $status
}
noise 67 1048576 >src.raw
fill() { # DIR: creates images there
	mkdir -p "$1/sub"
	qemu-img convert -q -f raw -O qcow2 src.raw "$1/a.qcow2"
	qemu-img create -q -f qcow2 -F qcow2 -b ../a.qcow2 "$1/sub/over.qcow2"
	qemu-img create -q -f qcow2 -F qcow2 -b "$W/$1/a.qcow2" "$1/full.qcow2"
}

# The mount covers its own directory.

fill own
works() { # MOUNT: the tree and the images in it can be read
	has "$1" a.qcow2 full.qcow2 sub volumes && right "$1/a.qcow2" && right "$1/full.qcow2" &&
		right "$1/sub/over.qcow2" && within find "$1" -ls >/dev/null
}
check "a directory mounted over itself" eval 'on own own -o "allow=$W/own" && works own'
check "umount of a directory over itself" ends own
if is_root; then
	fill under
	mkdir -p view
	mount --bind under view
	check "a directory over itself, seen through a bind mount" eval 'on under under && has under a.qcow2 full.qcow2 sub volumes'
	come_and_go() {
		cp view/a.qcow2 view/new.qcow2 && eventually has under a.qcow2 full.qcow2 new.qcow2 sub volumes &&
			right under/new.qcow2 && rm view/new.qcow2 && eventually has under a.qcow2 full.qcow2 sub volumes
	}
	check "changes of the covered directory are shown" come_and_go
	check "umount after changes" ends under
	umount view
	check "a writable directory over itself" eval 'on own own -o "rw,idle=0,allow=$W/own" && works own'
	check "mkdir creates an image in the covered directory" eval 'within mkdir own/made.raw && within cp src.raw own/made.raw/disk.raw && within rm -rf own/nothing'
	check "an image in the covered directory is written" eval 'within dd if=src.raw of=own/a.qcow2/disk.raw bs=64K conv=notrunc status=none && right own/a.qcow2'
	check "the new image is there after umount" eval 'ends own && cmp own/made.raw src.raw && rm own/made.raw'
else
	skip "changes of the covered directory: needs root"
fi
mkdir -p parent
fill parent/vms
check "a directory mounted over its parent" eval 'on parent parent/vms -o "allow=$W/parent/vms" && works parent'
check "umount of a directory over its parent" ends parent
killed() {
	on own own && has own a.qcow2 full.qcow2 sub volumes || return 1
	local pids
	pids=$(pids_of "$W/own")
	kill -KILL "$(daemon_of "$W/own")"
	# shellcheck disable=SC2086
	"$await_exit" 20 $pids && ! is_mounted own && [ -f own/a.qcow2 ]
}
check "SIGKILL leaves no mount" killed

# Mount points inside the directory, and inside each other.

fill in
mkdir -p in/one in/two
check "two mounts inside the mounted directory" eval 'on in/one in && on in/two in'
check "the first lists the images" has in/one a.qcow2 full.qcow2 sub volumes
check "the second lists the images" has in/two a.qcow2 full.qcow2 sub volumes
check "umount of both" ends in/one in/two
fill left
fill right
mkdir -p left/m right/m
check "two mounts that contain each other" eval 'on right/m left && on left/m right'
check "the first of two lists the images" has right/m a.qcow2 full.qcow2 sub volumes
check "the second of two lists the images" has left/m a.qcow2 full.qcow2 sub volumes
check "images of both can be read" eval 'right left/m/a.qcow2 && right right/m/a.qcow2'
check "umount of two mounts that contain each other" ends left/m right/m
mkdir -p outer
check "a mount of a mount" eval 'on outer left && on left/m outer && has left/m a.qcow2 full.qcow2 && right left/m/a.qcow2/disk.raw'
check "umount of a mount of a mount" ends left/m outer

# Other mounts below the directory.

fill host
mkdir -p host/other host/tmpfs host/file
ln -s other/disk.raw host/link.img
check "a FUSE mount below is not listed" eval 'on host/other src.raw -o subtype=other &&
	on outer host && has outer a.qcow2 full.qcow2 link.img sub volumes'
stopped() {
	local daemon status=0
	daemon=$(daemon_of "$W/host/other")
	kill -STOP "$daemon"
	touch host/x && has outer a.qcow2 full.qcow2 link.img sub volumes && within grep -q 'FUSE mount' outer/link.img/error.txt || status=1
	kill -CONT "$daemon"
	return $status
}
check "a FUSE mount below that hangs is not waited for" stopped
check "umount beside a FUSE mount" ends outer
check "a FUSE mount below with allow= is listed" eval 'on outer host -o "allow=$W/host/other" && has outer a.qcow2 full.qcow2 link.img other sub volumes && right outer/other/disk.raw && right outer/link.img'
check "umount beside a FUSE mount with allow=" ends outer host/other
if is_root && mount -t tmpfs none host/tmpfs; then
	cp host/a.qcow2 host/tmpfs/t.qcow2
	check "a mount of another file system below is listed" eval 'on outer host && has outer a.qcow2 full.qcow2 link.img sub tmpfs volumes && right outer/tmpfs/t.qcow2'
	check "umount beside another file system" ends outer
	umount host/tmpfs
else
	skip "mounts of other file systems: needs root"
fi

# Kernels, containers and emulators without openat2 and statx.

# without CALLS ERRNO COMMAND...
without() { strace -qq -f -o strace.log -e trace="$1" -e inject="$1:error=$2" "${@:3}"; }
old_kernel() { # CALLS ERRNO IMAGE: as a job of this shell, since strace exits only with the daemon
	local tracer status=0
	without "$1" "$2" "$VDISKFS" -f -o "sandbox=off,allow=$W/own" "$3" "$W/mnt" &
	tracer=$!
	"$BUILD/tests/mount/await-mount" 20 "$W/mnt" || return 1
	if [ -d "$3" ]; then works mnt; else right mnt; fi || status=1
	ends mnt && wait $tracer && return $status
}
mkdir -p mnt
if [ -z "$sanitized" ] && strace -qq -o strace.log -e trace=openat2 true 2>/dev/null; then
	for code in ENOSYS EPERM; do
		check "no openat2 ($code): a directory" old_kernel openat2 $code own
		check "no openat2, no statx ($code): an image with a parent" old_kernel openat2,statx $code own/full.qcow2
		check "no statx ($code): a directory is refused with a message" eval \
			'! without statx '$code' "$VDISKFS" -f own "$W/mnt" 2>e && grep -q "own: the list of mounts: " e && ! is_mounted mnt'
	done
else
	skip "without openat2 and statx: strace does not work"
fi

# A mount point that is in use.

mkdir -p mnt
qemu-img convert -q -f raw -O vdi src.raw b.vdi
check "one image" on mnt own/a.qcow2
again() {
	! on mnt own/a.qcow2 "$@" 2>again.err && grep -q "mnt: .*own/a.qcow2 is mounted there already" again.err &&
		grep -q '^hint: vdisk umount ' again.err
}
check "the same image on the same mount point is refused" again
check "the same image on the same mount point, in the foreground, is refused" again -f
if is_root; then
	check "another image is mounted on top, as by mount(8)" eval 'on mnt b.vdi && right mnt && fusermount3 -u mnt && is_mounted mnt && right mnt'
fi
check "umount of the first image" ends mnt

# Mounts by autofs.

# automounted COMMAND...: accesses an autofs mount point, for which the command mounts an image.
automounted() {
	local status=0 auto
	mkdir -p auto
	exec 7< <(exec setsid "$BUILD/tests/mount/automount" "$W/auto" "$@" 2>auto.err)
	auto=$!
	read -r -t $limit <&7
	right auto || status=1
	[ $status = 0 ] && [ "$(findmnt -n -o FSTYPE "$W/auto" | tail -n 1)" = fuse.vdiskfs ] || status=1
	fusermount3 -u "$W/auto"
	kill "$auto"
	exec 7<&-
	"$await_exit" 20 "$auto" || status=1
	! is_mounted auto || { umount -l auto; umount -l auto; status=1; } 2>/dev/null
	cat auto.err >&2
	return $status
}
if is_root && grep -qw autofs /proc/filesystems; then
	check "mounted by autofs" automounted "$VDISKFS" "$W/own/a.qcow2" "$W/auto"
	check "mounted by autofs, sandbox=off" automounted "$VDISKFS" -o sandbox=off "$W/own/a.qcow2" "$W/auto"
	failed_on_demand() { # no process waits for the mount that failed
		! automounted "$VDISKFS" "$W/no.qcow2" "$W/auto" && ! is_mounted auto
	}
	check "a failed mount by autofs is an error" failed_on_demand
else
	skip "mounted by autofs: needs root and autofs"
fi
