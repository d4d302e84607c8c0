#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Images on NBD servers: reading, writing, names, mount(8), a server as a child, servers of many kinds, the sandbox.
. "${0%/*}/functions.sh"
. "$here/hostile.sh"
. "$here/nbd.sh"
requires nbdkit nbdcopy qemu-img qemu-nbd jq strace
without_libnbd && { skip "all: built without libnbd"; exit 0; }

some_data disk.raw 8M
truncate -s 20M disk.raw
qemu-img convert -q -f raw -O qcow2 disk.raw disk.qcow2
qemu-img snapshot -c before disk.qcow2
mkdir mnt

same() { "$compare" -e -u 65536 -s "$SEED" "$1" disk.raw; }
# reads URI [OPTION...]: mounts it and compares the disk.
reads() {
	local status=0
	mounts "$1" mnt "${@:2}" || return 1
	same mnt/disk.raw || status=1
	unmount mnt && return $status
}
# served_reads WORD...: the disk, served by nbdkit with these words, with strict confinement
served_reads() {
	local status=0
	serves n "$@" && reads "$uri" -o sandbox=strict || { tail -n 5 n.sock.log; status=1; }
	ends_server
	return $status
}
strict=,sandbox=strict
[ -z "$sanitized" ] || strict=
[ -z "$sanitized" ] || served_reads() { serves n "$@" && reads "$uri" && ends_server; }

# Servers.

check "nbdkit file, raw" served_reads file disk.raw
check "nbdkit file, qcow2" served_reads file disk.qcow2
check "without extents" served_reads --filter=noextents file disk.raw
check "blocks of 4 KiB, strictly" served_reads --filter=blocksize-policy file disk.raw blocksize-minimum=4096 \
	blocksize-maximum=65536 blocksize-error-policy=error
check "one connection at a time" served_reads --filter=multi-conn file disk.raw multi-conn-mode=disable
check "one request at a time" served_reads --filter=noparallel file disk.raw serialize=connections
check "a slow server" served_reads --filter=rate file disk.raw rate=400M
check "a source that fails now and then, with nbdkit's retry" served_reads --filter=retry --filter=error file disk.raw \
	retry-delay=1 error-pread-rate=5% "error-pread=EIO"
generated() { # a disk that is described by words, compared with what nbdcopy reads
	local status=0
	serves n data '( "a line of text" 0x0a )*20000 @3145728 1 2 3 @0x400000 ( 0xff )*1000' size=5M && nbdcopy "$uri" generated.raw &&
		mounts "$uri" mnt -o format=raw || return 1
	"$compare" -s "$SEED" mnt/disk.raw generated.raw || status=1
	unmount mnt
	ends_server
	return $status
}
check "nbdkit data" generated
check "old style of the protocol" served_reads -o file disk.raw
check "without structured replies" served_reads --no-sr file disk.raw
qemu_nbd_reads() {
	local status=0
	starts_server q.sock qemu-nbd -k "$W/q.sock" -t -e 8 -r "$@" && reads "nbd+unix:///?socket=$W/q.sock" || status=1
	ends_server
	return $status
}
check "qemu-nbd" qemu_nbd_reads -f qcow2 disk.qcow2
check "qemu-nbd, an export with a name" eval 'starts_server q.sock qemu-nbd -k "$W/q.sock" -t -r -x "vm/root.img" -f raw disk.raw &&
	reads "nbd+unix:///vm/root.img?socket=$W/q.sock" && ends_server'
if command -v nbd-server >/dev/null; then
	nbd_server_reads() {
		local port status=0
		port=$((20000 + $(seed_of nbd-server) % 20000))
		printf '[generic]\nallowlist = true\nport = %s\nlistenaddr = 127.0.0.1\n[base]\nexportname = %s\nreadonly = true\n' \
			$port "$W/disk.raw" >nbd-server.conf
		nbd-server -C "$W/nbd-server.conf" -p "$W/nbd-server.pid" >nbd-server.log 2>&1
		eventually [ -s nbd-server.pid ] || { cat nbd-server.log; return 1; }
		servers+=("$(<nbd-server.pid)")
		eventually reads "nbd://127.0.0.1:$port/base" || status=1
		ends_server
		return $status
	}
	check "nbd-server" nbd_server_reads
else
	skip "nbd-server is not installed"
fi

# What a mount shows.

serves n file disk.qcow2
began=$(date +%s)
mounts "$uri" mnt -o "threads=4$strict"
check "the directory is that of an image" eval '[ "$(ls mnt | tr "\n" " ")" = "disk.raw export info.json snapshots " ] || { ls mnt; false; }'
check "exports without a name are called disk" [ -e mnt/export/disk-export.vdi ]
is_recent() {
	local time
	time=$(stat -c %Y mnt/disk.raw)
	[ "$time" -ge "$began" ] && [ "$time" -le "$(date +%s)" ]
}
check "the time is that of the connection" is_recent
check "holes take no blocks" eval '[ "$(stat -c %b mnt/disk.raw)" -lt $((8 << 11)) ]'
check "info.json has the URI" eval '[ "$(jq -r .filename mnt/info.json)" = "$uri" ]'
check "the source of the mount is the URI" eval '[ "$(findmnt -n -o SOURCE "$W/mnt")" = "$uri" ]'
check "vdisk list" eval '"$VDISK" list | grep -F "$uri" | grep -qF "$W/mnt"'
check "a snapshot" same mnt/snapshots/before/disk.raw
check "an export" eval 'qemu-img compare -q -f vdi -F raw mnt/export/disk-export.vdi disk.raw'
again() {
	"$VDISKFS" "$uri" "$W/mnt" 2>err
	[ $? = 1 ] && grep "mounted there already" err
}
check "not the same server twice on one directory" again
unmount mnt

# mount(8) and fstab.

sbin=$(realpath /sbin)
in_system() { unshare -m bash -c 'mount --bind there "$sbin" && "$@"' -- "$@"; }
by_mount() {
	local status=0 pids
	mount "$@" || return 1
	same mnt/disk.raw && [ "$(findmnt -n -o SOURCE,FSTYPE "$W/mnt" | tr -s ' ')" = "$uri fuse.vdiskfs" ] || status=1
	pids=$(pids_of "$W/mnt")
	# shellcheck disable=SC2086
	umount mnt && "$await_exit" "$patience" $pids && return $status
}
export -f by_mount same pids_of
export W BUILD SEED sbin uri patience compare await_exit
if is_root && unshare -m true 2>/dev/null; then
	mkdir there
	for program in "$sbin"/*; do ln -s "$(realpath "$program")" "there/${program##*/}" 2>/dev/null; done
	mkdir original && cp -a "$sbin/." original/ 2>/dev/null
	rm -rf there && mv original there
	ln -sf "$VDISKFS" there/mount.vdiskfs
	ln -sf "$VDISKFS" there/mount.fuse.vdiskfs
	printf '%s %s vdiskfs ro,noauto,_netdev 0 0\n' "$uri" "$W/mnt" >fstab
	check "mount -t vdiskfs" in_system by_mount -t vdiskfs "$uri" "$W/mnt"
	check "mount -t fuse.vdiskfs" in_system by_mount -t fuse.vdiskfs "$uri" "$W/mnt"
	check "a line of fstab" in_system by_mount -T fstab "$W/mnt"
else
	skip "mount(8): only root mounts by it"
fi
ends_server

# Names that are refused.

check "a server that is not there" refused "nbd+unix:///?socket=$W/none.sock" "none.sock: .*No such file"
check "a port that nobody listens at" refused nbd://127.0.0.1:1/ "127.0.0.1:1.*refused"
check "ssh: is refused, with advice" refused ssh://host/a.qcow2 "ssh"
check "https: is refused, with advice" refused https://host/a.qcow2 "nbdkit -r curl"
mkdir -p nbd: && cp disk.raw nbd:/file
check "a path with a protocol in front is no file" refused nbd://file "nbd://file"
qemu-img create -q -f qcow2 -u -b "nbd+unix:///?socket=$W/n.sock" -F raw named.qcow2 20M
serves n file disk.raw
check "a name in an image never connects" refused named.qcow2 "n.sock" -o "allow=$W"
check "and no server has noticed it" eval '! grep -q "accepted connection" n.sock.log'
ends_server
for bad in nbd-timeout=0 nbd-timeout=many nbd-timeout=86401; do
	check "$bad" refused disk.raw "$bad" -o "$bad"
done
check "backing= of an image without one" refused disk.qcow2 "no backing file that .*disk.raw could replace" -o backing=disk.raw
check "backing= of a directory" refused "$W" "backing is for one image" -o backing=disk.raw

# A server as a child.

# children: prints the servers that were started for mounts of this test, which have its directory on their command line.
children() {
	local file comm
	# shellcheck disable=SC2013
	for file in $(grep -lszxF -e "$W/disk.qcow2" /proc/[0-9]*/cmdline); do
		file=${file%/cmdline}
		read -r comm 2>/dev/null <"$file/comm" && [ "$comm" = nbdkit ] && echo "${file#/proc/}"
	done
}
no_children() { [ -z "$(children)" ]; }
no_sockets() { [ -z "$(ls -d "$W"/tmp/vdiskfs-* 2>/dev/null)" ]; }
mkdir tmp
export TMPDIR=$W/tmp
command=('[' nbdkit -r file "$W/disk.qcow2" ']')
child() {
	local status=0
	"$VDISKFS" "$@" "${command[@]}" "$W/mnt" || return 1
	[ "$(children | wc -l)" = 1 ] && same mnt/disk.raw && no_sockets || status=1
	[ "$(findmnt -n -o SOURCE "$W/mnt")" = "[ nbdkit -r file $W/disk.qcow2 ]" ] || status=1
	[ "$(jq -r .filename mnt/info.json)" = "[ nbdkit -r file $W/disk.qcow2 ]" ] || status=1
	unmount mnt && no_children && return $status
}
check "a server as a child ends with the mount" child -o "threads=8$strict"
check "its output does not keep a pipe open" eval '[ -z "$(timeout "$patience" "$VDISKFS" "${command[@]}" "$W/mnt")" ] && unmount mnt && no_children'
killed() {
	local pids
	"$VDISKFS" "${command[@]}" "$W/mnt" && [ "$(children | wc -l)" = 1 ] || return 1
	pids=$(pids_of "$W/mnt")
	kill -9 "$(daemon_of "$W/mnt")"
	# shellcheck disable=SC2086
	"$await_exit" "$patience" $pids && eventually no_children && ! mountpoint -q mnt
}
check "kill -9 of the daemon ends the child" killed
foreground() {
	local daemon
	"$VDISKFS" -f "${command[@]}" "$W/mnt" &
	daemon=$!
	eventually mountpoint -q mnt
	kill -TERM "$daemon"
	wait "$daemon"
	no_children && ! mountpoint -q mnt
}
check "a signal ends both" foreground
ended() { # the child dies: no zombie, EIO, the mount can be unmounted
	local status=0 pid
	"$VDISKFS" "${command[@]}" "$W/mnt" || return 1
	pid=$(children)
	kill -9 "$pid"
	eventually [ ! -e "/proc/$pid" ] || status=1
	! cat mnt/disk.raw >/dev/null || status=1
	unmount mnt && return $status
}
check "a child that ends: no zombie, and reads fail" ended
with_others() { # a shell that starts another process, and becomes the server
	local status=0 other
	"$VDISKFS" '[' sh -c 'sleep 100000 & echo $! >"$2"; exec nbdkit -r file "$1"' sh "$W/disk.qcow2" "$W/other" ']' "$W/mnt" ||
		return 1
	same mnt/disk.raw || status=1
	other=$(<other)
	[ -e "/proc/$other" ] && unmount mnt && no_children && eventually [ ! -e "/proc/$other" ] && return $status
}
check "other processes of a child end, too" with_others
child_fails() { # PATTERN WORD...: the message of the child, and one that says which child
	"$VDISKFS" '[' "${@:2}" ']' "$W/mnt" 2>err
	[ $? = 1 ] && cat err >&2 && grep -q -e "$1" err && grep -q "^vdiskfs: \[ .* \]: the server ended before it answered" err &&
		! mountpoint -q mnt && no_children && no_sockets
}
check "a child that cannot open its file" child_fails "nbdkit: error: .*missing" nbdkit -r file "$W/missing"
check "a child that is no program" child_fails "frobnicate-server: No such file" frobnicate-server -r
check "a child that is no server" child_fails "^hello$" sh -c 'echo hello'
check "a child that never answers" eval '"$VDISKFS" -o nbd-timeout=1 "[" sleep 100000 "]" "$W/mnt" 2>&1 |
	grep "^vdiskfs: \[ sleep 100000 \]: no answer within 1 seconds"'
interrupted() {
	timeout 2 "$VDISKFS" "$@" '[' sh -c 'echo $$ >"$0"; exec sleep 100000' "$W/other" ']' "$W/mnt"
	[ $? = 124 ] && eventually [ ! -e "/proc/$(<other)" ] && eventually no_sockets
}
check "a signal while the child is waited for ends it" interrupted
check "the same in the foreground" interrupted -f
not_an_image() {
	"$VDISKFS" -o format=vmdk "${command[@]}" "$W/mnt" 2>err
	[ $? = 1 ] && no_children && no_sockets
}
check "a failure to open ends the child" not_an_image
check "a command that does not end" eval '"$VDISKFS" "[" nbdkit null "$W/mnt" 2>&1 | grep "no \"\]\""'
check "a command in the place of the mount point" eval '"$VDISKFS" disk.raw "[" nbdkit null "]" 2>&1 | grep "before the mount point"'
check "qemu-nbd as a child" eval '"$VDISKFS" "[" qemu-nbd -r -f qcow2 "$W/disk.qcow2" "]" "$W/mnt" && same mnt/disk.raw && unmount mnt'
unset TMPDIR

# The sandbox.

if [ -n "$sanitized" ]; then
	skip "the sandbox: not with sanitizers"
else
	serves n file disk.qcow2
	check "the sandbox: connected before, threads started in it" traced "$uri" ro same mnt/disk.raw
	ends_server
fi
