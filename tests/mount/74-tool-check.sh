#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# vdisk check compared with qemu-img: all damage that qemu-img finds is found, and repaired qcow2 images have the
# same disk.
. "${0%/*}/functions.sh"
. "$here/hostile.sh"
requires qemu-img qemu-io jq xxd

some_data half.raw 3M
truncate -s 8M half.raw
convert_to() { qemu-img convert -q -f raw "$@"; }
convert_to -O qcow2 -o cluster_size=4k half.raw good.qcow2
convert_to -c -O qcow2 -o cluster_size=4k half.raw packed.qcow2
convert_to -O vdi half.raw good.vdi
convert_to -O vmdk half.raw good.vmdk
convert_to -O vhdx -o block_size=1M half.raw good.vhdx
convert_to -O vpc half.raw good.vpc

# Exit statuses of check: 0 no errors, 1 check failed, 2 corruptions, 3 leaks.
theirs() { qemu-img check -q -f "$format" "$@" >/dev/null 2>&1; }
ours() { "$VDISK" check -q -f "$format" "$@"; }

for format in qcow2 vdi vmdk vhdx vpc; do
	check "check finds no error in a good $format" ours good.$format
done

# Each kind of damage with several seeds is one test.

# found FILE: damage that qemu-img finds is found; in qcow2 the statuses are equal.
found() {
	local they we
	ours "$1"
	we=$?
	[ $format != vpc ] || { [ $we -gt 1 ]; return; }
	theirs "$1"
	they=$?
	[ $format != qcow2 ] || { [ $we = $they ]; return; }
	[ $they = 0 ] || [ $we != 0 ]
}

same_disk() { qemu-img compare -q -f qcow2 -F qcow2 "$1" "$2"; }

# repaired_like_qemu FILE: both programs repair a copy and have the same statuses, and the repaired disks are equal if
# they can be read.  If only qemu-img fails, our result must satisfy its check and have the contents of before.
repaired_like_qemu() {
	local they we
	cp "$1" repaired.theirs
	cp "$1" repaired.ours
	theirs -r all repaired.theirs
	they=$?
	ours -r all repaired.ours
	we=$?
	[ "$they $we" != "1 0" ] || { theirs repaired.ours && same_disk "$1" repaired.ours; return; }
	[ $we = $they ] || { echo "status $we, of qemu-img $they"; return 1; }
	theirs repaired.theirs
	they=$?
	theirs repaired.ours
	we=$?
	[ $we = $they ] || { echo "then $we, of qemu-img $they"; return 1; }
	same_disk repaired.theirs repaired.ours
	we=$?
	[ $we = 0 ] && return
	# If one repaired image cannot be read, the other must be unreadable as well.
	[ $we -gt 1 ] && ! qemu-img convert -f qcow2 -O raw repaired.theirs theirs.raw &&
		! qemu-img convert -f qcow2 -O raw repaired.ours ours.raw
}

# repaired_unchanged FILE: after a repair, the disk reads as before, or is unreadable as before.
repaired_unchanged() {
	local before after
	"$VDISK" convert -f "$format" -O raw "$1" before.raw 2>/dev/null
	before=$?
	ours -r all "$1"
	"$VDISK" convert -f "$format" -O raw "$1" after.raw 2>/dev/null
	after=$?
	[ $before = $after ] && { [ $before != 0 ] || cmp before.raw after.raw; }
}

each_seed() {
	local seed from=good
	[ "$damage" != compressed-past-end ] || from=packed
	for seed in 1 2; do
		cp $from."$format" bad."$format"
		"$MKIMAGE" --corrupt "$format" "$damage" bad."$format" $seed || return 1
		"$@" bad."$format" || { echo "seed $seed"; return 1; }
	done
}

"$MKIMAGE" --corruptions >kinds
while read -r format damage; do
	check "$format $damage: found" each_seed found
	if [ "$format" = qcow2 ]; then
		check "$format $damage: repaired like by qemu-img" each_seed repaired_like_qemu
	else
		check "$format $damage: a repair loses no data" each_seed repaired_unchanged
	fi
done <kinds

# Parallels: messages and statuses of check and repair are those of qemu-img.

patch_file() { printf '%b' "$3" | dd of="$1" bs=1 seek="$2" conv=notrunc status=none; }
convert_to -O parallels half.raw good.parallels
size=$(stat -c %s good.parallels)
damaged_parallels() { # KIND
	cp good.parallels bad.parallels
	case $1 in
	outside) patch_file bad.parallels 68 '\377\0\0\0' ;;
	three-outside) patch_file bad.parallels 64 '\377\0\0\1\376\0\0\1\375\0\0\1' ;;
	unclean) patch_file bad.parallels 44 'Ynot' ;;
	leaks) truncate -s $((size + 3000320)) bad.parallels ;;
	leaks-unclean) truncate -s $((size + 512)) bad.parallels && patch_file bad.parallels 44 'Ynot' ;;
	cut) truncate -s $((size - 1500000)) bad.parallels ;;
	esac
}
repaired_by_us() {
	"$VDISK" check -q -f parallels -r "$2" "$1" && "$VDISK" check -q -f parallels "$1"
}
repaired_alike() { # KIND leaks|all
	local v=bad.parallels they we
	damaged_parallels "$1"
	cp $v theirs.parallels
	qemu-img check -f parallels theirs.parallels >theirs 2>&1
	they=$?
	# QEMU 10 aborts on some of these images.
	[ $they -lt 128 ] || { repaired_by_us $v "$2"; return; }
	"$VDISK" check -f parallels $v >ours 2>&1
	we=$?
	sed -i '/^vdisk: warning: /d' ours
	[ $we = $they ] && diff <(sort theirs) <(sort ours) >&2 || return 1
	qemu-img check -f parallels -r "$2" theirs.parallels >theirs 2>&1
	they=$?
	"$VDISK" check -f parallels -r "$2" $v >ours 2>&1
	we=$?
	cat ours >&2
	[ $we = $they ] || { echo "status $we, of qemu-img $they" >&2; return 1; }
	qemu-img compare -q -f parallels -F parallels theirs.parallels $v
}
for kind in outside three-outside unclean leaks leaks-unclean cut; do
	check "parallels, $kind: repaired like by qemu-img" repaired_alike $kind all
done
check "parallels, -r leaks" repaired_alike leaks leaks
sound_after_repair() { damaged_parallels "$1" && ours -r all bad.parallels && theirs bad.parallels && ours bad.parallels; }
format=parallels
for kind in outside unclean leaks leaks-unclean; do check "parallels, $kind: no errors after the repair" sound_after_repair $kind; done
marked_until_whole() { # an entry that points into the header cannot be repaired, so the image stays marked
	damaged_parallels unclean
	patch_file bad.parallels 64 '\1\0\0\0'
	! ours -r all bad.parallels && ! theirs bad.parallels && grep -q Ynot bad.parallels
}
convert_to -O parallels -o cluster_size=4k half.raw good.parallels
check "parallels: an image with remaining errors stays marked as unclean" marked_until_whole

# In a file with a parent, clearing an entry would expose old data of the parent.
mkdir two.hdd
head -c 4M half.raw >two.hdd/root
qemu-img create -q -f parallels two.hdd/top 4M
qemu-io -f parallels -c 'write -P 7 1M 1M' two.hdd/top >/dev/null
r={aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee} t={5fbaabe3-6958-40ff-92a7-860e329aab41}
cat >two.hdd/DiskDescriptor.xml <<END
<?xml version='1.0' encoding='UTF-8'?>
<Parallels_disk_image Version="1.0"><Disk_Parameters><Disk_size>8192</Disk_size><Padding>0</Padding></Disk_Parameters>
<StorageData><Storage><Start>0</Start><End>8192</End><Blocksize>2048</Blocksize>
<Image><GUID>$r</GUID><Type>Plain</Type><File>root</File></Image>
<Image><GUID>$t</GUID><Type>Compressed</Type><File>top</File></Image></Storage></StorageData>
<Snapshots><Shot><GUID>$r</GUID><ParentGUID>{00000000-0000-0000-0000-000000000000}</ParentGUID></Shot>
<Shot><GUID>$t</GUID><ParentGUID>$r</ParentGUID></Shot></Snapshots></Parallels_disk_image>
END
check "check finds no error in a bundle" "$VDISK" check -q two.hdd
patch_file two.hdd/top 68 '\377\0\0\0'
not_cleared() {
	cp two.hdd/top top.before
	"$VDISK" check -q -r all two.hdd
	[ $? = 2 ] && cmp two.hdd/top top.before
}
check "an entry beyond the end is not cleared if there is a parent" not_cleared

# check -r of a format without repair only checks.
convert_to -O qcow half.raw good.qcow
only_checked() { # FILE STATUS
	"$VDISK" check -r all "$1" >said 2>&1
	[ $? = "$2" ] && cat said >&2 && grep -q 'warning: .*cannot be repaired' said
}
check "qcow -r: a good image" only_checked good.qcow 0
cp good.qcow bad.qcow
patch_file bad.qcow 48 '\0\0\377\377\377\0\0\0'
check "qcow -r: damage is reported" only_checked bad.qcow 2

# Each of 65536 snapshots has an L1 table of 32 MiB in holes of a small file, STEP bytes after the previous one: the
# number of references and errors is unbounded, so the check must limit them itself.

# many_tables IMAGE STEP DISK OPTIONS: OPTIONS are those of qemu-img create.
many_tables() {
	local image=$1 table=1048576 first=8388608 l1_bytes=33554432 i rest
	# L1 size, lengths of ID and name, date and VM clock, size of extra data, the extra data, then "1a" padded.
	rest=$(printf '%08x%04x%04x%040x%08x%032x%s' $((l1_bytes / 8)) 1 1 0 16 0 3161000000000000)
	qemu-img create -q -f qcow2 -o "$4" "$image" "$3"
	for ((i = 0; i < 65536; i++)); do
		printf '%016x%s' $((first + i * $2)) "$rest"
	done | xxd -r -p | dd of="$image" bs=64K oflag=seek_bytes seek=$table conv=notrunc status=none
	poke "$image" 60 "$(be 4 65536)" "$(be 8 $table)"
	truncate -s $((first + 65535 * $2 + l1_bytes)) "$image"
}

# ends IMAGE PATTERN COMMAND...: the command fails within the limits with this message, and the image does not change.
ends() {
	local image=$1 pattern=$2 before status
	shift 2
	before=$(stat -c '%s %b %y' "$image")
	"$bounded" -c $((3 * cpu_ms)) timeout "$patience" "$@" >/dev/null 2>ends.err
	status=$?
	tail -n 2 ends.err >&2
	[ $status = 1 ] && grep -q "$pattern" ends.err && [ "$before" = "$(stat -c '%s %b %y' "$image")" ]
}

while read -r name step disk options pattern; do
	many_tables many.qcow2 "$step" "$disk" "$options"
	check "$name: a check ends" ends many.qcow2 "$pattern" "$VDISK" check many.qcow2
	check "$name: a repair ends" ends many.qcow2 "$pattern" "$VDISK" check -r all many.qcow2
	poke many.qcow2 79 01
	mkdir -p mnt
	check "$name: an image marked dirty cannot be written" ends many.qcow2 "dirty: .*$pattern" "$VDISKFS" -o rw many.qcow2 mnt
	rm many.qcow2
done <<'END'
apart 33554432 1M cluster_size=64k too much damage
same-place 0 1M refcount_bits=1 too much damage
overlapping 512 32k cluster_size=512,refcount_bits=64 tables overlap
END

# More than 65536 errors are reported and repaired if the file has as many entries.
lost_refcounts() {
	local theirs table
	qemu-img create -q -f qcow2 -o cluster_size=512,preallocation=metadata lost.qcow2 64M
	qemu-img snapshot -c one lost.qcow2
	table=$((0x$(xxd -s 48 -l 8 -p lost.qcow2)))
	dd if=/dev/zero of=lost.qcow2 bs=512 seek=$((table / 512)) count=$((0x$(xxd -s 56 -l 4 -p lost.qcow2))) conv=notrunc status=none
	theirs=$(qemu-img check --output=json lost.qcow2 2>/dev/null | jq .corruptions)
	[ "$theirs" -gt 65536 ] && [ "$("$VDISK" check --output=json lost.qcow2 2>/dev/null | jq .corruptions)" = "$theirs" ] &&
		"$VDISK" check -q -r all lost.qcow2 2>/dev/null && qemu-img check -q lost.qcow2
}
check "more than 65536 errors" lost_refcounts

# A device cannot grow: the new refcounts lie after all that is in use.
rebuilt_on_device() { # LOOP
	local block
	qemu-img create -q -f qcow2 -o cluster_size=512 "$1" 1M && qemu-io -f qcow2 -c 'write -P 7 0 64k' "$1" || return 1
	block=$((0x$(xxd -s $((0x$(xxd -s 48 -l 8 -p "$1"))) -l 8 -p "$1")))
	dd if=/dev/zero of="$1" bs=1 seek=$block count=2 conv=notrunc status=none
	"$VDISK" check -q -f qcow2 -r all "$1" && qemu-img check -q -f qcow2 "$1" || return 1
	qemu-io -f qcow2 -c 'write -P 8 64k 64k' -c 'read -P 7 0 64k' "$1" && qemu-img check -q -f qcow2 "$1"
}
truncate -s 8M device.raw
if is_root && loop=$(losetup -f --show device.raw); then
	check "refcounts are rebuilt on a block device" rebuilt_on_device "$loop"
	losetup -d "$loop"
else
	skip "a block device: only root has loop devices"
fi
