#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# BitLocker: the images that cryptsetup is tested with, which Windows made, with the hashes of their volumes; libbde
# reads them for comparison.  They come from Debian's source package, or from the directory $VDISKFS_BITLOCKER.
# Their files are wiped: of the file systems only the boot sectors are left.
. "${0%/*}/functions.sh"
. "$here/images.sh"
requires sha256sum getfattr xz

# fetch_images: prints the directory with the images.
fetch_images() {
	local source=http://deb.debian.org/debian codename
	[ ! -f "${VDISKFS_BITLOCKER:-/nowhere}/images.conf" ] || { echo "$VDISKFS_BITLOCKER"; return; }
	codename=$(. /etc/os-release && [ "$ID" = debian ] && echo "$VERSION_CODENAME") && command -v apt-get || return 1
	mkdir -p apt/lists/partial apt/cache/archives/partial
	echo "deb-src $source $codename main" >apt/sources
	set -- -qq -o Dir::Etc::sourcelist="$W/apt/sources" -o Dir::Etc::sourceparts=/dev/null \
		-o Dir::State::lists="$W/apt/lists" -o Dir::Cache="$W/apt/cache" -o Acquire::http::Timeout=30
	timeout "$patience" apt-get "$@" update && (cd apt && timeout "$patience" apt-get "$@" source --download-only cryptsetup) &&
		tar -xzf apt/cryptsetup_*.orig.tar.gz -C apt --wildcards '*/tests/bitlk-images.tar.xz' &&
		tar -xJSf apt/*/tests/bitlk-images.tar.xz && echo "$W/bitlk-images"
}
images=$(fetch_images | tail -n 1)
[ -f "$images/images.conf" ] || { skip "all: the images of cryptsetup's source package cannot be fetched"; exit 0; }
rm -rf apt

# facts NAME: sets the variables of an image.
facts() {
	PW='' RP='' RP2='' SHA256SUM='' GUID='' UUID='' CIPHER='' SK_VMK_GUID='' RP_VMK_GUID=''
	eval "$(awk -v name="[$1]" '/^\[/ { on = $0 == name } on && /^[A-Z0-9_]+=/' "$images/images.conf" | sed "s/=\(.*\)/='\1'/")"
}
volume() { echo "$1/volumes/bitlocker-$GUID.raw"; }
has_hash() { [ "$(sha256sum <"$1" | cut -d' ' -f1)" = "$SHA256SUM" ]; }
is_right() { # DIR
	local file
	file=$(volume "$1")
	has_hash "$file" && [ "$(getfattr --only-values -n user.vdisk.volume.kind "$file")" = bitlocker ] &&
		[ "$(getfattr --only-values -n user.vdisk.volume.layout "$file")" = "$CIPHER" ] &&
		[ "$(getfattr --only-values -n user.vdisk.volume.uuid "$file")" = "$UUID" ] &&
		[ "$(ls "$1/volumes")" = "bitlocker-$GUID.raw" ]
}
says() { # PATTERN DIR
	cat "$2/volumes"/*.error.txt
	[ "$(ls "$2/volumes")" = "bitlocker-$GUID.error.txt" ] && grep -qE -e "$1" "$2/volumes/bitlocker-$GUID.error.txt"
}
# opens NAME IMAGE SECRET: the volume has the right bytes and attributes.
opens() {
	mount_with=(-o "passphrase-file=$3")
	check "$1" on_mount "$2" is_right
	mount_with=()
}
# with_secret FORMAT SECRET: writes it to the file "secret".
with_secret() { printf "$1" "$2" >secret; }

check_image() { # NAME
	local image=$images/$1.img bek
	facts "$1"
	if [ -z "$SHA256SUM" ]; then
		check "$1: refused by name" on_mount "$image" says 'EOW'
		return
	fi
	if [ -n "$PW" ]; then
		with_secret '%s\n' "$PW"
		opens "$1: password" "$image" secret
	fi
	if [ -n "$RP" ]; then
		with_secret '%s' "$RP"
		opens "$1: recovery password" "$image" secret
		check "$1: locked, with the id of the recovery password" on_mount "$image" says "locked .*recovery password $RP_VMK_GUID"
	fi
	if [ -n "$RP2" ]; then
		with_secret '%s\r\n' "$RP2"
		opens "$1: second recovery password" "$image" secret
	fi
	if [ -n "$SK_VMK_GUID" ]; then
		bek=$images/${SK_VMK_GUID^^}.BEK
		opens "$1: startup key" "$image" "$bek"
	fi
	[ -n "$PW$RP$SK_VMK_GUID" ] || check "$1: opens by itself" on_mount "$image" is_right
}
names=$(sed -n 's/^\[\(.*\)\]$/\1/p' "$images/images.conf")
for name in $names; do
	[ ! -f "$images/$name.img" ] || check_image "$name"
done

# One of them in more detail.
facts bitlk-aes-xts-128
image=$images/bitlk-aes-xts-128.img
printf '%s' "$PW" >right
printf 'wrong' >wrong
printf '%s' "$GUID" >guess
mount_with=(-o "passphrase-file=$W/wrong" -o "passphrase-file=$W/guess")
check "wrong passphrases" on_mount "$image" says 'no passphrase opens it \(password, recovery password '
mount_with=(-o "passphrase-file=$W/wrong" -o "passphrase-file=$W/right")
check "a wrong and a right passphrase" on_mount "$image" is_right
mount_with=(-o "passphrase-file=$GUID:$W/right")
check "a passphrase for this volume" on_mount "$image" is_right
mount_with=(-o "passphrase-file=11111111-2222-3333-4444-555555555555:$W/right")
check "a passphrase for another volume" on_mount "$image" says 'locked \(password'

# Another reader, for all bytes in random pieces.
if command -v bdemount >/dev/null; then
	mkdir bde
	if bdemount -r "$RP" "$image" bde >/dev/null 2>bde.err; then
		mount_with=(-o "passphrase-file=$W/right")
		same_as_bde() { same "$(volume "$1")" bde/bde1; }
		check "the bytes that libbde reads" on_mount "$image" same_as_bde
		fusermount3 -u bde
	else
		skip "libbde: $(tail -n 1 bde.err)"
	fi
else
	skip "libbde: bdemount is not installed"
fi
if command -v cryptsetup >/dev/null; then
	cryptsetup bitlkDump "$image" >dump 2>&1
	check "cryptsetup has the same id" grep -qE "^GUID:[[:space:]]+$GUID" dump
else
	skip "cryptsetup: it is not installed"
fi

# A disk of a guest: partitions, qcow2, a snapshot.
guest() {
	local dir=$1 file link
	file=$(volume "$dir")
	has_hash "$file" && has_hash "$dir/snapshots/one/volumes/bitlocker-$GUID.raw" && link=$(readlink "$dir/by-uuid/$UUID") &&
		[ "$link" = "../volumes/bitlocker-$GUID.raw" ]
}
if command -v sgdisk >/dev/null && command -v qemu-img >/dev/null; then
	truncate -s 120M guest.raw
	sgdisk -n 1:2048:+2M -n 2:8192:+100M -t 2:0700 guest.raw >/dev/null
	dd if="$image" of=guest.raw bs=4M seek=1 conv=notrunc,sparse status=none
	qemu-img convert -f raw -O qcow2 guest.raw guest.qcow2
	qemu-img snapshot -c one guest.qcow2
	mount_with=(-o "passphrase-file=$W/right")
	check "a partition of a qcow2 image, and its snapshot" on_mount guest.qcow2 guest
	read_only() { ! printf x 2>/dev/null 1<>"$(volume "$1")"; }
	mount_with=(-o rw -o "passphrase-file=$W/right")
	check "it cannot be written" on_mount guest.qcow2 read_only
	check "its bytes in a writable mount" on_mount guest.qcow2 guest
else
	skip "a guest: sgdisk or qemu-img is not installed"
fi
# Damaged copies of the metadata: the first ones, then all.
cp --sparse=always "$image" damaged.img
places=$(od -An -t u8 -j 176 -N 24 damaged.img)
n=0
for place in $places; do
	n=$((n + 1))
	printf '\377' | dd of=damaged.img bs=1 seek=$((place + 120)) conv=notrunc status=none
	mount_with=(-o "passphrase-file=$W/right")
	[ $n = 3 ] || check "$n damaged copies of the metadata" on_mount damaged.img is_right
done
all_damaged() { grep -q 'none of the 3 copies .* checksum' "$1"/volumes/*.error.txt; }
check "all copies of the metadata are damaged" on_mount damaged.img all_damaged
