#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Internal snapshots of qcow2: contents, sizes, names, dates, VM state.
. "${0%/*}/functions.sh"
. "$here/images.sh"
requires qemu-img qemu-io jq xxd getfattr

# ids IMAGE: prints the IDs of the snapshots that qemu-img lists.
ids() { qemu-img info --output=json "$1" | jq -r '.snapshots[].id'; }

# all_snapshots IMAGE DIR: compares each snapshot, found by its ID, with qemu-img's reading.
all_snapshots() {
	local image=$1 dir=$2 id ok=0 entry found
	reference "$image" live.ref && same "$dir/disk.raw" live.ref || ok=1
	for id in $(ids "$image"); do
		found=
		for entry in "$dir"/snapshots/*/; do
			[ "$(getfattr --only-values -n user.vdisk.snapshot.id "$entry" 2>/dev/null)" = "$id" ] || continue
			found=$entry
		done
		[ -n "$found" ] || { echo "no snapshot with id $id"; ok=1; continue; }
		reference "$image" snapshot.ref -l "snapshot.id=$id"
		same "$found/disk.raw" snapshot.ref || { echo "snapshot $id"; ok=1; }
	done
	return $ok
}

# series NAME OPTIONS UNIT [KINDS]: creates snapshots between random writes.
series() {
	local name=$1 i unit=$3 kinds=${4:-wwzdc} seed
	seed=$(seed_of "$name")
	qemu-img create -q -f qcow2 -o "$2" series.qcow2 $((unit * 70))
	for i in 1 2 3 4; do
		scribble qcow2 series.qcow2 $((unit * 70)) "$unit" $((seed + i)) 12 "$kinds"
		qemu-img snapshot -c "s$i" series.qcow2
	done
	scribble qcow2 series.qcow2 $((unit * 70)) "$unit" $((seed + 5)) 12 "$kinds"
	qemu-img snapshot -d s2 series.qcow2
	UNIT=$unit check "series, $name (seed $seed)" on_mount series.qcow2 all_snapshots series.qcow2
}
some_data base.raw 3M
series "v3" cluster_size=64k 65536
series "v3, clusters of 512" cluster_size=512 512
series "v3, zstd" cluster_size=64k,compression_type=zstd 65536
series "v2" compat=0.10 65536
series "extended L2" extended_l2=on 65536 wwzd
series "on a backing file" backing_file=base.raw,backing_fmt=raw 65536
series "on a backing file, extended L2" backing_file=base.raw,backing_fmt=raw,extended_l2=on 65536 wwzd

# N11: a snapshot has the disk size at its creation; QEMU shows every snapshot with the current size.
qemu-img create -q -f qcow2 n11.qcow2 8M
qemu-io -f qcow2 -c 'write -P 1 7M 1M' n11.qcow2
reference n11.qcow2 small.ref
qemu-img snapshot -c small n11.qcow2
qemu-img resize -q n11.qcow2 64M
qemu-io -f qcow2 -c 'write -P 2 60M 1M' n11.qcow2
reference n11.qcow2 big.ref
qemu-img snapshot -c big n11.qcow2
qemu-img resize -q --shrink n11.qcow2 4M
reference n11.qcow2 now.ref
sizes() {
	same "$1/disk.raw" now.ref && same "$1/snapshots/small/disk.raw" small.ref &&
		same "$1/snapshots/big/disk.raw" big.ref
}
check "N11: snapshots keep their sizes" on_mount n11.qcow2 sizes

as_live() { same "$2/disk.raw" "$1"; }
mount_with=(-o snapshot=small)
check "snapshot=NAME shows the snapshot as disk.raw" on_mount n11.qcow2 as_live small.ref
mount_with=(-o snapshot=2)
check "snapshot=ID shows the snapshot as disk.raw" on_mount n11.qcow2 as_live big.ref
still_listed() { same "$1/snapshots/small/disk.raw" small.ref; }
check "snapshot=: the other snapshots are listed" on_mount n11.qcow2 still_listed
mount_with=()
check "snapshot= of an unknown name" refused n11.qcow2 'none-such' -o snapshot=none-such
check "snapshot= of an image without snapshots" refused base.raw 'small' -o format=raw,snapshot=small
mount_with=(-o nosnapshots)
without() { same "$1/disk.raw" now.ref && [ ! -e "$1/snapshots" ]; }
check "nosnapshots" on_mount n11.qcow2 without
mount_with=()

# N12: the VM state follows the end of the disk and is shown as the file vmstate.  If the disk is grown, QEMU shows
# it as a part of the disk; the snapshot's view must end at the old size or read as zeroes.
qemu-img create -q -f qcow2 n12.qcow2 512M
qemu-io -f qcow2 -c 'write -P 3 0 64k' -c 'write -b -P 0x77 0 128k' n12.qcow2
qemu-img snapshot -c saved n12.qcow2
table=$(be64 n12.qcow2 64)
patch n12.qcow2 $((table + 32)) "$(hex32 131072)"
patch n12.qcow2 $((table + 40)) "$(hex64 131072)"
head -c 131072 /dev/zero | tr '\0' '\167' >vmstate.ref
truncate -s 512M disk.ref
head -c 65536 /dev/zero | tr '\0' '\3' | dd of=disk.ref conv=notrunc status=none
machine() {
	same "$1/snapshots/saved/vmstate" vmstate.ref && same "$1/snapshots/saved/disk.raw" disk.ref &&
		[ ! -e "$1/vmstate" ]
}
check "N12: the VM state" on_mount n12.qcow2 machine
qemu-img resize -q n12.qcow2 1G
check "N12: the VM state after the disk has grown" on_mount n12.qcow2 machine
cp --sparse=always n12.qcow2 n12w.qcow2
table=$(be64 n12w.qcow2 64)
patch n12w.qcow2 $((table + 24)) "$(hex64 12345678901234)"
clock() {
	[ "$(jq '.snapshots[0] | .["vm-clock-sec"] * 1000000000 + .["vm-clock-nsec"]' "$1/info.json")" = 12345678901234 ] &&
		[ "$(jq '.snapshots[0]["vm-state-size"]' "$1/info.json")" = 131072 ]
}
check "N12: clock and size of the VM state in info.json" on_mount n12w.qcow2 clock

# N13: names that are invalid in a directory, and names that occur twice.
long=$(printf 'n%.0s' $(seq 300))
qemu-img create -q -f qcow2 n13.qcow2 1M
names=(a/b .. . '' dup dup dup 1 $'new\nline' $'esc\e[31m' 'smörgås' 'with blank' '%2F' "$long" $'bad\xff')
i=0
for n in "${names[@]}"; do
	i=$((i + 1))
	qemu-io -f qcow2 -c "write -P $i 0 64k" n13.qcow2 >/dev/null
	qemu-img snapshot -c "$n" n13.qcow2
done
first_byte() { printf '%d' "0x$(head -c 1 "$1/disk.raw" | xxd -p)"; }
hostile_names() {
	local dir=$1/snapshots ok=0 want name
	[ "$(find "$dir" -mindepth 1 -maxdepth 1 -printf x | wc -c)" = ${#names[@]} ] || { echo "not one entry each"; ok=1; }
	while read -r want name; do
		name=$(printf '%b' "$name")
		if [ ! -d "$dir/$name" ] || [ "$(first_byte "$dir/$name")" != "$want" ]; then
			echo "snapshot $want is not shown as $name"
			ok=1
		fi
	done <<-'LIST'
	1 a%2Fb
	2 %2E%2E
	3 %2E
	5 dup
	6 dup~2
	7 dup~3
	8 1
	9 new%0Aline
	10 esc%1B[31m
	11 smörgås
	12 with blank
	15 bad%FF
	LIST
	# An empty name is replaced by the ID; a long one is truncated to NAME_MAX.
	[ "$(first_byte "$dir/4")" = 4 ] || { echo "the empty name"; ok=1; }
	[ "$(first_byte "$dir/${long:0:255}")" = 14 ] || { echo "the long name"; ok=1; }
	return $ok
}
check "N13: invalid names are escaped in the tree" on_mount n13.qcow2 hostile_names
raw_names() {
	local ok=0 got
	got=$(getfattr --only-values -n user.vdisk.snapshot.name "$1/snapshots/a%2Fb") || ok=1
	[ "$got" = a/b ] || ok=1
	got=$(getfattr --only-values -n user.vdisk.snapshot.id "$1/snapshots/dup~2") || ok=1
	[ "$got" = 6 ] || ok=1
	return $ok
}
check "N13: extended attributes have the unchanged names" on_mount n13.qcow2 raw_names
hostile_json() {
	jq -e '.snapshots | length == 15 and .[0].name == "a/b" and
		.[8].name == "new\nline" and .[9].name == "esc\u001b[31m"' "$1/info.json" >/dev/null
}
check "N13: info.json is valid JSON" on_mount n13.qcow2 hostile_json
reference n13.qcow2 dup.ref -l snapshot.id=5
mount_with=(-o snapshot=dup)
check "N13: snapshot= takes the first of equal names" on_mount n13.qcow2 as_live dup.ref
mount_with=()

# N15: a disk of zero bytes has no L1 table.
qemu-img create -q -f qcow2 n15.qcow2 0
qemu-img snapshot -c a n15.qcow2
qemu-img resize -q n15.qcow2 1M
qemu-io -f qcow2 -c 'write -P 5 0 1M' n15.qcow2
: >empty
truncate -s 1M five
head -c 1048576 /dev/zero | tr '\0' '\5' >five
nothing_then_something() {
	same "$1/disk.raw" five && same "$1/snapshots/a/disk.raw" empty
}
check "N15: a snapshot of 0 bytes" on_mount n15.qcow2 nothing_then_something

# N31: version 2 has the same snapshot table.
qemu-img create -q -f qcow2 -o compat=0.10 n31.qcow2 1M
qemu-io -f qcow2 -c 'write -P 1 0 128k' n31.qcow2
qemu-img snapshot -c s n31.qcow2
qemu-io -f qcow2 -c 'write -P 2 0 128k' n31.qcow2
check "N31: snapshots in version 2" on_mount n31.qcow2 all_snapshots n31.qcow2
# Entries of version 2 may lack the disk size: the snapshot then has the current size.
cp n31.qcow2 n31x.qcow2
table=$(be64 n31x.qcow2 64)
patch n31x.qcow2 $((table + 36)) 00000000
patch n31x.qcow2 $((table + 40)) "$(printf '1s' | xxd -p)0000"
check "N31: an entry without extra data" on_mount n31x.qcow2 all_snapshots n31x.qcow2

# The mtime of a snapshot's directory and disk is the date of the snapshot.
table=$(be64 n31.qcow2 64)
patch n31.qcow2 $((table + 16)) "$(hex32 1000000000)$(hex32 123456789)"
dates() {
	[ "$(stat -c %.9Y "$1/snapshots/s")" = 1000000000.123456789 ] &&
		[ "$(stat -c %.9Y "$1/snapshots/s/disk.raw")" = 1000000000.123456789 ] &&
		[ "$(stat -c %.9Y "$1/disk.raw")" = "$(stat -c %.9Y n31.qcow2)" ]
}
check "mtimes are the dates of the snapshots" on_mount n31.qcow2 dates
after_2038() { [ "$(stat -c %Y "$1/snapshots/s")" = 4294967295 ]; }
patch n31.qcow2 $((table + 16)) ffffffff00000000
check "dates after 2038" on_mount n31.qcow2 after_2038

# A damaged entry affects only its own snapshot.
cp n11.qcow2 broken.qcow2
patch broken.qcow2 "$(be64 broken.qcow2 64)" 7fffffffffff0000
one_broken() {
	same "$1/disk.raw" now.ref && same "$1/snapshots/big/disk.raw" big.ref &&
		[ -d "$1/snapshots/small" ] && ! cat "$1/snapshots/small/disk.raw" >/dev/null
}
check "a damaged snapshot leaves the others readable" on_mount broken.qcow2 one_broken
cp n11.qcow2 broken.qcow2
patch broken.qcow2 64 7fffffffffff0000
check "a snapshot table beyond the end of the file" refused broken.qcow2 'snapshot table'
mount_with=(-o nosnapshots)
check "nosnapshots opens an image with a damaged snapshot table" on_mount broken.qcow2 as_live now.ref
mount_with=()

# The hint names --no-snapshots only for the verbs that read the live disk.
hint_names_option() { # VERB...: fails, and the hint names the option
	! "$VDISK" "$@" 2>message && cat message >&2 && grep -q 'snapshot table' message && grep -qx 'hint: --no-snapshots opens the live disk only' message
}
for words in "convert -O raw broken.qcow2 live.raw" "map broken.qcow2" "compare broken.qcow2 now.raw"; do
	# shellcheck disable=SC2086
	check "vdisk ${words%% *}: the hint names --no-snapshots" hint_names_option $words
	# shellcheck disable=SC2086
	[ "${words%% *}" = compare ] || check "vdisk ${words%% *} --no-snapshots" "$VDISK" $words --no-snapshots
done
check "vdisk convert --no-snapshots converts the live disk" same live.raw now.ref
hint_names_none() { ! "$VDISK" snapshot -l broken.qcow2 2>message && ! grep -e '-snapshots' message; }
check "vdisk snapshot: the hint names no option" hint_names_none

# A mount that ignores the snapshots must not create one: it would get the ID of an existing one.
cp n11.qcow2 aside.qcow2
refuses_mkdir() {
	mount_image aside.qcow2 mnt -o rw,nosnapshots || return 1
	mkdir mnt/snapshots/new 2>/dev/null && return 1
	unmount mnt && diff <(qemu-img snapshot -l n11.qcow2) <(qemu-img snapshot -l aside.qcow2)
}
check "rw,nosnapshots: mkdir creates no snapshot" refuses_mkdir

# The files of a snapshot's directory.
entries() { [ "$(ls -A "$1/snapshots/big")" = $'disk.raw\nexport\ninfo.json' ]; }
check "a snapshot's directory" on_mount n11.qcow2 entries
snapshot_json() {
	jq -e '.["virtual-size"] == 67108864 and .snapshot.name == "big" and .snapshot.id == "2" and has("snapshots") == false' \
		"$1/snapshots/big/info.json" >/dev/null
}
check "a snapshot's info.json" on_mount n11.qcow2 snapshot_json
