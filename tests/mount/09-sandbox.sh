#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# The sandbox of the serving daemon, its open files, and the access rights of other users.
. "${0%/*}/functions.sh"
. "$here/hostile.sh"
requires qemu-img getfattr setpriv

chmod 711 "$W"
mkdir mnt
noise 9 4194304 >disk.raw
qemu-img convert -q -f raw -O qcow2 -c disk.raw disk.qcow2
qemu-img snapshot -c one disk.qcow2
qemu-img create -q -f qcow2 -F qcow2 -b disk.qcow2 over.qcow2

status_of() { awk -v f="$1:" '$1 == f { print $2 }' "/proc/$(daemon_of "$W/mnt")/status"; }
right() { "$compare" mnt/disk.raw disk.raw; }
# used: does everything that a mount supports, so that a denied system call is detected.
used() {
	right && getfattr -d mnt/disk.raw >/dev/null && df mnt >/dev/null && du mnt >/dev/null && find mnt -ls >/dev/null &&
		grep -q '"format"' mnt/info.json && cmp mnt/disk.raw mnt/chain/1-disk.qcow2/disk.raw
}

# sandboxed MODE SECCOMP NO_NEW_PRIVS: mounts, uses the mount, and checks the daemon's status in /proc.
sandboxed() {
	local status=0
	mount_image over.qcow2 mnt -o "sandbox=$1" || return 1
	used || status=1
	[ "$(status_of Seccomp)" = "$2" ] || { echo "Seccomp: $(status_of Seccomp)" >&2; status=1; }
	[ "$(status_of NoNewPrivs)" = "$3" ] || { echo "NoNewPrivs: $(status_of NoNewPrivs)" >&2; status=1; }
	used || status=1
	unmount mnt || status=1
	return $status
}
has_landlock() { [[ $(</sys/kernel/security/lsm) == *landlock* ]]; }
if [ -n "$sanitized" ]; then
	check "sandbox=on, with sanitizers: no sandbox" sandboxed on 0 0
	check "sandbox=strict, with sanitizers: refused with a message" refused_within over.qcow2 "sandbox=strict: .*sanitizers" -o sandbox=strict
else
	check "sandbox=on: seccomp filter and no_new_privs" sandboxed on 2 1
	if has_landlock 2>/dev/null || "$VDISKFS" -o sandbox=strict over.qcow2 mnt; then
		mountpoint -q mnt && unmount mnt
		check "sandbox=strict: seccomp filter and no_new_privs" sandboxed strict 2 1
	else
		skip "sandbox=strict: the kernel has no Landlock"
	fi
fi
check "sandbox=off: no seccomp filter, no no_new_privs" sandboxed off 0 0

# A kernel without Landlock, simulated by strace: sandbox=strict fails, sandbox=on continues without it.
without_landlock() {
	strace -qq -f -o strace.log -e trace=landlock_create_ruleset -e inject=landlock_create_ruleset:error=ENOSYS \
		"$VDISKFS" "$@"
}
strict_fails() {
	mkdir -p refused-dir
	without_landlock -o sandbox=strict over.qcow2 "$W/refused-dir" 2>strict.err
	was_refused $? strict.err "sandbox=strict: .*Landlock"
}
on_does_without() {
	# In the foreground, as a job of this shell: strace exits only when the daemon has ended.
	without_landlock -f over.qcow2 "$W/mnt" &
	"$BUILD/tests/mount/await-mount" 20 "$W/mnt" && used && unmount mnt && wait $!
}
if [ -z "$sanitized" ] && strace -qq -o strace.log -e trace=landlock_create_ruleset true 2>/dev/null; then
	check "sandbox=strict without Landlock: refused with a message" strict_fails
	check "sandbox=on without Landlock: mounted" on_does_without
else
	skip "without Landlock: strace cannot be used"
fi

# The daemon's open files: the images and /dev/fuse, and no other path.
opens() {
	local fd target pid
	pid=$(daemon_of "$W/mnt")
	for fd in "/proc/$pid/fd"/*; do
		target=$(readlink "$fd") || continue
		echo "${target%%:*}"
	done | sort | uniq -c | awk '{ print $2 }'
}
only_expected() {
	mount_image over.qcow2 mnt || return 1
	used
	opens >opened
	cat opened >&2
	grep -qx "$W/over.qcow2" opened && grep -qx "$W/disk.qcow2" opened && grep -qx /dev/fuse opened &&
		! grep -vxF -e "$W/over.qcow2" -e "$W/disk.qcow2" -e /dev/fuse -e /dev/null -e pipe -e socket \
			-e 'anon_inode' opened
	local status=$?
	unmount mnt && return $status
}
# An attendant that keeps the image open would keep its lock.
attendant_has_none() {
	local pid daemon status=0
	mount_image over.qcow2 mnt || return 1
	daemon=$(daemon_of "$W/mnt")
	for pid in $(pids_of "$W/mnt"); do
		[ "$pid" = "$daemon" ] || ! readlink "/proc/$pid/fd"/* | grep -F -e "$W" -e /dev/fuse || status=1
	done
	unmount mnt && return $status
}
if is_root; then
	check "descriptors of the daemon" only_expected
	check "descriptors of the attendant" attendant_has_none
else
	skip "descriptors: needs root"
fi

# Peak memory is bounded by the cache size, independent of the amount read.
bounded_memory() {
	local status=0
	mount_image disk.qcow2 mnt -o cache=4M || return 1
	for _ in 1 2 3; do
		"$compare" -n 500 mnt/disk.raw disk.raw || status=1
	done
	[ "$(memory_of "$(daemon_of "$W/mnt")")" -lt 64 ] || status=1
	unmount mnt && return $status
}
[ -n "$sanitized" ] || check "memory is bounded" bounded_memory

# Access rights.

as_nobody() { setpriv --reuid=nobody --regid=nogroup --clear-groups -- "$@"; }
modes() {
	local status=0
	mount_image over.qcow2 mnt "${@:3}" || return 1
	find mnt ! -type l -printf '%m %u %y\n' | sort -u >modes
	shows_exactly modes "$1 $(id -un) f" "$2 $(id -un) d" || status=1
	unmount mnt && return $status
}
check "modes: 644 and 755, as those of the image" modes 644 755
writes_fail() {
	local status=0
	mount_image over.qcow2 mnt || return 1
	for try in ': >mnt/new' 'echo x >>mnt/disk.raw' 'mkdir mnt/dir' 'rm -f mnt/disk.raw' 'mv mnt/disk.raw mnt/x' \
		'ln -s a mnt/l' 'chmod 600 mnt/disk.raw' 'truncate -s 0 mnt/disk.raw' 'touch mnt/disk.raw' \
		'setfattr -n user.x -v 1 mnt/disk.raw'; do
		LC_ALL=C bash -c "$try" 2>write.err && { echo "done: $try" >&2; status=1; }
		grep -q 'Read-only file system' write.err || { cat write.err >&2; status=1; }
	done
	# The kernel's read-only flag is not the only check: a remount with rw changes nothing.
	if is_root && mount -o remount,rw mnt 2>/dev/null; then
		bash -c 'echo x >>mnt/disk.raw' 2>/dev/null && { echo "written" >&2; status=1; }
		bash -c ': >mnt/new' 2>/dev/null && { echo "created" >&2; status=1; }
	fi
	right || status=1
	unmount mnt && return $status
}
check "files can not be written, created or removed" unchanged over.qcow2 writes_fail

others_may_not() {
	local status=0
	mount_image over.qcow2 mnt "$@" || return 1
	as_nobody ls mnt 2>others.err && status=1
	grep -q 'Permission denied' others.err || status=1
	as_nobody cat mnt/disk.raw >/dev/null 2>&1 && status=1
	unmount mnt && return $status
}
others_may_see() {
	local status=0
	mount_image over.qcow2 mnt -o allow_other || return 1
	as_nobody cmp mnt/disk.raw disk.raw || status=1
	unmount mnt && return $status
}
if is_root; then
	check "other users have no access" others_may_not
	chmod 644 disk.raw
	check "allow_other: other users can read" others_may_see
	check "allow_other: modes" modes 644 755 -o allow_other
else
	skip "other users: needs root"
fi

# A user other than root mounts by fusermount3, in a mount namespace in which the user may open /dev/fuse.

in_user_space() {
	local status
	unshare -m bash -c 'mount --bind fuse-node /dev/fuse && mount --bind fuse.conf /etc/fuse.conf && "$@"' -- "$@"
	status=$?
	# shellcheck disable=SC2046
	"$await_exit" "$patience" $(pids_of "$W/user-mnt") || status=1
	return $status
}
user_mounts() { as_nobody "$W/user-bin/vdiskfs" "$@" "$W/user.qcow2" "$W/user-mnt"; }
user_unmounts() { as_nobody fusermount3 -u "$W/user-mnt" && ! mountpoint -q user-mnt; }
user_reads() {
	local status=0
	user_mounts "$@" || return 1
	as_nobody cmp user-mnt/disk.raw disk.raw || status=1
	as_nobody cmp user-mnt/snapshots/one/disk.raw disk.raw || status=1
	grep -q "^$W/user.qcow2 $W/user-mnt fuse.vdiskfs ro,nosuid,nodev,noexec,.*user_id=65534" /proc/self/mounts || status=1
	user_unmounts && return $status
}
root_may_not() {
	local status=0
	user_mounts || return 1
	LC_ALL=C ls user-mnt 2>root.err && status=1
	grep -q 'Permission denied' root.err || status=1
	user_unmounts && return $status
}
root_may() {
	local status=0
	user_mounts -o allow_root || return 1
	cmp user-mnt/disk.raw disk.raw || status=1
	user_unmounts && return $status
}
allow_refused() {
	user_mounts -o "$1" 2>allow.err && { user_unmounts; return 1; }
	cat allow.err >&2
	grep -q 'user_allow_other' allow.err && ! mountpoint -q user-mnt
}
not_the_users_dir() {
	! as_nobody "$W/user-bin/vdiskfs" "$W/user.qcow2" "$W/mnt" 2>dir.err && grep -q 'write access\|denied' dir.err
}
# /proc files of an undumpable process belong to root.
user_undumpable() {
	local status=0
	user_mounts || return 1
	[ "$(stat -c %U "/proc/$(daemon_of "$W/user-mnt")/environ")" = root ] || status=1
	user_unmounts && return $status
}
user_killed() {
	user_mounts || return 1
	kill -KILL "$(daemon_of "$W/user-mnt")"
	# shellcheck disable=SC2046
	"$await_exit" "$patience" $(pids_of "$W/user-mnt") && ! mountpoint -q user-mnt && ls user-mnt
}
export -f as_nobody user_mounts user_unmounts user_reads root_may_not root_may allow_refused \
	not_the_users_dir user_killed user_undumpable daemon_of one_daemon eventually pids_of
export W await_exit
prepare_user() {
	install -D -m 755 "$VDISKFS" user-bin/vdiskfs && install -d -o nobody user-mnt &&
		install -o nobody -m 600 disk.qcow2 user.qcow2 && chmod 644 disk.raw &&
		mknod -m 666 fuse-node c 10 229 && : >fuse.conf
}
if is_root && [ -f /etc/fuse.conf ] && prepare_user && in_user_space test -r fuse-node; then
	check "a user mounts, reads, unmounts" in_user_space user_reads
	check "a user without sandbox" in_user_space user_reads -o sandbox=off
	check "root has no access to a user's mount" in_user_space root_may_not
	check "allow_other needs fuse.conf: fusermount3's message is shown" in_user_space allow_refused allow_other
	check "allow_root needs fuse.conf: fusermount3's message is shown" in_user_space allow_refused allow_root
	check "a mount point that belongs to another user: refused" in_user_space not_the_users_dir
	[ -n "$sanitized" ] || check "the user's daemon is not dumpable: no core file, no debugger" in_user_space user_undumpable
	check "kill -9 of a user's daemon leaves no dead mount" in_user_space user_killed
	echo user_allow_other >fuse.conf
	check "allow_root: root has access" in_user_space root_may
else
	skip "mounts of a user: needs root and namespaces"
fi
