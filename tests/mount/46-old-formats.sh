#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# qcow version 1, QED, Parallels and Bochs: images of qemu-img, also written at random, compared with its reading;
# unclean images; parents; Parallels bundles, which qemu-img cannot read, compared with the data written to them.
. "${0%/*}/functions.sh"
. "$here/images.sh"
requires qemu-img qemu-io xxd jq

info_has() { jq -e "$2" "$1/info.json" >/dev/null; } # MOUNT EXPRESSION
info_matches() { info_has "$2" "$1"; }

# converted NAME FORMAT UNIT OPTION...: converts src to an image of that format.
converted() {
	local what=$1 format=$2 unit=$3
	shift 3
	rm -f image
	# QEMU 7.2 exits with status 1 and no message although the compressed qcow is right; so the status is ignored.
	qemu-img convert -q -f raw -O "$format" "$@" src image
	qemu-img compare -q -f "$format" -F raw image src || { fail "$what: qemu-img failed"; return; }
	UNIT=$unit check "$what" matches image src
}

# scribbled NAME FORMAT SIZE UNIT KINDS OPTION...
scribbled() {
	local what=$1 format=$2 size=$3 unit=$4 kinds=$5 seed
	seed=$(seed_of "$what")
	shift 5
	rm -f image
	qemu-img create -q -f "$format" "$@" image "$size"
	scribble "$format" image "$size" "$unit" $seed 40 "$kinds"
	UNIT=$unit agrees "$what, scribbled (seed $seed)" image
}

some_data whole 9M
for size in 512 66048 1048576 5244416; do
	head -c $size whole >src
	noise $size 512 | dd of=src bs=512 seek=$((size / 512 - 1)) conv=notrunc status=none
	converted "qcow, $size bytes" qcow 4096
	converted "qcow, $size bytes, compressed" qcow 4096 -c
	for o in cluster_size=4k,table_size=2 cluster_size=64k cluster_size=1M,table_size=16; do
		converted "qed, $o, $size bytes" qed 65536 -o $o
	done
	for o in cluster_size=4096 cluster_size=65536 cluster_size=1048576; do
		converted "parallels, $o, $size bytes" parallels 65536 -o $o
	done
done
for round in 1 2 3; do
	scribbled "qcow, $round" qcow 3000320 4096 wwc
	scribbled "qed, $round" qed 3000320 4096 wwz -o cluster_size=4096,table_size=2
	scribbled "qed, large clusters, $round" qed 30003200 65536 wwz
	scribbled "parallels, $round" parallels 3000320 4096 ww -o cluster_size=4096
	scribbled "parallels, large clusters, $round" parallels 30003200 1048576 ww
done
scribbled "qcow of 20 GiB" qcow $((20 << 30)) 4096 ww
scribbled "qed of 20 GiB" qed $((20 << 30)) 65536 wwz

# Parents of other formats, shorter and longer than the overlay.
head -c 2000384 whole >short.raw
cp whole long.raw
for length in short long; do
	for format in raw qcow2 qed; do
		base=$length.$format
		[ $format = raw ] || qemu-img convert -q -f raw -O $format $length.raw "$base"
		for child in qcow qed; do
			rm -f image
			qemu-img create -q -f $child -b "$base" -F $format image 4000256
			seed=$(seed_of "$child" "$base")
			scribble $child image 4000256 65536 $seed 12 ww
			agrees "$child on a ${length}er $format file (seed $seed)" image
		done
	done
done
# QED records that its backing file is raw, so it is not probed; qcow does not record the format.
qemu-img create -q -f qcow2 trap.qcow2 1M
cp trap.qcow2 trap.raw
truncate -s 1M trap.raw
qemu-img create -q -f qed -b trap.raw -F raw image 1M
check "a raw parent that looks like qcow2" matches image trap.raw
qemu-img create -q -f qcow2 -b trap.raw -F raw middle.qcow2 1M
qemu-img create -q -f qcow -b middle.qcow2 -F qcow2 image 1M
check "a probed backing file may not name a backing file" refused image 'does not record'
qemu-img create -q -f qed -b middle.qcow2 -F qcow2 image 1M
check "a backing file that QED does not record as raw is probed and may name a backing file" agrees_with image ref
mv trap.raw away
rm -f image
qemu-img create -q -f qed -u -b trap.raw -F raw image 1M
check "a missing parent" refused image 'No such file'

# Images of a crashed writer.
qemu-img create -q -f qed image 4M
qemu-io -f qed -c 'write -P 5 1M 1M' image >/dev/null
qemu-img convert -f qed -O raw image ref
patch image 16 02
check "qed: the need-check flag" matches image ref
check "qed: info.json reports the need-check flag" on_mount image info_matches '."dirty-flag" and ."cluster-size" == 65536'
qemu-img create -q -f parallels image 4M
qemu-io -f parallels -c 'write -P 5 1M 1M' image >/dev/null
patch image 44 596e6f74
check "parallels: an image that was not closed" matches image ref
check "parallels: info.json reports that it was not closed" on_mount image info_matches '."dirty-flag" and ."cluster-size" == 1048576'
not_closed() { "$VDISKFS" image "$W/mnt" 2>err && unmount mnt && grep -q 'not closed' err; }
mkdir mnt
check "parallels: a warning that it was not closed" not_closed

# Without a passphrase, an encrypted image would read as random bytes, so it is refused.
qemu-img create -q -f qcow --object secret,id=s,data=abc -o encrypt.format=aes,encrypt.key-secret=s image 1M
check "qcow: encrypted" refused image 'encrypted'

# Bundles: a disk of two storages with two snapshots and the current state.
root={aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee} middle={11111111-2222-3333-4444-555555555555}
current={5fbaabe3-6958-40ff-92a7-860e329aab41}
mkdir -p vm.pvm/disk.hdd
bundle=vm.pvm/disk.hdd
head -c 6M whole >0.ref
head -c 4M 0.ref >$bundle/root.0
tail -c +$((4 * 1048576 + 1)) 0.ref >$bundle/root.1
# overlay N STATE: creates the images of a state in both storages, with clusters of 1 MiB, and the reference N.ref.
overlay() {
	local n=$1 state=$2 part size
	cp "$((n - 1)).ref" "$n.ref"
	for part in 0 1; do
		size=$((part ? 2 : 4))
		qemu-img create -q -f parallels "$bundle/$state.$part" ${size}M
		qemu-io -f parallels -c "write -P $((n * 16 + part)) $((n + part - 1))M 1M" "$bundle/$state.$part" >/dev/null 2>&1 || continue
		qemu-io -f raw -c "write -P $((n * 16 + part)) $((part * 4 + n + part - 1))M 1M" "$n.ref" >/dev/null
	done
}
overlay 1 middle
overlay 2 current
image_of() { printf '<Image><GUID>%s</GUID><Type>%s</Type><File>%s</File></Image>' "$@"; }
shot() { printf '<Shot><GUID>%s</GUID><ParentGUID>%s</ParentGUID></Shot>' "$@"; }
storage() { # NUMBER START END
	printf '<Storage><Start>%s</Start><End>%s</End><Blocksize>2048</Blocksize>' "$2" "$3"
	image_of "$root" Plain "root.$1"
	image_of "$middle" Compressed "C:\\VMs\\vm.pvm\\disk.hdd\\middle.$1"
	image_of "$current" Compressed "/Users/me/vm.pvm/disk.hdd/current.$1"
	printf '</Storage>\n'
}
{
	printf "<?xml version='1.0' encoding='UTF-8'?>\n<Parallels_disk_image Version=\"1.0\">\n"
	printf '<Disk_Parameters><Disk_size>12288</Disk_size><Padding>0</Padding></Disk_Parameters>\n<StorageData>\n'
	storage 0 0 8192
	storage 1 8192 12288
	printf '</StorageData>\n<Snapshots>'
	shot "$root" {00000000-0000-0000-0000-000000000000}
	shot "$middle" "$root"
	shot "$current" "$middle"
	printf '</Snapshots>\n</Parallels_disk_image>\n'
} >$bundle/DiskDescriptor.xml
printf '<ParallelsSavedStates><SavedStateItem guid="%s"><Name>first/one</Name><DateTime>2021-03-04 05:06:07</DateTime></SavedStateItem></ParallelsSavedStates>' \
	"$root" >vm.pvm/Snapshots.xml
check "the three states differ" eval '! cmp -s 0.ref 1.ref && ! cmp -s 1.ref 2.ref'
UNIT=1048576 check "a bundle" matches $bundle 2.ref
check "a bundle by its descriptor" matches $bundle/DiskDescriptor.xml 2.ref
shows_snapshots() { # MOUNT
	[ "$(find "$1/snapshots" -mindepth 1 -maxdepth 1 | wc -l)" = 2 ] || { find "$1"; return 1; }
	same "$1/snapshots/first%2Fone/disk.raw" 0.ref &&
		same "$1/snapshots/11111111-2222-3333-4444-555555555555/disk.raw" 1.ref &&
		[ "$(stat -c %Y "$1/snapshots/first%2Fone")" = 1614834367 ]
}
check "the snapshots of a bundle" on_mount $bundle shows_snapshots
check "snapshot= of a bundle" matches $bundle 0.ref -o snapshot="$root"
sed 's|<Padding>0|<Padding>1|' $bundle/DiskDescriptor.xml >descriptor
mkdir padded.hdd
mv descriptor padded.hdd/DiskDescriptor.xml
check "a padded disk" refused padded.hdd 'padded'
rm $bundle/middle.1
check "a bundle with a missing image" refused $bundle 'middle.1'
error_names_image() { grep -q 'middle.1.*No such file' "$1/${bundle#*/}/error.txt"; }
check "a bundle with a missing image in a directory: error.txt" on_mount "${bundle%%/*}" error_names_image

# Bochs.
if command -v bximage >/dev/null; then
	head -c 3000000 whole >src
	truncate -s $((20 * 16 * 63 * 512)) src
	rm -f image
	bximage -q -func=convert -imgmode=growing src image >/dev/null 2>&1
	check "bochs, created by bximage" matches image src
else
	skip "bochs, created by bximage: not installed"
fi
