#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Writing through a mount: bytes, holes, sizes, partitions, loop devices with file systems, sync.
. "${0%/*}/functions.sh"
. "$here/images.sh"
requires qemu-img sfdisk mkfs.ext4 fsck.ext4 losetup fallocate xfs_io perl

# Formats whose images are made by qemu-img and written here: format and options.
kinds() {
	"$VDISKFS" --list-formats | awk '/(, |  )write(,|$)/ { print $1 }' | while read -r f; do
		case $f in
		raw | vdi | vhdx) echo "$f" ;;
		qcow2) printf 'qcow2 %s\n' "" "-o cluster_size=4k" "-o compat=0.10" "-o extended_l2=on" \
			"-o lazy_refcounts=on,refcount_bits=1" ;;
		vpc) echo "vpc -o force_size=on" ;;
		vmdk) printf 'vmdk %s\n' "" "-o subformat=twoGbMaxExtentSparse" "-o subformat=monolithicFlat" ;;
		esac
	done
}

# fails PATTERN COMMAND...: it does, and says why.
fails() {
	local pattern=$1
	shift
	! "$@" 2>fails.err || return 1
	grep -qE "$pattern" fails.err || { cat fails.err >&2; return 1; }
}

# The image agrees with the file ref, and nothing is wrong with it.
judged() {
	local format=$1 image=$2
	qemu-img compare -f "$format" -F raw "$image" ref >&2 || return 1
	case $format in
	raw | vpc) ;;
	*) qemu-img check -q -f "$format" "$image" >&2 ;;
	esac
}

# The same change to the disk and to the file beside it.
both() {
	local f
	for f in mnt/disk.raw ref; do
		"$@" "$f" || return 1
	done
}
put() { dd if=some of="$4" bs=$1 seek=$2 count=$3 conv=notrunc status=none; }
daemon_of() {
	local p
	for p in $(pids_of "$1"); do [ "$(cat "/proc/$p/comm")" != vdiskfs ] || echo "$p"; done
}
punch() { fallocate -p -o "$1" -l "$2" "$3"; }
zero() {
	case $3 in
	mnt/*) fallocate -z -o "$1" -l "$2" "$3" ;;
	*) dd if=/dev/zero of="$3" bs=64k iflag=count_bytes oflag=seek_bytes count="$2" seek="$1" conv=notrunc status=none ;;
	esac # not all file systems have it
}

# Writes in all sizes, through the disk and through a partition, with holes and zeroes between.
scribble() {
	both put 1 1234567 1 && both put 512 100 3 && both put 4096 700 9 && both put 65536 20 40 &&
		both put 1000003 5 2 && both punch 1500000 900000 && both zero 2000000 70000 &&
		both punch 0 4096 && both put 777 33 60 || return 1
	dd if=some of=mnt/partitions/1.raw bs=4096 seek=3 count=20 conv=notrunc status=none || return 1
	dd if=some of=ref bs=4096 seek=$((256 + 3)) count=20 conv=notrunc status=none
}

# Room that is punched out is not stored.
gives_room_back() {
	local before after
	sync mnt/disk.raw
	before=$(stat -c %b mnt/disk.raw)
	both punch $((8 << 20)) $((4 << 20)) || return 1
	after=$(stat -c %b mnt/disk.raw)
	[ "$after" -lt "$before" ] || { echo "$before blocks, then $after" >&2; return 1; }
}

new_ref() {
	truncate -s 0 ref && truncate -s 24M ref
	printf 'label: dos\n2048,40960,83\n' | sfdisk -q ref
}

some_data some 24M
while read -r format options; do
	name="$format${options:+ ${options#-o }}"
	image=disk.$format
	rm -f disk*
	new_ref
	# shellcheck disable=SC2086
	qemu-img create -q -f "$format" $options "$image" 24M || { fail "$name: create"; continue; }
	check "$name: mount" mount_image "$image" mnt -o rw || continue
	check "$name: modes" [ "$(stat -c %a mnt/disk.raw)" = 644 ]
	dd if=ref of=mnt/disk.raw bs=1M conv=notrunc status=none
	check "$name: unmount" unmount mnt
	check "$name: a copy" judged "$format" "$image"

	mount_image "$image" mnt -o rw
	check "$name: scribble" scribble
	check "$name: read back" same mnt/disk.raw ref
	dd if=some of=mnt/disk.raw bs=1M seek=8 count=4 skip=1 conv=notrunc status=none
	dd if=some of=ref bs=1M seek=8 count=4 skip=1 conv=notrunc status=none
	check "$name: holes give room back" gives_room_back
	check "$name: another mount is refused" refused "$image" "in use"
	check "$name: sync" sync mnt/disk.raw
	unmount mnt
	check "$name: after scribbling" judged "$format" "$image"
	check "$name: a read-only mount" matches "$image" ref
done < <(kinds)

# What is written with O_DSYNC is there though the daemon dies, also past the kernel's pages.
"$VDISK" create -q -f qcow2 synced.qcow2 24M
dies() {
	local pids
	mount_image synced.qcow2 mnt -o rw || return 1
	pids=$(pids_of "$W/mnt")
	dd if=some of=mnt/disk.raw bs=256k count=8 oflag=dsync conv=notrunc status=none || return 1
	# shellcheck disable=SC2086
	kill -9 $pids && "$await_exit" "$patience" $pids
	fusermount3 -u mnt
	qemu-img convert -f qcow2 -O raw synced.qcow2 synced.raw && cmp -n $((2 << 20)) synced.raw some
}
check "O_DSYNC" dies

# Zeroes take no room where there are none but zeroes.
"$VDISK" create -q -f qcow2 thin.qcow2 24M
cp some full.raw
dd if=/dev/zero of=full.raw bs=1M seek=2 count=20 conv=notrunc status=none
thin() {
	mount_image thin.qcow2 mnt -o rw || return 1
	cat full.raw >mnt/disk.raw && same mnt/disk.raw full.raw && [ "$(stat -c %b mnt/disk.raw)" -le 8192 ]
	local status=$?
	unmount mnt && return $status
}
check "a copy with zeroes in it" thin
check "takes no room for them" [ "$(stat -c %s thin.qcow2)" -lt 5000000 ]
check "and is the disk" qemu-img compare -q -f qcow2 -F raw thin.qcow2 full.raw

# Where there is no room, whoever writes hears of it, at the latest when the file is closed.
noise 5 1000000 >dense
for i in 1 2 3 4 5 6 7 8 9; do cat dense; done >>dense.9
if is_root; then
	full_host() { # STEPS
		local status=0 small steps=$1
		mkdir -p host && mount -t tmpfs -o size=7M tmpfs host || return 1
		for small in qcow2 vdi vmdk vhdx; do
			"$VDISK" create -q -f $small host/a.$small 24M && mount_image host/a.$small mnt -o rw || { status=1; break; }
			fails "No space left" dd if=dense.9 of=mnt/disk.raw bs=$steps conv=notrunc status=none || status=1
			dd if=dense of=mnt/disk.raw bs=64k count=4 conv=notrunc,fsync status=none || status=1
			cmp -n 262144 mnt/disk.raw dense || status=1
			unmount mnt && qemu-img check -q -f $small host/a.$small || status=1
			rm host/a.$small
		done
		umount host
		return $status
	}
	for steps in 4k 1M; do check "no room on the host, $steps" full_host $steps; done
else
	skip "no room on the host: needs root"
fi

# What only one format need show.
rm -f disk*
new_ref
cp ref disk.raw
mount_image disk.raw mnt -o rw
check "past the end" fails "No space left" dd if=some of=mnt/disk.raw bs=1M seek=24 count=1 conv=notrunc status=none
check "chown is refused" fails "not permitted" chown 4711 mnt/disk.raw
check "info.json cannot be written" fails "Permission denied|Read-only" dd if=some of=mnt/info.json bs=1 count=1 conv=notrunc status=none
check "no new files" fails "Read-only" touch mnt/new
check "a longer disk" truncate -s 25M mnt/disk.raw
check "its size" [ "$(stat -c %s mnt/disk.raw)" = $((25 << 20)) ]
check "a shorter disk" truncate -s 24M mnt/disk.raw
check "a partition keeps its size" fails "not supported" truncate -s 1M mnt/partitions/1.raw
# What one writes the other reads next, though the kernel has read ahead.
seen_at_once() { # SKIP
	local status
	exec 6<mnt/disk.raw
	head -c 4096 <&6 >begin
	dd if=some of=mnt/disk.raw bs=64k count=1 seek=1 skip="$1" conv=notrunc status=none
	head -c 61440 <&6 >>begin
	head -c 65536 <&6 | cmp - <(dd if=some bs=64k skip="$1" count=1 status=none)
	status=$?
	exec 6<&-
	return $status
}
check "a reader sees what is written" seen_at_once 5
exec 7>>mnt/disk.raw
check "also while another only writes" seen_at_once 9
exec 7>&-
check "and after that" seen_at_once 13
check "cp onto the disk" cp some mnt/disk.raw
check "copy_file_range within the mount" xfs_io -c "copy_range -s 512 -d $((22 << 20)) -l 1000000 mnt/partitions/1.raw" mnt/disk.raw
check "what was copied" cmp -n 1000000 <(tail -c +$((1 + (1 << 20) + 512)) some) <(tail -c +$((1 + (22 << 20))) mnt/disk.raw)
check "and copied over" cp some mnt/disk.raw
check "it is the copy" same mnt/disk.raw some
cp ref mnt/disk.raw

if is_root; then
	used() {
		local dev
		mkfs.ext4 -q -F mnt/partitions/1.raw && mkdir -p fs || return 1
		dev=$(losetup -f --show "$W/mnt/partitions/1.raw") || return 1
		mount "$dev" fs && cp -r "$top/formats" "$top/fuse" fs/ && rm -r fs/fuse && sync -f fs/formats &&
			fstrim fs && diff -r "$top/formats" fs/formats && umount fs
		local status=$?
		losetup -d "$dev"
		return $status
	}
	check "a file system on a loop device" used
	check "fsck" fsck.ext4 -f -n mnt/partitions/1.raw
	check "the disk shows the partition" cmp mnt/partitions/1.raw <(tail -c +$((1 + (1 << 20))) mnt/disk.raw | head -c $((20 << 20)))
	unmount mnt
	check "fsck of the image" fsck.ext4 -f -n "disk.raw?offset=1048576"
else
	unmount mnt
fi

# A reader that was there before sees what is written.
byte_is() { [ "$(dd if=mnt/partitions/1.raw bs=1 count=1 status=none | xxd -p)" = "0$1" ]; }
reader_sees() {
	local i status=0
	exec 7<mnt/partitions/1.raw
	for i in 1 2 3 4 5 6 7; do
		head -c 4096 /dev/fd/7 >/dev/null
		printf "\\$i" | dd of=mnt/disk.raw bs=1 seek=1048576 conv=notrunc status=none
		eventually byte_is $i || status=1
	done
	exec 7<&-
	return $status
}
mount_image disk.raw mnt -o rw
check "partitions show what the disk was given" reader_sees
unmount mnt

# Room that is asked for is there, in the image and on the host; what is read stays as it was.
allocates() {
	local format=$1 status=0
	"$VDISK" create -q -f "$format" "room.$format" 24M
	mount_image "room.$format" mnt -o rw,format="$format" || return 1
	printf 'abc' | dd of=mnt/disk.raw bs=1 seek=3000000 conv=notrunc status=none
	fallocate -o 1M -l 8M mnt/disk.raw && sync mnt/disk.raw || status=1
	[ $(($(stat -c '%b * 512' "room.$format"))) -ge $((8 << 20)) ] || status=1
	{ head -c 3000000 /dev/zero && printf abc && head -c $((24 * 1048576 - 3000003)) /dev/zero; } |
		cmp - mnt/disk.raw || status=1
	fails 'unsupported|not supported' fallocate -n -o 20M -l 8M mnt/disk.raw || status=1
	unmount mnt || status=1
	rm -f "room.$format"
	return $status
}
for format in raw qcow2 vmdk vdi vpc vhdx; do check "$format: fallocate makes room" allocates $format; done

# A write that is answered before it fails: the next fsync of the image says so, whichever file it is
# of, and whatever has become of the one that wrote.
late_error() {
	local status=0
	"$VDISK" create -q -f qcow2 late.qcow2 24M
	(ulimit -f $(($(stat -c %s late.qcow2) / 1024)) && mount_image late.qcow2 mnt -o rw) || return 1
	perl -e 'use Fcntl; use IO::Handle;
		sub fsync { $_[0]->sync ? "ok" : $!{EFBIG} ? "EFBIG" : $! }
		sysopen(A, "mnt/disk.raw", O_WRONLY) or die;
		syswrite(A, "x" x 131072) == 131072 or die;
		sysopen(B, "mnt/disk.raw", O_WRONLY) or die;
		print join " ", map { fsync($_) } *B, *A, *B, *A;' >late || status=1
	cat late
	[ "$(<late)" = "EFBIG EFBIG ok ok" ] || status=1
	sync mnt/disk.raw || status=1
	unmount mnt || status=1
	return $status
}
check "a late error is told by fsync" late_error

# The daemon is told to end: all is there.
mount_image disk.raw mnt -o rw
dd if=some of=mnt/disk.raw bs=1M count=3 conv=notrunc status=none
dd if=some of=ref bs=1M count=3 conv=notrunc status=none
ends_by_signal() {
	local pid
	pid=$(daemon_of "$W/mnt")
	kill -TERM "$pid" && "$await_exit" "$patience" "$pid" && head -c $((3 << 20)) disk.raw | cmp - <(head -c $((3 << 20)) ref)
}
check "SIGTERM" ends_by_signal
! mountpoint -q mnt || unmount mnt

qemu-img create -q -f qed disk.qed 1M
check "a format that cannot be written" refused disk.qed "cannot be written to" -o rw
