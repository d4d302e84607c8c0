#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# A server that answers late, but many requests at once: reading in sequence as fast as nbdcopy, and random reads of many
# readers as many times as fast as those of one.  The delay is long, so that the load of the machine matters little.
. "${0%/*}/functions.sh"
. "$here/hostile.sh"
. "$here/nbd.sh"
requires nbdkit nbdcopy fio jq
without_libnbd && { skip "all: built without libnbd"; exit 0; }
[ -z "$sanitized" ] || { skip "all: sanitizers take longer than the delay"; exit 0; }

mkdir mnt
ms() { echo $((${EPOCHREALTIME/./} / 1000)); }
# took COMMAND...: prints the milliseconds
took() {
	local began
	began=$(ms)
	"$@" >/dev/null || return 1
	echo $(($(ms) - began))
}
through_mount() { dd if=mnt/disk.raw of=/dev/null bs=1M iflag=fullblock status=none; }
# as_fast: 0.8 of the speed of nbdcopy, in the best of some rounds
as_fast() {
	local theirs ours
	for _ in 1 2 3 4 5; do
		theirs=$(took nbdcopy "$uri" null:) && mounts "$uri" mnt || return 1
		ours=$(took through_mount)
		unmount mnt || return 1
		echo "nbdcopy: $theirs ms, vdiskfs: $ours ms"
		[ $((ours * 8)) -gt $((theirs * 10)) ] || return 0
	done
	return 1
}
# reads_of N: prints the random reads a second of N readers
reads_of() {
	fio --name=r --filename=mnt/disk.raw --rw=randread --bs=4k --direct=1 --thread --readonly --norandommap --numjobs="$1" \
		--time_based --runtime=2 --group_reporting --output-format=json | jq '.jobs[0].read.iops | floor'
}
scales() {
	local one many
	one=$(reads_of 1)
	many=$(reads_of 16)
	echo "one: $one, sixteen: $many"
	[ "$many" -ge $((8 * one)) ]
}
serves n --filter=delay pattern 192M rdelay=100ms
check "a sequential read is as fast as that of nbdcopy" as_fast
mounts "$uri" mnt
check "16 random readers are at least 8 times as fast as one" scales
unmount mnt
ends_server
