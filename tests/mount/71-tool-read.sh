#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# vdisk's verbs that only read, beside qemu-img's: text, JSON by keys, exit codes, over all formats.
. "${0%/*}/functions.sh"
requires qemu-img qemu-io jq

some_data disk.raw 6M
qemu-img create -q -f raw empty.raw 10G

# The images: name, format, options.
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

# both ARGUMENT...: what the two programs say and how they end.
both() {
	"$VDISK" "$@" >ours 2>ours.err
	echo "status $?" >>ours
	qemu-img "$@" >theirs 2>theirs.err
	echo "status $?" >>theirs
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
# Their keys are all there with their values; we may know more.
has_theirs() {
	both "$@"
	[ "$(tail -n 1 ours)" = "$(tail -n 1 theirs)" ] || return 1
	sed -i '$d' ours theirs
	jq -S "${keys:-.}" theirs >theirs.json && jq -S "${keys:-.}" ours >ours.json || return 1
	jq -e -n --slurpfile ours ours.json --slurpfile theirs theirs.json '
		[$theirs | paths(type != "object" and type != "array")] |
		length > 0 and all(.[]; . as $p | ($ours | getpath($p)) == ($theirs | getpath($p)))' >/dev/null &&
		return 0
	diff ours.json theirs.json
	return 1
}

while read -r f; do
	format='' mask='' keys=.
	case $f in
	# qemu-img leaves the type of a lone extent empty.
	*.vmdk) mask='/^ +(format|compressed): /d' keys='del(."format-specific".data.extents[].format)' ;;
	# It knows nothing special of these.
	*.vdi | *.vhd | *.vhdx) mask='/^Format specific/,/^status/{/^status/!d}' ;;
	*.hdd) mask='/^cluster_size/d' keys='del(."dirty-flag")' ;;
	esac
	# It would take a fixed VHD for raw.
	[ "$f" != b.vhd ] || format='-f vpc'
	# shellcheck disable=SC2086
	check "info $f" same_text info $format "$f"
	# shellcheck disable=SC2086
	check "info $f as JSON" has_theirs info --output=json $format "$f"

	# A hole of the host in a preallocated image is both data and zero for qemu-img.  It gives
	# places to subclusters that are not there.  What of VDI, VHD and Parallels images is stored
	# nowhere is present for it, or is not; and of VHDX and qcow it knows no map.
	mask='' keys='map(if .zero then .data = false | del(.offset) else . end)'
	case $f in
	*.vdi | *.vhd | *.hdd) keys+='| map(del(.present))' ;;
	*.vhdx | *.qcow) continue ;;
	esac
	keys+='| reduce .[] as $x ([]; if length > 0 and .[-1].zero and $x.zero and .[-1].present == $x.present
		and .[-1].depth == $x.depth then .[-1].length += $x.length else . + [$x] end)'
	# shellcheck disable=SC2086
	check "map $f" same_text map $format "$f"
	# shellcheck disable=SC2086
	check "map $f as JSON" has_theirs map --output=json $format "$f"
done <images
mask='' keys=.

mask='/^ +format: /d' check "info of a chain" same_text info --backing-chain over.qcow2
keys='[.[] | del(."format-specific")]' check "info of a chain as JSON" \
	has_theirs info --output=json --backing-chain over.qcow2
check "names are seen from here" same_text info dir/in.qcow2
mv a.vmdk away
check "info when the parent is not there" same_text info over.qcow2
check "info of the chain then fails" same_status info --backing-chain over.qcow2
mv away a.vmdk
TZ=Asia/Tokyo check "dates are local" same_text snapshot -l over.qcow2
check "no snapshots" same_text snapshot -l a.qcow2
check "a part of a map" same_text map -s 1M -l 3M over.qcow2
check "a part of a map as JSON" same_text map --output=json --start-offset=70000 --max-length=2000000 over.qcow2
check "a map that begins behind the end" same_text map -l 1M -s 5M over.qcow2

for o in "" "-O raw" "-O qcow2"; do
	for f in disk.raw empty.raw a.qcow2 packed.qcow2 over.qcow2 tall.qcow2 a.vmdk a.vdi; do
		# shellcheck disable=SC2086
		mask='/^bitmaps size/d' check "measure $o $f" same_text measure $o "$f"
	done
	for size in 1 512 5G 1T 100001M; do
		# shellcheck disable=SC2086
		check "measure $o --size $size" same_text measure --size $size $o
	done
done
check "measure as JSON" has_theirs measure --output=json -O qcow2 disk.raw
check "measure a snapshot" same_text measure -l first -O raw over.qcow2

while read -r f; do
	format=''
	[ "$f" != b.vhd ] || format='-F vpc'
	# shellcheck disable=SC2086
	check "compare with $f" same_text compare disk.raw $format "$f"
done <images
check "compare quietly" same_text compare -q disk.raw over.qcow2
check "compare strictly" same_text compare -s a.qcow2 packed.qcow2
check "compare sizes strictly" same_text compare -s disk.raw tall.qcow2
cp disk.raw long.raw
truncate -s 8M long.raw
check "compare with a longer one" same_text compare disk.raw long.raw
printf x | dd of=long.raw bs=1 seek=7000000 conv=notrunc status=none
check "data behind the end" same_text compare disk.raw long.raw
check "and the other way round" same_text compare long.raw disk.raw
check "compare with what is not there" same_status compare disk.raw missing.raw

for words in "" "frobnicate" "--frobnicate" "info" "info a.qcow2 b.qcow2" "info --frobnicate a.qcow2" "info -f" \
	"info missing" "info -f qcow2 disk.raw" "info -f frob disk.raw" "info --output=xml disk.raw" "map" \
	"map missing" "map packed.qcow2" "map -s x disk.raw" "map -l -1 disk.raw" "compare disk.raw" \
	"compare missing disk.raw" "measure" "measure --size 1G disk.raw" "measure -O frob disk.raw" \
	"measure --size x" "measure --size 9E" "snapshot missing" "convert disk.raw" "convert -O frob disk.raw x" \
	"convert -S 3 disk.raw x" "convert -S 1G disk.raw x" "convert -m 0 disk.raw x" "convert -l nothing over.qcow2 x" \
	"convert missing x" "convert disk.raw no/such/dir"; do
	# shellcheck disable=SC2086
	check "vdisk $words: fails alike" same_status $words
done
check "and leaves nothing" [ ! -e x ]

# Copies.

converts() { # REFERENCE ARGUMENT...: to out.raw
	local ref=$1
	shift
	rm -f out.raw
	"$VDISK" convert "$@" out.raw && cmp "$ref" out.raw
}
blocks() { stat -c %b "$1"; }
while read -r f; do
	format=''
	[ "$f" != b.vhd ] || format='-f vpc'
	[ "$f" != empty.raw ] || continue
	# shellcheck disable=SC2086
	qemu-img convert $format -O raw "$f" ref.raw
	# shellcheck disable=SC2086
	check "convert $f" converts ref.raw $format -O raw "$f"
	check "$f stays sparse" [ "$(blocks out.raw)" -le $(($(blocks ref.raw) + 64)) ]
done <images
qemu-img convert -l first -O raw over.qcow2 first.raw
for l in first snapshot.name=first snapshot.id=1 1; do
	check "convert -l $l" converts first.raw -l "$l" over.qcow2
done
cat disk.raw long.raw disk.raw >joined.raw
check "several images one behind the other" converts joined.raw -f raw disk.raw long.raw disk.raw
check "with one thread" converts joined.raw -m 1 -f raw disk.raw long.raw disk.raw
check "with many" converts joined.raw -m 16 -W -f raw disk.raw long.raw disk.raw
check "convert -S 0" converts disk.raw -S 0 a.qcow2
check "stores it all" [ "$(blocks out.raw)" -ge $((6 * 2048)) ]
check "a large empty disk is quick" timeout 10 "$VDISK" convert empty.raw huge.raw
check "and takes no room" [ "$(stat -c '%s %b' huge.raw)" = "10737418240 0" ]
noise 3 7000000 >old.raw
cp old.raw out.raw
check "convert -n" "$VDISK" convert -n a.qcow2 out.raw
check "has the disk" cmp -n 6291456 disk.raw out.raw
check "and nothing else is touched" cmp -i 6291456 old.raw out.raw
check_not "convert -n into what is too small" "$VDISK" convert -n tall.qcow2 out.raw
check_not "an image is not converted into itself" "$VDISK" convert disk.raw disk.raw
check_not "nor into its parent" "$VDISK" convert over.qcow2 a.vmdk
check "which is whole" cmp disk.raw ref.raw
check "progress" eval '"$VDISK" convert -p a.qcow2 out.raw | grep -q "(100.00/100%)"'
check "no progress when quiet" eval '[ -z "$("$VDISK" convert -p -q a.qcow2 out.raw)" ]'
cp a.qcow2 torn.qcow2
truncate -s 200k torn.qcow2
check_not "what cannot be read" "$VDISK" convert torn.qcow2 gone.raw
check "leaves no half of a copy" [ ! -e gone.raw ]
"$VDISK" compare disk.raw torn.qcow2
check "compare then ends with 4" [ $? = 4 ]

# What qemu-img has not.

check "a picture in the terminal" eval '"$VDISK" map --picture over.qcow2 | grep -q "^1  a.vmdk  vmdk, .* of data"'
check "a picture as SVG" "$VDISK" map --picture=over.svg over.qcow2
check "is XML" eval '! command -v xmllint >/dev/null || xmllint --noout over.svg'
check "has both images" eval 'grep -q ">0 over.qcow2" over.svg && grep -q ">1 a.vmdk" over.svg'
check "a tree" eval '"$VDISK" info --tree over.qcow2 >tree'
check "has it all" eval 'grep -q "first" tree && grep -q "based on a.vmdk" tree'
check "snapshots as JSON" eval '[ "$("$VDISK" snapshot --output=json over.qcow2 | jq -r ".[0].name")" = first ]'
