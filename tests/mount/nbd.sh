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

# without_libnbd: is this a build that knows no servers?
without_libnbd() { "$VDISKFS" nbd://127.0.0.1:1 "$W" 2>&1 | grep -q "without libnbd"; }
