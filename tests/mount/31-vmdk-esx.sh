#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# VMDKs that qemu-img reads but cannot create, and others reported by users: ESX deltas, parents in various
# places, truncated streams.  An image that qemu-img reads must read the same here.
. "${0%/*}/functions.sh"
. "$here/images.sh"
requires qemu-img xxd

make_image() { rm -rf made && mkdir made && "$MKIMAGE" "$1" made; }
layers() { find "$1/chain" -mindepth 1 -maxdepth 1 | wc -l; }
has_layers() { [ "$(layers "$2")" = "$1" ]; }

# Each image is compared three times: qemu-img's reading, ours, and the contents that mkimage intended.
for name in vmdk-cowd vmdk-cowd-grain-8 vmdk-cowd-grain-3 vmdk-cowd-gaps vmdk-cowd-on-sparse \
	vmdk-sesparse vmdk-sesparse-gaps vmdk-sesparse-big-index vmdk-sesparse-on-sparse; do
	make_image $name
	check "$name: equal to qemu-img's reading" agrees_with made/$name.vmdk made/qemu.ref
	check "$name: qemu-img's reading is equal to mkimage's contents" cmp made/qemu.ref made/$name.raw
	check "$name: the chain has a child and its parent" on_mount made/$name.vmdk has_layers 2
	UNIT=512 check "$name: read by sectors" matches made/$name.vmdk made/$name.raw
done
make_image vmdk-esx-chain
check "a chain of four images of three kinds" on_mount made/vmdk-esx-chain.vmdk has_layers 4

# A parent in another directory, and one that was changed.
make_image vmdk-cowd
mkdir away
mv made/vmdk-cowd-base* away
check "a missing parent" refused made/vmdk-cowd.vmdk 'No such file'
check "a parent found by search=" matches made/vmdk-cowd.vmdk made/vmdk-cowd.raw -o search="$W/away"
sed -i 's/^CID=0000cafe/CID=0000caff/' away/vmdk-cowd-base.vmdk
check "a parent that was changed" refused made/vmdk-cowd.vmdk 'was changed' -o search="$W/away"
check "a parent that was changed, with ignore_parent_id" matches made/vmdk-cowd.vmdk made/vmdk-cowd.raw -o search="$W/away" -o ignore_parent_id

# VirtualBox's UUIDs must match as well.
make_image vmdk-sesparse
child=made/vmdk-sesparse.vmdk base=made/vmdk-sesparse-base.vmdk
id=871a6044-c8ca-48ed-b7aa-e6fc49da3db4
echo "ddb.uuid.parent=\"$id\"" >>$child
check "a parent with another UUID" refused $child "made on the disk $id"
echo "ddb.uuid.image=\"$id\"" >>$base
check "a parent with the recorded UUID" matches $child made/vmdk-sesparse.raw

# A child that identifies its parent only by UUID; the parent has another format and is in the parent directory.
uuid_at() { # FILE POSITION: prints a UUID as text
	local h
	h=$(xxd -p -s "$2" -l 16 "$1")
	echo "${h:6:2}${h:4:2}${h:2:2}${h:0:2}-${h:10:2}${h:8:2}-${h:14:2}${h:12:2}-${h:16:4}-${h:20:12}"
}
mkdir -p machine/Snapshots
head -c 1000448 <(seq 1000000) >src
qemu-img convert -q -f raw -O vdi src machine/base.vdi
{
	printf '# Disk DescriptorFile\nversion=1\nCID=1\nparentCID=ffffffff\ncreateType="monolithicSparse"\n'
	printf 'RW 1 ZERO\nRW 1953 SPARSE "grains.vmdk"\nddb.uuid.parent="%s"\nddb.uuid.parentmodification="%s"\n' \
		"$(uuid_at machine/base.vdi 392)" "$(uuid_at machine/base.vdi 408)"
} >machine/Snapshots/child.vmdk
qemu-img create -q -f vmdk machine/Snapshots/grains.vmdk 999936
{
	head -c 512 /dev/zero
	tail -c +513 src
} >child.ref
check "a child of a VDI, found by its UUID" matches machine/Snapshots/child.vmdk child.ref
patch machine/base.vdi 408 00000001
check "a parent whose modification UUID has changed" refused machine/Snapshots/child.vmdk 'was changed'
patch machine/base.vdi 392 00000001
check "a parent whose UUID has changed" refused machine/Snapshots/child.vmdk 'not found'

# Images without a descriptor.
make_image vmdk-cowd-child-of-disk
check "a COWD header with the name of its parent" on_mount made/vmdk-cowd-child-of-disk.vmdk has_layers 2
make_image vmdk-cowd-delta
cp made/vmdk-cowd-delta.vmdk alone.vmdk
mount_image alone.vmdk mnt 2>warnings
check "an extent that names none is shown with a warning" grep -q 'names no parent' warnings
unmount mnt

# Streams truncated after their data: with -o format=vmdk they are recovered, with a warning.
make_image vmdk-stream-back
image=made/vmdk-stream-back.vmdk
size=$(stat -c %s $image)
for lost in 1024 1536 2048; do
	head -c $((size - lost)) $image >cut.vmdk
	check "a stream without its last $lost bytes" refused cut.vmdk 'no footer'
	check "a truncated stream with format=vmdk" matches cut.vmdk made/vmdk-stream-back.raw -o format=vmdk
done
refused cut.vmdk 'format=vmdk shows the part that is left' && pass "a truncated stream: the hint names format=vmdk"
mount_image cut.vmdk mnt -o format=vmdk 2>warnings
check "a truncated stream with format=vmdk: a warning" grep -q 'warning: .*lost its directory' warnings
unmount mnt
# Truncated in the last grain: the grains before it are right, the last is EIO.
table=$((size - 512 * (1 + 1 + 1 + 1 + 1 + 4 + 1)))
head -c $((table - 512)) $image >cut.vmdk
last_is_lost() {
	cmp -n 327680 "$1/disk.raw" made/vmdk-stream-back.raw && ! tail -c 1 "$1/disk.raw" >/dev/null
}
mount_with=(-o format=vmdk)
check "a stream truncated in its last grain" on_mount cut.vmdk last_is_lost
