#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Images that mkdir creates in a mounted directory, filled by cp, dd, rsync and tar.
. "${0%/*}/functions.sh"
. "$here/images.sh"
. "$here/hostile.sh"
requires qemu-img setfattr getfattr tar rsync sfdisk xfs_io

formats="raw qcow2 vdi vmdk vhd vhdx"
equals() { [ "$(stat -c %s "$1")" = "$(stat -c %s "$2")" ] && cmp "$1" "$2"; }
# All formats but raw round the size up to sectors.
whole() { case $1 in *raw*) echo odd ;; *) echo even ;; esac; }
equal_and_sound() {
	local format=${1##*.}
	case $format in
	vhd) format=vpc ;;
	raw) cmp "$1" "$2" && return ;;
	esac
	{ [ "$format" = vpc ] || qemu-img check -q -f "$format" "$1" >&2; } &&
		qemu-img compare -q -f "$format" -F raw "$1" "$2" && [ "$(virtual_size "$1" "$format")" = "$(stat -c %s "$2")" ]
}
virtual_size() { qemu-img info -f "$2" --output=json "$1" | sed -n 's/^    "virtual-size": \([0-9]*\),*$/\1/p;' | tail -n 1; }

mkdir vms vms/sub
some_data odd 21M
noise 3 1000 >>odd
truncate -s 40M odd
noise 4 1001 >>odd
cp --sparse=always odd even
truncate -s %512 even
qemu-img create -q -f qcow2 vms/sub/old.qcow2 1M
tar cSf odd.tar --transform 's/odd/disk.raw/' odd

mount_image vms mnt -o rw,idle=1 || exit 1
for f in $formats; do
	check "$f: a new image is empty" eval 'mkdir mnt/cp.$f && [ "$(stat -c %s mnt/cp.$f/disk.raw)" = 0 ] && [ -z "$(cat mnt/cp.$f/disk.raw)" ]'
	check "$f: cp" eval 'cp odd mnt/cp.$f/disk.raw && equals mnt/cp.$f/disk.raw $(whole $f)'
	mkdir mnt/inside.$f mnt/sparse.$f mnt/dd.$f mnt/rsync.$f mnt/tar.$f mnt/again.$f mnt/holes.$f || fail "$f: mkdir"
	check "$f: cp within the mount" eval 'cp mnt/cp.$f/disk.raw mnt/inside.$f/disk.raw && equals mnt/inside.$f/disk.raw $(whole $f)'
	check "$f: cp --sparse" eval 'cp --sparse=always odd mnt/sparse.$f/disk.raw && equals mnt/sparse.$f/disk.raw $(whole $f)'
	check "$f: dd in two parts" eval 'dd if=odd of=mnt/dd.$f/disk.raw bs=1M count=15 status=none &&
		dd if=odd of=mnt/dd.$f/disk.raw bs=1M skip=15 seek=15 conv=notrunc status=none && equals mnt/dd.$f/disk.raw $(whole $f)'
	check "$f: rsync" eval 'rsync --inplace odd mnt/rsync.$f/disk.raw && equals mnt/rsync.$f/disk.raw $(whole $f)'
	check "$f: tar" eval 'tar xSf odd.tar --overwrite --no-same-permissions --no-same-owner -C mnt/tar.$f && equals mnt/tar.$f/disk.raw $(whole $f)'
	check "$f: cp over earlier contents" eval 'cp odd mnt/again.$f/disk.raw &&
		cp /dev/null mnt/again.$f/disk.raw && cp odd mnt/again.$f/disk.raw && equals mnt/again.$f/disk.raw $(whole $f)'
	check "$f: truncate first, then data with holes" eval 'truncate -s 40M mnt/holes.$f/disk.raw && [ "$(stat -c "%s %b" mnt/holes.$f/disk.raw)" = "$((40 << 20)) 0" ] &&
		dd if=odd of=mnt/holes.$f/disk.raw bs=1M conv=notrunc,sparse status=none && equals mnt/holes.$f/disk.raw $(whole $f)'
done

check_not "mkdir without a suffix" mkdir mnt/new
check_not "mkdir with a suffix of no format" mkdir mnt/new.txt
check_not "mkdir of a hidden name" mkdir mnt/.new.qcow2
check_not "mkdir of a read-only format" mkdir mnt/new.qed
exists() { ! mkdir mnt/cp.qcow2 2>err && grep -q 'exists' err; }
check "mkdir of an existing name" exists
echo text >vms/hidden-flat.vmdk
keeps_other_file() {
	mkdir mnt/hidden.vmdk && ! setfattr -n user.vdisk.subformat -v monolithicFlat mnt/hidden.vmdk &&
		[ "$(cat vms/hidden-flat.vmdk)" = text ] && cp odd mnt/hidden.vmdk/disk.raw && equals mnt/hidden.vmdk/disk.raw even
}
check "an existing file that would become an extent is not changed" keeps_other_file
check "mkdir in a subdirectory" eval 'mkdir mnt/sub/new.qcow2 && cp odd mnt/sub/new.qcow2/disk.raw && equals mnt/sub/new.qcow2/disk.raw even'
listed_once() { [ "$(find mnt -maxdepth 1 -name 'cp.*' | wc -l)" = 6 ]; }
check "each new image is listed once" listed_once
not_empty() { ! rmdir mnt/cp.qcow2 2>err && grep -q 'not empty' err && [ -e vms/cp.qcow2 ]; }
check "rmdir of an image with data" not_empty
check_not "rmdir of an image that mkdir did not create" rmdir mnt/sub/old.qcow2
removed() { mkdir mnt/gone.vdi && rmdir mnt/gone.vdi && [ ! -e vms/gone.vdi ] && [ ! -e mnt/gone.vdi ] && mkdir mnt/gone.vdi && rmdir mnt/gone.vdi; }
check "rmdir of an empty image" removed

set_option() { setfattr -n "user.vdisk.$2" -v "$3" "$1"; }

# Another program replaces or changes an image after mkdir has created it: rmdir, options and writes through the
# mount then fail and do not change the file.

qemu-img convert -f raw -O qcow2 even precious.qcow2
replace() { # HOW FILE
	case $1 in
	mv) cp precious.qcow2 t && mv t "$2" ;;
	cp) cat precious.qcow2 >"$2" ;;
	convert) eventually qemu-img convert -f raw -O qcow2 even "$2" ;;
	link) ln -sf "$W/precious.qcow2" "$2" ;;
	patch) printf '\1' | dd of="$2" bs=1 seek=1000 conv=notrunc status=none ;;
	esac
}
act() { # HOW DIR; descriptor 5 is its open disk.raw
	case $1 in
	rmdir) rmdir "$2" ;;
	option) set_option "$2" cluster_size 16k ;;
	cp) cp odd "$2/disk.raw" ;;
	dd) dd if=odd of="$2/disk.raw" bs=512 count=1 conv=notrunc status=none ;;
	truncate) truncate -s 1M "$2/disk.raw" ;;
	write) head -c 512 odd >&5 ;;
	esac
}
refuses_foreign() { # HOW ACT FORMAT
	local name=$1-$2.$3
	mkdir "mnt/$name" || return 1
	[ "$2" != write ] || exec 5<>"mnt/$name/disk.raw"
	replace "$1" "vms/$name" || return 1
	sha256sum "vms/$name" precious.qcow2 >foreign.sum
	! act "$2" "mnt/$name" 2>act.err && exec 5<&- && sha256sum --quiet -c foreign.sum || { cat act.err; return 1; }
	case $1 in patch | link) return 0 ;; esac
	[ "$3" != qcow2 ] || eventually cmp "mnt/$name/disk.raw" even
}
for how in mv cp convert link patch; do
	for act in rmdir option cp dd truncate write; do
		check "replaced by $how, then $act" refuses_foreign $how $act qcow2
	done
done
check "a raw image replaced by mv, then rmdir" refuses_foreign mv rmdir raw
check "a VDI replaced by convert, then write" refuses_foreign convert write vdi
check "a second attempt writes to the replaced image" cp odd mnt/mv-cp.qcow2/disk.raw
unchanged() { # the contents are changed and restored, with all times except ctime
	mkdir mnt/times.raw && cp -p vms/times.raw t && echo data >vms/times.raw && cat t >vms/times.raw && touch -r t vms/times.raw &&
		! rmdir mnt/times.raw && cmp vms/times.raw t
}
check "changed with the same size and mtime, then rmdir" unchanged
several_files() { # an image of several files
	mkdir mnt/parts.vmdk && set_option mnt/parts.vmdk subformat twoGbMaxExtentFlat && truncate -s 5G mnt/parts.vmdk/disk.raw && return 0
}
check "mkdir of an image of several files" several_files
one_extent() {
	mkdir mnt/part.vmdk && set_option mnt/part.vmdk subformat monolithicFlat || return 1
	cp precious.qcow2 t && mv t vms/part-flat.vmdk && ls vms/part* && ! rmdir mnt/part.vmdk && [ -e vms/part.vmdk ] &&
		cmp vms/part-flat.vmdk precious.qcow2 && ! set_option mnt/part.vmdk subformat monolithicSparse && cmp vms/part-flat.vmdk precious.qcow2
}
check "a replaced extent, then rmdir" one_extent
no_temporary_files() { [ -z "$(find vms -name '.*' ! -name .)" ]; }
check "no temporary files are left" no_temporary_files

# Options.

options() {
	mkdir mnt/o.qcow2 mnt/o.vmdk mnt/o.vhd mnt/o.vdi || return 1
	set_option mnt/o.qcow2 cluster_size 4k && set_option mnt/o.qcow2 compat 0.10 && set_option mnt/o.qcow2 cluster_size 128k &&
		[ "$(getfattr --only-values -n user.vdisk.cluster_size mnt/o.qcow2)" = 128k ] &&
		set_option mnt/o.vmdk subformat monolithicFlat && set_option mnt/o.vhd subformat fixed &&
		set_option mnt/o.vdi static on || return 1
	cp odd mnt/o.qcow2/disk.raw && truncate -s "$(stat -c %s even)" mnt/o.vmdk/disk.raw mnt/o.vdi/disk.raw mnt/o.vhd/disk.raw &&
		cp odd mnt/o.vmdk/disk.raw && cp odd mnt/o.vdi/disk.raw && cp odd mnt/o.vhd/disk.raw
}
check "options by setfattr" options
bad_options() {
	local word
	mkdir mnt/bad.qcow2 || return 1
	for word in 'cluster_size 3' 'cluster_size x' 'nothing 1' 'compat 2'; do
		# shellcheck disable=SC2086
		! set_option mnt/bad.qcow2 $word 2>err && grep -q 'Invalid' err || return 1
	done
	cp odd mnt/bad.qcow2/disk.raw && equals mnt/bad.qcow2/disk.raw even
}
check "invalid options" bad_options
late() { ! set_option mnt/cp.qcow2 cluster_size 4k 2>err && grep -q 'busy' err; }
check "options of an image with data" late
check_not "options of an image that mkdir did not create" set_option mnt/sub/old.qcow2 cluster_size 4k
check_not "an image that mkdir did not create does not grow by writes" dd if=odd of=mnt/sub/old.qcow2/disk.raw bs=1M conv=notrunc status=none
partitions() {
	printf 'label: dos\n2048,2048,83\n' | sfdisk -q even2 && mkdir mnt/p.vhdx && [ ! -e mnt/p.vhdx/partitions ] &&
		cp even2 mnt/p.vhdx/disk.raw && [ -e mnt/p.vhdx/partitions/1.raw ]
}
truncate -s 4M even2
check "partitions are listed after cp" partitions
unmount mnt

for f in $formats; do
	for i in cp inside sparse dd rsync tar again holes; do
		check "$f: $i, as qemu-img reads it" equal_and_sound vms/$i.$f "$(whole $f)"
	done
done
check "qcow2 with the options set" eval 'equal_and_sound vms/o.qcow2 even && qemu-img info vms/o.qcow2 | grep -q "cluster_size: 131072" && qemu-img info vms/o.qcow2 | grep -q "compat: 0.10"'
check "flat VMDK" eval 'qemu-img compare -q -F raw vms/o.vmdk even && [ -s vms/o-flat.vmdk ]'
check "fixed VHD" equal_and_sound vms/o.vhd even
libvhdi_says() { vhdiinfo "$1" | grep -E "Media size.*[ (]$(stat -c %s "$2") bytes"; }
if command -v vhdiinfo >/dev/null; then
	check "libvhdi reads the size" libvhdi_says vms/o.vhd even
else
	skip "libvhdi: not installed"
fi
check "static VDI" equal_and_sound vms/o.vdi even
check "the image in a subdirectory, as qemu-img reads it" equal_and_sound vms/sub/new.qcow2 even

# copy_file_range within the mount copies from host file to host file; the daemon reads and writes only metadata.
copied() {
	local pid tracer f status=0
	mount_image vms mnt -o rw,sandbox=off || return 1
	for pid in $(pids_of "$W/mnt"); do [ "$(cat "/proc/$pid/comm")" != vdiskfs ] || break; done
	strace -f -qq -e trace=copy_file_range,pread64,pwrite64 -o trace -p "$pid" &
	tracer=$!
	eventually grep -q '^TracerPid:.[1-9]' "/proc/$pid/status"
	for f in raw qcow2 vdi vmdk vhd vhdx; do
		mkdir mnt/copied.$f && xfs_io -c 'copy_range mnt/cp.qcow2/disk.raw' mnt/copied.$f/disk.raw &&
			cmp mnt/copied.$f/disk.raw even || status=1
	done
	[ $status = 0 ] && grep -q ' copy_file_range(.* = [1-9]' trace || status=1
	unmount mnt || status=1
	wait $tracer
	# cmp reads by splice, so the trace has no pread64 or pwrite64 of 1 MiB or more.
	! grep -E ' (pread64|pwrite64)\(.* = [0-9]{7,}' trace && [ $status = 0 ]
}
if command -v strace >/dev/null && [ -z "$sanitized" ]; then
	check "copy_file_range from image to image" copied
	for f in raw qcow2 vdi vmdk vhd vhdx; do check "$f: copy_file_range, as qemu-img reads it" equal_and_sound vms/copied.$f even; done
else
	skip "copy_file_range from image to image: no strace"
fi

strict() {
	local status=0
	mount_image vms mnt -o rw,sandbox=strict || return 1
	mkdir mnt/strict.vmdk && set_option mnt/strict.vmdk subformat twoGbMaxExtentFlat && truncate -s 41M mnt/strict.vmdk/disk.raw &&
		dd if=odd of=mnt/strict.vmdk/disk.raw bs=1M count=40 conv=notrunc status=none && mkdir mnt/strict.vdi && rmdir mnt/strict.vdi || status=1
	unmount mnt && [ $status = 0 ] && cmp -n $((40 << 20)) vms/strict-f001.vmdk odd
}
[ -n "$sanitized" ] || check "sandbox=strict" strict
# A write beyond the maximal size fails with EFBIG, and the log names the limit.
too_long() {
	local status=0
	"$VDISKFS" -f -o rw "$W/vms" "$W/mnt" 2>log &
	"$BUILD/tests/mount/await-mount" 20 "$W/mnt" || return 1
	mkdir mnt/l.vdi mnt/l.vhd && set_option mnt/l.vdi static on && truncate -s 1M mnt/l.vdi/disk.raw mnt/l.vhd/disk.raw || status=1
	! dd if=even of=mnt/l.vdi/disk.raw bs=1M count=1 seek=1 conv=notrunc 2>err && grep -q 'File too large' err || status=1
	! dd if=even of=mnt/l.vhd/disk.raw bs=1M count=1 seek=2T oflag=seek_bytes conv=notrunc 2>err && grep -q 'File too large' err || status=1
	unmount mnt && wait $! && grep 'l.vdi.*keeps its size' log && grep 'l.vhd.*2040 GiB' log && [ $status = 0 ]
}
check "writes beyond the maximal size" too_long
read_only() { with_mount_ro mkdir mnt/ro.qcow2; }
with_mount_ro() {
	local status
	mount_image vms mnt || return 1
	"$@" 2>err
	status=$?
	unmount mnt && [ $status != 0 ] && grep -q 'Read-only' err
}
check "mkdir in a read-only mount" read_only
