#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Persistent bitmaps of qcow2: writes to a mount and the verbs of vdisk keep them up to date, as QEMU does with a copy.
. "${0%/*}/functions.sh"
requires qemu-img qemu-io qemu-nbd nbdinfo jq

# areas IMAGE BITMAP: prints the areas that the bitmap has as changed, as an NBD client of QEMU gets them.
areas() {
	local server status
	rm -f nbd.pid nbd
	qemu-nbd -r -f qcow2 -B "$2" -k "$W/nbd" --pid-file="$W/nbd.pid" -t "$1" &
	server=$!
	eventually [ -s nbd.pid ] || return 1
	nbdinfo --map="qemu:dirty-bitmap:$2" "nbd+unix:///?socket=$W/nbd" | awk '{ print $1, $2, $3 }'
	status=${PIPESTATUS[0]}
	kill $server
	wait $server
	rm -f nbd
	return "$status"
}
# same_bitmaps OURS THEIRS NAME...: both images have the same bitmaps, none of them in use, with the same areas.
same_bitmaps() {
	local ours=$1 theirs=$2 name
	shift 2
	qemu-img check -q "$ours" || return 1
	diff <(listed "$ours") <(listed "$theirs") || return 1
	for name in "$@"; do
		areas "$ours" "$name" >areas.ours || return 1
		areas "$theirs" "$name" >areas.theirs || return 1
		diff areas.ours areas.theirs || return 1
	done
}
listed() { qemu-img info --output=json "$1" | jq -S '."format-specific".data.bitmaps'; }
in_use() { qemu-img info -U --output=json "$1" | jq -r '."format-specific".data.bitmaps[] | select(.flags | index("in-use")) | .name' | sort | xargs; }

# with_bitmaps IMAGE [OPTIONS]: creates ours.qcow2 and theirs.qcow2, with three bitmaps.
with_bitmaps() {
	rm -f ours.qcow2 theirs.qcow2
	qemu-img create -q -f qcow2 ${1:+-o "$1"} ours.qcow2 40M
	qemu-img bitmap --add ours.qcow2 usual
	qemu-img bitmap --add -g 4k ours.qcow2 'a fine one'
	qemu-img bitmap --add --disable ours.qcow2 off
	cp ours.qcow2 theirs.qcow2
}

# A mount.
for options in '' cluster_size=4k extended_l2=on,cluster_size=32k; do
	with_bitmaps "$options"
	mount_image ours.qcow2 m -o rw
	theirs=()
	for i in $(seq 30); do
		off=$((($(seed_of "$options" at "$i") % 9000) * 4)) len=$((($(seed_of "$options" len "$i") % 20 + 1) * 4))
		if [ $((i % 3)) = 0 ]; then
			fallocate -p -o ${off}k -l ${len}k m/disk.raw
			theirs+=(-c "discard ${off}k ${len}k")
		else
			dd if=/dev/urandom of=m/disk.raw bs=4k seek=$((off / 4)) count=$((len / 4)) conv=notrunc status=none
			theirs+=(-c "write -q ${off}k ${len}k")
		fi
	done
	sync -f m/disk.raw
	check "${options:-plain}: enabled bitmaps are marked while the disk is written" [ "$(in_use ours.qcow2)" = 'a fine one usual' ]
	unmount m
	qemu-io -f qcow2 "${theirs[@]}" theirs.qcow2
	check "${options:-plain}: bitmaps after writing to a mount" same_bitmaps ours.qcow2 theirs.qcow2 usual 'a fine one' off
done

# A killed daemon leaves the mark, as a killed QEMU does.
with_bitmaps
mount_image ours.qcow2 m -o rw
dd if=/dev/urandom of=m/disk.raw bs=4k count=4 conv=notrunc,fsync status=none
pid=$(daemon_of "$W/m")
kill -KILL "$pid"
"$await_exit" "$patience" "$pid"
eventually eval '! mountpoint -q m'
check "a killed daemon leaves the bitmaps marked" [ "$(in_use ours.qcow2)" = 'a fine one usual' ]
check_not "QEMU does not use a marked bitmap" qemu-img bitmap --merge usual ours.qcow2 off
mount_image ours.qcow2 m -o rw
dd if=/dev/urandom of=m/disk.raw bs=4k count=4 conv=notrunc,fsync status=none
unmount m
check "a marked bitmap stays marked" [ "$(in_use ours.qcow2)" = 'a fine one usual' ]

# The verbs.
with_bitmaps
qemu-img create -q -f raw base.raw 40M
"$VDISK" rebase -u -b base.raw -F raw ours.qcow2
qemu-img rebase -u -b base.raw -F raw theirs.qcow2
check "rebase -u" same_bitmaps ours.qcow2 theirs.qcow2 usual off
for i in ours theirs; do
	qemu-img create -q -f qcow2 -b $i.qcow2 -F qcow2 top.$i 40M
	qemu-io -f qcow2 -c 'write -q 5M 1M' -c 'write -q -z 20M 128k' top.$i
done
"$VDISK" commit -q top.ours
qemu-img commit -q top.theirs
check "commit" same_bitmaps ours.qcow2 theirs.qcow2 usual 'a fine one'
for size in 4G 30M 33M; do
	"$VDISK" resize -q --shrink ours.qcow2 $size
	qemu-img resize -q --shrink theirs.qcow2 $size
	check "resize to $size" same_bitmaps ours.qcow2 theirs.qcow2 usual 'a fine one' off
done
qemu-img create -q -f raw in.raw 33M
qemu-io -f raw -c 'write -q 1M 3M' in.raw
with_bitmaps
"$VDISK" resize -q --shrink ours.qcow2 33M
"$VDISK" convert -n -O qcow2 in.raw ours.qcow2
check "convert -n" eval 'qemu-img check -q ours.qcow2 && [ -z "$(in_use ours.qcow2)" ]'
check "convert -n changes all of the disk" [ "$(areas ours.qcow2 usual)" = "0 34603008 1" ]
with_bitmaps
"$VDISK" snapshot -c one ours.qcow2
qemu-io -f qcow2 -c 'write -q 10M 64k' ours.qcow2
qemu-img bitmap --clear ours.qcow2 usual
"$VDISK" snapshot -a one ours.qcow2
"$VDISK" snapshot -d one ours.qcow2
check "snapshots" [ "$(areas ours.qcow2 usual)" = "0 10485760 0
10485760 65536 1
10551296 31391744 0" ]

# vdisk bitmap: the same commands on both images.
# each ARGUMENT...: runs the verb on both; the exit statuses and, but for the name of the program, the words are equal.
each() {
	local ours theirs
	"$VDISK" "$@" >out.ours 2>&1
	ours=$?
	(cd other && exec qemu-img "$@") >out.theirs 2>&1
	theirs=$?
	sed -i '/^hint: /d; s/^vdisk: //' out.ours
	sed -i "/^Try /d; s/^qemu-img: //; s/\(Could not open '[^']*': \)\1/\1/; s/Can't make bitmap .* persistent in '[^']*': //" out.theirs
	[ $ours = $theirs ] && diff out.ours out.theirs
}
mkdir other
for i in . other; do
	qemu-img create -q -f qcow2 -o cluster_size=4k $i/a 64M
	qemu-img create -q -f qcow2 $i/b 64M
	qemu-img create -q -f qcow2 $i/small 1M
	qemu-img create -q -f qcow2 -o compat=0.10 $i/old 64M
done
number=0
while read -r words; do
	number=$((number + 1))
	# shellcheck disable=SC2086
	check "bitmap: $words" each bitmap $words
done <<'WORDS'
--add a one
--add a one
--add -g 512 a fine
--add -g 32M a coarse
--add --disable a off
--add -g 3 a x
--add -g 256 a x
--add -g 4G a x
--remove a x
--clear a x
--enable a x
--disable a x
--merge x a one
--add b one
--add -g 1M b two
--add small one
--merge one -b small a one
--add old one
--remove -b a a one
--add -F qcow2 a one
-g 4k --remove a one
--add a
--add nofile one
--merge one -b nofile a one
WORDS
some='write -q 0 3000 write -q 5M 100k write -q 33M 512 write -q 40M 4M write -q 67108352 512'
for i in ./ other/; do
	for image in a b; do
		args=()
		set -- $some
		while [ $# -gt 0 ]; do
			args+=(-c "$1 $2 $3 $4")
			shift 4
		done
		qemu-io -f qcow2 "${args[@]}" ${i}$image
	done
done
for words in '--merge one --disable a off' '--merge fine a coarse' '--merge coarse a one' '--merge coarse a fine' '--merge two -b b a off' \
	'--clear a one' '--merge two -b b -F qcow2 a one' '--enable a off' '--disable --clear --merge one a coarse' '--remove a fine' '--add -g 4k --merge one a again'; do
	# shellcheck disable=SC2086
	check "bitmap $words" each bitmap $words
	check "bitmaps after $words" same_bitmaps a other/a one off coarse
done
check "the new bitmap" same_bitmaps a other/a again
check "a bitmap of another granularity than that of its source" eval '[ "$(areas a again)" = "$(areas other/a again)" ]'

# convert --bitmaps.
for i in . other; do
	(cd $i && qemu-io -f qcow2 -c 'write -q 1M 1M' -c 'sigraise 9' b)
	qemu-img bitmap --add $i/b new
	qemu-img bitmap --disable $i/a one
done
for words in '--bitmaps -O qcow2 a copy' '--bitmaps -O raw a copy.raw' '--skip-broken-bitmaps -O qcow2 a copy' '--bitmaps -O qcow2 a a copy'; do
	# shellcheck disable=SC2086
	check "convert $words" each convert $words
done
check "the bitmaps of a copy" same_bitmaps copy other/copy one off coarse again
check_not "convert --bitmaps of an image with one that is in use" "$VDISK" convert --bitmaps -O qcow2 b copy2
check "the output is not made then" [ ! -e copy2 ]
"$VDISK" convert --bitmaps --skip-broken-bitmaps -O qcow2 b copy2 2>err
(cd other && qemu-img convert --bitmaps --skip-broken-bitmaps -O qcow2 b copy2)
check "convert --skip-broken-bitmaps" same_bitmaps copy2 other/copy2 new
check "it warns" grep -q "Skipping inconsistent bitmap 'two'" err
check "measure counts the bitmaps as QEMU" eval 'diff <("$VDISK" measure -O qcow2 b) <(qemu-img measure -O qcow2 b)'
check "--remove-all" eval '"$VDISK" bitmap --remove-all b && qemu-img check -q b && [ "$(listed b)" = null ]'
check_not "--remove-all with a name" "$VDISK" bitmap --remove-all b one
check "--remove-all and --add" eval '"$VDISK" bitmap --remove-all --add a last && [ "$(listed a | jq length)" = 1 ] && qemu-img check -q a'
