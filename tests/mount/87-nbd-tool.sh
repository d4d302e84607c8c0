#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# vdisk with images on NBD servers, compared with qemu-img on the same servers; outputs, parents, servers that fail; names
# with a protocol, which never become files.
. "${0%/*}/functions.sh"
. "$here/nbd.sh"
requires nbdkit qemu-img qemu-io jq psktool

# Names that are no files.

# no_file ERROR NAME COMMAND...: NAME is refused and not created.
no_file() {
	local error=$1 name=$2
	shift 2
	"$VDISK" "$@" 2>err
	[ $? = 1 ] && grep -E "$error" err && [ ! -e "$name" ] && [ ! -e "${name%%/*}" ]
}
truncate -s 1M small.raw
for name in nbd:localhost:10809 nbd:unix:sock ssh://host/a.qcow2 ssh:host rbd:pool/image http://host/a https://host/a \
	json:{} fat:dir iscsi://host/t/0 sheepdog:x NBD:host unheard-of://host; do
	check "$name is no input" no_file 'protocol|block device' "$name" info "$name"
	check "$name is no output of convert" no_file protocol "$name" convert small.raw "$name"
	check "$name is no output of convert -n" no_file protocol "$name" convert -n small.raw "$name"
	check "$name is not created" no_file protocol "$name" create -q -f raw "$name" 1M
	check "$name is no backing file" no_file 'protocol|block device|Could not open' top.qcow2 create -q -f qcow2 -b "$name" -F raw top.qcow2
done
check "an advice for http:" eval '"$VDISK" info http://host/a.raw 2>&1 | grep "^hint: .*nbdkit -r curl http://host/a.raw"'
check "an advice for nbd:" eval '"$VDISK" info nbd:host:10809 2>&1 | grep "^hint: .*nbd://HOST"'
for name in ./nbd:x ./ssh: a:b c:/d; do
	mkdir -p "${name%/*}" && rm -rf "${name:?}" && mkdir -p "$(dirname "$name")"
	check "$name is a file" eval '"$VDISK" convert small.raw "$name" && "$VDISK" compare "$name" small.raw && rm "$name"'
done

if without_libnbd; then
	check "a build without libnbd says so" eval '"$VDISK" info nbd://host 2>&1 | grep "built without libnbd"'
	exit
fi
requires nbdcopy

# Reading, beside qemu-img.

some_data disk.raw 8M
truncate -s 20M disk.raw
qemu-img convert -q -f raw -O qcow2 disk.raw disk.qcow2
qemu-img snapshot -c before disk.qcow2
qemu-io -c 'write -q -P 7 1M 1M' disk.qcow2
qemu-img convert -q -O raw disk.qcow2 now.raw
qemu-img convert -q -l before -O raw disk.qcow2 before.raw
serves q file disk.qcow2
qcow2=$uri
serves r file disk.raw
raw=$uri

# qemu-img spells URIs in another way, and knows no dirty-flag of a raw disk that is no file.
info_of() { "$1" info --output=json "$2" | jq -S '.filename = "" | del(.children, ."dirty-flag")'; }
for image in "$qcow2" "$raw"; do
	check "info, ${image##*/}" eval 'diff <(info_of qemu-img "$image") <(info_of "$VDISK" "$image")'
done
check "info has no size on the server" eval '"$VDISK" info "$qcow2" | grep -qx "disk size: unavailable"'
map_of() { "$1" map --output=json "$2" | jq -c '.[] | [.start, .length, .data, .offset // 0]'; }
check "map" eval 'diff <(map_of qemu-img "$qcow2") <(map_of "$VDISK" "$qcow2")'
check "measure" eval 'diff <(qemu-img measure -O qcow2 "$qcow2") <("$VDISK" measure -O qcow2 "$qcow2")'
check "check" "$VDISK" check "$qcow2"
check "compare with a file" "$VDISK" compare "$qcow2" now.raw
check "compare two servers that differ" eval '"$VDISK" compare "$qcow2" "$raw"; [ $? = 1 ]'
check "convert" eval '"$VDISK" convert "$qcow2" out.raw && cmp out.raw now.raw'
check "convert of a snapshot" eval '"$VDISK" convert -l before "$qcow2" out.raw && cmp out.raw before.raw'
check "convert of a raw export" eval '"$VDISK" convert "$raw" out.raw && cmp out.raw disk.raw'
check "its holes stay holes" eval '[ "$(stat -c %b out.raw)" -le $(($(stat -c %b disk.raw) + 256)) ]'
check "convert two servers to one output" eval '"$VDISK" convert "$raw" "$qcow2" two.raw && cmp two.raw <(cat disk.raw now.raw)'
check "the same server twice" "$VDISK" compare "$raw" "$raw"

# Many requests at once: the answers come late.
in_flight() { # LOG: prints the most reads that had no answer at a time
	awk '/ Read id=[0-9]+ offset/ { if (++n > most) most = n } / Read id=[0-9]+ return/ || /\.\.\.Read id/ { n-- } END { print most + 0 }' "$1"
}
noise 24 $((24 << 20)) >large.raw
at_once() {
	serves d --filter=log --filter=delay file large.raw rdelay=50ms logfile="$W/requests" || return 1
	"$VDISK" convert -m 1 "$uri" out.raw && cmp out.raw large.raw && ends_server || return 1
	echo "at once: $(in_flight requests)"
	[ "$(in_flight requests)" -ge 16 ]
}
check "convert has many requests under way" at_once

# Outputs.

truncate -s 24M target.raw
truncate -s 40M target.qcow2
truncate -s 1M tiny.raw
serves t file target.raw
target=$uri
serves y file tiny.raw
tiny=$uri
serves o -r file disk.raw
readonly=$uri
serves c file target.qcow2
container=$uri
fails() { # ERROR COMMAND...
	local error=$1
	shift
	"$VDISK" "$@" 2>err
	[ $? = 1 ] && grep -E "$error" err
}
check "convert makes no export" fails "no new exports.*" convert disk.raw "$target"
check "and hints at -n" grep "^hint: .*-n" err
check "create makes none" fails "no new exports" create -q -f raw "$target" 1M
check "convert -n" eval '"$VDISK" convert -n now.raw "$target" && cmp -n $((20 << 20)) now.raw target.raw'
check "convert -n over other data, with holes" eval 'some_data target.raw 24M && "$VDISK" convert -n disk.raw "$target" && cmp -n $((20 << 20)) disk.raw target.raw'
check "convert -n from a server to another" eval '"$VDISK" convert -n "$qcow2" "$target" && cmp -n $((20 << 20)) now.raw target.raw'
check "convert -n to one that is too small" fails "smaller" convert -n disk.raw "$tiny"
check "convert -n to one that is read-only" fails "lets nobody write" convert -n disk.raw "$readonly"
check "convert -n to its own input" fails "one of the inputs" convert -n "$target" "$target"
check "convert -n over an image that nobody named" fails "is a qcow2 image" convert -n small.raw "$qcow2"
qemu-img create -q -f qcow2 empty.qcow2 30M
dd if=empty.qcow2 of=target.qcow2 conv=notrunc status=none
check "convert -n to an image on a server" eval '"$VDISK" convert -n -O qcow2 now.raw "$container" && qemu-img check -q target.qcow2 &&
	qemu-img compare -q -f qcow2 target.qcow2 now.raw'
check "a snapshot of it" eval '"$VDISK" snapshot -c one "$container" && qemu-img snapshot -l target.qcow2 | grep -qw one'
check "resize of it" eval '"$VDISK" resize -q "$container" 35M && [ "$(qemu-img info --output=json target.qcow2 | jq .\"virtual-size\")" = $((35 << 20)) ]'
check "check -r" eval '"$VDISK" check -r all "$container" && qemu-img check -q target.qcow2'
check "an export keeps its size" fails "keeps its size" resize -q "$target" 30M
truncate -s 4M target.qcow2
dd if=empty.qcow2 of=target.qcow2 conv=notrunc status=none
ends_server
serves c file target.qcow2
check "an image that outgrows its export" fails "No space" convert -n -O qcow2 large.raw "$uri"

# Parents on servers.

overlay() { rm -f top.qcow2 && "$VDISK" create -q -f qcow2 -b "$1" -F qcow2 top.qcow2 && qemu-io -c 'write -q -P 9 3M 1M' top.qcow2; }
check "create -b records the URI, which QEMU opens" eval 'overlay "$qcow2" && qemu-img convert -q -O raw top.qcow2 top.raw'
check "a name in an image does not connect" fails "No such file" convert top.qcow2 out.raw
check "and a hint says how" grep -F -- "--parent='$qcow2'" err
check "--parent does" eval '"$VDISK" convert --parent="$qcow2" top.qcow2 out.raw && cmp out.raw top.raw'
check "--parent may be a file" eval '"$VDISK" compare --parent=disk.qcow2 top.qcow2 top.raw'
check "--parent of an image without one" fails "no backing file" convert --parent="$qcow2" disk.raw out.raw
check "rebase to a file" eval '"$VDISK" rebase --parent="$qcow2" -b disk.qcow2 -F qcow2 top.qcow2 && "$VDISK" compare top.qcow2 top.raw'
check "rebase to a server" eval '"$VDISK" rebase -b "$qcow2" -F qcow2 top.qcow2 && qemu-img compare -q top.qcow2 top.raw'
check "convert -B to a server" eval '"$VDISK" convert -O qcow2 -B "$qcow2" -F qcow2 top.raw few.qcow2 && qemu-img compare -q few.qcow2 top.raw &&
	[ "$(stat -c %s few.qcow2)" -lt $((4 << 20)) ]'

# Servers that fail.

broken() { # ERROR: reading ends with this one error, and no output is left
	"$VDISK" convert "$uri" broken.raw 2>err
	[ $? = 1 ] && grep -E "$1" err && [ "$(wc -l <err)" = 1 ] && [ ! -e broken.raw ] && [ -z "$(ls .broken* 2>/dev/null)" ]
}
errors() {
	serves e --filter=error file large.raw error-pread-rate=100% error-pread=EIO error-file="$W/errors" && touch errors && broken 'reading .*Input/output error|Could not open' && ends_server
}
check "an error of the server" errors
dies() {
	local status
	serves k --filter=log --filter=delay file large.raw rdelay=100ms logfile="$W/killed" || return 1
	(eventually grep -q 'Read.*offset=0x[1-9a-f]00000' killed && kill -9 "$server") &
	broken "(closed the connection|reset|Broken pipe|disconnected)"
	status=$?
	wait $!
	unset 'servers[-1]'
	return $status
}
check "a server that is killed" dies
stalls() {
	local status
	serves w file large.raw && kill -STOP "$server" || return 1
	"$VDISK" convert --nbd-timeout=1 "$uri" broken.raw 2>err
	status=$?
	kill -CONT "$server"
	ends_server
	[ $status = 1 ] && grep "no answer within 1 seconds" err && [ ! -e broken.raw ]
}
check "a server that says nothing" stalls
stops_later() {
	local status
	serves l --filter=log --filter=delay file large.raw rdelay=100ms logfile="$W/stopped" || return 1
	(eventually grep -q 'Read.*offset=0x[1-9a-f]00000' stopped && kill -STOP "$server") &
	"$VDISK" convert --nbd-timeout=1 "$uri" broken.raw 2>err
	status=$?
	wait $!
	kill -CONT "$server"
	ends_server
	[ $status = 1 ] && grep "no answer within 1 seconds" err && [ "$(wc -l <err)" = 1 ] && [ ! -e broken.raw ]
}
check "a server that stops amid the work" stops_later
check "a timeout that is none" fails "Invalid time '0'" info --nbd-timeout=0 "$raw"
check "a server that is not there" fails "none.sock.*No such file" info "nbd+unix:///?socket=$W/none.sock"

# TLS.

psktool -u alice -p keys.psk >/dev/null 2>&1
psktool -u alice -p other.psk >/dev/null 2>&1
serves s --tls=require --tls-psk=keys.psk file disk.raw
tls="nbds+unix://alice@/?socket=$W/s.sock"
check "a pre-shared key" "$VDISK" compare --tls-psk=keys.psk "$tls" disk.raw
check "a wrong key" fails "s.sock.*(TLS|PSK|handshake)" info --tls-psk=other.psk "$tls"
check "no key" fails "verified" info "$tls"
check "and a hint" eval 'grep -F -- "--tls-certs=" err | grep -F -- "--tls-psk="'
check "vdisk mount passes the key on" eval 'mkdir -p view && XDG_RUNTIME_DIR=$W "$VDISK" open --print --tls-psk=keys.psk "$tls" >dir &&
	cmp "$(cat dir)/disk.raw" disk.raw && XDG_RUNTIME_DIR=$W "$VDISK" umount "$tls"'
