#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# vdisk commit and rebase compared with qemu-img: both run on a copy of the same chain, and all images must be equal
# afterwards.
. "${0%/*}/functions.sh"
requires qemu-img qemu-io jq

some_data disk.raw 3M
some_data other.raw 5M
printf 'somewhere else' | dd of=other.raw bs=64K seek=9 conv=notrunc status=none

# chain FORMAT [OPTIONS [OPTIONS OF BASE]]: creates ours/ and theirs/ with the images base, middle, top and other.  top
# has data, zeroes over data, and partly written clusters.
chain() {
	rm -rf ours theirs
	mkdir ours
	# qemu-img can grow only raw and qcow2 on commit, so a base of another format has the full size.
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

# both ARGUMENT...: each program runs on its copy; status and output are equal.
both() {
	(cd ours && "$VDISK" "$@") >out.ours 2>err.ours
	echo "status $?" >>out.ours
	(cd theirs && qemu-img "$@") >out.theirs 2>err.theirs
	echo "status $?" >>out.theirs
	cat err.ours
	diff out.ours out.theirs
}

# same NAME...: the images have the same backing files and disks, and no errors.
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
# is_empty IMAGE: nothing is allocated in the image itself.
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
	check "commit $what: all images are equal" same base middle top
	check "commit $what: top is empty" is_empty ours/top
	check "commit $what: the disk of top has not changed" qemu-img compare -q -f raw before.raw ours/top
	check "commit of middle, $what" both commit middle
	check "commit of middle, $what: all images are equal" same base middle top
done <<-'END'
	raw
	qcow2 cluster_size=4k compat=0.10
	qcow2 extended_l2=on,cluster_size=32k cluster_size=1M
	raw refcount_bits=1,cluster_size=2k
END
for format in vmdk vdi vhdx; do
	chain $format ""
	qemu-img convert -O raw ours/top before.raw
	check "commit -b over two images to $format" both commit -b base top
	check "commit -b to $format: the base has the disk" qemu-img compare -q -f raw before.raw ours/base
done

chain qcow2 ""
cp ours/top top.before
check "commit -d" both commit -d -p -q top
check "commit -d: all images are equal" same base middle top
check "commit -d: top has not changed" cmp top.before ours/top
chain qcow2 ""
check "commit -b by a path" both commit -r 1G -b ./base top
check "commit -b to an image that is not in the chain" both commit -b nowhere top
check "commit of an image without a backing file" both commit base
check "commit without an image" both commit
chain qcow2 ""
qemu-img snapshot -c kept ours/top
qemu-img snapshot -c kept theirs/top
check "commit with snapshots" both commit top
check "commit with snapshots: all images are equal" same base middle top
check "commit with snapshots: no errors" qemu-img check -q ours/top
mount_image ours/middle mnt -o format=qcow2
check_not "commit to a mounted image" "$VDISK" commit ours/top
unmount mnt

# A commit changes the ID of the parent; the child records the new one.
for format in vmdk vdi vhdx vpc; do
	case $format in vpc) parent=parent.vhd ;; *) parent=parent.$format ;; esac
	child=child-$parent
	"$VDISK" create -q -f $format $parent 6M
	"$VDISK" create -q -f $format -b $parent -F $format "$child"
	"$VDISK" convert -n -O $format other.raw "$child"
	check "commit of a $format" "$VDISK" commit -q "$child"
	"$VDISK" convert $parent out.raw
	check "commit of a $format: the parent has the disk" cmp -n 5242880 other.raw out.raw
	check "commit of a $format: the child has the same disk" "$VDISK" compare -q --ignore-parent-id "$child" $parent
	check "commit of a $format: the parent has no errors" "$VDISK" check -q $parent
done

# rebase

while read -r what; do
	chain qcow2 ""
	qemu-img convert -O raw ours/top before.raw
	# shellcheck disable=SC2086
	check "rebase $what" eval both rebase $what top
	check "rebase $what: all images are equal" same base middle top other
	check "rebase $what: the disk has not changed" qemu-img compare -q -f raw before.raw ours/top
done <<-'END'
	-b other -F qcow2
	-b base -F qcow2 -q
	-b ''
	-q -b middle -F qcow2
END
chain qcow2 "cluster_size=512"
check "rebase with clusters of 512 bytes" both rebase -b base -F qcow2 top
check "rebase with clusters of 512 bytes: all images are equal" same base middle top other
long=$(printf 'x%.0s' $(seq 200))
for compat in 0.10 1.1; do
	chain qcow2 compat=$compat
	check "rebase -u, compat $compat" both rebase -u -b base -F qcow2 top
	check "rebase -u, compat $compat: all images are equal" same base middle top
	check "rebase -u to a long name, compat $compat" both rebase -u -b "$long" -F raw top
	check "the long name is recorded, compat $compat" diff <(shown ours/top) <(shown theirs/top)
	check "rebase -u to no backing file, compat $compat" both rebase -u top
	check "rebase -u to no backing file, compat $compat: top is equal" same top
	check "rebase -u to another format, compat $compat" both rebase -u -b "$PWD/other.raw" -F raw top
	check "rebase -u to another format, compat $compat: top is equal" same top
done
check "rebase to a missing file" both rebase -b nowhere -F qcow2 top
check "rebase to an unknown format" both rebase -b base -F frob top
check "rebase without a format" both rebase -b base top
check "rebase without a name" both rebase top
check "the refused rebases have not changed top" same top
qemu-img create -q -f vmdk small.vmdk 1M
qemu-img create -q -f vmdk -b small.vmdk -F vmdk child.vmdk
check_not "rebase of a VMDK is refused" "$VDISK" rebase -u -b other.raw -F raw child.vmdk
