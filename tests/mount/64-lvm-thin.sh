#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Thin pools and snapshots of LVM2: metadata by thin_restore, exception stores by their layout, and the description of
# the group by vgcfgrestore, since lvcreate makes none of them without device-mapper.
. "${0%/*}/functions.sh"
. "$here/images.sh"
. "$here/lvm.sh"
requires thin_restore thin_check mke2fs getfattr sha256sum xxd

CHUNK=65536 # of the pool
hash_of() { sha256sum <"$1"; }
is() { [ "$(hash_of "$1")" = "$(hash_of "$2")" ] || { echo "$1 is not $2"; return 1; }; }

# --- The contents: a thin volume, its snapshot, a volume with an external origin, an origin and its old-style snapshot.
mkdir tree
seq 200000 >tree/numbers
noise 3 900000 >tree/noise
file_system() { truncate -s "$2" "$1" && mke2fs -q -t ext4 -L "$3" -d tree "$1"; } # FILE BYTES LABEL
overwrite() { noise "$2" "$3" | dd of="$1" bs=64K iflag=fullblock oflag=seek_bytes seek="$4" conv=notrunc status=none; } # FILE SEED LENGTH POSITION
file_system t1.bin 40M thin
cp --sparse=always t1.bin t1s.bin
for i in 1 2 3 4 5 6; do overwrite t1s.bin $i 70000 $((i * 6000011)); done
noise 9 3145728 >ext.bin
{ cat ext.bin; truncate -s 5M /dev/stdout 2>/dev/null; } >t3.bin
truncate -s 5M t3.bin
for i in 1 2; do overwrite t3.bin 1$i 65536 $((i * 1966080)); done
file_system snap.bin 20M old
cp --sparse=always snap.bin root.bin
for i in $(seq 40); do overwrite root.bin 2$i 33000 $((i * 500009)); done

# thin_device ID FILE [BASE OF]: puts the chunks of a file that have data into the pool, each at a place of its own in
# scrambled order, and prints the device for thin_restore; chunks that are equal to those of BASE are left out, or are
# those of the device OF.
declare -A place
used=0
chunk_is() { cmp -s -n $CHUNK -i $(($2 * CHUNK)):"$4" "$1" "$3"; } # FILE CHUNK OTHER POSITION
thin_device() {
	local n i at last count=0
	last=$(($(stat -c %s "$2") / CHUNK))
	for ((i = 0; i < last; i++)); do
		if [ -n "${4:-}" ] && chunk_is "$2" $i "$3" $((i * CHUNK)); then
			at=${place[$4 $i]:-}
		elif [ -n "${3:-}" ] && [ -z "${4:-}" ] && [ $(((i + 1) * CHUNK)) -le "$(stat -c %s "$3")" ] &&
			chunk_is "$2" $i "$3" $((i * CHUNK)); then
			at=
		elif chunk_is "$2" $i /dev/zero 0; then
			at=
		else
			at=$((used / 8 * 8 + (used % 8 + 3) % 8)) # runs that are out of order
			used=$((used + 1))
			dd if="$2" of=data.bin bs=$CHUNK skip=$i seek=$at count=1 conv=notrunc status=none
		fi
		[ -n "$at" ] || continue
		place[$1 $i]=$at
		echo "<single_mapping origin_block=\"$i\" data_block=\"$at\" time=\"$((i % 2))\"/>" >>mappings
		count=$((count + 1))
	done
	echo "<device dev_id=\"$1\" mapped_blocks=\"$count\" transaction=\"0\" creation_time=\"0\" snap_time=\"1\">"
	cat mappings
	echo "</device>"
	rm mappings
}
truncate -s 64M data.bin
thin_device 1 t1.bin >devices.xml
thin_device 2 t1s.bin t1.bin 1 >>devices.xml
thin_device 3 t3.bin ext.bin >>devices.xml
[ $used -gt 20 ] || fail "the pool is used"

# metadata FILE [ATTRIBUTE...]: of the pool, for its superblock.
metadata() {
	local file=$1 transaction=${2:-3} flags=${3:-0}
	{
		echo "<superblock uuid=\"\" time=\"1\" transaction=\"$transaction\" flags=\"$flags\" version=\"2\" data_block_size=\"128\" nr_data_blocks=\"1024\">"
		cat devices.xml
		echo "</superblock>"
	} >"$file.xml"
	rm -f "$file"
	truncate -s 4M "$file"
	thin_restore -i "$file.xml" -o "$file" >/dev/null
}
metadata meta.bin && thin_check -q meta.bin || { fail "thin_restore makes metadata"; exit 1; }

# The store of the snapshot: a header, and areas of 256 exceptions with 256 chunks after each.
le64_hex() { awk '{ for (k = 1; k <= 2; k++) { v = $k; for (i = 0; i < 8; i++) { printf "%02x", v % 256; v = int(v / 256) } } }'; }
cmp -l root.bin snap.bin | awk '{ c = int(($1 - 1) / 4096); if (!(c in seen)) print c; seen[c] = 1 }' | sort -R --random-source=snap.bin >changed
exceptions=$(wc -l <changed)
[ "$exceptions" -gt 256 ] || fail "there is a second area of exceptions"
truncate -s 6M cow.bin
patch cow.bin 0 536e4170010000000100000008000000
awk '{ i = NR - 1; print $1, 2 + i + int(i / 256) }' changed >exceptions
for ((area = 0; area * 256 < exceptions; area++)); do
	tail -n +$((area * 256 + 1)) exceptions | head -n 256 | le64_hex | xxd -r -p |
		dd of=cow.bin bs=4096 seek=$((1 + 257 * area)) conv=notrunc status=none
done
while read -r old new; do
	dd if=snap.bin of=cow.bin bs=4096 skip="$old" seek="$new" count=1 conv=notrunc status=none </dev/null
done <exceptions

# --- The group: plain volumes, which the text makes parts of others.
truncate -s 80M a.pv1 a.pv2
pv_files a.pv1 a.pv2
lvm2 pvcreate -q "${pvs[@]}" && lvm2 vgcreate -q -s 1m vg "${pvs[@]}" || { fail "lvm2 makes a group"; exit 1; }
lv_create -l 20 -n root vg
lv_create -l 6 -n snap vg
lv_create -l 3 -n ext vg
lv_create -l 4 -n meta vg
lv_create -l 64 -i 2 -I 128k -n data vg
put vg/root root.bin && put vg/snap cow.bin && put vg/ext ext.bin && put vg/meta meta.bin && put vg/data data.bin
pieces vg/meta >meta.pieces
pieces vg/snap >snap.pieces
lvm2 vgcfgbackup -q -f plain.text vg

# volume NAME NUMBER EXTENTS LINE...: a volume of one segment.
volume() {
	local name=$1 number=$2 extents=$3
	shift 3
	printf '%s {\nid = "thinvg-0000-0000-0000-0000-0000-00000%s"\nstatus = ["READ", "WRITE", "VISIBLE"]\nflags = []\n' "$name" "$number"
	printf 'segment_count = 1\nsegment1 {\nstart_extent = 0\nextent_count = %s\n' "$extents"
	printf '%s\n' "$@" '}' '}'
}
thin() { # SNAPSHOT-SEGMENT-LINE [THIN-LINE]
	volume pool 1 64 'type = "thin-pool"' 'metadata = "pool_tmeta"' 'pool = "pool_tdata"' 'transaction_id = 3' 'chunk_size = 128' \
		'discards = "passdown"' 'zero_new_blocks = 1'
	volume t1 2 40 'type = "thin"' 'thin_pool = "pool"' 'transaction_id = 0' 'device_id = 1'
	volume t1s 3 40 'type = "thin"' 'thin_pool = "pool"' 'transaction_id = 1' 'device_id = 2' "${2:-origin = \"t1\"}"
	volume t3 4 5 'type = "thin"' 'thin_pool = "pool"' 'transaction_id = 2' 'device_id = 3' 'external_origin = "ext"'
	volume t4 5 1 'type = "thin"' 'thin_pool = "pool"' 'transaction_id = 2' 'device_id = 4'
	volume snapshot0 6 20 'type = "snapshot"' 'chunk_size = 8' 'origin = "root"' "$1"
}
# restore DISK LINE...: the group with thin volumes, and a disk of it.
restore() {
	local disk=$1
	shift
	thin "$@" >more.text
	awk '
		/^\t\t[a-z_]+ \{/ { lv = $1 }
		/^\t\t(meta|data) \{/ { sub(lv, "pool_t" lv) } # lvcreate makes no such names
		/status =/ && lv ~ /^(meta|data|snap)$/ { sub(/, "VISIBLE"/, "") }
		/status =/ && lv == "ext" { sub(/"WRITE", /, "") }
		{ print }
		/logical_volumes \{/ { while ((getline line < "more.text") > 0) print line }' plain.text >thin.text
	pv_files a.pv1 a.pv2
	lvm2 vgcfgrestore -q --force -f thin.text vg || return 1
	lvm2 lvs -a -o lv_name,lv_attr,pool_lv,origin,segtype vg || return 1
	pv_detach
	disk_of "$disk" a.pv1 a.pv2 >starts
}
check "lvm2 takes the text" restore a.disk 'cow_store = "snap"'
mapfile -t starts <starts

names="vg-ext.raw vg-root.raw vg-snap.raw vg-t1.raw vg-t1s.raw vg-t3.raw"
shown() {
	local v=$1/volumes
	# shellcheck disable=SC2086
	listed "$1" $names vg-t4.error.txt && is "$v/vg-t1.raw" t1.bin && is "$v/vg-t1s.raw" t1s.bin && is "$v/vg-t3.raw" t3.bin &&
		is "$v/vg-root.raw" root.bin && is "$v/vg-snap.raw" snap.bin && is "$v/vg-ext.raw" ext.bin
}
named() {
	local v=$1/volumes
	[ "$(getfattr --only-values -n user.vdisk.volume.layout "$v/vg-t1.raw")" = thin ] &&
		[ "$(getfattr --only-values -n user.vdisk.volume.layout "$v/vg-snap.raw")" = snapshot ] &&
		[ "$(readlink "$1/by-label/thin")" = ../volumes/vg-t1.raw ] && is "$1/by-label/thin" t1.bin
}
sparse() {
	local stored
	stored=$(($(stat -c %b "$1/volumes/vg-t1.raw") * 512))
	[ $stored -gt 0 ] && [ $stored -lt 30000000 ]
}
no_device() { says "$1/volumes/vg-t4.error.txt" "the pool has no device 4"; }
check "thin volumes and snapshots" on_mount a.disk shown
check "names, attributes and links" on_mount a.disk named
check "holes" on_mount a.disk sparse
check "a device that is not in the pool" on_mount a.disk no_device
qemu-img convert -O qcow2 a.disk a.qcow2
check "in qcow2" on_mount a.qcow2 shown

cannot_write() {
	local lv
	for lv in t1 t1s t3 root snap; do
		! dd if=root.bin of="$1/volumes/vg-$lv.raw" bs=4096 count=1 conv=notrunc status=none || return 1
	done
	shown "$1"
}
cp --sparse=always a.disk w.disk
mount_with=(-o rw)
check "they are not written" on_mount w.disk cannot_write
mount_with=()
check "the disk is as it was" cmp a.disk w.disk

# --- A guest changes the disk below a mount: the snapshot stays, and the thin volume goes on with the new tree.
position() { # PIECES POSITION: on the disk
	local n pos at len
	while read -r n pos at len; do
		[ "$2" -lt "$at" ] || [ "$2" -ge $((at + len)) ] || echo $((starts[n] + pos + $2 - at))
	done <"$1"
}
guest_changes() {
	local v=$1/volumes i
	is "$v/vg-t1.raw" t1.bin || return 1
	for i in 0 1 2 3; do
		dd if=other.bin of="$1/disk.raw" bs=1M skip=$i seek="$(position meta.pieces $((i << 20)))" oflag=seek_bytes \
			count=1 conv=notrunc status=none || return 1
	done
	echo 3 >/proc/sys/vm/drop_caches
	is "$v/vg-t1.raw" t1s.bin && is "$v/vg-snap.raw" snap.bin
}
sed -i 's/dev_id="1"/dev_id="x"/; s/dev_id="2"/dev_id="1"/; s/dev_id="x"/dev_id="2"/' devices.xml
awk '/<device/ { n++ } { d[n] = d[n] $0 "\n" } END { printf "%s%s%s", d[2], d[1], d[3] }' devices.xml >swapped.xml
cp devices.xml devices.saved && cp swapped.xml devices.xml
metadata other.bin 4
cp devices.saved devices.xml
mount_with=(-o rw)
check "the pool changes below" on_mount w.disk guest_changes
mount_with=()

# --- Refused.
put_metadata() { pv_files a.pv1 a.pv2; dd if="$1" of="${pvs[0]}" bs=1M oflag=seek_bytes seek="$(awk '{ print $2 }' meta.pieces)" conv=notrunc status=none; pv_detach; disk_of "$2" a.pv1 a.pv2 >/dev/null; }
refused() { # TEXT MOUNT
	local lv
	for lv in t1 t1s t3 t4; do says "$2/volumes/vg-$lv.error.txt" "$1" || return 1; done
	is "$2/volumes/vg-root.raw" root.bin
}
metadata bad.bin 3 1 && put_metadata bad.bin b.disk
check "needs_check" on_mount b.disk refused needs_check
metadata bad.bin 9 && put_metadata bad.bin b.disk
check "another transaction" on_mount b.disk refused "its transaction is 9, and 3 in LVM's metadata"
metadata bad.bin && patch bad.bin 100 ff && put_metadata bad.bin b.disk
check "a damaged superblock" on_mount b.disk refused "superblock: the checksum is"
metadata bad.bin
for i in $(seq 1 63); do patch bad.bin $((i * 4096 + 50)) ff; done
put_metadata bad.bin b.disk
check "damaged trees" on_mount b.disk refused "of the metadata: the checksum is"
put_metadata meta.bin b.disk
check "good metadata again" on_mount b.disk shown

patch b.disk $((starts[0] + $(awk '{ print $2 }' snap.pieces) + 4)) 00000000
invalid() { says "$1/volumes/vg-snap.error.txt" "it is marked as invalid" && is "$1/volumes/vg-root.raw" root.bin; }
check "an invalid snapshot" on_mount b.disk invalid
check "lvm2 takes a merging snapshot" restore c.disk 'merging_store = "snap"' $'origin = "t1"\nmerge = "t1"'
merging() {
	says "$1/volumes/vg-root.error.txt" "snapshot snap is being merged into root" &&
		says "$1/volumes/vg-t1.error.txt" "its snapshot t1s is to be merged into it" && is "$1/volumes/vg-t3.raw" t3.bin
}
check "merging snapshots" on_mount c.disk merging
