#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Holes: their ranges, the cost of copies of large disks, the time and memory of a search for data.
. "${0%/*}/functions.sh"
. "$here/images.sh"
requires qemu-img qemu-io jq cp tar du
ranges=$BUILD/tests/mount/ranges

# mapped IMAGE: prints the ranges that qemu-img reports as allocated and not zero.  It reports whole clusters; a mount
# also shows holes of the host file inside a cluster.
mapped() {
	qemu-img map --output=json "$1" | jq -r '.[] | select(.data and (.zero | not)) | "\(.start) \(.length)"' |
		awk '{ if (n && $1 == end) len += $2; else { if (n) print start, len; start = $1; len = $2; n = 1 } end = $1 + $2 }
			END { if (n) print start, len }'
}
# Every range of the mount is inside one of qemu-img's, and each of those contains at least one.
same_holes() { # MOUNT
	"$ranges" "$1/disk.raw" >got.ranges
	awk 'NR == FNR { start[n] = $1; end[n++] = $1 + $2; next }
		{
			for (i = 0; i < n && !(start[i] <= $1 && $1 + $2 <= end[i]); i++)
				;
			if (i == n) { print "not data:", $0; bad = 1 } else found[i] = 1
		}
		END { for (i = 0; i < n; i++) if (!found[i]) { print "missing:", start[i], end[i]; bad = 1 }; exit bad }
	' want.ranges got.ranges
}
holes() { # NAME IMAGE
	mapped "$2" >want.ranges
	[ -s want.ranges ] || fail "$1: no data"
	check "holes as qemu-img maps them: $1" on_mount "$2" same_holes
	check "contents: $1" matches "$2" src.ref
}
truncate -s 64M src.raw
for at in 0 5 17 18 63; do noise $at 100000 | dd of=src.raw bs=1M seek=$at conv=notrunc status=none; done
sync src.raw
cp --sparse=always src.raw src.ref
holes raw src.raw
for o in cluster_size=64k cluster_size=512 cluster_size=2M compat=0.10 extended_l2=on preallocation=metadata; do
	qemu-img convert -q -f raw -O qcow2 -o $o src.raw image.qcow2
	sync image.qcow2
	holes "qcow2, $o" image.qcow2
done
qemu-img convert -q -f raw -O qcow2 -c src.raw image.qcow2
holes "qcow2, compressed" image.qcow2
for o in monolithicSparse monolithicFlat twoGbMaxExtentSparse twoGbMaxExtentFlat streamOptimized; do
	rm -f image*.vmdk
	qemu-img convert -q -f raw -O vmdk -o subformat=$o src.raw image.vmdk
	sync image*.vmdk
	holes "vmdk, $o" image.vmdk
done
for o in static=off static=on; do
	qemu-img convert -q -f raw -O vdi -o $o src.raw image.vdi
	sync image.vdi
	holes "vdi, $o" image.vdi
done
qemu-img create -q -f qcow2 -b src.raw -F raw over.qcow2
qemu-io -f qcow2 -c 'write -P 1 30M 64k' -c 'write -z 5M 64k' -c 'discard 63M 64k' over.qcow2 >/dev/null
sync over.qcow2
reference over.qcow2 src.ref
holes "a chain" over.qcow2

# A disk of 1 TiB with three allocated clusters.
qemu-img create -q -f qcow2 big.qcow2 1T
noise 5 65536 >noise.bin
for at in 0 300G 1099511562240; do qemu-io -f qcow2 -c "write -s noise.bin $at 64k" big.qcow2 >/dev/null; done
reference big.qcow2 big.ref
mkdir big
mount_image big.qcow2 big
stored() { [ "$(du --block-size=1 "$1" | cut -f1)" -le "$2" ]; }
check "du of a terabyte" stored big/disk.raw 196608
check "cp of a terabyte" timeout "$patience" cp --sparse=auto big/disk.raw copy.raw
check "the copy allocates only the data" stored copy.raw 300000
UNIT=65536 check "the copy is equal" same copy.raw big.ref
rm -f copy.raw
check "the size of the disk" [ "$(stat -c %s big/disk.raw)" = 1099511627776 ]
check "tar -S of a terabyte" timeout "$patience" tar -C big -cSf big.tar disk.raw
check "the archive is small" stored big.tar 400000
tar -xSf big.tar
check "the extracted archive is equal" same disk.raw big.ref
rm -f disk.raw
check "qemu-img convert from the mount" timeout "$patience" qemu-img convert -f raw -O qcow2 big/disk.raw again.qcow2
check "qemu-img compare of the converted image" qemu-img compare -q -f qcow2 -F qcow2 again.qcow2 big.qcow2
unmount big

# 16 TiB: the mount and the search for data are quick and need little memory.
size=16T
truncate -s $size huge.raw 2>/dev/null || { size=$((16 * 1024 * 1024 * 1024 * 1024 - 65536)); truncate -s $size huge.raw || size=2T; }
truncate -s $size huge.raw
huge() { # IMAGE LAST MOUNT: the only data is at LAST
	local dir=$3 kib
	timeout "$patience" "$ranges" "$dir/disk.raw" >got.ranges || { echo "too slow"; return 1; }
	[ "$(wc -l <got.ranges)" = 1 ] || { head got.ranges; return 1; }
	read -r start len <got.ranges
	[ "$start" -le "$2" ] && [ $((start + len)) -gt "$2" ] || { cat got.ranges; return 1; }
	dd if="$dir/disk.raw" bs=512 skip=$(($2 / 512)) count=1 status=none | tr -d '\7' | { ! grep -q .; } || return 1
	kib=$(awk '/^VmHWM/ { print $2 }' "/proc/$(daemon_of "$dir")/status")
	echo "$1: VmHWM $kib KiB"
	[ $slowness != 1 ] || [ "$kib" -lt 32768 ] || { echo "too much memory"; return 1; }
}
mount_with=(-o cache=4M)
last=$((16 * 1024 * 1024 * 1024 * 1024 - 131072))
printf '\7%.0s' $(seq 512) | dd of=huge.raw bs=512 seek=$((last / 512)) conv=notrunc status=none
qemu-img create -q -f qcow2 huge.qcow2 16T
qemu-img create -q -f qcow2 -o extended_l2=on huge-e.qcow2 16T
qemu-img create -q -f vmdk huge.vmdk 16T
qemu-img create -q -f vdi huge.vdi 16T
for f in huge.qcow2 huge-e.qcow2 huge.vmdk huge.vdi; do
	qemu-io -f "${f##*.}" -c "write -P 7 $last 512" $f >/dev/null
	check "16 TiB, $f" on_mount $f huge $f $last
done
if [ $size = 2T ]; then
	skip "16 TiB, raw: the host has no files of that size"
else
	check "16 TiB, raw" on_mount huge.raw huge huge.raw $last
fi
qemu-img create -q -f qcow2 -o cluster_size=512 small.qcow2 128G
qemu-io -f qcow2 -c 'write -P 7 127G 512' small.qcow2 >/dev/null
check "128 GiB in clusters of 512" on_mount small.qcow2 huge small.qcow2 $((127 * 1073741824))
qemu-img create -q -f qcow2 n30.qcow2 2P
qemu-io -f qcow2 -c 'write -P 7 2047T 512' n30.qcow2 >/dev/null
check "N30: 2 PiB" on_mount n30.qcow2 huge n30.qcow2 $((2047 * 1024 * 1024 * 1024 * 1024))
reads_much() { # MOUNT: reads all data, of which only the cache stays in memory
	cat "$1/disk.raw" >/dev/null
	[ $slowness != 1 ] || [ "$(awk '/^VmHWM/ { print $2 }' "/proc/$(daemon_of "$1")/status")" -lt 32768 ]
}
some_data data.raw $((40 / slowness))M
qemu-img convert -q -f raw -O qcow2 -c data.raw data.qcow2
check "compressed data is read in bounded memory" on_mount data.qcow2 reads_much
