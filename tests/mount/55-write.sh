#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Writing through a mount: bytes, holes, sizes, partitions, loop devices with file systems, sync.
. "${0%/*}/functions.sh"
. "$here/images.sh"
requires qemu-img sfdisk mkfs.ext4 fsck.ext4 losetup fallocate xfs_io perl

# Prints the formats that can be written, with options of qemu-img.
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

# fails PATTERN COMMAND...: the command fails, with a message that matches.
fails() {
	local pattern=$1
	shift
	! "$@" 2>fails.err || return 1
	grep -qE "$pattern" fails.err || { cat fails.err >&2; return 1; }
}

# The image is equal to the file ref, and qemu-img check finds no error.
equal_and_sound() {
	local format=$1 image=$2
	qemu-img compare -f "$format" -F raw "$image" ref >&2 || return 1
	case $format in
	raw | vpc) ;;
	*) qemu-img check -q -f "$format" "$image" >&2 ;;
	esac
}

# both COMMAND...: applies the same change to the mounted disk and to its reference.
both() {
	local f
	for f in mnt/disk.raw ref; do
		"$@" "$f" || return 1
	done
}
put() { dd if=some of="$4" bs=$1 seek=$2 count=$3 conv=notrunc status=none; }
punch() { fallocate -p -o "$1" -l "$2" "$3"; }
zero() {
	case $3 in
	mnt/*) fallocate -z -o "$1" -l "$2" "$3" ;;
	*) dd if=/dev/zero of="$3" bs=64k iflag=count_bytes oflag=seek_bytes count="$2" seek="$1" conv=notrunc status=none ;;
	esac # not all file systems have it
}

# Writes of all sizes, through the disk and through a partition, with holes and zeroes.
scribble() {
	both put 1 1234567 1 && both put 512 100 3 && both put 4096 700 9 && both put 65536 20 40 &&
		both put 1000003 5 2 && both punch 1500000 900000 && both zero 2000000 70000 &&
		both punch 0 4096 && both put 777 33 60 || return 1
	dd if=some of=mnt/partitions/1.raw bs=4096 seek=3 count=20 conv=notrunc status=none || return 1
	dd if=some of=ref bs=4096 seek=$((256 + 3)) count=20 conv=notrunc status=none
}

# Discarded data is deallocated.
deallocates() {
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
	check "$name: a copy" equal_and_sound "$format" "$image"

	mount_image "$image" mnt -o rw
	check "$name: scribble" scribble
	check "$name: read back" same mnt/disk.raw ref
	dd if=some of=mnt/disk.raw bs=1M seek=8 count=4 skip=1 conv=notrunc status=none
	dd if=some of=ref bs=1M seek=8 count=4 skip=1 conv=notrunc status=none
	check "$name: holes are deallocated" deallocates
	check "$name: another writable mount is refused" refused "$image" "in use"
	check "$name: sync" sync mnt/disk.raw
	unmount mnt
	check "$name: compare and check" equal_and_sound "$format" "$image"
	check "$name: a read-only mount" matches "$image" ref
done < <(kinds)

# Data written with O_DSYNC survives a kill of the daemon, even if the kernel has its pages cached.
"$VDISK" create -q -f qcow2 synced.qcow2 24M
survives_kill() {
	local pids
	mount_image synced.qcow2 mnt -o rw || return 1
	pids=$(pids_of "$W/mnt")
	dd if=some of=mnt/disk.raw bs=256k count=8 oflag=dsync conv=notrunc status=none || return 1
	# shellcheck disable=SC2086
	kill -9 $pids && "$await_exit" "$patience" $pids
	fusermount3 -u mnt
	qemu-img convert -f qcow2 -O raw synced.qcow2 synced.raw && cmp -n $((2 << 20)) synced.raw some
}
check "O_DSYNC data survives kill -9" survives_kill

# Writing zeroes to unallocated clusters allocates nothing.
"$VDISK" create -q -f qcow2 thin.qcow2 24M
cp some full.raw
dd if=/dev/zero of=full.raw bs=1M seek=2 count=20 conv=notrunc status=none
thin() {
	mount_image thin.qcow2 mnt -o rw || return 1
	cat full.raw >mnt/disk.raw && same mnt/disk.raw full.raw && [ "$(stat -c %b mnt/disk.raw)" -le 8192 ]
	local status=$?
	unmount mnt && return $status
}
check "a copy of a file with zeroes" thin
check "zeroes are not allocated" [ "$(stat -c %s thin.qcow2)" -lt 5000000 ]
check "the copy is equal" qemu-img compare -q -f qcow2 -F raw thin.qcow2 full.raw

# If the host is full, the writer gets ENOSPC, at the latest at close.
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
	for steps in 4k 1M; do check "a full host, blocks of $steps" full_host $steps; done
else
	skip "a full host: needs root"
fi

# Cases that do not depend on the format.
rm -f disk*
new_ref
cp ref disk.raw
mount_image disk.raw mnt -o rw
check "a write after the end of the disk" fails "No space left" dd if=some of=mnt/disk.raw bs=1M seek=24 count=1 conv=notrunc status=none
check "chown is refused" fails "not permitted" chown 4711 mnt/disk.raw
check "info.json cannot be written" fails "Permission denied|Read-only" dd if=some of=mnt/info.json bs=1 count=1 conv=notrunc status=none
check "files cannot be created" fails "Read-only" touch mnt/new
check "truncate grows the disk" truncate -s 25M mnt/disk.raw
check "the size of the grown disk" [ "$(stat -c %s mnt/disk.raw)" = $((25 << 20)) ]
check "truncate shrinks the disk" truncate -s 24M mnt/disk.raw
check "a partition cannot be resized" fails "not supported" truncate -s 1M mnt/partitions/1.raw
# A write is visible to a reader at once, although the kernel has read ahead.
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
check "a reader sees written data" seen_at_once 5
exec 7>>mnt/disk.raw
check "a reader sees written data while another file is open for writing only" seen_at_once 9
exec 7>&-
check "a reader sees written data after that file was closed" seen_at_once 13
check "cp onto the disk" cp some mnt/disk.raw
check "copy_file_range within the mount" xfs_io -c "copy_range -s 512 -d $((22 << 20)) -l 1000000 mnt/partitions/1.raw" mnt/disk.raw
check "the copied range" cmp -n 1000000 <(tail -c +$((1 + (1 << 20) + 512)) some) <(tail -c +$((1 + (22 << 20))) mnt/disk.raw)
check "cp over the copied range" cp some mnt/disk.raw
check "the disk is equal to the copy" same mnt/disk.raw some
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
	check "the disk shows the file system of the partition" cmp mnt/partitions/1.raw <(tail -c +$((1 + (1 << 20))) mnt/disk.raw | head -c $((20 << 20)))
	unmount mnt
	check "fsck of the image" fsck.ext4 -f -n "disk.raw?offset=1048576"
else
	unmount mnt
fi

# A partition that was already open shows data written to the disk.
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
check "an open partition shows data written to the disk" reader_sees
# The kernel sends a write of a file that is also open for reading as one request, without another one that asks for
# security.capability.  The daemon reads each request by one system call.
requests() { sed -n 's/^syscr: //p' "/proc/$(daemon_of "$W/mnt")/io"; }
writes_alone() {
	local before after
	exec 5<>mnt/disk.raw
	dd if=some bs=4k seek=512 count=1 conv=notrunc status=none >&5
	before=$(requests) && dd if=some bs=4k seek=512 count=100 conv=notrunc status=none >&5 && after=$(requests)
	exec 5>&-
	echo "$((after - before)) requests"
	[ $((after - before)) -lt 150 ]
}
if is_root && printf '%s\n' 5.12 "$(uname -r)" | sort -CV; then
	check "a write is one request" writes_alone
else
	skip "a write is one request: needs root and Linux 5.12"
fi
unmount mnt

# fallocate allocates clusters in the image and blocks on the host; the contents do not change.
allocates() {
	local format=$1 status=0
	"$VDISK" create -q -f "$format" "reserved.$format" 24M
	mount_image "reserved.$format" mnt -o rw,format="$format" || return 1
	printf 'abc' | dd of=mnt/disk.raw bs=1 seek=3000000 conv=notrunc status=none
	fallocate -o 1M -l 8M mnt/disk.raw && sync mnt/disk.raw || status=1
	[ $(($(stat -c '%b * 512' "reserved.$format"))) -ge $((8 << 20)) ] || status=1
	{ head -c 3000000 /dev/zero && printf abc && head -c $((24 * 1048576 - 3000003)) /dev/zero; } |
		cmp - mnt/disk.raw || status=1
	fails 'unsupported|not supported' fallocate -n -o 20M -l 8M mnt/disk.raw || status=1
	unmount mnt || status=1
	rm -f "reserved.$format"
	return $status
}
for format in raw qcow2 vmdk vdi vpc vhdx; do check "$format: fallocate allocates" allocates $format; done

# A write with an early reply that fails afterwards: every open file of the image gets the error once by fsync,
# even if it was opened after the write.
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
check "fsync reports the error of an earlier write" late_error

# SIGTERM flushes all data.
mount_image disk.raw mnt -o rw
dd if=some of=mnt/disk.raw bs=1M count=3 conv=notrunc status=none
dd if=some of=ref bs=1M count=3 conv=notrunc status=none
ends_by_signal() {
	local pid
	pid=$(daemon_of "$W/mnt")
	kill -TERM "$pid" && "$await_exit" "$patience" "$pid" && head -c $((3 << 20)) disk.raw | cmp - <(head -c $((3 << 20)) ref)
}
check "SIGTERM flushes all data" ends_by_signal
! mountpoint -q mnt || unmount mnt

qemu-img create -q -f qed disk.qed 1M
check "a format that is read-only" refused disk.qed "cannot be written to" -o rw
