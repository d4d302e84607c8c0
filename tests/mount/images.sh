# SPDX-License-Identifier: LGPL-2.1-or-later
# images.sh - makes images and compares their mounts with a reference; sourced after functions.sh.
#
# The reference is qemu-img's reading; a test keeps its own reference where qemu-img is known to be wrong.
# shellcheck shell=bash

# Sanitized programs are about five times slower: tests divide their numbers of operations by this.
# shellcheck disable=SC2034
case $BUILD in
*/san-*) slowness=5 ;;
*) slowness=1 ;;
esac

# reference IMAGE FILE [OPTION...]: writes the contents as qemu-img reads them.
reference() {
	local image=$1 file=$2
	shift 2
	qemu-img convert "$@" -O raw "$image" "$file"
}

# agrees NAME IMAGE [OPTION...]: a case that passes if the mount shows the bytes that qemu-img reads.
agrees() {
	local what=$1 image=$2 ref
	shift 2
	ref=$(mktemp "$W/ref.XXXXXX")
	check "$what" agrees_with "$image" "$ref" "$@"
	rm -f "$ref"
}

agrees_with() {
	local image=$1 ref=$2
	shift 2
	reference "$image" "$ref" && matches "$image" "$ref" "$@"
}

# same FILE REFERENCE: compares a file of an existing mount with a reference.
# shellcheck disable=SC2154
same() { "$compare" -u "${UNIT:-65536}" -s "$SEED" "$1" "$2"; }

# on_mount IMAGE COMMAND...: mounts the image and runs the command with the mount point as last argument.
# Mount options are in the array mount_with.
mount_with=()
on_mount() {
	local image=$1 dir status
	shift
	dir=$(mktemp -d "$W/m.XXXXXX")
	mount_image "$image" "$dir" ${mount_with[@]+"${mount_with[@]}"} || return 1
	"$@" "$dir"
	status=$?
	unmount "$dir" || status=1
	rmdir "$dir"
	return $status
}

# patch FILE POSITION HEX: overwrites bytes in place.
patch() { printf '%s' "$3" | xxd -r -p | dd of="$1" bs=1 seek=$(($2)) conv=notrunc status=none; }

# be32, be64, le32, le64 FILE POSITION: an integer in a file, in decimal.
be32() { printf '%d\n' "0x$(xxd -p -s $(($2)) -l 4 "$1")"; }
be64() { printf '%d\n' "0x$(xxd -p -s $(($2)) -l 8 "$1")"; }
le32() { printf '%d\n' "0x$(xxd -p -s $(($2)) -l 4 "$1" | sed 's/\(..\)\(..\)\(..\)\(..\)/\4\3\2\1/')"; }
hex32() { printf '%08x' "$1"; }
hex64() { printf '%016x' "$1"; }

# scribble FORMAT IMAGE SIZE UNIT SEED N [KINDS]: runs N operations of qemu-io at random offsets: writes of
# odd lengths (w), zeroes (z), discards (d), compressed units (c).  Operations that the format does not support
# fail and are ignored.
scribble() {
	local format=$1 image=$2
	[ -f noise.bin ] || noise 4711 70001 >noise.bin
	[ -f text.txt ] || seq 1000000 1009000 >text.txt
	awk -v size="$3" -v unit="$4" -v seed="$5" -v n="$6" -v kinds="${7:-wwzdc}" '
		function pick(max) { return int(rand() * max) }
		BEGIN {
			srand(seed)
			units = int(size / unit)
			for (i = 0; i < n; i++) {
				kind = substr(kinds, 1 + pick(length(kinds)), 1)
				off = pick(units) * unit
				len = unit * (1 + pick(3))
				if (kind == "w") {
					off = pick(size / 512) * 512
					len = 512 * (1 + pick(3 * unit / 512 + 8))
				}
				if (kind == "c")
					len = unit
				if (len > size - off)
					len = size - off
				if (kind == "w")
					printf "write -s noise.bin %d %d\n", off, len
				else if (kind == "c")
					printf "write -c -s text.txt %d %d\n", off, len
				else if (kind == "z")
					printf "write -z %s%d %d\n", pick(2) ? "-u " : "", off, len
				else
					printf "discard %d %d\n", off, len
			}
		}' | qemu-io -d unmap -f "$format" "$image" >/dev/null 2>&1
}
