#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# vdisk's verbs that write: create, convert, resize and check, verified with qemu-img; and command lines of
# qemu-img tutorials, run with both programs.
. "${0%/*}/functions.sh"
requires qemu-img qemu-io jq

fails() { # PATTERN ARGUMENT...: exits with status 1 and a message that matches
	local pattern=$1
	shift
	"$VDISK" "$@" >out 2>err
	[ $? = 1 ] || return 1
	cat err >&2
	grep -qE -e "$pattern" err
}
fails_not() { # PATTERN ARGUMENT...: succeeds with a warning that matches
	local pattern=$1
	shift
	"$VDISK" "$@" >out 2>err && grep -qE -e "$pattern" err
}
prints_line() { # LINE ARGUMENT...: prints exactly this line
	local line=$1
	shift
	[ "$("$VDISK" "$@")" = "$line" ]
}
some_data disk.raw 6M

# create

check "create raw" prints_line "Formatting 'a.img', fmt=raw size=10737418240" create -f raw a.img 10G
check "create raw: the size, and nothing allocated" [ "$(stat -c '%s %b' a.img)" = "10737418240 0" ]
check "create without -f, named .qcow2: a warning" fails_not "warning: a.qcow2: .*-f qcow2" create a.qcow2 1M
check "the warning is one line" [ "$(wc -l <err)" = 1 ]
check "the file is raw" [ "$(stat -c %s a.qcow2)" = 1048576 ]
check "create -f raw, named .qcow2: no warning" eval '"$VDISK" create -f raw a.qcow2 1M 2>&1 >/dev/null | wc -c | grep -qx 0'
check "convert without -O, named .vdi: a warning" fails_not "warning: a.vdi: .*-O vdi" convert disk.raw a.vdi
check "raw is the default" prints_line "Formatting 'b.img', fmt=raw size=1572864" create b.img 1.5M
check "create -q" prints_line "" create -q c.img 1M
check "create -o size=" prints_line "Formatting 'd.img', fmt=raw size=4096" create -o size=4k d.img
for p in falloc full; do
	check "preallocation=$p" "$VDISK" create -q -o preallocation=$p $p.img 1M
	check "preallocation=$p allocates blocks" [ "$(stat -c '%s %b' $p.img)" = "1048576 2048" ]
done
cp disk.raw kept.raw
for o in "-o frob=1 kept.raw 1M" "-f qcow2 -o cluster_size=3 kept.raw 1M" "-f qcow2 -o compat=0.10,extended_l2=on kept.raw 1M" \
	"-f vhdx -o block_size=3M kept.raw 1M" "-f vmdk kept.raw 100P" "-f raw kept.raw" "-f qcow2 -b none.img -F raw kept.raw"; do
	# shellcheck disable=SC2086
	check_not "create $o over an image" "$VDISK" create $o
	ln kept.raw link.raw
	# shellcheck disable=SC2086
	check_not "create $o over an image with two names, in place" "$VDISK" create $o
	check "the image has not changed" cmp disk.raw kept.raw
	rm link.raw
done
check "create replaces an image" "$VDISK" create -q kept.raw 1M
check "the new image is empty" [ "$(stat -c '%s %b' kept.raw)" = "1048576 0" ]
: >empty.raw
check "create replaces an empty file" "$VDISK" create -q empty.raw 1M
check "create without a size" fails "needs a size" create none.img
check "create with an invalid size" fails "Invalid image size" create none.img 1X
check "create with a negative size" fails "Invalid image size" create none.img -1M
check "create without a name" fails "Expecting image file name" create
check "create with an unknown format" fails "Unknown file format 'frob'" create -f frob none.img 1M
check "create with an unknown option" fails "frob" create -o frob=1 none.img 1M
check "create with an invalid value" fails "preallocation" create -o preallocation=some none.img 1M
check "create raw with a backing file" fails "Backing file not supported" create -b disk.raw -F raw none.img
check "create in a missing directory" fails "No such file" create no/where.img 1M
check "the failed commands created no file" [ ! -e none.img ]
check "create -o help" eval '"$VDISK" create -o help | grep -q "^  preallocation=<str>"'

# A mounted image cannot be replaced, resized or converted to.

cp disk.raw busy.raw
mount_image busy.raw mnt -o format=raw
check "create over a mounted image" fails "in use" create busy.raw 1M
check "resize of a mounted image" fails "in use" resize -f raw busy.raw 1M --shrink
check "convert to a mounted image" fails "in use" convert disk.raw busy.raw
check "the mounted image has not changed" cmp disk.raw busy.raw
unmount mnt
if is_root && loop=$(losetup -f --show busy.raw); then
	check "create over the file of a loop device" fails "in use by the loop device" create busy.raw 1M
	check "convert to the file of a loop device" fails "in use by the loop device" convert disk.raw busy.raw
	ln busy.raw link.raw
	check "create over the file of a loop device, in place" fails "in use by the loop device" create busy.raw 1M
	check "the file has not changed" cmp disk.raw busy.raw
	rm link.raw
	mkfs.ext4 -q "$loop"
	mkdir -p fs
	mount "$loop" fs
	check "create over a mounted device" fails "device is in use" create "$loop" 1M
	check "the device has not changed" eval 'e2fsck -fn "$loop" >&2; [ "$(blkid -o value -s TYPE -p "$loop")" = ext4 ]'
	umount fs
	losetup -d "$loop"
else
	skip "loop devices need root"
fi
if is_root && truncate -s 1M swap.raw && mkswap -q swap.raw 2>/dev/null; then
	dd if=/dev/zero of=swap.raw bs=1M count=1 conv=notrunc status=none
	chmod 600 swap.raw && mkswap -q swap.raw
	if swapon swap.raw 2>/dev/null; then
		check "create over swap space" fails "in use as swap space" create swap.raw 1M
		swapoff swap.raw
	else
		skip "swap space on a file is not possible here"
	fi
fi

# Files that the new image itself needs.

qemu-img create -q -f qcow2 base.qcow2 1M
qemu-img create -q -f qcow2 -b base.qcow2 -F qcow2 top.qcow2
cp base.qcow2 base.before
for o in "base.qcow2 -F qcow2" "./base.qcow2 -F qcow2" "top.qcow2 -F qcow2"; do
	# shellcheck disable=SC2086
	check_not "create over a file of its chain, -b $o" "$VDISK" create -q -f qcow2 -b $o base.qcow2
	# shellcheck disable=SC2086
	check_not "create -u over a file of its chain, -b $o" "$VDISK" create -q -u -f qcow2 -b ${o/top/base} base.qcow2 1M
	ln base.qcow2 link.qcow2
	# shellcheck disable=SC2086
	check_not "create over a file of its chain, in place, -b $o" "$VDISK" create -q -f qcow2 -b $o base.qcow2
	rm link.qcow2
done
check_not "create with itself as the data file" "$VDISK" create -q -f qcow2 -o data_file=base.qcow2 base.qcow2 1M
check_not "create with its backing file as the data file" "$VDISK" create -q -f qcow2 -b base.qcow2 -F qcow2 -o data_file=base.qcow2 new.qcow2
check "none has changed the file" cmp base.qcow2 base.before
qemu-img create -q -f vmdk -o subformat=monolithicFlat flat.vmdk 6M
dd if=disk.raw of=flat-flat.vmdk conv=notrunc status=none
cp flat.vmdk flat.before
mount_image flat-flat.vmdk mnt -o format=raw
check "create over an image, one of whose files is mounted" fails "in use" create -f vmdk -o subformat=monolithicFlat flat.vmdk 3M
check "neither file has changed" eval 'cmp flat.vmdk flat.before && cmp flat-flat.vmdk disk.raw'
unmount mnt

# resize

cp disk.raw r.raw
check "resize by +2M" prints_line "Image resized." resize -f raw r.raw +2M
check "the grown size" [ "$(stat -c %s r.raw)" = 8388608 ]
check "the data of the grown disk" cmp -n 6291456 disk.raw r.raw
check "shrinking needs --shrink" fails "shrink" resize -f raw r.raw -3M
check "the size without --shrink" [ "$(stat -c %s r.raw)" = 8388608 ]
check "resize --shrink by -3M" prints_line "" resize -q -f raw --shrink r.raw -3M
check "the shrunk size" [ "$(stat -c %s r.raw)" = 5242880 ]
check "resize to a size" prints_line "Image resized." resize -f raw r.raw 6M
check "resize to a negative size" fails "must be positive" resize -f raw --shrink r.raw -7M
check "resize to an invalid size" fails "Invalid size" resize -f raw r.raw much
check "resize without a size" fails "Expecting image file name and size" resize r.raw

# longer FORMAT [OPTION...]: grows a disk so far that its tables must move; the data stays, and QEMU finds no error.
longer() {
	qemu-img convert -q -f raw -O "$1" "${@:2}" r.raw "long.$1" && "$VDISK" resize -q "long.$1" 300G &&
		"$VDISK" check -q "long.$1" && qemu-img check -q -f "$1" "long.$1" || return 1
	qemu-img dd -f "$1" -O raw bs=1M count=6 "if=long.$1" of=long.raw && cmp long.raw r.raw &&
		qemu-io -r -f "$1" -c 'read -P 0 6M 1M' -c 'read -P 0 299G 1M' "long.$1" >/dev/null
}
check "resize moves the tables of a vdi image" longer vdi
check "resize moves the tables of a vhdx image" longer vhdx -o block_size=1M

# libvhdi uses the "original size" of a VHD.
media_size() { vhdiinfo sized.vhd | grep -qE "Media size.*[ (]$1 bytes"; }
if command -v vhdiinfo >/dev/null; then
	for subformat in dynamic fixed; do
		rm -f sized.vhd
		"$VDISK" create -q -f vpc -o subformat=$subformat sized.vhd 12345856
		check "libvhdi reads the size of a $subformat VHD" media_size 12345856
		"$VDISK" resize -q -f vpc sized.vhd 312345600
		check "libvhdi reads the size of a $subformat VHD after resize" media_size 312345600
	done
else
	skip "libvhdi: not installed"
fi

# convert to all formats.

qemu-img create -q -f qcow2 -b disk.raw -F raw over.qcow2 8M
qemu-io -f qcow2 -c 'write -P 6 2M 64k' -c 'write -z 1M 128k' -c 'write -P 9 7M 4k' over.qcow2 >/dev/null
qemu-img convert -q -O raw over.qcow2 over.raw
while read -r format options; do
	for source in disk.raw over.qcow2; do
		ref=${source%.*}.raw
		rm -f made
		check "convert $source to $format $options" \
			"$VDISK" convert -O "$format" ${options:+-o "$options"} "$source" made
		check "$source to $format $options: the disk is equal" qemu-img compare -q -f raw -F "$format" "$ref" made
		qemu-img check -q -f "$format" made 2>/dev/null
		status=$?
		check "$source to $format $options: no errors" [ $status = 0 -o $status = 63 ]
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
check "convert to raw with a backing file" fails "Backing file not supported" convert -B disk.raw -F raw over.qcow2 no.raw
check "convert with an unknown option" fails . convert -O qcow2 -o frob=1 disk.raw no.raw
check "convert to a read-only format" fails "does not support image creation" convert -O bochs disk.raw no.raw
check "the failed commands created no file" [ ! -e no.raw ]
if losetup -f >/dev/null 2>&1 && is_root; then
	noise 5 8388608 >device.raw
	truncate -s 8M device.raw
	loop=$(losetup -f --show device.raw)
	check "convert onto a device" "$VDISK" convert over.qcow2 "$loop"
	check "zeroes overwrite the data of the device" cmp over.raw "$loop"
	check "convert onto a device that is too small" fails "no space|smaller" convert a.img "$loop"
	losetup -d "$loop"

	# Images on devices that have old data, with space after the image.
	for kind in qcow2 vdi "vdi -o static=on" vpc "vpc -o subformat=fixed" vhdx vmdk; do
		noise 6 70000000 >device.raw
		loop=$(losetup -f --show device.raw)
		# shellcheck disable=SC2086
		check "convert onto a device, $kind" "$VDISK" convert -O $kind over.qcow2 "$loop"
		check "$kind on a device: the disk is equal" qemu-img compare -q -f raw -F "${kind%% *}" over.raw "$loop"
		# shellcheck disable=SC2086
		check "create on a device, $kind" "$VDISK" create -q -f $kind "$loop" 8M
		check "convert -n onto a device, $kind" "$VDISK" convert -n -O "${kind%% *}" over.qcow2 "$loop"
		check "convert -n, $kind: the disk is equal" qemu-img compare -q -f raw -F "${kind%% *}" over.raw "$loop"
		check "convert -n, $kind: no errors" "$VDISK" check -q -f "${kind%% *}" "$loop"
		losetup -d "$loop"
	done
	noise 7 1048576 >device.raw
	loop=$(losetup -f --show device.raw)
	noise 7 1048576 >device.ref
	for kind in raw qcow2 vdi vpc vhdx vmdk "vpc -o subformat=fixed"; do
		# shellcheck disable=SC2086
		check "convert to $kind onto a device that is too small" fails "no space|has only|No space" convert -O $kind over.qcow2 "$loop"
		check "the device has not changed, $kind" cmp "$loop" device.ref
	done
	losetup -d "$loop"
fi

# A file system that cannot hold the new image keeps the old one, also if it is overwritten in place.
if is_root; then
	mkdir full && mount -t tmpfs -o size=1200k tmpfs full
	noise 8 900000 >full/a.raw
	ln full/a.raw full/b.raw
	cp full/a.raw kept.raw
	check "convert in place on a full file system" fails "no space" convert disk.raw full/a.raw
	check "the file in place has not changed" cmp full/b.raw kept.raw
	rm full/b.raw
	check "convert with a temporary file on a full file system" fails "No space" convert disk.raw full/a.raw
	check "the replaced file has not changed" cmp full/a.raw kept.raw
	check "no temporary file is left" [ "$(ls -A full)" = a.raw ]
	umount full
fi

# Modes of new and of replaced files.
(umask 027 && "$VDISK" convert over.qcow2 mode.raw && "$VDISK" create -q mode2.raw 1M)
check "new files have the mode of the umask" [ "$(stat -c %a mode.raw mode2.raw | tr '\n' ' ')" = "640 640 " ]
chmod 604 mode.raw
setfattr -n user.note -v kept mode.raw
check "convert replaces a file" "$VDISK" convert -O qcow2 over.qcow2 mode.raw
check "the replaced file keeps its mode" [ "$(stat -c %a mode.raw)" = 604 ]
check "the replaced file keeps its extended attributes" [ "$(getfattr --only-values -n user.note mode.raw)" = kept ]
ln -s mode.raw link.raw
check "convert to a symbolic link" "$VDISK" convert over.qcow2 link.raw
check "the link stays, its target is replaced" eval '[ -L link.raw ] && cmp over.raw mode.raw'
for t in unsafe writeback none; do
	check "convert -t $t" eval '"$VDISK" convert -t $t over.qcow2 t.raw && cmp over.raw t.raw'
done

# check of damaged images.

checks_alike() { # IMAGE: counts and status are those of qemu-img
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
check "check of a leak" checks_alike leak.qcow2
cp good.qcow2 low.qcow2
poke low.qcow2 $((refblock + 2 * 5)) '\0\0'
check "check of a refcount that is too low" checks_alike low.qcow2
cp good.qcow2 high.qcow2
poke high.qcow2 $((refblock + 2 * 5)) '\0\7'
check "check of a refcount that is too high" checks_alike high.qcow2
check "check of raw exits with 63" eval '"$VDISK" check disk.raw; [ $? = 63 ]'
check "check -q" prints_line "" check -q good.qcow2
check "check of a missing image" fails "No such file" check missing.qcow2
check "check -r with an invalid argument" fails "leaks, all" check -r some good.qcow2

# Command lines of tutorials.

t() { # STATUS PATTERN ARGUMENT...: both programs exit with STATUS, and the output of vdisk matches
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
check "qemu-img check: the image end offset" t 0 '^Image end offset: [0-9]+$' check source.qcow2
qemu-img snapshot -c ubuntu_fresh before/source.qcow2
check "qemu-img snapshot -l" t 0 '^1 +ubuntu_fresh +0 B ' snapshot -l source.qcow2
