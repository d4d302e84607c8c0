#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# The files in export/: copied with cp, they are images of the disk for qemu-img, libvmdk, libvhdi and vdiskfs; any
# range of them can be read in any order.
. "${0%/*}/functions.sh"
. "$here/images.sh"
requires qemu-img qemu-io jq cp tar xfs_io
ranges=$BUILD/tests/mount/ranges

format_of() { # FILE: prints qemu-img's name of its format
	case $1 in *.vhd) echo vpc ;; *) echo "${1##*.}" ;; esac
}
# equal_and_sound COPY REFERENCE: qemu-img check finds no error, and the copy is equal.
equal_and_sound() {
	local format
	format=$(format_of "$1")
	if [ "$format" != vpc ]; then # qemu-img has no check for VHD
		qemu-img check -f "$format" "$1" >check.out 2>&1 && ! grep -i leak check.out || { cat check.out; return 1; }
	fi
	# qemu-img compare reports a longer image with zeroes at its end as equal, with a warning.
	qemu-img compare -f "$format" -F raw "$1" "$2" >compare.out 2>&1 && ! grep -i mismatch compare.out ||
		{ cat compare.out; return 1; }
}
# read_back REFERENCE: mounts copies/ and compares the disk of each.
read_back() {
	local copy status=0
	mount_image copies back || return 1
	for copy in copies/*; do
		cmp "back/${copy##*/}/disk.raw" "$1" || status=1
	done
	unmount back || status=1
	return $status
}
mkdir copies
# An export depends only on the disk, not on the format of its image.  So qemu-img checks all files of some images,
# and of the others only those that match this pattern.
judges='*'
# exported DIR REFERENCE NAME: copies all files of export/ beside a disk.raw and checks the copies.  Disk and reference
# may end inside a sector.
exported() {
	local dir=$1 name=$3-export file copy
	cp --sparse=always "$2" padded.ref
	truncate -s %512 padded.ref
	[ "$(cd "$dir/export" && echo *)" = "$name-stream.vmdk $name.qcow2 $name.vdi $name.vhd $name.vhdx $name.vmdk" ] || {
		ls "$dir/export"
		return 1
	}
	for file in "$dir/export/"*; do
		copy=copies/${file##*/}
		cp "$file" "$copy" || return 1
		# shellcheck disable=SC2053
		[[ $copy != $judges ]] || equal_and_sound "$copy" padded.ref || { echo "$file"; return 1; }
	done
	read_back padded.ref && rm -f copies/*
}
# exports NAME IMAGE REFERENCE [OPTION...]: checks the exports of the live state.
exports() {
	local what=$1 image=$2 ref=$3 dir status
	shift 3
	dir=$(mktemp -d "$W/m.XXXXXX")
	mount_image "$image" "$dir" "$@"
	exported "$dir" "$ref" "$image"
	status=$?
	unmount "$dir" && rmdir "$dir" || status=1
	check "$what" [ $status = 0 ]
}

# --- Exports of images of every format.
some_data src.raw 3M
printf '\353\0' | dd of=src.raw conv=notrunc status=none # a boot sector's jump, since text would not be recognised as raw
exports "raw" src.raw src.raw
qemu-img convert -q -f raw -O qcow2 src.raw a.qcow2
judges='*.qcow2'
exports "qcow2" a.qcow2 src.raw
qemu-img convert -q -f raw -O qcow2 -c -o cluster_size=4k src.raw deflate.qcow2
judges='*.vhd'
exports "qcow2, deflate" deflate.qcow2 src.raw
judges='*.vmdk'
for s in monolithicSparse twoGbMaxExtentFlat streamOptimized; do
	qemu-img convert -q -f raw -O vmdk -o subformat=$s src.raw $s.vmdk
	exports "vmdk, $s" $s.vmdk src.raw
done
qemu-img convert -q -f raw -O vdi src.raw b.vdi
judges='*.vdi'
exports "vdi" b.vdi src.raw
qemu-img convert -q -f raw -O vpc -o force_size=on src.raw c.vhd
judges='*.vhd'
exports "vhd" c.vhd src.raw
qemu-img convert -q -f raw -O vhdx src.raw d.vhdx
judges='*.vhdx'
exports "vhdx" d.vhdx src.raw
judges='*'

# --- Exports in chains and of snapshots, with their names.
qemu-img create -q -f qcow2 -b src.raw -F raw mid.qcow2
scribble qcow2 mid.qcow2 3145728 65536 5 6 wwz
qemu-img snapshot -c 'before the "upgrade"' mid.qcow2
reference mid.qcow2 before.ref
scribble qcow2 mid.qcow2 3145728 65536 6 6 wwz
reference mid.qcow2 mid.ref
qemu-img create -q -f qcow2 -b mid.qcow2 -F qcow2 top.qcow2 4M
qemu-io -f qcow2 -c 'write -P 3 3M 64k' -c 'write -z 1M 64k' top.qcow2 >/dev/null
reference top.qcow2 top.ref
exports "a chain" top.qcow2 top.ref
layer() { exported "$1/chain/1-mid.qcow2" mid.ref mid.qcow2; }
judges='*.qcow2'
check "a backing file" on_mount top.qcow2 layer
snapshot() { exported "$1/snapshots/before the \"upgrade\"" before.ref 'mid.qcow2-before the "upgrade"'; }
check "a snapshot" on_mount mid.qcow2 snapshot
chosen() { exported "$1" before.ref 'mid.qcow2-before the "upgrade"'; }
mount_with=(-o snapshot=1)
check "a snapshot mounted by snapshot=" on_mount mid.qcow2 chosen
mount_with=()
judges='*'

# --- Disks of special sizes and contents.
head -c 1000003 src.raw >odd.raw
exports "an incomplete last sector" odd.raw odd.raw
head -c 512 src.raw >tiny.raw
exports "one sector" tiny.raw tiny.raw
truncate -s 9M empty.raw
exports "an empty disk" empty.raw empty.raw
noise 8 2200000 >full.raw
truncate -s %512 full.raw
exports "a full disk" full.raw full.raw
qemu-img create -q -f qcow2 gone.qcow2 0
no_export() { [ ! -e "$1/export" ]; }
check "a disk of 0 bytes has no exports" on_mount gone.qcow2 no_export
mount_with=(-o rw)
check "a writable image has no exports" on_mount b.vdi no_export
of_snapshots() { no_export "$1" && [ "$(ls "$1/snapshots/before the \"upgrade\"/export" | wc -l)" = 6 ]; }
check "the snapshots of a writable image have exports" on_mount mid.qcow2 of_snapshots
mount_with=(-o cow)
check "a COW overlay has no exports" on_mount b.vdi no_export
mount_with=(-o share)
check "an image mounted with -o share has no exports" on_mount b.vdi no_export
mount_with=()

# --- Large disks.
qemu-img create -q -f qcow2 large.qcow2 5T
qemu-io -f qcow2 -c 'write -P 7 0 64k' -c 'write -P 8 2T 200k' -c 'write -P 9 5497558138368 512' large.qcow2 >/dev/null
ranges_of() { "$ranges" "$1/disk.raw" | awk '{ print int($1 / 65536), int(($1 + $2 + 65535) / 65536) }'; }
on_mount large.qcow2 ranges_of >large.ranges
suffixes() { (cd "$1/export" && set -- * && echo "${@#*-export}"); }
large() {
	local file copy kib
	[ "$(suffixes "$1")" = '-stream.vmdk .qcow2 .vdi .vhdx .vmdk' ] || return 1
	for file in "$1/export/"*; do
		copy=copies/${file##*/}
		cp --sparse=always "$file" "$copy" || return 1
		qemu-img check -q -f "$(format_of "$file")" "$copy" || return 1
		qemu-io -r -f "$(format_of "$file")" -c 'read -P 7 0 64k' -c 'read -P 0 64k 1M' -c 'read -P 8 2T 200k' \
			-c 'read -P 0 4T 1M' -c 'read -P 9 5497558138368 512' "$copy" >large.out || return 1
		! grep -i 'fail' large.out || return 1
		on_mount "$copy" ranges_of >got.ranges && cmp got.ranges large.ranges || return 1
		[ "$(stat -c '%b' "$file")" -lt 65536 ] || { stat "$file"; return 1; }
		rm -f "$copy"
	done
	kib=$(awk '/^VmHWM/ { print $2 }' "/proc/$(pids_of "$(realpath "$1")" | head -n 1)/status")
	echo "VmHWM $kib KiB"
	[ "$slowness" != 1 ] || [ "$kib" -lt 65536 ]
}
check "5 TiB" on_mount large.qcow2 large
formats_for() { # SIZE: prints the exports of a disk of that size
	qemu-img create -q -f qcow2 sized.qcow2 "$1"
	on_mount sized.qcow2 suffixes
}
check "2040 GiB: the largest VHD" [ "$(formats_for 2040G)" = '-stream.vmdk .qcow2 .vdi .vhd .vhdx .vmdk' ]
check "more than 2040 GiB: no VHD" [ "$(formats_for 2190433321472)" = '-stream.vmdk .qcow2 .vdi .vhdx .vmdk' ]
check "more than 64 TiB: no VHDX" [ "$(formats_for 65T)" = '-stream.vmdk .qcow2 .vdi .vmdk' ]
check "more than 512 TiB: only qcow2" [ "$(formats_for 600T)" = '.qcow2' ]
# Every entry of the block map is block 0, so the disk has 3 TiB of data.
qemu-img create -q -f vdi heavy.vdi 3T
dd if=/dev/zero of=heavy.vdi bs=512 seek=1 count=24576 conv=notrunc status=none
noise 3 1048576 >>heavy.vdi
check "3 TiB of data: no VMDK" [ "$(on_mount heavy.vdi suffixes)" = '.qcow2 .vdi .vhdx' ]

# --- Random reads.
at_random() {
	local file
	cp --sparse=always "$1/export/"* copies/
	for file in "$1/export/"*; do same "$file" "copies/${file##*/}" || return 1; done
}
check "random reads" on_mount top.qcow2 at_random

# --- Holes, and reproducible contents.
truncate -s 64M holes.raw
for at in 0 5 17 18 63; do noise $at 100000 | dd of=holes.raw bs=1M seek=$at conv=notrunc status=none; done
sync holes.raw
holes() { # the data of each file is the allocated data, with some tables
	local file sum
	for file in "$1/export/"*; do
		sum=$("$ranges" "$file" | awk '{ n += $2 } END { printf "%d", n }')
		[ $(((sum + 511) / 512)) = "$(stat -c '%b' "$file")" ] && [ "$sum" -gt 500000 ] || { echo "$file $sum"; return 1; }
		case $file in
		*-stream.vmdk) ;; # compressed grains are reported as whole units
		*) [ "$sum" -lt 1100000 ] || { echo "$file: $sum bytes of data"; return 1; } ;;
		esac
	done
}
check "holes" on_mount holes.raw holes
# tar reads in steps of 10 KiB, with -S of 512 bytes: they must be answered by the page cache, not each by a request.
in_pages() { # FILE: prints the number of cached pages after a small read
	head -c 512 "$1" >/dev/null && fincore -n -o PAGES "$1"
}
in_small_steps() {
	local file
	for file in "$1"/export/*.{qcow2,vmdk,vdi,vhd}; do
		[ "$(in_pages "$file")" -gt 0 ] && tar -cSf - "$file" 2>/dev/null | tar -xOf - | cmp - "$file" || { echo "$file"; return 1; }
	done
}
if command -v fincore >/dev/null; then
	check "a file with holes is read through the page cache" on_mount holes.raw in_small_steps
else
	skip "a file with holes is read through the page cache: no fincore"
fi
# --- Sequential reads of compressed data: readahead decodes it, with any step, also with a cache that is too small.
noise 4 2500000 >noise
for i in 1 2 3 4 5 6 7 8; do cat noise; echo $i; done >packed.raw
truncate -s %512 packed.raw
qemu-img convert -q -f raw -O qcow2 -c packed.raw packed.qcow2
in_sequence() {
	local file bs pid readers=()
	cp "$1/export/"* copies/
	for file in "$1/export/"*; do
		for bs in 10k 100k 3M; do
			dd if="$file" bs=$bs status=none | cmp - "copies/${file##*/}" &
			readers+=($!)
		done
	done
	for pid in "${readers[@]}"; do wait "$pid" || return 1; done
	cmp "$1/disk.raw" packed.raw
}
no_holes() { # few holes are reported as none, so that cp takes large steps
	local file
	for file in "$1"/export/*.{qcow2,vmdk}; do
		[ $(($(stat -c '%b * 512 - %s' "$file"))) -ge 0 ] && [ "$(stat -c %o "$file")" = 1048576 ] || { stat "$file"; return 1; }
	done
}
check "a file with few holes reports none" on_mount packed.qcow2 no_holes
if command -v fincore >/dev/null; then
	check "and is read through the page cache" on_mount packed.qcow2 in_small_steps
else
	skip "a file without holes is read through the page cache: no fincore"
fi
mapped() { # a mapping that is shared, for which the page cache is needed
	xfs_io -r -c 'mmap -r 0 4096' -c 'mread -v 0 4' "$1/export/packed.qcow2-export.qcow2" >mapped.out 2>&1
	grep -q '51 46 49 fb' mapped.out || { cat mapped.out; return 1; }
}
check "mapped into memory" on_mount packed.qcow2 mapped
check "concurrent sequential readers" on_mount packed.qcow2 in_sequence
mount_with=(-o cache=1M)
check "concurrent sequential readers, a small cache" on_mount packed.qcow2 in_sequence
mount_with=()
copy_good() { cp "$1/export/packed.qcow2-export.qcow2" good; }
on_mount packed.qcow2 copy_good
cp packed.qcow2 cut.qcow2
truncate -s 9M cut.qcow2
up_to_there() { # readahead may not report the error before the reader reaches it
	! dd if="$1/export/cut.qcow2-export.qcow2" of=part bs=64k status=none || return 1
	[ "$(stat -c %s part)" -gt 7000000 ] && cmp -n "$(stat -c %s part)" part good
}
check "EIO at a truncated compressed cluster" on_mount cut.qcow2 up_to_there
sums() { (cd "$1/export" && sha256sum -- *); }
on_mount src.raw sums >sums.1
on_mount src.raw sums >sums.2
check "the same bytes at every mount" cmp sums.1 sums.2
touch src.raw
on_mount src.raw sums >sums.3
ids_change() { [ "$(comm -12 <(sort sums.1) <(sort sums.3) | awk '{ print $2 }')" = src.raw-export.qcow2 ]; }
check "IDs change with the image; qcow2 has no ID" ids_change

# --- The names of exports do not collide with images or extents in the directory of the image.
mkdir vms
for format in qcow2 vmdk vdi vhdx; do qemu-img convert -q -f raw -O $format src.raw vms/guest.$format; done
qemu-img convert -q -f raw -O vpc -o force_size=on src.raw vms/guest.vhd
qemu-img convert -q -f raw -O vmdk -o subformat=twoGbMaxExtentSparse src.raw vms/split.vmdk
cp src.raw vms/guest.raw
cp mid.qcow2 src.raw vms/ # with a snapshot and a backing file
# A backing file has the name of the overlay's export, in other letters.
mv vms/guest.vdi vms/Top.qcow2-Export.vdi
qemu-img create -q -f qcow2 -b Top.qcow2-Export.vdi -F vdi vms/top.qcow2
(cd vms && sha256sum -- *) >vms.sums
kept() { (cd vms && sha256sum --quiet -c ../vms.sums); }
exports_below() { find mnt -path '*/export/*' ! -path "$1" | sort; }
copy_to_images() { # IMAGE
	local file
	mount_image "$1" mnt || return 1
	exports_below '*/chain/0-*' >files
	while read -r file; do cp "$file" vms/ || echo "$file"; done <files >failed
	unmount mnt && [ ! -s failed ] && kept && (cd vms && rm -f -- *-export*)
}
for image in vms/{guest,mid,top}.qcow2 vms/guest.{raw,vhd,vhdx,vmdk} vms/split.vmdk vms/src.raw; do
	check "exports copied to the directory of ${image#vms/}" copy_to_images "$image"
done
differ() { # the names of all exports differ, and do not change when images are added
	mount_image vms mnt || return 1
	exports_below '*/chain/*' >files
	[ "$(wc -l <files)" = 66 ] && ! sed 's|.*/||' files | sort -f | uniq -id | grep . || return 1
	while read -r file; do cp "$file" vms/ || return 1; done <files
	eventually [ -e mnt/top.qcow2-export~2.vdi/disk.raw ] || return 1
	ls -d mnt/guest.*/export/* | grep -v -e '-export.*/export/' | cmp - <(grep mnt/guest files) && unmount mnt && kept
}
check "names of the exports of a directory of images" differ
rm -rf vms

# --- Other programs.
in_mount() { # PROGRAM IMAGE FILE REFERENCE
	local status
	mkdir -p foreign
	"$1" "$2" foreign >/dev/null || return 1
	cmp "foreign/$3" "$4"
	status=$?
	fusermount -u foreign 2>/dev/null || fusermount3 -u foreign || umount foreign
	return $status
}
copy_all() { cp -f "$1/export/"* copies/; }
on_mount src.raw copy_all
by_libyal() { # LIBRARY FILE...
	local program=$1mount view=${1}1 file
	shift
	for file; do in_mount "$program" "copies/$file" "$view" src.raw || return 1; done
}
read_by() { # LIBRARY FILE...
	if ! command -v "$1mount" >/dev/null; then
		skip "lib$1: not installed"
	elif "$1mount" "copies/$2" copies 2>&1 | grep -q 'No sub system to mount'; then
		skip "lib$1: built without FUSE" # Debian 13
	else
		fusermount3 -u copies
		check "lib$1 reads the exports" by_libyal "$@"
	fi
}
read_by vmdk src.raw-export.vmdk src.raw-export-stream.vmdk
read_by vhdi src.raw-export.vhd src.raw-export.vhdx

# --- A read error of the disk is an error of the export, so that no copy seems complete.
qemu-img create -q -f qcow2 -b src.raw -F raw broken.qcow2
qemu-io -f qcow2 -c 'write -P 5 64k 64k' broken.qcow2 >/dev/null
mount_with=(-o nobacking)
fails() {
	local file
	for file in "$1/export/"*; do ! cp "$file" copies/broken || return 1; done
}
check "unreadable data is an error, not zeroes" on_mount broken.qcow2 fails
mount_with=()

# --- Commands of README and manual.
sfdisk=$(command -v sfdisk)
cp src.raw guest.raw
[ -z "$sfdisk" ] || printf 'label: dos\n1: start=2048, size=2048, type=83\n' | "$sfdisk" -q guest.raw
qemu-img convert -q -f raw -O qcow2 guest.raw guest.qcow2
qemu-img snapshot -c before-upgrade guest.qcow2
qemu-io -f qcow2 -c 'write -P 6 2M 64k' guest.qcow2 >/dev/null
reference guest.qcow2 guest.ref
mkdir -p recipes/backup mnt
recipe() { # REFERENCE COMMAND [FORMAT]: the command, run in recipes/, creates one file in backup/, an image of REFERENCE
	mount_image guest.qcow2 mnt
	(cd recipes && ln -s ../mnt mnt && eval "$2" && rm mnt)
	unmount mnt
	check "recipe: $2" matches recipes/backup/* "$1" -o format="${3:-raw}"
	rm -f recipes/backup/*
}
recipe guest.ref 'cp mnt/disk.raw backup/guest.raw'
recipe guest.ref 'cp mnt/export/*.qcow2 backup/' qcow2
recipe guest.ref 'cp mnt/export/guest.qcow2-export.vmdk backup/guest.vmdk' vmdk
recipe guest.raw 'cp mnt/snapshots/before-upgrade/export/*.vdi backup/old.vdi' vdi
recipe guest.raw 'cp mnt/snapshots/before-upgrade/export/*.qcow2 backup/' qcow2
if [ -n "$sfdisk" ]; then
	dd if=guest.ref of=part.ref bs=512 skip=2048 count=2048 status=none
	recipe part.ref 'cp mnt/partitions/1.raw backup/root.raw'
fi
ssh() { shift && (cd backup && sh -c "$1"); } # runs the command here
recipe guest.ref "cat mnt/export/*.vdi | ssh host 'cat >guest.vdi'" vdi
recipe guest.ref 'tar -cf - -C mnt/export guest.qcow2-export.vhdx | tar -xf - -C backup' vhdx

# An OVA made by tar, and its disk converted to qcow2.
cat >machine.ovf <<-'OVF'
	<?xml version="1.0" encoding="UTF-8"?>
	<Envelope xmlns="http://schemas.dmtf.org/ovf/envelope/1" xmlns:ovf="http://schemas.dmtf.org/ovf/envelope/1">
	<References><File ovf:id="f1" ovf:href="guest.qcow2-export-stream.vmdk"/></References>
	<DiskSection><Info>Disks</Info><Disk ovf:diskId="d1" ovf:fileRef="f1" ovf:capacity="3145728"
	 ovf:format="http://www.vmware.com/interfaces/specifications/vmdk.html#streamOptimized"/></DiskSection>
	<VirtualSystem ovf:id="vm"><Info>A machine</Info></VirtualSystem></Envelope>
OVF
package() { tar --format=ustar -cf machine.ova machine.ovf -C "$1/export" guest.qcow2-export-stream.vmdk; }
check "an OVA with a stream, made by tar" on_mount guest.qcow2 package
check "the OVA has the disk" matches machine.ova guest.ref
unpack() { cp "$1"/export/*.qcow2 unpacked.qcow2 && qemu-img compare -f qcow2 -F raw unpacked.qcow2 guest.ref >&2; }
check "recipe: an OVA's disk to qcow2" on_mount machine.ova unpack
