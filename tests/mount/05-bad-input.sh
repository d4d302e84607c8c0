#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Files that are not images, and truncated or damaged images: one error message, status 1, no mount, no change.
. "${0%/*}/functions.sh"
. "$here/hostile.sh"
requires qemu-img jq xxd

# Paths that do not lead to an image.

mkdir empty-dir mnt
: >empty.img
: >empty.raw
seq 1 5000 >letter.txt
seq 1 5000 >letter.img
head -c 100000 /dev/zero >zeroes
mkfifo fifo.img
ln -s nowhere dangling.img
ln -s loop.img loop.img

check "missing file" refused missing.img "^vdiskfs: missing.img: No such file"
check "missing directory" refused no/such.img "^vdiskfs: no/such.img: No such file"
check "empty name" refused "" "^vdiskfs: "
check "empty file" refused_within empty.img "empty.img.*empty"
check "empty file called raw" refused_within empty.raw "empty.raw.*empty"
check "text file" refused_within letter.txt "letter.txt: not a disk image"
check "text file called img" refused_within letter.img "letter.img: not a disk image"
check "zeroes without a name" refused_within zeroes "zeroes: not a disk image"
check "the hint names -o format=raw" grep -q -e "-o format=raw" within.err
no_hint() { refused_within "$1" "$2" && ! grep '^hint' within.err; }
check "an empty file is refused without a hint" no_hint empty.img "empty.img: the file is empty"
fifo_refused() {
	mkdir -p refused-dir
	within timeout "$patience" "$VDISKFS" fifo.img refused-dir 2>fifo.err
	was_refused $? fifo.err "fifo.img: .*FIFO"
}
check "a FIFO is refused without waiting for a writer" fifo_refused
check "character device" refused /dev/zero "/dev/zero: .*character device"
check "dangling link" refused dangling.img "dangling.img: No such file"
check "link to itself" refused loop.img "loop.img: .*symbolic links"
check "unknown format" refused_within zeroes "format \"qcow9\" is not known" -o format=qcow9
check "a text file as qcow2" refused_within letter.img "letter.img: .*qcow2" -o format=qcow2
check "a text file as vdi" refused_within letter.img "letter.img: .*VDI" -o format=vdi
check "a text file as vmdk" refused_within letter.img "letter.img: " -o format=vmdk

# An image opened as another format: the hint names the format that the probe finds.
looks_like() { # FILE LOOK FORMAT: vdiskfs and vdisk print the hint with their own option
	refused_within "$1" "$1: " -o "format=$3" || return 1
	grep -qx "hint: it looks like $2: leave out -o format or use -o format=$2" within.err || return 1
	! "$VDISK" info -f "$3" "$1" 2>within.err &&
		grep -qx "hint: it looks like $2: leave out -f or use -f $2" within.err
}
for f in qcow2 vmdk vdi vpc vhdx qed parallels; do
	qemu-img create -q -f $f look.$f 4M
	for as in qcow2 vmdk vdi vpc vhdx qed qcow parallels bochs luks; do
		[ $as = $f ] || check "$f opened as $as" looks_like look.$f $f $as
	done
done
second_image() {
	! "$VDISK" compare look.vdi -F vdi look.qcow2 2>within.err &&
		grep -qx 'hint: it looks like qcow2: leave out -F or use -F qcow2' within.err
}
check "the hint for the second image of compare names -F" second_image
wrong_record() {
	qemu-img create -q -u -f qcow2 -b look.qed -F vmdk wrong.qcow2 4M
	refused_within wrong.qcow2 "look.qed: " || return 1
	grep -qx 'hint: it looks like qed; if it is, record it: vdisk rebase -u -b look.qed -F qed wrong.qcow2' within.err
}
check "a backing file recorded with a wrong format" wrong_record

unreadable() {
	chmod 711 "$W"
	install -m 755 "$VDISKFS" vdiskfs-copy
	install -d -o nobody nobody-dir
	install -m 600 zeroes secret.img
	setpriv --reuid=nobody --regid=nogroup --clear-groups \
		./vdiskfs-copy -o format=raw secret.img nobody-dir 2>unreadable.err
	was_refused $? unreadable.err "secret.img: Permission denied"
}
if is_root; then
	check "file that the user may not read" unreadable
else
	skip "file that the user may not read: needs root"
fi

# Files of other programs are recognised by their first bytes and named in the message.
foreign() {
	head -c 65536 /dev/zero >"$1"
	poke "$1" "$2" "$3"
	check "foreign: $4" refused_within "$1" "$4"
}
foreign a.dmg 65024 "$(hex koly)" "an Apple disk image"
foreign b.dmg 0 "$(hex encrcdsa)" "encrypted Apple"
foreign a.e01 0 455646090d0aff00 "EnCase"
foreign a.aff 0 "$(hex AFF10)0d0a00" "AFF"
foreign a.cloop 0 "$(hex '#!/bin/sh')0a$(hex '#V2.0 Format')0a" "cloop"
foreign a.wim 0 "$(hex MSWIM)000000" "WIM"
foreign a.vma 0 "$(hex VMA)00" "Proxmox"
foreign a.img 0 "$(hex LUKS)babe" "LUKS"
foreign a.vmdk 0 "$(hex kdmv)" "unfinished VMDK"
foreign a-ctk.vmdk 0 a27219f601000000 "list of changes"
foreign a.tar 257 "$(hex ustar)" "a tar archive"
foreign b.img 0 1f8b08 "gzip"
foreign c.img 0 fd377a585a00 "xz"
foreign d.img 0 28b52ffd "zstd"

# A compressed file is refused even if its name ends in .img, and the hint is a command that decompresses it.
unpacked_by_hint() { # COMMAND TYPE
	$1 <letter.img >"packed disk.img" || return 1
	refused_within "packed disk.img" "packed disk.img: an? $2" || return 1
	! grep -e '-o format' within.err || return 1
	! "$VDISK" info "packed disk.img" 2>theirs || return 1
	[ "$(grep '^hint: ' theirs)" = "$(grep '^hint: ' within.err)" ] || return 1
	sed -n 's/^hint: \(.*\) unpacks it$/\1/p' within.err >unpack.sh
	rm -f NEW
	sh unpack.sh && cmp NEW letter.img
}
while read -r program what; do
	if command -v "$program" >/dev/null; then
		check "compressed by $program: the command of the hint restores the file" unpacked_by_hint "$program" "$what"
	else
		skip "$program is not installed"
	fi
done <<-'LIST'
	gzip gzip file
	xz xz file
	bzip2 bzip2 file
	zstd zstd file
	lz4 lz4 file
LIST

# Images of each format, truncated at every boundary of their metadata.  Data is truncated only between two
# clusters: an incomplete last cluster is legal and reads as zeroes after its end.

some_data disk 1M
head -c 262144 disk | sed 's/0/o/g' >disk.raw
truncate -s 256K disk.raw

# data_ranges FILE: prints start and end of each range of the host file that has guest data.
data_ranges() {
	qemu-img map --output=json "$1" | jq -r '.[] | select(.offset) | "\(.offset) \(.offset + .length)"'
}

# cuts FILE STEP FIELD HEADER: prints the sizes to truncate to: each FIELD bytes of the header, each STEP and
# half STEP up to the first data, and each start and end of data.
cuts() {
	local file=$1 step=$2 field=$3 header=$4 size first
	size=$(stat -c %s "$file")
	first=$(data_ranges "$file" | awk -v m="$size" '$1 < m { m = $1 } END { print m }')
	{
		seq 1 "$field" "$header"
		seq "$step" $((step / 2)) "$first"
		data_ranges "$file" | tr ' ' '\n'
	} | awk -v size="$size" -v stride="${sanitized:+5}" '
		$1 < size && !seen[$1]++ && (stride == "" || NR % stride == 0)'
}

cut_everywhere() {
	local file=$1 at mounted=0 refused=0 bad=0
	for at in $(cuts "$@"); do
		head -c "$at" "$file" >"cut-$file"
		refused_or_right "cut-$file" disk.raw || { echo "$file cut at $at" >&2; bad=$((bad + 1)); }
		if [ "$(<refused_or_right.out)" = refused ]; then
			refused=$((refused + 1))
		else
			mounted=$((mounted + 1))
			[ "$at" -ge "$4" ] || { echo "mounted when cut at $at" >&2; bad=$((bad + 1)); }
		fi
	done
	echo "$file: $refused cuts refused, $mounted mounted" >&2
	[ $bad = 0 ] && [ $refused -gt 0 ]
}

cut_case() {
	local file=$1 step=$2 field=$3 header=$4
	shift 4
	qemu-img convert -q -f raw -O "$@" disk.raw "$file" || { fail "$file: qemu-img"; return; }
	check "$file, complete" matches "$file" disk.raw
	check "$file, truncated anywhere: refused, or right bytes and EIO" \
		cut_everywhere "$file" "$step" "$field" "$header"
}
cut_case v3.qcow2 4096 4 112 qcow2 -o cluster_size=4k
cut_case v2.qcow2 4096 4 72 qcow2 -o compat=0.10,cluster_size=4k
cut_case small.qcow2 512 16 112 qcow2 -o cluster_size=512
cut_case packed.qcow2 8192 16 112 qcow2 -c -o cluster_size=4k
cut_case dynamic.vdi 512 16 456 vdi
cut_case fixed.vdi 512 16 456 vdi -o static=on
cut_case sparse.vmdk 4096 8 512 vmdk
cut_case stream.vmdk 8192 16 512 vmdk -o subformat=streamOptimized

# Images whose metadata describes more than the host files have.
flat_too_short() {
	qemu-img convert -q -f raw -O vmdk -o subformat=monolithicFlat disk.raw flat.vmdk
	truncate -s 100K flat-flat.vmdk
	refused_or_right flat.vmdk disk.raw
}
extent_missing() {
	qemu-img convert -q -f raw -O vmdk -o subformat=twoGbMaxExtentSparse disk.raw split.vmdk
	rm split-s001.vmdk
	refused_within split.vmdk "split-s001.vmdk"
}
backing_missing() {
	qemu-img create -q -u -f qcow2 -F qcow2 -b gone.qcow2 over.qcow2 1M
	refused_within over.qcow2 "gone.qcow2.*No such file"
}
backing_missing_left_out() {
	mount_image over.qcow2 mnt -o nobacking || return 1
	! cat mnt/disk.raw >/dev/null 2>nobacking.err && grep -q 'Input/output error' nobacking.err
	local status=$?
	unmount mnt && return $status
}
check "VMDK whose flat extent is too short" flat_too_short
check "VMDK whose extent is missing" extent_missing
check "qcow2 whose backing file is missing" backing_missing
check "qcow2 whose backing file is missing, nobacking: EIO, not zeroes" backing_missing_left_out

# A good image with one bad number, a line each: NAME POS HEX PATTERN.
qemu-img create -q -f qcow2 good.qcow2 64M
bad_numbers() {
	cat <<-'LIST'
		version-0 4 00000000 version
		version-1 4 00000001 version
		version-4 4 00000004 version
		version-max 4 ffffffff version
		cluster-bits-0 20 00000000 cluster_bits
		cluster-bits-8 20 00000008 cluster_bits
		cluster-bits-22 20 00000016 cluster_bits
		cluster-bits-63 20 0000003f cluster_bits
		cluster-bits-max 20 ffffffff cluster_bits
		size-max 24 ffffffffffffffff size
		size-2^63 24 8000000000000000 size
		size-beyond-L1 24 0004000000000000 L1
		encrypted-aes 32 00000001 crypt
		encrypted-luks 32 00000002 crypt
		encrypted-99 32 00000063 crypt
		l1-size-0 36 00000000 L1
		l1-size-max 36 ffffffff L1
		l1-size-4M 36 00400000 L1
		l1-unaligned 40 0000000000030001 L1
		l1-far 40 7fffffffffff0000 L1
		l1-wild 40 1234567890abcdef L1
		snapshots-65537 60 00010001 snapshot
		snapshots-max 60 ffffffff snapshot
		backing-far 8 ffffffffffffffff00000010 backing
		header-length-0 100 00000000 header.length
		header-length-100 100 00000064 header.length
		header-length-max 100 ffffffff header.length
		refcount-order-7 96 00000007 refcount
		refcount-order-max 96 ffffffff refcount
		data-file-without-name 79 04 data
		compression-without-type 79 08 compression
		compression-type-7 104 07 compression
		extension-too-long 116 ffffffff extension
		extension-wraps 116 fffffff8 extension
	LIST
}
while read -r name pos digits pattern; do
	cp good.qcow2 "$name.qcow2"
	poke "$name.qcow2" "$pos" "$digits"
	check "qcow2 $name" refused_within "$name.qcow2" "$pattern"
done < <(bad_numbers)

# Unknown incompatible features of qcow2 must be refused; dirty and corrupt images may be read.
unknown_features() {
	local bit
	for bit in $(seq 5 63); do
		cp good.qcow2 feature.qcow2
		poke feature.qcow2 72 "$(be 8 $((1 << bit)))"
		refused_within feature.qcow2 "feature.*bit $bit\b" || return 1
	done
}
named_feature() {
	cp good.qcow2 feature.qcow2
	# Changes the first record of the feature name table that QEMU wrote to bit 40.
	poke feature.qcow2 120 0028 "$(hex "time travel")" 00
	poke feature.qcow2 72 "$(be 8 $((1 << 40)))"
	refused_within feature.qcow2 "time travel"
}
marked() {
	qemu-img convert -q -f raw -O qcow2 disk.raw marked.qcow2
	poke marked.qcow2 79 "$1"
	unchanged marked.qcow2 matches marked.qcow2 disk.raw
}
check "qcow2: all 59 unknown incompatible features" unknown_features
check "qcow2: an unknown feature is named by the image's feature name table" named_feature
check "qcow2: dirty images can be read" marked 01
check "qcow2: images marked corrupt can be read" marked 02
check "qcow2: unknown compatible and autoclear features are ignored" eval '
	qemu-img convert -q -f raw -O qcow2 disk.raw soft.qcow2
	poke soft.qcow2 80 fffffffffffffffe fffffffffffffffc
	matches soft.qcow2 disk.raw'

# Unusual but valid sizes.
odd_raw() {
	head -c "$1" disk.raw >odd.img
	matches odd.img odd.img -o format=raw
}
for n in 1 511 513 4097 65535; do check "raw of $n bytes" odd_raw $n; done
size_zero() {
	qemu-img create -q -f qcow2 zero.qcow2 0
	: >nothing
	matches zero.qcow2 nothing
}
check "qcow2 of no bytes" size_zero
