#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# A host that fails: a bad spot on its disk, or a file that someone cuts under the mount.  What lies
# there is EIO, and nothing else is; it is not remembered when the host is well again.
. "${0%/*}/functions.sh"
. "$here/hostile.sh"
requires qemu-img jq xxd

size=2097152

# The range of bad bytes, by one write of the same length each time; "0 0" is none.
spoil() { printf '%-30s\n%32s' "$1 $2" '' | dd of=spot bs=64 conv=notrunc status=none; }
spoil 0 0

# mount_spoilt IMAGE [FILE]: mounts on mnt; bad spots are in FILE, or in the image.
mount_spoilt() {
	spoil 0 0
	FAILREAD_FILE=$(realpath "${2:-$1}") FAILREAD_SPOT=$W/spot LD_PRELOAD=$failread mount_image "$1" mnt
}

# finds START END OPTION...: a scan of the mount finds just that range bad, and all else right.
finds() {
	"$scan" "${@:3}" mnt/disk.raw disk.raw >found && shows_exactly found "error $1 $2"
}
finds_nothing() { "$scan" mnt/disk.raw disk.raw >found && [ ! -s found ]; }

# reads_up_to START END: what a big reader gets before the error is right, and ends where the bad page
# begins; whoever reads on behind it is served.
reads_up_to() {
	local start=$(($1 & -4096)) behind=$((($2 + 4095) & -4096)) got
	! dd if=mnt/disk.raw of=got bs=1M status=none 2>dd.err || { echo "dd has seen no error" >&2; return 1; }
	grep -q 'Input/output error' dd.err || { cat dd.err >&2; return 1; }
	got=$(stat -c %s got)
	[ "$got" -le "$start" ] && cmp -n "$got" got disk.raw || return 1
	dd if=mnt/disk.raw of=got bs=1M iflag=skip_bytes skip=$behind status=none && cmp -i "0:$behind" got disk.raw
}

# fails_in START END: that range fails, whole and alone, by whatever path it is read.
fails_in() {
	local first=$(($1 & -4096)) last=$((($2 + 4095) & -4096))
	finds "$1" "$2" -d -b 512 && finds $first $last -d && finds $first $last &&
		finds $(($1 & -65536)) $((($2 + 65535) & -65536)) -d -b 65536 && reads_up_to "$1" "$2"
}

# data_pos IMAGE: where the data begins in the host file, if it all lies there in order.
data_pos() {
	qemu-img map --output=json "$@" |
		jq -e 'reduce .[] as $x ({pos: .[0].offset, ok: true};
			.ok = (.ok and $x.data and $x.offset == .pos + $x.start)) | select(.ok) | .pos'
}

# well_again: what could not be read can, and the mount ends in good order.
well_again() {
	local status=0
	still_answers mnt || status=1
	spoil 0 0
	finds_nothing || status=1
	unmount mnt || status=1
	return $status
}

# A spot of POS to END from the first byte of data on.
spot_in_data() {
	local image=$1 file=$2 base=$3 status=0
	mount_spoilt "$image" "$file" || return 1
	spoil $((base + $4)) $((base + $5))
	fails_in "$4" "$5" || status=1
	well_again && return $status
}
spots() {
	local image=$1 file=${2:-$1} base page
	base=$(data_pos "$image") || { fail "$image: its data is not in order"; return; }
	check "$image: a bad sector" spot_in_data "$image" "$file" "$base" 700416 700928
	check "$image: a bad range across clusters" spot_in_data "$image" "$file" "$base" 1047552 1179648
	# What shares a page with tables is as good as they are.
	page=$((-base & 4095))
	check "$image: the first page is bad" spot_in_data "$image" "$file" "$base" $page $((page + 4096))
	check "$image: the last sector is bad" spot_in_data "$image" "$file" "$base" $((size - 512)) $size
}

# word FILE POSITION: 64 bits, which may come out negative.
word() { echo $((0x$(xxd -p -s "$2" -l 8 "$1"))); }
# The L2 table of a small image.
table_of() { echo $(($(word "$1" "$(word "$1" 40)") & 0xfffffffffffe00)); }

# The stream of cluster N of a small compressed image: "POS LEN", at most.
stream_of() {
	local entry
	entry=$(word "$1" $(($(table_of "$1") + 8 * $2)))
	[ $((entry >> 62 & 1)) = 1 ] || { echo "cluster $2 is not compressed" >&2; return 1; }
	echo $((entry & ((1 << 54) - 1))) $(((entry >> 54 & 255) * 512))
}
spot_in_stream() {
	local pos len status=0
	read -r pos len < <(stream_of "$1" "$2") && [ "$len" -gt 4096 ] || return 1
	mount_spoilt "$1" || return 1
	spoil $((pos + len / 2)) $((pos + len / 2 + 1))
	fails_in $(($2 * 65536)) $((($2 + 1) * 65536)) || status=1
	well_again && return $status
}

# The one table of an image cannot be read, after the mount: no data can, until it is well again.
spot_in_table() {
	local status=0
	mount_spoilt "$1" || return 1
	spoil "$2" $(($2 + 8))
	finds 0 $size || status=1
	well_again && return $status
}

# Nothing of the disk can be read when it is to be mounted.
spot_at_mount() {
	spoil 0 512
	mkdir -p refused-dir
	FAILREAD_FILE=$W/$1 FAILREAD_SPOT=$W/spot LD_PRELOAD=$failread \
		timeout "$patience" "$VDISKFS" "$1" "$W/refused-dir" 2>at-mount.err
	was_refused $? at-mount.err "$1.*Input/output error"
}

# cut IMAGE FILE POS START: FILE is cut at POS under the mount; from START on all is gone, but a last
# piece of a page is there for who reads that much.
cut_under() {
	local image=$1 file=$2 at=$3 start=$4 status=0
	cp "$file" whole
	mount_image "$image" mnt || return 1
	truncate -s "$at" "$file"
	finds "$start" $size -d -b 512 || status=1
	finds $((start & -4096)) $size || status=1
	still_answers mnt || status=1
	unmount mnt || status=1
	mv whole "$file"
	return $status
}
# What has been read and is kept may be shown, but nothing wrong, and nobody dies of it.
cut_while_read() {
	local status=0
	cp "$2" whole
	mount_image "$1" mnt || return 1
	dd if=mnt/disk.raw of=/dev/null bs=64K count=8 status=none || status=1
	truncate -s 0 "$2"
	"$scan" mnt/disk.raw disk.raw >found && grep -q "^error .* $size$" found || status=1
	still_answers mnt || status=1
	unmount mnt || status=1
	mv whole "$2"
	return $status
}

# start_mount IMAGE OPTIONS: a mount on mnt whose log is the file log.
start_mount() {
	mkdir -p mnt
	"$VDISKFS" -f -o "$2" "$1" "$W/mnt" 2>log &
	daemon=$!
	eventually test -e mnt/disk.raw
}
# ends_stopped: the daemon is alive until it is unmounted, and then says that it has failed.
ends_stopped() {
	still_answers mnt && unmount mnt && ! wait $daemon
}
# altered_while_written FORMAT IMAGE FILE BY FIRST: another program makes FILE longer or shorter by BY
# bytes under a writable mount.  FIRST is done to the mount then, and writes nothing; nor does what
# follows.  The log has one line of it.
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
	ends_stopped || status=1
	cat log
	[ "$(wc -l <log)" = 1 ] && grep -q "$file: another program has changed its length" log || status=1
	cmp "$file" as-it-was && [ "$(stat -c %s "$file")" = $length ] || status=1
	return $status
}
read_all() { dd if=mnt/disk.raw of=/dev/null bs=64K iflag=direct status=none; }
write_lost() { printf x | dd of=mnt/disk.raw bs=1 seek=2097151 conv=notrunc,fsync status=none; }
write_new() { printf x | dd of=mnt/disk.raw bs=1 seek=20000000 conv=notrunc,fsync status=none; }
nothing_but_wait() { eventually grep -q another log; }
# However many reads a cut fails, and whether it is met by a read or by an open, one line says so.
cut_is_said_once() {
	local status=0
	cp plain.qcow2 r.qcow2
	start_mount r.qcow2 ro || return 1
	truncate -s 1M r.qcow2
	head -c 4096 mnt/disk.raw | cmp - <(head -c 4096 disk.raw) || status=1
	grep -q '^vdiskfs: r.qcow2: another program has changed its length' log || status=1
	for _ in 1 2 3; do "$scan" -d mnt/disk.raw disk.raw >found && [ -s found ] || status=1; done
	still_answers mnt && unmount mnt && wait $daemon || status=1
	cat log
	[ "$(wc -l <log)" = 1 ] || status=1
	return $status
}
# altered FORMAT IMAGE FILE BY FIRST [OPTION...]: of an image of 32 MiB made with the options.
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
	base=$(data_pos "$image") || { fail "$image: its data is not in order"; return; }
	check "$image: cut at a page" cut_under "$image" "$file" $((base + 1310720)) 1310720
	check "$image: cut inside a sector" cut_under "$image" "$file" $((base + 700000)) 699904
	check "$image: cut to nothing while it is read" cut_while_read "$image" "$file"
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
	for image in plain.qcow2 dynamic.vdi static.vdi sparse.vmdk; do spots $image; done
	spots disk.img
	spots flat.vmdk flat-flat.vmdk
	spots over.qcow2 disk.img
	for image in deflate.qcow2 zstd.qcow2; do
		check "$image: a bad byte in a stream" spot_in_stream $image 7
		check "$image: a bad byte in the last stream" spot_in_stream $image 31
	done
	check "plain.qcow2: its L2 table is bad" spot_in_table plain.qcow2 "$(table_of plain.qcow2)"
	for image in plain.qcow2 dynamic.vdi sparse.vmdk; do
		check "$image: bad when it is mounted" spot_at_mount $image
	done
else
	skip "bad spots: the shim that makes them and sanitizers do not go together"
fi
for image in plain.qcow2 dynamic.vdi static.vdi sparse.vmdk; do cuts $image; done
cuts disk.img
cuts flat.vmdk flat-flat.vmdk
cuts over.qcow2 disk.img

check "a cut under a mount is said once" cut_is_said_once
truncate -s 32M disk.raw
alterations qcow2 w.qcow2 w.qcow2
alterations vmdk w.vmdk w.vmdk
alterations vdi w.vdi w.vdi
alterations vhdx w.vhdx w.vhdx -o block_size=1M
alterations vpc w.vhd w.vhd
alterations raw w.raw w.raw
altered raw w.raw w.raw -1000448 nothing_but_wait
