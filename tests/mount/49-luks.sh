#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# LUKS volumes made by cryptsetup and QEMU: in partitions, in whole disks and as images; key slots, copies of the
# header, detached headers, passphrases; writing, with cryptsetup and QEMU as referees.
. "${0%/*}/functions.sh"
. "$here/images.sh"
requires cryptsetup qemu-img sfdisk jq getfattr mkfs.ext4 e2fsck xxd

printf correct.horse >pw
printf second >pw2
printf wrong >pw.wrong
with=(-o "passphrase-file=$W/pw")
mkfs_dir() { truncate -s 8M plain && mkfs.ext4 -q -b 4096 -L 'inner fs' -U 11111111-2222-3333-4444-555555555555 -d tree plain; }
mkdir tree
seq 100000 >tree/numbers
noise 1 1000000 >tree/noise
mkfs_dir
fast=(--pbkdf pbkdf2 --pbkdf-force-iterations 1000)

# encrypted FILE OPTION...: makes a LUKS2 device of plain, without device mapper.
encrypted() {
	local file=$1
	shift
	cp plain "$file" && truncate -s 40M "$file" &&
		cryptsetup reencrypt --encrypt --type luks2 -q --reduce-device-size 32M --key-file pw "$@" "$file"
}
uuid_of() { cryptsetup luksUUID "$1"; }
# partitioned DISK FILE: a disk with a GPT and the file as its second partition.
partitioned() {
	rm -f "$1"
	truncate -s $(($(stat -c %s "$2") + 12582912)) "$1"
	printf 'label: gpt\nstart=2048,size=16384\nstart=18432,size=%d\n' $(($(stat -c %s "$2") / 512)) | sfdisk -q "$1"
	dd if="$2" of="$1" bs=1M seek=9 conv=notrunc,sparse status=none
}
# volume_is NAME FILE MOUNT: the volume begins with the bytes of the file.
volume_is() { cmp -n "$(stat -c %s "$2")" "$3/volumes/$1.raw" "$2"; }

# Key slots, ciphers and sectors.
variants() {
	while read -r name options; do
		# shellcheck disable=SC2086
		if ! encrypted "$name.img" $options; then
			skip "$name: cryptsetup reencrypt $options"
			continue
		fi
		mount_with=("${with[@]}")
		partitioned disk.raw "$name.img"
		check "partition, $name: $options" on_mount disk.raw volume_is "luks-$(uuid_of "$name.img")" plain
		check "image, $name" on_mount "$name.img" head_is plain
	done
}
head_is() { cmp -n "$(stat -c %s "$1")" "$2/disk.raw" "$1"; }
variants <<'LIST'
pbkdf2 --pbkdf pbkdf2 --pbkdf-force-iterations 1000
argon2id --pbkdf argon2id --pbkdf-force-iterations 4 --pbkdf-memory 65536 --pbkdf-parallel 4
argon2i --pbkdf argon2i --pbkdf-force-iterations 4 --pbkdf-memory 32768 --pbkdf-parallel 1
s512 --pbkdf pbkdf2 --pbkdf-force-iterations 1000 --sector-size 512
s1024 --pbkdf pbkdf2 --pbkdf-force-iterations 1000 --sector-size 1024 --hash sha512
s4096 --pbkdf pbkdf2 --pbkdf-force-iterations 1000 --sector-size 4096
essiv --pbkdf pbkdf2 --pbkdf-force-iterations 1000 --sector-size 2048 --cipher aes-cbc-essiv:sha256 --key-size 256
plain64 --pbkdf pbkdf2 --pbkdf-force-iterations 1000 --sector-size 4096 --cipher aes-cbc-plain64 --key-size 256
plain64be --pbkdf pbkdf2 --pbkdf-force-iterations 1000 --sector-size 4096 --cipher aes-xts-plain64be
eboiv --pbkdf pbkdf2 --pbkdf-force-iterations 1000 --sector-size 4096 --cipher aes-cbc-eboiv --key-size 256
xts128 --pbkdf pbkdf2 --pbkdf-force-iterations 1000 --cipher aes-xts-plain --key-size 256 --hash sha1
LIST

# What is shown of a volume.
cp s4096.img image.img
cryptsetup config -q --label 'my label' image.img
U=$(uuid_of image.img)
partitioned disk.raw image.img
shown() {
	local file=$1/volumes/luks-$U.raw
	[ "$(getfattr --only-values -n user.vdisk.volume.kind "$file")" = luks ] &&
		[ "$(readlink -f "$1/by-label/inner\\x20fs")" = "$(readlink -f "$file")" ] &&
		[ "$(readlink -f "$1/by-uuid/11111111-2222-3333-4444-555555555555")" = "$(readlink -f "$file")" ]
}
check "attributes and links" on_mount disk.raw shown
for f in qcow2 vmdk vdi; do
	qemu-img convert -f raw -O $f disk.raw disk.$f
	check "in $f" on_mount disk.$f volume_is "luks-$U" plain
done

# Passphrases.
error_says() { grep -q "$1" "$2/volumes/luks-$U.error.txt"; }
mount_with=()
check "no passphrase" on_mount disk.raw error_says 'encrypted (LUKS), and no passphrase was given'
check "no passphrase: the hint" on_mount disk.raw error_says '^hint: -o passphrase-file='
mount_with=(-o "passphrase-file=$W/pw.wrong")
check "a wrong passphrase refuses the volume" on_mount disk.raw error_says 'no key slot opens with this passphrase'
mount_with=(-o "passphrase-file=$U:$W/pw")
check "a passphrase for this UUID" on_mount disk.raw volume_is "luks-$U" plain
mount_with=(-o "passphrase-file=99999999-2222-3333-4444-555555555555:$W/pw")
check "a passphrase for another UUID" on_mount disk.raw error_says 'no passphrase was given'
cryptsetup luksAddKey -q --key-file pw --pbkdf argon2id --pbkdf-force-iterations 4 --pbkdf-memory 40000 image.img pw2
partitioned disk.raw image.img
mount_with=(-o "passphrase-file=$W/pw2")
check "the second key slot" on_mount disk.raw volume_is "luks-$U" plain
mount_with=(-o "passphrase-file=$W/pw2,luks-memory=30M")
check "a key slot that needs more memory than allowed" on_mount disk.raw error_says 'key slot 1: it needs 39 MiB of memory'
cryptsetup luksKillSlot -q image.img 0 --key-file pw2
partitioned disk.raw image.img
mount_with=("${with[@]}")
check "a key slot that was removed" on_mount disk.raw error_says 'no key slot opens'

# Copies of the header.
damaged() { cp s4096.img image.img && dd if=/dev/zero of=image.img bs=4k seek="$1" count="$2" conv=notrunc status=none; }
on_mount_as_luks() { mount_with=("${with[@]}" -o format=luks); on_mount "$@"; }
damaged 0 4 && check "the first copy is gone" on_mount_as_luks image.img head_is plain
damaged 1 1 && check "the first copy is damaged" on_mount_as_luks image.img head_is plain
damaged 4 4 && check "the second copy is gone" on_mount_as_luks image.img head_is plain
damaged 0 8
check "both are gone" refused image.img 'not a LUKS header' "${with[@]}" -o format=luks
damaged 1 1 && dd if=/dev/urandom of=image.img bs=4k seek=5 count=1 conv=notrunc status=none
partitioned disk.raw image.img
mount_with=("${with[@]}")
damaged_says() { grep -q 'checksum does not match' "$1/volumes/luks-partition-2.error.txt"; }
check "both are damaged: the volume says so" on_mount disk.raw damaged_says

# Reencryption under way, and whole images.
cp plain image.img && truncate -s 40M image.img
if cryptsetup reencrypt --encrypt --init-only --type luks2 -q --reduce-device-size 32M --key-file pw "${fast[@]}" image.img; then
	check "reencryption under way" refused image.img 'its encryption is being changed' "${with[@]}"
else
	skip "reencryption under way: cryptsetup cannot begin it here"
fi
like_dump() {
	cryptsetup luksDump --dump-json-metadata s4096.img >dump.json
	jq -e --slurpfile d dump.json '."format-specific".data | .version == 2 and ."sector-size" == 4096 and
		(."payload-offset" | tostring) == $d[0].segments["0"].offset and .encryption == $d[0].segments["0"].encryption' "$1/info.json"
}
mount_with=("${with[@]}")
check "info.json" on_mount s4096.img like_dump
check "vdisk convert" eval '"$VDISK" convert --passphrase-file=pw -O raw s4096.img out.raw && cmp -n 8388608 out.raw plain'

# Detached headers and backups.
cp plain detached.raw
if cryptsetup reencrypt --encrypt --type luks2 -q --header header --key-file pw "${fast[@]}" --resilience none detached.raw; then
	D=$(uuid_of header)
	mount_with=("${with[@]}" -o "luks-header=$W/header")
	check "a detached header, a whole disk" on_mount detached.raw volume_is "luks-$D" plain
	mount_with+=(-o format=luks)
	check "a detached header, an image" on_mount detached.raw head_is plain
	partitioned disk.raw detached.raw
	mount_with=("${with[@]}" -o "luks-header=$(sfdisk --part-uuid disk.raw 2):$W/header")
	check "a detached header, a partition" on_mount disk.raw volume_is "luks-$D" plain
	check "vdisk --luks-header" eval '"$VDISK" convert --luks-header=header --passphrase-file=pw -f luks -O raw detached.raw out.raw && cmp out.raw plain'
	check "a detached header by itself" refused header 'a detached LUKS header' "${with[@]}" -o format=luks
else
	skip "detached headers: cryptsetup cannot encrypt with one here"
fi
check "a header that is missing" refused s4096.img '/nowhere/header: No such file' -o luks-header=/nowhere/header
cryptsetup luksHeaderBackup s4096.img --header-backup-file backup
cp s4096.img image.img
dd if=/dev/urandom of=image.img bs=4k seek=8 count=100 conv=notrunc status=none
mount_with=("${with[@]}" -o "luks-header=$W/backup")
check "a backup of the header, when the key slots are gone" on_mount image.img head_is plain

# Version 1, by QEMU.
qemu-img convert -q -f raw -O luks --object secret,id=s,file=pw -o key-secret=s,iter-time=10 plain luks1.img ||
	qemu-img convert -q -f raw -O luks --object secret,id=s,file=pw -o key-secret=s,iter-time=10 plain luks1.img
L=$(uuid_of luks1.img)
partitioned disk.raw luks1.img
mount_with=("${with[@]}")
check "version 1 in a partition" on_mount disk.raw volume_is "luks-$L" plain

# Writing.
numbers_on() { # DIR OPTION...: writes at odd places and makes a file system
	local file=$1/volumes/luks-$2.raw
	dd if=noise of="$file" bs=999 seek=700 conv=notrunc status=none && cp -f "$file" written
}
noise 3 3000001 >noise
write_and_read() { # IMAGE UUID OPTION...
	local image=$1 uuid=$2
	shift 2
	mount_image "$image" mnt "$@" "${with[@]}" && numbers_on mnt "$uuid" && unmount mnt || return 1
	cp plain expected
	truncate -s "$(stat -c %s written)" expected
	dd if=noise of=expected bs=999 seek=700 conv=notrunc status=none
	cmp -n 8388608 written expected
}
mkdir mnt
cp luks1.img image.raw
qemu_reads() { qemu-img convert --object secret,id=s,file=pw --image-opts -O raw "driver=luks,file.filename=image.raw,key-secret=s" out.raw && cmp out.raw written; }
check "version 1: writing" write_and_read image.raw "$L" -o rw,format=raw
check "version 1: QEMU reads what was written" qemu_reads
for name in s512 s4096 essiv; do
	partitioned disk.raw $name.img
	check "$name: writing" write_and_read disk.raw "$(uuid_of $name.img)" -o rw
	dd if=disk.raw of=image.img bs=1M skip=9 count=40 status=none
	# Decrypts the data in place, by cryptsetup.
	if cryptsetup reencrypt --decrypt --force-offline-reencrypt -q --header out.header --key-file pw image.img; then
		check "$name: cryptsetup decrypts what was written" cmp -n 8388608 image.img written
	else
		skip "$name: cryptsetup cannot decrypt here"
	fi
	rm -f out.header
done
qemu-img convert -f raw -O qcow2 disk.raw disk.qcow2
check "qcow2: writing" write_and_read disk.qcow2 "$(uuid_of essiv.img)" -o rw
mount_with=("${with[@]}")
check "qcow2: what was written stays" on_mount disk.qcow2 volume_is "luks-$(uuid_of essiv.img)" written
check "qcow2: its map is right" qemu-img check -q disk.qcow2
sum=$(sha256sum <disk.qcow2)
check "cow: writing" write_and_read disk.qcow2 "$(uuid_of essiv.img)" -o cow
check "cow: the image did not change" [ "$(sha256sum <disk.qcow2)" = "$sum" ]
a_file_system() {
	local file=$1/volumes/luks-$(uuid_of essiv.img).raw
	mkfs.ext4 -q -F -d tree "$file" && e2fsck -fn "$file" >/dev/null
}
mount_with=("${with[@]}" -o rw)
check "a file system made in the volume" on_mount disk.qcow2 a_file_system
stays() { e2fsck -fn "$1/volumes/luks-$(uuid_of essiv.img).raw" && debugfs -R 'cat /numbers' "$1/volumes/luks-$(uuid_of essiv.img).raw" 2>/dev/null | cmp - tree/numbers; }
mount_with=("${with[@]}")
check "and it stays" on_mount disk.qcow2 stays
