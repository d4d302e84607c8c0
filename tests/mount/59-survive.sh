#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Daemons that are killed in the midst of writing, over and over: what was synced is there, and the
# image is sound.
. "${0%/*}/functions.sh"
requires qemu-img

ROUNDS=${ROUNDS:-35} # of each format
survive=$BUILD/tests/mount/survive

# Only what QEMU can check, and what we can.
sound() { # FORMAT IMAGE
	case $1 in
	qcow2 | vdi | vmdk) qemu-img check -q -f "$1" "$2" ;;
	vhdx) cp "$2" copy.vhdx && qemu-img check -q -f vhdx -r all copy.vhdx ;; # it has a log to replay
	esac >check.log 2>&1
	local status=$?
	# Room that nobody uses may be left.
	case $status in
	0 | 3) ;;
	*) cat check.log >&2; return 1 ;;
	esac
	"$VDISK" check -q -f "$1" "$2" 2>check.log
	status=$?
	case $status in
	0 | 3 | 63) ;;
	*) cat check.log >&2; return 1 ;;
	esac
}

# Killed, by whoever writes: the mount is left without a daemon.
round() { # FORMAT OPTIONS SEED
	local image=disk.$1 pids status
	rm -f "$image" disk-*
	# shellcheck disable=SC2086
	"$VDISK" create -q -f "$1" $2 "$image" 16M && mount_image "$image" mnt -o rw || return 1
	pids=$(pids_of "$W/mnt")
	# shellcheck disable=SC2086
	"$survive" write mnt/disk.raw "$3" note $pids
	status=$?
	fusermount3 -u mnt || status=1
	# shellcheck disable=SC2086
	"$await_exit" "$patience" $pids || status=1
	[ $status = 0 ] && sound "$1" "$image" || return 1
	mount_image "$image" mnt && "$survive" verify mnt/disk.raw "$3" note
	status=$?
	unmount mnt || status=1
	return $status
}

rounds() { # FORMAT OPTIONS
	local i
	for ((i = 1; i <= ROUNDS; i++)); do
		round "$1" "$2" $((i + 1000 * ${#1})) || { echo "round $i" >&2; return 1; }
	done
}

while read -r format options; do
	check "$format${options:+ $options}: $ROUNDS times" rounds "$format" "$options"
done <<-LIST
	raw
	qcow2 -o cluster_size=4k
	vdi
	vmdk
	vpc
	vhdx -o block_size=1M
LIST
