#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# vdisk convert -c and streams: the compressed image has the same disk for QEMU, and is not larger than QEMU's.
. "${0%/*}/functions.sh"
requires qemu-img qemu-io jq

packs() { # NAME SOURCE-FORMAT SOURCE OPTION...: converts to the file out
	local what=$1 format=$2 source=$3
	shift 3
	rm -f out
	check "$what" "$VDISK" convert -f "$format" "$@" "$source" out
}
is_disk() { # NAME REFERENCE FORMAT: QEMU and vdisk read the same from out
	check "$1: the disk is equal" qemu-img compare -q -f raw -F "$3" "$2" out
	check "$1: vdisk reads it" "$VDISK" compare -q -f raw -F "$3" "$2" out
}
is_sound() { # NAME: checks the qcow2 image out
	check "$1: no errors or leaks" qemu-img check -q -f qcow2 out
}
clusters() { qemu-img check --output=json -f qcow2 "${1:-out}" | jq '."compressed-clusters" // 0'; }
fails() { # PATTERN ARGUMENT...: exits with status 1 and a message that matches
	local pattern=$1
	shift
	"$VDISK" "$@" 2>err
	[ $? = 1 ] || return 1
	cat err >&2
	grep -qE -e "$pattern" err
}

# Text, programs, noise, zeroes inside a cluster, zero clusters, and an incomplete last cluster.
{
	cat "$top"/formats/*/*.c "$top"/formats/driver/*/*.c | head -c 700000
	cat "$VDISK" "$VDISKFS" | head -c 900000
	head -c 300000 /dev/zero
	noise 3 200000
	cat "$top"/fuse/*/*.c
} >disk.raw
truncate -s $((9 * 1048576 + 1536)) disk.raw
printf 'the end' | dd of=disk.raw bs=1 seek=$((9 * 1048576 + 1000)) conv=notrunc status=none

# qcow2

for size in 512 1k 4k 64k 2M; do
	for more in '' ,compression_type=zstd ,compat=0.10 ,refcount_bits=1; do
		what="cluster_size=$size$more"
		packs "$what" raw disk.raw -c -O qcow2 -o "$what"
		is_disk "$what" disk.raw qcow2
		is_sound "$what"
	done
done
for o in extended_l2=on extended_l2=on,compression_type=zstd,cluster_size=16k refcount_bits=2,cluster_size=4k lazy_refcounts=on; do
	packs "$o" raw disk.raw -c -O qcow2 -o $o
	is_disk "$o" disk.raw qcow2
	is_sound "$o"
done
for n in 1 2 7; do
	packs "$n threads" raw disk.raw -c -m $n -O qcow2
	check "$n threads: the same file" eval '[ -e first ] || mv out first; [ ! -e out ] || cmp first out'
done
for o in '' ,compression_type=zstd; do
	qemu-img convert -c -f raw -O qcow2 -o compat=1.1$o disk.raw theirs
	packs "like QEMU$o" raw disk.raw -c -O qcow2 -o compat=1.1$o
	check "like QEMU$o: the number of compressed clusters" [ "$(clusters)" = "$(clusters theirs)" ]
	check "like QEMU$o: the file is not more than a cluster larger" [ "$(stat -c %s out)" -le $(($(stat -c %s theirs) + 65535)) ]
done
check "convert -c -p prints progress" eval '"$VDISK" convert -p -f raw -c -O qcow2 disk.raw out | tr "\r" "\n" | grep -q "(100.00/100%)"'
check "map of a compressed image" eval '[ "$("$VDISK" map --output=json out | jq "map(select(.data) | .length) | add")" = \
	"$(qemu-img map --output=json out | jq "map(select(.data) | .length) | add")" ]'

# Writes to a compressed image, by QEMU and through a mount.
cp out more
check "QEMU writes to a compressed image" qemu-io -f qcow2 -c 'write -P 7 100k 200k' -c 'discard 2M 1M' -c 'write -c -P 8 2M 64k' more
check "qemu-img check after the writes" qemu-img check -q -f qcow2 more
cp disk.raw changed.raw
qemu-io -f raw -c 'write -P 7 100k 200k' changed.raw
mount_image out mnt -o rw
qemu-io -f raw -c 'write -P 7 100k 200k' mnt/disk.raw
unmount mnt
is_disk "a compressed image written through a mount" changed.raw qcow2
is_sound "a compressed image written through a mount"

# Small and empty disks.
for size in 0 512 65535 65536 65537 33554944; do
	rm -f small.raw
	truncate -s $size small.raw
	for kind in empty full; do
		[ $kind = empty ] || printf '%*s' $((size < 70000 ? size : 70000)) x | dd of=small.raw conv=notrunc status=none
		packs "$kind disk of $size" raw small.raw -c -O qcow2
		is_disk "$kind disk of $size" small.raw qcow2
		is_sound "$kind disk of $size"
		packs "$kind stream of $size" raw small.raw -O vmdk -o subformat=streamOptimized
		[ $size = 0 ] && check "$kind stream of $size: vdisk reads it" "$VDISK" compare -q -f raw small.raw out ||
			is_disk "$kind stream of $size" small.raw vmdk
	done
done

# With a backing file, only different data is stored; zero clusters hide data of the backing file.
noise 9 $((3 * 1048576)) >base.raw
cp base.raw top.raw
truncate -s 5M top.raw
dd if=disk.raw of=top.raw bs=64k seek=3 count=5 conv=notrunc status=none
dd if=/dev/zero of=top.raw bs=64k seek=20 count=3 conv=notrunc status=none
dd if=disk.raw of=top.raw bs=1000 seek=4000 count=9 conv=notrunc status=none
for o in compat=1.1 compat=0.10 extended_l2=on; do
	packs "over a backing file, $o" raw top.raw -c -O qcow2 -o $o -B base.raw -F raw
	is_disk "over a backing file, $o" top.raw qcow2
	is_sound "over a backing file, $o"
	check "over a backing file, $o: only different clusters are stored" [ "$(clusters)" -lt 12 ]
done

# Sources: a snapshot, a compressed image, several images.
qemu-img create -q -f qcow2 live.qcow2 6M
qemu-io -f qcow2 -c 'write -P 5 64k 1M' live.qcow2
qemu-img snapshot -c then live.qcow2
qemu-io -f qcow2 -c 'write -P 6 512k 2M' live.qcow2
qemu-img convert -f qcow2 -l then -O raw live.qcow2 then.raw
packs "a snapshot" qcow2 live.qcow2 -c -O qcow2 -l then
is_disk "a snapshot" then.raw qcow2
is_sound "a snapshot"
packs "a compressed image" qcow2 first -c -O qcow2 -o compression_type=zstd
is_disk "a compressed image" disk.raw qcow2
cat disk.raw base.raw disk.raw >three.raw
rm -f out
check "three images" "$VDISK" convert -f raw -c -O qcow2 disk.raw base.raw disk.raw out
is_disk "three images" three.raw qcow2
is_sound "three images"
check "three images: most clusters are compressed" [ "$(clusters)" -gt 50 ]
check "convert -c -S 0" "$VDISK" convert -f raw -S 0 -c -O qcow2 disk.raw out
is_disk "convert -c -S 0" disk.raw qcow2
check "convert -c -S 0 stores zero clusters" [ "$(clusters)" -gt 130 ]

# To an existing image.
qemu-img create -q -f qcow2 out 12M
qemu-io -f qcow2 -c 'write -P 3 0 12M' out
{ cat disk.raw; tr '\0' '\3' </dev/zero | head -c $((3 * 1048576 - 1536)); } >filled.raw
check "convert -c -n" "$VDISK" convert -n -f raw -c -O qcow2 disk.raw out
is_disk "convert -c -n" filled.raw qcow2
is_sound "convert -c -n"

# Streams.
stream='-O vmdk -o subformat=streamOptimized'
# shellcheck disable=SC2086
for c in '' -c; do
	packs "a stream $c" raw disk.raw $c $stream
	is_disk "a stream $c" disk.raw vmdk
done
# shellcheck disable=SC2086
qemu-img convert -f raw $stream disk.raw theirs
check "a stream is not larger than QEMU's" [ "$(stat -c %s out)" -le "$(stat -c %s theirs)" ]
check "a stream has the createType streamOptimized" [ "$(qemu-img info --output=json out | jq -r '."format-specific".data."create-type"')" = streamOptimized ]
check "a stream ends with an end-of-stream marker" cmp -n 512 <(tail -c 512 out) /dev/zero
u32() { od -An -tu4 -j "$2" -N 4 "$1" | tr -d ' '; }
end=$(stat -c %s out)
check "a stream has a footer" [ "$(u32 out $((end - 1536 + 12)))" = 3 ]
check "the footer begins like the header" cmp -n 4 <(tail -c 1024 out) out
# The file is a sequence of markers: grains in ascending order, and tables after their grains.
walk() {
	local pos=65536 last=-1 lba size type
	while [ $pos -lt $((end - 1536)) ]; do
		lba=$(u32 out $pos) size=$(u32 out $((pos + 8)))
		if [ "$size" -gt 0 ]; then
			[ "$lba" -gt $last ] && [ $((lba % 128)) = 0 ] || return 1
			last=$lba pos=$((pos + (12 + size + 511) / 512 * 512))
		else
			type=$(u32 out $((pos + 12)))
			[ "$type" = 1 ] || [ "$type" = 2 ] || return 1
			pos=$((pos + 512 + lba * 512))
		fi
	done
	[ $pos = $((end - 1536)) ] && [ $last = $((9 * 2048)) ]
}
check "a stream is a sequence of markers" walk
if command -v vmdkinfo >/dev/null; then
	mv out stream.vmdk
	check "vmdkinfo reads a stream" eval 'vmdkinfo stream.vmdk | grep -q "9.0 MiB (9438720 bytes)"'
	mv stream.vmdk out
fi
mount_image out mnt
check "a stream is mounted" cmp disk.raw mnt/disk.raw
unmount mnt
truncate -s 100M sparse.raw
printf x | dd of=sparse.raw bs=1M seek=70 conv=notrunc status=none
packs "a stream with a hole" raw sparse.raw $stream
is_disk "a stream with a hole" sparse.raw vmdk
check "a stream with a hole lacks two grain tables" [ "$(stat -c %s out)" -lt 75000 ]
truncate -s 40M sparse40.raw
noise 74 300000 | dd of=sparse40.raw bs=64K seek=33 conv=notrunc status=none
check "create of a stream" "$VDISK" create -q -f vmdk -o subformat=streamOptimized empty.vmdk 40M
check "the created stream reads as zeroes" eval 'truncate -s 40M zero.raw && qemu-img compare -q -f raw -F vmdk zero.raw empty.vmdk'
for maker in "$VDISK" qemu-img; do
	for filler in "$VDISK" qemu-img; do
		"$maker" create -q -f vmdk -o subformat=streamOptimized empty.vmdk 40M && "$filler" convert -n -c -f raw -O vmdk sparse40.raw empty.vmdk
		check "a stream by ${maker##*/} is filled by ${filler##*/}" qemu-img compare -q -f raw -F vmdk sparse40.raw empty.vmdk
		check "a stream by ${maker##*/}, filled by ${filler##*/}, in vdisk" "$VDISK" compare -q -f raw -F vmdk sparse40.raw empty.vmdk
	done
done
check "convert -n to a stream with data" fails "compressed grains cannot be overwritten" convert -n -f raw -O vmdk zero.raw empty.vmdk
check "two images of whole grains to a stream" eval \
	'"$VDISK" convert -f raw $stream base.raw disk.raw out && cat base.raw disk.raw >two.raw'
is_disk "two images to a stream" two.raw vmdk
check "two images with an incomplete grain to a stream" fails "can be joined" convert -f raw -O vmdk -o subformat=streamOptimized disk.raw base.raw no

# Formats and options that do not support compression.
for f in raw vdi vpc vhdx; do
	check "convert -c to $f" fails "^vdisk: Compression not supported for this file format" convert -f raw -c -O $f disk.raw no
done
check "convert -c to a sparse VMDK" fails "only subformat=streamOptimized" convert -f raw -c -O vmdk disk.raw no
check "convert -c with a data file" fails "data_file cannot be compressed" convert -f raw -c -O qcow2 -o data_file=no.data disk.raw no
check "convert -c with preallocation" fails "does not go with compression" convert -f raw -c -O qcow2 -o preallocation=metadata disk.raw no
check "a stream with a backing file" fails "has no backing file" convert -f raw -O vmdk -o subformat=streamOptimized \
	-B empty.vmdk -F vmdk disk.raw no
qemu-img create -q -f raw there.raw 10M
check "convert -c -n to raw" fails "Compression not supported" convert -n -f raw -c disk.raw there.raw
check "the failed commands created no file" [ ! -e no ]
