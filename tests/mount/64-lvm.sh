#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Volume groups of LVM2, made by lvm2: what volumes/ shows is what was put where lvs says that the extents are.
. "${0%/*}/functions.sh"
. "$here/images.sh"
. "$here/lvm.sh"
requires qemu-img mke2fs e2fsck getfattr sha256sum

mkdir tree
seq 100000 >tree/numbers
noise 3 200000 >tree/noise
file_system() { # FILE BYTES LABEL UUID
	truncate -s "$2" "$1" && mke2fs -q -t ext4 -L "$3" -U "$4" -d tree "$1"
}
hash_of() { sha256sum <"$1"; }
is() { [ "$(hash_of "$1")" = "$(hash_of "$2")" ] || { echo "$1 is not $2"; return 1; }; }
copies() { local f; for f in "$1".pv*; do cp --sparse=always "$f" "$2.${f##*.}"; done; }

# --- One disk with two physical volumes, and volumes of several segments.
truncate -s 40M a.pv1 a.pv2
pv_files a.pv1 a.pv2
lvm2 pvcreate -q "${pvs[@]}" && lvm2 vgcreate -q -s 1m v-g "${pvs[@]}" || { fail "lvm2 makes a group"; exit 1; }
lv_create -l 12 -n root v-g "${pvs[0]}"
lv_create -l 3 -n a-b_c v-g "${pvs[0]}"
lvm2 lvextend -q -l 17 v-g/root "${pvs[1]}"
lvm2 lvextend -q -l 20 v-g/root "${pvs[0]}"
lv_create -l 16 -i 2 -I 64k -n striped v-g
lv_create -l 1 -n hidden v-g && lvm2 lvremove -q -f v-g/hidden
file_system root.fs 20M root 11111111-2222-3333-4444-555555555555
file_system striped.fs 16M 'var lib' 22222222-2222-3333-4444-555555555555
noise 5 3145728 >abc.bin
put v-g/root root.fs && put v-g/striped striped.fs && put v-g/a-b_c abc.bin
[ "$(pieces v-g/root | wc -l)" = 3 ] && [ "$(pieces v-g/striped | wc -l)" = 256 ] || fail "the layout is the one meant"
root_uuid=$(lv_field v-g/root lv_uuid)
for lv in root striped; do pieces v-g/$lv >$lv.pieces; done
pv_detach
disk_of a.disk a.pv1 a.pv2 >starts
mapfile -t starts <starts

shown() {
	listed "$1" v--g-a--b_c.raw v--g-root.raw v--g-striped.raw && is "$1/volumes/v--g-root.raw" root.fs &&
		is "$1/volumes/v--g-striped.raw" striped.fs && is "$1/volumes/v--g-a--b_c.raw" abc.bin
}
named() {
	local f=$1/volumes/v--g-root.raw
	[ "$(getfattr --only-values -n user.vdisk.volume.id "$f")" = "$root_uuid" ] &&
		[ "$(getfattr --only-values -n user.vdisk.volume.layout "$f")" = linear ] &&
		[ "$(getfattr --only-values -n user.vdisk.volume.layout "$1/volumes/v--g-striped.raw")" = striped ] &&
		[ "$(readlink "$1/by-label/root")" = ../volumes/v--g-root.raw ] &&
		is "$1/by-uuid/22222222-2222-3333-4444-555555555555" striped.fs &&
		grep -q '"member-of": "v-g"' "$1/info.json"
}
sparse() { # holes are those of the disk
	[ "$(stat -c %b "$1/volumes/v--g-root.raw")" -lt "$(($(stat -c %s root.fs) / 512))" ]
}
check "two physical volumes on a disk" on_mount a.disk shown
check "names, attributes and links" on_mount a.disk named
check "holes" on_mount a.disk sparse
for format in qcow2 vmdk vdi; do
	qemu-img convert -O $format a.disk a.$format
	check "in $format" on_mount a.$format shown
done
in_snapshot() {
	shown "$1/snapshots/before" && listed "$1" v--g-root.raw v--g-striped.raw && is "$1/volumes/v--g-root.raw" root.fs
}
without_abc() { # IMAGE FORMAT: what the guest does next
	cp --sparse=always a.pv1 b.pv1 && cp --sparse=always a.pv2 b.pv2
	pv_files b.pv1 b.pv2
	lvm2 lvremove -q -f v-g/a-b_c
	pv_detach
	disk_of b.disk b.pv1 b.pv2 >/dev/null && qemu-img convert -n -f raw -O "$2" b.disk "$1"
}
qemu-img snapshot -c before a.qcow2
without_abc a.qcow2 qcow2
check "in a snapshot of a qcow2" on_mount a.qcow2 in_snapshot
in_layer() { shown "$1"/chain/1* && listed "$1" v--g-root.raw v--g-striped.raw; }
qemu-img create -q -f vmdk -b a.vmdk -F vmdk child.vmdk
without_abc child.vmdk vmdk
check "in the parent of a VMDK" on_mount child.vmdk in_layer

# --- Writing, compared with the bytes of the disk.
write() { # MOUNT: file systems in place of the volumes, and pieces across chunks
	local lv i
	for lv in root striped; do
		dd if=new-$lv.fs of="$1/volumes/v--g-$lv.raw" bs=300K conv=notrunc status=none || return 1
		for i in 65535 131070 12582900 17825790 10000001; do
			[ $i -lt $(($(stat -c %s new-$lv.fs) - 70000)) ] || continue
			noise $i 70000 | tee >(dd of=new-$lv.raw bs=64K oflag=seek_bytes seek=$i conv=notrunc status=none; : >tee.done) |
				dd of="$1/volumes/v--g-$lv.raw" bs=64K iflag=fullblock oflag=seek_bytes seek=$i conv=notrunc status=none || return 1
			eventually test -e tee.done
			rm tee.done
		done
		is "$1/volumes/v--g-$lv.raw" new-$lv.raw || return 1
		dd if=new-$lv.fs of="$1/volumes/v--g-$lv.raw" bs=1M conv=notrunc status=none || return 1
		e2fsck -fn "$1/volumes/v--g-$lv.raw" || return 1
	done
}
seq 300000 >tree/more
file_system new-root.fs 20M root 11111111-2222-3333-4444-555555555555
file_system new-striped.fs 16M var 22222222-2222-3333-4444-555555555555
rm tree/more
for lv in root striped; do cp --sparse=never new-$lv.fs new-$lv.raw; done
cp --sparse=always a.disk w.disk
mount_with=(-o rw)
check "volumes are written" on_mount w.disk write
mount_with=()
for lv in root striped; do
	pieces_of_disk $lv.pieces w.disk "${starts[@]}"
	check "$lv is on the disk" is read-back new-$lv.fs
done
pieces_of_disk root.pieces a.disk "${starts[@]}"
check "pieces are read off a disk" is read-back root.fs

# --- The ring buffer of the metadata.
wraps() { # FILE: does the text go on at the start of the area?
	[ $(($(le64 "$1" 4136) + $(le64 "$1" 4144))) -gt "$(le64 "$1" 4128)" ]
}
truncate -s 16M ring.img
pv_files ring.img
lvm2 pvcreate -q --dataalignment 4k --metadatasize 48k "${pvs[0]}" && lvm2 vgcreate -q -s 1m ring "${pvs[0]}"
lv_create -l 4 -n one ring
noise 6 4194304 >one.bin
put ring/one one.bin
wrapped=
for i in $(seq 80); do
	lvm2 vgchange -q --addtag "tag$i" ring >/dev/null
	wraps ring.img && { wrapped=yes; break; }
done
lvm2 lvrename -q ring one "last$i" && wraps ring.img || lvm2 lvrename -q ring "last$i" "last$i"
pv_detach
ring() { listed "$1" "ring-last$i.raw" && is "$1/volumes/ring-last$i.raw" one.bin; }
check "the text wraps" [ "$wrapped" = yes ]
check "ring buffer" on_mount ring.img ring

# --- Metadata that is damaged, old, elsewhere or missing.
truncate -s 24M c.pv1 c.pv2
pv_files c.pv1 c.pv2
lvm2 pvcreate -q --metadatacopies 2 "${pvs[0]}" && lvm2 pvcreate -q --metadatacopies 0 "${pvs[1]}"
lvm2 vgcreate -q -s 1m vg "${pvs[@]}"
lv_create -l 4 -n first vg "${pvs[0]}"
lv_create -l 4 -n second vg "${pvs[1]}"
noise 7 4194304 >first.bin
noise 8 4194304 >second.bin
put vg/first first.bin && put vg/second second.bin
second_uuid=$(lvm2 pvs --noheadings -o pv_uuid "${pvs[1]}" | tr -d ' ')
pv_detach
both() { listed "$1" vg-first.raw vg-second.raw && is "$1/volumes/vg-first.raw" first.bin && is "$1/volumes/vg-second.raw" second.bin; }
disk_of c.disk c.pv2 c.pv1 >/dev/null
check "a physical volume without metadata" on_mount c.disk both

copies c d
patch d.pv1 4200 00
disk_of d.disk d.pv1 d.pv2 >/dev/null
check "the header of the first area is damaged" on_mount d.disk both
copies c d
patch d.pv1 $((4096 + $(le64 d.pv1 4136) + 100)) 00
disk_of d.disk d.pv1 d.pv2 >/dev/null
check "the text of the first area is damaged" on_mount d.disk both
patch d.pv1 $(($(stat -c %s d.pv1) - $(le64 d.pv1 4128) + 24)) 00
pvid=$(dd if=d.pv1 bs=1 skip=544 count=6 status=none)
without() { [ "$(ls "$1/volumes")" != '' ] && says "$1/volumes/"lvm-"$pvid"*.error.txt "metadata area at"; }
dd if=/dev/zero of=d.pv1 bs=1 seek=$((24 * 1048576 - 1048576)) count=512 conv=notrunc status=none
disk_of d.disk d.pv1 d.pv2 >/dev/null
check "both areas are damaged" on_mount d.disk without

one() {
	listed "$1" vg-first.raw vg-second.error.txt && is "$1/volumes/vg-first.raw" first.bin &&
		says "$1/volumes/vg-second.error.txt" "$second_uuid"
}
disk_of d.disk c.pv1 >/dev/null
check "a physical volume is missing" on_mount d.disk one

# Two times the same device.
twice() {
	listed "$1" vg-first.raw vg-second.error.txt && says "$1/volumes/vg-second.error.txt" "partition 2 and on partition 3"
}
disk_of d.disk c.pv1 c.pv2 c.pv2 >/dev/null
check "a physical volume is there twice" on_mount d.disk twice

# The second device missed a change, or has seen another one.
truncate -s 24M e.pv1 e.pv2
pv_files e.pv1 e.pv2
lvm2 pvcreate -q "${pvs[@]}" && lvm2 vgcreate -q -s 1m vg "${pvs[@]}"
lv_create -l 4 -n first vg "${pvs[0]}"
lv_create -l 4 -n second vg "${pvs[1]}"
put vg/first first.bin && put vg/second second.bin
pv_detach
copies e f
copies e g
for copy in f g; do
	pv_files $copy.pv1 $copy.pv2
	lvm2 lvrename -q vg first $copy
	pv_detach
done
stale() { listed "$1" vg-f.raw vg-second.raw && is "$1/volumes/vg-f.raw" first.bin && is "$1/volumes/vg-second.raw" second.bin; }
disk_of d.disk f.pv1 e.pv2 >/dev/null
check "a device with older metadata" on_mount d.disk stale
disagree() { listed "$1" vg.error.txt && says "$1/volumes/vg.error.txt" "disagree, with the same seqno"; }
disk_of d.disk f.pv1 g.pv2 >/dev/null
check "devices that disagree" on_mount d.disk disagree

# Two groups of one name.
copies e h
pv_files h.pv1 h.pv2
lvm2 vgchange -q --uuid vg && lvm2 pvchange -q --uuid "${pvs[@]}"
pv_detach
same_name() { listed "$1" vg-first.raw vg-first~2.raw vg-second.raw vg-second~2.raw && is "$1/volumes/vg-second~2.raw" second.bin; }
disk_of d.disk e.pv1 e.pv2 h.pv1 h.pv2 >/dev/null
check "two groups of one name" on_mount d.disk same_name

# --- RAID, which lvm2 makes only with device-mapper: as a text that it accepts.
truncate -s 16M r.pv1 r.pv2 r.pv3
pv_files r.pv1 r.pv2 r.pv3
lvm2 pvcreate -q "${pvs[@]}" && lvm2 vgcreate -q -s 1m rg "${pvs[@]}"
lvm2 vgcfgbackup -q -f rg.text rg
number=0
lv_text() { # NAME STATUS EXTENTS TYPE LINES
	number=$((number + 1))
	printf '%s {\nid = "RAID%02d-0000-0000-0000-0000-0000-000000"\nstatus = [%s]\nflags = []\nsegment_count = 1\n' \
		"$1" $number "$2"
	printf 'segment1 {\nstart_extent = 0\nextent_count = %d\ntype = "%s"\n%s\n}\n}\n' "$3" "$4" "$5"
}
on_pv() { lv_text "$1" '"READ", "WRITE"' "$2" striped "stripe_count = 1"$'\n'"stripes = [ \"pv$3\", $4 ]"; }
rw='"READ", "WRITE", "VISIBLE"'
{
	echo 'logical_volumes {'
	for i in 0 1; do on_pv r1_rmeta_$i 1 $i 0; on_pv r1_rimage_$i 3 $i 1; done
	lv_text r1 "$rw" 3 raid1 $'device_count = 2\nregion_size = 1024\nraids = ["r1_rmeta_0", "r1_rimage_0", "r1_rmeta_1", "r1_rimage_1"]'
	for i in 0 1 2; do on_pv r5_rmeta_$i 1 $i 4; on_pv r5_rimage_$i 2 $i 5; done
	lv_text r5 "$rw" 4 raid5_ls $'device_count = 3\nregion_size = 1024\nstripe_size = 128\nraids = ["r5_rmeta_0", "r5_rimage_0", "r5_rmeta_1", "r5_rimage_1", "r5_rmeta_2", "r5_rimage_2"]'
	for i in 0 1 2; do on_pv r0_rimage_$i 1 $i 7; done
	lv_text r0 "$rw" 3 raid0 $'stripe_count = 3\nstripe_size = 128\nraid0_lvs = ["r0_rimage_0", "r0_rimage_1", "r0_rimage_2"]'
	for i in 0 1; do on_pv m_mimage_$i 2 $i 8; done
	lv_text m "$rw" 2 mirror $'mirror_count = 2\nregion_size = 1024\nmirrors = ["m_mimage_0", 0, "m_mimage_1", 0]'
	echo '}'
} >lvs.text
awk '/^}$/ { while ((getline line <"lvs.text") > 0) print line } { print }' rg.text >rg-raid.text
check "lvm2 accepts the text" lvm2 vgcfgrestore -q -f rg-raid.text rg
[ "$(lv_field rg/r5 segtype)" = raid5_ls ] || fail "lvm2 sees RAID 5"
pv_detach
# chunk FILE NUMBER DEVICE EXTENT ROW: copies 64 KiB of a file to a row of an extent.
chunk() { dd if="$1" of="r.pv$(($3 + 1))" bs=64K count=1 skip="$2" seek=$((16 + $4 * 16 + $5)) conv=notrunc status=none; }
for lv in r1:3 r5:4 r0:3 m:2; do
	noise "${#lv}${lv#*:}" $((${lv#*:} * 1048576)) >"${lv%:*}.bin"
done
for c in $(seq 0 47); do
	chunk r1.bin "$c" 0 1 "$c"
	chunk r1.bin "$c" 1 1 "$c"
	chunk r0.bin "$c" $((c % 3)) 7 $((c / 3))
done
for c in $(seq 0 31); do chunk m.bin "$c" 0 8 "$c"; done
for c in $(seq 0 63); do # left symmetric: the parity moves to the left, data begins after it
	row=$((c / 2))
	chunk r5.bin "$c" $(((2 - row % 3 + 1 + c % 2) % 3)) 5 $row
done
raid() {
	listed "$1" rg-m.raw rg-r0.raw rg-r1.raw rg-r5.raw && is "$1/volumes/rg-r1.raw" r1.bin && is "$1/volumes/rg-r5.raw" r5.bin &&
		is "$1/volumes/rg-r0.raw" r0.bin && is "$1/volumes/rg-m.raw" m.bin
}
disk_of d.disk r.pv1 r.pv2 r.pv3 >/dev/null
check "RAID and mirrors" on_mount d.disk raid
legs() {
	listed "$1" rg-m.error.txt rg-r0.error.txt rg-r1.raw rg-r5.error.txt && is "$1/volumes/rg-r1.raw" r1.bin &&
		says "$1/volumes/rg-r0.error.txt" "is missing" && says "$1/volumes/rg-m.error.txt" "is missing"
}
disk_of e.disk r.pv2 r.pv3 >/dev/null
check "RAID without a leg" on_mount e.disk legs
only_read() {
	local lv
	for lv in r1 r5 m; do
		if noise 9 4096 | dd of="$1/volumes/rg-$lv.raw" conv=notrunc status=none; then return 1; fi
		is "$1/volumes/rg-$lv.raw" $lv.bin || return 1
	done
	noise 9 4096 | tee >(dd of=r0.bin conv=notrunc status=none) | dd of="$1/volumes/rg-r0.raw" conv=notrunc status=none
	eventually is "$1/volumes/rg-r0.raw" r0.bin
}
mount_with=(-o rw)
check "only what is not redundant is written" on_mount d.disk only_read
mount_with=()
