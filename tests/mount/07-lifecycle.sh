#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# The daemon starts, and ends by umount, by a signal or by kill -9, also with open files; the image is renamed,
# removed or truncated while it is mounted.
. "${0%/*}/functions.sh"
. "$here/hostile.sh"
requires qemu-img qemu-io

mkdir mnt
noise 7 8388608 >disk.raw
qemu-img convert -q -f raw -O qcow2 disk.raw disk.qcow2
image=$W/disk.qcow2

is_mounted() { [[ $(</proc/self/mountinfo) == *" $W/$1 "* ]]; }
no_process_serves() { ! is_mounted "$1" && [ -z "$(pids_of "$W/$1")" ]; }
right() { "$compare" -n 50 "$1/disk.raw" disk.raw; }

# ends DIR COMMAND...: runs the command and waits until the daemon and the attendant have exited.
ends() {
	local dir=$1 pids
	shift
	pids=$(pids_of "$W/$dir")
	[ -n "$pids" ] || return 1
	"$@" || return 1
	# shellcheck disable=SC2086
	"$await_exit" "$patience" $pids && no_process_serves "$dir"
}
# signals DIR SIGNAL: sends the signal to the daemon.
signals() { kill "-$2" "$(daemon_of "$W/$1")"; }

# Start and end.

at_once() {
	local i
	for ((i = 0; i < ${sanitized:+1}0 + 30; i++)); do
		"$VDISKFS" "$image" "$W/mnt" || return 1
		# Without a wait: a launcher that returns too early shows an empty directory.
		[ -r mnt/disk.raw ] && [ -e mnt/info.json ] || return 1
		unmount mnt || return 1
	done
}
check "the tree is there when the command returns" at_once

mount_image disk.qcow2 mnt
check "one daemon and one attendant serve the mount" [ "$(pids_of "$W/mnt" | wc -l)" = 2 ]
check "umount ends both" ends mnt umount mnt
check "umount releases the lock" qemu-io -f qcow2 -c 'read 0 512' disk.qcow2
mount_image disk.qcow2 mnt
check "fusermount3 -u ends both" ends mnt fusermount3 -u mnt

for signal in TERM INT HUP; do
	mount_image disk.qcow2 mnt
	check "SIG$signal: the daemon unmounts and exits" ends mnt signals mnt $signal
	check "SIG$signal: the lock is released" qemu-io -f qcow2 -c 'read 0 512' disk.qcow2
done
for signal in KILL ABRT; do
	mount_image disk.qcow2 mnt
	check "SIG$signal: the attendant removes the dead mount" ends mnt signals mnt $signal
	check "SIG$signal: the mount point is usable" matches disk.qcow2 disk.raw
done

# Ends while a file is open.
busy_end() {
	local fd status=0
	mount_image disk.qcow2 mnt || return 1
	exec {fd}<mnt/disk.raw
	head -c 4096 <&"$fd" >/dev/null
	ends mnt signals mnt "$1" || status=1
	exec {fd}<&-
	return $status
}
check "SIGTERM with an open file" busy_end TERM
check "SIGKILL with an open file" busy_end KILL
busy_umount() {
	local fd
	mount_image disk.qcow2 mnt || return 1
	exec {fd}<mnt/disk.raw
	! umount mnt || return 1
	right mnt || return 1
	exec {fd}<&-
	ends mnt umount mnt
}
check "umount of a busy mount is refused and the mount still works" busy_umount
lazy() {
	local fd pids sum
	mount_image disk.qcow2 mnt || return 1
	pids=$(pids_of "$W/mnt")
	exec {fd}<mnt/disk.raw
	umount -l mnt || return 1
	sum=$(sha256sum <&"$fd")
	exec {fd}<&-
	[ "$sum" = "$(sha256sum <disk.raw)" ] || return 1
	# shellcheck disable=SC2086
	"$await_exit" "$patience" $pids
}
check "umount -l: the daemon serves until the last file is closed" lazy
# Reads that a killed daemon does not answer end with an error.
reader_ends() {
	local reader status=0
	mount_image disk.qcow2 mnt || return 1
	(while cat mnt/disk.raw >/dev/null; do :; done) 2>/dev/null &
	reader=$!
	ends mnt signals mnt KILL || status=1
	wait $reader
	return $status
}
check "SIGKILL during reads: readers get an error" reader_ends

# The daemon is killed while it creates an image for mkdir and, in another thread, notifies the kernel of a new
# entry of the same directory: the kernel holds the directory's lock for mkdir, so the notification waits for it.
ends_in_mkdir() {
	local daemon tracer maker status=0
	mkdir -p vms mnt
	cp disk.raw vms/there.raw
	mount_image vms mnt -o rw,sandbox=off && ls mnt >/dev/null || return 1
	for daemon in $(pids_of "$W/mnt"); do [ "$(cat "/proc/$daemon/comm")" != vdiskfs ] || break; done
	strace -qq -f -o trace -P "$W/vms/new.qcow2" -e inject=openat,pwrite64:delay_enter=60000000 -p "$daemon" &
	tracer=$!
	eventually grep -q '^TracerPid:.[1-9]' "/proc/$daemon/status"
	timeout "$patience" mkdir mnt/new.qcow2 &
	maker=$!
	eventually is_in_mkdir "$maker"
	cp disk.raw vms/late.raw
	eventually is_stuck "$daemon" || status=1
	kill -9 "$daemon" $tracer
	wait $maker
	[ $? = 1 ] && eventually not_mounted mnt && [ $status = 0 ]
}
is_in_mkdir() { grep -q fuse_mkdir "/proc/$(pgrep -P "$1")/stack"; } # the child of timeout
is_stuck() { cat "/proc/$1"/task/*/stack | grep -q fuse_reverse_inval; }
not_mounted() { ! grep -qF " $W/$1 " /proc/self/mountinfo; }
if is_root && command -v strace >/dev/null && [ -z "$sanitized" ]; then
	check "SIGKILL while a directory is changed" ends_in_mkdir
else
	skip "SIGKILL while a directory is changed: needs root and strace"
fi

# In the foreground.

# foreground DIR OPTION...: starts vdiskfs as a job of this shell, $daemon; returns when it has mounted.
foreground() {
	local dir=$1
	shift
	mkdir -p "$dir"
	# A shell starts background jobs with SIGINT ignored, and vdiskfs does not change an ignored signal.
	env --default-signal=INT "$VDISKFS" "$@" "$image" "$W/$dir" 2>foreground.err &
	daemon=$!
	"$BUILD/tests/mount/await-mount" 20 "$W/$dir"
}
# foreground_ends OPTIONS COMMAND...
foreground_ends() {
	# shellcheck disable=SC2086
	foreground mnt $1 && right mnt || return 1
	[ "$(daemon_of "$W/mnt")" = "$daemon" ] || return 1
	ends mnt "${@:2}" || return 1
	wait $daemon
}
check "-f: umount ends it with status 0" foreground_ends -f umount mnt
check "-f: SIGTERM ends it with status 0" foreground_ends -f signals mnt TERM
check "-f: SIGINT, as by Ctrl-C, ends it with status 0" foreground_ends -f signals mnt INT
check "-d: stays in the foreground" foreground_ends -d umount mnt
check "-d: logs the requests of the kernel" grep -q LOOKUP foreground.err
check "-f -s" foreground_ends "-f -s" umount mnt

# Several mounts.

mount_image disk.qcow2 one
mount_image disk.qcow2 two
check "two mounts of one image: the first" right one
check "two mounts of one image: the second" right two
check "umount of one of two mounts" ends one umount one
check "the other mount still works" right two
check "umount of the other" ends two umount two
mount_image disk.raw outer
mount_image outer/disk.raw inner
check "an image in a mount can be mounted" right inner
check "umount of the inner mount" ends inner umount inner
check "umount of the outer mount" ends outer umount outer
on_top() {
	mount_image disk.qcow2 mnt || return 1
	cp disk.raw other.img
	printf other | dd of=other.img conv=notrunc status=none
	mount_image other.img mnt -o format=raw || return 1
	cmp mnt/disk.raw other.img || return 1
	fusermount3 -u mnt && right mnt && unmount mnt
}
check "a mount on top of a mount" on_top

# Invalid and unusual mount points.

: >file
check "mount point missing" eval '"$VDISKFS" disk.qcow2 no-dir 2>e; was_refused $? e "no-dir: No such file"'
check "mount point is a file" eval '"$VDISKFS" disk.qcow2 file 2>e; was_refused $? e "file: .*directory"'
mkdir full
: >full/something
matches_on() { mount_image disk.qcow2 "$1" && right "$1" && unmount "$1"; }
check "a mount point that is not empty has its files again after umount" eval 'matches_on full && [ -e full/something ]'
mkdir 'odd name, with \ and (brackets)'
check "a mount point with special characters" matches_on 'odd name, with \ and (brackets)'
no_device() {
	unshare -m sh -c 'mount --bind /dev/null /dev/fuse && exec "$@"' -- \
		timeout "$patience" "$VDISKFS" disk.qcow2 mnt 2>no-device.err
	[ $? = 1 ] && [ -s no-device.err ] && no_process_serves mnt
}
if is_root; then
	check "without /dev/fuse: an error, no mount" no_device
else
	skip "no /dev/fuse: needs root"
fi
check "a failed mount releases the lock" qemu-io -f qcow2 -c 'read 0 512' disk.qcow2

# The daemon closes the caller's descriptors: the reader of a pipe sees its end.
pipe_ends() {
	echo end | { mount_image disk.qcow2 mnt; cat; } | timeout "$patience" cat >/dev/null && unmount mnt
}
check "the daemon keeps no pipe of its caller" pipe_ends
closed_stdio() {
	"$VDISKFS" "$image" "$W/mnt" <&- >&- 2>&- && right mnt && unmount mnt
}
check "started with standard input, output and error closed" closed_stdio
elsewhere() {
	mkdir -p cwd
	(cd cwd && "$VDISKFS" ../disk.qcow2 ../mnt) && rmdir cwd && right mnt && unmount mnt
}
check "the daemon does not keep its start directory busy" elsewhere

# The image is renamed, removed or replaced.

cp disk.qcow2 moved.qcow2
mount_image moved.qcow2 mnt
mv moved.qcow2 elsewhere.qcow2
check "image renamed under the mount" right mnt
rm elsewhere.qcow2
check "image removed under the mount" right mnt
check "the mount of a removed image is unmounted" ends mnt umount mnt
replaced() {
	cp disk.qcow2 replaced.qcow2
	mount_image replaced.qcow2 mnt || return 1
	qemu-img create -q -f qcow2 new.qcow2 8M
	mv new.qcow2 replaced.qcow2
	right mnt && unmount mnt
}
check "image replaced under the mount: the old file is shown" replaced

# cut_under FILE IMAGE LENGTH OPTION...: truncates FILE, which belongs to IMAGE, to LENGTH while it is mounted.
# The truncated range must read as EIO, the rest right.  The mount is new, so the page cache has none of it.
cut_under() {
	local file=$1 top=$2 len=$3 status=0
	shift 3
	mount_image "$top" mnt "$@" || return 1
	truncate -s "$len" "$file"
	"$scan" mnt/disk.raw disk.raw >found || status=1
	cat found >&2
	daemon_answers mnt || status=1
	unmount mnt || status=1
	return $status
}
cp disk.raw cut.raw
check "raw image truncated under the mount" cut_under cut.raw cut.raw 3M -o format=raw
check "raw: exactly the truncated range is EIO" shows_exactly found "error $((3 << 20)) $((8 << 20))"
cp disk.raw odd.raw
check "raw image truncated within a page" cut_under odd.raw odd.raw $(((3 << 20) + 100)) -o format=raw
check "raw: the page of the new end is EIO" shows_exactly found "error $((3 << 20)) $((8 << 20))"
cp disk.raw gone.raw
check "raw image truncated to nothing" cut_under gone.raw gone.raw 0 -o format=raw
check "raw: the whole disk is EIO" shows_exactly found "error 0 $((8 << 20))"
qemu-img convert -q -f raw -O qcow2 disk.raw cut.qcow2
check "qcow2 truncated under the mount" cut_under cut.qcow2 cut.qcow2 3M
check "qcow2: a range is EIO" grep -q error found
qemu-img convert -q -f raw -O qcow2 -c disk.raw packed.qcow2
check "compressed qcow2 truncated under the mount" cut_under packed.qcow2 packed.qcow2 3M
check "compressed qcow2: a range is EIO" grep -q error found
qemu-img convert -q -f raw -O vdi disk.raw cut.vdi
check "VDI truncated under the mount" cut_under cut.vdi cut.vdi 4M
check "VDI: a range is EIO" grep -q error found
qemu-img convert -q -f raw -O vmdk -o subformat=monolithicFlat disk.raw flat.vmdk
check "VMDK extent truncated under the mount" cut_under flat-flat.vmdk flat.vmdk 1M
check "VMDK: exactly the truncated range is EIO" shows_exactly found "error $((1 << 20)) $((8 << 20))"
cp disk.raw cutbase.raw
qemu-img create -q -f qcow2 -F raw -b cutbase.raw top.qcow2
check "backing file truncated under the mount" cut_under cutbase.raw top.qcow2 1M
check "backing file: exactly the truncated range is EIO" shows_exactly found "error $((1 << 20)) $((8 << 20))"
