#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Backing chains: mixed formats, each image by itself, moved and left out parents, depth, loops.
. "${0%/*}/functions.sh"
. "$here/images.sh"
requires qemu-img qemu-io jq

size=6000128
some_data base.raw 6M
truncate -s $size base.raw
# layer FILE PARENT PARENT-FORMAT FORMAT [OPTIONS]
layer() {
	qemu-img create -q -f "$4" -b "$2" -F "$3" ${5:+-o "$5"} "$1" &&
		scribble "$4" "$1" $size 65536 "$(seed_of "$1")" 6 wwz
}
# layers MOUNT FILE...: chain/ shows exactly these images, each with the bytes that qemu-img reads.
layers() {
	local dir=$1 n=0 f
	shift
	[ "$(find "$dir/chain" -mindepth 1 -maxdepth 1 | wc -l)" = $# ] || { echo "not $# layers"; return 1; }
	for f; do
		reference "$f" layer.ref
		same "$dir/chain/$n-$f/disk.raw" layer.ref || return 1
		[ ! -e "$dir/chain/$n-$f/chain" ] || { echo "a chain in a layer"; return 1; }
		n=$((n + 1))
	done
	reference "$1" layer.ref
	same "$dir/disk.raw" layer.ref
}
with_mount_first() { # FILE COMMAND [ARGUMENT...]: like on_mount, with the mount as first argument
	local image=$1 dir status
	shift
	dir=$(mktemp -d "$W/m.XXXXXX")
	mount_image "$image" "$dir" || return 1
	"$1" "$dir" "${@:2}"
	status=$?
	unmount "$dir" && rmdir "$dir" && return $status
}

for format in raw vdi vmdk qcow2; do
	[ $format = raw ] || qemu-img convert -q -f raw -O $format base.raw base.$format
	layer a.qcow2 base.$format $format qcow2 compat=0.10
	layer b.qcow2 a.qcow2 qcow2 qcow2 extended_l2=on
	layer c.qcow2 b.qcow2 qcow2 qcow2 cluster_size=512
	layer d.qcow2 c.qcow2 qcow2 qcow2 cluster_size=2M
	check "5 layers on $format" with_mount_first d.qcow2 layers d.qcow2 c.qcow2 b.qcow2 a.qcow2 base.$format
done
qemu-img convert -q -f raw -O vmdk -o subformat=twoGbMaxExtentFlat base.raw flat.vmdk
layer delta.vmdk flat.vmdk vmdk vmdk
layer delta2.vmdk delta.vmdk vmdk vmdk zeroed_grain=on
layer a.qcow2 delta2.vmdk vmdk qcow2 cluster_size=4k
layer b.qcow2 a.qcow2 qcow2 qcow2
check "qcow2 on VMDK deltas" with_mount_first b.qcow2 layers b.qcow2 a.qcow2 delta2.vmdk delta.vmdk flat.vmdk

# Images of a chain may differ in size: after the end of a shorter one, an overlay reads zeroes, not its backing
# file's data.
qemu-img create -q -f qcow2 -b base.raw -F raw short.qcow2 1000448
qemu-img create -q -f qcow2 -b short.qcow2 -F qcow2 tall.qcow2 8M
qemu-io -f qcow2 -c 'write -P 4 7M 64k' tall.qcow2 >/dev/null
check "a shorter image in the middle of a chain" with_mount_first tall.qcow2 layers tall.qcow2 short.qcow2 base.raw

# The snapshots of a backing file are shown in its directory of chain/.
qemu-img create -q -f qcow2 -b base.raw -F raw mid.qcow2
qemu-io -f qcow2 -c 'write -P 5 0 64k' mid.qcow2 >/dev/null
qemu-img snapshot -c before mid.qcow2
qemu-io -f qcow2 -c 'write -P 6 0 64k' mid.qcow2 >/dev/null
layer top.qcow2 mid.qcow2 qcow2 qcow2
reference mid.qcow2 before.ref -l before
layers_snapshot() {
	same "$1/chain/1-mid.qcow2/snapshots/before/disk.raw" before.ref && [ ! -e "$1/snapshots" ]
}
check "the snapshots of a backing file" on_mount top.qcow2 layers_snapshot

# The backing file in info.json.
backing_keys() {
	local keys='[.["backing-filename"], .["backing-filename-format"], .["full-backing-filename"]]'
	[ "$(jq -c "$keys" "$1/info.json")" = "$(qemu-img info --output=json "$W/top.qcow2" | jq -c "$keys")" ] &&
		[ "$(jq -c .format "$1/chain/1-mid.qcow2/info.json")" = '"qcow2"' ] &&
		[ "$(jq -c "$keys" "$1/chain/2-base.raw/info.json")" = '[null,null,null]' ]
}
check "info.json names the backing file" on_mount top.qcow2 backing_keys

# -o nobacking: allocated data can be read; the rest is EIO and never reads as zeroes.
qemu-img create -q -f qcow2 -b base.raw -F raw alone.qcow2
qemu-io -f qcow2 -c 'write -P 8 1M 1M' -c 'write -z 3M 1M' alone.qcow2 >/dev/null
reference alone.qcow2 alone.ref
mount_with=(-o nobacking)
only_its_own() {
	local disk=$1/disk.raw off
	cmp -i 1048576 -n 1048576 "$disk" alone.ref && cmp -i 3145728 -n 1048576 "$disk" alone.ref || return 1
	for off in 0 1048064 2097152 3145216 4194304 5999616; do
		! dd if="$disk" of=/dev/null bs=512 skip=$((off / 512)) count=1 status=none || return 1
	done
	[ ! -e "$1/chain" ] && ! cp "$disk" copy
}
check "nobacking" on_mount alone.qcow2 only_its_own
mkdir away
mv base.raw away/
check "nobacking needs no backing file" on_mount alone.qcow2 only_its_own
mount_with=()

# Moved parents.
check "a missing parent is named" refused alone.qcow2 'base\.raw'
check "the hint names search=" grep -q 'search=' refused.err
check "search=" matches alone.qcow2 alone.ref -o search=away
mkdir empty
check "two search= options" matches alone.qcow2 alone.ref -o search=empty -o search="$W/away"
check "search= without the parent" refused alone.qcow2 'base\.raw' -o search=empty
mv away/base.raw .

# qcow does not record the format of its backing file: parent_format= gives it, once for each image.
qemu-img create -q -f qcow -b base.raw -F raw a.qcow
qemu-img create -q -f qcow -b a.qcow -F qcow b.qcow
qemu-img create -q -f qcow -b b.qcow -F qcow c.qcow
scribble qcow a.qcow $size 65536 "$(seed_of a)" 6 ww
scribble qcow b.qcow $size 65536 "$(seed_of b)" 6 ww
scribble qcow c.qcow $size 65536 "$(seed_of c)" 6 ww
reference b.qcow b.ref
reference c.qcow c.ref
check "a chain of three qcow images" refused b.qcow 'a.qcow: it names a backing file itself'
check "the hint names parent_format=qcow" grep -q -e 'use -o parent_format=qcow' refused.err
check "parent_format=qcow" matches b.qcow b.ref -o parent_format=qcow
check "one parent_format= applies to the first parent only" refused c.qcow 'a.qcow: it names a backing file itself' -o parent_format=qcow
check "two parent_format= options" matches c.qcow c.ref -o parent_format=qcow,parent_format=qcow
check "vdisk has the option --parent-format" "$VDISK" compare -q -F raw --parent-format=qcow b.qcow b.ref

# The maximal depth.
head -c 1048576 base.raw >1.raw
qemu-img create -q -f qcow2 -u -b 1.raw -F raw 2.qcow2 1M
for i in $(seq 3 257); do
	qemu-img create -q -f qcow2 -u -b $((i - 1)).qcow2 -F qcow2 "$i.qcow2" 1M
done
check "256 layers" matches 256.qcow2 1.raw
check "257 layers" refused 257.qcow2 '256'

# Loops.
qemu-img create -q -f qcow2 -u -b y.qcow2 -F qcow2 x.qcow2 1M
qemu-img create -q -f qcow2 -u -b x.qcow2 -F qcow2 y.qcow2 1M
check "a chain with a loop" refused x.qcow2 'loop'
qemu-img create -q -f qcow2 -u -b link.qcow2 -F qcow2 z.qcow2 1M
ln -s z.qcow2 link.qcow2
check "a chain with a loop through a symbolic link" refused z.qcow2 'loop'
