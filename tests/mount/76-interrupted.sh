#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# vdisk's verbs that write, killed before each system call that changes a file: a new file is complete or absent, and
# an existing one keeps its old or has its new contents.
. "${0%/*}/functions.sh"
requires qemu-img qemu-io jq
kill=$BUILD/tests/mount/killwrite.so
export ASAN_OPTIONS="${ASAN_OPTIONS:-}:verify_asan_link_order=0"

some_data old.raw 1M
some_data disk.raw 3M

# states PREPARE JUDGE COMMAND...: kills the command before system call 1, 2, ... until it completes; after the 12th
# only before every third.
states() {
	local prepare=$1 judge=$2 n=1 status
	shift 2
	while :; do
		rm -rf out out[.-]* .out*
		$prepare || { echo "preparing for call $n failed"; return 1; }
		KILL_AT=$n LD_PRELOAD=$kill "$@" >log 2>&1
		status=$?
		case $status in
		0 | 137) ;;
		*) cat log; echo "call $n: status $status"; return 1 ;;
		esac
		$judge $status || { ls -A; echo "killed before call $n"; return 1; }
		[ $status != 0 ] || break
		n=$((n + (n < 12 ? 1 : 3)))
	done
	[ $n -gt 1 ]
}

sound() { # IMAGE
	local status
	"$VDISK" check -q -f "$format" "$1" 2>check.log
	status=$?
	case $status in 0 | 3 | 63) ;; *) cat check.log; return 1 ;; esac
	case $format in qcow2 | vdi | vmdk) qemu-img check -q -f "$format" "$1" >check.log 2>&1 ;; *) return 0 ;; esac
	status=$?
	case $status in 0 | 3 | 63) ;; *) cat check.log; return 1 ;; esac
}
size_of() { "$VDISK" info -f "$1" --output=json "$2" 2>/dev/null | jq '.["virtual-size"]'; }
shows() { # RAW IMAGE [FORMAT]
	local image=$2 f=${3:-$format}
	[ "$(size_of "$f" "$image")" = "$(stat -c %s "$1")" ] || return 1
	[ "$f" != vhdx ] || { # QEMU opens no read-only image with a log to replay
		cp "$image" copy.vhdx && image=copy.vhdx && qemu-img check -q -f vhdx -r all copy.vhdx || return 1
	}
	qemu-img compare -q -f raw -F "$f" "$1" "$image"
}

# convert: no file or the complete image; over another image, the old or the new one.

is_whole() { [ "$1" = 0 ] || [ ! -e out ] || return 1; [ ! -e out ] || shows disk.raw out; }
old_image() { "$VDISK" convert -f raw -O "$format" old.raw out; }
is_old_or_new() {
	if [ "$1" = 0 ]; then shows disk.raw out; else shows old.raw out || shows disk.raw out; fi
}
old_split() { "$VDISK" convert -f raw -O vmdk -o subformat="$subformat" old.raw out; }
# The extents of a split image are overwritten in place: an interrupted convert may leave an image that does not open.
is_old_or_new_or_none() {
	if [ "$1" = 0 ]; then shows disk.raw out; else
		shows old.raw out || shows disk.raw out || ! "$VDISK" info -f vmdk out >/dev/null 2>&1
	fi
}
for format in raw qcow2 vdi vmdk vpc vhdx; do
	check "convert to $format" states : is_whole "$VDISK" convert -f raw -O $format disk.raw out
	check "convert to $format, over an image" states old_image is_old_or_new \
		"$VDISK" convert -f raw -O $format disk.raw out
done
format=qcow2
check "convert -c to qcow2" states : is_whole "$VDISK" convert -c -f raw -O qcow2 disk.raw out
format=vmdk
for subformat in twoGbMaxExtentSparse monolithicFlat streamOptimized; do
	check "convert to $subformat" states : is_whole \
		"$VDISK" convert -f raw -O vmdk -o subformat=$subformat disk.raw out
	check "convert to $subformat, over an image" states old_split is_old_or_new_or_none \
		"$VDISK" convert -f raw -O vmdk -o subformat=$subformat disk.raw out
done

# Signals that can be caught leave no new file, and an existing one unchanged.

leaves() { # FILES SIGNAL COMMAND...
	local files=$1 signal=$2 at
	shift 2
	for at in 1 2 4 7 10 13; do
		KILL_SIGNAL=$signal KILL_AT=$at LD_PRELOAD=$kill "$@" >log 2>&1
		[ $? = $((128 + signal)) ] || { cat log; return 1; }
		[ "$(echo .out* out*)" = "$files" ] || { ls -A; echo "signal $signal at call $at"; return 1; }
	done
}
shopt -s nullglob
rm -rf out* .out*
for signal in 1 2 3 13 15; do
	check "signal $signal leaves no file" leaves "" $signal "$VDISK" convert -f raw -O vdi disk.raw out
	check "signal $signal leaves no extents" leaves "" $signal \
		"$VDISK" convert -f raw -O vmdk -o subformat=twoGbMaxExtentSparse disk.raw out
done
cp old.raw out
check "a signal leaves an existing file" leaves out 15 "$VDISK" convert -f raw -O vdi disk.raw out
check "the existing file has not changed" cmp old.raw out
ln out out2
check "a file with two hard links is overwritten in place" "$VDISK" convert -f raw -O vdi disk.raw out
format=vdi
check "both names have the new image" shows disk.raw out2
check "a signal during an overwrite in place empties the file" leaves "out out2" 15 "$VDISK" convert -f raw -O vdi disk.raw out
check "the file is empty, so it does not open as an image" [ "$(stat -c %s out2)" = 0 ]
rm -f out out2
check "an ignored signal stays ignored" bash -c \
	'trap "" HUP; KILL_SIGNAL=1 KILL_AT=5 LD_PRELOAD='"$kill"' "$1" convert -f raw -O vdi disk.raw out' - "$VDISK"
rm -f out

# create

is_empty_or_absent() {
	[ -e out ] || { [ "$1" != 0 ]; return; }
	truncate -s 3M zero.raw && shows zero.raw out && sound out
}
for format in raw qcow2 vdi vmdk vpc vhdx; do
	check "create $format" states : is_empty_or_absent "$VDISK" create -q -f $format out 3M
done
is_old_or_empty() { truncate -s 3M zero.raw && { shows old.raw out || shows zero.raw out; }; }
format=qcow2
check "create over an image" states old_image is_old_or_empty "$VDISK" create -q -f qcow2 out 3M

# resize: the old or the new size, and no data is lost.

base_of_two() { "$VDISK" convert -f raw -O "$format" disk.raw out; }
is_either() {
	cp disk.raw longer.raw && truncate -s 300M longer.raw && sound out || return 1
	if [ "$1" = 0 ]; then shows longer.raw out; else shows disk.raw out || shows longer.raw out; fi
}
# Data beyond the new end may already be discarded.
is_shorter() {
	head -c 1M disk.raw >shorter.raw && sound out || return 1
	if [ "$1" = 0 ]; then shows shorter.raw out; else
		[ "$(size_of "$format" out)" = 3145728 ] || shows shorter.raw out || return 1
		"$VDISK" convert -f "$format" -O raw out out.now && cmp -n 1048576 disk.raw out.now
	fi
}
for format in raw qcow2 vdi vmdk vpc vhdx; do
	check "resize $format" states base_of_two is_either "$VDISK" resize -q -f $format out 300M
done
fixed() { "$VDISK" convert -f raw -O vpc -o subformat=fixed disk.raw out; }
for format in raw qcow2; do
	check "shrink $format" states base_of_two is_shorter "$VDISK" resize -q --shrink -f $format out 1M
done
format=vpc
check "shrink vpc, fixed" states fixed is_shorter "$VDISK" resize -q --shrink -f vpc out 1M

# commit and rebase: the disk of the overlay does not change, so the command can be repeated.

overlay() {
	"$VDISK" convert -f raw -O "$base" disk.raw out.base && "$VDISK" convert -f raw -O qcow2 old.raw out.other &&
		qemu-img create -q -f qcow2 -b out.base -F "$base" out 3M &&
		qemu-io -f qcow2 -c 'write -P 7 100k 300k' -c 'write -z 1M 128k' out >/dev/null
}
is_committed() {
	shows ref.raw out && sound out || return 1
	[ "$1" = 0 ] || "$VDISK" commit -q out || return 1
	shows ref.raw out.base "$base"
}
is_rebased() { shows ref.raw out && sound out; }
format=qcow2
for base in raw qcow2 vmdk vdi; do
	overlay && qemu-img convert -f qcow2 -O raw out ref.raw
	check "commit to $base" states overlay is_committed "$VDISK" commit -q out
done
base=qcow2
check "rebase" states overlay is_rebased "$VDISK" rebase -b out.other -F qcow2 out
