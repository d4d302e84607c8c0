# shellcheck shell=bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# hostile.sh - for tests of bad images and bad luck, after functions.sh:  . "$here/hostile.sh"

# These scripts set what they ask for in variables of functions.sh and pass options on as words.
# shellcheck disable=SC2034
bounded=$BUILD/tests/mount/bounded
scan=$BUILD/tests/mount/scan
failread=$BUILD/tests/mount/failread.so

# Processor time, since elapsed time depends on what else the machine does; a hang is met by timeout.
# Opening takes some milliseconds.  Sanitizers take much memory and time of their own.
case $BUILD in
*san-*) sanitized=yes cpu_ms=20000 limits=() ;;
*) sanitized='' cpu_ms=2000 limits=(-m 64) ;;
esac

# be BYTES NUMBER, le BYTES NUMBER: the number in hexadecimal digits, as poke takes it.
be() { printf '%0*x' $(($1 * 2)) "$2"; }
le() {
	local hex out='' i
	hex=$(be "$1" "$2")
	for ((i = ${#hex} - 2; i >= 0; i -= 2)); do out+=${hex:i:2}; done
	printf '%s' "$out"
}

# hex TEXT: its bytes in hexadecimal digits.
hex() { printf '%s' "$1" | xxd -p | tr -d '\n'; }

# poke FILE POS HEX...: overwrites bytes of a file.
poke() {
	local file=$1 pos=$2
	shift 2
	printf '%s' "$@" | xxd -r -p | dd of="$file" bs=64K oflag=seek_bytes seek="$pos" conv=notrunc status=none
}

# well_said FILE: is that an error message - one line that starts with our name, and perhaps a hint?
well_said() {
	local text lines
	text=$(<"$1")
	mapfile -t lines <"$1"
	[[ ${#lines[@]} == [12] ]] || { echo "${#lines[@]} lines of error" >&2; return 1; }
	[[ $text == "vdiskfs: "?* ]] || { echo "no \"vdiskfs: \" in front" >&2; return 1; }
	! [[ $text =~ "ERROR: "|"runtime error"|"Assertion"|"stack smashing" ]]
}

# within COMMAND...: runs it in the bounds that opening any image must keep.
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

# refused_within IMAGE PATTERN [OPTION...]: as refused, in bounds, and the image stays as it is.
refused_within() {
	local image=$1 pattern=$2
	shift 2
	mkdir -p refused-dir
	unchanged "$image" within timeout "$patience" "$VDISKFS" "$@" "$image" "$W/refused-dir" 2>within.err
	was_refused $? within.err "$pattern"
}

# was_refused STATUS FILE PATTERN: judges what a run that should have failed said.
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
	well_said "$2" || return 1
	[[ $text =~ $3 ]] || { echo "does not match $3" >&2; return 1; }
}

# honest IMAGE REFERENCE [OPTION...]: either the mount is refused in good order, or all that it shows
# is right or EIO.  What was found is left in honest.out.
honest() {
	local image=$1 ref=$2 status
	shift 2
	[ -d refused-dir ] || mkdir refused-dir
	timeout "$patience" "$VDISKFS" "$@" "$image" "$W/refused-dir" 2>honest.err
	status=$?
	if [ $status != 0 ]; then
		echo refused >honest.out
		was_refused $status honest.err .
		return
	fi
	"$scan" refused-dir/disk.raw "$ref" >honest.out
	status=$?
	still_answers "$W/refused-dir" || status=1
	unmount refused-dir || status=1
	return $status
}

# still_answers DIR: is the daemon there, and does it answer a question that no cache can?
still_answers() { [[ $(<"$1/info.json") == "{"*"}" ]]; }

# memory_of PID: its peak, in MiB.
memory_of() { awk '/^VmHWM:/ { print int($2 / 1024) }' "/proc/$1/status"; }

# daemon_of DIR: the daemon, without its attendant.
daemon_of() {
	local pid
	for pid in $(pids_of "$1"); do
		[ "$(cat "/proc/$pid/comm" 2>/dev/null)" = vdiskfs-attend ] || echo "$pid"
	done
}

# shows_exactly FILE LINE...: has a file these lines and no more?
shows_exactly() {
	local file=$1
	shift
	printf '%s\n' "$@" | diff - "$file" >&2
}
