# SPDX-License-Identifier: LGPL-2.1-or-later
# images.sh - making images and judging what a mount shows of them; sourced after functions.sh.
#
# qemu-img is the referee, but where it is known to be wrong: such a test keeps its own reference.
# shellcheck shell=bash

# Sanitized programs are some five times slower: what scales takes a fifth.
# shellcheck disable=SC2034
case $BUILD in
*/san-*) slowness=5 ;;
*) slowness=1 ;;
esac

# reference IMAGE FILE [OPTION...]: the contents as qemu-img reads them.
reference() {
	local image=$1 file=$2
	shift 2
	qemu-img convert "$@" -O raw "$image" "$file"
}

# agrees WHAT IMAGE [OPTION...]: a case of its own; the mount shows what qemu-img reads.
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

# same FILE REFERENCE: the same, of a file on a mount that is there already.
# shellcheck disable=SC2154
same() { "$compare" -u "${UNIT:-65536}" -s "$SEED" "$1" "$2"; }

# on_mount IMAGE COMMAND...: runs the command with the name of a mount of the image behind it.
# Mount options are taken from the array mount_with.
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

# scribble FORMAT IMAGE SIZE UNIT SEED N [KINDS]: N operations of qemu-io at random places: writes of
# odd lengths (w), zeroes (z), discards (d), compressed units (c).  What an image cannot do fails and
# is passed over.
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
