#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# NBD servers that fail, end, or stop to answer, amid reads and writes: EIO for what it concerns, a line in the log, and
# an unmount that does not wait.
. "${0%/*}/functions.sh"
. "$here/hostile.sh"
. "$here/nbd.sh"
requires nbdkit qemu-img
without_libnbd && { skip "all: built without libnbd"; exit 0; }

mkdir mnt
noise 3 8388608 >disk.raw # without holes, which are read without the server
qemu-img convert -q -f raw -O qcow2 disk.raw disk.qcow2
direct() { dd if=mnt/disk.raw bs=64K iflag=direct status=none; }
same() { direct | cmp - disk.raw; }
# foreground OPTIONS: mounts in the foreground, $mount is the daemon and err its messages
foreground() {
	"$VDISKFS" -f -o "$1" "$uri" "$W/mnt" 2>err &
	mount=$!
	eventually mountpoint -q mnt
}
# at_once COMMAND...: within some seconds, where the server would be waited for all the time
at_once() { timeout 15 "$@"; }

# A server that fails some requests.

fails_sometimes() {
	local status=0
	serves n --filter=error file disk.raw error=EIO error-rate=100% error-file="$W/trigger"
	foreground format=raw
	touch trigger
	dd if=mnt/disk.raw bs=64K count=1 skip=100 iflag=direct status=none >/dev/null 2>&1 && status=1
	at_once ls mnt >/dev/null || status=1
	rm trigger
	same || status=1
	unmount mnt && wait "$mount" || status=1
	ends_server
	cat err
	grep -q "^vdiskfs: disk.raw: cannot read at 6553600: .*Input/output error" err && return $status
}
check "a server that fails requests for a while" fails_sometimes
fails_writes() {
	local status=0
	cp disk.raw copy.raw
	serves n --filter=error file copy.raw error-pwrite=ENOSPC error-pwrite-rate=100% error-pwrite-file="$W/trigger"
	foreground rw,format=raw
	touch trigger
	dd if=disk.raw of=mnt/disk.raw bs=64K count=1 conv=notrunc,fsync 2>dd.err && status=1
	grep -q "No space left" dd.err || { cat dd.err; status=1; }
	rm trigger
	unmount mnt
	wait "$mount"
	ends_server
	return $status
}
check "a server without space: ENOSPC" fails_writes

# A server that is killed.

killed_amid_reads() { # OPTIONS
	local status=0 reader
	serves n --filter=delay file disk.qcow2 rdelay=20ms
	foreground "$1"
	(while direct >/dev/null; do :; done) 2>reader.err &
	reader=$!
	eventually reads_arrive
	kill -9 "$server"
	wait $reader
	grep -q "Input/output error" reader.err || { cat reader.err; status=1; }
	at_once ls mnt >/dev/null || status=1
	! at_once cat mnt/disk.raw >/dev/null || status=1
	at_once fusermount3 -u mnt && at_once "$await_exit" 10 "$mount" || status=1
	wait "$mount"
	ends_server
	cat err
	[ "$(grep -c "n.sock: the server has closed the connection" err)" = 1 ] && return $status
}
reads_arrive() { [ "$(grep -c 'pread count=' n.sock.log)" -gt 50 ]; }
check "kill -9 of the server amid reads" killed_amid_reads ro
check "kill -9 of the server of a base amid reads" killed_amid_reads cow
killed_amid_writes() { # FORMAT
	local status=0 writer
	cp "disk.$1" copy
	truncate -s 16M copy
	serves n --filter=delay file copy wdelay=5ms
	foreground "rw,format=$1"
	(while dd if=disk.raw of=mnt/disk.raw bs=64K conv=notrunc,fsync status=none; do :; done) 2>writer.err &
	writer=$!
	eventually writes_arrive
	kill -9 "$server"
	wait $writer
	grep -q "Input/output error" writer.err || { cat writer.err; status=1; }
	! dd if=disk.raw of=mnt/disk.raw bs=4K count=1 conv=notrunc,fsync status=none || status=1
	at_once fusermount3 -u mnt && at_once "$await_exit" 10 "$mount" || status=1
	wait "$mount" && { echo "the daemon reports no loss"; status=1; }
	ends_server
	cat err
	# Leaks are all that may be wrong with the image.
	[ "$1" = raw ] || qemu-img check -q copy || [ $? = 3 ] || status=1
	return $status
}
writes_arrive() { [ "$(grep -c 'pwrite count=' n.sock.log)" -gt 30 ]; }
check "kill -9 of the server amid writes, raw" killed_amid_writes raw
check "kill -9 of the server amid writes, qcow2" killed_amid_writes qcow2

# A server that stops to answer.

stalled() { # several readers wait; everything else goes on, and they get EIO when the time is up
	local status=0 readers=() i
	serves n file disk.raw
	foreground format=raw,nbd-timeout=3
	kill -STOP "$server"
	for i in $(seq 40); do
		dd if=mnt/disk.raw of=/dev/null bs=4k skip=$((500 + i * 16)) count=1 iflag=direct status=none 2>"waited.$i" &
		readers+=($!)
	done
	cat mnt/info.json >/dev/null 2>&1 & # it lists the partitions
	readers+=($!)
	for i in 1 2 3; do timeout 2 ls mnt >/dev/null || status=1; done
	[ $status = 0 ] || echo "ls has waited"
	for i in "${readers[@]:0:40}"; do wait "$i" && { echo "a read without a server"; status=1; }; done
	wait "${readers[40]}"
	[ "$(cat waited.* | grep -c "Input/output error")" = 40 ] || { cat waited.*; status=1; }
	at_once fusermount3 -u mnt && at_once "$await_exit" 10 "$mount" || status=1
	wait "$mount"
	ends_server
	cat err
	[ "$(grep -c "n.sock: no answer within 3 seconds" err)" = 1 ] && return $status
}
check "a server that stops: EIO after the time, and nothing else waits" stalled
unmounted() { # COMMAND...: unmounts while the server has stopped, long before the time is up
	local status=0 reader pids
	serves n file disk.qcow2
	mounts "$uri" mnt -o nbd-timeout=3000 || return 1
	pids=$(pids_of "$W/mnt")
	kill -STOP "$server"
	direct >/dev/null 2>&1 &
	reader=$!
	at_once "$@" && ! mountpoint -q mnt || status=1
	# A lazy unmount leaves the file to its reader; all others end it, and the daemon.
	[ "$1" != umount ] || [ "$2" != -l ] || kill -9 "$server"
	# shellcheck disable=SC2086
	at_once "$await_exit" 10 $pids || status=1
	wait $reader
	ends_server
	return $status
}
ended_by() { kill "-$1" "$(daemon_of "$W/mnt")" && eventually eval '! mountpoint -q mnt'; }
export -f ended_by daemon_of one_daemon pids_of eventually
export W patience
check "SIGSTOP of the server, then SIGTERM of the daemon" unmounted bash -c 'ended_by TERM'
check "SIGSTOP of the server, then kill -9 of the daemon" unmounted bash -c 'ended_by KILL'
check "SIGSTOP of the server, then umount -l" unmounted umount -l mnt
! is_root || check "SIGSTOP of the server, then umount -f" unmounted bash -c 'umount -f mnt || umount -l mnt; umount -f mnt 2>/dev/null; ! mountpoint -q mnt'
unused() { # with no reader, umount and the daemon end at once
	local status=0
	serves n file disk.qcow2
	mounts "$uri" mnt -o nbd-timeout=3000 || return 1
	same || status=1
	kill -STOP "$server"
	at_once "$VDISK" umount "$W/mnt" || status=1
	ends_server
	return $status
}
check "SIGSTOP of the server, then vdisk umount" unused
never() { # a server that never answers, from the first connection on
	local status=0
	serves n file disk.qcow2
	kill -STOP "$server"
	refused "$uri" "no answer within 2 seconds" -o nbd-timeout=2 || status=1
	ends_server
	return $status
}
check "a server that never answers" never
