#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# VMDKs that qemu-img creates, compared with the source; deltas; special cases that readers often get wrong.
. "${0%/*}/functions.sh"
. "$here/images.sh"
requires qemu-img qemu-io xxd

subformats='monolithicSparse monolithicFlat twoGbMaxExtentSparse twoGbMaxExtentFlat streamOptimized'
fresh() { rm -f image*.vmdk && qemu-img create -q -f vmdk "$@"; }
le64() { le32 "$1" "$2"; } # all values here fit in 32 bits

# Sizes: one sector; one sector less than a grain, one grain, one sector more; an incomplete last grain; more than
# one grain table.
some_data whole 34M
head -c 65536 whole >end
for size in 512 65024 65536 66048 5245440 33555456; do
	head -c $size whole >src
	tail -c 512 end | dd of=src bs=512 seek=$((size / 512 - 1)) conv=notrunc status=none
	for s in $subformats; do
		rm -f image*.vmdk
		qemu-img convert -q -f raw -O vmdk -o subformat="$s" src image.vmdk
		check "$s of $size bytes" matches image.vmdk src
	done
done
head -c 5245440 whole >src
rm -f image*.vmdk
qemu-img convert -q -f raw -O vmdk -o zeroed_grain=on src image.vmdk
check "zeroed_grain=on" matches image.vmdk src
for o in adapter_type=lsilogic compat6 hwversion=7; do
	rm -f image*.vmdk
	qemu-img convert -q -f raw -O vmdk -o $o src image.vmdk
	check "$o" matches image.vmdk src
done

# Incompressible data makes compressed grains that are longer than a grain.
seq 2000000 | gzip -n | head -c 1050112 >random
rm -f image*.vmdk
qemu-img convert -q -f raw -O vmdk -o subformat=streamOptimized random image.vmdk
check "streamOptimized with incompressible data" matches image.vmdk random

for s in monolithicSparse twoGbMaxExtentSparse monolithicFlat twoGbMaxExtentFlat; do
	zero=
	case $s in *Sparse) zero=,zeroed_grain=on ;; esac
	for o in $s $s$zero; do
		seed=$(seed_of "$o")
		fresh -o "subformat=$o" image.vmdk 6000128
		scribble vmdk image.vmdk 6000128 65536 $seed 40 wwz
		agrees "scribbled (seed $seed): $o" image.vmdk
	done
done

# Split disks have extents of 2 GiB; data crosses their boundaries and fills the last sector.
for s in twoGbMaxExtentSparse twoGbMaxExtentFlat; do
	fresh -o subformat=$s image.vmdk 5G
	noise 3 300288 >noise.bin
	for at in 2147383296 4294867456 5368408832; do
		qemu-io -f vmdk -c "write -s noise.bin $at 300288" image.vmdk >/dev/null
	done
	qemu-io -f vmdk -c 'write -P 7 5368708608 512' image.vmdk >/dev/null
	UNIT=2147483648 agrees "$s of 5 GiB" image.vmdk
	check "$s has 3 extents" [ "$(find . -name 'image-[sf]00*.vmdk' | wc -l)" = 3 ]
done

# The extent name in an embedded descriptor is ignored; a descriptor file may be renamed.
fresh image.vmdk 1M
qemu-io -f vmdk -c 'write -P 17 0 64k' image.vmdk >/dev/null
cp image.vmdk image-copy.vmdk
reference image-copy.vmdk copy.ref
qemu-io -f vmdk -c 'write -P 34 0 64k' image.vmdk >/dev/null
check "a copy reads its own extent, not the original" matches image-copy.vmdk copy.ref
rm image.vmdk
check "a renamed image" matches image-copy.vmdk copy.ref
fresh -o subformat=monolithicFlat image.vmdk 1M
qemu-io -f vmdk -c 'write -P 18 512k 64k' image.vmdk >/dev/null
mv image.vmdk image-moved.vmdk
agrees "a renamed descriptor" image-moved.vmdk
mv image-flat.vmdk gone
check "a missing extent" refused image-moved.vmdk 'image-flat\.vmdk'

# Deltas.
head -c 3000320 whole >src
for s in $subformats; do
	rm -f base*.vmdk
	qemu-img convert -q -f raw -O vmdk -o subformat="$s" src base.vmdk
	for c in monolithicSparse twoGbMaxExtentSparse; do
		for size in '' 1048576 5245440; do
			seed=$(seed_of "$s" "$c" "$size")
			# shellcheck disable=SC2086
			fresh -b base.vmdk -F vmdk -o subformat=$c,zeroed_grain=on image.vmdk $size || continue
			scribble vmdk image.vmdk "${size:-3000320}" 65536 $seed 8 wwz
			agrees "$c of ${size:-the same size} on $s (seed $seed)" image.vmdk
		done
	done
done
rm -f base*.vmdk
qemu-img convert -q -f raw -O vmdk src base.vmdk
fresh -b base.vmdk -F vmdk image.vmdk
mkdir moved
mv image.vmdk moved/
cp base.vmdk moved/
sed -i 's/parentFileNameHint="base/parentFileNameHint="C:\\vm\\base/;t' moved/image.vmdk
reference base.vmdk moved.ref
check "a parent with a Windows path" matches moved/image.vmdk moved.ref
fresh -b base.vmdk -F vmdk image.vmdk
qemu-io -f vmdk -c 'write -P 9 0 512' base.vmdk >/dev/null
reference base.vmdk changed.ref
check "a parent that was changed" refused image.vmdk 'CID|changed'
check "a parent that was changed, with ignore_parent_id" matches image.vmdk changed.ref -o ignore_parent_id
mv base.vmdk gone
check "a missing parent" refused image.vmdk 'base\.vmdk'

# A grain table entry of 1 is a zero grain with or without the header's flag; redundant tables replace damaged ones.
fresh -o zeroed_grain=on image.vmdk 1M
qemu-io -f vmdk -c 'write -P 1 0 256k' -c 'write -z 64k 64k' image.vmdk >/dev/null
reference image.vmdk zero.ref
patch image.vmdk 8 03000000
patch image.vmdk 4 01000000
check "a zero grain in an image without the flag" matches image.vmdk zero.ref
patch image.vmdk 4 03000000
check "version 3" matches image.vmdk zero.ref
fresh image.vmdk 1M
qemu-io -f vmdk -c 'write -P 1 0 256k' image.vmdk >/dev/null
reference image.vmdk tables.ref
directory=$(le64 image.vmdk 56)
table=$(le32 image.vmdk $((directory * 512)))
cp image.vmdk image-t.vmdk
patch image-t.vmdk $((table * 512)) ffffffffffffffffffffffffffffffff
check "a damaged grain table" matches image-t.vmdk tables.ref
cp image.vmdk image-d.vmdk
patch image-d.vmdk $((directory * 512)) ffffff7f
check "a damaged grain directory entry" matches image-d.vmdk tables.ref
cp image-t.vmdk image-u.vmdk
spare=$(le32 image.vmdk $(($(le64 image.vmdk 48) * 512)))
patch image-u.vmdk $((spare * 512)) ffffffff
unreadable_start() {
	! head -c 1 "$1/disk.raw" >/dev/null && cmp -n 983040 -i 65536 "$1/disk.raw" tables.ref
}
check "a grain table entry damaged in both tables" on_mount image-u.vmdk unreadable_start
printf '\r' | dd of=image.vmdk bs=1 seek=73 conv=notrunc status=none
check "an image damaged by a text mode transfer" refused image.vmdk 'newline|text|transfer|line end'

# The disk size is that of the extent line; the header's capacity may be rounded up.
head -c 5245440 whole >src
rm -f image*.vmdk
qemu-img convert -q -f raw -O vmdk src image.vmdk
patch image.vmdk 12 8028000000000000
check "a header with a rounded capacity" matches image.vmdk src

# Descriptors of other programs and hand-written ones.
head -c 300032 whole >piece
descriptor() { # standard input: extent lines
	printf '#Disk Descriptor File\r\n\r\n version = 1\r\nencoding="UTF-8"\r\nCID=1234abc\r\nParentCID=FFFFFFFF\r\n'
	printf 'CREATETYPE = "custom"\r\n\r\n# Extent description\r\n'
	sed 's/$/\r/'
	printf '\r\n# The Disk Data Base\r\n#DDB\r\n\r\nddb.adapterType = "ide"\r\n'
}
mkdir 'my pieces'
cp piece 'my pieces/a piece.raw'
descriptor >image.vmdk <<-'LIST'
	RW 100 FLAT "my pieces/a piece.raw" 0
	rw  7 Zero 
	RDONLY 50 FLAT "my pieces/a piece.raw" 200
	NOACCESS 13 FLAT "my pieces/a piece.raw" 0
	RW	90	VMFS	"my pieces/a piece.raw"
	RW 1 FLAT "my pieces/a piece.raw" 585 partitionUUID whatever
LIST
{
	head -c 51200 piece
	head -c 3584 /dev/zero
	tail -c +102401 piece | head -c 25600
	head -c 6656 /dev/zero
	head -c 46080 piece
	tail -c 512 piece
} >custom.ref
UNIT=512 check "extents of all types" matches image.vmdk custom.ref
descriptor >image.vmdk <<<'RW 587 FLAT "my pieces/a piece.raw" 0'
check "an extent file shorter than its line" refused image.vmdk 'a piece\.raw'
descriptor >image.vmdk <<<'RW 100 FLAT "../../../../../../../../../../etc/passwd" 0'
check "an extent outside of the directory" refused image.vmdk 'outside|etc/passwd'
for kind in VMFSRDM VMFSRAW NONSENSE; do
	descriptor >image.vmdk <<<"RW 100 $kind \"my pieces/a piece.raw\""
	check "$kind is refused and named" refused image.vmdk "$kind"
done
for kind in SPARSE VMFSSPARSE SESPARSE; do
	descriptor >image.vmdk <<<"RW 100 $kind \"my pieces/a piece.raw\""
	check "$kind with a raw file" refused image.vmdk 'not a sparse extent'
done
descriptor >image.vmdk </dev/null
check "no extents" refused image.vmdk 'extent'
