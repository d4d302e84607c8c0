#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# vdisk mount, umount and list: one command mounts a file system of an image, and umount leaves nothing behind.
# With root, the test has its own /run/vdisk, in a mount namespace.
if [ -z "${own_run:-}" ] && [ "$(id -u)" = 0 ] && mkdir -p /run/vdisk && unshare -m true; then
	own_run=1 exec unshare -m "$0"
fi
. "${0%/*}/functions.sh"
requires qemu-img sfdisk mkfs.ext4 debugfs e2fsck dumpe2fs jq
is_root || { skip "all: loop devices need root"; exit 0; }
losetup -f >/dev/null 2>&1 || { skip "all: no loop devices"; exit 0; }
[ -z "${own_run:-}" ] || mount -t tmpfs -o mode=700 run /run/vdisk || exit 1

# vdisk's mounts of views are in /run/vdisk, where the common cleanup does not look.
unmount_all() {
	"$VDISK" list --output=json | jq -r '.[].directory' | while read -r dir; do
		case $dir in
		"$W"/*) "$VDISK" umount "$dir" ;;
		esac
	done
}
trap 'unmount_all; cleanup' EXIT

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

released() { # IMAGE: QEMU can lock it
	qemu-io -f "${2:-qcow2}" -c quit "$1"
}
# Loop devices are those of all namespaces: of the files in another /run/vdisk none is in this one.
no_loops() {
	losetup -l -n -O BACK-FILE | grep -F /run/vdisk | while read -r file; do [ ! -e "$file" ] || exit 1; done
}
nothing_left() { ! grep -F "$W" /proc/self/mountinfo && no_loops && [ -z "$(ls /run/vdisk)" ]; }
listed() { "$VDISK" list | grep -F "$W/"; } # other tests may have mounts, too
has_file() { # DIR LABEL
	grep -qx "the file of $2" "$1/hello"
}
fails() { # PATTERN ARGUMENT...: fails with a line that matches, and leaves nothing behind
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
	check "by $p: no mounts or loop devices are left" nothing_left
done
uuid=$(blkid -p -O $((51200 * 512)) -S $((20480 * 512)) -s UUID -o value disk.raw)
check "mount by UUID" "$VDISK" mount disk.qcow2 "$uuid" 'odd, dir'
check "mount by UUID: the file is there" has_file 'odd, dir' home
check "mount of a second partition of the same image" "$VDISK" mount disk.qcow2 1 mnt
check "both partitions are listed" eval '[ "$("$VDISK" list --output=json | jq -r "map(select(.directory | startswith(\"$W/\")).what) | sort | join(\" \")")" = "1 2" ]'
check "umount of one partition" "$VDISK" umount 'odd, dir'
check "the other partition stays mounted" has_file mnt root
check "umount of the other partition" "$VDISK" umount "$W/mnt"
check "a file name with a comma" eval '"$VDISK" mount "odd, name.qcow2" home mnt && has_file mnt home && "$VDISK" umount mnt'
check "a disk without partitions" eval '"$VDISK" mount -f raw whole.raw mnt && [ -d mnt/lost+found ]'
check "a disk without partitions is listed" eval '"$VDISK" list | grep -q "^disk  "'
check "umount of a busy mount fails" eval 'cd mnt && ! "$VDISK" umount "$W/mnt"; s=$?; cd ..; [ $s = 0 ]'
check "a busy mount stays" [ -d mnt/lost+found ]
check "umount when it is no longer busy" "$VDISK" umount mnt
check "no mounts or loop devices are left" nothing_left

"$VDISKFS" disk.qcow2 other
check "a mount of vdiskfs is listed as a view" eval '"$VDISK" list | grep -q "^view .*/disk.qcow2 on .*/other$"'
mount -o loop,ro other/partitions/1.raw mnt
check "a loop mount on a view is listed" eval '"$VDISK" list | grep -q "^1 .*/disk.qcow2 on .*/mnt$"'
check "umount of a loop mount on a view" "$VDISK" umount mnt
check "the view stays" [ -f other/disk.raw ]
check "umount of a view" "$VDISK" umount other
check "the image is released" released disk.qcow2
# The supervisor is stopped, and with it the end of the daemon, until umount has had time to return too early.
awaits_relative() {
	local pid supervisor=''
	"$VDISKFS" disk.qcow2 other || return 1
	for pid in $(pids_of other); do [ "$(cat "/proc/$pid/comm")" = vdiskfs ] || supervisor=$pid; done
	kill -STOP "$supervisor" || return 1
	{ eventually eval '! mountpoint -q other' && sleep 0.5; kill -CONT "$supervisor"; } &
	"$VDISK" umount other && ! grep -q '^State:.T' "/proc/$supervisor/status"
}
check "umount waits for a daemon that was started with a relative path" awaits_relative
wait

check "an unknown partition" fails 'no partition or volume "7"' mount disk.qcow2 7 mnt
check "a path as partition" fails 'neither' mount disk.qcow2 ../disk mnt
check "a disk with several partitions" fails '3 partitions' mount disk.qcow2 mnt
check "a partition without a file system" fails . mount disk.qcow2 5 mnt
check "no such image" fails 'missing.*No such file' mount missing.qcow2 1 mnt
check "no such directory" fails 'nowhere.*No such file' mount disk.qcow2 1 nowhere
check "a file as mount point" fails 'must be a directory' mount disk.qcow2 1 disk.raw
check "umount of a directory that is not a mount" fails 'no disk image is mounted' umount mnt
check "umount of a missing directory" fails 'No such file' umount nowhere
check "the message lists the partitions" fails '1 \(ext4 "root"\), 2 \(ext4 "home"\), 5' mount disk.qcow2 mnt
check "a partition of a disk without partitions" fails 'it has no partitions' mount -f raw whole.raw 1 mnt

# Partitions by the names in the GPT and by file system labels, with special characters.

truncate -s 16M gpt.raw
sfdisk -q gpt.raw <<-'END'
	label: gpt
	start=2048, size=8192, name="my part"
	start=10240, size=8192, name="a/b, c"
	start=18432, size=4096, name="same"
	start=22528, size=4096, name="same"
END
mkfs.ext4 -q -L '../odd "l"' -E offset=$((2048 * 512)) gpt.raw 4M
mkfs.ext4 -q -L same -E offset=$((10240 * 512)) gpt.raw 4M
some_type=$(sfdisk --part-uuid gpt.raw 1)
mounts_first() { # NAME: the first partition has this name
	"$VDISK" mount -f raw gpt.raw "$1" mnt && [ "$(listed)" = "1         $W/gpt.raw on $W/mnt" ] && "$VDISK" umount mnt
}
for name in 'my part' 'my\x20part' 'PARTLABEL=my part' '../odd "l"' 'LABEL=../odd "l"' "${some_type,,}" "${some_type^^}" "PARTUUID=$some_type"; do
	check "mount by the name $name" mounts_first "$name"
done
check "a label takes precedence over the name of another partition" eval '"$VDISK" mount -f raw gpt.raw same mnt && "$VDISK" list | grep -q "^2 .* $W/mnt$" && "$VDISK" umount mnt'
check "a name with a slash" eval '"$VDISK" mount -f raw gpt.raw "a/b, c" mnt && "$VDISK" umount mnt'
check "a name of two partitions" fails '2 partitions are called "PARTLABEL=same"' mount -f raw gpt.raw PARTLABEL=same mnt

# Contents other than a file system are named.

truncate -s 16M swap.raw luks.raw luks1.raw lvm.raw none.raw
chmod 600 swap.raw
mkswap swap.raw
printf 'LUKS\xba\xbe\0\2' | dd of=luks.raw conv=notrunc status=none
printf 'LUKS\xba\xbe\0\1' | dd of=luks1.raw conv=notrunc status=none
# An LVM label with its CRC, as pvcreate writes it.
printf 'LABELONE\1\0\0\0\0\0\0\0\x30\x23\x21\x44\x20\0\0\0LVM2 0010123456789abcdef0123456789abcdef\0\0\0\1' |
	dd of=lvm.raw bs=512 seek=1 conv=notrunc status=none
check "swap" fails 'the disk has no file system of its own: swap space' mount -f raw swap.raw mnt
check "a damaged LUKS header" fails 'volume luks-the-disk: LUKS header: a header of 0 bytes' mount -f raw luks.raw mnt
check "a damaged LUKS header of version 1" fails 'volume luks-the-disk: key slot 0: its state' mount -f raw luks1.raw mnt
check "LVM" fails 'the disk has no file system of its own: LVM physical volume' mount -f raw lvm.raw mnt
check "unknown contents" fails 'the disk has no known file system' mount -f raw none.raw mnt

# A journal that needs recovery: a read-only mount ignores it.
cp disk.raw dirty.raw
debugfs -w -R 'feature needs_recovery' "dirty.raw?offset=1048576"
check "an unclean file system" eval '"$VDISK" mount dirty.raw 1 mnt 2>err && has_file mnt root && "$VDISK" umount mnt'
check "an unclean file system: a warning" grep -q 'warning: .*journal of partition 1' err
qemu-img convert -q -f raw -O vhdx whole.raw whole.vhdx
check "a whole disk in a VHDX" eval '"$VDISK" mount whole.vhdx mnt && [ -d mnt/lost+found ] && "$VDISK" umount mnt'
# unclean_image TYPE SIZE FILE: copies an image while its file system is mounted; the file late is only in its log.
unclean_image() { # TYPE SIZE FILE
	truncate -s "$2" "$1.raw" && "mkfs.$1" -q "$1.raw" && mount -o loop "$1.raw" mnt && echo early >mnt/early && umount mnt || return 1
	mount -o loop "$1.raw" mnt && echo late >mnt/late && sync mnt/late && cp "$1.raw" "$3"
	umount mnt
}
not_replayed() { # IMAGE
	local sum status=0
	sum=$(sha256sum <"$1") && "$VDISK" mount -f raw "$1" mnt 2>err || return 1
	grep -qx early mnt/early && [ ! -e mnt/late ] && grep -q 'warning: .*journal' err || status=1
	"$VDISK" umount mnt && [ "$(sha256sum <"$1")" = "$sum" ] && return $status
}
replayed() { # IMAGE
	local status=0
	"$VDISK" mount --rw -f raw "$1" mnt || return 1
	grep -qx early mnt/early && grep -qx late mnt/late || status=1
	"$VDISK" umount mnt && return $status
}
for type in xfs:300M btrfs:120M; do
	size=${type#*:} type=${type%:*}
	if ! command -v mkfs.$type >/dev/null || ! grep -qw $type /proc/filesystems && ! modprobe -q $type; then
		skip "an unclean $type: needs mkfs.$type and a kernel that has it"
		continue
	fi
	unclean_image $type "$size" unclean.$type
	check "an unclean $type" not_replayed unclean.$type
	check "an unclean $type is recovered by --rw" replayed unclean.$type
	rm -f unclean.$type $type.raw
done

# Writes are in the image when umount returns, read by qemu-img.

part_of() { # IMAGE START SIZE: the file system at START, in units of 512 bytes
	qemu-img convert -q -O raw "$1" all.raw && dd if=all.raw of=part.raw bs=512 skip="$2" count="$3" status=none
}
holds_written() { # IMAGE START SIZE TEXT: the file system has the written data and no error
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
		check "$kind: writes to the file system" write_into mnt "$kind $name"
		check "$kind: umount" "$VDISK" umount mnt
		check "$kind: the image is released, no mounts are left" eval "released written.$kind $kind && nothing_left"
		check "$kind: the data written to $name is in the image" holds_written written.$kind "$start" "$size" "$kind $name"
	done
	check "$kind: the range before the partitions has not changed" cmp -n $((2048 * 512)) disk.raw all.raw
done
qemu-img create -q -f qcow2 -F qcow2 -b disk.qcow2 over.qcow2
sum=$(sha256sum <disk.qcow2)
over() {
	"$VDISK" mount --rw over.qcow2 root mnt && write_into mnt over && "$VDISK" umount mnt &&
		holds_written over.qcow2 2048 40960 over && [ "$(sha256sum <disk.qcow2)" = "$sum" ]
}
check "writes change the overlay only" over
unclean() {
	"$VDISK" mount --rw dirty.raw 1 mnt && has_file mnt root && "$VDISK" umount mnt &&
		! dumpe2fs -h "dirty.raw?offset=1048576" 2>/dev/null | grep -q needs_recovery
}
check "an unclean file system is recovered by --rw" unclean

full_host() {
	local status=0
	mkdir small && mount -t tmpfs -o size=1M small small || return 1
	qemu-img create -q -f qcow2 -F qcow2 -b "$W/disk.qcow2" small/over.qcow2
	"$VDISK" mount --rw --allow="$W" small/over.qcow2 root mnt && noise 5 4000000 >mnt/lost && ! "$VDISK" umount mnt 2>err || status=1
	cat err >&2
	umount small && grep -q 'some data written to .* was lost' err && nothing_left && return $status
}
check "umount reports data lost on a full host" full_host

# A mount without --rw is read-only for root as well.

not_written() {
	"$VDISK" mount disk.qcow2 root mnt && ! touch mnt/new && ! rm mnt/hello && ! mount -o remount,rw mnt && has_file mnt root &&
		grep -q " $W/mnt ro," /proc/self/mountinfo && "$VDISK" umount mnt && [ "$(sha256sum <disk.qcow2)" = "$sum" ]
}
check "without --rw, all changes are refused" not_written

# Images that cannot be written.

qemu-img convert -q -f raw -O vmdk -o subformat=streamOptimized disk.raw stream.vmdk
qemu-img convert -q -f raw -O qcow disk.raw old.qcow
check "--rw of a streamOptimized VMDK" fails 'stream.vmdk: it cannot be written to: streamOptimized' mount --rw stream.vmdk root mnt
check "--rw of a read-only format" fails 'old.qcow: images of the format qcow cannot be written to' mount --rw old.qcow root mnt
check "--rw of a snapshot" fails 'a snapshot cannot be written' mount --rw --snapshot=one disk.qcow2 root mnt
check "--rw of an unknown partition" fails 'no partition or volume "7"' mount --rw disk.qcow2 7 mnt
check "the refused mounts have not changed the image" eval '[ "$(sha256sum <disk.qcow2)" = "$sum" ]'
alone() {
	"$VDISK" mount --rw disk.qcow2 root mnt && ! "$VDISK" mount --rw disk.qcow2 home other 2>err &&
		! "$VDISK" mount disk.qcow2 home other 2>>err && [ "$(grep -c 'disk.qcow2: in use.* by vdiskfs (pid ' err)" = 2 ] &&
		has_file mnt root && "$VDISK" umount mnt && nothing_left
}
check "--rw excludes other mounts of the image" alone

# No mounts or processes are left after umount by other programs or a kill of vdisk mount.

plain_umount() { # PROGRAM...
	"$VDISK" mount --rw over.qcow2 root mnt && echo more >mnt/more && "$@" mnt && eventually nothing_left && eventually released over.qcow2
}
check "umount by umount(8)" plain_umount umount
check "umount by umount -l" plain_umount umount -l
shared_view() {
	local view
	"$VDISK" mount disk.qcow2 root mnt || return 1
	view=$(findmnt -n -o SOURCE mnt)
	view=$(<"/sys/block/${view#/dev/}/loop/backing_file") && view=${view%/partitions/*}
	mount -o loop,ro "$view/partitions/2.raw" other && umount mnt && has_file other home && "$VDISK" list | grep -q " on $W/other$" &&
		"$VDISK" umount other && nothing_left
}
check "a view is unmounted with the last mount on it" shared_view

# Wrappers of the programs that vdisk mount calls; they kill it before or after the program has run.
mkdir bin
cp "$VDISK" bin/vdisk
killer() { # NAME PROGRAM before|after
	{
		echo '#!/bin/sh'
		[ "$3" = after ] || echo 'kill -KILL $PPID'
		echo "\"$2\" \"\$@\""
		[ "$3" = before ] || echo 'kill -KILL $PPID'
	} >"bin/$1"
	chmod 755 "bin/$1"
}
passes_on() { killer "$1" "$2" before && sed -i '/KILL/d' "bin/$1"; }
unserved() { ! grep -F "$W" /proc/self/mountinfo && ! losetup -l -n -O BACK-FILE | grep -F /run/vdisk && [ -z "$(pids_of "$1" "")" ]; }
killed() { # PROGRAM before|after
	local status
	passes_on vdiskfs "$VDISKFS" && passes_on mount "$(command -v mount)" && killer "$1" "$(sed -n 's/^"\(.*\)" "\$@"$/\1/p' "bin/$1")" "$2" || return 1
	PATH=$W/bin:$PATH bin/vdisk mount --rw over.qcow2 root mnt
	status=$?
	# A complete mount is unmounted as usual.
	! mountpoint -q mnt || umount mnt
	[ $status = 137 ] && eventually unserved /run/vdisk/ && ! "$VDISK" umount mnt && nothing_left && released over.qcow2
}
for stage in 'vdiskfs before' 'vdiskfs after' 'mount before' 'mount after'; do
	# shellcheck disable=SC2086
	check "vdisk mount is killed: $stage" killed $stage
done
killed_daemon() { # one|both: the daemon, and its attendant as well
	local pid pids daemon
	"$VDISK" mount disk.qcow2 root mnt || return 1
	pids=$(pids_of /run/vdisk/ "")
	for pid in $pids; do [ "$(cat "/proc/$pid/comm")" = vdiskfs ] && daemon=$pid; done
	[ "$1" = one ] || daemon=$pids
	# shellcheck disable=SC2086
	kill -KILL $daemon && "$await_exit" 20 $daemon &&
		"$VDISK" list | grep -q " on $W/mnt$" && "$VDISK" umount mnt && eventually nothing_left
}
check "the daemon is killed" killed_daemon one
check "the daemon and its attendant are killed" killed_daemon both

# As a user other than root, in a mount namespace in which all users may open /dev/fuse.
as_user() { setpriv --reuid nobody --regid "$(id -g nobody)" --clear-groups env XDG_RUNTIME_DIR="$W/run" "$@"; }
in_user_space() { unshare -m bash -c 'mount --bind fuse /dev/fuse && "$@"' user_space "$@"; }
user_mounts() { # COMMAND...: unmounts by this command
	as_user "$VDISK" mount disk.qcow2 home umnt &&
		as_user grep -qx "the file of home" umnt/hello &&
		as_user "$VDISK" list | grep -q "^2 .*/umnt$" &&
		as_user "$@" umnt && eventually user_left_nothing && eventually released disk.qcow2
}
user_left_nothing() { [ -z "$(ls run/vdisk)" ] && ! grep -F " $W/umnt " /proc/self/mountinfo && [ -z "$(pids_of "$W/run" "")" ]; }
user_writes() { # IMAGE OFFSET SIZE: also files of root
	as_user "$VDISK" mount --rw "$1" "${@:4}" umnt && as_user cat umnt/secret && as_user cat umnt/private/file &&
		as_user bash -c 'echo mine >umnt/private/mine && rm umnt/secret && mkdir umnt/mine' &&
		as_user "$VDISK" umount umnt && user_left_nothing && released "$1" raw &&
		part_of "$1" "$2" "$3" && e2fsck -fn part.raw && debugfs -R 'cat private/mine' part.raw | grep -qx mine &&
		! debugfs -R 'stat secret' part.raw | grep -q Inode
}
user_reads() { # IMAGE ...
	as_user "$VDISK" mount "$@" umnt 2>err && as_user grep -qx secret umnt/secret && as_user grep -qx secret umnt/private/file &&
		as_user "$VDISK" umount umnt && user_left_nothing
}
user_warned() { user_reads "$@" && grep -q 'warning: .*journal' err; }
user_fails() { # PATTERN IMAGE...: fails with one line
	! as_user env PATH="${programs:-$PATH}" "$VDISK" mount "${@:2}" umnt 2>err || return 1
	cat err >&2
	[ "$(wc -l <err)" = 1 ] && grep -q "$1" err && user_left_nothing
}
user_fails_without() { programs=$W/empty user_fails "$@"; }
user_killed() { # NAME PROGRAM before|after
	killer "$@" && ! PATH=$W/bin:$PATH as_user bin/vdisk mount disk.qcow2 home umnt || return 1
	rm "bin/$1"
	! mountpoint -q umnt || as_user fusermount3 -u umnt
	as_user "$VDISK" umount umnt
	eventually user_left_nothing && released disk.qcow2
}
user_ntfs() {
	mount --bind fuse.conf /etc/fuse.conf &&
		as_user "$VDISK" mount --rw -f raw ntfs.raw umnt && echo mine | as_user tee umnt/mine && as_user "$VDISK" umount umnt &&
		as_user "$VDISK" mount -f raw ntfs.raw umnt && as_user grep -qx mine umnt/mine && as_user "$VDISK" umount umnt && user_left_nothing
}
user_odd_home() { # characters that mount options must escape
	local home="$W/odd, \\home"
	mkdir "$home" && chown nobody "$home" && as_user env XDG_RUNTIME_DIR="$home" "$VDISK" mount disk.qcow2 home umnt &&
		as_user grep -qx "the file of home" umnt/hello && as_user env XDG_RUNTIME_DIR="$home" "$VDISK" umount umnt && user_left_nothing
}
without_loops() { # as root in a container
	mount -t tmpfs dev /dev && mknod -m 666 /dev/fuse c 10 229 && mknod -m 666 /dev/null c 1 3 &&
		"$VDISK" mount disk.qcow2 home umnt && grep -qx "the file of home" umnt/hello && "$VDISK" umount umnt && released disk.qcow2
}
export -f user_odd_home without_loops as_user user_mounts user_writes user_reads user_warned user_fails user_fails_without user_killed user_ntfs user_left_nothing \
	released part_of eventually pids_of killer
export W VDISK
if ! command -v fuse2fs >/dev/null || ! command -v setpriv >/dev/null || ! unshare -m true ||
	! mknod -m 666 fuse c 10 229; then
	skip "as a user: needs fuse2fs, setpriv, mount namespaces and device nodes"
else
	mkdir run umnt empty
	chmod 755 "$W"
	chmod 644 disk.qcow2
	chown nobody run umnt swap.raw
	for program in "$VDISK umount" 'fusermount3 -u' umount; do
		# shellcheck disable=SC2086
		check "a user mounts and unmounts by ${program##*/}" in_user_space user_mounts $program
	done
	check "a user's vdisk mount is killed before it mounts" in_user_space user_killed fuse2fs "$(command -v fuse2fs)" before
	check "a user's vdisk mount is killed after it has mounted" in_user_space user_killed fuse2fs "$(command -v fuse2fs)" after
	check "a user's XDG_RUNTIME_DIR has special characters" in_user_space user_odd_home
	check "root without loop devices" in_user_space without_loops
	# Files that only root may read, in a partition and in a disk without partitions.
	echo secret >secret
	for part in disk.raw:1048576 whole.raw:0; do
		debugfs -w -f /dev/stdin "${part%:*}?offset=${part#*:}" <<-'END'
			write secret secret
			set_inode_field secret mode 0100600
			mkdir private
			set_inode_field private mode 040700
			cd private
			write secret file
			set_inode_field file mode 0100600
		END
	done
	cp disk.raw own.raw
	cp disk.raw unclean.raw
	debugfs -w -R 'feature needs_recovery' 'unclean.raw?offset=1048576'
	cp whole.raw old.raw
	cp whole.raw full.raw
	debugfs -w -R 'feature needs_recovery' old.raw
	chown nobody own.raw unclean.raw old.raw full.raw
	check "a user reads root's files" in_user_space user_reads -f raw disk.raw root
	check "a user reads a disk without partitions" in_user_space user_reads -f raw whole.raw
	check "a user reads an unclean file system" in_user_space user_warned -f raw unclean.raw 1
	check "a user reads an unclean disk" in_user_space user_warned -f raw old.raw
	check "a user writes" in_user_space user_writes own.raw 2048 40960 root
	check "a user writes to a disk without partitions" in_user_space user_writes full.raw 0 32768
	check "a user writes to an unclean file system" in_user_space user_writes unclean.raw 2048 40960 1
	check "a user writes to an unclean disk" in_user_space user_writes old.raw 0 32768
	check "without fuse2fs, a user's mount names the package" in_user_space user_fails_without 'is ext4, which needs fuse2fs: install the package fuse2fs' disk.qcow2 home
	truncate -s 300M xfs.raw
	! mkfs.xfs -q xfs.raw ||
		check "a file system that only root can mount" in_user_space user_fails 'is xfs, which only root can mount: sudo vdisk mount' xfs.raw
	rm -f xfs.raw
	check "a user's mount of swap space" in_user_space user_fails 'the disk has no file system of its own: swap space' -f raw swap.raw
	if command -v ntfs-3g >/dev/null && [ -u "$(command -v ntfs-3g)" ] && truncate -s 16M ntfs.raw && mkntfs -F -Q -q ntfs.raw; then
		chown nobody ntfs.raw
		echo user_allow_other >fuse.conf
		mounts_may_allow_other() { grep -qx user_allow_other /etc/fuse.conf; }
		mounts_may_allow_other ||
			check "a user's mount of NTFS without user_allow_other" in_user_space user_fails 'ntfs-3g may not read .* user_allow_other to /etc/fuse.conf' -f raw ntfs.raw
		check "a user's mount of NTFS with user_allow_other" in_user_space user_ntfs
	else
		skip "NTFS as a user: needs ntfs-3g, set-user-ID root"
	fi
fi
