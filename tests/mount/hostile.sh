# shellcheck shell=bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# hostile.sh - bounds, damaged images and error messages; sourced after functions.sh:  . "$here/hostile.sh"

# The variables are used by the scripts that source this file.
# shellcheck disable=SC2034
bounded=$BUILD/tests/mount/bounded
scan=$BUILD/tests/mount/scan
failread=$BUILD/tests/mount/failread.so

# The limit is on processor time, since elapsed time depends on the load of the machine; a hang is caught by
# timeout.  Opening takes some milliseconds; sanitizers multiply time and memory.
case $BUILD in
*san-*) sanitized=yes cpu_ms=20000 limits=() ;;
*) sanitized='' cpu_ms=2000 limits=(-m 64) ;;
esac

# be BYTES NUMBER, le BYTES NUMBER: print the number in hexadecimal digits, as poke expects them.
be() { printf '%0*x' $(($1 * 2)) "$2"; }
le() {
	local hex out='' i
	hex=$(be "$1" "$2")
	for ((i = ${#hex} - 2; i >= 0; i -= 2)); do out+=${hex:i:2}; done
	printf '%s' "$out"
}

# hex TEXT: prints its bytes in hexadecimal digits.
hex() { printf '%s' "$1" | xxd -p | tr -d '\n'; }

# poke FILE POS HEX...: overwrites bytes of a file.
poke() {
	local file=$1 pos=$2
	shift 2
	printf '%s' "$@" | xxd -r -p | dd of="$file" bs=64K oflag=seek_bytes seek="$pos" conv=notrunc status=none
}

# is_error_message FILE: the file is one line that begins with "vdiskfs: ", and at most a hint.
is_error_message() {
	local text lines
	text=$(<"$1")
	mapfile -t lines <"$1"
	[[ ${#lines[@]} == [12] ]] || { echo "${#lines[@]} lines of error" >&2; return 1; }
	[[ $text == "vdiskfs: "?* ]] || { echo "no \"vdiskfs: \" in front" >&2; return 1; }
	! [[ $text =~ "ERROR: "|"runtime error"|"Assertion"|"stack smashing" ]]
}

# within COMMAND...: runs the command with the limits that opening any image must respect.
within() { "$bounded" -c "$cpu_ms" "${limits[@]}" "$@"; }

# unchanged FILE COMMAND...: the command's status, or 1 when it changed the file.
unchanged() {
	local file=$1 before status
	shift
	before=$(sha256sum <"$file")
	"$@"
	status=$?
	[ "$before" = "$(sha256sum <"$file")" ] || { echo "$file was changed" >&2; return 1; }
	return $status
}

# refused_within IMAGE PATTERN [OPTION...]: like refused, with limits, and the image must not change.
refused_within() {
	local image=$1 pattern=$2
	shift 2
	mkdir -p refused-dir
	unchanged "$image" within timeout "$patience" "$VDISKFS" "$@" "$image" "$W/refused-dir" 2>within.err
	was_refused $? within.err "$pattern"
}

# was_refused STATUS FILE PATTERN: checks the status and the messages of a mount that should have failed.
was_refused() {
	local text
	text=$(<"$2")
	printf '%s\n' "$text" >&2
	if [[ $(</proc/self/mountinfo) == *"$W/refused-dir "* ]]; then
		echo "a mount was left" >&2
		unmount "$W/refused-dir"
		return 1
	fi
	[ "$1" = 1 ] || { echo "status $1 instead of 1" >&2; return 1; }
	is_error_message "$2" || return 1
	[[ $text =~ $3 ]] || { echo "does not match $3" >&2; return 1; }
}

# refused_or_right IMAGE REFERENCE [OPTION...]: the mount is refused with an error message, or every byte of it
# reads right or fails with EIO.  The result is written to refused_or_right.out.
refused_or_right() {
	local image=$1 ref=$2 status
	shift 2
	[ -d refused-dir ] || mkdir refused-dir
	timeout "$patience" "$VDISKFS" "$@" "$image" "$W/refused-dir" 2>refused_or_right.err
	status=$?
	if [ $status != 0 ]; then
		echo refused >refused_or_right.out
		was_refused $status refused_or_right.err .
		return
	fi
	"$scan" refused-dir/disk.raw "$ref" >refused_or_right.out
	status=$?
	daemon_answers "$W/refused-dir" || status=1
	unmount refused-dir || status=1
	return $status
}

# daemon_answers DIR: info.json can be read, which no cache of the kernel can answer.
daemon_answers() { [[ $(<"$1/info.json") == "{"*"}" ]]; }

# memory_of PID: prints the peak resident size in MiB.
memory_of() { awk '/^VmHWM:/ { print int($2 / 1024) }' "/proc/$1/status"; }

# shows_exactly FILE LINE...: the file has these lines and no others.
shows_exactly() {
	local file=$1
	shift
	printf '%s\n' "$@" | diff - "$file" >&2
}
