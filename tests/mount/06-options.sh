#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# The command line: options in every position and spelling, mount(8) and fstab, the list of mounts; help,
# manual and README document the same options.
. "${0%/*}/functions.sh"
. "$here/hostile.sh"
requires qemu-img qemu-io

mkdir mnt
noise 6 524288 >disk.img
qemu-img convert -q -f raw -O qcow2 disk.img snap.qcow2
qemu-img snapshot -c before snap.qcow2
qemu-io -f qcow2 -c 'write -P 7 0 128k' snap.qcow2
qemu-img convert -q -l before -f qcow2 -O raw snap.qcow2 before.raw
qemu-img convert -q -f qcow2 -O raw snap.qcow2 now.raw

# Options that only print: output on standard output, none on standard error, status 0.

prints() {
	"$VDISKFS" "$@" >printed 2>printed.err && [ -s printed ] && [ ! -s printed.err ]
}
for o in -h --help; do
	check "$o" prints $o
	check "$o prints the usage" grep -q '^Usage: vdiskfs ' printed
	check "$o prints at most 80 columns" eval '! grep -E ".{81}" printed'
done
version=$(sed -n 's/^VERSION := //p' "$top/Makefile")
for o in -V --version; do
	check "$o" prints $o
	check "$o is the version of the Makefile" grep -qxE "vdiskfs ${version//./\\.}( \([^ ]+\))?" printed
done
check "--list-formats" prints --list-formats
check "--list-formats prints the abilities of each" eval '! grep -v "  read" printed'
for f in raw qcow2 vmdk vdi vpc vhdx luks qcow qed parallels bochs; do
	check "--list-formats has $f" grep -q "^$f  *[A-Za-z]" printed
done

# mounts ARGUMENT...: mounts disk.img and compares its first 4 KiB.
mounts() {
	local status=0
	"$VDISKFS" "$@" || return 1
	cmp -s -n 4096 mnt/disk.raw disk.img || status=1
	unmount mnt || status=1
	return $status
}
image=$W/disk.img mnt=$W/mnt
check "names only" mounts "$image" "$mnt"
check "options first" mounts -o ro -o threads=2 "$image" "$mnt"
check "options last" mounts "$image" "$mnt" -o ro -o threads=2
check "options between" mounts -s "$image" -o ro "$mnt" -o threads=2
check "list of options" mounts "$image" "$mnt" -o ro,threads=3,cache=2M,format=raw,nobacking,share
check "word joined to -o" mounts -oro "$image" "$mnt" -othreads=1
check "names after --" mounts -o ro -- "$image" "$mnt"
check "relative names" mounts disk.img mnt
check "one thread" mounts -s "$image" "$mnt"
check "64 threads" mounts -o threads=64 "$image" "$mnt"
for size in 1M 1048576 1024k 2m 1G; do
	check "cache=$size" mounts -o "cache=$size" "$image" "$mnt"
done
for mode in on off; do
	check "sandbox=$mode" mounts -o "sandbox=$mode" "$image" "$mnt"
done
fstab_words=defaults,auto,noauto,user,users,nouser,owner,group,nofail,_netdev,async,sync,dirsync
fstab_words+=,atime,noatime,diratime,nodiratime,relatime,norelatime,strictatime,nostrictatime,lazytime
fstab_words+=,dev,nodev,suid,nosuid,exec,noexec,x-systemd.automount,x-gvfs-show,comment=hello,auto_unmount
check "options of fstab" mounts "$image" "$mnt" -o "$fstab_words"
check "reads of 4 KiB" mounts "$image" "$mnt" -o max_read=4096

# Invalid command lines: one error message, status 1.

# denied PATTERN ARGUMENT...
denied() {
	local pattern=$1
	shift
	mkdir -p refused-dir
	timeout "$patience" "$VDISKFS" "$@" >denied.out 2>denied.err
	was_refused $? denied.err "$pattern" && [ ! -s denied.out ]
}
dir=$W/refused-dir
check "no names" denied "image"
check "one name" denied "mount point" "$image"
check "three names" denied "third" "$image" "$dir" third
check "unknown long option" denied "\-\-frobnicate" --frobnicate "$image" "$dir"
check "unknown letter" denied "\-x" -x "$image" "$dir"
check "unknown word" denied "frobnicate" -o frobnicate "$image" "$dir"
check "unknown word in a list" denied "frobnicate" "$image" "$dir" -o ro,frobnicate=1,threads=2
for word in allow search parent_format format snapshot passphrase-file sandbox cache threads backing tls-certs tls-psk nbd-timeout; do
	check "$word without a value" denied "\"$word\" needs a value" -o $word "$image" "$dir"
done
for word in allow search; do
	check "$word=DIR that is not there" denied "$word=/no/where: No such" -o $word=/no/where "$image" "$dir"
	check "$word=FILE" denied "$word=.*: not a directory" -o $word="$image" "$image" "$dir"
done
for word in rw writable cow "cow=$W/cow.qcow2"; do
	check "ro and $word" denied "cannot be combined" -o "ro,$word" "$image" "$dir"
	check "snapshot and $word" denied "cannot be written" -o "snapshot=before,$word" "$W/snap.qcow2" "$dir"
	check "nobacking and $word" denied "nobacking" -o "nobacking,$word" "$image" "$dir"
done
for options in copy_on_read copy_on_read,cow copy_on_read,rw; do
	check "$options" denied "copy_on_read.*cow=FILE" -o "$options" "$image" "$dir"
done
check "share and rw" denied "share" -o share,rw "$image" "$dir"
check "a refused cow=FILE leaves no file" [ ! -e cow.qcow2 ]
for bad in threads=0 threads=129 threads=-1 threads=many threads=2x cache=1 cache=1048575 cache=64X cache=-1M \
	cache=99999999999G cache= sandbox=maybe sandbox= idle= idle=-1 idle=1s idle=86401; do
	check "$bad" denied "${bad%=*}=" -o "$bad" "$image" "$dir"
done
check "format=nonsense" denied "nonsense.*not known" -o format=nonsense "$image" "$dir"
check "snapshot=nonsense" denied "no snapshot.*nonsense" -o snapshot=nonsense "$W/snap.qcow2" "$dir"
check "snapshot= of a raw image" denied "no snapshot" -o format=raw,snapshot=before "$image" "$dir"

# Options that change the contents of the mount.

shows() {
	local ref=$1 status=0
	shift
	mount_image snap.qcow2 mnt "$@" || return 1
	"$compare" -n 50 mnt/disk.raw "$ref" || status=1
	# shellcheck disable=SC2012
	ls mnt | tr '\n' ' ' >listed
	unmount mnt && return $status
}
check "without options: the live state" shows now.raw
check "snapshots/ is listed" grep -q snapshots listed
check "snapshot=NAME" shows before.raw -o snapshot=before
check "snapshot=ID" shows before.raw -o snapshot=1
check "nosnapshots" shows now.raw -o nosnapshots
check "snapshots/ is not listed" eval '! grep -q snapshots listed'
check "format=raw shows the container" shows snap.qcow2 -o format=raw

# The list of mounts.

# listed_as SOURCE: /proc/mounts has this source, as the kernel escapes it.
listed_as() {
	local source type options status=0
	read -r source type options < <(awk -v m="$W/mnt" '$2 == m { print $1, $3, $4 }' /proc/self/mounts)
	echo "$source $type $options" >&2
	[ "$source" = "$1" ] && [ "$type" = "${2:-fuse.vdiskfs}" ] || status=1
	for word in ro nosuid nodev noexec noatime default_permissions; do
		[[ ",$options," == *,$word,* ]] || { echo "no $word" >&2; status=1; }
	done
	unmount mnt && return $status
}
"$VDISKFS" "$image" "$mnt"
check "/proc/mounts" listed_as "$image"
"$VDISKFS" disk.img mnt
check "/proc/mounts has the absolute path" listed_as "$image"
"$VDISKFS" "$image" "$mnt" -o dev,suid,exec
check "dev, suid and exec are ignored" listed_as "$image"
cp disk.img 'odd, name\with=all.img'
"$VDISKFS" 'odd, name\with=all.img' mnt
check "a name with comma, blank and backslash" listed_as "$W/odd,\\040name\\134with=all.img"
"$VDISKFS" "$image" "$mnt" -o fsname=mydisk,subtype=mytype
check "fsname and subtype" listed_as mydisk fuse.mytype

# mount(8) calls mount.fuse3, which calls a shell, which searches the program in a fixed PATH: in a mount
# namespace, our directory is bind-mounted over one of these directories.

in_mount_path() {
	unshare -m bash -c 'mount --bind bin /usr/local/sbin && "$@"' -- "$@"
}
by_mount() {
	local status=0
	mount "$@" || return 1
	cmp -s -n 4096 mnt/disk.raw disk.img || status=1
	listed_as "$image" || status=1
	return $status
}
not_by_mount() {
	! mount -t fuse.vdiskfs "$W/missing.img" mnt 2>mount.err || return 1
	grep "^vdiskfs: .*missing.img: No such file" mount.err && ! mountpoint -q mnt
}
export -f by_mount not_by_mount listed_as unmount pids_of
export W image await_exit
mkdir bin
ln -s "$VDISKFS" bin/vdiskfs
if ! is_root || ! command -v mount.fuse3 >/dev/null || ! in_mount_path true; then
	skip "mount(8): needs root, mount.fuse3, name spaces and /usr/local/sbin"
else
	check "mount -t fuse.vdiskfs" in_mount_path by_mount -t fuse.vdiskfs "$image" "$mnt"
	check "mount -t fuse.vdiskfs -o ro" in_mount_path by_mount -t fuse.vdiskfs -o ro "$image" "$mnt"
	check "mount -t fuse.vdiskfs with options of vdiskfs" in_mount_path \
		by_mount -t fuse.vdiskfs -o ro,threads=2,format=raw,allow="$W" "$image" "$mnt"
	echo "$image $mnt fuse.vdiskfs noauto,user,nofail,x-systemd.automount,threads=2 0 0" >fstab
	check "a line of fstab" in_mount_path by_mount -T fstab "$mnt"
	echo "$image $mnt fuse.vdiskfs defaults 0 0" >fstab
	check "a line of fstab with defaults" in_mount_path by_mount -T fstab "$mnt"
	check "mount(8) fails when vdiskfs fails, and leaves no mount" in_mount_path not_by_mount
fi

# Help, manual and README.

# Each source lists "-o word" and "-x, --long" in its own syntax; these functions print one option a line.
of_help() { "$VDISKFS" --help | grep -oE -- '-o [a-z_-]+' | sort -u; }
of_manual() { sed -nE 's/^\.It Fl o Cm ([a-z_-]+).*/-o \1/p' "$top/man/vdiskfs.1" | sort -u; }
of_readme() { grep -oE '^\| *`-o [a-z_-]+' "$top/README.md" | grep -oE -- '-o [a-z_-]+' | sort -u; }
letters_of_help() { "$VDISKFS" --help | grep -oE -- '(^ +|, )(-[a-zA-Z]|--[a-z-]+)' | grep -oE -- '-.*' |
	grep -vx -e -o | sort -u; }
letters_of_manual() {
	sed -nE '/^\.It Fl o /d; s/^\.It (Fl .*)/\1/p' "$top/man/vdiskfs.1" | grep -oE 'Fl -?[a-zA-Z-]+' |
		sed 's/Fl /-/' | sort -u
}
same_lists() {
	"$1" >a
	"$2" >b
	[ -s a ] && diff a b >&2
}
of_completion() { # the completions of bash after "-o "
	bash -c '. "$1"; compopt() { :; }; COMP_LINE="vdiskfs -o " COMP_POINT=11 COMP_WORDS=(vdiskfs -o "") COMP_CWORD=2; _vdiskfs
		printf "%s\n" "${COMPREPLY[@]}"' -- "$top/fuse/vdiskfs.bash-completion" | sed 's/^/-o /; s/=$//' | sort -u
}
completes_next() {
	[ "$(bash -c '. "$1"; compopt() { :; }; COMP_LINE="vdiskfs -o ro,nob" COMP_POINT=17 COMP_WORDS=(vdiskfs -o ro,nob) COMP_CWORD=2; _vdiskfs
		printf "%s\n" "${COMPREPLY[@]}"' -- "$top/fuse/vdiskfs.bash-completion")" = ro,nobacking ]
}
check "help and manual list the same -o options" same_lists of_help of_manual
check "help and completion list the same -o options" same_lists of_help of_completion
check "bash completes an option after a comma" completes_next
check "help and README list the same -o options" same_lists of_help of_readme
check "help and manual list the same letters and long options" same_lists letters_of_help letters_of_manual

# Names, titles and abilities of the formats.
formats_listed() { "$VDISKFS" --list-formats | sed 's/   */|/g' | sort; }
formats_of_readme() {
	sed -nE '/^\| *format/,/^$/s/^\| *`([a-z0-9]+)` \| ([^|]*) \| ([^|]*) \|.*/\1|\2|\3/p' "$top/README.md" | sort
}
check "README's table of formats is --list-formats" same_lists formats_listed formats_of_readme
