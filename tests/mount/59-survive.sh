#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# The daemon is killed repeatedly during writes: synced data must be there, and the image must be sound.
. "${0%/*}/functions.sh"
requires qemu-img

ROUNDS=${ROUNDS:-35} # for each format
survive=$BUILD/tests/mount/survive

# sound FORMAT IMAGE: checks with qemu-img and with vdisk, if they support the format.
sound() { # FORMAT IMAGE
	case $1 in
	qcow2 | vdi | vmdk) qemu-img check -q -f "$1" "$2" ;;
	vhdx) cp "$2" copy.vhdx && qemu-img check -q -f vhdx -r all copy.vhdx ;; # the check replays the log
	esac >check.log 2>&1
	local status=$?
	# Status 3: leaked clusters, which are allowed.
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

# round FORMAT OPTIONS SEED: survive kills the daemon during a write, so the mount is left without one.
round() {
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
