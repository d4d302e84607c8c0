#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Guests as their installers leave them: LVM beside a boot partition, LVM in LUKS; volumes on several disks.
. "${0%/*}/functions.sh"
. "$here/images.sh"
. "$here/lvm.sh"
requires qemu-img mke2fs mkfs.vfat mkswap cryptsetup e2fsck diff

mkdir tree mnt guest other
seq 50000 >tree/numbers
noise 11 300000 >tree/noise
root_uuid=aaaaaaaa-2222-3333-4444-555555555555
file_system() { # FILE BYTES LABEL UUID
	truncate -s "$2" "$1" && mke2fs -q -t ext4 -L "$3" -U "$4" -d tree "$1"
}
mounts_tree() { # FILE: the kernel mounts it
	local device status=0
	device=$(losetup -r -f --show "$1") || return 1
	mount -o ro,nosuid,nodev,noexec "$device" guest && diff -r -x lost+found guest tree || status=1
	! mountpoint -q guest || umount guest
	losetup -d "$device"
	return $status
}
gpt() { # DISK FILE...: a GPT disk with the ESP, /boot and the file as partitions
	truncate -s $((24 << 20)) "$1" && truncate -s "+$(stat -c %s "$2")" "$1" &&
		sfdisk -q "$1" <<-'TABLE' &&
			label: gpt
			start=2048, size=8192, type=uefi
			start=10240, size=16384, type=linux
			start=26624, type=lvm
		TABLE
		mkfs.vfat -n EFI -i ABCD1234 --offset 2048 "$1" 4096 >/dev/null && mke2fs -q -t ext4 -L boot -E offset=$((10240 * 512)) "$1" 8M &&
		dd if="$2" of="$1" bs=512 seek=26624 conv=notrunc,sparse status=none
}
volume_group() { # FILE VG: a physical volume with root and swap
	truncate -s 64M "$1" && pv_files "$1" && lvm2 pvcreate -q "${pvs[@]}" && lvm2 vgcreate -q -s 1m "$2" "${pvs[@]}" &&
		lv_create -l 40 -n root "$2" && lv_create -l 8 -n swap "$2" && put "$2/root" root.fs && put "$2/swap" swap.fs || return 1
	root_at=$(pieces "$2/root" | cut -d ' ' -f 2)
	pv_detach
}
file_system root.fs 40M 'cloud root' $root_uuid
truncate -s 8M swap.fs && mkswap -q swap.fs
check "the guests are made" volume_group ubuntu.pv ubuntu-vg || exit 1
root_at_ubuntu=$root_at
gpt ubuntu.raw ubuntu.pv
pass_phrase=correct
printf %s $pass_phrase >key
printf wrong >wrong
volume_group fedora.pv fedora
truncate -s +32M fedora.pv
cryptsetup reencrypt -q --encrypt --type luks2 --reduce-device-size 32M --pbkdf argon2id --pbkdf-memory 32 --pbkdf-force-iterations 4 \
	--pbkdf-parallel 1 --key-file key fedora.pv || { fail "cryptsetup encrypts"; exit 1; }
luks=luks-$(cryptsetup luksUUID fedora.pv)
gpt fedora.raw fedora.pv

# --- Formats and snapshots.
images() { # NAME: in each format, with a snapshot, or a parent, of the disk; the live disk is empty
	truncate -s "$(stat -c %s "$1.raw")" blank.raw
	qemu-img convert -O qcow2 "$1.raw" "$1.qcow2" && qemu-img snapshot -c before "$1.qcow2" && qemu-img convert -n -f raw -O qcow2 blank.raw "$1.qcow2" &&
		qemu-img convert -O vmdk "$1.raw" "$1-base.vmdk" && qemu-img create -q -f vmdk -b "$1-base.vmdk" -F vmdk "$1.vmdk" &&
		qemu-img convert -n -f raw -O vmdk blank.raw "$1.vmdk" && qemu-img convert -O vdi "$1.raw" "$1.vdi"
}
check "images" images ubuntu
check "images with LUKS" images fedora
ubuntu() { # DIR
	cmp "$1/volumes/ubuntu--vg-root.raw" root.fs && cmp "$1/volumes/ubuntu--vg-swap.raw" swap.fs && listed "$1" ubuntu--vg-root.raw ubuntu--vg-swap.raw &&
		[ "$(readlink "$1/by-uuid/$root_uuid")" = ../volumes/ubuntu--vg-root.raw ] &&
		cmp "$1/by-label/cloud\\x20root" root.fs && [ "$(readlink "$1/by-uuid/ABCD-1234")" = ../partitions/1.raw ] && mounts_tree "$1/volumes/ubuntu--vg-root.raw"
}
fedora() { cmp "$1/volumes/fedora-root.raw" root.fs && listed "$1" fedora-root.raw fedora-swap.raw $luks.raw && mounts_tree "$1/by-uuid/$root_uuid"; }
nothing() { [ ! -e "$1/volumes" ] && [ ! -e "$1/partitions" ]; }
in_snapshot() { nothing "$2" && "$1" "$2/snapshots/before"; }
in_parent() { nothing "$2" && "$1" "$2/chain/1-$1-base.vmdk"; }
for guest in ubuntu fedora; do
	[ $guest = ubuntu ] || mount_with=(-o "passphrase-file=$W/key")
	check "$guest: raw" on_mount $guest.raw $guest
	check "$guest: vdi" on_mount $guest.vdi $guest
	check "$guest: snapshot of a qcow2" on_mount $guest.qcow2 in_snapshot $guest
	check "$guest: parent of a VMDK" on_mount $guest.vmdk in_parent $guest
done
mount_with=()
locked() { listed "$1" $luks.error.txt && says "$1/volumes/$luks.error.txt" passphrase && grep -q '"locked": true' "$1/info.json"; }
check "LUKS without a passphrase" on_mount fedora.raw locked
mount_with=(-o "passphrase-file=$W/wrong")
wrong() { listed "$1" $luks.error.txt && says "$1/volumes/$luks.error.txt" "no key slot" && cmp "$1/disk.raw" fedora.raw; }
check "LUKS with a wrong passphrase: only the volume is refused" on_mount fedora.raw wrong
mount_with=()

# --- vdisk.
mounts() { # OPERAND...: vdisk mounts the tree
	"$VDISK" mount "${@:1:$#-1}" "${*: -1}" mnt && diff -r -x lost+found mnt tree && "$VDISK" umount mnt
}
fails() { # PATTERN ARGUMENT...
	! "$VDISK" "${@:2}" 2>err && grep -qE -e "$1" err || { cat err >&2; return 1; }
}
for name in ubuntu-vg/root ubuntu--vg-root 'cloud root' "LABEL=cloud root" $root_uuid UUID=${root_uuid^^}; do
	check "vdisk mount of $name" mounts ubuntu.vdi "$name"
done
check "vdisk mount of a partition that holds volumes" fails 'hint: .*ubuntu-vg/root, ubuntu-vg/swap|partition 3 has no file system of its own: LVM' mount ubuntu.vdi 3 mnt
check "the hint names the volumes" grep -q 'ubuntu-vg/root' err
check "vdisk mount in LUKS" mounts --passphrase-file=key fedora.vdi fedora/root
check "vdisk mount of a locked volume" fails 'volume luks-.*passphrase' mount fedora.vdi $luks mnt
completes() { "$VDISK" completion partitions ubuntu.vdi >out && grep -qx ubuntu-vg/root out && grep -qx 'cloud root' out && grep -qx 3 out; }
check "completion has volumes" completes
tree_says() { "$VDISK" info --tree "$@" >out && cat out >&2; }
tree_of_ubuntu() { tree_says ubuntu.vdi && grep -q '3 .*LVM2_member (LVM physical volume)  of "ubuntu-vg"' out && grep -q 'ubuntu--vg-root .*ext4  "cloud root"  on partition 3' out; }
tree_of_fedora() { tree_says fedora.vdi && grep -q '3 .*crypto_LUKS.*locked' out; }
check "vdisk info --tree names members and volumes" tree_of_ubuntu
check "vdisk info --tree names what is locked" tree_of_fedora
if ! command -v fuse2fs >/dev/null || ! unshare -m true || ! mknod -m 666 fuse c 10 229; then
	skip "as a user: needs fuse2fs, mount namespaces and device nodes"
else
	mkdir run umnt
	chmod 755 "$W"
	chmod 644 ubuntu.vdi
	chown nobody run umnt
	as_user() { setpriv --reuid nobody --regid "$(id -g nobody)" --clear-groups env XDG_RUNTIME_DIR="$W/run" "$@"; }
	user_mounts() {
		mount --bind fuse /dev/fuse && as_user "$VDISK" mount ubuntu.vdi ubuntu-vg/root umnt && as_user diff -r -x lost+found umnt tree && as_user "$VDISK" umount umnt
	}
	export -f as_user user_mounts
	export W VDISK
	check "a user mounts a volume" unshare -m bash -c user_mounts
fi

# --- Writing: a file system in a volume, and the three files that show its bytes.
read_at() { dd if="$1" bs=1M iflag=skip_bytes,count_bytes skip="$2" count=40M status=none | cmp - "$3"; }
writes() { # VOLUME DIR
	local device file=$2/volumes/$1
	device=$(losetup -f --show "$file") && mount "$device" guest && noise 12 500000 >guest/new && umount guest && losetup -d "$device" &&
		e2fsck -fn "$file" && debugfs -R 'dump new new.out' "$file" && noise 12 500000 | cmp - new.out
}
agree() { # DIR: disk.raw, 3.raw and the volume
	writes ubuntu--vg-root.raw "$1" && cat "$1/volumes/ubuntu--vg-root.raw" >now &&
		read_at "$1/partitions/3.raw" "$root_at_ubuntu" now && read_at "$1/disk.raw" $((26624 * 512 + root_at_ubuntu)) now &&
		noise 13 65536 >piece && dd if=piece of="$1/partitions/3.raw" bs=64K oflag=seek_bytes seek="$root_at_ubuntu" conv=notrunc status=none &&
		eventually cmp -n 65536 piece "$1/volumes/ubuntu--vg-root.raw"
}
mount_with=(-o rw)
cp ubuntu.raw written.raw
check "a volume, its partition and the disk agree" on_mount written.raw agree
qemu-img convert -O qcow2 fedora.raw written.qcow2
mount_with=(-o "rw,passphrase-file=$W/key")
check "writes to a volume in LUKS" on_mount written.qcow2 writes fedora-root.raw
mount_with=(-o "passphrase-file=$W/key")
has_new() { debugfs -R 'dump new new.out' "$1/volumes/fedora-root.raw" && noise 12 500000 | cmp - new.out && e2fsck -fn "$1/volumes/fedora-root.raw"; }
check "they are in the image" on_mount written.qcow2 has_new
mount_with=()

# --- A group on two disks, beside copies of a guest.
mkdir machines
truncate -s 32M machines/a.raw machines/b.raw
pv_files machines/a.raw machines/b.raw
lvm2 pvcreate -q "${pvs[@]}" && lvm2 vgcreate -q -s 1m span "${pvs[@]}" && lv_create -l 40 -n root span && put span/root root.fs || fail "a group on two disks"
pv_detach
cp ubuntu.vdi machines/one.vdi && cp ubuntu.vdi machines/two.vdi
spans() {
	listed "$1" span-root.raw && cmp "$1/volumes/span-root.raw" root.fs && mounts_tree "$1/volumes/span-root.raw" &&
		says "$1/a.raw/volumes/span-root.error.txt" missing && ubuntu "$1/one.vdi" && ubuntu "$1/two.vdi"
}
check "a volume on two disks is in their directory, and copies do not collide" on_mount machines spans
mount_with=(-o rw)
reads_only() { spans "$1" && ! dd if=/dev/zero of="$1/volumes/span-root.raw" bs=4K count=1 conv=notrunc && spans "$1"; }
check "in a writable directory it can be read" on_mount machines reads_only
mount_with=()
cp machines/b.raw machines/c.raw
twice() { says "$1/volumes/span-root.error.txt" "is there twice, on b.raw and on c.raw"; }
check "a copy of one of its disks is refused" on_mount machines twice

# --- Disks that change while their directory is mounted: volumes/ follows.
mkdir changing
cp machines/a.raw machines/b.raw .
cp a.raw b.raw changing
truncate -s 32M changing/z.raw # no member yet
whole() { listed "$1" span-root.raw && cmp "$1/volumes/span-root.raw" root.fs; }
spans_nothing() { [ -z "$(ls "$1/volumes")" ]; }
half() { spans_nothing "$1" && says "$1/a.raw/volumes/span-root.error.txt" missing; }
follows() { # DIR: a member loses its content and gets it again, there and on another disk
	whole "$1" && dd if=/dev/zero of=changing/b.raw bs=1M count=1 conv=notrunc status=none && eventually half "$1" &&
		cp b.raw changing/b.raw && eventually whole "$1" &&
		dd if=/dev/zero of=changing/b.raw bs=1M count=1 conv=notrunc status=none && eventually half "$1" &&
		cp b.raw changing/z.raw && eventually whole "$1" && rm changing/a.raw && eventually spans_nothing "$1" &&
		cp a.raw changing/a.raw && eventually whole "$1"
}
check "volumes on disks that change" on_mount changing follows
cp a.raw b.raw changing
rm changing/z.raw
stays_open() { # DIR: bytes of a file that is open are those that it was opened with, or an error
	exec 7<"$1/volumes/span-root.raw" && cmp -n 1000000 - root.fs <&7 && truncate -s 0 changing/b.raw && cp b.raw changing/b.raw &&
		eventually whole "$1" && cat <&7 >/dev/null
	exec 7<&-
	eventually whole "$1"
}
check "an open volume on disks that change" on_mount changing stays_open
mount_with=(-o rw)
after_write() { # DIR: the image of a disk that was written to is still open, and locked
	dd if="$1/a.raw/disk.raw" of=byte bs=1M count=1 status=none && dd if=byte of="$1/a.raw/disk.raw" bs=1M conv=notrunc status=none && whole "$1"
}
check "volumes on several disks, one of which was written to" on_mount changing after_write
mount_with=()
