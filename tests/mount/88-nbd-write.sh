#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Writing to NBD servers: what they can do, the order of flushes, and exports that cannot grow.
. "${0%/*}/functions.sh"
. "$here/hostile.sh"
. "$here/nbd.sh"
requires nbdkit qemu-img qemu-io xxd
without_libnbd && { skip "all: built without libnbd"; exit 0; }

mkdir mnt
some_data data.raw 8M
strict=,sandbox=strict
[ -z "$sanitized" ] || strict=

# Random writes, through the mount and to a reference.

scribble() { # FILE SEED
	local i at
	for i in $(seq 40); do
		at=$(((i * 7919 + $2 * 104729) * 997 % 8000000))
		noise $((i + $2)) $((1 + at % 70000)) >piece
		dd if=piece of="$1" bs=64K oflag=seek_bytes seek=$at conv=notrunc status=none || return 1
	done
	fallocate -p -o 1000000 -l 300000 "$1" && fallocate -z -o 2000001 -l 65535 "$1" && sync "$1"
}
# writes FILE FORMAT WORD...: writes to an image in FILE that nbdkit serves with these words
writes() {
	local file=$1 format=$2 status=0 seed
	seed=$(seed_of "$@")
	serves n "${@:3}" || return 1
	qemu-img convert -q -f "$format" -O raw "$file" ref
	truncate -s 8M ref
	for round in 1 2; do
		mounts "$uri" mnt -o "rw,format=$format$strict" || { ends_server; return 1; }
		scribble mnt/disk.raw $((seed + round)) && scribble ref $((seed + round)) && "$compare" -s "$SEED" mnt/disk.raw ref || status=1
		unmount mnt || status=1
	done
	ends_server
	qemu-img compare -q -f "$format" -F raw "$file" ref || status=1
	[ "$format" = raw ] || qemu-img check -q -f "$format" "$file" || status=1
	return $status
}
new_raw() { cp data.raw "$1"; }
# A qcow2 image in an export has the room that it will need.
new_qcow2() { rm -f "$1" && qemu-img convert -q -f raw -O qcow2 data.raw "$1" && truncate -s 12M "$1"; }
for format in raw qcow2; do
	check "$format" eval "new_$format disk && writes disk $format file disk"
	check "$format, without zero and trim" eval "new_$format disk && writes disk $format --filter=nozero file disk"
	check "$format, without extents" eval "new_$format disk && writes disk $format --filter=noextents file disk"
	check "$format, in blocks of 4 KiB" eval "new_$format disk && writes disk $format --filter=blocksize-policy file disk \
		blocksize-minimum=4096 blocksize-maximum=131072 blocksize-error-policy=error"
	check "$format, one connection" eval "new_$format disk && writes disk $format --filter=multi-conn file disk multi-conn-mode=disable"
done

# Order: data, flush, table; and a flush before fsync returns.

# events: prints what the server has answered, one a line: "Write OFFSET", "Zero OFFSET", "Flush".
events() {
	local line id
	local -A begun=()
	while read -r line; do
		id=$(sed -n 's/.*\(connection=[0-9]*\) .*\(id=[0-9]*\) .*/\1 \2/p' <<<"$line ")
		case $line in
		*...*' return='*) echo "${begun[$id]-}" ;;
		*'Flush id='*) begun[$id]=Flush ;;
		*'Write id='* | *'Zero id='*) begun[$id]=$(sed 's/.* \(Write\|Zero\) .*offset=\(0x[0-9a-f]*\) .*/\1 \2/' <<<"$line") ;;
		esac
	done <n.log
}
# after_data DATA TABLE: is each write into the table at TABLE after a flush that is after the write at DATA?
after_data() {
	local what at written='' flushed='' linked=''
	while read -r what at; do
		case $what in
		Flush) flushed=$written ;;
		Write)
			[ $((at)) != "$1" ] || written=yes
			[ $((at)) -lt "$2" ] || [ $((at)) -ge $(($2 + 65536)) ] || linked=yes
			[ -z "$linked" ] || [ -n "$flushed" ] || return 1 ;;
		esac
	done <order
	[ -n "$written" ] && [ -n "$linked" ]
}
entry() { echo $((16#$(xxd -s "$2" -l 8 -p "$1") & 0xfffffffffffe00)); } # a position in a qcow2 image
ordered() {
	local status=0 data table
	rm -f new.qcow2 n.log
	qemu-img create -q -f qcow2 new.qcow2 8M
	truncate -s 12M new.qcow2
	serves n --filter=log file new.qcow2 logfile=n.log
	mounts "$uri" mnt -o rw,format=qcow2 || return 1
	# A first write makes the tables; the second allocates a cluster and changes an entry.
	printf first | dd of=mnt/disk.raw bs=64K seek=3 conv=notrunc,fsync status=none
	: >n.log
	noise 1 65536 | dd of=mnt/disk.raw bs=64K seek=77 iflag=fullblock conv=notrunc,fsync status=none
	events >order
	[ "$(tail -n 1 order)" = Flush ] || { echo "no flush at the end of fsync"; status=1; }
	unmount mnt
	ends_server
	table=$(entry new.qcow2 "$(entry new.qcow2 40)") # of the first entry of the L1 table
	data=$(entry new.qcow2 $((table + 77 * 8)))
	after_data "$data" "$table" || { echo "data at $data, table at $table:"; cat order; status=1; }
	return $status
}
check "the table is written after a flush, and that after the data" ordered
synced() { # a raw disk: fsync is a flush
	local status=0
	rm -f n.log
	new_raw disk
	serves n --filter=log file disk logfile=n.log
	mounts "$uri" mnt -o rw,format=raw && printf x | dd of=mnt/disk.raw bs=1 seek=12345 conv=notrunc,fsync status=none
	[ "$(grep -E '\.\.\.(Write|Flush)' n.log | tail -n 1 | grep -c Flush)" = 1 ] || status=1
	fallocate -p -o 1M -l 1M mnt/disk.raw && sync mnt/disk.raw && grep -qE '(Trim|Zero) id=' n.log || { echo "no trim or zero"; status=1; }
	unmount mnt
	ends_server
	return $status
}
check "fsync of a raw disk is a flush, and a hole is one of the server" synced

unsynced() { # what was not flushed before the unmount is written at its end
	local status=0
	"new_$1" disk
	qemu-img convert -q -f "$1" -O raw disk ref
	serves n --filter=delay file disk wdelay=5ms
	"$VDISKFS" -f -o "rw,format=$1" "$uri" "$W/mnt" &
	mount=$!
	eventually mountpoint -q mnt
	for at in 8 77 100; do
		noise $at 65536 >piece
		dd if=piece of=mnt/disk.raw bs=64K seek=$at conv=notrunc status=none && dd if=piece of=ref bs=64K seek=$at conv=notrunc status=none
	done
	fusermount3 -u mnt && wait "$mount" || status=1
	ends_server
	qemu-img compare -q -f "$1" -F raw disk ref || status=1
	[ "$1" = raw ] || qemu-img check -q -f "$1" disk || status=1
	return $status
}
check "an unmount without fsync, raw" unsynced raw
check "an unmount without fsync, qcow2" unsynced qcow2

# Servers that cannot.

serves n -r file data.raw
check "a server that lets nobody write" refused "$uri" "lets nobody write" -o rw
ends_server
serves n eval get_size='echo 8M' can_write='exit 0' can_flush='exit 3' pread='head -c $3 /dev/zero' pwrite='cat >/dev/null'
check "a server that cannot flush" refused "$uri" "cannot flush" -o rw
check "but it can be read" eval 'mounts "$uri" mnt -o format=raw && unmount mnt'
ends_server

# An export cannot grow.

full() {
	local status=0
	rm -f small.qcow2
	qemu-img create -q -f qcow2 small.qcow2 64M
	truncate -s 4M small.qcow2
	serves n file small.qcow2
	mounts "$uri" mnt -o rw,format=qcow2 || return 1
	noise 5 8388608 >much
	dd if=much of=mnt/disk.raw bs=64K conv=notrunc,fsync 2>err && status=1
	grep -q "No space left" err || { cat err; status=1; }
	cmp -n 1048576 mnt/disk.raw much || status=1
	unmount mnt
	ends_server
	qemu-img check -q small.qcow2 || [ $? = 3 ] || status=1
	qemu-io -r -f qcow2 -c "read 0 1M" small.qcow2 >/dev/null && return $status
}
check "a qcow2 image that fills its export: ENOSPC, and it is consistent" full
past_end() {
	local status=0
	new_raw disk
	serves n file disk
	mounts "$uri" mnt -o rw,format=raw || return 1
	printf x | dd of=mnt/disk.raw bs=1 seek=8388608 conv=notrunc 2>err && status=1
	grep -q "No space left" err || { cat err; status=1; }
	! truncate -s 9M mnt/disk.raw || status=1
	unmount mnt && ends_server && [ "$(stat -c %s disk)" = 8388608 ] && return $status
}
check "a raw disk keeps its size" past_end
