#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Snapshots as directories and by vdisk snapshot: create, delete, rename, apply.
. "${0%/*}/functions.sh"
. "$here/images.sh"
requires qemu-img jq getfattr cmp

some_data first 3M
some_data second 2M
qemu-img convert -f raw -O qcow2 -c first packed.qcow2

put() { dd if="$1" of=mnt/disk.raw bs=64k conv=notrunc status=none; } # FILE
shows() { cmp -n "$(stat -c %s "$2")" "mnt/$1/disk.raw" "$2"; }      # DIR FILE
listed() { [ "$(ls mnt/snapshots | tr '\n' ' ')" = "$1" ]; }
sound() { qemu-img check -q "$1" && "$VDISK" check -q "$1"; }
# names_are IMAGE NAMES: vdisk and qemu-img list these snapshots.
names_are() {
	[ "$("$VDISK" info --output=json "$1" | jq -r '[.snapshots[]?.name] | join(" ")')" = "$2" ] &&
		[ "$(qemu-img info --output=json "$1" | jq -r '[.snapshots[]?.name] | join(" ")')" = "$2" ]
}

# By mkdir, rmdir and mv.
walk() { # OPTION...
	qemu-img create -q -f qcow2 "$@" a.qcow2 8M && mount_image a.qcow2 mnt -o rw || return 1
	listed "" && put first && mkdir mnt/snapshots/one && listed "one " && shows snapshots/one first || return 1
	put second && shows snapshots/one first && shows . second || return 1
	mkdir "mnt/snapshots/two words" && listed "one two words " && fallocate -p -o 0 -l 1M mnt/disk.raw || return 1
	shows "snapshots/two words" second && shows snapshots/one first || return 1
	mv mnt/snapshots/one mnt/snapshots/eins && listed "eins two words " && shows snapshots/eins first || return 1
	[ "$(getfattr --only-values -n user.vdisk.snapshot.name mnt/snapshots/eins)" = eins ] || return 1
	[ "$(jq -r '.snapshots[].name' mnt/info.json | tr '\n' ,)" = "eins,two words," ] || return 1
	rmdir "mnt/snapshots/two words" && listed "eins " && shows snapshots/eins first || return 1
	unmount mnt && sound a.qcow2 && names_are a.qcow2 eins || return 1
	qemu-img convert -f qcow2 -O raw -l eins a.qcow2 eins.raw && cmp -n 3M eins.raw first
}
check "default options" walk
check "version 2" walk -o compat=0.10
check "subclusters" walk -o extended_l2=on
check "small clusters" walk -o cluster_size=512
check "refcounts of 64 bits" walk -o refcount_bits=64

# Compressed clusters and clusters of the backing file are shared by a snapshot as well.
on_others() {
	cp packed.qcow2 a.qcow2
	qemu-img create -q -f qcow2 -b packed.qcow2 -F qcow2 child.qcow2
	local image
	for image in a child; do
		mount_image $image.qcow2 mnt -o rw && mkdir mnt/snapshots/s && put second || return 1
		shows snapshots/s first && shows . second && unmount mnt && sound $image.qcow2 || return 1
		"$VDISK" snapshot -a s $image.qcow2 && matches $image.qcow2 first && sound $image.qcow2 || return 1
		"$VDISK" snapshot -d s $image.qcow2 && matches $image.qcow2 first && sound $image.qcow2 || return 1
	done
}
check "compressed clusters and a backing file" on_others

# A refused operation changes nothing.
qemu-img create -q -f qcow2 b.qcow2 8M
mount_image b.qcow2 mnt -o rw
put first
mkdir mnt/snapshots/keep mnt/snapshots/other
errno_is() { # ERRNO COMMAND...
	local text=$1
	shift
	! "$@" 2>error && grep -q "$text" error
}
check "mkdir of an existing name" errno_is "File exists" mkdir mnt/snapshots/keep
check "mv to an existing name" errno_is "File exists" mv -T mnt/snapshots/keep mnt/snapshots/other
check "mv out of snapshots/" errno_is "not permitted" mv -T mnt/snapshots/keep mnt/elsewhere
check "mkdir outside of snapshots/" errno_is "not permitted" mkdir mnt/directory
check "mkdir in a snapshot" errno_is "not permitted" mkdir mnt/snapshots/keep/more
check "a write to a snapshot" errno_is "Read-only" dd if=first of=mnt/snapshots/keep/disk.raw conv=notrunc
check "a name with an escape sequence" errno_is "Invalid" mkdir mnt/snapshots/$'a\033b'
check "rmdir of a missing name" errno_is "No such" rmdir mnt/snapshots/missing
exec 5<mnt/snapshots/keep/disk.raw
check "rmdir of an open snapshot" errno_is "busy" rmdir mnt/snapshots/keep
check "mv of an open snapshot" mv mnt/snapshots/keep mnt/snapshots/kept
check "a renamed snapshot can still be read through an open file" cmp -n 3M - first <&5
exec 5<&-
check "rmdir after it was closed" rmdir mnt/snapshots/kept
check "snapshots have exports, the live state of a writable mount has none" [ -d mnt/snapshots/other/export -a ! -d mnt/export ]
check "cp of a snapshot's export" cp mnt/snapshots/other/export/b.qcow2-other-export.vdi other.vdi
check "the export has the snapshot's bytes" matches other.vdi mnt/snapshots/other/disk.raw
unmount mnt
check "the image is sound" sound b.qcow2

# Images that cannot have a snapshot.
qemu-img create -q -f qcow2 -o refcount_bits=1 one.qcow2 2M
mount_image one.qcow2 mnt -o rw && put second
check "refcounts of 1 bit" errno_is "out of range" mkdir mnt/snapshots/s
check "the disk after a failed mkdir" shows . second
unmount mnt
check "the image after a failed mkdir is sound" sound one.qcow2
qemu-img create -q -f qcow2 -o data_file=data.raw outside.qcow2 1M
mount_image outside.qcow2 mnt -o rw
check "an external data file" errno_is "not supported" mkdir mnt/snapshots/s
unmount mnt
qemu-img create -q -f vmdk x.vmdk 1M
mount_image x.vmdk mnt -o rw
check "a format without snapshots" [ ! -e mnt/snapshots ]
unmount mnt
mount_image b.qcow2 mnt
check "a read-only mount" errno_is "Read-only" mkdir mnt/snapshots/s
check "vdisk reports the read-only mount" errno_is "mount is read-only" "$VDISK" snapshot -c s b.qcow2
unmount mnt

# With -o cow, snapshots are created in the overlay, not in the image.
mount_image b.qcow2 mnt -o "cow=$W/over.qcow2"
put second
check "mkdir in a COW overlay" mkdir mnt/snapshots/mine
put first
check "the snapshot of the overlay" shows snapshots/mine second
check_not "vdisk snapshot refuses the image below the overlay" "$VDISK" snapshot -c theirs b.qcow2
unmount mnt
check "the overlay has the snapshot" names_are over.qcow2 mine
check "the image has no new snapshot" names_are b.qcow2 other

# In a directory of images, with changes by vdisk in another process.
mkdir vms && cp packed.qcow2 vms/base.qcow2 && qemu-img create -q -f qcow2 -b base.qcow2 -F qcow2 vms/guest.qcow2
mount_image vms all -o rw
check "mkdir in a directory of images" mkdir all/guest.qcow2/snapshots/s
check "the snapshot is listed" [ "$(ls all/guest.qcow2/snapshots)" = s ]
check "the snapshot is listed in chain/" [ "$(ls all/guest.qcow2/chain/0-*/snapshots)" = s ]
check "vdisk snapshot -c of a mounted image" "$VDISK" snapshot -c t vms/guest.qcow2
check "vdisk's snapshot is listed" [ "$(ls all/guest.qcow2/snapshots | tr '\n' ' ')" = "s t " ]
check "vdisk's snapshot is listed in chain/" [ "$(ls all/guest.qcow2/chain/0-*/snapshots | tr '\n' ' ')" = "s t " ]
check "vdisk snapshot -d of a mounted image" "$VDISK" snapshot -d s vms/guest.qcow2
check "the other snapshot still reads right" cmp -n 3M all/guest.qcow2/snapshots/t/disk.raw first
unmount all
check "the image is sound" sound vms/guest.qcow2

# During writes and listings.
busy() {
	qemu-img create -q -f qcow2 a.qcow2 64M && mount_image a.qcow2 mnt -o rw || return 1
	local i pid
	(for i in 1 2 3 4 5 6; do dd if=first of=mnt/disk.raw bs=16k seek=$((i * 200)) conv=notrunc status=none; done) &
	pid=$!
	for i in 1 2 3 4 5 6 7 8; do mkdir "mnt/snapshots/$i" && ls -lR mnt/snapshots >ls.log || return 1; done
	for i in 1 3 5 7; do rmdir "mnt/snapshots/$i" || return 1; done
	wait $pid && listed "2 4 6 8 " || return 1
	sha256sum mnt/disk.raw mnt/snapshots/*/disk.raw >sums && unmount mnt && sound a.qcow2 || return 1
	mount_image a.qcow2 mnt && sha256sum -c --quiet sums && unmount mnt
}
check "snapshots during writes" busy

# A snapshot is durable when mkdir returns.
killed() {
	qemu-img create -q -f qcow2 a.qcow2 8M && mount_image a.qcow2 mnt -o rw && put first && mkdir mnt/snapshots/s || return 1
	local pids
	pids=$(pids_of "$W/mnt")
	# shellcheck disable=SC2086
	kill -9 $pids && "$await_exit" "$patience" $pids
	fusermount3 -u mnt 2>/dev/null
	mount_image a.qcow2 mnt && shows snapshots/s first && unmount mnt && sound a.qcow2
}
check "a snapshot after kill -9" killed

# A mounted file system of a guest.
if is_root && command -v mkfs.ext4 >/dev/null; then
	guest() {
		qemu-img create -q -f qcow2 a.qcow2 64M && mount_image a.qcow2 mnt -o rw && mkfs.ext4 -q mnt/disk.raw || return 1
		mkdir -p fs old && mount -o loop mnt/disk.raw fs && echo before >fs/file && sync -f fs/file || return 1
		mkdir mnt/snapshots/before && echo after >fs/file && sync -f fs/file || return 1
		mount -o loop,ro,noload mnt/snapshots/before/disk.raw old && [ "$(cat old/file)" = before ] && [ "$(cat fs/file)" = after ] || return 1
		errno_is busy rmdir mnt/snapshots/before && umount old && umount fs && eventually rmdir mnt/snapshots/before || return 1
		unmount mnt && sound a.qcow2
	}
	check "the file system of a snapshot has the old data" guest
else
	skip "the file system of a snapshot has the old data: needs root and mkfs.ext4"
fi

# vdisk snapshot and qemu-img snapshot: the same exit statuses, lists and contents.
cp packed.qcow2 ours.qcow2
cp packed.qcow2 theirs.qcow2
step() { # ARGUMENT...: both programs have the same result
	local ours theirs
	"$VDISK" snapshot "$@" ours.qcow2
	ours=$?
	qemu-img snapshot "$@" theirs.qcow2
	theirs=$?
	[ $ours = $theirs ] || { echo "$ours, not $theirs" >&2; return 1; }
	for f in ours theirs; do
		qemu-img info --output=json $f.qcow2 | jq -c '[.snapshots[]? | {id, name, "vm-state-size"}]' >$f.list
	done
	cmp ours.list theirs.list && sound ours.qcow2 && qemu-img compare -q ours.qcow2 theirs.qcow2
}
scribble() { for f in ours theirs; do qemu-io -c "write -q -P $1 $2 $3" $f.qcow2 >/dev/null || return 1; done; }
check "-c" step -c one
check "written by QEMU" scribble 1 0 200k
check "a second -c" step -c two
check "written by QEMU after the second -c" scribble 2 1M 300k
check "-c of an existing name" step -c two
check "-a" step -a one
check "-a by ID" step -a 2
check "-d of a name that occurs twice" step -d two
check "-d of a missing name" step -d 3
check "-a of a missing name" step -a missing
check "-c and -d" step -c a -d one
check "written by QEMU after -a" scribble 3 100k 2M
check "-a after a write" step -a one
check "-d" step -d one
check "-d of the last snapshot" step -d two
check "the image has no leaks" [ "$(stat -c %s ours.qcow2)" -le $(($(stat -c %s theirs.qcow2) + 262144)) ]
truncate -s 1M plain.raw
check "vdisk snapshot of a format without snapshots" errno_is "no snapshots" "$VDISK" snapshot -f raw -c s plain.raw
