#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Special cases of qcow2 that readers often get wrong.  The result that the specification requires is expected,
# also where QEMU differs; cases of snapshots are in 21-qcow2-snapshots.sh.  In a new image with clusters of
# 64 KiB, the L1 table is at 0x30000, the first L2 table at 0x40000, the first data at 0x50000.
. "${0%/*}/functions.sh"
. "$here/images.sh"
requires qemu-img qemu-io xxd zstd

fill() { head -c "$2" /dev/zero | tr '\0' "\\$(printf %o "$1")"; } # BYTE LENGTH
hex_text() { noise 5 100000 | xxd -p | tr -d '\n'; }
overwrite() { dd of="$1" bs=1 seek=$(($2)) conv=notrunc status=none; } # FILE POSITION <BYTES
fresh() { qemu-img create -q -f qcow2 "$@"; }
io() { qemu-io -f qcow2 "$@" >/dev/null; }

# damaged NAME IMAGE START LENGTH REFERENCE: reads of that range fail, the bytes around it are right.
damaged() { check "$1" on_mount "$2" has_damage $(($3)) $(($4)) "$5"; }
has_damage() {
	local start=$1 len=$2 ref=$3 disk=$4/disk.raw off
	[ "$(stat -c %s "$disk")" = "$(stat -c %s "$ref")" ] || { echo "wrong size"; return 1; }
	for off in $start $((start + len / 2)) $((start + len - 1)); do
		! dd if="$disk" of=/dev/null bs=1 skip=$off count=1 status=none || { echo "$off can be read"; return 1; }
	done
	cmp -n $((start)) "$disk" "$ref" && cmp -i $((start + len)) "$disk" "$ref"
}

# N1: the file ends inside the L1 table.
fresh n1.qcow2 64M
truncate -s 64M zeroes
check "N1: metadata past the end of the file is zero" matches n1.qcow2 zeroes

# N2: compressed clusters at the end of the file, in shared sectors, across cluster boundaries.
fresh n2.qcow2 1M
io -c 'write -c -P 7 0 64k' n2.qcow2
agrees "N2: a compressed cluster ends at the end of the file" n2.qcow2
hex_text >n2.hex
truncate -s 393216 n2.hex
qemu-img convert -f raw -O qcow2 -c n2.hex n2c.qcow2
check "N2: compressed clusters that share sectors" matches n2c.qcow2 n2.hex

# N3: the field widths of a compressed L2 entry depend on the cluster size.
head -c 3000000 "$(command -v qemu-img)" >n3.raw
truncate -s 3000320 n3.raw
for c in 512 4096 2M; do
	qemu-img convert -f raw -O qcow2 -c -o cluster_size=$c n3.raw n3-$c.qcow2
	check "N3: compressed, clusters of $c" matches n3-$c.qcow2 n3.raw
done

# N4: compressed data of other writers.  stream FROM TO: replaces the compressed data of the first cluster, which
# is longer, by standard input.
stream() { cp "$1" "$2" && overwrite "$2" 0x50000; }
head -c 100352 n3.raw >n4.raw
qemu-img convert -f raw -O qcow2 -c -o compression_type=zstd n4.raw n4.qcow2
check "N4: zstd, the disk ends inside a cluster" matches n4.qcow2 n4.raw
qemu-img convert -f raw -O qcow2 -c -o compression_type=zstd n2.hex n4z.qcow2
for _ in 1 2 3 4; do head -c 20000 n2.hex; done | head -c 65536 >n4.plain
cp n2.hex n4.ref
overwrite n4.ref 0 <n4.plain
{ head -c 30000 n4.plain | zstd -qc; tail -c +30001 n4.plain | zstd -qc; } | stream n4z.qcow2 n4f.qcow2
check "N4: zstd, two frames in one cluster" matches n4f.qcow2 n4.ref
{ printf '\120\052\115\030\003\000\000\000abc'; zstd -qc n4.plain; } | stream n4z.qcow2 n4f.qcow2
check "N4: zstd, a skippable frame first" matches n4f.qcow2 n4.ref
zstd -qc --check n4.plain | stream n4z.qcow2 n4f.qcow2
check "N4: zstd, with a checksum" matches n4f.qcow2 n4.ref
{ zstd -qc --check n4.plain | head -c -1; printf '\377'; } | stream n4z.qcow2 n4f.qcow2
damaged "N4: zstd, with a wrong checksum" n4f.qcow2 0 65536 n4.ref
{ cat n4.plain; echo more; } | zstd -qc | stream n4z.qcow2 n4f.qcow2
damaged "N4: zstd, a frame longer than the cluster" n4f.qcow2 0 65536 n4.ref
{ head -c 60000 n4.plain | zstd -qc; fill 255 4000; } | stream n4z.qcow2 n4f.qcow2
damaged "N4: zstd, a frame shorter than the cluster" n4f.qcow2 0 65536 n4.ref

deflate() { gzip -nc "$@" | tail -c +11 | head -c -8; }
deflate n4.plain | stream n2c.qcow2 n4d.qcow2
check "N4: deflate with a window of 32 KiB" matches n4d.qcow2 n4.ref
{ cat n4.plain; echo more; } | deflate | stream n2c.qcow2 n4d.qcow2
check "N4: deflate, longer than the cluster" matches n4d.qcow2 n4.ref
head -c 65535 n4.plain | deflate | stream n2c.qcow2 n4d.qcow2
damaged "N4: deflate, shorter than the cluster" n4d.qcow2 0 65536 n4.ref
{ printf '\170\234'; deflate n4.plain; } | stream n2c.qcow2 n4d.qcow2
damaged "N4: deflate with a zlib header" n4d.qcow2 0 65536 n4.ref
fill 255 30000 | stream n2c.qcow2 n4d.qcow2
damaged "N4: garbage" n4d.qcow2 0 65536 n4.ref

# N5, N6: zero clusters, with and without allocated data, over a backing file.
fresh n5.qcow2 1M
io -c 'write -P 1 0 256k' -c 'write -z 64k 64k' -c 'write -z -u 128k 64k' -c 'discard 192k 64k' n5.qcow2
{ fill 1 65536; head -c 983040 /dev/zero; } >n5.ref
check "N5: zero clusters with and without data" matches n5.qcow2 n5.ref
fresh n6b.qcow2 1M
io -c 'write -P 9 0 1M' n6b.qcow2
fresh -b n6b.qcow2 -F qcow2 n6.qcow2
io -c 'discard 0 64k' n6.qcow2
fill 9 1048576 >nines
{ head -c 65536 /dev/zero; fill 9 983040; } >n6.ref
check "N6: a zero cluster hides the backing file" matches n6.qcow2 n6.ref
fresh -o compat=0.10 -b n6b.qcow2 -F qcow2 n6v2.qcow2
io -c 'discard 0 64k' n6v2.qcow2
check "N6: version 2 has no zero clusters, so discard shows the backing file" matches n6v2.qcow2 nines

# N7, N8, N9: backing files shorter and longer than the overlay.
fill 7 102400 >n7b.raw
fresh -b n7b.raw -F raw n7.qcow2 1M
io -c 'write -P 1 96k 1k' n7.qcow2
{ fill 7 98304; fill 1 1024; fill 7 3072; head -c 946176 /dev/zero; } >n7.ref
check "N7: a backing file that ends inside a cluster" matches n7.qcow2 n7.ref
head -c 1000 n3.raw >n8.raw
fresh -b n8.raw -F raw n8.qcow2 64k
{ cat n8.raw; head -c 64536 /dev/zero; } >n8.ref
check "N8: a backing file of 1000 bytes" matches n8.qcow2 n8.ref
fresh n9b.qcow2 8M
io -c 'write -P 9 0 8M' n9b.qcow2
fresh -b n9b.qcow2 -F qcow2 n9.qcow2 1049088
qemu-img resize -q n9.qcow2 2M
{ fill 9 1049088; head -c 1048064 /dev/zero; } >n9.ref
check "N9: an overlay grown over a longer backing file" matches n9.qcow2 n9.ref
fresh n10.qcow2 1M
io -c 'write -P 5 0 1M' n10.qcow2
qemu-img resize -q --shrink n10.qcow2 524800
qemu-img resize -q n10.qcow2 1M
agrees "N10: shrunk inside a cluster and grown again" n10.qcow2

# N14, N16: a reader does not depend on refcounts, nor on the COPIED flag, which is derived from them.
fresh n14.qcow2 1M
io -c 'write -P 1 0 64k' n14.qcow2
qemu-img snapshot -c s n14.qcow2
agrees "N14: stale COPIED flags" n14.qcow2
qemu-img convert -f raw -O qcow2 -c -o refcount_bits=1 n2.hex n16a.qcow2
qemu-img snapshot -c s n16a.qcow2
check "N16: refcounts of 1 bit, after a failed snapshot" matches n16a.qcow2 n2.hex
fresh -o refcount_bits=2 n16b.qcow2 1M
io -c 'write -P 3 0 64k' n16b.qcow2
for i in 1 2 3; do qemu-img snapshot -c s$i n16b.qcow2; done
agrees "N16: refcounts of 2 bits, after an overflow" n16b.qcow2
fresh -o cluster_size=512,refcount_bits=64 n16c.qcow2 16M
io -c 'write -P 4 0 3M' n16c.qcow2
agrees "N16: a refcount table that was reallocated" n16c.qcow2

# N17: subclusters.
fresh -o extended_l2=on,cluster_size=128k -b n9b.qcow2 -F qcow2 n17.qcow2 8M
io -c 'write -P 1 5k 1k' -c 'write -z 12k 4k' -c 'discard 128k 128k' -c 'write -P 2 300k 100k' \
	-c 'write -c -P 4 512k 128k' n17.qcow2
UNIT=4096 agrees "N17: subclusters of all kinds" n17.qcow2
fresh -o extended_l2=on,preallocation=metadata -b n9b.qcow2 -F qcow2 n17p.qcow2 8M
fill 9 8388608 >n17p.ref
check "N17: allocated clusters without allocated subclusters" matches n17p.qcow2 n17p.ref
fresh -o extended_l2=on n17x.qcow2 1M
io -c 'write -P 1 0 192k' n17x.qcow2
{ fill 1 196608; head -c 851968 /dev/zero; } >n17x.ref
patch n17x.qcow2 0x40018 0000000100000001
damaged "N17: a subcluster both allocated and zero" n17x.qcow2 65536 65536 n17x.ref

# N18, N19: the path of an external data file is relative to the image, not to the working directory.
mkdir n18
(cd n18 && fresh -o data_file=d.raw d.qcow2 1M && io -c 'write -P 1 0 64k' -c 'write -P 2 128k 1k' d.qcow2 &&
	reference d.qcow2 ../n18.ref)
check "N18: the data file is found beside the image" matches n18/d.qcow2 n18.ref
mv n18/d.raw n18/elsewhere
check "N18: a missing data file is named" refused n18/d.qcow2 'd\.raw'
fresh -o data_file=n19.raw,data_file_raw=on n19.qcow2 1M
qemu-io -d unmap --image-opts driver=qcow2,file.filename=n19.qcow2,pass-discard-request=off \
	-c 'write -P 1 64k 64k' -c 'discard 64k 64k' >/dev/null
agrees "N19: a raw data file that has old data in a discarded cluster" n19.qcow2
fresh -o data_file=n19x.raw n19x.qcow2 1M
io -c 'write -P 1 0 192k' n19x.qcow2
{ fill 1 196608; head -c 851968 /dev/zero; } >n19x.ref
patch n19x.qcow2 0x40008 8000000000020000
damaged "N19: data at an offset other than its guest offset" n19x.qcow2 65536 65536 n19x.ref

# N20 to N23: feature bits.
fresh -o lazy_refcounts=on n20.qcow2 64M
io -c 'write -P 1 0 1M' -c flush -c abort n20.qcow2
[ "$(xxd -p -s 72 -l 8 n20.qcow2)" = 0000000000000001 ] || fail "N20: the image of qemu-io is not marked dirty"
{ fill 1 1048576; head -c 66060288 /dev/zero; } >n20.ref
check "N20: a dirty image" matches n20.qcow2 n20.ref
mount_image n20.qcow2 n20 -o rw
check "N20: a dirty image is repaired when it is opened for writing" [ "$(xxd -p -s 72 -l 8 n20.qcow2)" = 0000000000000000 ]
dd if=n20.ref of=n20/disk.raw bs=64k seek=40 count=3 conv=notrunc status=none
dd if=n20.ref of=n20.ref bs=64k seek=40 count=3 conv=notrunc status=none
unmount n20
check "N20: the repaired image is written" matches n20.qcow2 n20.ref
check "N20: qemu-img check finds no error" qemu-img check -q n20.qcow2
cp n5.qcow2 n20c.qcow2
patch n20c.qcow2 79 02
check "N20: an image marked corrupt" matches n20c.qcow2 n5.ref
mkdir n20c
check_not "N20: an image marked corrupt cannot be written" "$VDISKFS" -o rw n20c.qcow2 n20c
fresh n22w.qcow2 8M
qemu-img bitmap --add n22w.qcow2 b0
qemu-img bitmap --add -g 1M n22w.qcow2 longer-name
cp n22w.qcow2 n22x.qcow2
mount_image n22w.qcow2 n22w -o rw
dd if=n20.ref of=n22w/disk.raw bs=64k count=9 conv=notrunc status=none
unmount n22w
check "N22: a write keeps the bitmaps" qemu-img check -q n22w.qcow2
check_not "N22: no bitmap is left marked as in use" grep -q '"in-use"' <(qemu-img info n22w.qcow2 --output=json)
check "N22: QEMU removes the bitmaps" eval 'qemu-img bitmap --remove n22w.qcow2 b0 && qemu-img check -q n22w.qcow2'
# A damaged bitmap directory is not changed; its autoclear bit is cleared.
pos=$(grep -abo 'longer-name' n22x.qcow2 | head -n 1 | cut -d: -f1)
cp n22x.qcow2 n22z.qcow2
patch n22x.qcow2 $((pos - 24 + 17)) 07
cp n22x.qcow2 n22y.qcow2
mount_image n22x.qcow2 n22x -o rw
dd if=n20.ref of=n22x/disk.raw bs=64k count=9 conv=notrunc status=none
unmount n22x
check "N22: a damaged bitmap directory is not changed" cmp -n 30 -i $((pos - 24)) n22x.qcow2 n22y.qcow2
check "N22: the autoclear bit of a damaged bitmap directory is cleared" [ "$(xxd -p -s 88 -l 8 n22x.qcow2)" = 0000000000000000 ]
# A bitmap of an unknown type is marked as in use, and its other bytes stay.
patch n22z.qcow2 $((pos - 24 + 16)) 07
mount_image n22z.qcow2 n22z -o rw
dd if=n20.ref of=n22z/disk.raw bs=64k count=9 conv=notrunc status=none
unmount n22z
check "N22: a bitmap of an unknown type" [ "$(xxd -p -s $((pos - 12)) -l 8 n22z.qcow2)" = 000000030714000b ]
patch n22z.qcow2 $((pos - 24 + 16)) 01
check "N22: the other bitmap was kept up to date" eval \
	'[ "$(qemu-img info n22z.qcow2 --output=json | grep -c "\"in-use\"")" = 1 ]'
for o in 79 87 95; do
	cp n5.qcow2 n21-$o.qcow2
	patch n21-$o.qcow2 $o 20
done
check "N21: an unknown incompatible feature" refused n21-79.qcow2 'feature.*5'
check "N21: an unknown compatible feature" matches n21-87.qcow2 n5.ref
check "N21: an unknown autoclear feature" matches n21-95.qcow2 n5.ref
cp n21-79.qcow2 n21.qcow2
names=$(grep -abo 'dirty bit' n21.qcow2 | head -n 1 | cut -d: -f1)
patch n21.qcow2 $((names - 1)) 05
printf 'time travel' | overwrite n21.qcow2 "$names"
check "N21: the message has the name from the image's feature table" refused n21.qcow2 'time travel'
sum=$(sha256sum n21.qcow2)
check "N21: a refused image is not changed" [ "$sum" = "$(sha256sum n21.qcow2)" ]
fresh n22.qcow2 64M
qemu-img bitmap --add n22.qcow2 b0
qemu-img bitmap --add -g 1M --disable n22.qcow2 b1
io -c 'write -P 6 0 128k' n22.qcow2
agrees "N22: bitmaps" n22.qcow2
patch n22.qcow2 95 00
agrees "N22: bitmaps without the autoclear bit" n22.qcow2
cp n5.qcow2 n23.qcow2
patch n23.qcow2 95 01
check "N23: the autoclear bit without bitmaps" matches n23.qcow2 n5.ref

# N24: names of backing files.
cp n6b.qcow2 a:b.qcow2
rebase() { qemu-img rebase -u -f qcow2 -F "${3:-qcow2}" -b "$2" "$1"; }
fresh n24.qcow2 1M
rebase n24.qcow2 'json:{"driver":"raw","file":{"driver":"file","filename":"n8.raw"}}' raw
qemu-img convert -f qcow2 -O raw n24.qcow2 n24.ref
check "N24: json: that describes a file" matches n24.qcow2 n24.ref
rebase n24.qcow2 'json:{"driver":"raw","offset":512,"file":{"driver":"file","filename":"n8.raw"}}' raw
check "N24: json: that describes more than a file" refused n24.qcow2 'json:'
rebase n24.qcow2 ./a:b.qcow2
check "N24: a colon in a name" matches n24.qcow2 nines
rebase n24.qcow2 a:b.qcow2
check "N24: a prefix like a protocol's is part of a file name" matches n24.qcow2 nines
rebase n24.qcow2 file:a:b.qcow2
check "N24: file: is followed by a file name" matches n24.qcow2 nines
rebase n24.qcow2 n24.qcow2
check "N24: an image as its own backing file" refused n24.qcow2 'loop'
mkdir n24l
ln -s ../n6.qcow2 n24l/o.qcow2
check "N24: a backing file is relative to the target of a link to the overlay" matches n24l/o.qcow2 n6.ref

# N25: a raw disk in which the guest wrote a qcow2 header.
truncate -s 1M n25.raw
fresh -b n25.raw -F raw n25.qcow2
fresh n25e.qcow2 1M
io -c 'write -P 66 0 64k' n25e.qcow2
rebase n25e.qcow2 n8.raw raw
dd if=n25e.qcow2 of=n25.raw conv=notrunc status=none
check "N25: a recorded format raw is not probed" matches n25.qcow2 n25.raw
[ "$(xxd -p -s 112 -l 4 n25.qcow2)" = e2792aca ] || fail "N25: the backing format is not the first extension"
patch n25.qcow2 112 deadbeef
check "N25: an image with a probed format may not name a backing file" refused n25.qcow2 'does not record'

# N26: a safe rebase does not update the snapshots; they read through the new backing chain.
fresh -b n9b.qcow2 -F qcow2 n26.qcow2
qemu-img snapshot -c s n26.qcow2
qemu-img rebase -f qcow2 -b '' n26.qcow2
truncate -s 8M n26.ref
snapshot_is_zero() { same "$1/disk.raw" n17p.ref && same "$1/snapshots/s/disk.raw" n26.ref; }
check "N26: a snapshot after the backing file was removed" on_mount n26.qcow2 snapshot_is_zero

# N28, N29: other special cases.
fresh n28.qcow2 1M
io -c 'write -P 1 0 128k' n28.qcow2
patch n28.qcow2 0x40008 8000000000050000
agrees "N28: two L2 entries for one cluster" n28.qcow2
cp n5.qcow2 n29.qcow2
patch n29.qcow2 31 01
check "N29: a size that is not a multiple of 512" matches n29.qcow2 n5.ref
cp n5.qcow2 n29.qcow2
patch n29.qcow2 100 00000068
check "N29: a header of 104 bytes" matches n29.qcow2 n5.ref

# N31: version 2 has no zero flag.
fresh -o compat=0.10 n31.qcow2 1M
io -c 'write -P 1 0 192k' n31.qcow2
patch n31.qcow2 0x4000f 01
damaged "N31: a zero flag in version 2" n31.qcow2 65536 65536 n19x.ref

# N32: allocated data beyond the end of the file is an error and does not read as zeroes.
fresh n32.qcow2 1M
io -c 'write -P 1 0 1M' n32.qcow2
fill 1 1048576 >n32.ref
truncate -s 262144 n32.qcow2
damaged "N32: a file truncated before its L2 table" n32.qcow2 0 1048576 n32.ref
fresh n32.qcow2 1M
io -c 'write -P 1 0 1M' n32.qcow2
truncate -s $((0x50000 + 4 * 65536)) n32.qcow2
damaged "N32: a file truncated between data clusters" n32.qcow2 262144 786432 n32.ref

# W: damaged images that must not be written: each writer refuses without a change, and readers still work.
fails() { "$@" && { echo "succeeded: $*"; return 1; }; return 0; }
writers_refuse() { # IMAGE PATTERN
	local image=$1 sum
	sum=$(sha256sum <"$image")
	refused "$image" "$2" -o rw && fails "$VDISK" snapshot -c new "$image" &&
		fails "$VDISK" snapshot -a one "$image" && fails "$VDISK" snapshot -d one "$image" &&
		fails "$VDISK" resize --shrink "$image" 512k &&
		fails "$VDISK" rebase -u -b n6b.qcow2 -F qcow2 "$image" &&
		fails "$VDISK" convert -n -O qcow2 n6b.qcow2 "$image" &&
		[ "$(sha256sum <"$image")" = "$sum" ] || { echo "the image has changed"; return 1; }
}
fresh w.qcow2 1M
io -c 'write -P 1 0 512k' w.qcow2
qemu-img snapshot -c one w.qcow2
io -c 'write -P 2 64k 64k' -c 'write -P 3 768k 64k' w.qcow2
size=$(stat -c %s w.qcow2)
for cut in 1 2 5 9; do
	cp w.qcow2 cut.qcow2
	truncate -s $((size - cut * 65536 - 4096)) cut.qcow2
	check "W: truncated by $cut clusters" writers_refuse cut.qcow2 "shorter than its tables|the end of the file"
done
fresh -b w.qcow2 -F qcow2 w-over.qcow2
io -c 'write -P 4 0 64k' w-over.qcow2
cp w.qcow2 w.whole
truncate -s $((size - 65536)) w.qcow2
check_not "W: commit refuses a truncated backing file" "$VDISK" commit w-over.qcow2
cp w.whole w.qcow2
check "W: commit writes to a complete backing file" "$VDISK" commit w-over.qcow2
io -c 'write -c -P 5 896k 64k' w.whole
cp w.whole cut.qcow2
mount_image w.whole whole -o rw
check "W: a compressed cluster may end at the end of the file" dd if=nines of=whole/disk.raw bs=64k count=1 conv=notrunc,fsync status=none
unmount whole
truncate -s -1 cut.qcow2
check "W: a compressed cluster without its last byte" writers_refuse cut.qcow2 "compressed cluster"
mkdir w-data
(cd w-data && fresh -o data_file=d.raw d.qcow2 1M && io -c 'write -P 1 0 1M' d.qcow2)
truncate -s 512k w-data/d.raw
check "W: a truncated data file" refused w-data/d.qcow2 "end of the data file" -o rw

# Each line changes an entry of the first L2 table, the L1 table or the refcount table.
fresh n28.good 1M
io -c 'write -P 1 0 128k' n28.good
change() { cp n28.good changed.qcow2 && patch changed.qcow2 "$1" "$2"; } # POSITION VALUE
while read -r at value what; do
	change "$at" "$value"
	check "W: $what" writers_refuse changed.qcow2 "metadata is damaged|shorter than its tables"
done <<'END'
0x2000a 0000 a cluster in use has refcount 0
0x20008 0000 a table in use has refcount 0
0x40008 8000000000050000 two entries for one cluster
0x40010 8000000000010000 data where the refcount table is
0x40010 8000000000020000 data where a refcount block is
0x40010 8000000000030000 data where the L1 table is
0x40010 8000000000040000 data where the L2 table is
0x40010 4000000000040000 compressed data where the L2 table is
0x40010 8000000000070000 data past the end
0x2000a 0002 a flag on what has two references
0x30000 8000000000050000 a data cluster for an L2 table
END
check "W: a COW overlay on a damaged image is writable" mount_image changed.qcow2 changed -o cow
unmount changed
cp n28.good leaks.qcow2
patch leaks.qcow2 0x2000e 00020001
mount_image leaks.qcow2 leaks -o rw
check "W: an image with leaks is writable" dd if=nines of=leaks/disk.raw bs=64k count=4 conv=notrunc,fsync status=none
unmount leaks
cp n28.good flags.qcow2
patch flags.qcow2 0x40000 0000000000050000
mkdir flags
check "W: missing COPIED flags are reported" eval '"$VDISKFS" -o rw flags.qcow2 flags 2>&1 | grep -q "flags.*not up to date"'
unmount flags

# qemu-img amend sets the COPIED flag in a snapshot's tables.
fresh -b n6b.qcow2 -F qcow2 amended.qcow2
io -c 'write -z 0 64k' amended.qcow2
"$VDISK" snapshot -c foo amended.qcow2
io -c 'write -P 0x2b 0 128k' amended.qcow2
qemu-img amend -f qcow2 -o compat=0.10 amended.qcow2
"$VDISK" snapshot -a foo amended.qcow2
check "W: snapshot -a clears the COPIED flag of shared clusters" qemu-img check -q amended.qcow2
qemu-img convert -l foo -O raw amended.qcow2 amended.before
io -c 'write -P 0x77 0 64k' amended.qcow2
qemu-img convert -l foo -O raw amended.qcow2 amended.after
check "W: a write of QEMU does not change the snapshot" cmp amended.before amended.after

# Errors that qemu-img check reports are reported, and errors that it repairs are repaired.
status_is() { local want=$1; shift; "$@"; [ $? = "$want" ]; }
reports() { # IMAGE CHECK REPAIR INFO: exit statuses
	status_is "$2" "$VDISK" check -q "$1" && status_is "$4" "$VDISK" info "$1" && cp "$1" repaired.qcow2 &&
		status_is "$3" "$VDISK" check -q -r all repaired.qcow2 && qemu-img compare -q n28.good repaired.qcow2
}
snapshots_are() { [ "$("$VDISK" snapshot -l repaired.qcow2 | awk 'NR > 2 { print $2 }' | xargs)" = "$1" ]; }
cp n28.good two.qcow2
qemu-img snapshot -c one two.qcow2
qemu-img snapshot -c two two.qcow2
table=$((16#$(xxd -p -s 64 -l 8 two.qcow2)))
while read -r at value check repair names; do
	cp two.qcow2 bad.qcow2
	patch bad.qcow2 "$at" "$value"
	check "W: $value at $at of the snapshot table" reports bad.qcow2 "$check" "$repair" 0
	check "W: $value at $at: the snapshots after the repair" snapshots_are "$names"
done <<END
$((table + 36)) 000007d0 2 0 one two
$((table + 14)) ffff 2 0 one two
60 00000003 2 0 one two
64 0000000000f00000 2 0
END
cp n28.good bad.qcow2
patch bad.qcow2 40 0000000000f00000
check "W: check reports an L1 table beyond the end of the file" status_is 2 "$VDISK" check -q bad.qcow2
check "W: check does not repair it" status_is 2 "$VDISK" check -q -r all bad.qcow2
check "W: info shows the image" "$VDISK" info bad.qcow2
rm w-data/d.raw
check "W: info of an image without its data file" "$VDISK" info w-data/d.qcow2
check_not "W: map of an image without its data file" "$VDISK" map w-data/d.qcow2
