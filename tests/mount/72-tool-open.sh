#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# vdisk open: mounts an image below XDG_RUNTIME_DIR once, and opens the folder by xdg-open, which is a double here;
# vdisk umount IMAGE ends the mount and removes the folder.  The entry for desktops.
. "${0%/*}/functions.sh"
requires qemu-img qemu-io

export XDG_RUNTIME_DIR=$W/run
opened=$W/run/vdiskfs
mkdir -m 700 run
mkdir bin empty other third
noise 72 524288 >disk.raw
qemu-img convert -q -f raw -O qcow2 disk.raw guest.qcow2
cp guest.qcow2 other/guest.qcow2
cp guest.qcow2 third/guest.qcow2
qemu-img convert -q -f raw -O vdi disk.raw 'odd, name\ü.vdi'
ln -s guest.qcow2 link.qcow2
cat >bin/xdg-open <<'END'
#!/bin/sh
echo "$#:$1" >>"$W/shown"
exit "$(cat "$W/xdg-status" 2>/dev/null || echo 0)"
END
chmod 755 bin/xdg-open
export W

open_image() { PATH=$W/bin:$PATH "$VDISK" open "$@"; }
prints() { # PATH ARGUMENT...: vdisk open prints the path and mounts there
	[ "$(open_image "${@:2}")" = "$1" ] && mountpoint -q "$1"
}
mounts() { grep -cF " $opened/" /proc/self/mountinfo; }
released() { qemu-io -f "${2:-qcow2}" -c quit "$1"; }
nothing_left() { [ "$(mounts)" = 0 ] && [ -z "$(ls "$opened" 2>/dev/null)" ] && [ -z "$(pids_of "$opened/" "")" ]; }
shown() { [ "$(cat shown)" = "1:$1" ] && rm shown; }
fails() { # PATTERN COMMAND...: one message and at most a hint; mounts nothing
	local before
	before=$(mounts)
	! "${@:2}" >out 2>err || return 1
	cat err >&2
	[ ! -s out ] && [ "$(wc -l <err)" -le 2 ] && grep -qE -e "$1" err && [ "$(mounts)" = "$before" ]
}

# One image.

check "open --print prints the mount point" prints "$opened/guest.qcow2" --print guest.qcow2
check "--print does not run xdg-open" [ ! -e shown ]
check "the mount shows the disk" cmp "$opened/guest.qcow2/disk.raw" disk.raw
check "the mount is read-only" eval '[[ ,$(findmnt -n -o OPTIONS "$opened/guest.qcow2"), == *,ro,* ]]'
check "the directory of the mounts has mode 0700" eval '[ "$(stat -c %a "$opened")" = 700 ]'
check_not "the image is in use" released guest.qcow2
check "open again opens the folder of the same mount" eval 'prints "" guest.qcow2 2>/dev/null; shown "$opened/guest.qcow2" && [ "$(mounts)" = 1 ]'
check "open of a link to the image prints the same" prints "$opened/guest.qcow2" --print link.qcow2
check "one mount" eval '[ "$(mounts)" = 1 ]'
check "it is listed as a view" eval '"$VDISK" list | grep -qxF "view      $W/guest.qcow2 on $opened/guest.qcow2"'
check "completion offers the image to umount" eval '"$VDISK" completion mounts | grep -qxF "$W/guest.qcow2"'
check "umount IMAGE" "$VDISK" umount guest.qcow2
check "umount IMAGE removes the folder and waits for the daemon" nothing_left
check "the image is released" released guest.qcow2
check "a second umount fails" fails 'guest.qcow2: not mounted by vdisk open' "$VDISK" umount guest.qcow2
check "umount of another mount of the image needs its directory" eval 'mount_image guest.qcow2 mnt &&
	fails "guest.qcow2: not mounted by vdisk open" "$VDISK" umount guest.qcow2 && mountpoint -q mnt && unmount mnt'

# xdg-open.

check "open runs xdg-open with the mount point" eval '[ -z "$(open_image guest.qcow2)" ] && shown "$opened/guest.qcow2" && [ "$(mounts)" = 1 ]'
echo 3 >xdg-status
check "xdg-open fails: the message has the path" eval '! open_image guest.qcow2 >out 2>err &&
	grep -q "^vdisk: $opened/guest.qcow2: mounted, but not opened: xdg-open failed with status 3" err && [ "$(mounts)" = 1 ]'
rm -f xdg-status shown
check "without xdg-open, the path is printed" eval '[ "$(PATH=$W/empty "$VDISK" open guest.qcow2)" = "$opened/guest.qcow2" ]'
check "umount DIR removes the folder, too" eval '"$VDISK" umount "$opened/guest.qcow2" && nothing_left'

# Several images, and other kinds of them.

same_names() {
	prints "$opened/guest.qcow2" --print guest.qcow2 && prints "$opened/guest.qcow2~2" --print other/guest.qcow2 &&
		prints "$opened/guest.qcow2~3" --print third/guest.qcow2 && prints "$opened/guest.qcow2~2" --print other/guest.qcow2 &&
		"$VDISK" umount other/guest.qcow2 && released other/guest.qcow2 && [ "$(ls "$opened" | tr '\n' ' ')" = "guest.qcow2 guest.qcow2~3 " ] &&
		"$VDISK" umount guest.qcow2 && "$VDISK" umount third/guest.qcow2 && nothing_left
}
check "images of the same name" same_names
check "a name with comma, blank and backslash" eval 'prints "$opened/odd, name\\ü.vdi" --print "odd, name\\ü.vdi" &&
	cmp "$opened/odd, name\\ü.vdi/disk.raw" disk.raw && "$VDISK" umount "odd, name\\ü.vdi" && nothing_left'
check "a directory of images" eval 'prints "$opened/other" --print other && cmp "$opened/other/guest.qcow2/disk.raw" disk.raw && "$VDISK" umount other && nothing_left'
check "-f raw" eval 'prints "$opened/guest.qcow2" -f raw --print guest.qcow2 && cmp "$opened/guest.qcow2/disk.raw" guest.qcow2 && "$VDISK" umount guest.qcow2'
qemu-img create -q -f qcow2 -F qcow2 -b "$W/other/guest.qcow2" third/over.qcow2
check "a refused backing file: the hint names an option of vdisk, and no folder is left" eval 'fails "^hint: --allow=" open_image third/over.qcow2 && nothing_left'
check "--allow" eval 'prints "$opened/over.qcow2" --allow other --print third/over.qcow2 && cmp "$opened/over.qcow2/disk.raw" disk.raw && "$VDISK" umount third/over.qcow2 && nothing_left'
check "a missing image" fails 'missing.img: No such file' open_image missing.img
check "no image" fails 'Expecting one image' open_image
check "two images" fails 'Expecting one image' open_image guest.qcow2 other/guest.qcow2
check "no folder is left" nothing_left

at_once() { # several processes open the image: one mount
	local pids=() pid status=0
	for _ in 1 2 3 4 5 6; do
		open_image --print guest.qcow2 >>printed &
		pids+=($!)
	done
	for pid in "${pids[@]}"; do wait "$pid" || status=1; done
	[ $status = 0 ] && [ "$(sort -u printed)" = "$opened/guest.qcow2" ] && [ "$(wc -l <printed)" = 6 ] && [ "$(mounts)" = 1 ] &&
		"$VDISK" umount guest.qcow2 && nothing_left
}
check "several vdisk open of an image at once create one mount" at_once

# Ends other than vdisk umount.

by_fusermount() {
	local pids
	prints "$opened/guest.qcow2" --print guest.qcow2 || return 1
	unmount "$opened/guest.qcow2" && prints "$opened/guest.qcow2" --print guest.qcow2
}
check "after umount by fusermount3, the folder is used again" by_fusermount
killed() { # the daemon and its supervisor
	local pids
	pids=$(pids_of "$opened/guest.qcow2")
	# shellcheck disable=SC2086
	kill -KILL $pids && "$await_exit" "$patience" $pids
	prints "$opened/guest.qcow2" --print guest.qcow2 && cmp "$opened/guest.qcow2/disk.raw" disk.raw && [ "$(mounts)" = 1 ]
}
check "after the daemon was killed, the image is mounted again" killed
check "umount of that mount" eval '"$VDISK" umount guest.qcow2 && nothing_left'
logout() { # the system detaches the file system of XDG_RUNTIME_DIR
	local pids
	prints "$opened/guest.qcow2" --print guest.qcow2 || return 1
	pids=$(pids_of "$opened/guest.qcow2")
	# shellcheck disable=SC2086
	[ -n "$pids" ] && umount -l run && "$await_exit" "$patience" $pids && released guest.qcow2
}
if is_root && mount -t tmpfs -o mode=700 run run; then
	check "the mount ends at logout" logout
else
	skip "logout: needs root"
fi

# As a user other than root, in a mount namespace in which all users may open /dev/fuse.

as_user() { setpriv --reuid nobody --regid "$(id -g nobody)" --clear-groups env XDG_RUNTIME_DIR="$W/user-run" "$@"; }
user_opens() {
	local dir=$W/user-run/vdiskfs/guest.qcow2
	mount --bind fuse /dev/fuse && [ "$(as_user "$VDISK" open --print guest.qcow2)" = "$dir" ] &&
		[ "$(as_user "$VDISK" open --print guest.qcow2)" = "$dir" ] && as_user cmp "$dir/disk.raw" disk.raw &&
		as_user "$VDISK" umount guest.qcow2 && [ -z "$(pids_of "$dir")" ] && [ -z "$(ls user-run/vdiskfs)" ]
}
export -f as_user user_opens pids_of
export VDISK
if is_root && command -v setpriv >/dev/null && unshare -m true && mknod -m 666 fuse c 10 229; then
	chmod 755 "$W" && chmod 644 guest.qcow2 disk.raw && mkdir -m 700 user-run && chown nobody user-run
	check "a user opens and unmounts" unshare -m bash -c user_opens
else
	skip "as a user: needs root, setpriv, mount namespaces and device nodes"
fi

# XDG_RUNTIME_DIR.

without_dir() { env -u XDG_RUNTIME_DIR "$VDISK" open --print guest.qcow2; }
check "without XDG_RUNTIME_DIR" fails '^vdisk: XDG_RUNTIME_DIR: not set' without_dir
check "without XDG_RUNTIME_DIR: a hint" grep -q '^hint: vdiskfs IMAGE DIR' err
check "an empty XDG_RUNTIME_DIR" fails 'XDG_RUNTIME_DIR: not set' env XDG_RUNTIME_DIR= "$VDISK" open --print guest.qcow2
check "a missing XDG_RUNTIME_DIR" fails '/nowhere: No such file' env XDG_RUNTIME_DIR=/nowhere "$VDISK" open --print guest.qcow2
mkdir -m 777 public
check "one that others can write to" fails 'public: must be a directory that only this user' env XDG_RUNTIME_DIR="$W/public" "$VDISK" open --print guest.qcow2
check "nothing was created there" eval '[ -z "$(ls public)" ]'
mkdir -m 700 prepared && ln -s ../other prepared/vdiskfs
check "a link in place of its directory" fails 'vdiskfs: must be a directory' env XDG_RUNTIME_DIR="$W/prepared" "$VDISK" open --print guest.qcow2
if is_root; then
	mkdir -m 700 foreign && chown nobody foreign
	check "one of another user" fails 'foreign: must be a directory' env XDG_RUNTIME_DIR="$W/foreign" "$VDISK" open --print guest.qcow2
fi

# The entry for desktops.

entry=$top/tools/packaging/vdiskfs.desktop
value() { sed -n "s/^$1=//p" "$entry"; }
mkdir -p entry-bin
ln -sf "$VDISK" entry-bin/vdisk
ln -sf "$VDISKFS" entry-bin/vdiskfs
runs_entry() { # FILE: the command of the entry, as a desktop runs it
	local command
	command=$(value Exec | sed 's/\\\\/\\/g')
	PATH=$W/entry-bin:$W/bin:$PATH sh -c "${command/\%f/\"\$1\"}" -- "$1"
}
runs_verb() { runs_entry "$W/guest.qcow2" && shown "$opened/guest.qcow2" && [ ! -e notified ] && "$VDISK" umount guest.qcow2; }
notifies() { # PROGRAM STATUS: one that shows the message, with this exit status
	printf '#!/bin/sh\necho "%s:$#:$1" >>"$W/notified"\nexit %d\n' "$1" "$2" >"entry-bin/$1"
	chmod 755 "entry-bin/$1"
}
told() { # PROGRAM...: these have got the message
	rm -f notified
	runs_entry "$W/no \"\$image\".qcow2"
	printf "%s:1:vdisk: $W/no \"\$image\".qcow2: No such file or directory\n" "$@" | diff - notified
}
notifies notify-send 0
notifies xmessage 0
check "the entry runs vdisk open" runs_verb
check "the entry shows an error by notify-send" told notify-send
notifies notify-send 127
check "or by xmessage" told notify-send xmessage
types_known() { # each type is one of the shared MIME database, and each disk type of that is in the entry
	local types type
	types=$(value MimeType | tr ';' '\n')
	for type in $types; do grep -qE "<(mime-type|alias) type=\"$type\"" "$1" || { echo "unknown: $type" >&2; return 1; }; done
	for type in $(grep -oE '<(mime-type|alias) type="application/(x-(qemu|qed|vmdk|vdi|vhd|vhdx)-disk|x-virtualbox-(vmdk|vdi|vhd|vhdx|ova)|ovf)"' "$1" | cut -d '"' -f 2); do
		grep -qxF "$type" <<<"$types" || { echo "missing: $type" >&2; return 1; }
	done
}
mime=/usr/share/mime/packages/freedesktop.org.xml
if [ -f $mime ]; then
	check "the entry has the MIME types of disk images" types_known $mime
else
	skip "MIME types: shared-mime-info is not installed"
fi
if command -v desktop-file-validate >/dev/null; then
	check "desktop-file-validate" eval '[ -z "$(desktop-file-validate "$entry" 2>&1)" ]'
else
	skip "desktop-file-validate is not installed"
fi
check "make install installs the entry" eval 'env -u MAKEFLAGS make -s -C "$top" -o all install DESTDIR="$W/dest" B="$BUILD" &&
	cmp dest/usr/local/share/applications/vdiskfs.desktop "$entry"'
