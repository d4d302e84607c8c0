#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Host errors: unreadable ranges of the host disk, and image files that another program truncates.  Exactly the
# affected range is EIO, and it can be read again when the host recovers.
. "${0%/*}/functions.sh"
. "$here/hostile.sh"
requires qemu-img jq xxd

size=2097152

# set_bad_range START END: the file has a fixed length, so that one write replaces it; "0 0" is no range.
set_bad_range() { printf '%-30s\n%32s' "$1 $2" '' | dd of=spot bs=64 conv=notrunc status=none; }
set_bad_range 0 0

# mount_with_bad_range IMAGE [FILE]: mounts on mnt; reads of the bad range of FILE, by default of IMAGE, fail.
mount_with_bad_range() {
	set_bad_range 0 0
	FAILREAD_FILE=$(realpath "${2:-$1}") FAILREAD_SPOT=$W/spot LD_PRELOAD=$failread mount_image "$1" mnt
}

# finds START END OPTION...: a scan of the mount finds exactly that range unreadable and all else right.
finds() {
	"$scan" "${@:3}" mnt/disk.raw disk.raw >found && shows_exactly found "error $1 $2"
}
finds_nothing() { "$scan" mnt/disk.raw disk.raw >found && [ ! -s found ]; }

# reads_up_to START END: a sequential reader gets right bytes up to a page at or before START, then EIO; the range
# after the bad pages can be read.
reads_up_to() {
	local start=$(($1 & -4096)) behind=$((($2 + 4095) & -4096)) got
	! dd if=mnt/disk.raw of=got bs=1M status=none 2>dd.err || { echo "dd got no error" >&2; return 1; }
	grep -q 'Input/output error' dd.err || { cat dd.err >&2; return 1; }
	got=$(stat -c %s got)
	[ "$got" -le "$start" ] && cmp -n "$got" got disk.raw || return 1
	dd if=mnt/disk.raw of=got bs=1M iflag=skip_bytes skip=$behind status=none && cmp -i "0:$behind" got disk.raw
}

# fails_in START END: exactly that range fails, with direct I/O, through the page cache and in large reads.
fails_in() {
	local first=$(($1 & -4096)) last=$((($2 + 4095) & -4096))
	finds "$1" "$2" -d -b 512 && finds $first $last -d && finds $first $last &&
		finds $(($1 & -65536)) $((($2 + 65535) & -65536)) -d -b 65536 && reads_up_to "$1" "$2"
}

# data_pos IMAGE: prints the offset of the data in the host file; fails if the data is not contiguous and in order.
data_pos() {
	qemu-img map --output=json "$@" |
		jq -e 'reduce .[] as $x ({pos: .[0].offset, ok: true};
			.ok = (.ok and $x.data and $x.offset == .pos + $x.start)) | select(.ok) | .pos'
}

# recovers: after the host error has ended, all bytes read right and the mount ends without an error.
recovers() {
	local status=0
	daemon_answers mnt || status=1
	set_bad_range 0 0
	finds_nothing || status=1
	unmount mnt || status=1
	return $status
}

# bad_range_in_data IMAGE FILE BASE START END: the bad range is START to END, relative to the first byte of data.
bad_range_in_data() {
	local image=$1 file=$2 base=$3 status=0
	mount_with_bad_range "$image" "$file" || return 1
	set_bad_range $((base + $4)) $((base + $5))
	fails_in "$4" "$5" || status=1
	recovers && return $status
}
bad_ranges() {
	local image=$1 file=${2:-$1} base page
	base=$(data_pos "$image") || { fail "$image: its data is not contiguous"; return; }
	check "$image: a bad sector" bad_range_in_data "$image" "$file" "$base" 700416 700928
	check "$image: a bad range across clusters" bad_range_in_data "$image" "$file" "$base" 1047552 1179648
	# From the first page boundary: the bytes before it share their page with tables, which would fail as well.
	page=$((-base & 4095))
	check "$image: the first page of data is bad" bad_range_in_data "$image" "$file" "$base" $page $((page + 4096))
	check "$image: the last sector of data is bad" bad_range_in_data "$image" "$file" "$base" $((size - 512)) $size
}

# word FILE POSITION: prints 64 bits as a signed number.
word() { echo $((0x$(xxd -p -s "$2" -l 8 "$1"))); }
# table_of IMAGE: prints the position of the only L2 table.
table_of() { echo $(($(word "$1" "$(word "$1" 40)") & 0xfffffffffffe00)); }

# stream_of IMAGE N: prints position and maximal length of the compressed data of cluster N.
stream_of() {
	local entry
	entry=$(word "$1" $(($(table_of "$1") + 8 * $2)))
	[ $((entry >> 62 & 1)) = 1 ] || { echo "cluster $2 is not compressed" >&2; return 1; }
	echo $((entry & ((1 << 54) - 1))) $(((entry >> 54 & 255) * 512))
}
bad_range_in_stream() {
	local pos len status=0
	read -r pos len < <(stream_of "$1" "$2") && [ "$len" -gt 4096 ] || return 1
	mount_with_bad_range "$1" || return 1
	set_bad_range $((pos + len / 2)) $((pos + len / 2 + 1))
	fails_in $(($2 * 65536)) $((($2 + 1) * 65536)) || status=1
	recovers && return $status
}

# The only L2 table becomes unreadable after the mount: all reads fail until the host recovers.
bad_range_in_table() {
	local status=0
	mount_with_bad_range "$1" || return 1
	set_bad_range "$2" $(($2 + 8))
	finds 0 $size || status=1
	recovers && return $status
}

# The header is unreadable when the image is mounted.
bad_header_at_mount() {
	set_bad_range 0 512
	mkdir -p refused-dir
	FAILREAD_FILE=$W/$1 FAILREAD_SPOT=$W/spot LD_PRELOAD=$failread \
		timeout "$patience" "$VDISKFS" "$1" "$W/refused-dir" 2>at-mount.err
	was_refused $? at-mount.err "$1.*Input/output error"
}

# cut_under IMAGE FILE POS START: FILE is truncated to POS under the mount; from START on everything is EIO.
# Direct reads still get the sectors before START of a page that is incomplete.
cut_under() {
	local image=$1 file=$2 at=$3 start=$4 status=0
	cp "$file" whole
	mount_image "$image" mnt || return 1
	truncate -s "$at" "$file"
	finds "$start" $size -d -b 512 || status=1
	finds $((start & -4096)) $size || status=1
	daemon_answers mnt || status=1
	unmount mnt || status=1
	mv whole "$file"
	return $status
}
# Cached data may still be shown, but no wrong byte, and the daemon survives.
cut_while_read() {
	local status=0
	cp "$2" whole
	mount_image "$1" mnt || return 1
	dd if=mnt/disk.raw of=/dev/null bs=64K count=8 status=none || status=1
	truncate -s 0 "$2"
	"$scan" mnt/disk.raw disk.raw >found && grep -q "^error .* $size$" found || status=1
	daemon_answers mnt || status=1
	unmount mnt || status=1
	mv whole "$2"
	return $status
}

# start_mount IMAGE OPTIONS: mounts on mnt in the foreground; the messages go to the file log.
start_mount() {
	mkdir -p mnt
	"$VDISKFS" -f -o "$2" "$1" "$W/mnt" 2>log &
	daemon=$!
	eventually test -e mnt/disk.raw
}
# ends_with_error: the daemon answers until it is unmounted, and then exits with an error status.
ends_with_error() {
	daemon_answers mnt && unmount mnt && ! wait $daemon
}
# altered_while_written FORMAT IMAGE FILE BY FIRST: another program changes the length of FILE by BY bytes under a
# writable mount.  The command FIRST is the first access afterwards.  Neither it nor any later request may write
# to FILE, and the log has exactly one line about it.
altered_while_written() {
	local format=$1 image=$2 file=$3 by=$4 length status=0
	start_mount "$image" rw,format="$format" || return 1
	dd if=disk.raw of=mnt/disk.raw bs=1M count=2 conv=notrunc,fsync status=none || status=1
	length=$(($(stat -c %s "$file") + by))
	truncate -s $length "$file"
	cp --sparse=always "$file" as-it-was
	"$5"
	for _ in 1 2 3; do
		! printf x | dd of=mnt/disk.raw bs=1 seek=20000000 conv=notrunc,fsync status=none || status=1
		! dd if=/dev/zero of=mnt/disk.raw bs=64K count=1 oflag=direct conv=notrunc,fsync status=none || status=1
		"$scan" mnt/disk.raw disk.raw >found || status=1
	done
	ends_with_error || status=1
	cat log
	[ "$(wc -l <log)" = 1 ] && grep -q "$file: another program has changed its length" log || status=1
	cmp "$file" as-it-was && [ "$(stat -c %s "$file")" = $length ] || status=1
	return $status
}
read_all() { dd if=mnt/disk.raw of=/dev/null bs=64K iflag=direct status=none; }
write_lost() { printf x | dd of=mnt/disk.raw bs=1 seek=2097151 conv=notrunc,fsync status=none; }
write_new() { printf x | dd of=mnt/disk.raw bs=1 seek=20000000 conv=notrunc,fsync status=none; }
wait_for_log() { eventually grep -q another log; }
# A truncation is logged once, whether a read or an open detects it first and however many reads fail.
cut_is_logged_once() {
	local status=0
	cp plain.qcow2 r.qcow2
	start_mount r.qcow2 ro || return 1
	truncate -s 1M r.qcow2
	head -c 4096 mnt/disk.raw | cmp - <(head -c 4096 disk.raw) || status=1
	grep -q '^vdiskfs: r.qcow2: another program has changed its length' log || status=1
	for _ in 1 2 3; do "$scan" -d mnt/disk.raw disk.raw >found && [ -s found ] || status=1; done
	daemon_answers mnt && unmount mnt && wait $daemon || status=1
	cat log
	[ "$(wc -l <log)" = 1 ] || status=1
	return $status
}
# altered FORMAT IMAGE FILE BY FIRST [OPTION...]: creates an image of 32 MiB with the options and alters it.
altered() {
	local format=$1 image=$2 file=$3 by=$4 first=$5
	shift 5
	rm -f "$image" "$file"
	"$VDISK" create -q -f "$format" "$@" "$image" 32M
	check "$file: $by bytes under a writable mount, then $first" \
		altered_while_written "$format" "$image" "$file" "$by" "$first"
}
alterations() {
	local format=$1 image=$2 file=$3
	shift 3
	for first in read_all write_lost write_new; do
		altered "$format" "$image" "$file" -1000448 $first "$@"
	done
	altered "$format" "$image" "$file" 65536 write_new "$@"
}
cuts() {
	local image=$1 file=${2:-$1} base
	base=$(data_pos "$image") || { fail "$image: its data is not contiguous"; return; }
	check "$image: truncated at a page boundary" cut_under "$image" "$file" $((base + 1310720)) 1310720
	check "$image: truncated inside a sector" cut_under "$image" "$file" $((base + 700000)) 699904
	check "$image: truncated to nothing during reads" cut_while_read "$image" "$file"
}

convert() { qemu-img convert -q -f raw -O "$@"; }
noise 17 $size >disk.raw
convert qcow2 disk.raw plain.qcow2
convert qcow2 -c disk.raw deflate.qcow2
convert qcow2 -c -o compression_type=zstd disk.raw zstd.qcow2
convert vdi disk.raw dynamic.vdi
convert vdi -o static=on disk.raw static.vdi
convert vmdk disk.raw sparse.vmdk
convert vmdk -o subformat=monolithicFlat disk.raw flat.vmdk
cp disk.raw disk.img
qemu-img create -q -f qcow2 -b disk.img -F raw over.qcow2

if [ -z "$sanitized" ]; then
	for image in plain.qcow2 dynamic.vdi static.vdi sparse.vmdk; do bad_ranges $image; done
	bad_ranges disk.img
	bad_ranges flat.vmdk flat-flat.vmdk
	bad_ranges over.qcow2 disk.img
	for image in deflate.qcow2 zstd.qcow2; do
		check "$image: a bad byte in compressed data" bad_range_in_stream $image 7
		check "$image: a bad byte in the last compressed cluster" bad_range_in_stream $image 31
	done
	check "plain.qcow2: an unreadable L2 table" bad_range_in_table plain.qcow2 "$(table_of plain.qcow2)"
	for image in plain.qcow2 dynamic.vdi sparse.vmdk; do
		check "$image: an unreadable header at the mount" bad_header_at_mount $image
	done
else
	skip "bad ranges: the preloaded failread.so does not work with sanitizers"
fi
for image in plain.qcow2 dynamic.vdi static.vdi sparse.vmdk; do cuts $image; done
cuts disk.img
cuts flat.vmdk flat-flat.vmdk
cuts over.qcow2 disk.img

check "a truncation under a mount is logged once" cut_is_logged_once
truncate -s 32M disk.raw
alterations qcow2 w.qcow2 w.qcow2
alterations vmdk w.vmdk w.vmdk
alterations vdi w.vdi w.vdi
alterations vhdx w.vhdx w.vhdx -o block_size=1M
alterations vpc w.vhd w.vhd
alterations raw w.raw w.raw
altered raw w.raw w.raw -1000448 wait_for_log
