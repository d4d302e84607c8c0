#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# NBD servers with TLS: pre-shared keys and certificates, and servers that cannot be verified.
. "${0%/*}/functions.sh"
. "$here/hostile.sh"
. "$here/nbd.sh"
requires nbdkit certtool psktool strace
without_libnbd && { skip "all: built without libnbd"; exit 0; }

some_data disk.raw 4M
mkdir mnt
strict=,sandbox=strict
[ -z "$sanitized" ] || strict=
reads() { # URI OPTIONS
	local status=0
	mounts "$1" mnt -o "$2$strict" || return 1
	"$compare" -s "$SEED" mnt/disk.raw disk.raw || status=1
	unmount mnt && return $status
}

# Pre-shared keys.

psktool -u alice -p keys.psk >/dev/null 2>&1
psktool -u alice -p other.psk >/dev/null 2>&1
psktool -u bob -p bob.psk >/dev/null 2>&1
serves n --tls=require --tls-psk=keys.psk file disk.raw
tls="nbds+unix://alice@/?socket=$W/n.sock"
check "a pre-shared key" reads "$tls" tls-psk=keys.psk
check "the key in the URI" reads "$tls&tls-psk-file=$W/keys.psk" ro
check "a wrong key" refused "$tls" "n.sock.*(PSK|handshake|gnutls|TLS|closed)" -o tls-psk=other.psk
check "an unknown user" refused "nbds+unix://bob@/?socket=$W/n.sock" "n.sock" -o tls-psk=bob.psk
check "a missing file of keys" refused "$tls" "missing.psk|PSK|No such file" -o tls-psk=missing.psk
check "no key" refused "$tls" "tls-certs|verified" -o ro
check "no TLS, but the server requires it" refused "$uri" "TLS|tls|policy"
check "a key for a URI without TLS" refused "$uri" "nbds" -o tls-psk=keys.psk
if [ -n "$sanitized" ]; then
	skip "the sandbox: not with sanitizers"
else
	check "the sandbox with TLS" traced "$tls" "format=raw,tls-psk=$W/keys.psk" "$compare" -s "$SEED" mnt/disk.raw disk.raw
fi
ends_server
serves n file disk.raw
check "a server without TLS" refused "$tls" "TLS|tls|encrypted" -o tls-psk=keys.psk
ends_server

# Certificates.

# authority DIR: makes one; certificate DIR NAME HOST USE: one that it has signed
authority() {
	mkdir -p "$1" && certtool --generate-privkey --key-type=ecdsa --outfile "$1/ca-key.pem" 2>/dev/null &&
		printf 'cn = "%s"\nca\ncert_signing_key\nexpiration_days = 2\n' "$1" >ca.info &&
		certtool --generate-self-signed --load-privkey "$1/ca-key.pem" --template ca.info --outfile "$1/ca-cert.pem" 2>/dev/null
}
certificate() {
	certtool --generate-privkey --key-type=ecdsa --outfile "$1/$2-key.pem" 2>/dev/null &&
		printf 'cn = "%s"\ndns_name = "%s"\nip_address = "127.0.0.1"\n%s\nsigning_key\nexpiration_days = 2\n' "$3" "$3" "$4" >cert.info &&
		certtool --generate-certificate --load-privkey "$1/$2-key.pem" --load-ca-certificate "$1/ca-cert.pem" \
			--load-ca-privkey "$1/ca-key.pem" --template cert.info --outfile "$1/$2-cert.pem" 2>/dev/null
}
authority pki && certificate pki server localhost tls_www_server && certificate pki client alice tls_www_client
authority evil && certificate evil server localhost tls_www_server && certificate evil client alice tls_www_client
mkdir alone && cp pki/ca-cert.pem alone
mkdir mixed && cp pki/ca-cert.pem evil/client-*.pem mixed
port=$((21000 + $(seed_of tls) % 20000))
# listens WORD...: nbdkit with TLS on the port
listens() {
	rm -f tcp.pid
	nbdkit -f -v --log=stderr -i 127.0.0.1 -p "$port" -P "$W/tcp.pid" --tls=require "$@" file disk.raw >tcp.log 2>&1 &
	server=$!
	servers+=("$server")
	eventually [ -s tcp.pid ]
}
tcp=nbds://localhost:$port/
listens --tls-certificates=pki
check "a certificate of the server" reads "$tcp" tls-certs=alone
check "a server of another authority" refused "$tcp" "(certificate|verif|issuer|trusted)" -o tls-certs=evil
check "a server with another name" refused "nbds://localhost.localdomain:$port/" "." -o tls-certs=alone
check "a missing directory of certificates" refused "$tcp" "missing/ca-cert.pem: No such" -o tls-certs=missing
check "verification cannot be left out" refused "$tcp?tls-verify-peer=false" "always verified" -o tls-certs=alone
ends_server
listens --tls-certificates=pki --tls-verify-peer
check "certificates of both" reads "$tcp" tls-certs=pki
# The server refuses the client only when it reads the certificate, after the handshake of TLS 1.3.
check "a client without a certificate" refused "$tcp" "." -o tls-certs=alone
check "a client of another authority" refused "$tcp" "." -o tls-certs=mixed
ends_server
serves n --tls=require --tls-certificates=evil file disk.raw
check "a wrong certificate, over a Unix socket" refused "nbds+unix:///?socket=$W/n.sock" "(does not verify|certificate verif)" -o tls-certs=alone
ends_server
listens --tls-certificates=evil
check "a server that has a wrong certificate" refused "$tcp" "(certificate|verif|issuer|trusted)" -o tls-certs=alone
ends_server
