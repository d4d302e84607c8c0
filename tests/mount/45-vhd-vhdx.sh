#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# VHD and VHDX: images of qemu-img, damaged and moved files that must still be readable, and chains, which qemu-img
# cannot read.  QEMU truncates some VHDs to their geometry: those have their own reference.
. "${0%/*}/functions.sh"
. "$here/images.sh"
. "$here/hostile.sh"
requires qemu-img qemu-io xxd jq

fill() { head -c "$2" /dev/zero | tr '\0' "\\$(printf %o "$1")"; } # BYTE LENGTH
overwrite() { dd of="$1" bs=1 seek=$(($2)) conv=notrunc status=none; } # FILE POSITION <BYTES
info_has() { jq -e "$2" "$1/info.json" >/dev/null; }                       # MOUNT EXPRESSION
info_matches() { info_has "$2" "$1"; }

some_data whole 9M
for size in 512 1048576 2098176 5244416 9437184; do
	head -c $size whole >src
	noise $size 512 | dd of=src bs=512 seek=$((size / 512 - 1)) conv=notrunc status=none
	for o in subformat=dynamic subformat=fixed; do
		qemu-img convert -q -f raw -O vpc -o $o,force_size=on src image.vhd
		UNIT=2097152 check "VHD $o, $size bytes" matches image.vhd src
		qemu-img convert -q -f raw -O vpc -o $o src image.vhd
		reference image.vhd grown.ref -f vpc # without -f, qemu-img probes a fixed VHD as raw
		UNIT=2097152 check "VHD $o, $size bytes, rounded to a geometry" matches image.vhd grown.ref
	done
	for o in block_size=1M subformat=fixed,block_size=2M block_size=8M,block_state_zero=off; do
		qemu-img convert -q -f raw -O vhdx -o $o src image.vhdx
		UNIT=1048576 check "VHDX $o, $size bytes" matches image.vhdx src
	done
done
for seed in 1 2 3 4; do
	seed=$(seed_of "$seed")
	qemu-img create -q -f vpc -o force_size=on image.vhd 21000192
	scribble vpc image.vhd 21000192 262144 $seed 14 wwz
	UNIT=2097152 agrees "VHD scribbled (seed $seed)" image.vhd
	qemu-img create -q -f vhdx -o block_size=1M image.vhdx 21000192
	scribble vhdx image.vhdx 21000192 262144 $seed 14 wwz
	UNIT=1048576 agrees "VHDX scribbled (seed $seed)" image.vhdx
done

# VHD.
head -c 5244416 whole >src
qemu-img convert -q -f raw -O vpc -o force_size=on src good.vhd
qemu-img convert -q -f raw -O vpc -o subformat=fixed,force_size=on src fixed.vhd
cp fixed.vhd fixed.img
check "a fixed VHD is recognised by its footer" on_mount fixed.img info_matches '.format == "vpc" and ."virtual-size" == 5244416'
printf 'QFI\373\0\0\0\3' | overwrite fixed.img 0
cp src fixed.ref
printf 'QFI\373\0\0\0\3' | overwrite fixed.ref 0
check "a fixed VHD with a qcow2 header in the first sector of its disk" matches fixed.img fixed.ref
cp good.vhd image.vhd
truncate -s -1 image.vhd
check "a footer of 511 bytes" matches image.vhd src
truncate -s -511 image.vhd
check "a missing footer" matches image.vhd src
cp good.vhd image.vhd
head -c 512 whole | overwrite image.vhd 0
check "a damaged copy of the footer" matches image.vhd src
cp good.vhd image.vhd
patch image.vhd 60 00000009
patch image.vhd $(($(stat -c %s image.vhd) - 512 + 50)) 55
check "both copies of the footer are damaged" refused image.vhd 'checksum'
# The first block's sector bitmap: sectors with a clear bit read as zeroes.
first=$(($(be32 good.vhd 1536) * 512))
cp good.vhd image.vhd
patch image.vhd $first 0f
{ head -c 2048 /dev/zero; tail -c +2049 src; } >clear.ref
check "sectors with a clear bit read as zeroes" matches image.vhd clear.ref
# The geometry of 4 MiB with the creator Virtual PC: QEMU truncates such a disk to it.
geometry() { # FILE POSITION-OF-FOOTER: sets creator and geometry, and recomputes the checksum
	patch "$1" $(($2 + 28)) 76706320
	patch "$1" $(($2 + 56)) 00780411
	patch "$1" $(($2 + 64)) 00000000
	patch "$1" $(($2 + 64)) "$(hex32 $((0xffffffff ^ $(tail -c +$(($2 + 1)) "$1" | head -c 512 | xxd -p -c 1 | awk '{ n = index("0123456789abcdef", substr($1, 1, 1)) - 1; s += 16 * n + index("0123456789abcdef", substr($1, 2, 1)) - 1 } END { print s }'))))"
}
cp fixed.vhd chs.vhd
geometry chs.vhd 5244416
check "the disk size is not truncated to the geometry" matches chs.vhd src

# VHDX.
qemu-img convert -q -f raw -O vhdx -o block_size=1M src good.vhdx
for seek in 16 32 48 64; do
	cp good.vhdx image.vhdx
	dd if=/dev/zero of=image.vhdx bs=4k seek=$seek count=1 conv=notrunc status=none
	check "one of two copies of a structure is damaged, at $((seek * 4)) KiB" matches image.vhdx src
done
dd if=/dev/zero of=image.vhdx bs=4k seek=48 count=1 conv=notrunc status=none
check "both copies of the region table are damaged" refused image.vhdx 'region table: both'
cp good.vhdx image.vhdx
last=$(stat -c %s image.vhdx)
truncate -s $((last - 1048576 + 4096)) image.vhdx
check "a last block truncated after the end of the disk" matches image.vhdx src
qemu-img create -q -f vhdx -o block_size=256M far.vhdx 20G
qemu-io -f vhdx -c 'write -P 1 4095M 2M' -c 'write -P 2 16G 64k' far.vhdx >/dev/null
far_blocks() {
	local disk=$1/disk.raw
	cmp -n 2097152 <(fill 1 2097152) <(tail -c +$((4095 * 1048576 + 1)) "$disk" | head -c 2097152) &&
		cmp -n 65536 <(fill 2 65536) <(tail -c +$((16384 * 1048576 + 1)) "$disk" | head -c 65536) &&
		cmp -n 65536 /dev/zero <(tail -c +$((8192 * 1048576 + 1)) "$disk" | head -c 65536)
}
check "blocks of the second chunk" on_mount far.vhdx far_blocks

# A log that is not empty is replayed in memory; the file does not change.
"$MKIMAGE" vhdx-log .
before=$(sha256sum <vhdx-log.vhdx)
check "a log is replayed" matches vhdx-log.vhdx vhdx-log.raw
check "a replayed log stays in the file" [ "$before" = "$(sha256sum <vhdx-log.vhdx)" ]
check "info.json reports the log" on_mount vhdx-log.vhdx info_matches '."dirty-flag"'
"$MKIMAGE" vhdx-sectors-4k .
check "sectors of 4096 bytes" on_mount vhdx-sectors-4k.vhdx info_matches '."format-specific".data."logical-sector-size" == 4096'

# Chains.
chain_shows() { # FORMAT REFERENCE MOUNT
	[ "$(find "$3/chain" -mindepth 1 -maxdepth 1 | wc -l)" = 2 ] || { echo "not two layers"; return 1; }
	same "$3/disk.raw" "$2" && info_has "$3" ".\"backing-filename-format\" == \"$1\""
}
cannot_be_read() { ! cat "$1/disk.raw" >/dev/null; }
for name in vhd-child:vpc vhdx-child:vhdx; do
	format=${name#*:} name=${name%:*}
	"$MKIMAGE" $name .
	check "$name: a child and its parent" on_mount $name.$format chain_shows "$format" $name.raw
	mount_with=(-o nobacking)
	check "$name: without its parent" on_mount $name.$format cannot_be_read
	mount_with=()
	mkdir -p away
	mv $name-base.* away
	check "$name: a missing parent" refused $name.$format 'No such file'
	check "$name: a parent found by search=" matches $name.$format $name.raw -o search="$W/away"
	parent=$(echo away/$name-base.*)
	mkdir -p away/deep/er && mv "$parent" "away/deep/er/Other.${parent##*.}"
	check "$name: a renamed parent below search= found by its ID" matches $name.$format $name.raw -o search="$W/away"
	check "$name: a renamed parent below allow= found by its ID" matches $name.$format $name.raw -o allow="$W/away"
	mv "away/deep/er/Other.${parent##*.}" "$W/Other.${parent##*.}"
	check "$name: a renamed parent beside the child" on_mount $name.$format chain_shows "$format" $name.raw
	mkdir -p shelf/of && cp $name.$format "Other.${parent##*.}" shelf/of
	in_directory() { same "$1/of/$name.$format/disk.raw" $name.raw; }
	mount_with=(-o sandbox=strict)
	[ -z "$sanitized" ] || mount_with=()
	check "$name: a renamed parent in a directory of images" on_mount shelf in_directory
	mv "shelf/of/Other.${parent##*.}" away/deep/er
	mount_with+=(-o "allow=$W/away")
	check "$name: a directory of images, parent below allow=" on_mount shelf in_directory
	mount_with=()
	rm -r shelf away/deep
	mv "Other.${parent##*.}" "$parent"
	"$MKIMAGE" $name-stranger . 2>/dev/null
	check "$name: a parent with another ID" refused $name-stranger.$format 'made on'
	check "$name: a parent with another ID, with ignore_parent_id" matches $name-stranger.$format $name.raw -o ignore_parent_id
done
