#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# vdisk amend compared with qemu-img amend on copies of the same images: statuses, words, options and disks.
. "${0%/*}/functions.sh"
requires qemu-img qemu-io jq

mkdir other
# each ARGUMENT...: runs the verb on both.
each() {
	local ours theirs
	"$VDISK" amend "$@" >out.ours 2>&1
	ours=$?
	(cd other && exec qemu-img amend "$@") >out.theirs 2>&1
	theirs=$?
	sed -i '/^hint: /d; /^Try /d; s/^vdisk: //' out.ours
	sed -i '/^Try /d; /^You can use/d; s/^qemu-img: //' out.theirs
	[ $ours = $theirs ] && diff out.ours out.theirs
}
options_of() { qemu-img info --output=json "$1" | jq -cS '[."virtual-size", ."format-specific".data]'; }
# same IMAGE: both have the same options and disks, and QEMU finds no error.
same() {
	diff <(options_of "$1") <(options_of other/"$1") && qemu-img check -q "$1" && qemu-img compare -q "$1" other/"$1"
}
# snapshots_are IMAGE: the snapshots are those of the reference.
snapshots_are() {
	local i
	for i in one two; do
		qemu-img convert -l $i -O raw "$1" now.raw
		cmp now.raw $i.ref || return 1
	done
}

# Large clusters over a backing file, small ones without.
for kind in cluster_size=64k:ba.qcow2 cluster_size=512:a.qcow2; do
	options=${kind%:*} image=${kind#*:}
	rm -f ./*.qcow2 other/*.qcow2
	for i in . other; do
		(
			cd $i || exit
			qemu-img create -q -f raw base.raw 4M
			qemu-io -f raw -c 'write -q -P 9 0 4M' base.raw
			backing=()
			[ $image = a.qcow2 ] || backing=(-b base.raw -F raw)
			qemu-img create -q -f qcow2 -o "$options" "${backing[@]}" "$image" 4M
			qemu-io -f qcow2 -c 'write -q -P 1 0 100k' -c 'write -q -z 200k 200k' -c 'write -q -P 2 1M 64k' "$image"
			qemu-img snapshot -c one "$image"
			qemu-io -f qcow2 -c 'write -q -z 1M 64k' -c 'write -q -P 3 2M 5k' -c 'discard -q 0 64k' "$image"
			qemu-img snapshot -c two "$image"
			qemu-io -f qcow2 -c 'write -q -P 4 2M 64k' "$image"
		)
	done
	for i in one two; do qemu-img convert -l $i -O raw $image $i.ref; done
	for words in compat=0.10 compat=0.10 compat=1.1 lazy_refcounts=on refcount_bits=64 refcount_bits=2 lazy_refcounts=off refcount_bits=1 \
		compat=0.10 refcount_bits=16,compat=0.10 lazy_refcounts=on refcount_bits=8 compat=v3,refcount_bits=32 backing_file=else; do
		check "$options, $image: $words" each -o $words $image
		check "$options, $image: the image after $words" same $image
	done
	check "$options, $image: the snapshots" snapshots_are $image
	mount_image $image m -o rw
	dd if=/dev/urandom of=m/disk.raw bs=64k count=3 seek=3 conv=notrunc status=none
	unmount m
	check "$options, $image: it is written to afterwards" eval 'qemu-img check -q $image && snapshots_are $image'
	check "$options, $image: an applied snapshot" eval '"$VDISK" snapshot -a one $image && qemu-img check -q $image && snapshots_are $image'
done

# Options that are refused.
for i in . other; do
	(
		cd $i || exit
		qemu-img create -q -f qcow2 -o data_file=raw,data_file_raw=on data.qcow2 1M
		qemu-img create -q -f qcow2 -o extended_l2=on extended.qcow2 1M
		qemu-img create -q -f raw plain.raw 1M
		qemu-img create -q -f qcow2 -o compat=0.10 old.qcow2 1M
		qemu-img create -q -f qcow2 sized.qcow2 1M
		qemu-img snapshot -c one sized.qcow2
		qemu-img resize -q sized.qcow2 2M
	)
done
while read -r words; do
	# shellcheck disable=SC2086
	check "amend $words" each $words
done <<'WORDS'
old.qcow2
-o compat=2 old.qcow2
-o cluster_size=4k old.qcow2
-o preallocation=full old.qcow2
-o encryption=on old.qcow2
-o compression_type=zstd old.qcow2
-o bogus=1 old.qcow2
-o refcount_bits=x old.qcow2
-o refcount_bits=65 old.qcow2
-o lazy_refcounts=x old.qcow2
-o lazy_refcounts=on,compat=0.10 sized.qcow2
-o data_file=x old.qcow2
-o data_file_raw=on old.qcow2
-o compat=0.10 data.qcow2
-o data_file_raw=off data.qcow2
-o data_file_raw=on data.qcow2
-o compat=0.10 extended.qcow2
-o compat=0.10 sized.qcow2
-f raw -o size=2M plain.raw
--force -o size=3M sized.qcow2
-o size=4M,compat=1.1 old.qcow2
-q -p -o compat=0.10 old.qcow2
WORDS
for i in old sized data extended; do check "$i.qcow2 after that" same $i.qcow2; done
qemu-img bitmap --add sized.qcow2 noted
check_not "an image with bitmaps does not become version 2" "$VDISK" amend -o compat=0.10 sized.qcow2
check "-o help" eval '"$VDISK" amend -o help -f qcow2 >help && diff help <(qemu-img amend -o help -f qcow2 | grep -v encrypt)'
check_not "-o help of another format" "$VDISK" amend -o help -f raw
