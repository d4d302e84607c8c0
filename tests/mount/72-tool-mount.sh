#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# vdisk mount, umount and list: a file system of a guest in one command, and nothing left afterwards.
. "${0%/*}/functions.sh"
requires qemu-img sfdisk mkfs.ext4 debugfs e2fsck dumpe2fs jq
is_root || { skip "all: loop devices need root"; exit 0; }
losetup -f >/dev/null 2>&1 || { skip "all: no loop devices"; exit 0; }

# Views that vdisk has made lie outside of $W.
take_down() {
	"$VDISK" list --output=json | jq -r '.[].directory' | while read -r dir; do
		case $dir in
		"$W"/*) "$VDISK" umount "$dir" ;;
		esac
	done
}
trap 'take_down; cleanup' EXIT

truncate -s 64M disk.raw
sfdisk -q disk.raw <<-'END'
	label: dos
	start=2048, size=40960, type=83
	start=51200, size=20480, type=83
	start=81920, size=40960, type=5
	start=83968, size=20480, type=83
END
for part in 2048:root:20M 51200:home:10M; do
	IFS=: read -r start label size <<<"$part"
	mkfs.ext4 -q -L "$label" -E offset=$((start * 512)) disk.raw "$size"
	echo "the file of $label" >hello
	debugfs -w -R 'write hello hello' "disk.raw?offset=$((start * 512))"
done
qemu-img convert -q -f raw -O qcow2 disk.raw disk.qcow2
truncate -s 16M whole.raw
mkfs.ext4 -q -L whole whole.raw
mkdir mnt other 'odd, dir'
cp disk.qcow2 'odd, name.qcow2'

released() { # IMAGE: nobody has it open
	qemu-io -f "${2:-qcow2}" -c quit "$1"
}
nothing_left() {
	! grep -F "$W" /proc/self/mountinfo && ! losetup -l -n -O BACK-FILE | grep -F /run/vdisk &&
		[ -z "$(ls /run/vdisk)" ]
}
listed() { "$VDISK" list | grep -F "$W/"; } # others may have mounts, too
has_file() { # DIR LABEL
	grep -qx "the file of $2" "$1/hello"
}
fails() { # PATTERN ARGUMENT...: one line that says so, and nothing is left
	local pattern=$1
	shift
	! "$VDISK" "$@" 2>err || return 1
	cat err >&2
	[ "$(wc -l <err)" -le 2 ] && grep -qE -e "$pattern" err && nothing_left
}

for p in 1 root; do
	check "mount by $p" "$VDISK" mount disk.qcow2 "$p" mnt
	check "by $p: the file is there" has_file mnt root
	check "by $p: read-only" eval '! touch mnt/new'
	check_not "by $p: the image is in use" released disk.qcow2
	check "by $p: listed" eval '[ "$(listed)" = "1         $W/disk.qcow2 on $W/mnt" ]'
	check "by $p: umount" "$VDISK" umount mnt
	check "by $p: the image is released" released disk.qcow2
	check "by $p: nothing is left" nothing_left
done
uuid=$(blkid -p -O $((51200 * 512)) -S $((20480 * 512)) -s UUID -o value disk.raw)
check "mount by UUID" "$VDISK" mount disk.qcow2 "$uuid" 'odd, dir'
check "the file of that one is there" has_file 'odd, dir' home
check "mount another of the same image" "$VDISK" mount disk.qcow2 1 mnt
check "both are listed" eval '[ "$("$VDISK" list --output=json | jq -r "map(select(.directory | startswith(\"$W/\")).what) | sort | join(\" \")")" = "1 2" ]'
check "umount one" "$VDISK" umount 'odd, dir'
check "the other one stays" has_file mnt root
check "umount the other" "$VDISK" umount "$W/mnt"
check "an odd name" eval '"$VDISK" mount "odd, name.qcow2" home mnt && has_file mnt home && "$VDISK" umount mnt'
check "a disk without partitions" eval '"$VDISK" mount -f raw whole.raw mnt && [ -d mnt/lost+found ]'
check "is listed" eval '"$VDISK" list | grep -q "^disk  "'
check "while it is used, umount fails" eval 'cd mnt && ! "$VDISK" umount "$W/mnt"; s=$?; cd ..; [ $s = 0 ]'
check "and it stays" [ -d mnt/lost+found ]
check "until it is not" "$VDISK" umount mnt
check "all is released" nothing_left

"$VDISKFS" disk.qcow2 other
check "a view of vdiskfs is listed" eval '"$VDISK" list | grep -q "^view .*/disk.qcow2 on .*/other$"'
mount -o loop,ro other/partitions/1.raw mnt
check "and what is mounted on it" eval '"$VDISK" list | grep -q "^1 .*/disk.qcow2 on .*/mnt$"'
check "umount takes that" "$VDISK" umount mnt
check "and leaves the view" [ -f other/disk.raw ]
check "which it can unmount, too" "$VDISK" umount other
check "released" released disk.qcow2

check "no such partition" fails 'no partition "7"' mount disk.qcow2 7 mnt
check "a path is no partition" fails 'neither' mount disk.qcow2 ../disk mnt
check "several partitions" fails '3 partitions' mount disk.qcow2 mnt
check "a partition without a file system" fails . mount disk.qcow2 5 mnt
check "no such image" fails 'missing.*No such file' mount missing.qcow2 1 mnt
check "no such directory" fails 'nowhere.*No such file' mount disk.qcow2 1 nowhere
check "a file for a directory" fails 'must be a directory' mount disk.qcow2 1 disk.raw
check "umount of what is no mount" fails 'nothing of a disk image' umount mnt
check "umount of what is not there" fails 'No such file' umount nowhere

# A journal that needs to be played out: the file system is seen without it.
cp disk.raw dirty.raw
debugfs -w -R 'feature needs_recovery' "dirty.raw?offset=1048576"
check "an unclean file system" eval '"$VDISK" mount dirty.raw 1 mnt && has_file mnt root && "$VDISK" umount mnt'

# Written to: what is in the image once umount returns, as qemu-img reads it.

part_of() { # IMAGE START SIZE: the file system at START, in units of 512 bytes
	qemu-img convert -q -O raw "$1" all.raw && dd if=all.raw of=part.raw bs=512 skip="$2" count="$3" status=none
}
holds_written() { # IMAGE START SIZE TEXT: and the file system is whole
	part_of "$1" "$2" "$3" && e2fsck -fn part.raw >/dev/null && debugfs -R 'cat deep/er/new' part.raw | grep -qx "$4" &&
		debugfs -R 'dump big big' part.raw && cmp big random && ! debugfs -R 'stat hello' part.raw | grep -q Inode
}
write_into() { # DIR TEXT
	mkdir -p "$1/deep/er" && echo "$2" >"$1/deep/er/new" && cp random "$1/big" && rm "$1/hello" && touch "$1/short" && rm "$1/short"
}
some_data random 3M
for kind in qcow2 vmdk vdi vpc vhdx raw; do
	qemu-img convert -q -f raw -O $kind disk.raw written.$kind
	for part in 1:2048:40960 home:51200:20480; do
		IFS=: read -r name start size <<<"$part"
		check "$kind: mount --rw by $name" "$VDISK" mount --rw -f $kind written.$kind "$name" mnt
		check "$kind: it is written to" write_into mnt "$kind $name"
		check "$kind: umount" "$VDISK" umount mnt
		check "$kind: it is released, and nothing is left" eval "released written.$kind $kind && nothing_left"
		check "$kind: what was written to $name is in the image" holds_written written.$kind "$start" "$size" "$kind $name"
	done
	check "$kind: what was not written is as it was" cmp -n $((2048 * 512)) disk.raw all.raw
done
qemu-img create -q -f qcow2 -F qcow2 -b disk.qcow2 over.qcow2
sum=$(sha256sum <disk.qcow2)
over() {
	"$VDISK" mount --rw over.qcow2 root mnt && write_into mnt over && "$VDISK" umount mnt &&
		holds_written over.qcow2 2048 40960 over && [ "$(sha256sum <disk.qcow2)" = "$sum" ]
}
check "into an overlay, which alone is changed" over
unclean() {
	"$VDISK" mount --rw dirty.raw 1 mnt && has_file mnt root && "$VDISK" umount mnt &&
		! dumpe2fs -h "dirty.raw?offset=1048576" 2>/dev/null | grep -q needs_recovery
}
check "an unclean file system is put right" unclean

# Read-only without --rw, whoever asks.

not_written() {
	"$VDISK" mount disk.qcow2 root mnt && ! touch mnt/new && ! rm mnt/hello && ! mount -o remount,rw mnt && has_file mnt root &&
		grep -q " $W/mnt ro," /proc/self/mountinfo && "$VDISK" umount mnt && [ "$(sha256sum <disk.qcow2)" = "$sum" ]
}
check "without --rw nothing can be written" not_written

# What cannot be written.

qemu-img convert -q -f raw -O vmdk -o subformat=streamOptimized disk.raw stream.vmdk
qemu-img convert -q -f raw -O qcow disk.raw old.qcow
check "a stream is not written to" fails 'stream.vmdk: it cannot be written to: streamOptimized' mount --rw stream.vmdk root mnt
check "nor what its format cannot" fails 'old.qcow: images of the format qcow cannot be written to' mount --rw old.qcow root mnt
check "nor a snapshot" fails 'a snapshot cannot be written' mount --rw --snapshot=one disk.qcow2 root mnt
check "nor a partition that is not there" fails 'no partition "7"' mount --rw disk.qcow2 7 mnt
check "nothing of that was written to" eval '[ "$(sha256sum <disk.qcow2)" = "$sum" ]'
alone() {
	"$VDISK" mount --rw disk.qcow2 root mnt && ! "$VDISK" mount --rw disk.qcow2 home other 2>err &&
		! "$VDISK" mount disk.qcow2 home other 2>>err && [ "$(grep -c 'disk.qcow2: in use.* by vdiskfs (pid ' err)" = 2 ] &&
		has_file mnt root && "$VDISK" umount mnt && nothing_left
}
check "one at a time" alone

# As a user, with a /dev/fuse for all in a name space of its own.
as_user() { setpriv --reuid nobody --regid "$(id -g nobody)" --clear-groups env XDG_RUNTIME_DIR="$W/run" "$@"; }
user_mounts() {
	mount --bind fuse /dev/fuse &&
		as_user "$VDISK" mount disk.qcow2 home umnt &&
		as_user grep -qx "the file of home" umnt/hello &&
		as_user "$VDISK" list | grep -q "^2 .*/umnt$" &&
		as_user "$VDISK" umount umnt && released disk.qcow2 && [ -z "$(ls run/vdisk)" ]
}
user_writes() {
	mount --bind fuse /dev/fuse &&
		as_user "$VDISK" mount --rw own.qcow2 home umnt &&
		echo mine | as_user tee umnt/open/mine &&
		as_user "$VDISK" umount umnt && released own.qcow2 && [ -z "$(ls run/vdisk)" ] &&
		part_of own.qcow2 51200 20480 && e2fsck -fn part.raw && debugfs -R 'cat open/mine' part.raw | grep -qx mine
}
export -f as_user user_mounts user_writes released part_of
export W VDISK
if ! command -v fuse2fs >/dev/null || ! command -v setpriv >/dev/null || ! unshare -m true ||
	! mknod -m 666 fuse c 10 229; then
	skip "as a user: needs fuse2fs, setpriv, name spaces and device nodes"
else
	mkdir run umnt
	chmod 755 "$W"
	chmod 644 disk.qcow2
	chown nobody run umnt
	check "a user mounts and unmounts" unshare -m bash -c user_mounts
	cp disk.raw own.raw
	debugfs -w -R 'mkdir open' 'own.raw?offset=26214400'
	debugfs -w -R 'set_inode_field open mode 040777' 'own.raw?offset=26214400'
	qemu-img convert -q -f raw -O qcow2 own.raw own.qcow2
	chown nobody own.qcow2
	check "a user writes" unshare -m bash -c user_writes
fi
