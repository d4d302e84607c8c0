# SPDX-License-Identifier: LGPL-2.1-or-later
# lvm.sh - volume groups made by lvm2 on loop devices, without device-mapper; sourced after functions.sh.
#
# The bytes of a volume are put where they belong by the arithmetic of this file, from the extents that lvs lists.
# shellcheck shell=bash

requires lvm losetup sfdisk
is_root || { skip "all: losetup needs root"; exit 0; }

export LVM_SYSTEM_DIR=$W/lvm-etc LVM_SUPPRESS_FD_WARNINGS=1
mkdir -p "$LVM_SYSTEM_DIR" "$W/lvm-lock"

# pv_files FILE...: attaches loop devices, which are the devices of vg from now on.
pvs=()
pv_files() {
	local f
	pv_detach
	for f; do pvs+=("$(losetup -f --show "$f")") || return 1; done
}
pv_detach() {
	local dev
	for dev in ${pvs[@]+"${pvs[@]}"}; do losetup -d "$dev"; done
	pvs=()
}

# lvm2 COMMAND...: runs lvm on the devices and on nothing else of this machine.
lvm2() {
	local filter='' dev command=$1
	shift
	for dev in "${pvs[@]}"; do filter+="\"a|^$dev\$|\","; done
	lvm "$command" --driverloaded n --config "devices { scan=[\"/dev\"] filter=[$filter\"r|.*|\"] use_devicesfile=0 \
		obtain_device_list_from_udev=0 external_device_info_source=\"none\" } \
		global { locking_dir=\"$W/lvm-lock\" use_lvmpolld=0 event_activation=0 notify_dbus=0 } \
		activation { udev_sync=0 udev_rules=0 monitoring=0 } backup { backup=0 archive=0 }" "$@"
}

# lv_create OPTION...: an inactive volume.
lv_create() { lvm2 lvcreate -q -y -an -Zn -Wn "$@"; }

# lv_field VG/LV FIELD: what lvs prints.
lv_field() { lvm2 lvs --noheadings -o "$2" "$1" | tr -d ' '; }

# pieces VG/LV: the pieces of a volume, one a line: number of the device, position on it, position in the volume,
# length; all in bytes.
pieces() {
	local vg=${1%/*} extent
	extent=$(lvm2 vgs --noheadings --units b --nosuffix -o vg_extent_size "$vg" | tr -d ' ')
	{
		lvm2 pvs --noheadings --units b --nosuffix -o pv_name,pe_start
		echo segments
		lvm2 lvs --segments --noheadings --units b --nosuffix -o seg_start_pe,seg_size_pe,stripes,stripesize,seg_pe_ranges "$1"
	} | awk -v E="$extent" -v order="${pvs[*]}" '
		BEGIN { n = split(order, devices, " "); for (i = 1; i <= n; i++) number[devices[i]] = i - 1 }
		$1 == "segments" { on = 1; next }
		!on { start[$1] = $2; next }
		{
			for (s = 0; s < $3; s++) {
				split($(5 + s), range, ":"); split(range[2], ends, "-")
				device[s] = range[1]; pos[s] = start[range[1]] + ends[1] * E
			}
			chunk = $3 > 1 ? $4 : $2 * E
			for (c = 0; c * chunk < $2 * E; c++)
				printf "%d %d %d %d\n", number[device[c % $3]], pos[c % $3] + int(c / $3) * chunk, $1 * E + c * chunk, chunk
		}'
}

# put VG/LV FILE: writes a file to the devices, as if to the volume.
put() {
	local n pos at len
	pieces "$1" | while read -r n pos at len; do
		dd if="$2" of="${pvs[n]}" bs=1M iflag=skip_bytes,count_bytes oflag=seek_bytes skip="$at" seek="$pos" \
			count="$len" conv=notrunc status=none </dev/null || exit 1
	done
}

# pieces_of_disk FILE DISK START...: reads a volume off a disk, by a list of pieces; START: where each device is.
pieces_of_disk() {
	local list=$1 disk=$2 n pos at len
	shift 2
	rm -f read-back
	while read -r n pos at len; do
		n=$((n + 1))
		dd if="$disk" of=read-back bs=1M iflag=skip_bytes,count_bytes oflag=seek_bytes skip=$((${!n} + pos)) seek="$at" \
			count="$len" conv=notrunc status=none || return 1
	done <"$list"
}

# disk_of DISK FILE...: a GPT disk with each file as a partition; prints where they begin.
disk_of() {
	local disk=$1 f start=2048 sectors table='label: gpt'
	shift
	for f; do
		sectors=$(($(stat -c %s "$f") / 512))
		table+=$'\n'"start=$start, size=$sectors, type=lvm"
		start=$((start + sectors))
	done
	rm -f "$disk"
	truncate -s $(((start + 2048) * 512)) "$disk"
	sfdisk -q "$disk" <<<"$table" || return 1
	start=2048
	for f; do
		dd if="$f" of="$disk" bs=512 seek=$start conv=notrunc,sparse status=none || return 1
		echo $((start * 512))
		start=$((start + $(stat -c %s "$f") / 512))
	done
}

# listed DIR NAME...: volumes/ has exactly these files.
listed() {
	local dir=$1/volumes
	shift
	[ "$(find "$dir" -mindepth 1 -printf '%f\n' | sort | tr '\n' ' ')" = "$*${*:+ }" ] || { ls -l "$dir"; return 1; }
}

# says FILE TEXT: an error file has these words.
says() { grep -qF -e "$2" "$1" || { cat "$1"; return 1; }; }

# le64 FILE POSITION: an integer in a file.
le64() { printf '%d\n' "0x$(xxd -p -s $(($2)) -l 8 "$1" | sed 's/\(..\)/\1 /g' | awk '{ for (i = 8; i > 0; i--) printf "%s", $i }')"; }
