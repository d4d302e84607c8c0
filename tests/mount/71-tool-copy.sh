#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# vdisk compare and convert over all formats, compared with qemu-img.
. "${0%/*}/functions.sh"
requires qemu-img qemu-io jq
. "$here/tool-images.sh"

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
check "data after the end of the first image" same_text compare disk.raw long.raw
check "data after the end of the second image" same_text compare long.raw disk.raw
check "compare with a missing image" same_status compare disk.raw missing.raw

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
	check "convert $f: the result is sparse" [ "$(blocks out.raw)" -le $(($(blocks ref.raw) + 64)) ]
done <images
qemu-img convert -l first -O raw over.qcow2 first.raw
for l in first snapshot.name=first snapshot.id=1 1; do
	check "convert -l $l" converts first.raw -l "$l" over.qcow2
done
cat disk.raw long.raw disk.raw >joined.raw
check "several images are concatenated" converts joined.raw -f raw disk.raw long.raw disk.raw
check "several images with one thread" converts joined.raw -m 1 -f raw disk.raw long.raw disk.raw
same_each_time() { # ARGUMENT...
	local i
	for i in 1 2 3; do "$VDISK" convert "$@" -O qcow2 disk.raw each-$i.qcow2 || return 1; done
	"$VDISK" convert "$@" -m 1 -O qcow2 disk.raw each-4.qcow2
	for i in 2 3 4; do cmp each-1.qcow2 each-$i.qcow2 || return 1; done
}
check "the same bytes at each run" same_each_time -m 8
check "the same bytes at each run, compressed" same_each_time -m 8 -c
check "several images with 16 threads" converts joined.raw -m 16 -W -f raw disk.raw long.raw disk.raw
check "convert -S 0" converts disk.raw -S 0 a.qcow2
check "convert -S 0 stores zeroes" [ "$(blocks out.raw)" -ge $((6 * 2048)) ]
check "convert of a large empty disk is quick" timeout "$patience" "$VDISK" convert empty.raw huge.raw
check "convert of a large empty disk allocates nothing" [ "$(stat -c '%s %b' huge.raw)" = "10737418240 0" ]
noise 3 7000000 >old.raw
cp old.raw out.raw
check "convert -n" "$VDISK" convert -n a.qcow2 out.raw
check "convert -n: the bytes of the disk" cmp -n 6291456 disk.raw out.raw
check "convert -n: the bytes after the disk do not change" cmp -i 6291456 old.raw out.raw

# Into an existing overlay: with -B, only data that differs from the backing file is stored.

refuses() { # PATTERN ARGUMENT...: fails with one line that matches
	local pattern=$1
	shift
	! "$VDISK" convert "$@" 2>err || return 1
	cat err >&2
	[ "$(wc -l <err)" = 1 ] && grep -qE -e "$pattern" err
}
new_overlay() { qemu-img create -q -f qcow2 -b "$1" -F raw into.qcow2 6M && qemu-io -c 'write -P 5 1M 64k' into.qcow2; }
small() { [ "$(stat -c %s into.qcow2)" -lt 700000 ]; }
cp disk.raw base.raw
qemu-img create -q -f qcow2 -b base.raw -F raw from.qcow2 6M
qemu-io -c 'write -P 6 0 8k' -c 'write -z 4M 64k' from.qcow2 >/dev/null
qemu-img convert -O raw from.qcow2 from.raw
for options in '' '-c' '-S 0'; do
	new_overlay base.raw >/dev/null
	# shellcheck disable=SC2086
	check "convert -n -B $options" "$VDISK" convert -n -O qcow2 -B base.raw $options from.qcow2 into.qcow2
	check "convert -n -B $options: the result is equal" qemu-img compare -q -f raw -F qcow2 from.raw into.qcow2
	[ "$options" = '-S 0' ] || check "convert -n -B $options: only different data is stored" small
done
new_overlay base.raw >/dev/null
check "convert -n -B by another path" "$VDISK" convert -n -O qcow2 -B "$PWD/base.raw" from.qcow2 into.qcow2
check "convert -n -B by another path: only different data is stored" small
check "-B with another backing file" refuses "which has base.raw" -n -O qcow2 -B a.vmdk from.qcow2 into.qcow2
qemu-img create -q -f qcow2 alone.qcow2 6M
check "-B with an image without backing file" refuses "which has none" -n -O qcow2 -B base.raw from.qcow2 alone.qcow2
check "-n and -o" refuses "no effect" -n -O qcow2 -o nonsense from.qcow2 into.qcow2
check "-n without -O does not write raw data to an image" refuses "-O qcow2" -n disk.raw into.qcow2
check "the refused -n without -O has not changed the image" qemu-img compare -q -f raw -F qcow2 from.raw into.qcow2
check_not "convert -n into a smaller image" "$VDISK" convert -n tall.qcow2 out.raw
check_not "convert of an image into itself" "$VDISK" convert disk.raw disk.raw
check_not "convert of an image into its parent" "$VDISK" convert over.qcow2 a.vmdk
check "the parent did not change" cmp disk.raw ref.raw
check "convert -p prints progress" eval '"$VDISK" convert -p a.qcow2 out.raw | grep -q "(100.00/100%)"'
check "convert -p -q prints nothing" eval '[ -z "$("$VDISK" convert -p -q a.qcow2 out.raw)" ]'
cp a.qcow2 torn.qcow2
truncate -s 200k torn.qcow2
check_not "convert of a truncated image" "$VDISK" convert torn.qcow2 gone.raw
check "a failed convert leaves no file" [ ! -e gone.raw ]
"$VDISK" compare disk.raw torn.qcow2
check "compare of a truncated image exits with 4" [ $? = 4 ]
