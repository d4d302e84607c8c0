#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# The tree: its entries, inode numbers, times and attributes, info.json, thousands of entries.
. "${0%/*}/functions.sh"
. "$here/images.sh"
requires qemu-img qemu-io jq sfdisk getfattr xxd

entries() { # NAMES MOUNT
	[ "$(cd "$2" && find . -mindepth 1 -path '*/export/*' -o -mindepth 1 -printf '%P\n' | sort | tr '\n' ' ')" = "$1" ] || {
		find "$2" -mindepth 1 -printf '%P\n'
		return 1
	}
}
truncate -s 8M plain.img
noise 1 5000 | dd of=plain.img conv=notrunc status=none
check "a disk without partitions" on_mount plain.img entries 'disk.raw export info.json '
cp plain.img parted.img
sfdisk -q parted.img <<-'TABLE'
	label: dos
	label-id: 0x12345678
	1: start=2048, size=2048, type=83
TABLE
check "a disk with a partition" on_mount parted.img entries \
	'disk.raw export info.json partitions partitions/1.raw partitions/by-partuuid partitions/by-partuuid/12345678-01 '
qemu-img create -q -f qcow2 -b plain.img -F raw over.qcow2
qemu-img snapshot -c s over.qcow2
qemu-img create -q -f qcow2 -b over.qcow2 -F qcow2 top.qcow2
check "a chain" on_mount top.qcow2 entries "$(printf '%s ' chain chain/0-top.qcow2 chain/0-top.qcow2/disk.raw \
	chain/0-top.qcow2/export chain/0-top.qcow2/info.json chain/1-over.qcow2 chain/1-over.qcow2/disk.raw \
	chain/1-over.qcow2/export chain/1-over.qcow2/info.json chain/1-over.qcow2/snapshots \
	chain/1-over.qcow2/snapshots/s chain/1-over.qcow2/snapshots/s/disk.raw chain/1-over.qcow2/snapshots/s/export \
	chain/1-over.qcow2/snapshots/s/info.json chain/2-plain.img chain/2-plain.img/disk.raw \
	chain/2-plain.img/export chain/2-plain.img/info.json disk.raw export info.json)"

# An image with partitions, snapshots and a backing file, for the following cases.
qemu-img convert -q -f raw -O qcow2 parted.img base.qcow2
qemu-img snapshot -c one base.qcow2
qemu-img create -q -f qcow2 -o extended_l2=on -b base.qcow2 -F qcow2 all.qcow2
for n in two three; do qemu-img snapshot -c $n all.qcow2; done
nothing_empty() { [ -z "$(find "$1" -type d -empty)" ]; }
check "no empty directories" on_mount all.qcow2 nothing_empty

# Names in an image with control characters, line ends or bidirectional controls are escaped, in the tree and in
# messages.
odd=$'\u202egnp\u2028\u2066.raw' escaped='%E2%80%AEgnp%E2%80%A8%E2%81%A6'
cp plain.img "$odd"
qemu-img create -q -f qcow2 -b "$odd" -F raw odd.qcow2
qemu-img snapshot -c "$odd" odd.qcow2
harmless() {
	[ -d "$1/snapshots/$escaped.raw/export" ] && [ -d "$1/chain/1-$escaped.raw" ] && ls -R "$1" >shown &&
		"$VDISK" info odd.qcow2 >>shown && "$VDISK" info --tree odd.qcow2 >>shown && "$VDISK" snapshot -l odd.qcow2 >>shown &&
		"$VDISK" map "$odd" >>shown && "$VDISK" map odd.qcow2 >>shown && grep -q 'gnp' shown || return 1
	mv "$odd" gone
	! "$VDISK" info --backing-chain odd.qcow2 2>>shown && mv gone "$odd" && ! grep -P '\x{202e}|\x{2028}|\x{2066}' shown
}
check "names with control characters are escaped" on_mount odd.qcow2 harmless

listing() { find "$1" -printf '%P %y %i %m %U %G %s %b %T@ %l\n' | sort; }
write_listing() { listing "$2" >"$1"; }
on_mount all.qcow2 write_listing first
on_mount all.qcow2 write_listing second
check "the same inode numbers at every mount" cmp first second
numbers_differ() {
	listing "$1" | awk '{ print $3 }' | sort | uniq -d >twice
	[ ! -s twice ] && [ "$(listing "$1" | wc -l)" -gt 30 ]
}
check "inode numbers are unique" on_mount all.qcow2 numbers_differ
modes() {
	[ -z "$(find "$1" -type f ! -perm 0644 -o -type d ! -perm 0755 -o -type l ! -perm 0777)" ] &&
		[ -z "$(find "$1" ! -uid "$(id -u)" -o ! -gid "$(id -g)")" ]
}
check "modes and owner" on_mount all.qcow2 modes
touch -d '2001-02-03 04:05:06.123456789' all.qcow2
touch -d '1999-12-31 23:59:59' base.qcow2
times() {
	[ "$(stat -c %.9Y "$1")" = 981173106.123456789 ] && [ "$(stat -c %.9Y "$1/disk.raw")" = 981173106.123456789 ] &&
		[ "$(stat -c %.9Y "$1/info.json")" = 981173106.123456789 ] &&
		[ "$(stat -c %Y "$1/partitions/1.raw")" = 981173106 ] &&
		[ "$(stat -c %Y "$1/chain/1-base.qcow2/disk.raw")" = 946684799 ] &&
		[ "$(stat -c %Y "$1/chain/1-base.qcow2")" = 946684799 ]
}
check "times are those of the image files" on_mount all.qcow2 times

attribute() { [ "$(getfattr --only-values -n "user.vdisk.$2" "$1" 2>/dev/null)" = "$3" ]; }
attributes() {
	attribute "$1/disk.raw" format qcow2 && attribute "$1/disk.raw" virtual-size 8388608 &&
		attribute "$1/disk.raw" layer 0-all.qcow2 && attribute "$1" format qcow2 &&
		attribute "$1/chain/1-base.qcow2/disk.raw" layer 1-base.qcow2 &&
		attribute "$1/snapshots/three" snapshot.name three && attribute "$1/snapshots/three" snapshot.id 2 &&
		attribute "$1/partitions/1.raw" partition.start 1048576 &&
		attribute "$1/partitions/1.raw" partition.partuuid 12345678-01 &&
		[ -z "$(getfattr "$1/info.json")" ] && [ -z "$(getfattr -m '' "$1/snapshots" 2>/dev/null)" ] &&
		! getfattr -n user.vdisk.nonsense "$1/disk.raw" 2>/dev/null &&
		[ "$(getfattr "$1/partitions/1.raw" 2>/dev/null | grep -c '^user\.vdisk\.')" -ge 6 ]
}
check "extended attributes" on_mount all.qcow2 attributes

# statfs reports the disk size as used, and nothing as free.
statfs_is_full() {
	local blocks unit free
	read -r unit blocks free < <(stat -f -c '%S %b %f' "$1")
	[ $((unit * blocks)) -ge 8388608 ] && [ $((unit * blocks)) -lt 16777216 ] && [ "$free" = 0 ] &&
		[[ $(stat -f -c %T "$1") == fuse* ]]
}
check "statfs" on_mount all.qcow2 statfs_is_full

read_only() {
	local f=$1/disk.raw out
	for cmd in "touch $1/new" "mkdir $1/new" "rm -f $f" "rmdir $1/snapshots/two" "mv $f $1/new" "truncate -s 0 $f" \
		"ln $f $1/new" "ln -s x $1/new" "chmod 600 $f" "dd if=/dev/zero of=$f count=1 conv=notrunc" \
		"setfattr -n user.x -v y $f" "mkfifo $1/new"; do
		out=$($cmd 2>&1) && { echo "$cmd succeeded"; return 1; }
		[[ $out == *'Read-only file system'* ]] || { echo "$out"; return 1; }
	done
}
check "all changes are refused" on_mount all.qcow2 read_only
lookups() {
	[ ! -e "$1/disk" ] && [ ! -e "$1/disk.raw/x" ] && [ ! -e "$1/snapshots/nine" ] && [ ! -e "$1/Disk.raw" ] &&
		[ "$(cd "$1/chain/1-base.qcow2/snapshots/one" && cd ../../../.. && pwd -P)" = "$1" ]
}
check "lookups of missing names" on_mount all.qcow2 lookups

# info.json has every key of qemu-img info with the same value, and may have more.  Exceptions: filename, which
# qemu-img prints as given; icount of snapshots; and the format of an extent that is the image itself.
same_info() { # IMAGE MOUNT
	local filter='del(.filename, .children, .snapshots[]?.icount)
			| del(.["format-specific"].data.extents[]? | select(.format == "").format)'
	# qemu-img does not open the data file, so its actual-size lacks the data.
	[ "$1" != data.qcow2 ] || filter+=' | del(.["actual-size"])'
	qemu-img info --output=json "$W/$1" | jq -S "$filter" >want.json || return 1
	jq -S . "$2/info.json" >got.json || return 1
	# Each path of qemu-img's object must have the same value in ours.
	jq -n --slurpfile want want.json --slurpfile got got.json '
		[$want[0] | paths(scalars)] | map(select(. as $p | ($want[0] | getpath($p)) != ($got[0] | getpath($p))))' >differ.json
	[ "$(jq length differ.json)" = 0 ] || { cat want.json got.json differ.json; return 1; }
	[ "$(jq -r .filename "$2/info.json")" = "$(realpath "$1")" ]
}
qemu-img create -q -f qcow2 -o compat=0.10,cluster_size=4k v2.qcow2 5M
qemu-img create -q -f qcow2 -o lazy_refcounts=on,compression_type=zstd,refcount_bits=8 v3.qcow2 5M
qemu-io -f qcow2 -c 'write 0 1M' -c flush -c abort v3.qcow2 >/dev/null 2>&1
qemu-img create -q -f qcow2 -o data_file=data.bin,data_file_raw=on data.qcow2 5M
qemu-img create -q -f vdi plain.vdi 5M
for s in monolithicSparse monolithicFlat twoGbMaxExtentSparse twoGbMaxExtentFlat streamOptimized; do
	qemu-img create -q -f vmdk -o subformat=$s $s.vmdk 3G
done
qemu-img create -q -f vmdk -b monolithicSparse.vmdk -F vmdk delta.vmdk
for image in plain.img all.qcow2 top.qcow2 over.qcow2 v2.qcow2 v3.qcow2 data.qcow2 plain.vdi delta.vmdk \
	monolithicSparse.vmdk monolithicFlat.vmdk twoGbMaxExtentSparse.vmdk twoGbMaxExtentFlat.vmdk streamOptimized.vmdk; do
	check "info.json of $image" on_mount "$image" same_info "$image"
done
no_newline_missing() {
	[ "$(tail -c 1 "$1/info.json" | xxd -p)" = 0a ] &&
		[ "$(stat -c %s "$1/info.json")" = "$(wc -c <"$1/info.json")" ]
}
check "the size of info.json is its length" on_mount all.qcow2 no_newline_missing
latin=$(printf 'caf\351.qcow2')
cp v2.qcow2 "$latin"
valid() { jq -e .filename "$1/info.json" >/dev/null; }
check "info.json of a file whose name is not UTF-8" on_mount "$latin" valid

# Thousands of snapshots of the same state; qemu-img would take long, so awk writes the snapshot table.
many=$((3000 / slowness))
cp base.qcow2 many.qcow2
one=$(be64 many.qcow2 64)
l1=$(xxd -p -s "$one" -l 8 many.qcow2) n1=$(xxd -p -s $((one + 8)) -l 4 many.qcow2)
table=$((($(stat -c %s many.qcow2) + 65535) / 65536 * 65536))
awk -v many=$many -v l1="$l1" -v n1="$n1" 'BEGIN {
	for (i = 32; i < 127; i++)
		code[sprintf("%c", i)] = sprintf("%02x", i)
	for (i = 1; i <= many; i++) {
		id = sprintf("%d", i)
		name = sprintf("snapshot number %d", i)
		text = id name
		printf "%s%s%04x%04x%08x%08x%016x%08x%08x%016x%016x", l1, n1, length(id), length(name),
			1000000000 + i, 0, 0, 0, 16, 0, 8388608
		for (j = 1; j <= length(text); j++)
			printf "%s", code[substr(text, j, 1)]
		for (j = length(text); j % 8 != 0; j++)
			printf "00"
	}
}' | fold -w 60 | xxd -r -p | dd of=many.qcow2 bs=64K seek=$((table / 65536)) conv=notrunc status=none
patch many.qcow2 60 "$(hex32 $many)$(hex64 $table)"
check "qemu-img lists $many snapshots" [ "$(qemu-img info --output=json many.qcow2 | jq '.snapshots | length')" = $many ]
thousands() {
	local dir=$1/snapshots
	[ "$(find "$dir" -mindepth 1 -maxdepth 1 -name 'snapshot number *' | sort -u | wc -l)" = $many ] &&
		[ "$(find "$dir"/* -maxdepth 0 | wc -l)" = $many ] &&
		[ "$(stat -c %F "$dir"/* | grep -c directory)" = $many ] &&
		[ "$(stat -c %Y "$dir/snapshot number $many")" = $((1000000000 + many)) ] &&
		cmp "$dir/snapshot number $((many / 2))/disk.raw" parted.img &&
		[ "$(jq '.snapshots | length' "$1/info.json")" = $many ]
}
check "$many snapshots" on_mount many.qcow2 thousands
# Reads a part of a directory, then all of it.
# shellcheck disable=SC2012
twice() { (cd "$1/snapshots" && [ "$(ls -f | head -n 100 | wc -l)" = 100 ] && [ "$(ls -f | wc -l)" = $((many + 2)) ]); }
check "a directory read partly, then completely" on_mount many.qcow2 twice
