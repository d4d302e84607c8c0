#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Permissions of the files of a mount and of their copies, and the attributes that copying programs may set.
. "${0%/*}/functions.sh"
. "$here/images.sh"
requires qemu-img setpriv rsync tar sfdisk

chmod 711 "$W"
some_data disk.raw 3M
sfdisk -q disk.raw <<<$'label: gpt\nstart=2048,size=2048,uuid=ABCDEF01-1111-4000-8000-00000000ABCD'
qemu-img convert -q -f raw -O qcow2 disk.raw base.qcow2
qemu-img create -q -f qcow2 -F qcow2 -b base.qcow2 over.qcow2
mkdir mnt vms

# --- Permissions.
modes() { # FILES DIRECTORIES OWNER [OPTION...]: all files of a mount of over.qcow2 have these modes
	local want="$1 $3 f
$2 $3 d" status
	mount_image over.qcow2 mnt "${@:4}" || return 1
	find mnt ! -type l -printf '%m %U:%G %y\n' | sort -ru >modes
	[ "$(sort -ru <<<"$want")" = "$(cat modes)" ]
	status=$?
	unmount mnt && [ $status = 0 ] || { cat modes; return 1; }
}
me=$(id -u):$(id -g)
chmod 644 base.qcow2 over.qcow2
check "an image readable by all" modes 644 755 "$me"
chmod 640 over.qcow2
check "an image readable by its group" modes 640 750 "$me"
chmod 604 over.qcow2
check "an image readable by others" modes 604 705 "$me"
chmod 600 base.qcow2
chmod 666 over.qcow2
check "an image whose backing file only its owner may read" modes 600 700 "$me"
chmod 444 base.qcow2 over.qcow2
check "a read-only image" modes 644 755 "$me"
chmod 640 base.qcow2 over.qcow2
if is_root; then
	chgrp 54321 over.qcow2
	check "an image of another group" modes 600 700 "$me"
	check "an image of another group, with gid=" modes 600 700 "0:54321" -o gid=54321
	chgrp 54321 base.qcow2
	check "an image and a backing file of another group, with gid=" modes 640 750 "0:54321" -o gid=54321
	check "allow_other" modes 644 755 "$me" -o allow_other
	check "uid=" modes 600 700 "12345:$(id -g)" -o uid=12345
else
	skip "groups, other users: needs root"
fi
check "umask=004" modes 662 773 "$me" -o umask=004
check "umask=0" modes 666 777 "$me" -o umask=0
chmod 600 over.qcow2
cp over.qcow2 base.qcow2 vms/
chmod 644 vms/base.qcow2
in_directory() {
	mount_image vms mnt || return 1
	[ "$(stat -c %a mnt/over.qcow2 mnt/base.qcow2 | tr '\n' ' ')" = '700 755 ' ] &&
		[ "$(stat -c %a mnt/over.qcow2/disk.raw mnt/base.qcow2/disk.raw mnt/base.qcow2/export | tr '\n' ' ')" = '600 644 755 ' ] &&
		[ "$(stat -c %a mnt/over.qcow2 mnt/over.qcow2/chain/1-base.qcow2/disk.raw | tr '\n' ' ')" = '700 600 ' ] &&
		chmod 600 vms/base.qcow2 && unmount mnt
}
check "images in a directory" in_directory

# --- Copies by another user, which must be writable and removable although the mount is read-only.
chmod 644 over.qcow2 base.qcow2
as_somebody() { if is_root; then setpriv --reuid=nobody --regid=nogroup --clear-groups -- "$@"; else "$@"; fi; }
mkdir copies
chmod 777 copies
copied() { # COMMAND: copies mnt to copies/ twice; then the copies are changed and removed
	as_somebody sh -c "umask 022; cd copies && $1" && as_somebody sh -c "umask 022; cd copies && $1" || return 1
	[ -z "$(find copies -mindepth 1 ! -type l ! -perm -u+w)" ] || { ls -lR copies; return 1; }
	as_somebody cmp mnt/disk.raw copies/disk.raw || return 1
	as_somebody "$VDISK" resize -q "$(find copies -name over.qcow2-export.qcow2 -print -quit)" 5M || return 1
	as_somebody sh -c 'rm -r copies/*'
}
mount_with=()
! is_root || mount_with=(-o allow_other)
mount_image over.qcow2 mnt "${mount_with[@]}" || exit 1
check "cp" copied 'cp ../mnt/disk.raw ../mnt/export/*.qcow2 .'
check "cp -r" copied 'cp -r ../mnt/. .'
check "cp -a" copied 'cp -a ../mnt/disk.raw ../mnt/export .'
check "rsync -a" copied 'rsync -aS ../mnt/disk.raw ../mnt/export .'
check "tar" copied 'tar -cSf - -C ../mnt disk.raw export | tar -xf -'
check_not "a write to the mount is refused" sh -c ': >mnt/disk.raw'
unmount mnt

# --- Copies onto a disk.
some_data other.raw 3M
chmod 640 other.raw
touch -d 2001-02-03 other.raw
cp base.qcow2 vms/copy.qcow2
onto() { "$@" other.raw mnt/copy.qcow2/disk.raw && sync mnt/copy.qcow2/disk.raw && cmp other.raw mnt/copy.qcow2/disk.raw && : >mnt/copy.qcow2/disk.raw; }
mount_image vms mnt -o rw || exit 1
check "cp -p onto a disk" onto cp -p
check "cp -a onto a disk" onto cp -a
check "rsync -a --inplace onto a disk" onto rsync -a --inplace
check "chmod, touch and chown that change nothing" eval 'chmod 600 mnt/copy.qcow2/disk.raw && touch mnt/copy.qcow2/disk.raw &&
	chown "$(id -u):$(id -g)" mnt/copy.qcow2/disk.raw'
check "chown to another owner is refused" eval '! chown 4711 mnt/copy.qcow2/disk.raw 2>err && grep -q "not permitted" err'
check "chmod of a directory is refused" eval '! chmod 755 mnt/copy.qcow2 2>err && grep -q "not permitted" err'
kept() { ! "$@" 2>err && cmp other.raw mnt/copy.qcow2/disk.raw && [ -e other.raw ]; }
cp other.raw mnt/copy.qcow2/disk.raw
check "mv over a disk is refused" kept mv -f other.raw mnt/copy.qcow2/disk.raw
check "rsync without --inplace is refused" kept rsync -a base.qcow2 mnt/copy.qcow2/disk.raw
same_space() { [ "$(stat -f -c '%S %b' "$1")" = "$(stat -f -c '%S %b' "$2")" ] && [ "$(stat -f -c %a "$1")" -gt 0 ]; }
check "statfs reports the free space of the host" same_space mnt vms
unmount mnt
full() { [ "$(stat -f -c %a "$1")" = 0 ]; }
check "statfs of a read-only mount reports no free space" on_mount vms full
if is_root; then
	mount_image base.qcow2 mnt -o rw,allow_other || exit 1
	check "chmod cannot restrict a mount with allow_other" eval '! chmod 600 mnt/disk.raw 2>err && grep -q "not permitted" err && chmod 666 mnt/disk.raw'
	unmount mnt
fi

# --- by-partuuid finds UUIDs in capitals, as firmware and Windows write them.
capitals() {
	local dir=$1/partitions/by-partuuid
	[ "$(ls "$dir")" = abcdef01-1111-4000-8000-00000000abcd ] && cmp "$dir/ABCDEF01-1111-4000-8000-00000000ABCD" "$1/partitions/1.raw" &&
		[ ! -e "$dir/ABCDEF01-1111-4000-8000-00000000ABCE" ]
}
check "a PARTUUID in capitals" on_mount disk.raw capitals
