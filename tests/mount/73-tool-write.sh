#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# vdisk's verbs that write, with qemu-img as their referee: create, convert, resize, check; and the
# command lines that tutorials teach, with vdisk in the place of qemu-img.
. "${0%/*}/functions.sh"
requires qemu-img qemu-io jq

fails() { # PATTERN ARGUMENT...: with status 1
	local pattern=$1
	shift
	"$VDISK" "$@" >out 2>err
	[ $? = 1 ] || return 1
	cat err >&2
	grep -qE -e "$pattern" err
}
fails_not() { # PATTERN ARGUMENT...: that is in what it says on standard error
	local pattern=$1
	shift
	"$VDISK" "$@" >out 2>err && grep -qE -e "$pattern" err
}
says() { # LINE ARGUMENT...: that alone
	local line=$1
	shift
	[ "$("$VDISK" "$@")" = "$line" ]
}
some_data disk.raw 6M

# create

check "create raw" says "Formatting 'a.img', fmt=raw size=10737418240" create -f raw a.img 10G
check "has its size, and takes no room" [ "$(stat -c '%s %b' a.img)" = "10737418240 0" ]
check "raw under another name is warned of" fails_not "warning: a.qcow2: .*-f qcow2" create a.qcow2 1M
check "in one line" [ "$(wc -l <err)" = 1 ]
check "and made" [ "$(stat -c %s a.qcow2)" = 1048576 ]
check "not when asked for" eval '"$VDISK" create --force -f raw a.qcow2 1M 2>&1 >/dev/null | wc -c | grep -qx 0'
check "convert warns, too" fails_not "warning: a.vdi: .*-O vdi" convert disk.raw a.vdi
check "raw is the default" says "Formatting 'b.img', fmt=raw size=1572864" create b.img 1.5M
check "quietly" says "" create -q c.img 1M
check "size as a word" says "Formatting 'd.img', fmt=raw size=4096" create -o size=4k d.img
for p in falloc full; do
	check "preallocation=$p" "$VDISK" create -q -o preallocation=$p $p.img 1M
	check "has its room" [ "$(stat -c '%s %b' $p.img)" = "1048576 2048" ]
done
cp disk.raw kept.raw
check "an image that is there is kept" fails "File exists" create kept.raw 1M
check "as it is" cmp disk.raw kept.raw
check "--force replaces it" "$VDISK" create -q --force kept.raw 1M
check "with an empty one" [ "$(stat -c '%s %b' kept.raw)" = "1048576 0" ]
: >empty.raw
check "an empty file is no image" "$VDISK" create -q empty.raw 1M
check "no size" fails "needs a size" create none.img
check "a wrong size" fails "Invalid image size" create none.img 1X
check "a negative size" fails "Invalid image size" create none.img -1M
check "no name" fails "Expecting image file name" create
check "an unknown format" fails "Unknown file format 'frob'" create -f frob none.img 1M
check "an unknown word" fails "frob" create -o frob=1 none.img 1M
check "a wrong value" fails "preallocation" create -o preallocation=some none.img 1M
check "a raw image has no parent" fails "without a backing file" create -b disk.raw -F raw none.img
check "no directory" fails "No such file" create no/where.img 1M
check "nothing was made" [ ! -e none.img ]
check "create -o help" eval '"$VDISK" create -o help | grep -q "^  preallocation=<str>"'

# A disk that somebody reads is neither replaced nor resized nor converted into.

cp disk.raw busy.raw
mount_image busy.raw mnt -o format=raw
check "a busy image is not replaced" fails "in use" create --force busy.raw 1M
check "nor resized" fails "in use" resize -f raw busy.raw 1M --shrink
check "nor converted into" fails "in use" convert disk.raw busy.raw
check "it is as it was" cmp disk.raw busy.raw
unmount mnt

# resize

cp disk.raw r.raw
check "grow" says "Image resized." resize -f raw r.raw +2M
check "to" [ "$(stat -c %s r.raw)" = 8388608 ]
check "with what it had" cmp -n 6291456 disk.raw r.raw
check "shrinking needs a word" fails "shrink" resize -f raw r.raw -3M
check "and is not done without it" [ "$(stat -c %s r.raw)" = 8388608 ]
check "shrink" says "" resize -q -f raw --shrink r.raw -3M
check "down to" [ "$(stat -c %s r.raw)" = 5242880 ]
check "to a size" says "Image resized." resize -f raw r.raw 6M
check "below nothing" fails "must be positive" resize -f raw --shrink r.raw -7M
check "to no size" fails "Invalid size" resize -f raw r.raw much
check "no size at all" fails "Expecting image file name and size" resize r.raw

# longer FORMAT [OPTION...]: far past what its tables have room for; nothing is lost, and QEMU finds no fault.
longer() {
	qemu-img convert -q -f raw -O "$1" "${@:2}" r.raw "long.$1" && "$VDISK" resize -q "long.$1" 300G &&
		"$VDISK" check -q "long.$1" && qemu-img check -q -f "$1" "long.$1" || return 1
	qemu-img dd -f "$1" -O raw bs=1M count=6 "if=long.$1" of=long.raw && cmp long.raw r.raw &&
		qemu-io -r -f "$1" -c 'read -P 0 6M 1M' -c 'read -P 0 299G 1M' "long.$1" >/dev/null
}
check "a vdi disk much longer" longer vdi
check "a vhdx disk much longer" longer vhdx -o block_size=1M

# libvhdi goes by the size that VHDs call the original one.
media_size() { vhdiinfo sized.vhd | grep -qE "Media size.*[ (]$1 bytes"; }
if command -v vhdiinfo >/dev/null; then
	for subformat in dynamic fixed; do
		rm -f sized.vhd
		"$VDISK" create -q -f vpc -o subformat=$subformat sized.vhd 12345856
		check "libvhdi knows the size of a $subformat VHD" media_size 12345856
		"$VDISK" resize -q -f vpc sized.vhd 312345600
		check "and the one that it gets" media_size 312345600
	done
else
	skip "libvhdi: not installed"
fi

# convert to all that can be made.

qemu-img create -q -f qcow2 -b disk.raw -F raw over.qcow2 8M
qemu-io -f qcow2 -c 'write -P 6 2M 64k' -c 'write -z 1M 128k' -c 'write -P 9 7M 4k' over.qcow2 >/dev/null
qemu-img convert -q -O raw over.qcow2 over.raw
while read -r format options; do
	for source in disk.raw over.qcow2; do
		ref=${source%.*}.raw
		rm -f made
		check "convert $source to $format $options" \
			"$VDISK" convert -O "$format" ${options:+-o "$options"} "$source" made
		check "$source to $format $options is the same disk" qemu-img compare -q -f raw -F "$format" "$ref" made
		qemu-img check -q -f "$format" made 2>/dev/null
		status=$?
		check "$source to $format $options has no damage" [ $status = 0 -o $status = 63 ]
	done
done <<'END'
raw
qcow2
vmdk
vmdk subformat=streamOptimized
vdi
vpc
vhdx
END
check "convert with a parent for raw" fails "without a backing file" convert -B disk.raw -F raw over.qcow2 no.raw
check "convert with an unknown word" fails . convert -O qcow2 -o frob=1 disk.raw no.raw
check "convert to what only is read" fails "does not support image creation" convert -O bochs disk.raw no.raw
check "nothing was made of it" [ ! -e no.raw ]
if losetup -f >/dev/null 2>&1 && is_root; then
	noise 5 8388608 >device.raw
	truncate -s 8M device.raw
	loop=$(losetup -f --show device.raw)
	check "convert onto a device" "$VDISK" convert over.qcow2 "$loop"
	check "zeroes are written over" cmp over.raw "$loop"
	check "a device too small" fails "no space|smaller" convert a.img "$loop"
	losetup -d "$loop"

	# Images on devices that hold old bytes, with room behind them.
	for kind in qcow2 vdi "vdi -o static=on" vpc "vpc -o subformat=fixed" vhdx vmdk; do
		noise 6 70000000 >device.raw
		loop=$(losetup -f --show device.raw)
		# shellcheck disable=SC2086
		check "convert onto a device, $kind" "$VDISK" convert -O $kind over.qcow2 "$loop"
		check "QEMU reads the same, $kind" qemu-img compare -q -f raw -F "${kind%% *}" over.raw "$loop"
		# shellcheck disable=SC2086
		check "create on a device, $kind" "$VDISK" create -q --force -f $kind "$loop" 8M
		check "convert -n, $kind" "$VDISK" convert -n -O "${kind%% *}" over.qcow2 "$loop"
		check "it is the same, $kind" qemu-img compare -q -f raw -F "${kind%% *}" over.raw "$loop"
		check "and has no damage, $kind" "$VDISK" check -q -f "${kind%% *}" "$loop"
		losetup -d "$loop"
	done
	noise 7 1048576 >device.raw
	loop=$(losetup -f --show device.raw)
	noise 7 1048576 >device.ref
	for kind in raw qcow2 vdi vpc vhdx vmdk "vpc -o subformat=fixed"; do
		# shellcheck disable=SC2086
		check "a device too small for $kind" fails "no space|has only|No space" convert -O $kind over.qcow2 "$loop"
		check "is as it was, $kind" cmp "$loop" device.ref
	done
	losetup -d "$loop"
fi

# A file in place is not emptied when its file system cannot hold the new one.
if is_root; then
	mkdir full && mount -t tmpfs -o size=1200k tmpfs full
	noise 8 900000 >full/a.raw
	ln full/a.raw full/b.raw
	cp full/a.raw kept.raw
	check "no room for what is written in place" fails "no space" convert disk.raw full/a.raw
	check "nothing is overwritten" cmp full/b.raw kept.raw
	rm full/b.raw
	check "no room beside the file that is replaced" fails "No space" convert disk.raw full/a.raw
	check "it is as it was" cmp full/a.raw kept.raw
	check "and alone" [ "$(ls -A full)" = a.raw ]
	umount full
fi

# Modes: as of any new file, or as they were.
(umask 027 && "$VDISK" convert over.qcow2 mode.raw && "$VDISK" create -q mode2.raw 1M)
check "new files have the usual mode" [ "$(stat -c %a mode.raw mode2.raw | tr '\n' ' ')" = "640 640 " ]
chmod 604 mode.raw
setfattr -n user.note -v kept mode.raw
check "a file that is replaced" "$VDISK" convert -O qcow2 over.qcow2 mode.raw
check "keeps its mode" [ "$(stat -c %a mode.raw)" = 604 ]
check "and its attributes" [ "$(getfattr --only-values -n user.note mode.raw)" = kept ]
ln -s mode.raw link.raw
check "a file behind a link" "$VDISK" convert over.qcow2 link.raw
check "is written, and the link stays" eval '[ -L link.raw ] && cmp over.raw mode.raw'
for t in unsafe writeback none; do
	check "convert -t $t" eval '"$VDISK" convert -t $t over.qcow2 t.raw && cmp over.raw t.raw'
done

# check, on images with planted damage.

checks_alike() { # IMAGE: the counts and the status of qemu-img
	local f=$1 keys='{corruptions, leaks, "check-errors", "total-clusters", "allocated-clusters",
		"fragmented-clusters", "compressed-clusters", "image-end-offset"}'
	"$VDISK" check --output=json "$f" >ours 2>ours.err
	echo $? >ours.status
	qemu-img check --output=json "$f" >theirs 2>theirs.err
	echo $? >theirs.status
	cat ours.err
	diff ours.status theirs.status && diff <(jq -S "$keys" ours) <(jq -S "$keys" theirs) || return 1
	diff <("$VDISK" check "$f" 2>/dev/null) <(qemu-img check "$f" 2>/dev/null)
}
poke() { # FILE POSITION BYTES...
	printf '%b' "$3" | dd of="$1" bs=1 seek=$(($2)) conv=notrunc status=none
}
qemu-img convert -q -f raw -O qcow2 disk.raw good.qcow2
qemu-img convert -q -c -f raw -O qcow2 disk.raw packed.qcow2
qemu-img convert -q -f raw -O qcow2 -o compat=0.10 disk.raw old.qcow2
for f in good packed old over; do
	check "check $f.qcow2" checks_alike $f.qcow2
done
refblock=$(qemu-io -f raw -r -c 'read -v 65536 8' good.qcow2 | awk '/^00010000/ { print "0x" $2 $3 $4 $5 $6 $7 $8 $9 }')
cp good.qcow2 leak.qcow2
poke leak.qcow2 $((refblock + 2 * 100)) '\0\1'
check "a leak" checks_alike leak.qcow2
cp good.qcow2 low.qcow2
poke low.qcow2 $((refblock + 2 * 5)) '\0\0'
check "a count too low" checks_alike low.qcow2
cp good.qcow2 high.qcow2
poke high.qcow2 $((refblock + 2 * 5)) '\0\7'
check "a count too high" checks_alike high.qcow2
check "check finds nothing to check in raw" eval '"$VDISK" check disk.raw; [ $? = 63 ]'
check "check quietly" says "" check -q good.qcow2
check "check of nothing" fails "No such file" check missing.qcow2
check "check -r with another word" fails "leaks, all" check -r some good.qcow2

# Tutorials.

t() { # STATUS EXPECTED-PATTERN LINE...: both programs end so, and what ours says matches
	local status=$1 pattern=$2 got
	shift 2
	rm -rf tutorial
	cp -r before tutorial
	got=$(cd tutorial && "$VDISK" "$@" 2>&1)
	local ours=$?
	(cd before && qemu-img "$@" >/dev/null 2>&1)
	local theirs=$?
	echo "$got (status $ours, theirs $theirs)"
	[ $ours = "$status" ] && [ $theirs = "$status" ] && grep -qE -e "$pattern" <<<"$got"
}
mkdir before
check "qemu-img create -f raw" t 0 "^Formatting 'ubuntu.img', fmt=raw size=10737418240" create -f raw ubuntu.img 10G
check "qemu-img info ubuntu.img" t 0 '^virtual size: 10 GiB \(10737418240 bytes\)' info ubuntu.img
check "qemu-img check ubuntu.img" t 63 'This image format does not support checks' check ubuntu.img
cp disk.raw before/source.img
for f in vmdk qcow2 vdi; do
	qemu-img convert -q -f raw -O $f disk.raw before/source.$f
	check "qemu-img info source.$f" t 0 "^file format: $f" info source.$f
	check "qemu-img convert -f $f -O raw" t 0 '^$' convert -f $f -O raw source.$f target.img
	rm -f before/target.img
done
check "qemu-img convert -O qcow2" t 0 '^$' convert -O qcow2 source.vmdk target.qcow2
check "qemu-img convert -f vmdk -O qcow2" t 0 '^$' convert -f vmdk -O qcow2 source.vmdk target.qcow2
check "qemu-img convert -f raw -O vdi" t 0 '^$' convert -f raw -O vdi source.img target.vdi
check "qemu-img convert -f vdi -O qcow2" t 0 '^$' convert -f vdi -O qcow2 source.vdi target.qcow2
check "qemu-img check" t 0 '^No errors were found on the image.' check source.qcow2
check "and says where the image ends" t 0 '^Image end offset: [0-9]+$' check source.qcow2
qemu-img snapshot -c ubuntu_fresh before/source.qcow2
check "qemu-img snapshot -l" t 0 '^1 +ubuntu_fresh +0 B ' snapshot -l source.qcow2
