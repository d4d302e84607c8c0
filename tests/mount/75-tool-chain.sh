#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# vdisk commit and rebase beside qemu-img's: the same is done to two copies of a chain, and all of
# its images hold the same then.
. "${0%/*}/functions.sh"
requires qemu-img qemu-io jq

some_data disk.raw 3M
some_data other.raw 5M
printf 'somewhere else' | dd of=other.raw bs=64K seek=9 conv=notrunc status=none

# chain FORMAT [OPTIONS [OPTIONS OF BASE]]: ours/ and theirs/ with base, middle and top, and with other; top has data,
# zeroes over data, and parts of clusters.
chain() {
	rm -rf ours theirs
	mkdir ours
	# These cannot grow in qemu-img.
	case $1 in
	raw | qcow2) truncate -s 3M disk.raw ;;
	*) truncate -s 6M disk.raw ;;
	esac
	qemu-img convert -f raw -O "$1" ${3:+-o "$3"} disk.raw ours/base
	qemu-img convert -f raw -O qcow2 other.raw ours/other
	qemu-img create -q -f qcow2 ${2:+-o "$2"} -b base -F "$1" ours/middle 4M
	qemu-img create -q -f qcow2 ${2:+-o "$2"} -b middle -F qcow2 ours/top 6M
	qemu-io -f qcow2 -c 'write -q -P 5 1M 300k' -c 'write -q -z 128k 64k' -c 'write -q -P 6 3900k 9k' ours/middle
	qemu-io -f qcow2 -c 'write -q -P 7 1100k 5k' -c 'write -q -z 2M 256k' -c 'write -q -P 8 5M 70k' \
		-c 'write -q -P 9 0 4k' ours/top
	cp -a ours theirs
}

# both ARGUMENT...: each program on its own copy; they end alike, and say the same.
both() {
	(cd ours && "$VDISK" "$@") >out.ours 2>err.ours
	echo "status $?" >>out.ours
	(cd theirs && qemu-img "$@") >out.theirs 2>err.theirs
	echo "status $?" >>out.theirs
	cat err.ours
	diff out.ours out.theirs
}

# What an image names, whether it is sound, and its disk.
same() {
	local name
	for name in "$@"; do
		diff <(shown ours/"$name") <(shown theirs/"$name") || return 1
		[ "$name" = base ] || qemu-img check -q ours/"$name" || return 1
		qemu-img compare -q ours/"$name" theirs/"$name" || return 1
	done
}
shown() {
	qemu-img info -U --output=json "$1" | jq -S '[."virtual-size", .format, ."backing-filename", ."backing-filename-format"]'
}
# Nothing of the disk is in the image itself.
is_empty() {
	qemu-img map --output=json "$1" >map.json
	jq -e 'all(.[]; .depth > 0 or .present == false)' map.json >/dev/null || { cat map.json; return 1; }
}

# commit

while read -r format options base; do
	chain "$format" "$options" "$base"
	qemu-img convert -O raw ours/top before.raw
	what="over $format${options:+, $options}"
	check "commit $what" both commit top
	check "all hold the same" same base middle top
	check "top is empty" is_empty ours/top
	check "its disk is as before" qemu-img compare -q -f raw before.raw ours/top
	check "commit the rest" both commit middle
	check "all hold the same then" same base middle top
done <<-'END'
	raw
	qcow2 cluster_size=4k compat=0.10
	qcow2 extended_l2=on,cluster_size=32k cluster_size=1M
	raw refcount_bits=1,cluster_size=2k
END
for format in vmdk vdi vhdx; do
	chain $format ""
	qemu-img convert -O raw ours/top before.raw
	check "commit to a $format two below" both commit -b base top
	check "the base has the disk" qemu-img compare -q -f raw before.raw ours/base
done

chain qcow2 ""
cp ours/top top.before
check "commit -d" both commit -d -p -q top
check "all hold the same" same base middle top
check "top is as before" cmp top.before ours/top
chain qcow2 ""
check "commit -b by a path" both commit -r 1G -b ./base top
check "commit -b to what is not there" both commit -b nowhere top
check "commit of what has no backing file" both commit base
check "commit of nothing" both commit
chain qcow2 ""
qemu-img snapshot -c kept ours/top
qemu-img snapshot -c kept theirs/top
check "commit with snapshots" both commit top
check "all hold the same" same base middle top
check "the snapshot is whole" qemu-img check -q ours/top
mount_image ours/middle mnt -o format=qcow2
check_not "what is mounted is not written to" "$VDISK" commit ours/top
unmount mnt

# A child that knows its parent by an id that has changed then.
for format in vmdk vdi vhdx vpc; do
	case $format in vpc) parent=parent.vhd ;; *) parent=parent.$format ;; esac
	child=child-$parent
	"$VDISK" create -q -f $format $parent 6M
	"$VDISK" create -q -f $format -b $parent -F $format "$child"
	"$VDISK" convert -n -O $format other.raw "$child"
	check "commit of a $format" "$VDISK" commit -q "$child"
	"$VDISK" convert $parent out.raw
	check "its parent has the disk" cmp -n 5242880 other.raw out.raw
	check "the child is the same, too" "$VDISK" compare -q --ignore-parent-id "$child" $parent
	check "the parent is sound" "$VDISK" check -q $parent
done

# rebase

while read -r what; do
	chain qcow2 ""
	qemu-img convert -O raw ours/top before.raw
	# shellcheck disable=SC2086
	check "rebase $what" eval both rebase $what top
	check "all hold the same" same base middle top other
	check "its disk is as before" qemu-img compare -q -f raw before.raw ours/top
done <<-'END'
	-b other -F qcow2
	-b base -F qcow2 -q
	-b ''
	-q -b middle -F qcow2
END
chain qcow2 "cluster_size=512"
check "rebase with clusters of 512 bytes" both rebase -b base -F qcow2 top
check "all hold the same" same base middle top other
long=$(printf 'x%.0s' $(seq 200))
for compat in 0.10 1.1; do
	chain qcow2 compat=$compat
	check "rebase -u, compat $compat" both rebase -u -b base -F qcow2 top
	check "all hold the same" same base middle top
	check "rebase -u to a long name" both rebase -u -b "$long" -F raw top
	check "it has that name" diff <(shown ours/top) <(shown theirs/top)
	check "rebase -u to none" both rebase -u top
	check "all hold the same once more" same top
	check "rebase -u to another format" both rebase -u -b "$PWD/other.raw" -F raw top
	check "all hold the same at last" same top
done
check "rebase to what is not there" both rebase -b nowhere -F qcow2 top
check "rebase to an unknown format" both rebase -b base -F frob top
check "rebase without a format" both rebase -b base top
check "rebase without a name" both rebase top
check "nothing has changed" same top
qemu-img create -q -f vmdk small.vmdk 1M
qemu-img create -q -f vmdk -b small.vmdk -F vmdk child.vmdk
check_not "a vmdk keeps its parent" "$VDISK" rebase -u -b other.raw -F raw child.vmdk
