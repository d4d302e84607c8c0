#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# mount(8), fstab and umount(8) by the links that "make install" creates: types, options, writing, namespaces, users,
# autofs.  mount(8) searches them in /sbin; each command has a mount namespace in which that has the links, too.
. "${0%/*}/functions.sh"
requires make

image=$W/disk.img mnt=$W/mnt
mkdir mnt
noise 61 524288 >disk.img

# The links.

installs() { env -u MAKEFLAGS make -s -C "$top" -o all "$@" B="$BUILD"; }
links_to() { # DIR PROGRAM
	[ "$(readlink "$1/mount.vdiskfs")" = "$2" ] && [ "$(readlink "$1/mount.fuse.vdiskfs")" = "$2" ]
}
check "make install" installs install PREFIX="$W/usr" FISHDIR="$W/usr/fish" MOUNTDIR="$W/sbin" NBDKITDIR="$W/usr/nbdkit"
check "make install creates links to the daemon" links_to sbin "$W/usr/bin/vdiskfs"
check "make install with DESTDIR" installs install DESTDIR="$W/dest"
check "make install with DESTDIR creates links in /usr/sbin" links_to dest/usr/sbin /usr/local/bin/vdiskfs
check "make uninstall" installs uninstall DESTDIR="$W/dest"
check "make uninstall leaves no file" eval '[ -z "$(find dest ! -type d)" ]'
check "make install with an empty MOUNTDIR creates no link" eval 'installs install DESTDIR="$W/none" MOUNTDIR= &&
	[ -e none/usr/local/bin/vdiskfs ] && [ -z "$(find none -name "mount.*")" ]'

# The command line of a mount helper, without mount(8).

helper=$W/sbin/mount.vdiskfs
# helps RO|RW ARGUMENT...: mounts disk.img in this way
helps() {
	local mode=$1 status=0
	"$helper" "${@:2}" || return 1
	cmp -s -n 4096 mnt/disk.raw disk.img && [[ ,$(findmnt -n -o OPTIONS "$mnt"), == *,$mode,* ]] || status=1
	unmount mnt && return $status
}
check "names only" helps ro "$image" "$mnt"
check "options last" helps ro "$image" "$mnt" -o rw,noauto,user=me,nofail,_netdev,defaults,x-systemd.automount
check "options first" helps ro -n -o ro "$image" "$mnt"
check "several letters in a word" helps ro "$image" "$mnt" -nv -o rw
check "a type with a subtype" helps ro "$image" "$mnt" -o rw -t fuse.vdiskfs
check "options of vdiskfs" helps ro "$image" "$mnt" -o "rw,threads=2,format=raw,allow=$W"
check "-s ignores an unknown option" helps ro "$image" "$mnt" -s -o rw,frobnicate
check "rw does not make the image writable" helps ro "$image" "$mnt" -o rw
check "writable does" helps rw "$image" "$mnt" -o rw,writable
check "cow does" helps rw "$image" "$mnt" -o rw,cow
check "the name of the other link" eval 'helper=$W/sbin/mount.fuse.vdiskfs helps ro "$image" "$mnt" -o rw'
fake() { "$helper" "$image" "$mnt" -f -o rw && ! mountpoint -q mnt; }
check "-f does not mount" fake
ends_with() { # STATUS PATTERN ARGUMENT...
	local status
	"$helper" "${@:3}" 2>err
	status=$?
	cat err >&2
	[ $status = "$1" ] && grep -q -e "$2" err && ! mountpoint -q mnt
}
check "an image that is missing: status 32" ends_with 32 'missing.img: No such file' "$W/missing.img" "$mnt" -o rw
check "an unknown option: status 1" ends_with 1 'unknown option "frobnicate"' "$image" "$mnt" -o rw,frobnicate
check "-f reports an unknown option" ends_with 1 'unknown option "frobnicate"' "$image" "$mnt" -f -o frobnicate
check "remount: status 1" ends_with 1 'remount: .*unmount and mount again' "$image" "$mnt" -o remount,rw
check "ro and writable: status 1" ends_with 1 'cannot be combined' "$image" "$mnt" -r -o writable
check "a missing namespace" ends_with 1 '/nowhere: No such file' "$image" "$mnt" -N /nowhere
check "--help" eval '"$helper" --help | grep -q "^Usage: vdiskfs "'
daemon_is_known() { # by its name, for vdisk umount
	"$helper" "$image" "$mnt" -o rw && [ "$(pids_of "$mnt" | wc -l)" = 2 ] && "$VDISK" umount "$mnt" && [ -z "$(pids_of "$mnt")" ]
}
check "vdisk umount waits for the daemon" daemon_is_known

# mount(8), with the links in /sbin.

sbin=$(realpath /sbin)
in_system() { # COMMAND...
	unshare -m bash -c 'mount --bind "$sbin" there && mount --bind sbin "$sbin" && "$@"' -- "$@"
}
by_mount() { # RO|RW ARGUMENT...
	local mode=$1 status=0
	mount "${@:2}" || return 1
	cmp -s -n 4096 mnt/disk.raw disk.img || status=1
	[ "$(findmnt -n -o SOURCE,FSTYPE "$mnt" | tr -s ' ')" = "$image fuse.vdiskfs" ] || status=1
	[[ ,$(findmnt -n -o OPTIONS "$mnt"), == *,$mode,* ]] || status=1
	pids=$(pids_of "$mnt")
	grep -q "^$sbin/mount\.\|^/sbin/mount\." "/proc/${pids%%$'\n'*}/cmdline" || status=1
	umount "$mnt" && "$await_exit" "$patience" $pids && return $status
}
not_by_mount() {
	mount -t vdiskfs "$W/missing.img" mnt 2>err
	[ $? = 32 ] && grep "^vdiskfs: .*missing.img: No such file" err && ! mountpoint -q mnt
}
written() { # through the mount, by a line of fstab with "writable"
	mount -T fstab "$mnt" && printf written | dd of=mnt/disk.raw conv=notrunc status=none || return 1
	pids=$(pids_of "$mnt")
	umount "$mnt" && "$await_exit" "$patience" $pids && [ "$(head -c 7 disk.img)" = written ]
}
into_namespace() { # mount(8) of this namespace mounts into another one
	local there status=0
	unshare -m sleep "$patience" &
	there=$!
	eventually not_here $there
	mount -N $there -t vdiskfs "$image" "$mnt" && ! mountpoint -q mnt &&
		nsenter -m -t $there cmp -n 4096 "$mnt/disk.raw" "$image" && nsenter -m -t $there umount "$mnt" || status=1
	kill $there
	wait $there
	return $status
}
not_here() { [ "$(readlink /proc/$1/ns/mnt)" != "$(readlink /proc/self/ns/mnt)" ]; }
automounted() { # a mount by autofs that runs mount(8)
	local status=0 auto
	exec 7< <(exec setsid "$BUILD/tests/mount/automount" "$mnt" mount -t vdiskfs -s -o rw,x-systemd.automount "$image" "$mnt")
	auto=$!
	read -r -t "$patience" <&7
	timeout "$patience" cmp -n 4096 mnt/disk.raw disk.img && [ "$(findmnt -n -o FSTYPE "$mnt" | tail -n 1)" = fuse.vdiskfs ] || status=1
	umount "$mnt"
	kill "$auto"
	exec 7<&-
	"$await_exit" "$patience" "$auto" || status=1
	return $status
}
as_user() { setpriv --reuid nobody --regid "$(id -g nobody)" --clear-groups "$@"; }
by_user() { # mounts and unmounts a line of /etc/fstab with "user"
	mount --bind fstab /etc/fstab && mount --bind fuse /dev/fuse && as_user mount "$mnt" || return 1
	pids=$(pids_of "$mnt")
	as_user cmp -n 4096 mnt/disk.raw disk.img && ! cat mnt/disk.raw >/dev/null && as_user umount "$mnt" &&
		"$await_exit" "$patience" $pids && ! mountpoint -q mnt
}
export -f by_mount not_by_mount written into_namespace not_here automounted as_user by_user pids_of eventually
export W BUILD image mnt sbin await_exit
mkdir there
for program in "$sbin"/*; do [ -e "sbin/${program##*/}" ] || ln -s "$W/there/${program##*/}" sbin/; done
# The systemd units in the manual page.

unit_of_manual() { # NAME: prints the block after the name of the unit
	sed -n "\\,^\\.Pa /etc/systemd/system/$1,,/^\\.Ed/p" "$top/man/vdiskfs.1" | sed '/^\./d'
}
verified() { # no message about the units
	mkdir -p units && unit_of_manual mnt-guest.mount >units/mnt-guest.mount && unit_of_manual mnt-guest.automount >units/mnt-guest.automount &&
		systemd-analyze verify --man=no "$W"/units/mnt-guest.{mount,automount} >verify.log 2>&1 &&
		! grep mnt-guest verify.log && grep -qx "Type=vdiskfs" units/mnt-guest.mount && grep -q '^TimeoutIdleSec=' units/mnt-guest.automount
}
generated() { # systemd creates both units from the line of fstab in the page
	local line
	line=$(grep '^/srv.* vdiskfs .*x-systemd.automount' "$top/man/vdiskfs.1") && echo "$line" >fstab && mkdir -p generated &&
		SYSTEMD_FSTAB=$W/fstab "$generator" "$W/generated" "$W/generated" "$W/generated" &&
		grep -qx 'Type=vdiskfs' generated/mnt-guest.mount && grep -qx 'Where=/mnt/guest' generated/mnt-guest.automount
}
if command -v systemd-analyze >/dev/null; then
	check "systemd-analyze accepts the units" verified
	generator=$(systemd-analyze unit-paths >/dev/null && ls {/usr,}/lib/systemd/system-generators/systemd-fstab-generator 2>/dev/null | head -n 1)
	check "systemd creates units from the line of fstab" generated
else
	skip "units: systemd-analyze is not installed"
fi

# mount(8) itself.

if ! is_root || ! in_system true; then
	skip "mount(8): needs root and mount namespaces"
	exit
fi
for type in vdiskfs fuse.vdiskfs; do
	check "mount -t $type" in_system by_mount ro -t $type "$image" "$mnt"
	check "mount -t $type -o ro" in_system by_mount ro -t $type -o ro "$image" "$mnt"
	check "mount -t $type -o rw is read-only" in_system by_mount ro -t $type -o rw,nosuid,nodev,noexec "$image" "$mnt"
	check "mount -t $type -o writable" in_system by_mount rw -t $type -o writable "$image" "$mnt"
	check "mount -t $type with options of vdiskfs" in_system by_mount ro -t $type -o "threads=2,format=raw,allow=$W" "$image" "$mnt"
	for options in defaults ro rw,nofail,noauto,user,_netdev,nosuid,nodev,noexec,x-systemd.automount,x-systemd.idle-timeout=60,threads=2; do
		echo "$image $mnt $type $options 0 0" >fstab
		check "a line of fstab: $type $options" in_system by_mount ro -T fstab "$mnt"
	done
	echo "$image $mnt $type defaults,writable 0 0" >fstab
	check "a line of fstab: $type defaults,writable" in_system by_mount rw -T fstab "$mnt"
	check "$type: data is written to the image" in_system written
	printf 'restore' | dd of=disk.img conv=notrunc status=none
done
check "mount(8) fails when the mount fails, and leaves none" in_system not_by_mount
check "mount -f does not mount" in_system eval 'mount -f -t vdiskfs "$image" "$mnt" && ! mountpoint -q mnt'
check "mount -N mounts in another namespace" in_system into_namespace
if grep -qw autofs /proc/filesystems; then
	check "mount on demand by autofs" in_system automounted
else
	skip "mount on demand: needs autofs"
fi
if command -v setpriv >/dev/null && [ -u "$(command -v mount)" ] && [ -u "$(command -v fusermount3)" ] && mknod -m 666 fuse c 10 229; then
	chmod 755 "$W" && chown nobody mnt && chmod 644 disk.img
	echo "$image $mnt vdiskfs noauto,user 0 0" >fstab
	check "a user mounts and unmounts a line of fstab with user" in_system by_user
else
	skip "mount(8) as a user: needs setpriv, set-user-ID mount and fusermount3, and device nodes"
fi
