# shellcheck shell=bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# tool-images.sh - one disk in images of all formats, listed in the file "images", and functions that compare
# vdisk with qemu-img.

some_data disk.raw 6M
qemu-img create -q -f raw empty.raw 10G

# Each line has name, format and options.
make_images() {
	local name format options
	while read -r name format options; do
		qemu-img convert -q -f raw -O "$format" ${options:+-o "$options"} disk.raw "$name" && echo "$name"
	done <<-'END'
		a.qcow2 qcow2
		b.qcow2 qcow2 compat=0.10
		c.qcow2 qcow2 cluster_size=4k,refcount_bits=64,lazy_refcounts=on
		d.qcow2 qcow2 extended_l2=on,cluster_size=128k
		e.qcow2 qcow2 preallocation=metadata
		a.vmdk vmdk
		b.vmdk vmdk subformat=twoGbMaxExtentSparse
		c.vmdk vmdk subformat=monolithicFlat
		d.vmdk vmdk subformat=streamOptimized
		a.vdi vdi
		b.vdi vdi static=on
		a.vhd vpc
		b.vhd vpc subformat=fixed,force_size=on
		a.vhdx vhdx
		a.qed qed
		a.qcow qcow
		a.hdd parallels
	END
}
make_images >images
qemu-img convert -q -c -f raw -O qcow2 disk.raw packed.qcow2
qemu-img create -q -f qcow2 -b a.vmdk -F vmdk over.qcow2
qemu-io -f qcow2 -c 'write -P 6 2M 64k' -c 'write -z 3M 128k' -c 'write -P 9 5M 4k' over.qcow2 >/dev/null
qemu-img snapshot -c first over.qcow2
qemu-io -f qcow2 -c 'write -P 7 1M 1M' over.qcow2 >/dev/null
qemu-img snapshot -c 'a name longer than its column' over.qcow2
qemu-img create -q -f qcow2 -b a.qcow2 -F qcow2 short.qcow2 1M
qemu-img create -q -f qcow2 -b short.qcow2 -F qcow2 tall.qcow2 9M
printf '%s\n' packed.qcow2 over.qcow2 tall.qcow2 disk.raw empty.raw >>images
mkdir dir
qemu-img create -q -f qcow2 -b ../a.qcow2 -F qcow2 dir/in.qcow2

# QEMU 8 and later list the files below an image as "Child node"; vdisk does not.
without_children() { awk '/^Child node / { skip = 1; next } skip && /^ / { next } { skip = 0; print }'; }
# both ARGUMENT...: runs vdisk and qemu-img, and records output and status in ours and theirs.
both() {
	"$VDISK" "$@" >ours 2>ours.err
	echo "status $?" >>ours
	qemu-img "$@" >theirs.new 2>theirs.err
	echo "status $?" >>theirs.new
	without_children <theirs.new >theirs
	# QEMU before 8.2 does not print "compressed"; QEMU 10 and later have other columns for snapshots.
	grep -q '"compressed"' theirs || sed -i -E 's/, "compressed": (true|false)//' ours
	! grep -q VM_SIZE theirs || sed -i -E 's/VM_/VM /g; s/ 0000:/ 00:/; s/ +/ /g' ours theirs
	[ -z "${mask:-}" ] || sed -i -E "$mask" ours theirs
}
same_text() {
	both "$@"
	diff ours theirs
}
same_status() {
	both "$@"
	cat ours.err
	[ "$(tail -n 1 ours)" = "$(tail -n 1 theirs)" ] && ! grep -q 'status 0' ours && [ "$(wc -l <ours.err)" -le 2 ]
}
# Every key and value of qemu-img is in our output, which may have more keys.
has_theirs() {
	both "$@"
	[ "$(tail -n 1 ours)" = "$(tail -n 1 theirs)" ] || return 1
	sed -i '$d' ours theirs
	jq -S "walk(if type == \"object\" then del(.children, .\"detached-header\") else . end) | ${keys:-.}" theirs >theirs.json && jq -S "${keys:-.}" ours >ours.json || return 1
	jq -e -n --slurpfile ours ours.json --slurpfile theirs theirs.json '
		[$theirs | paths(type != "object" and type != "array")] |
		length > 0 and all(.[]; . as $p | ($ours | getpath($p)) == ($theirs | getpath($p)))' >/dev/null &&
		return 0
	diff ours.json theirs.json
	return 1
}
