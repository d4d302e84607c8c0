# SPDX-License-Identifier: LGPL-2.1-or-later
# functions.sh - sourced first by every mount test:  . "${0%/*}/functions.sh"
#
# Sets $W, the scratch directory in which the test starts.  When the test ends, fails or is stopped, cleanup()
# unmounts every mount below $W, detaches loop devices on files of $W or of its mounts, waits for the daemons
# and removes $W.
#
# Each case prints one line on standard output: "PASS name", "FAIL name" or "SKIP name: reason".
# All other output goes to the log.
set -u
LC_ALL=C.UTF-8
TZ=UTC
export LC_ALL TZ
export XDG_CONFIG_HOME=/proc/no-settings # where no program can create them
unset VDISK_ALLOW
PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin

here=$(cd "${0%/*}" && pwd)
top=$(cd "$here/../.." && pwd)
BUILD=${BUILD:-$top/build}
VDISKFS=$BUILD/vdiskfs
VDISK=$BUILD/vdisk
MKIMAGE=$BUILD/mkimage
compare=$BUILD/tests/mount/compare
await_exit=$BUILD/tests/mount/await-exit
NAME=${0##*/}
NAME=${NAME%.sh}
exec 3>&1 1>&2

pass() { printf 'PASS %s: %s\n' "$NAME" "$*" >&3; }
fail() {
	printf 'FAIL %s: %s\n' "$NAME" "$*" >&3
	printf 'FAIL %s: %s\n' "$NAME" "$*" >&2
}
skip() { printf 'SKIP %s: %s\n' "$NAME" "$*" >&3; }

# check NAME COMMAND...: passes when the command succeeds.
check() {
	local what=$1
	shift
	if "$@"; then pass "$what"; else fail "$what"; return 1; fi
}

# check_not NAME COMMAND...: passes when the command exits with an error; a death by a signal does not count.
check_not() {
	local what=$1 status
	shift
	"$@"
	status=$?
	if [ $status -gt 0 ] && [ $status -lt 126 ]; then pass "$what"; else fail "$what (status $status)"; return 1; fi
}

# Every random value derives from SEED: SEED=N repeats a run.
export SEED=${SEED:-$RANDOM}
echo "SEED=$SEED"

# seed_of WORD...: prints a number derived from SEED and the words.
seed_of() {
	local sum
	sum=$(cksum <<<"$SEED $*")
	echo $((${sum%% *} % 32768))
}

# Seconds after which a wait or a command counts as hung.  It is only an upper bound: no test waits for it to
# expire, so it may be large enough for a machine that is ten times slower or busy.
export patience=${PATIENCE:-200}

# eventually COMMAND...: waits until it succeeds.
eventually() {
	local end=$((SECONDS + patience))
	until "$@" 2>/dev/null; do
		[ $SECONDS -lt $end ] || { "$@"; return; }
		read -r -t 0.05 <> <(:)
	done
	return 0
}

# daemon_of DIR: prints the daemon's pid.  Its supervisor has the same name until it runs for the first time.
daemon_of() {
	local daemon=
	eventually one_daemon "$1" && echo "$daemon"
}
one_daemon() {
	local dir=$1 pid found=()
	[[ $dir == /* ]] || dir=$PWD/$dir
	for pid in $(pids_of "$dir"); do
		[ "$(cat "/proc/$pid/comm" 2>/dev/null)" != vdiskfs ] || found+=("$pid")
	done
	daemon=${found[*]}
	[ ${#found[@]} -le 1 ]
}

# requires COMMAND...: ends the test as skipped when a command is missing.
requires() {
	local c
	for c in "$@"; do
		command -v "$c" >/dev/null || { skip "all: $c is not installed"; exit 0; }
	done
}

is_root() { [ "$(id -u)" = 0 ]; }

# Prints the mount points below $W, innermost first.  mountinfo writes a blank as \040.
mounts_below() {
	awk -v w="$W/" 'index($5, w) == 1 { print $5 }' /proc/self/mountinfo | tac
}

# pids_of DIR [PART]: prints the daemons and attendants that serve DIR, found by their command lines, since
# /proc/PID/exe of an undumpable process is readable only by root.  With a second argument, DIR may be a part
# of a word of the command line.
pids_of() {
	local file comm whole=${2--x}
	# shellcheck disable=SC2086
	for file in $(grep -lszF $whole -e "$1" /proc/[0-9]*/cmdline); do
		file=${file%/cmdline}
		read -r comm 2>/dev/null <"$file/comm" && [[ $comm == vdiskfs* ]] && echo "${file#/proc/}"
	done
}

detach_loops() {
	local dev file
	is_root || return 0
	losetup -l -n -O NAME,BACK-FILE 2>/dev/null | while read -r dev file; do
		case $file in
		"$W"/*) losetup -d "$dev" ;;
		esac
	done
}

cleanup() {
	local m pids
	cd /
	trap '' EXIT HUP INT TERM
	mounts_below | while read -r m; do
		m=$(printf '%b' "${m//\\/\\0}")
		case $(findmnt -n -o FSTYPE "$m") in fuse.vdiskfs) continue ;; esac
		umount "$m" 2>/dev/null || umount -l "$m"
	done
	detach_loops
	mounts_below | while read -r m; do
		m=$(printf '%b' "${m//\\/\\0}")
		fusermount3 -u "$m" 2>/dev/null || umount "$m" 2>/dev/null || fusermount3 -uz "$m" || umount -l "$m"
	done
	pids=$(pids_of "$W/" "")
	# shellcheck disable=SC2086
	[ -z "$pids" ] || "$await_exit" "$patience" $pids || { kill -9 $pids; fail "a daemon outlived its mount"; }
	sanitizer_reports
	rm -rf "$W"
}

W=$(mktemp -d "${TMPDIR:-/tmp}/vdiskfs-$NAME.XXXXXX") || exit 1
W=$(realpath "$W")
trap cleanup EXIT
trap 'exit 1' HUP INT TERM

# A daemon has no standard error: sanitizers write their reports to files, and cleanup fails the test for each.
for v in ASAN UBSAN TSAN LSAN; do
	v=${v}_OPTIONS
	export "$v=${!v:+${!v}:}log_path=$W/sanitizer"
done
sanitizer_reports() {
	local f
	for f in "$W"/sanitizer.*; do
		[ -s "$f" ] || continue
		fail "a sanitizer reported an error"
		cat "$f"
	done
}
cd "$W" || exit 1

# mount_image IMAGE DIR [OPTION...]: creates DIR and mounts IMAGE on it.  Paths are made absolute because
# cleanup finds daemons by the path of $W in their command line.
mount_image() {
	local image=$1 dir=$2
	shift 2
	mkdir -p "$dir"
	"$VDISKFS" "$@" "$(realpath -s "$image")" "$(realpath -s "$dir")"
}

# unmount DIR: unmounts and returns when the daemon has exited.
unmount() {
	local dir pids
	dir=$(realpath -s "$1")
	pids=$(pids_of "$dir")
	fusermount3 -u "$dir" || return 1
	# shellcheck disable=SC2086
	[ -z "$pids" ] || "$await_exit" "$patience" $pids
}

# refused IMAGE PATTERN [OPTION...]: the mount must exit with status 1 and leave no mount; it prints one line
# and at most a hint, one of which matches the extended regular expression.
refused() {
	local image=$1 pattern=$2 status
	shift 2
	mkdir -p refused-dir
	timeout "$patience" "$VDISKFS" "$@" "$image" "$W/refused-dir" 2>refused.err
	status=$?
	cat refused.err >&2
	if [ $status != 1 ]; then
		echo "status $status instead of 1" >&2
		[ $status != 0 ] || unmount refused-dir
		return 1
	fi
	if grep -qF " $W/refused-dir " /proc/self/mountinfo; then
		echo "a mount was left" >&2
		return 1
	fi
	[ "$(wc -l <refused.err)" -le 2 ] || { echo "more than two lines" >&2; return 1; }
	head -n 1 refused.err | grep -qE -e '^vdiskfs: ' || { echo "no vdiskfs: prefix" >&2; return 1; }
	grep -qE -e "$pattern" refused.err || { echo "does not match $pattern" >&2; return 1; }
}

# matches IMAGE REFERENCE [OPTION...]: mounts, compares disk.raw with the reference, unmounts.
matches() {
	local image=$1 ref=$2 dir status
	shift 2
	dir=$(mktemp -d "$W/m.XXXXXX")
	mount_image "$image" "$dir" "$@" || return 1
	"$compare" -e -u "${UNIT:-65536}" -s "$SEED" "$dir/disk.raw" "$ref"
	status=$?
	unmount "$dir" || status=1
	rmdir "$dir"
	return $status
}

# some_data FILE SIZE: creates a file with text, noise, zeroes and holes, the same at each call.
some_data() {
	local file=$1 size i=0
	size=$(numfmt --from=iec "$2")
	truncate -s 0 "$file"
	truncate -s "$size" "$file"
	while [ $((i * 1048576)) -lt "$size" ]; do
		case $((i % 4)) in
		0) seq $((i * 100000)) $((i * 100000 + 60000)) ;;
		1) noise $i 300000 ;;
		2) printf 'lonely %d' $i ;;
		3) : ;;
		esac | dd of="$file" bs=64K seek=$((i * 16)) conv=notrunc iflag=fullblock status=none
		i=$((i + 1))
	done
	truncate -s "$size" "$file"
}

# noise SEED SIZE: prints bytes that hardly compress, the same for the same seed.
noise() {
	awk -v s="$1" -v n="$2" 'BEGIN { srand(s + 7); for (i = 0; i < n; i += 8) printf "%c%c%c%c%c%c%c%c",
		1 + rand() * 126, 1 + rand() * 126, 1 + rand() * 126, 1 + rand() * 126,
		1 + rand() * 126, 1 + rand() * 126, 1 + rand() * 126, 1 + rand() * 126 }'
}
