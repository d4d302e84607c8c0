#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# nbdkit-vdisk-plugin and vdisk serve: images of all formats as NBD servers, read and written by QEMU and libnbd; a guest
# boots from one; how a server begins and ends.
. "${0%/*}/functions.sh"
. "$here/images.sh"
requires nbdkit nbdinfo nbdcopy qemu-img qemu-io jq sfdisk mkfs.ext4 cryptsetup xxd
plugin=$BUILD/nbdkit-vdisk-plugin.so
[ -e "$plugin" ] || { skip "all: built without nbdkit's header"; exit 0; }
. "$here/tool-images.sh"
export XDG_RUNTIME_DIR=$W/run
mkdir -m 700 run

stop_servers() {
	local pids name
	pids=$(jobs -p)
	for name in bg base; do
		[ ! -s "$W/$name.pid" ] || pids+=" $(cat "$W/$name.pid")"
	done
	# shellcheck disable=SC2086
	kill $pids 2>/dev/null
}
trap 'stop_servers; cleanup' EXIT

# nbdkit is not built with the sanitizers, and needs their library before all others.  It leaks connections that end with it.
preload=()
case $BUILD in
*san-address*) preload=(env "LD_PRELOAD=$(gcc -print-file-name=libasan.so)" "ASAN_OPTIONS=$ASAN_OPTIONS:detect_leaks=0") ;;
*san-thread*) skip "all: nbdkit cannot load a plugin that is built with SAN=thread"; exit 0 ;;
esac
for python in python3 /usr/bin/python3 none; do
	[ $python = none ] || ! "$python" -c 'import nbd' 2>/dev/null || break
done

# nbdkit PLUGIN-PARAMETER... [-- nbdkit-option...]
kit() {
	local parameters=()
	while [ $# -gt 0 ] && [ "$1" != -- ]; do
		parameters+=("$1")
		shift
	done
	shift
	${preload[@]+"${preload[@]}"} nbdkit "$@" "$plugin" "${parameters[@]}"
}
# with_uri IMAGE COMMAND: runs the command, in which $uri is that of the server.
with_uri() { kit "$1" "${@:3}" -- -U - --run "unset LD_PRELOAD; $2"; }

# serve ARGUMENT...: starts vdisk serve, and sets pid, uri, and base and query, between which an export stands.
serve() {
	rm -f served
	${preload[@]+"${preload[@]}"} "$VDISK" serve "$@" <&0 >served 2>served.err &
	pid=$!
	eventually is_served || { cat served.err; return 1; }
	uri=$(head -n 1 served)
	uri=${uri%%  *}
	base=${uri%%\?*} query=${uri#"$base"}
}
is_served() { [ -s served ] || ! kill -0 "$pid"; }
export_uri() { echo "$base$1$query"; }
# ends SIGNAL: the server ends with status 0, and has closed the image.
ends() {
	kill "-$1" "$pid"
	wait "$pid" && { ! grep 'disks are open' served.err; }
}
server_of() { pgrep -P "$1" nbdkit; }

# All formats.

is_readable() { # IMAGE
	local size format status
	format=$("$VDISK" info --output=json "$1" | jq -r .format) # which QEMU does not find in fixed VHDs
	size=$(qemu-img info -f "$format" --output=json "$1" | jq '."virtual-size"')
	serve "$1" || return 1
	qemu-img info --output=json "$uri" | jq -e ".\"virtual-size\" == $size" &&
		qemu-img compare -q -f raw -F "$format" "$uri" "$1"
	status=$?
	ends TERM && return $status
}
while read -r image; do
	check "QEMU reads $image" is_readable "$image"
done <images
qemu-img convert -f raw -O vmdk -o subformat=streamOptimized disk.raw d1.vmdk
cat >machine.ovf <<'OVF'
<?xml version="1.0" encoding="UTF-8"?>
<Envelope xmlns="http://schemas.dmtf.org/ovf/envelope/1" xmlns:ovf="http://schemas.dmtf.org/ovf/envelope/1">
<References><File ovf:id="f" ovf:href="d1.vmdk"/></References>
<DiskSection><Info>Disks</Info><Disk ovf:diskId="d" ovf:fileRef="f"
 ovf:format="http://www.vmware.com/interfaces/specifications/vmdk.html#streamOptimized"/></DiskSection>
<VirtualSystem ovf:id="vm"><Info>A machine</Info></VirtualSystem></Envelope>
OVF
tar -cf machine.ova machine.ovf d1.vmdk
# shellcheck disable=SC2016
check "nbdcopy reads machine.ova" eval 'with_uri machine.ova "nbdcopy \"\$uri\" copy.raw" && cmp copy.raw disk.raw'
# shellcheck disable=SC2016
check "qemu-img converts a snapshot" eval 'serve over.qcow2 && qemu-img convert -f raw -O raw "$(export_uri snapshots/first)" first.raw &&
	ends TERM && qemu-img convert -l first -O raw over.qcow2 first.ref && cmp first.raw first.ref'

# The map, as runs of data and of other bytes.
runs='reduce .[] as $e ([]; if length > 0 and .[-1][1] == $e[1] then .[-1][0] += $e[0] else . + [$e] end)'
maps_of() { # IMAGE
	with_uri "$1" 'nbdinfo --map --json "$uri"' | jq -c "[.[] | [.length, .type == 0]] | $runs" >map.theirs
	"$VDISK" map --output=json "$1" | jq -c "[.[] | [.length, .data]] | $runs" >map.ours
	[ -s map.ours ] && diff map.ours map.theirs
}
for image in a.qcow2 b.qcow2 packed.qcow2 over.qcow2 tall.qcow2 a.vmdk c.vmdk d.vmdk a.vdi a.vhdx empty.raw; do
	check "nbdinfo --map is that of vdisk map: $image" maps_of $image
done

# Exports.

printf 'label: gpt\nstart=2048, size=16384\nstart=18432, size=49152\n' >table
truncate -s 40M parts.raw && sfdisk -q parts.raw <table
truncate -s 8M fs.raw && mkfs.ext4 -q -L mine fs.raw && dd if=fs.raw of=parts.raw bs=1M seek=1 conv=notrunc,sparse status=none
truncate -s 24M luks.raw && printf secret >key
cryptsetup luksFormat -q --type luks1 --pbkdf-force-iterations 1000 luks.raw key
dd if=luks.raw of=parts.raw bs=1M seek=9 conv=notrunc,sparse status=none
uuid=$(cryptsetup luksUUID luks.raw)
qemu-img convert -f raw -O qcow2 parts.raw parts.qcow2
qemu-img snapshot -c 'one ü' parts.qcow2
exports() { nbdinfo --list --json "$1" | jq -r '.exports[] | ."export-name" + "|" + .description + "|" + (."export-size" | tostring)'; }
lists() { # EXPECTED-LINE...
	exports "$uri" >listed
	diff listed <(printf '%s\n' "$@")
}
check "the server begins" serve parts.qcow2
check "nbdinfo lists the exports" lists "|gpt, 2 partitions|$((40 << 20))" "partitions/1|ext4, label mine|$((8 << 20))" \
	"partitions/2|LUKS-encrypted|$((24 << 20))" "snapshots/one ü|snapshot one ü|$((40 << 20))"
check "vdisk serve printed the same" eval 'diff <(sed "s/  .*//" served) <(nbdinfo --list --json "$uri" | jq -r ".exports[].uri")'
check "a partition" eval 'nbdcopy "$(export_uri partitions/1)" p1.raw && cmp p1.raw fs.raw'
check "a partition of a snapshot" eval 'nbdcopy "$(export_uri snapshots/one%20%C3%BC/partitions/1)" p1.raw && cmp p1.raw fs.raw'
check_not "an export that does not exist" nbdinfo "$(export_uri nothing)"
check_not "a partition that does not exist" nbdinfo "$(export_uri partitions/7)"
check_not "an encrypted volume without a passphrase" nbdinfo "$(export_uri "volumes/luks-$uuid")"
check_not "an export with .. in its name" nbdinfo "$(export_uri ../partitions/1)"
check "the server is still there" nbdinfo "$uri"
check "the server ends" ends TERM
check "the server with a passphrase from standard input begins" eval 'serve --passphrase-file=- parts.qcow2 <key'
check "an encrypted volume" eval 'nbdinfo --size "$(export_uri "volumes/luks-$uuid")" && exports "$uri" | grep -q "^volumes/luks-$uuid|"'
check "the server ends" ends TERM
# shellcheck disable=SC2016
check "the plugin with a passphrase from standard input" eval 'kit parts.qcow2 passphrase-file=- -- -U - --run "unset LD_PRELOAD; nbdinfo --size \"nbd+unix:///volumes/luks-$uuid?socket=\$unixsocket\"" <key'

# Writing.

python_checks() { [ "$python" != none ] || { skip "connections, zero, trim and flush: no libnbd for python3"; return 1; }; }
writes_by_qemu() { # FORMAT NAME [OPTION]
	local image=w.$1
	rm -f "$image" ref.raw
	qemu-img create -q -f "$1" ${2:+-o "$2"} "$image" 16M && truncate -s 16M ref.raw || return 1
	cat >ops <<-END
		write -P $(($(seed_of "$1") % 255 + 1)) 1M 3000k
		write -P 3 12345 6789
		write -z 2M 100k
		write -z -u 3M 512k
		discard 8M 1M
		write -P 9 $((16 * 1048576 - 777)) 777
		flush
	END
	serve --rw -f "$1" "$image" && qemu-io -f raw "$uri" <ops && ends TERM &&
		qemu-io -f raw ref.raw <ops >/dev/null && qemu-img compare -q -f "$1" -F raw "$image" ref.raw && is_sound "$1" "$image"
}
is_sound() {
	case $1 in
	qcow2 | vdi | vmdk | vhdx) qemu-img check -q -f "$1" "$2" ;;
	esac
}
copies_into() { # FORMAT: by nbdcopy with several connections
	rm -f "w.$1"
	qemu-img create -q -f "$1" "w.$1" 6M && serve --rw -f "$1" "w.$1" &&
		nbdcopy --connections=4 --requests=16 disk.raw "$uri" && ends TERM &&
		qemu-img compare -q -f "$1" -F raw "w.$1" disk.raw && is_sound "$1" "w.$1"
}
for format in qcow2 vmdk vdi vpc vhdx raw; do
	check "qemu-io writes to $format" writes_by_qemu $format "$([ $format != vpc ] || echo force_size=on)"
	check "nbdcopy writes to $format" copies_into $format
done

cat >connections.py <<'EOP'
# Several connections write at once, each reads what another has written, one flushes for all; a reference is written.
import nbd, random, sys, threading
uri, name, seed = sys.argv[1], sys.argv[2], int(sys.argv[3])
connections = [nbd.NBD() for _ in range(4)]
for h in connections:
    h.connect_uri(uri)
assert all(h.can_multi_conn() and not h.is_read_only() and h.can_fua() and h.can_trim() and h.can_zero() and h.can_cache() for h in connections)
piece, stripes = 65536, len(connections)
reference = bytearray(connections[0].get_size())
failures = []
def work(number):
    r, h = random.Random(seed + number), connections[number]
    try:
        for i in range(60):
            # Neighbours in one cluster belong to different connections.
            at = (r.randrange(len(reference) // piece) * piece) + number * piece // stripes
            data = bytes([r.randrange(1, 256)]) * r.randrange(1, piece // stripes + 1)
            if i % 7 == 3:
                data = bytes(len(data))
                h.zero(len(data), at, nbd.CMD_FLAG_NO_HOLE if r.random() < 0.5 else 0)
            else:
                h.pwrite(data, at, nbd.CMD_FLAG_FUA if i % 9 == 0 else 0)
            reference[at:at + len(data)] = data
            if connections[(number + 1) % stripes].pread(len(data), at) != data:
                failures.append("another connection reads old bytes")
            h.cache(len(data), at)
    except Exception as e:
        failures.append(str(e))
threads = [threading.Thread(target=work, args=(n,)) for n in range(stripes)]
for t in threads:
    t.start()
for t in threads:
    t.join()
connections[2].flush()
open(name, "wb").write(reference)
if failures:
    sys.exit("\n".join(failures))
print("flushed", flush=True)
sys.stdin.read()
EOP
# After the flush, server and client are killed.
survives() { # FORMAT
	local server client
	rm -f "w.$1" flushed ref.raw fifo
	mkfifo fifo
	qemu-img create -q -f "$1" "w.$1" 8M && serve --rw "w.$1" || return 1
	server=$(server_of "$pid")
	"$python" connections.py "$uri" ref.raw "$(seed_of "$1")" <fifo >flushed &
	client=$!
	exec 9>fifo
	eventually eval '[ -s flushed ] || ! kill -0 "$client"'
	[ -s flushed ] && kill -9 "$server"
	wait "$pid" # it reports that nbdkit was killed
	kill "$client" 2>/dev/null
	exec 9>&-
	wait "$client"
	# QEMU reads a VHDX with a log only after it has replayed it.
	[ -s flushed ] && { [ "$1" != vhdx ] || qemu-img check -q -r all w.vhdx; } && qemu-img compare -q -f "$1" -F raw "w.$1" ref.raw
}
if python_checks; then
	for format in qcow2 vmdk vdi vhdx; do
		check "four connections to $format, a flush, kill -9" survives $format
	done
fi

zero_and_trim() {
	qemu-img create -q -f qcow2 z.qcow2 8M && serve --rw z.qcow2 || return 1
	"$python" - "$uri" <<-'EOP'
		import nbd, sys
		h = nbd.NBD()
		h.add_meta_context("base:allocation")
		h.connect_uri(sys.argv[1])
		M = 1 << 20
		h.pwrite(b"x" * 5 * M, 0)
		h.zero(M, M, nbd.CMD_FLAG_NO_HOLE)
		h.zero(M, 2 * M)
		h.trim(M, 3 * M)
		h.flush()
		found = []
		def extents(context, offset, entries, err):
		    found.extend(zip(entries[::2], entries[1::2]))
		h.block_status(8 * M, 0, extents)
		merged = []
		for length, kind in found:
		    if merged and merged[-1][1] == kind: merged[-1][0] += length
		    else: merged.append([length, kind])
		hole, zero = nbd.STATE_HOLE, nbd.STATE_ZERO
		print(merged)
		assert merged == [[M, 0], [M, zero], [2 * M, hole | zero], [M, 0], [3 * M, hole | zero]]
		assert h.pread(3 * M, M) == bytes(3 * M)
		h.shutdown()
	EOP
	local status=$?
	ends TERM && qemu-img check -q z.qcow2 && return $status
}
! python_checks || check "zeroes that stay allocated, zeroes, trim: the map" zero_and_trim

check_not "a server without --rw is read-only" eval 'with_uri a.qcow2 "qemu-io -f raw -c \"write 0 512\" \"\$uri\""'
check_not "rw=false is read-only" eval 'with_uri a.qcow2 "qemu-io -f raw -c \"write 0 512\" \"\$uri\"" rw=false'
check_not "nbdkit -r is read-only" eval 'kit a.qcow2 rw=true -- -r -U - --run "unset LD_PRELOAD; qemu-io -f raw -c \"write 0 512\" \"\$uri\""'
check_not "a snapshot is read-only" eval 'with_uri over.qcow2 "qemu-io -f raw -c \"write 0 512\" \"nbd+unix:///snapshots/first?socket=\$unixsocket\"" rw=true'
partition_written() {
	# shellcheck disable=SC2016
	with_uri parts.qcow2 'qemu-io -f raw -c "write -P 7 0 1M" "nbd+unix:///partitions/1?socket=$unixsocket"' rw=true &&
		qemu-io -r -f qcow2 -c 'read -P 7 1M 1M' parts.qcow2 | grep -q '^read 1048576' && qemu-img check -q parts.qcow2
}
check "a partition is written" partition_written

# In the background.

in_background() {
	local server
	kit w.qcow2 rw=true -- -U "$W/bg.sock" -P "$W/bg.pid" || return 1
	eventually [ -s bg.pid ] || return 1
	server=$(cat bg.pid)
	! qemu-io -f qcow2 -c 'write -P 1 0 512' w.qcow2 || return 1
	qemu-io -f raw -c 'write -P 77 0 64k' "nbd+unix:///?socket=$W/bg.sock" && kill "$server" && "$await_exit" "$patience" "$server" && rm bg.pid &&
		qemu-io -r -f qcow2 -c 'read -P 77 0 64k' w.qcow2 | grep -q '^read 65536'
}
rm -f w.qcow2
qemu-img create -q -f qcow2 w.qcow2 8M
check "a server in the background has the lock of the image, and writes" in_background
# The names are relative, and nbdkit changes its directory in the background.
of_another_server() {
	rm -f bg.sock # nbdkit leaves it
	kit a.vmdk format=raw -- -U base.sock -P base.pid && kit 'nbd+unix:///?socket=base.sock' -- -U bg.sock -P bg.pid &&
		eventually [ -s bg.pid ] && qemu-img compare -q -f raw "nbd+unix:///?socket=$W/bg.sock" disk.raw
	local status=$?
	stop_servers
	rm -f bg.pid base.pid
	return $status
}
if "$VDISK" info nbd+unix:///?socket=nobody 2>&1 | grep -q 'No such file'; then
	check "an image on another NBD server, in the background" of_another_server
else
	skip "an image on another NBD server: built without libnbd"
fi
refuses() { # PATTERN PARAMETER...: nbdkit fails before it goes into the background
	local pattern=$1
	shift
	! kit "$@" -- -U "$W/no.sock" -P "$W/no.pid" 2>refused.err && cat refused.err >&2 && grep -qE "$pattern" refused.err && [ ! -e no.pid ]
}
if [ ${#preload[@]} = 0 ]; then
	check "a missing image" refuses 'missing.qcow2: No such file' missing.qcow2
	check "no image" refuses 'image=FILE is missing' rw=true
	check "two images" refuses 'two images' a.qcow2 b.qcow2
	check "an unknown parameter" refuses 'unknown option "frobnicate=1"' a.qcow2 frobnicate=1
	check "a misspelt parameter" refuses 'did you mean "format' a.qcow2 fromat=raw
	check "a flag that is neither true nor false" refuses 'could not decipher boolean' a.qcow2 rw=perhaps
	check "a wrong format" refuses '' a.qcow2 format=vmdk
	check "a directory that is not allowed" refuses 'allow=' dir/../dir/in.qcow2
else
	skip "parameters that are refused: nbdkit, with any plugin, hangs in its exit if the library of the sanitizers is loaded first"
fi
check "a directory that is allowed" eval 'kit dir/in.qcow2 allow=. -- -U - --run true'
exports_one() { [ "$(nm -D --defined-only "$plugin" | awk '{ print $3 }' | grep -v '^__\?asan\|^__odr_asan')" = plugin_init ]; }
check "the plugin exports plugin_init alone" exports_one
check "nbdkit --dump-plugin" eval 'kit -- --dump-plugin | tee dump && grep -qx thread_model=parallel dump &&
	[ "vdisk $(sed -n s/^vdisk_version=//p dump)" = "$("$VDISK" --version)" ]'
check "the options of the help are in the manual page" eval 'diff <(kit -- --help | sed -nE "s/^(\[image=\]|([a-z_-]+=)).*/\1/p" | tr -d "[]" | sort) \
	<(sed -n "/^.It Cm /s/[^=]*Cm \([a-z_-]*=\)[^C]*/\1\n/gp" "$top/man/nbdkit-vdisk-plugin.1" | sed -n "s/^\([a-z_-]*=\).*/\1/p" | grep -v holder= | sort)'
words_of_library() { sed -n '/^ \* options: /,/^ \* EINVAL/s/^ \*     \([a-z][a-z_-]*=\{0,1\}\).*/\1/p' "$top/formats/api/vdisk.h"; }
not_in_help() { for word in $(words_of_library); do grep -q "^${word%=}=" help || echo "$word"; done; }
check "the help has the options of the library, where flags are true or false" eval 'words_of_library | grep -q = && kit -- --help >help && [ -z "$(not_in_help)" ]'

# A guest boots, writes its first sector to the second, and prints a text to its serial port.

boot_sector() { # TEXT
	printf '31c08ed88ec0b80103bb007cb90200ba8000cd13be2c7cfcbaf803ac84c07403eeebf8baf400b010eef4ebfd%s' "$(printf '%s\0' "$1" | xxd -p)" |
		xxd -r -p >sector
	truncate -s 510 sector
	printf '\125\252' >>sector
}
boots() { # URI TEXT OPTION...
	local from=$1 text=$2
	shift 2
	rm -f serial
	timeout "$patience" qemu-system-x86_64 -accel tcg -m 32 -nodefaults -display none -serial file:serial \
		-device isa-debug-exit,iobase=0xf4,iosize=1 -drive "format=raw,file=$from" "$@"
	[ $? = 33 ] && [ "$(tr -d '\0' <serial)" = "$text" ]
}
if command -v qemu-system-x86_64 >/dev/null; then
	boot_sector "from a snapshot"
	truncate -s 1M boot.raw && dd if=sector of=boot.raw conv=notrunc status=none
	qemu-img convert -f raw -O qcow2 boot.raw boot.qcow2 && qemu-img snapshot -c before boot.qcow2
	boot_sector "from qcow2"
	qemu-io -f qcow2 -c 'write -s sector 0 512' boot.qcow2 >/dev/null
	qemu-io -f raw -c 'write -s sector 0 512' boot.raw >/dev/null
	check "the server begins" serve boot.qcow2
	check "a guest boots from qcow2" boots "$uri" "from qcow2" -snapshot
	check "a guest boots from a snapshot" boots "$(export_uri snapshots/before)" "from a snapshot" -snapshot
	check "the server ends" ends TERM
	for format in vmdk vdi vhdx; do
		qemu-img convert -f raw -O $format boot.raw boot.$format
		check "the server begins" serve --rw boot.$format
		check "a guest boots from $format and writes" boots "$uri" "from qcow2"
		check "the server ends" ends TERM
		check "the guest's sector is in $format" eval 'qemu-img convert -O raw boot.$format booted.raw && cmp -n 512 <(tail -c +513 booted.raw) sector'
	done
else
	skip "a guest boots: qemu-system-x86_64 is not installed"
fi

# The life of a server.

nothing_left() { [ -z "$(ls run)" ] && { [ -z "${server:-}" ] || ! kill -0 "$server" 2>/dev/null; }; }
ends_by() {
	local server
	serve a.qcow2 && server=$(server_of "$pid") && ends "$1" && nothing_left
}
ends_with_client() { # SIGNAL
	local client server
	rm -f fifo said && mkfifo fifo
	serve --rw w.qcow2 || return 1
	server=$(server_of "$pid")
	"$python" -c 'import nbd, sys
h = nbd.NBD()
h.connect_uri(sys.argv[1])
h.pwrite(bytes([int(sys.argv[2])]) * 4096, 65536)
print("written", flush=True)
sys.stdin.read()' "$uri" 77 <fifo >said &
	client=$!
	exec 9>fifo
	eventually eval '[ -s said ] || ! kill -0 "$client"'
	ends "$1"
	local status=$?
	kill "$client" && wait "$client"
	exec 9>&-
	[ $status = 0 ] && nothing_left
}
for signal in TERM INT HUP; do
	# Commands in the background ignore SIGINT, unless they are started by a shell with job control.
	set -m
	check "SIG$signal ends it, and nothing is left" ends_by $signal
	set +m
done
if python_checks; then
	check "SIGTERM ends it although a client stays" ends_with_client TERM
	check "the client's bytes are in the image" eval 'qemu-img convert -O raw w.qcow2 w.raw && [ "$(xxd -p -s 65536 -l 1 w.raw)" = 4d ] && qemu-img check -q w.qcow2'
fi
dies() {
	serve a.qcow2 || return 1
	server=$(server_of "$pid")
	kill -9 "$pid"
	wait "$pid"
	"$await_exit" "$patience" "$server"
	local status=$?
	server=
	rm -rf run/*
	return $status
}
check "nbdkit ends if vdisk is killed" dies
nbdkit_dies() {
	serve a.qcow2 || return 1
	kill -9 "$(server_of "$pid")"
	wait "$pid"
	[ $? = 1 ] && grep -q 'nbdkit was killed by signal 9' served.err && nothing_left
}
check "vdisk ends if nbdkit is killed" nbdkit_dies
says() { # PATTERN ARGUMENT...: vdisk serve fails and says so in one line, with a hint at most
	local pattern=$1
	shift
	timeout "$patience" "$VDISK" serve "$@" >said 2>said.err
	[ $? = 1 ] && cat said.err && [ ! -s said ] && grep -qE "^vdisk: .*$pattern" said.err && [ "$(wc -l <said.err)" -le 2 ] && nothing_left
}
server=
check "a missing image, by vdisk serve" says "Could not open 'missing.qcow2': No such file" missing.qcow2
check "an image with a parent elsewhere" says 'outside' dir/in.qcow2
check "the hint names the option of vdisk" grep -q 'hint: .*--allow=' said.err
check "two images, by vdisk serve" says 'Expecting one image' a.qcow2 b.qcow2
check "--socket and --port" says 'cannot be used together' --socket=s --port=1 a.qcow2
check "--address alone" says 'needs --port' --address=localhost a.qcow2
check "a port that is none" says 'is no port' --port=65536 a.qcow2
check "an address that is none" says 'nowhere.invalid' --port=0 --address=nowhere.invalid a.qcow2
check "a name of a socket that is too long" says 'at most 107 bytes' --socket="$(printf '%0108d' 0)" a.qcow2
check "a socket in a directory that does not exist" says 'No such file' --socket=nowhere/s a.qcow2
touch file.sock
check "a file in the place of the socket" says 'File exists' --socket=file.sock a.qcow2
check "two parents" says 'only once' --parent=a --parent=b over.qcow2
cp a.qcow2 moved && qemu-img create -q -f qcow2 -u -b gone.qcow2 -F qcow2 orphan.qcow2 6M
check "a parent that was moved" eval 'serve --parent=moved orphan.qcow2 && qemu-img compare -q -f raw "$uri" disk.raw && ends TERM'
check "a TCP port" eval 'serve --port=0 a.qcow2 && qemu-img compare -q -f raw "$uri" disk.raw && [[ $uri == nbd://*:*/ ]] && ends TERM'
check "a socket with a blank in its name" eval 'serve --socket="a b.sock" a.qcow2 && qemu-img compare -q -f raw "$uri" disk.raw'
check "another server at this socket" says 'File exists' --socket="a b.sock" b.qcow2
check "a program that has the image for reading does not matter" qemu-img check -q a.qcow2
check "it is for this user alone" eval '[ "$(stat -c %a "a b.sock")" = 700 ]'
check "it is removed" eval 'ends TERM && [ ! -e "a b.sock" ]'
left_over() {
	serve --socket=left.sock a.qcow2 && kill -9 "$pid"
	wait "$pid"
	[ -S left.sock ] || return 1
	eventually eval '! nbdinfo "$uri"' && serve --socket=left.sock a.qcow2 && nbdinfo "$uri" && ends TERM && [ ! -e left.sock ]
}
check "a socket that was left over is replaced" left_over
noise 1 3000 >plain
check "a file without a format is a raw disk" eval 'serve plain && nbdcopy "$uri" plain.copy && ends TERM && cmp plain plain.copy'
check "the image is free afterwards" eval 'qemu-io -f qcow2 -c "write -P 1 0 512" a.qcow2 | grep -q "^wrote 512"'
mkdir -p bin other user/bin user/lib/nbdkit/plugins && cp "$VDISK" other && cp "$VDISK" user/bin && cp "$plugin" user/lib/nbdkit/plugins
check "a plugin that a user has installed with vdisk is found" eval 'VDISK=user/bin/vdisk serve a.qcow2 &&
	tr "\0" "\n" <"/proc/$(server_of "$pid")/cmdline" | grep -x "$W/user/bin/\.\./lib/nbdkit/plugins/nbdkit-vdisk-plugin.so" && ends TERM'
without_plugin() { ${preload[@]+"${preload[@]}"} other/vdisk serve a.qcow2 2>said.err; [ $? = 1 ] && grep -q 'nbdkit-plugin-vdisk' said.err; }
if [ -e "$(nbdkit --dump-config | sed -n s/^plugindir=//p)/nbdkit-vdisk-plugin.so" ]; then
	skip "without the plugin: it is installed"
else
	check "without the plugin, the package is named" without_plugin
fi
if [ -x /usr/sbin/nbdkit ] || [ -x /sbin/nbdkit ] || [ -x /usr/local/sbin/nbdkit ]; then
	skip "without nbdkit: it is in a directory that is always searched"
else
	check "without nbdkit, the package is named" eval '! PATH=$W/bin "$VDISK" serve a.qcow2 2>said.err && grep -q "install the package nbdkit" said.err'
fi
