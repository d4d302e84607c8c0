#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# The commands in README.md and in the EXAMPLES of the manual pages work as written, on images with their names.
. "${0%/*}/functions.sh"
. "$here/nbd.sh"
requires nbdkit cryptsetup qemu-img qemu-io sfdisk mkfs.ext4 debugfs tar tree xxd jq setfattr

# The home directory of the user.  System directories in commands are replaced by directories here.
export HOME=$W/home
mkdir -p "$HOME"/{mnt,backup,vms/server,host} "$W"/{hostmnt,srv/bases,bin} && cd "$HOME" || exit 1
PATH=$W/bin:$BUILD:$PATH
stub() { printf '#!/bin/sh\n%s\n' "$2" >"$W/bin/$1" && chmod +x "$W/bin/$1"; }
stub ssh 'shift; cd "$HOME/host" && exec sh -c "$*"'
stub pass 'echo secret'
stub less 'exec cat >/dev/null'
stub xdg-open 'exec ls "$1"/disk.raw'
export XDG_RUNTIME_DIR=$W/run
mkdir -m 700 "$W/run"
# mount(8) calls /sbin/mount.vdiskfs, which exists only after "make install".
ln -s "$VDISKFS" "$W/bin/mount.vdiskfs"
stub mount "[ \"\$1 \$2\" != '-t vdiskfs' ] || exec mount.vdiskfs \"\$3\" \"\$4\" -o rw
exec $(command -v mount) \"\$@\""

mkdir -p root/etc && echo guest >root/etc/issue
truncate -s 62M part && mkfs.ext4 -q -F -L root -d root part
disk() { # FILE: one partition, labelled "root"
	truncate -s 64M "$1" && printf 'label: dos\nlabel-id: 0x1234abcd\nstart=2048, type=83\n' | sfdisk -q "$1" &&
		dd if=part of="$1" bs=1M seek=1 conv=notrunc,sparse status=none
}
disk disk.img
qemu-img convert -f raw -O vmdk disk.img base.vmdk
cp part luks && truncate -s +32M luks && printf secret >key
cryptsetup reencrypt -q --encrypt --type luks2 --reduce-device-size 32M --pbkdf pbkdf2 --pbkdf-force-iterations 1000 --key-file key luks
truncate -s 96M server.img && printf 'label: gpt\nstart=2048\n' | sfdisk -q server.img && dd if=luks of=server.img bs=1M seek=1 conv=notrunc,sparse status=none
qemu-img convert -f raw -O vmdk server.img server.vmdk
rm luks server.img
qemu-img create -q -f qcow2 -b base.vmdk -F vmdk guest.qcow2
qemu-img snapshot -c before-upgrade guest.qcow2
qemu-io -f qcow2 -c 'write -P 7 60M 64k' guest.qcow2
qemu-img convert -f raw -O vmdk disk.img guest.vmdk
qemu-img convert -f raw -O qcow2 disk.img vms/guest.qcow2
qemu-img convert -f raw -O qcow2 disk.img "$W/srv/bases/base.qcow2"
cp "$W/srv/bases/base.qcow2" "$W/srv/guest.qcow2"
qemu-img create -q -f qcow2 -b "$W/srv/bases/base.qcow2" -F qcow2 overlay.qcow2
truncate -s 64M "$W/sdx"
cp guest.vmdk vms/server/server.vmdk
(
	cd vms/server || exit
	qemu-img create -q -f vmdk -b server.vmdk -F vmdk server-000001.vmdk
	printf '%s = "%s"\n' displayName server scsi0.present TRUE scsi0:0.present TRUE scsi0:0.fileName server-000001.vmdk >server.vmx
	printf '%s = "%s"\n' snapshot.numSnapshots 1 snapshot.current 1 snapshot0.uid 1 snapshot0.displayName "clean install" \
		snapshot0.numDisks 1 snapshot0.disk0.fileName server.vmdk snapshot0.disk0.node scsi0:0 >server.vmsd
)
cat >machine.ovf <<'OVF'
<?xml version="1.0" encoding="UTF-8"?>
<Envelope xmlns="http://schemas.dmtf.org/ovf/envelope/1" xmlns:ovf="http://schemas.dmtf.org/ovf/envelope/1">
<References><File ovf:id="f" ovf:href="d.vmdk"/></References>
<DiskSection><Info>Disks</Info><Disk ovf:diskId="d" ovf:fileRef="f"
 ovf:format="http://www.vmware.com/interfaces/specifications/vmdk.html#streamOptimized"/></DiskSection>
<VirtualSystem ovf:id="vm"><Info>A machine</Info></VirtualSystem></Envelope>
OVF
qemu-img convert -f raw -O vmdk -o subformat=streamOptimized disk.img d.vmdk
tar -cf machine.ova machine.ovf d.vmdk
cp "$W/srv/bases/base.qcow2" a.qcow2
without_libnbd || starts_server "$W/nbd.sock" nbdkit -f -U "$W/nbd.sock" file "$W/srv/bases/base.qcow2"
cp -a "$HOME" "$W/fresh"

# Print the commands, one a line: the lines after a prompt in blocks that have one, else all lines of the block.
of_readme() {
	awk '
		/^    / { line = substr($0, 5); if (line ~ /^\$ /) prompted = 1; block[++n] = line; next }
		{ print_block() }
		END { print_block() }
		function print_block(i) {
			for (i = 1; i <= n; i++)
				if (!prompted) print block[i]
				else if (block[i] ~ /^\$ /) print substr(block[i], 3)
			n = prompted = 0
		}' "$top/README.md" | grep -vE '^(make|apt|tests)( |$)'
}
of_manual() {
	sed -n '/^\.Sh EXAMPLES/,/^\.Sh [^E]/p' "$top/man/$1" | sed -e ':a' -e '/\\e$/{N;s/\\e\n\t*//;ba' -e '}' |
		sed -n 's/^[$#] //p'
}

mounted() { mountpoint -q mnt; }
clear_mount() {
	if mountpoint -q "$W/hostmnt"; then vdisk umount "$W/hostmnt" || umount "$W/hostmnt"; fi
	! mounted || unmount mnt
}
reset_home() { # restores the home directory
	clear_mount
	rm -rf "${HOME:?}"/* && cp -a "$W/fresh/." "$HOME"
}

# Prepares the mount that the text before a command describes.
prepare() { # COMMAND
	case $1 in
	vdiskfs* | *'| vdiskfs'* | 'mount -t vdiskfs'*) reset_home ;;
	mkdir\ mnt/snapshots/*) reset_home && vdiskfs -o rw guest.qcow2 mnt ;;
	mkdir\ mnt/*.*) [ -d mnt/guest.qcow2 ] || { reset_home && vdiskfs -o rw vms mnt; } ;;
	*mnt/snapshots*) [ -d mnt/snapshots ] || { reset_home && vdiskfs guest.qcow2 mnt; } ;;
	*mnt/export* | *mnt/partitions* | *mnt/disk.raw*) [ -e mnt/disk.raw ] || { reset_home && vdiskfs guest.qcow2 mnt; } ;;
	vdisk\ create*) reset_home && rm overlay.qcow2 ;;
	*vdisk*overlay*) reset_home && qemu-img create -q -f qcow2 -b base.vmdk -F vmdk overlay.qcow2 ;;
	'vdisk umount'*) ;;
	vdisk\ *) clear_mount ;;
	esac
}
# Commands that mount file systems, by loop devices or, for users, by fuse2fs.
mounts_inside() { [[ $1 == mount\ * || $1 == "vdisk mount "* || $1 == "vdisk umount "* ]]; }
can_mount() {
	if is_root; then loops_work; else [[ $1 == vdisk* ]] && command -v fuse2fs >/dev/null; fi
}
loops_work() { losetup -f >/dev/null 2>&1 && [ -b "$(losetup -f)" ]; }

# Files of the host, servers and web sites are replaced by those that were made here.
here_is() {
	sed "s|/dev/sdx|$W/sdx|; s|/srv/|$W/srv/|g; s| /mnt| $W/hostmnt|
		s|nbd://server/\([a-z0-9]*\)|'nbd+unix:///\1?socket=$W/nbd.sock'|; s|nbdkit -r curl https://host/|nbdkit -r file |" <<<"$1"
}
runs() { # COMMAND
	prepare "$1"
	bash -c "set -o pipefail; $(here_is "$1")"
	local status=$?
	# cmp finds a difference, because the guest was written after its snapshot.
	[[ $1 != cmp* ]] || [ $status != 1 ] || status=0
	return $status
}
each() { # PAGE
	local line n=0
	while read -r line; do
		line=${line%%  *#*}
		line=${line%"${line##*[! ]}"}
		[ -n "$line" ] || continue
		n=$((n + 1))
		if [[ $line == *nbd* ]] && without_libnbd; then
			skip "$1: $line: a build without libnbd"
			continue
		fi
		if mounts_inside "$line" && ! can_mount "$line"; then
			skip "$1: $line: needs root and loop devices, or fuse2fs"
			continue
		fi
		check "$1: $line" runs "$line" </dev/null
	done
	check "$1 has commands" [ $n -gt 3 ]
	reset_home
}
each README.md < <(of_readme)
each vdiskfs.1 < <(of_manual vdiskfs.1)
each vdisk.1 < <(of_manual vdisk.1)
each vdiskfs-formats.5 < <(of_manual vdiskfs-formats.5)

# The copies that the commands created have the disk of the guest.
copies() {
	prepare 'cp mnt/disk.raw'
	cp mnt/disk.raw backup/guest.raw && cp mnt/export/*.qcow2 backup/ && unmount mnt || return 1
	for f in backup/*; do "$VDISK" compare -q "$f" guest.qcow2 || return 1; done
}
check "copies have the disk of the guest" copies
