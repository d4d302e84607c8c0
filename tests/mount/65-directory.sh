#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# A directory of images: its entries, thousands of images, damaged ones, changes of the directory, images that are
# closed and opened again, and the confinement of the daemon.
. "${0%/*}/functions.sh"
. "$here/images.sh"
. "$here/hostile.sh"
requires qemu-img qemu-io getfattr tar xxd

# holds DIR NAME...: the directory has exactly these entries; with several images there is volumes/, too.
holds() {
	local dir=$1
	shift
	[ "$(ls "$dir")" = "$(printf '%s\n' "$@")" ] || { ls -l "$dir" >&2; return 1; }
}
# with_mount DIR MOUNT [OPTION...] -- COMMAND...
with_mount() {
	local dir=$1 mnt=$2 options=() status=0
	shift 2
	while [ "$1" != -- ]; do options+=("$1"); shift; done
	shift
	mount_image "$dir" "$mnt" "${options[@]}" || return 1
	"$@" || status=1
	unmount "$mnt" && return $status
}
# opened_by MOUNT PATTERN: prints the number of files of that name that the daemon has open.
opened_by() { readlink "/proc/$(daemon_of "$W/$1")/fd"/* | grep -c -e "$2"; }
none_open() { [ "$(opened_by "$@")" = 0 ]; }

# The entries.

mkdir -p vms/sub/deep vms/logs vms/none vms/.hidden
some_data src 3M
printf '\0\1' | dd of=src conv=notrunc status=none # text would not be recognised as raw
cp src vms/raw.img
qemu-img convert -q -f raw -O qcow2 src vms/a.qcow2
qemu-img snapshot -c one vms/a.qcow2
qemu-img convert -q -f raw -O vdi src vms/b.vdi
for kind in monolithicFlat twoGbMaxExtentSparse monolithicSparse; do
	qemu-img convert -q -f raw -O vmdk -o subformat=$kind src vms/sub/$kind.vmdk
done
qemu-img convert -q -f raw -O vpc -o force_size=on src vms/sub/deep/c.vhd
qemu-img create -q -f qcow2 -F raw -b ../../raw.img vms/sub/deep/outside.qcow2
cp vms/a.qcow2 vms/sub/overlay.snapshot1
cp vms/a.qcow2 vms/.hidden/x.qcow2
echo 'this is no image' >vms/broken.qcow2
echo text >vms/notes.txt
echo text >vms/logs/vm.log
mkfifo vms/pipe.img
ln -s . vms/loop
listed() {
	holds "$1" a.qcow2 b.vdi broken.qcow2 raw.img sub volumes &&
		holds "$1/sub" deep monolithicFlat.vmdk monolithicSparse.vmdk overlay.snapshot1 twoGbMaxExtentSparse.vmdk volumes &&
		holds "$1/sub/deep" c.vhd outside.qcow2 volumes && holds "$1/a.qcow2" disk.raw export info.json snapshots &&
		holds "$1/a.qcow2/snapshots/one" disk.raw export info.json && [ ! -e "$1/.hidden" ] && [ ! -e "$1/logs" ]
}
check "a tree of images" with_mount vms mnt -- listed mnt
right() {
	local f
	for f in raw.img a.qcow2 a.qcow2/snapshots/one b.vdi sub/monolithicFlat.vmdk sub/monolithicSparse.vmdk \
		sub/twoGbMaxExtentSparse.vmdk sub/overlay.snapshot1 sub/deep/c.vhd; do
		same "$1/$f/disk.raw" src || { echo "$f" >&2; return 1; }
	done
}
check "the contents of all images" with_mount vms mnt -- right mnt
[ -n "$sanitized" ] || check "sandbox=strict" with_mount vms mnt -o sandbox=strict -- right mnt
damaged_images() {
	holds "$1/broken.qcow2" error.txt && grep -q '^/.*/broken.qcow2: not a disk image' "$1/broken.qcow2/error.txt" &&
		grep -q '^hint: ' "$1/broken.qcow2/error.txt" &&
		[ "$(wc -c <"$1/broken.qcow2/error.txt")" = "$(stat -c %s "$1/broken.qcow2/error.txt")" ] &&
		grep -q 'lies outside' "$1/sub/deep/outside.qcow2/error.txt" && right "$1"
}
check "a damaged image has error.txt, and the others are not affected" with_mount vms mnt -- damaged_images mnt
check "allow= applies to all images" with_mount vms mnt -o "allow=$W/vms" -- same mnt/sub/deep/outside.qcow2/disk.raw src
(cd vms && check "relative names" with_mount . ../mnt -o allow=. -- same ../mnt/sub/deep/outside.qcow2/disk.raw ../src)
check "format= applies to all images" with_mount vms mnt -o format=raw -- cmp mnt/broken.qcow2/disk.raw vms/broken.qcow2
snapshot_of_all() { same "$1/a.qcow2/disk.raw" src && grep -q 'no snapshot called "one"' "$1/b.vdi/error.txt"; }
check "snapshot= applies to all images" with_mount vms mnt -o snapshot=one -- snapshot_of_all mnt
numbers() { find "$1" -printf '%P %i %s %b %T@\n' | sort; }
same_numbers() { with_mount vms mnt -- numbers mnt >n1 && with_mount vms mnt -- numbers mnt >n2 && [ -s n1 ] && cmp n1 n2; }
check "the same inode numbers and times at every mount" same_numbers
attributes() {
	[ "$(getfattr --only-values -n user.vdisk.format "$1/b.vdi")" = vdi ] && [ -z "$(getfattr -d "$1" "$1/sub")" ] &&
		! getfattr -n user.vdisk.format "$1/broken.qcow2" 2>/dev/null &&
		[ "$(stat -c %Y "$1/b.vdi")" = "$(stat -c %Y vms/b.vdi)" ] && [ "$(stat -f -c %f "$1")" = 0 ]
}
check "times and attributes" with_mount vms mnt -- attributes mnt
read_only() { ! mkdir "$1/new" 2>ro.err && grep -q 'Read-only' ro.err; }
check "mkdir in a read-only mount is refused" with_mount vms mnt -- read_only mnt
check "a mount point inside the directory" eval 'mkdir -p vms/none/here; with_mount vms vms/none/here -- listed vms/none/here'
rm -r vms/none
check "a missing directory" refused no/dir 'No such file'
mkdir void
check "an empty directory" with_mount void mnt -- eval '[ -z "$(ls mnt)" ]'

# Data files of qcow2 images.

mkdir -p data/below
data_file() { # IMAGE NAME [OPTIONS]
	(cd data && qemu-img create -q -f qcow2 -o "data_file=$2${3:+,$3}" "$1" 3M && qemu-img convert -q -n -f raw -O qcow2 ../src "$1")
}
cp src data/free.raw
ln -s . data/loop
data_file a.qcow2 a.raw
data_file b.qcow2 "$W/data/loop/b.img" data_file_raw=on
data_file c.qcow2 below/c.raw
cp src data/below/d.raw
(cd data && qemu-img create -q -f qcow2 -F qcow2 -b a.qcow2 over.qcow2 && cp b.qcow2 other.qcow2)
hidden() {
	holds "$1" a.qcow2 b.qcow2 below c.qcow2 free.raw other.qcow2 over.qcow2 volumes && holds "$1/below" d.raw &&
		[ ! -e "$1/a.raw" ] && [ ! -e "$1/below/c.raw" ] && same "$1/a.qcow2/disk.raw" src &&
		same "$1/b.qcow2/disk.raw" src && same "$1/c.qcow2/disk.raw" src && same "$1/over.qcow2/disk.raw" src
}
check "a data file of an image is not listed" with_mount data mnt -- hidden mnt
shown_again() {
	mv data/a.qcow2 gone.qcow2 && eventually holds "$1" a.raw b.qcow2 below c.qcow2 free.raw other.qcow2 over.qcow2 volumes &&
		same "$1/a.raw/disk.raw" src && cp gone.qcow2 data/a.qcow2 && eventually hidden "$1"
}
check "a data file is listed when its image is removed" with_mount data mnt -- shown_again mnt

# Packages and bundles.

ovf() { # FILE...
	local f files='' disks='' n=0
	for f; do
		files+="<File id=\"f$((++n))\" href=\"$f\"/>"
		disks+="<Disk diskId=\"d$n\" fileRef=\"f$n\"/>"
	done
	echo "<Envelope><References>$files</References><DiskSection>$disks</DiskSection></Envelope>"
}
mkdir packs
qemu-img convert -q -f raw -O vmdk -o subformat=streamOptimized src packs/p-disk1.vmdk
qemu-img convert -q -f raw -O qcow2 src packs/p-disk2.qcow2
(cd packs && ovf p-disk1.vmdk >one.ovf && tar cf one.ova one.ovf p-disk1.vmdk &&
	ovf p-disk1.vmdk p-disk2.qcow2 >two.ovf && tar cf two.ova two.ovf p-disk1.vmdk p-disk2.qcow2 && rm one.ovf)
packages() {
	holds "$1" one.ova two.ova two.ovf && same "$1/one.ova/disk.raw" src && holds "$1/two.ova" p-disk1.vmdk p-disk2.qcow2 volumes &&
		same "$1/two.ova/p-disk1.vmdk/disk.raw" src && same "$1/two.ova/p-disk2.qcow2/disk.raw" src &&
		same "$1/two.ovf/p-disk2.qcow2/disk.raw" src
}
check "packages" with_mount packs mnt -- packages mnt

# Thousands of images, and volumes/, are listed without opening one.

many=$((3000 / slowness))
mkdir many
for ((i = 0; i < many; i++)); do printf 'QFI\373' >"many/$i.qcow2"; done
list_many() {
	[ "$(find "$1" -maxdepth 1 | wc -l)" = $((many + 2)) ] && [ "$(ls -l "$1" | wc -l)" = $((many + 2)) ] &&
		none_open "$1" /many/.
}
check "$many images" with_mount many mnt -- list_many mnt
# The time of the processor that the daemon uses, which other programs do not change.
quick() {
	local ticks limit
	ls -l "$1" >/dev/null || return 1
	ticks=$(sed 's/.*) //' "/proc/$(daemon_of "$W/$1")/stat" | awk '{ print $12 + $13 }')
	limit=$((2 * $(getconf CLK_TCK)))
	echo "$ticks of $limit ticks" >&2
	[ -n "$sanitized" ] || [ "$ticks" -lt "$limit" ]
}
check "$many images in less than 2 s of the processor" with_mount many mnt -- quick mnt
traced() {
	strace -qq -f -o strace.log -e trace=openat,openat2,open "$VDISKFS" -f -o sandbox=off many "$W/mnt" &
	"$BUILD/tests/mount/await-mount" 20 "$W/mnt" && list_many mnt
	unmount mnt
	wait $!
	[ "$(grep -c 'many' strace.log)" -lt 20 ] || { grep many strace.log | head; return 1; }
}
if [ -z "$sanitized" ] && strace -qq -o strace.log -e trace=openat true 2>/dev/null; then
	check "$many images are listed without opening a file" traced
else
	skip "$many images are listed without opening a file: strace does not work"
fi

# Files are added, removed and changed.

mkdir live
cp vms/a.qcow2 live/first.qcow2
follows_changes() {
	holds "$1" first.qcow2 && cp vms/b.vdi live/new.vdi && eventually holds "$1" first.qcow2 new.vdi volumes &&
		same "$1/new.vdi/disk.raw" src && mv live/new.vdi live/other.vdi && eventually holds "$1" first.qcow2 other.vdi volumes &&
		[ ! -e "$1/new.vdi" ] && same "$1/other.vdi/disk.raw" src && rm live/other.vdi &&
		eventually holds "$1" first.qcow2 && same "$1/first.qcow2/disk.raw" src
}
check "images are added, renamed and removed" with_mount live mnt -- follows_changes mnt
appears() { [ ! -e "$1/late.qcow2" ] && cp vms/a.qcow2 live/late.qcow2 && eventually same "$1/late.qcow2/disk.raw" src; }
check "a name after a failed lookup appears" with_mount live mnt -- appears mnt
rm live/late.qcow2
follows_folders() {
	mkdir -p live/x/y && eventually holds "$1" first.qcow2 && cp vms/b.vdi live/x/y/z.vdi &&
		eventually same "$1/x/y/z.vdi/disk.raw" src && rm -r live/x && eventually holds "$1" first.qcow2
}
check "folders are added and removed" with_mount live mnt -- follows_folders mnt
has_size() { [ "$(stat -c %s "$1")" = "$2" ]; }
begins_with() { [ "$(head -c 1 "$1" | xxd -p)" = "$2" ]; }
replaced() {
	same "$1/first.qcow2/disk.raw" src && [ -e "$1/first.qcow2/snapshots/one" ] &&
		qemu-img create -q -f qcow2 tmp.qcow2 5M && mv tmp.qcow2 live/first.qcow2 &&
		eventually has_size "$1/first.qcow2/disk.raw" 5242880 && [ ! -e "$1/first.qcow2/snapshots" ]
}
check "another image of the same name" with_mount live mnt -- replaced mnt
written() {
	head -c 1 "$1/first.qcow2/disk.raw" >/dev/null && eventually none_open "$1" first.qcow2 &&
		qemu-io -f qcow2 -c 'write -P 7 0 64k' live/first.qcow2 >/dev/null && eventually begins_with "$1/first.qcow2/disk.raw" 07
}
check "an image that another program has written" with_mount live mnt -o idle=0 -- written mnt
replaced_by_good() {
	holds "$1/first.qcow2" error.txt && cp vms/a.qcow2 live/first.qcow2 && eventually same "$1/first.qcow2/disk.raw" src
}
: >live/first.qcow2
check "a damaged image that is replaced by a good one" with_mount live mnt -- replaced_by_good mnt
stays() { (cd "$1/first.qcow2" && cp ../../vms/b.vdi ../../live/b.vdi && eventually [ -e ../b.vdi ] && same disk.raw "$W/src" && [ "$(pwd -P)" = "$W/$1/first.qcow2" ]); }
check "an image's directory as working directory survives a change of the list" with_mount live mnt -- stays mnt
rm live/b.vdi

# Images are opened when used, and closed when idle.

idle() {
	none_open "$1" /vms/ && ls "$1" "$1/sub" >/dev/null && none_open "$1" /vms/ && same "$1/a.qcow2/disk.raw" src &&
		[ "$(opened_by "$1" /vms/)" -ge 1 ] && eventually none_open "$1" /vms/ && same "$1/a.qcow2/disk.raw" src
}
check "an idle image is closed, and opened again" with_mount vms mnt -o idle=1 -- idle mnt
held() {
	exec 7<"$1/b.vdi/disk.raw" && same "$1/a.qcow2/disk.raw" src && eventually none_open "$1" a.qcow2 &&
		[ "$(opened_by "$1" b.vdi)" = 1 ] && cmp /proc/self/fd/7 src
	local status=$?
	exec 7<&-
	return $status
}
check "an image with an open file stays open" with_mount vms mnt -o idle=0 -- held mnt
locks() {
	head -c 1 "$1/a.qcow2/disk.raw" >/dev/null && ! qemu-io -c 'write 0 1' vms/a.qcow2 >/dev/null 2>lock.err &&
		grep -qi lock lock.err
}
check "an open image is locked" with_mount vms mnt -o idle=60 -- locks mnt
in_use() {
	exec 8> >(exec qemu-io -f qcow2 live/first.qcow2 >qemu-io.out 2>&1)
	echo 'write -P 9 0 64k' >&8
	eventually grep -q wrote qemu-io.out
	eventually grep -q 'in use' "$1/first.qcow2/error.txt"
	local status=$?
	echo quit >&8
	exec 8>&-
	[ $status = 0 ] && eventually begins_with "$1/first.qcow2/disk.raw" 09
}
check "an image that another program uses is shown when that ends" with_mount live mnt -o idle=1 -- in_use mnt

# More images than file descriptors.

mkdir -p few
for ((i = 100; i < 200; i++)); do head -c 4096 src >few/$i.raw && printf '%d' $i | dd of=few/$i.raw bs=1 seek=600 conv=notrunc status=none; done
for ((i = 1; i <= 30; i++)); do qemu-img create -q -f qcow2 -F raw -b $((100 + i)).raw few/$i.qcow2; done
few_right() {
	local i
	for ((i = 100; i < 200; i++)); do cmp "$1/$i.raw/disk.raw" few/$i.raw || return 1; done
	for ((i = 1; i <= 30; i++)); do cmp "$1/$i.qcow2/disk.raw" few/$((100 + i)).raw || return 1; done
}
with_few_files() { (ulimit -n 64 && mount_image few few-mnt "$@") && few_right few-mnt && [ "$(find few-mnt -type f | wc -l)" -gt 300 ] && few_right few-mnt; }
check "100 images and 64 descriptors" with_few_files -o idle=3600
all_held() { # open images stay open; opening one more fails, and succeeds after some are closed
	local i fd fds=()
	for ((i = 100; i < 200; i++)); do
		{ exec {fd}<few-mnt/$i.raw/disk.raw; } 2>/dev/null || break
		fds+=("$fd")
	done
	echo "${#fds[@]} at a time" >&2
	[ ${#fds[@]} -ge 20 ] && [ ${#fds[@]} -lt 64 ] || return 1
	cmp /proc/self/fd/"${fds[0]}" few/100.raw || return 1
	for fd in "${fds[@]}"; do exec {fd}<&-; done
	eventually few_right few-mnt
}
check "the maximal number of open images" all_held
unmount few-mnt
rm -r few

read_concurrently() {
	local i pids=() status=0
	for ((i = 0; i < 12; i++)); do
		(for f in a.qcow2 b.vdi raw.img sub/monolithicFlat.vmdk sub/deep/c.vhd; do cmp "$1/$f/disk.raw" src || exit 1; done) &
		pids+=($!)
	done
	for i in "${pids[@]}"; do wait "$i" || status=1; done
	return $status
}
check "concurrent readers while images are opened and closed" with_mount vms mnt -o idle=0 -- read_concurrently mnt
read_during_changes() {
	(for i in {1..30}; do cp vms/b.vdi "live/t$i.vdi"; cp vms/a.qcow2 live/first.qcow2; rm -f "live/t$((i - 3)).vdi"; done) &
	local writer=$! n=0
	while kill -0 $writer 2>/dev/null; do
		find "$1" >/dev/null 2>&1
		cat "$1"/*/disk.raw >/dev/null 2>&1
		n=$((n + 1))
	done
	wait $writer
	eventually same "$1/first.qcow2/disk.raw" src && [ $n -gt 0 ]
}
check "readers while files change" with_mount live mnt -o idle=0 -- read_during_changes mnt
rm -f live/t*.vdi

# Confinement.

mkdir out
cp vms/a.qcow2 out/secret.qcow2
mkdir jail
cp vms/a.qcow2 jail/good.qcow2
ln -s ../out/secret.qcow2 jail/link.qcow2
qemu-img create -q -f qcow2 -F qcow2 -b "$W/out/secret.qcow2" jail/absolute.qcow2
ln -s ../out jail/dirlink
refusals() {
	holds "$1" absolute.qcow2 good.qcow2 link.qcow2 volumes && grep -q 'lies outside' "$1/link.qcow2/error.txt" &&
		grep -q "^hint: -o allow=$W/out" "$1/link.qcow2/error.txt" && grep -q 'lies outside' "$1/absolute.qcow2/error.txt" &&
		same "$1/good.qcow2/disk.raw" src
}
for mode in on off; do
	check "files outside are not opened, sandbox=$mode" with_mount jail mnt -o sandbox=$mode -- refusals mnt
done
allowed() { same "$1/link.qcow2/disk.raw" src && same "$1/absolute.qcow2/disk.raw" src; }
for mode in on off; do
	check "files outside with allow=, sandbox=$mode" with_mount jail mnt -o "sandbox=$mode,allow=$W/out" -- allowed mnt
done
sandboxed() {
	local pid
	pid=$(daemon_of "$W/$1")
	awk '/^Seccomp:/ { s = $2 } /^NoNewPrivs:/ { n = $2 } END { exit !(s == 2 && n == 1) }' "/proc/$pid/status" &&
		same "$1/good.qcow2/disk.raw" src
}
[ -n "$sanitized" ] || check "the daemon is sandboxed" with_mount jail mnt -- sandboxed mnt

# Encrypted images: the daemon of a directory derives the key inside the sandbox.
printf mkimage >pw
mkdir crypt
"$MKIMAGE" luks-plain . && mv luks-plain.luks crypt/l.luks && cp vms/a.qcow2 crypt/
encrypted_images() { same "$1/l.luks/disk.raw" luks-plain.raw && same "$1/a.qcow2/disk.raw" src; }
check "an encrypted image" with_mount crypt mnt -o "passphrase-file=$W/pw" -- encrypted_images mnt
no_secret() { grep -q 'no passphrase' "$1/l.luks/error.txt" && same "$1/a.qcow2/disk.raw" src; }
check "an encrypted image without its passphrase" with_mount crypt mnt -- no_secret mnt
# iconv loads converters from files, which it must do before the sandbox is entered.
mkdir names
qemu-img convert -q -f raw -O vmdk -o subformat=monolithicFlat src names/x.vmdk
mv names/x-flat.vmdk $'names/\xd0\x96-flat.vmdk'
{ printf 'encoding="windows-1251"\n'; sed $'s/x-flat/\xc6-flat/' names/x.vmdk; } >names/tmp
{ sed -n 2p names/tmp; sed -n 1p names/tmp; sed 1,2d names/tmp; } >names/x.vmdk
rm names/tmp
check "a descriptor in another encoding" with_mount names mnt -- eval 'holds mnt x.vmdk && same mnt/x.vmdk/disk.raw src'

# SIGTERM while the daemon has a notification of the kernel pending.
ended() {
	local pid
	mount_image live mnt -o idle=0 || return 1
	find mnt >/dev/null
	pid=$(daemon_of "$W/mnt")
	cp vms/b.vdi live/end.vdi
	kill -TERM "$pid"
	# shellcheck disable=SC2046
	"$await_exit" "$patience" "$pid" $(pids_of "$W/mnt") && ! mountpoint -q mnt
}
check "SIGTERM ends the daemon" ended
