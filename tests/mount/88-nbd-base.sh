#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# A base that is elsewhere, and a local overlay: behind HTTP, HTTPS and ssh, named by -o backing, with -o cow and
# -o copy_on_read.
. "${0%/*}/functions.sh"
. "$here/hostile.sh"
. "$here/nbd.sh"
requires nbdkit qemu-img qemu-io jq
without_libnbd && { skip "all: built without libnbd"; exit 0; }

mkdir mnt www away
some_data disk.raw 8M
qemu-img convert -q -f raw -O qcow2 disk.raw www/base.qcow2
cp disk.raw www/base.raw
strict=,sandbox=strict
[ -z "$sanitized" ] || strict=
same() { "$compare" -u 65536 -s "$SEED" "$1" "$2"; }
# An overlay that names a base which is not there, with data of its own.
new_overlay() {
	rm -f overlay.qcow2
	qemu-img create -q -u -f qcow2 -F qcow2 -b "$W/gone/base.qcow2" overlay.qcow2 8M
	cp disk.raw both.raw
	for at in 5000 3000000 8380000; do
		printf 'of the overlay' | dd of=both.raw bs=1 seek=$at conv=notrunc status=none
	done
	# qemu-io cannot open the overlay without its base: the data is written to a copy of the base's chain.
	ln -sf ../www/base.qcow2 away/base.qcow2
	qemu-img rebase -q -u -F qcow2 -b "$W/away/base.qcow2" overlay.qcow2
	qemu-img compare -q -f qcow2 -F raw overlay.qcow2 disk.raw
	"$VDISKFS" -o "rw,allow=$W" "$W/overlay.qcow2" "$W/mnt" && for at in 5000 3000000 8380000; do
		printf 'of the overlay' | dd of=mnt/disk.raw bs=1 seek=$at conv=notrunc status=none
	done && unmount mnt && qemu-img rebase -q -u -F qcow2 -b "$W/gone/base.qcow2" overlay.qcow2 && rm away/base.qcow2
}
check "an overlay whose base is gone" new_overlay

# -o backing.

shows_both() { # OPTIONS: the overlay on a base
	local status=0
	"$VDISKFS" -o "$1" "$W/overlay.qcow2" "$W/mnt" || return 1
	same mnt/disk.raw both.raw || status=1
	unmount mnt && return $status
}
check "without backing= it is refused" refused overlay.qcow2 "gone/base.qcow2" -o ro
check "backing=PATH, in another directory" shows_both "backing=www/base.qcow2"
check "backing=PATH of another format than recorded" refused overlay.qcow2 "base.raw: not a qcow2 image" -o backing=www/base.raw
serves n file www/base.qcow2
check "backing=URI" shows_both "backing=$uri$strict"
converted() { # copies of the disk, and of an export
	local status=0
	"$VDISKFS" -o "backing=$uri" "$W/overlay.qcow2" "$W/mnt" || return 1
	cp --sparse=always mnt/disk.raw copy.raw && cmp copy.raw both.raw && cp mnt/export/*.vdi copy.vdi &&
		qemu-img compare -q -f vdi -F raw copy.vdi both.raw || status=1
	[ "$(stat -c %b copy.raw)" -lt $((8 << 11)) ] || status=1
	[ -d mnt/chain/1-disk ] || { ls mnt/chain; status=1; }
	unmount mnt && return $status
}
check "the disk of both is converted by cp" converted
written() { # -o rw writes to the overlay alone
	local status=0
	"$VDISKFS" -o "rw,backing=$uri" "$W/overlay.qcow2" "$W/mnt" || return 1
	printf 'once more' | dd of=mnt/disk.raw bs=1 seek=4000000 conv=notrunc,fsync status=none
	printf 'once more' | dd of=both.raw bs=1 seek=4000000 conv=notrunc status=none
	same mnt/disk.raw both.raw || status=1
	unmount mnt && qemu-io -r -c quit "json:{\"driver\":\"qcow2\",\"backing\":null,\"file\":{\"driver\":\"file\",\"filename\":\"$W/overlay.qcow2\"}}" && [ "$(sha256sum <www/base.qcow2)" = "$base_sum" ] && return $status
}
base_sum=$(sha256sum <www/base.qcow2)
check "backing=URI, and the overlay is written" written

# -o cow.

scribble() { # FILE OFFSET
	printf 'scribbled' | dd of="$1" bs=1 seek="$2" conv=notrunc,fsync status=none
}
keeps() { # OPTIONS
	local status=0
	rm -f cow.qcow2
	cp disk.raw ref
	for at in 100 5000000; do
		"$VDISKFS" -o "cow=$W/cow.qcow2$1" "$uri" "$W/mnt" || return 1
		scribble mnt/disk.raw $at && scribble ref $at && same mnt/disk.raw ref || status=1
		unmount mnt || return 1
	done
	[ "$(qemu-img info -U --output=json cow.qcow2 | jq -r '."backing-filename"')" = "$uri" ] || status=1
	qemu-img check -q cow.qcow2 && qemu-img compare -q -f qcow2 -F raw cow.qcow2 ref && return $status
}
check "cow=FILE records the URI, is used again, and QEMU opens it" keeps "$strict"
check "cow=FILE of another server" refused "$uri&x=y" "no overlay of .*x=y" -o "cow=$W/cow.qcow2"
temporary() {
	"$VDISKFS" -o "cow$strict" "$uri" "$W/mnt" && scribble mnt/disk.raw 100 && cp disk.raw ref && scribble ref 100 &&
		same mnt/disk.raw ref && unmount mnt
}
check "cow without a file" temporary
of_overlay() { # a cow overlay of a local overlay, whose base is on the server
	local status=0
	rm -f cow.qcow2
	cp both.raw ref
	for at in 200 6000000; do
		"$VDISKFS" -o "cow=$W/cow.qcow2,backing=$uri" "$W/overlay.qcow2" "$W/mnt" || return 1
		scribble mnt/disk.raw $at && scribble ref $at && same mnt/disk.raw ref || status=1
		unmount mnt || return 1
	done
	return $status
}
check "cow=FILE and backing= together" of_overlay
ends_server

# -o copy_on_read: nbdkit notes each request.

requests() { grep -c 'Read id=.* count=' n.log; }
direct() { dd if=mnt/disk.raw bs=1M iflag=direct status=none; } # past the page cache
reads_once() {
	local before status=0
	rm -f kept.qcow2 n.log
	serves n --filter=log file www/base.raw logfile=n.log
	"$VDISKFS" -o "format=raw,cow=$W/kept.qcow2,copy_on_read$strict" "$uri" "$W/mnt" || return 1
	direct | cmp - disk.raw || status=1
	before=$(requests)
	direct | cmp - disk.raw && [ "$(requests)" = "$before" ] || { echo "$before requests, then $(requests)"; status=1; }
	unmount mnt || return 1
	before=$(requests)
	"$VDISKFS" -o "format=raw,cow=$W/kept.qcow2,copy_on_read" "$uri" "$W/mnt" || return 1
	direct | cmp - disk.raw || status=1
	# What is read of the base again is its first bytes, by which a mount recognises it.
	[ $(($(requests) - before)) -le 4 ] || { echo "$before requests, then $(requests)"; status=1; }
	unmount mnt && qemu-img check -q kept.qcow2 && qemu-img compare -q -f qcow2 -F raw kept.qcow2 disk.raw && return $status
}
check "copy_on_read: nothing is read twice from the server" reads_once
ends_server
without_server() { # all that was read is in the overlay
	qemu-img rebase -q -u -b "" kept.qcow2 && qemu-img compare -q -f qcow2 -F raw kept.qcow2 disk.raw
}
check "copy_on_read: the overlay has it all" without_server
while_written() { # readers that copy, while others write
	local status=0 reader
	rm -f kept.qcow2
	serves n --filter=delay file www/base.raw rdelay=5ms
	"$VDISKFS" -o "format=raw,cow=$W/kept.qcow2,copy_on_read" "$uri" "$W/mnt" || return 1
	cp disk.raw ref
	(for _ in 1 2 3; do direct >/dev/null; done) &
	reader=$!
	for i in $(seq 60); do
		noise $i 30000 >piece
		dd if=piece of=mnt/disk.raw bs=30000 count=1 oflag=seek_bytes seek=$((i * 131072 + i * 300)) conv=notrunc status=none
		dd if=piece of=ref bs=30000 count=1 oflag=seek_bytes seek=$((i * 131072 + i * 300)) conv=notrunc status=none
	done
	wait $reader
	direct | cmp - ref || status=1
	unmount mnt && qemu-img check -q kept.qcow2 && qemu-img compare -q -f qcow2 -F raw kept.qcow2 ref || status=1
	ends_server
	return $status
}
check "copy_on_read: what is written meanwhile stays" while_written

# A base behind HTTP, of a server with ranges.

port=$((22000 + $(seed_of http) % 20000))
web() { # starts lighttpd on the port, and with TLS on the next one
	cat >lighttpd.conf <<-EOF
		server.document-root = "$W/www"
		server.bind = "127.0.0.1"
		server.port = $port
		server.modules = ("mod_accesslog"$1)
		accesslog.filename = "$W/access.log"
		$2
	EOF
	lighttpd -D -f lighttpd.conf >lighttpd.log 2>&1 &
	server=$!
	servers+=("$server")
	eventually listens $port
}
listens() { (: <>"/dev/tcp/127.0.0.1/$1") 2>/dev/null || ! kill -0 "$server"; }
child_shows() { # FILE OPTIONS COMMAND...: an image behind a child, compared with FILE
	local status=0
	"$VDISKFS" -o "$2" '[' "${@:3}" ']' "$W/mnt" || return 1
	same mnt/disk.raw "$1" || status=1
	unmount mnt && return $status
}
if command -v lighttpd >/dev/null && nbdkit curl --dump-plugin >/dev/null 2>&1; then
	web "" ""
	url=http://127.0.0.1:$port
	check "behind HTTP" child_shows disk.raw "ro$strict" nbdkit -r curl "$url/base.qcow2"
	served_base() { # nbdkit as a server of its own, for a local overlay
		serves n curl "$url/base.qcow2" && shows_both "backing=$uri$strict" && converted && ends_server
	}
	check "a base behind HTTP, and a local overlay, converted by cp" served_base
	# The second mount asks for what it needs to open the image, and what lies beside that, and for no other data.
	once() {
		local before bytes
		local command=(nbdkit -r --filter=log curl "$url/base.qcow2" "logfile=$W/n.log" logappend=true)
		rm -f kept.qcow2 n.log
		child_shows disk.raw "cow=$W/kept.qcow2,copy_on_read" "${command[@]}" || return 1
		before=$(requests)
		child_shows disk.raw "cow=$W/kept.qcow2,copy_on_read" "${command[@]}" || return 1
		echo "$before requests, then $(($(requests) - before))"
		bytes=$(($(grep 'Read id=.* count=' n.log | tail -n +$((before + 1)) | sed 's/.*count=\(0x[0-9a-f]*\).*/+ \1/')))
		[ $(($(requests) - before)) -le 16 ] && [ "$bytes" -le 1048576 ] || { echo "$bytes bytes"; return 1; }
		qemu-img rebase -q -u -b "" kept.qcow2 && qemu-img compare -q -f qcow2 -F raw kept.qcow2 disk.raw
	}
	check "a child behind HTTP, kept in an overlay that the same command uses again" once
	certified() { # a certificate of the server, by an authority of its own
		certtool --generate-privkey --key-type=ecdsa --outfile key.pem && printf 'cn = ca\nca\ncert_signing_key\n' >ca.info &&
			certtool --generate-self-signed --load-privkey key.pem --template ca.info --outfile ca.pem &&
			printf 'cn = localhost\ndns_name = localhost\ntls_www_server\nsigning_key\n' >cert.info &&
			certtool --generate-certificate --load-privkey key.pem --load-ca-certificate ca.pem --load-ca-privkey key.pem \
				--template cert.info --outfile cert.pem && cat key.pem cert.pem >both.pem
	}
	ends_server
	port=$((port + 1))
	if command -v certtool >/dev/null && certified 2>/dev/null &&
		web ', "mod_openssl"' "ssl.engine = \"enable\"
			ssl.pemfile = \"$W/both.pem\"" && kill -0 "$server"; then
		url=https://localhost:$port
		check "behind HTTPS" child_shows disk.raw ro nbdkit -r curl "$url/base.qcow2" "cainfo=$W/ca.pem"
		untrusted() { ! child_shows disk.raw ro nbdkit -r curl "$url/base.qcow2" && ! mountpoint -q mnt; }
		check "behind HTTPS of an unknown authority: refused" untrusted
		ends_server
	else
		skip "HTTPS: lighttpd has no TLS"
	fi
else
	skip "HTTP: lighttpd and the plugin curl of nbdkit are not both installed"
fi

# A base behind ssh, of a server on this machine for this test alone.

port=$((port + 1))
ssh_server() {
	ssh-keygen -q -t ed25519 -N '' -f host && ssh-keygen -q -t ed25519 -N '' -f id || return 1
	cat >sshd.conf <<-EOF
		Port $port
		ListenAddress 127.0.0.1
		HostKey $W/host
		AuthorizedKeysFile $W/id.pub
		StrictModes no
		UsePAM yes
		PermitRootLogin yes
		PidFile none
		Subsystem sftp internal-sftp
	EOF
	echo "[127.0.0.1]:$port $(<host.pub)" >known
	# It needs a directory in /run, which it gets in a mount namespace.
	unshare -m sh -c 'mount -t tmpfs none /run && mkdir /run/sshd && exec "$0" "$@"' "$(command -v sshd)" -D -e -f "$W/sshd.conf" >sshd.log 2>&1 &
	server=$!
	servers+=("$server")
	eventually listens $port && kill -0 "$server"
}
if is_root && command -v sshd >/dev/null && nbdkit ssh --dump-plugin >/dev/null 2>&1 && ssh_server; then
	check "behind ssh" child_shows disk.raw "ro$strict" nbdkit -r ssh host=127.0.0.1 port=$port user=root "identity=$W/id" \
		"known-hosts=$W/known" "$W/www/base.qcow2"
	ends_server
else
	skip "ssh: no server can be started, or nbdkit has no plugin for it"
fi
