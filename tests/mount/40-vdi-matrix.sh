#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# VDI images of qemu-img, and variants that VirtualBox writes.
. "${0%/*}/functions.sh"
. "$here/images.sh"
requires qemu-img qemu-io xxd

some_data whole 9M
for size in 512 1048064 1048576 1049088 5244416 9437184; do
	head -c $size whole >src
	noise $size 512 | dd of=src bs=512 seek=$((size / 512 - 1)) conv=notrunc status=none
	for o in static=off static=on; do
		qemu-img convert -q -f raw -O vdi -o $o src image.vdi
		UNIT=1048576 check "$o, $size bytes" matches image.vdi src
	done
done

# Blocks are allocated in the order of the writes.
for seed in 1 2 3 4 5 6; do
	o=static=off
	[ $seed -lt 5 ] || o=static=on
	seed=$(seed_of "$seed")
	qemu-img create -q -f vdi -o $o image.vdi 21000192
	scribble vdi image.vdi 21000192 262144 $seed 14 wwzd
	UNIT=1048576 agrees "scribbled (seed $seed): $o" image.vdi
done

# Six blocks: 0, 1, 3 and 4 are allocated, out of order; the block map is at 512.
qemu-img create -q -f vdi small.vdi 6M
for b in 4 1 0 3; do
	qemu-io -f vdi -c "write -P $((b + 1)) ${b}M 1M" small.vdi >/dev/null
done
reference small.vdi small.ref
map=$(le32 small.vdi 340)
data=$(le32 small.vdi 344)
check "blocks out of order" matches small.vdi small.ref
# patched NAME REFERENCE POSITION HEX...
patched() {
	local what=$1 ref=$2
	shift 2
	cp small.vdi image.vdi
	while [ $# -gt 1 ]; do
		patch image.vdi "$1" "$2"
		shift 2
	done
	check "$what" matches image.vdi "$ref"
}
block() { dd if=small.ref bs=1M skip="$1" count=1 status=none; }
nothing() { head -c 1048576 /dev/zero; }
{ block 0; nothing; tail -c +$((2 * 1048576 + 1)) small.ref; } >zero.ref
patched "a discarded block (zero)" zero.ref $((map + 4)) feffffff
patched "a discarded block (free)" zero.ref $((map + 4)) ffffffff
{ block 0; block 0; tail -c +$((2 * 1048576 + 1)) small.ref; } >twice.ref
patched "two map entries for one block" twice.ref $((map + 4)) "$(xxd -p -s "$map" -l 4 small.vdi)"
patched "a wrong number of allocated blocks" small.ref 388 01000000
patched "a header text of another program" small.ref 0 3c3c3c20696e6e6f74656b205669727475616c426f78
patched "a longer header" small.ref 72 90010000
head -c 6290944 small.ref >cut.ref
patched "a size that is not a multiple of 512" cut.ref 368 ffff5f
head -c 5242880 small.ref >shrunk.ref
patched "more blocks than the size needs" shrunk.ref 368 00005000

not_those() { # START LENGTH MOUNT: EIO in this range, the rest is right
	local disk=$3/disk.raw
	! dd if="$disk" of=/dev/null bs=512 skip=$(($1 / 512)) count=1 status=none || return 1
	! dd if="$disk" of=/dev/null bs=512 skip=$((($1 + $2) / 512 - 1)) count=1 status=none || return 1
	cmp -n "$1" "$disk" small.ref && cmp -i $(($1 + $2)) "$disk" small.ref
}
cp small.vdi image.vdi
patch image.vdi $((map + 4)) 40000000
check "a map entry beyond the end of the file" on_mount image.vdi not_those 1048576 1048576
patch image.vdi $((map + 4)) fdffffff
check "the largest map entry" on_mount image.vdi not_those 1048576 1048576
# Block 3 is the last in the file.
cp small.vdi image.vdi
truncate -s $((data + 3 * 1048576 + 300000)) image.vdi
{ head -c 3445728 small.ref; head -c 748576 /dev/zero; tail -c +4194305 small.ref; } >short.ref
check "a truncated last block reads as zeroes after its end" matches image.vdi short.ref
truncate -s $((data + 3 * 1048576)) image.vdi
check "a missing last block is an error" on_mount image.vdi not_those 3145728 1048576

# bad NAME PATTERN POSITION HEX
bad() {
	cp small.vdi image.vdi
	patch image.vdi "$3" "$4"
	check "$1" refused image.vdi "$2"
}
bad "an unknown version" 'version 0\.1' 68 01000000
bad "a missing parent" '33221100-5544-7766-8899-aabbccddeeff} was not found' \
	424 00112233445566778899aabbccddeeff
bad "a differencing image without a parent" 'without a parent' 76 04000000
bad "an unknown type" 'type 99' 76 63000000
bad "a size larger than the blocks" 'blocks' 368 ffffffffffffff7f
bad "more blocks than the map" 'map' 384 80ffff1f
bad "a block size of zero" 'block size' 376 00000000
bad "a map beyond the end of the file" 'map' 340 00feffff
