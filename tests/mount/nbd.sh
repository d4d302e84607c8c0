# shellcheck shell=bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# nbd.sh - NBD servers for a test; sourced after functions.sh.  They are ended by their process ids.

servers=() # process ids, the last one that was started last
end_servers() {
	while [ ${#servers[@]} -gt 0 ]; do ends_server; done
}
trap 'end_servers; cleanup' EXIT

# starts_server SOCKET COMMAND...: runs a server in the background, $server is its process id, and waits until its
# socket is there.  Its messages go to SOCKET.log.
starts_server() {
	local socket=$1
	shift
	rm -f "$socket"
	"$@" >"$socket.log" 2>&1 &
	server=$!
	servers+=("$server")
	eventually server_is_there "$socket"
}
server_is_there() { [ -S "$1" ] || ! kill -0 "$server"; }

# serves NAME WORD...: nbdkit with these words, at the socket NAME.sock; $uri is its URI.
serves() {
	uri="nbd+unix:///?socket=$W/$1.sock"
	starts_server "$1.sock" nbdkit -f -v --log=stderr -U "$W/$1.sock" "${@:2}"
}

# ends_server: ends the last one; qemu-nbd does not always end by itself.
ends_server() {
	local pid=${servers[-1]}
	kill -CONT "$pid" 2>/dev/null
	kill "$pid" 2>/dev/null
	"$await_exit" 10 "$pid" || kill -9 "$pid"
	wait "$pid" 2>/dev/null
	unset 'servers[-1]'
	[ ${#servers[@]} = 0 ] || server=${servers[-1]}
}

# mounts URI DIR [OPTION...]: as mount_image, of a server.
mounts() {
	local uri=$1 dir=$2
	shift 2
	mkdir -p "$dir"
	"$VDISKFS" "$@" "$uri" "$(realpath -s "$dir")"
}

# traced URI OPTIONS COMMAND...: mounts the server on mnt, strictly confined, below strace, and runs the command.  After
# the filter no socket is made, nothing is connected, opened or executed, and no call on a server is denied; answers are
# received by threads that were started after it.
traced() {
	local status=0 tracer
	strace -qq -f -o strace.log "$VDISKFS" -f -o "sandbox=strict,$2" "$1" "$W/mnt" &
	tracer=$!
	eventually mountpoint -q mnt
	"${@:3}" || status=1
	unmount mnt && wait "$tracer" || status=1
	awk '/ landlock_restrict_self\(/ { locked = 1 }
		/ seccomp\(SECCOMP_SET_MODE_FILTER/ { filtered = 1; daemon = $1; next }
		/ connect\(/ && !filtered { connections++ }
		!filtered { older[$1] = 1; next }
		$1 in older && $1 != daemon { next } # the supervisor, and programs that have ended
		/ (socket|connect|execve)\(/ || /openat.* = [0-9]/ { bad = 1; print }
		/ = -1 EPERM/ && !/openat|prlimit64/ { bad = 1; print } # the C library asks for processors and limits
		/ recvfrom\(/ { received++ }
		/ sendmsg\(/ { messages++ }
		END { print connections " connections, " received " times received, " messages + 0 " messages"
			exit !(locked && filtered && connections && received && !bad) }' strace.log || { grep -c . strace.log; status=1; }
	# The threads of the connections that were there before have ended before.
	awk '/ seccomp\(SECCOMP_SET_MODE_FILTER/ { filtered = 1 }
		/ recvfrom\(/ && !filtered { before[$1] = 1 }
		/ recvfrom\(/ && filtered && $1 in before { print; bad = 1 }
		END { exit bad }' strace.log || status=1
	return $status
}

# without_libnbd: is this a build that knows no servers?
without_libnbd() { "$VDISKFS" nbd://127.0.0.1:1 "$W" 2>&1 | grep -q "without libnbd"; }
