#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# The verbs that only read, compared with qemu-img: text, JSON by keys, exit codes, over all formats.
. "${0%/*}/functions.sh"
requires qemu-img qemu-io jq
. "$here/tool-images.sh"

while read -r f; do
	format='' mask='' keys=.
	case $f in
	# qemu-img prints no type for a single extent.
	*.vmdk) mask='/^ +(format|compressed): /d' keys='del(."format-specific".data.extents[].format)' ;;
	# qemu-img prints nothing format-specific for these.
	*.vdi | *.vhd | *.vhdx) mask='/^Format specific/,/^status/{/^status/!d}' ;;
	*.hdd) mask='/^cluster_size/d' keys='del(."dirty-flag")' ;;
	esac
	# qemu-img would probe a fixed VHD as raw.
	[ "$f" != b.vhd ] || format='-f vpc'
	# shellcheck disable=SC2086
	check "info $f" same_text info $format "$f"
	# shellcheck disable=SC2086
	check "info $f as JSON" has_theirs info --output=json $format "$f"

	# Differences of qemu-img: a hole of the host file in a preallocated image is both data and zero; unallocated
	# subclusters have offsets; "present" of VDI, VHD and Parallels does not depend on allocation; VHDX and qcow have
	# no map.
	mask='' keys='map(if .zero then .data = false | del(.offset) else . end)'
	case $f in
	*.vdi | *.vhd | *.hdd) keys+='| map(del(.present))' ;;
	*.vhdx | *.qcow) continue ;;
	esac
	keys+='| reduce .[] as $x ([]; if length > 0 and .[-1].zero and $x.zero and .[-1].present == $x.present
		and .[-1].depth == $x.depth then .[-1].length += $x.length else . + [$x] end)'
	# shellcheck disable=SC2086
	check "map $f" same_text map $format "$f"
	# shellcheck disable=SC2086
	check "map $f as JSON" has_theirs map --output=json $format "$f"
done <images
mask='' keys=.

mask='/^ +format: /d' check "info of a chain" same_text info --backing-chain over.qcow2
keys='[.[] | del(."format-specific")]' check "info of a chain as JSON" \
	has_theirs info --output=json --backing-chain over.qcow2
check "info: the backing file is relative to the working directory" same_text info dir/in.qcow2

# info does not need the passphrase of an encrypted image; map and convert do.
for f in qcow2-aes.qcow2 luks-plain.luks; do
	"$MKIMAGE" "${f%.*}" .
	check "info $f" has_theirs info --output=json "$f"
	check "info $f prints that it is encrypted" eval '"$VDISK" info "$f" | grep -qx "encrypted: yes"'
	check "map $f: no passphrase" same_status map "$f"
	check "convert $f: no passphrase" same_status convert -O raw "$f" locked.raw
done
mv a.vmdk away
check "info with a missing backing file" same_text info over.qcow2
check "info --backing-chain with a missing backing file" same_status info --backing-chain over.qcow2
mv away a.vmdk
TZ=Asia/Tokyo check "dates are in local time" same_text snapshot -l over.qcow2
check "snapshot -l without snapshots" same_text snapshot -l a.qcow2
qemu-img create -q -f qcow2 -o preallocation=metadata preallocated.qcow2 64M
qemu-io -c 'write 0 1M' -c 'write 20M 64k' preallocated.qcow2
mask='' keys='map(del(.compressed))'
check "map of an image with preallocated metadata" same_text map preallocated.qcow2
check "map of an image with preallocated metadata as JSON" has_theirs map --output=json preallocated.qcow2
mask='' keys=.
check "a part of a map" same_text map -s 1M -l 3M over.qcow2
check "a part of a map as JSON" same_text map --output=json --start-offset=70000 --max-length=2000000 over.qcow2
check "a map that begins after the end" same_text map -l 1M -s 5M over.qcow2

for o in "" "-O raw" "-O qcow2"; do
	for f in disk.raw empty.raw a.qcow2 packed.qcow2 over.qcow2 tall.qcow2 a.vmdk a.vdi; do
		# shellcheck disable=SC2086
		check "measure $o $f" same_text measure $o "$f"
	done
	for size in 1 512 5G 1T 100001M; do
		# shellcheck disable=SC2086
		check "measure $o --size $size" same_text measure --size $size $o
	done
done
for size in 1M 5G; do
	qemu-img create -q -f qcow2 noted.qcow2 $size
	for i in 512 64k 2M; do qemu-img bitmap --add -g $i noted.qcow2 "of $i"; done
	qemu-img bitmap --disable noted.qcow2 "of 64k"
	check "info of bitmaps, $size" same_text info noted.qcow2
	check "info of bitmaps as JSON, $size" has_theirs info --output=json noted.qcow2
	check "measure bitmaps, $size" same_text measure -O qcow2 noted.qcow2
	check "measure bitmaps as JSON, $size" has_theirs measure --output=json -O qcow2 noted.qcow2
done
check "measure as JSON" has_theirs measure --output=json -O qcow2 disk.raw
check "measure a snapshot" same_text measure -l first -O raw over.qcow2

for words in "" "frobnicate" "--frobnicate" "info" "info a.qcow2 b.qcow2" "info --frobnicate a.qcow2" "info -f" \
	"info missing" "info -f qcow2 disk.raw" "info -f frob disk.raw" "info --output=xml disk.raw" "map" \
	"map missing" "map packed.qcow2" "map -s x disk.raw" "map -l -1 disk.raw" "compare disk.raw" \
	"compare missing disk.raw" "measure" "measure --size 1G disk.raw" "measure -O frob disk.raw" \
	"measure --size x" "measure --size 9E" "snapshot missing" "convert disk.raw" "convert -O frob disk.raw x" \
	"convert -S 3 disk.raw x" "convert -S 1G disk.raw x" "convert -m 0 disk.raw x" "convert -l nothing over.qcow2 x" \
	"convert missing x" "convert disk.raw no/such/dir"; do
	# shellcheck disable=SC2086
	check "vdisk $words: fails like qemu-img" same_status $words
done
check "the failed commands created no file" [ ! -e x ]

# Verbs and options that qemu-img does not have.

check "map --picture in the terminal" eval '"$VDISK" map --picture over.qcow2 | grep -q "^1  a.vmdk  vmdk, .* of data"'
partitions_of_map() { printf 'label: gpt\nsize=100K, name=boot\n' | sfdisk -q "$1" && "$VDISK" map --picture "$1" | grep "1  100 KiB .* named \"boot\""; }
truncate -s 1M parted.raw
check "map --picture names the partitions" partitions_of_map parted.raw
check "map --picture as SVG" "$VDISK" map --picture=over.svg over.qcow2
check "the picture is XML" eval '! command -v xmllint >/dev/null || xmllint --noout over.svg'
check "the picture has both images" eval 'grep -q ">0 over.qcow2" over.svg && grep -q ">1 a.vmdk" over.svg'
check "info --tree" eval '"$VDISK" info --tree over.qcow2 >tree'
check "the tree has snapshots and backing file" eval 'grep -q "first" tree && grep -q "based on a.vmdk" tree'

# Contents of a disk: a partition table with several types of contents, and each of them without a table.
mkdir contents
(
	cd contents || exit
	"$MKIMAGE" luks-plain .
	mv luks-plain.luks luks
	truncate -s 1M swap nothing
	/sbin/mkswap -L "swap it" swap
	truncate -s 2M ext4
	/sbin/mkfs.ext4 -q -L "the root" -O ^has_journal ext4
) >&2
truncate -s 16M parts.raw
printf '%s\n' 'label: gpt' 'start=2048,size=2048,name="my swap"' 'start=4096,size=4096,name=root' \
	'start=8192,size=8192,name="secret data"' 'start=20480,size=2048' | /sbin/sfdisk -q parts.raw
at=2048
for f in swap ext4 luks; do
	dd if=contents/$f of=parts.raw seek=$at conv=notrunc status=none
	at=$((at * 2))
done
qemu-img convert -f raw -O qcow2 parts.raw parts.qcow2
qemu-img create -q -f qcow2 -b parts.qcow2 -F qcow2 parts-over.qcow2
"$VDISK" info --tree parts-over.qcow2 >tree
"$VDISK" info --tree --output=json parts-over.qcow2 >tree.json
cat tree tree.json >&2
tree_has() { [ "$(grep -cF -- "$1" tree)" = 2 ]; } # once for the overlay, once for its backing file
check "the tree has the partition table" tree_has "partitions (gpt)"
check "the tree has swap space" tree_has '1  1 MiB  swap (swap space)  "swap it"  named "my swap"'
check "the tree has a file system" tree_has '2  2 MiB  ext4  "the root"  named "root"'
check "the tree has LUKS" tree_has '3  4 MiB  crypto_LUKS (LUKS-encrypted), locked: --passphrase-file=  named "secret data"'
check "the tree has unknown contents" tree_has '4  1 MiB  no known file system'
parts_json() { [ "$(jq -c "$1" tree.json)" = "$2" ]; }
check "the tree as JSON is a list of the chain" parts_json '[.[].filename]' '["parts-over.qcow2","parts.qcow2"]'
check "the tree as JSON has the ranges of the partitions" parts_json '.[0]."partition-table" | [.type, (.partitions[] | .number, .start, .size)]' \
	'["gpt",1,1048576,1048576,2,2097152,2097152,3,4194304,4194304,4,10485760,1048576]'
check "the tree as JSON has the names of the partitions" parts_json '[.[1]."partition-table".partitions[].name]' '["my swap","root","secret data",null]'
check "the tree as JSON has the contents of the partitions" parts_json '[.[1]."partition-table".partitions[].content | .type, .label]' \
	'["swap","swap it","ext4","the root","crypto_LUKS",null,null,null]'
whole() { # FILE TEXT: the tree of a disk without partitions
	cp "contents/$1" whole.raw && "$VDISK" info -f raw --tree whole.raw | tee /dev/stderr | grep -qxF -e "└── no partitions: $2" -e "├── no partitions: $2"
}
check "a disk with swap space" whole swap 'swap (swap space)  "swap it"'
check "a disk with a file system" whole ext4 'ext4  "the root"'
check "a disk with LUKS" whole luks 'crypto_LUKS (LUKS-encrypted), locked: --passphrase-file='
check "a disk of zeroes" whole nothing 'no known file system'
check "a disk without partitions as JSON" eval '[ "$("$VDISK" info --tree --output=json contents/ext4 | jq -r ".[0].content.label")" = "the root" ]'
check "snapshots as JSON" eval '[ "$("$VDISK" snapshot --output=json over.qcow2 | jq -r ".[0].name")" = first ]'

# Files that are not images: one line with the type of the file.
mkdir folder
mkfifo fifo
says() { # LINE VDISK-ARGUMENT...: fails, and the first line is this
	local line=$1
	shift
	! timeout 60 "$VDISK" "$@" >printed 2>&1 && tee /dev/stderr <printed | head -n 1 | grep -qxF "vdisk: $line"
}
for verb in info map check measure "snapshot -l" "convert -O raw"; do
	out=
	[ "$verb" != "convert -O raw" ] || out=x
	# shellcheck disable=SC2086
	check "$verb of a directory" says "Could not open 'folder': a directory, not a disk image" $verb folder $out
	# shellcheck disable=SC2086
	check "$verb of a FIFO" says "Could not open 'fifo': a FIFO, not a disk image" $verb fifo $out
	# shellcheck disable=SC2086
	check "$verb of a device" says "Could not open '/dev/null': a character device, not a disk image" $verb /dev/null $out
	# shellcheck disable=SC2086
	check "$verb of a missing file" says "Could not open 'gone': No such file or directory" $verb gone $out
done
check "create over a directory" says "folder: it is a directory" create -q -f qcow2 folder 1M
check "create over a FIFO" says "fifo: it is not a file or a disk" create -q -f raw fifo 1M
check "create over a FIFO: no hint to use --force" eval '! grep force printed'
check "compare names the missing second image" says "Could not open 'gone': No such file or directory" compare a.qcow2 gone

# Control characters in names are escaped in every message and in every line of text.
odd=$'odd\e[31m\nname.qcow2'
cp a.qcow2 "$odd"
qemu-img create -q -u -f qcow2 -b $'back\e[2J\n.raw' -F raw named.qcow2 1M
qemu-img create -q -f qcow2 snaps.qcow2 1M
qemu-img snapshot -c $'snap\e[1m' snaps.qcow2
plain() { # VDISK-ARGUMENT...
	"$VDISK" "$@" >printed 2>&1
	[ -s printed ] && cat -v printed >&2 && ! grep -qP '[\x00-\x09\x0b-\x1f\x7f]' printed
}
check "info of a file name with control characters" plain info "$odd"
check "info prints the file name on one line" eval 'head -n 2 printed | tail -n 1 | grep -qx "file format: qcow2"'
check "map of a file name with control characters" plain map "$odd"
check "info --tree of a file name with control characters" plain info --tree "$odd"
check "a missing file with control characters" plain info "not $odd"
check "the missing file is named once" eval '[ "$(grep -o "not odd" printed | wc -l)" = 1 ]'
check "a backing file with control characters" plain info named.qcow2
check "a snapshot with control characters" plain snapshot -l snaps.qcow2
check "a verb with control characters" plain $'in\e[31mfo'
check "an option with control characters" plain info $'--\e[31m' x
check "a format with control characters" plain create -f $'\e[31m' x 1M
check "a new file with control characters" plain create -f qcow2 $'new\e[31m' 1M
odd_mounted() {
	mkdir -p mnt
	"$VDISKFS" $'-ono\e[31msuch' x mnt 2>printed && return 1
	cat -v printed >&2
	! grep -qP '[\x00-\x09\x0b-\x1f\x7f]' printed
}
check "an option of vdiskfs with control characters" odd_mounted

# A missing backing format: the hint has the option, with the format that the probe finds.
format_hint() { # FORMAT VDISK-ARGUMENT...
	local looks=$1
	shift
	! "$VDISK" "$@" >printed 2>&1 && cat printed >&2 && grep -qx "hint: it looks like $looks: use -F $looks if it is" printed
}
check "rebase names -F" format_hint vdi rebase -u -b a.vdi over.qcow2
check "rebase names -F for a raw disk" format_hint raw rebase -b parts.raw over.qcow2
check "create names -F" format_hint vmdk create -f qcow2 -b a.vmdk new.qcow2
check "create names -F for a path relative to the image" format_hint qcow2 create -f qcow2 -o backing_file=../a.qcow2 folder/new.qcow2
check "convert names -F" format_hint qcow2 convert -O qcow2 -B a.qcow2 a.vdi new.qcow2
check "rebase names -F for a missing file" eval '! "$VDISK" rebase -u -b gone over.qcow2 2>printed && grep -q "^hint: -F FMT" printed'
