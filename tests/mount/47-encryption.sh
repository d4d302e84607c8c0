#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Encrypted images of qemu-img: LUKS1, qcow2 with LUKS and with AES, qcow with AES; missing, wrong and unusual
# passphrases.
. "${0%/*}/functions.sh"
. "$here/images.sh"
. "$here/hostile.sh"
requires qemu-img qemu-io xxd jq

pass=correct.horse
secret=(--object "secret,id=s,data=$pass")
printf %s $pass >pw
printf '%s\n' $pass >pw.newline
printf 'wrong' >pw.wrong
with=(-o "passphrase-file=$W/pw")
some_data whole 6M
[ "$slowness" -gt 1 ] && size=2M || size=5M
head -c "$(numfmt --from=iec $size)" whole >src

# qemu_create FORMAT IMAGE SIZE OPTIONS: retries, since QEMU's benchmark of the key derivation fails at times.
qemu_create() {
	local tries
	for tries in {1..60}; do
		qemu-img create -q -f "$1" "${secret[@]}" -o "$4" "$2" "$3" 2>create.err && return
		grep -q 'CPU usage' create.err || break
	done
	echo "after $tries tries:" >&2
	cat create.err >&2
	return 1
}

# blockdev IMAGE: prints QEMU's options for the image with its secret.
blockdev() {
	case $1 in
	*.luks) echo "driver=luks,file.filename=$1,key-secret=s" ;;
	*.qcow) echo "driver=qcow,file.filename=$1,encrypt.key-secret=s" ;;
	*) echo "driver=qcow2,file.filename=$1,encrypt.key-secret=s${backed:+,$backed}" ;;
	esac
}
io() { # IMAGE COMMAND...
	local image=$1 args=()
	shift
	for c in "$@"; do args+=(-c "$c"); done
	qemu-io "${secret[@]}" --image-opts "$(blockdev "$image")" "${args[@]}" >/dev/null
}
qemu_reads() { # IMAGE FILE [OPTION...]
	qemu-img convert "${secret[@]}" --image-opts "${@:3}" -O raw "$(blockdev "$1")" "$2"
}
# filled FORMAT IMAGE OPTIONS: creates an image with the contents of src.
filled() {
	rm -f "$2"
	qemu_create "$1" "$2" $size "$3" || return 1
	qemu-img convert -q -n "${secret[@]}" -f raw --target-image-opts src "$(blockdev "$2")"
}
agrees_with_qemu() { # NAME IMAGE
	qemu_reads "$2" qemu.ref && check "$1" matches "$2" qemu.ref "${with[@]}"
}

# QEMU takes two seconds for the benchmark of each LUKS header.  So it does not create one for each cipher and
# mode, but reads those of mkimage.
qemu_reads_same() {
	"$MKIMAGE" "luks-$1" . && qemu-img convert --object secret,id=s,data=mkimage --image-opts -O raw \
		"driver=luks,file.filename=luks-$1.luks,key-secret=s" luks.ref && cmp luks.ref "luks-$1.raw"
}
printf mkimage >pw.mkimage
for name in plain last-slot xts-512 xts-256 xts-384 xts-essiv cbc-128 cbc-256 ctr-plain ecb; do
	check "LUKS $name: QEMU reads it" qemu_reads_same $name
	check "LUKS $name" matches luks-$name.luks luks.ref -o "passphrase-file=$W/pw.mkimage"
done
"$MKIMAGE" luks-plain .
for cipher in serpent twofish cast5; do
	cp luks-plain.luks image.luks
	patch image.luks 8 "$(hex $cipher)00"
	check "$cipher is refused and named" refused_within image.luks "cipher \"$cipher\" is not supported" "${with[@]}"
done
luks=encrypt.format=luks,encrypt.key-secret=s,encrypt.iter-time=10
essiv=encrypt.cipher-alg=aes-128,encrypt.cipher-mode=cbc,encrypt.ivgen-alg=essiv,encrypt.ivgen-hash-alg=sha256
for o in cluster_size=512,compat=0.10,$essiv cluster_size=2M,encrypt.cipher-alg=aes-192,encrypt.hash-alg=sha1; do
	filled qcow2 image.qcow2 $luks,$o
	check "qcow2 LUKS $o" matches image.qcow2 src "${with[@]}"
done
for o in cluster_size=512 cluster_size=4k cluster_size=2M compat=0.10 extended_l2=on; do
	filled qcow2 image.qcow2 encrypt.format=aes,encrypt.key-secret=s,$o
	check "qcow2 AES $o" matches image.qcow2 src "${with[@]}"
done

filled qcow image.qcow encrypt.format=aes,encrypt.key-secret=s
check "qcow AES" matches image.qcow src "${with[@]}"
check "qcow AES: no passphrase" refused_within image.qcow 'encrypted \(AES\), and no passphrase was given'
qemu_create qcow image.qcow 3000000 encrypt.format=aes,encrypt.key-secret=s
io image.qcow 'write -P 65 128k 512' 'write -P 66 1M 70k' 'write -P 67 2999296 512' 'write -c -P 5 4k 4k'
agrees_with_qemu "qcow AES, parts of clusters" image.qcow

# Passphrases.
filled luks good.luks key-secret=s,iter-time=10
filled qcow2 good.qcow2 $luks
filled qcow2 aes.qcow2 encrypt.format=aes,encrypt.key-secret=s
: >pw.empty
head -c 1048576 /dev/zero | tr '\0' x >pw.1M
printf x | cat pw.1M - >pw.more
mkfifo pw.fifo
for image in good.luks good.qcow2; do
	check "$image: a wrong passphrase" refused $image 'no key slot opens with this passphrase' -o "passphrase-file=$W/pw.wrong"
	check "$image: a passphrase of 1 MiB" refused $image 'no key slot opens' -o "passphrase-file=$W/pw.1M"
	check "$image: no passphrase" refused_within $image 'hint: -o passphrase-file=FILE'
	check "$image: a newline after the passphrase" matches $image src -o "passphrase-file=$W/pw.newline"
	check "$image: two passphrases, the second is right" matches $image src -o "passphrase-file=$W/pw.wrong,passphrase-file=$W/pw"
done
check "AES: no passphrase" refused_within aes.qcow2 'encrypted \(AES\), and no passphrase was given'
check "a missing passphrase file" refused_within good.luks "passphrase file /nowhere/pw: No such file" -o passphrase-file=/nowhere/pw
check "an empty passphrase file" refused_within good.luks "pw.empty: the file is empty" -o "passphrase-file=$W/pw.empty"
check "a passphrase file that is too long" refused_within good.luks "pw.more: more than 1048576 bytes" -o "passphrase-file=$W/pw.more"
check "a directory as passphrase file" refused_within good.luks "passphrase file $W: Is a directory" -o "passphrase-file=$W"
through_fifo() { cat pw >pw.fifo & matches good.luks src -o "passphrase-file=$W/pw.fifo" && wait $!; }
check "the passphrase from a FIFO" through_fifo
through_stdin() { matches good.luks src -o passphrase-file=- <pw; }
check "the passphrase from standard input" through_stdin
through_fd() { matches good.luks src -o passphrase-file=/dev/fd/9 9<pw; }
check "the passphrase from an inherited descriptor" through_fd
warned() {
	mount_image aes.qcow2 m-warn "$@" 2>warn.err && unmount m-warn
	cat warn.err
	grep -q 'warning: .*aes.qcow2: encrypted with AES, which does not detect a wrong passphrase' warn.err
}
check "AES: a warning that a wrong passphrase is not detected" warned "${with[@]}"
check "AES: a warning about a newline in the passphrase" eval 'warned -o "passphrase-file=$W/pw.newline" && grep -q newline warn.err'
qemu-img create -q -f qcow2 --object secret,id=s,data=0123456789abcdefIGNORED -o encrypt.format=aes,encrypt.key-secret=s cut.qcow2 1M
qemu-io --object secret,id=s,data=0123456789abcdef --image-opts "$(blockdev cut.qcow2)" -c 'write -P 65 64k 64k' >/dev/null
printf 0123456789abcdef_other >pw.cut
{ head -c 65536 /dev/zero; head -c 65536 /dev/zero | tr '\0' A; head -c 917504 /dev/zero; } >cut.ref
check "AES: only 16 bytes of the passphrase count" matches cut.qcow2 cut.ref -o "passphrase-file=$W/pw.cut"

# Encryption depends on the host or guest offset, so it is tested with moved, shared and compressed clusters.
backed=''
cp good.qcow2 image.qcow2
io image.qcow2 'write -P 65 128k 64k' 'write -P 66 0 512' 'write -z 256k 64k' 'discard 320k 64k' 'write -c -P 5 1M 64k'
agrees_with_qemu "zeroed, discarded and compressed clusters" image.qcow2
qemu-img snapshot "${secret[@]}" --image-opts -c one "$(blockdev image.qcow2)"
qemu_reads image.qcow2 one.ref
io image.qcow2 'write -P 67 128k 512' 'write -P 68 1M 4k' 'write -P 69 1500k 333k'
qemu-img snapshot "${secret[@]}" --image-opts -c two "$(blockdev image.qcow2)"
io image.qcow2 'write -P 70 128k 300k'
agrees_with_qemu "clusters copied after a snapshot" image.qcow2
check "the snapshot of copied clusters" matches image.qcow2 one.ref "${with[@]}" -o snapshot=one
snapshots_agree() {
	local s
	for s in one two; do
		qemu_reads image.qcow2 snap.ref -l $s && same "$1/snapshots/$s/disk.raw" snap.ref || return 1
	done
}
mount_with=("${with[@]}")
check "snapshots" on_mount image.qcow2 snapshots_agree
cp aes.qcow2 image.qcow2
qemu-img snapshot "${secret[@]}" --image-opts -c one "$(blockdev image.qcow2)"
io image.qcow2 'write -P 67 128k 512' 'write -P 69 1500k 333k'
qemu-img snapshot "${secret[@]}" --image-opts -c two "$(blockdev image.qcow2)"
check "snapshots with AES" on_mount image.qcow2 snapshots_agree
agrees_with_qemu "clusters copied after a snapshot, with AES" image.qcow2

qemu_create qcow2 image.qcow2 4M $luks,data_file=image.data
io image.qcow2 'write -P 65 128k 64k' 'write -P 66 1000k 900k'
agrees_with_qemu "an external data file" image.qcow2
qemu_create qcow2 image.qcow2 4M $luks,preallocation=metadata
io image.qcow2 'write -P 65 128k 64k'
agrees_with_qemu "preallocated clusters do not decrypt to zeroes" image.qcow2
qemu_create qcow2 image.qcow2 4M $luks,extended_l2=on
io image.qcow2 'write -P 65 128k 2k' 'write -P 66 131k 3k' 'write -z 140k 4k' 'write -P 67 1M 200k' 'write -z 1100k 16k'
agrees_with_qemu "subclusters" image.qcow2

# Chains: each image has its own encryption.
qemu_create qcow2 over.qcow2 8M "backing_file=good.qcow2,backing_fmt=qcow2,encrypt.format=aes,encrypt.key-secret=s" 2>/dev/null ||
	qemu-img create -q -u -f qcow2 "${secret[@]}" -b good.qcow2 -F qcow2 -o encrypt.format=aes,encrypt.key-secret=s over.qcow2 8M
backed=backing.encrypt.key-secret=s
io over.qcow2 'write -P 71 64k 100k'
agrees_with_qemu "AES on LUKS" over.qcow2
backed=''
qemu-img create -q -u -f qcow2 -b good.luks -F luks plain.qcow2 $size
qemu-io --object "secret,id=s,data=$pass" --image-opts driver=qcow2,file.filename=plain.qcow2,backing.key-secret=s -c 'write -P 72 0 70k' >/dev/null
cp src plain.ref
head -c 71680 /dev/zero | tr '\0' H | dd of=plain.ref conv=notrunc status=none
check "an overlay without encryption on LUKS" matches plain.qcow2 plain.ref "${with[@]}"
check "an overlay without encryption on LUKS, no passphrase" refused_within plain.qcow2 'good.luks: encrypted \(LUKS\), and no passphrase'
check "an overlay without encryption on LUKS, a wrong passphrase" refused plain.qcow2 'good.luks: no key slot opens' -o "passphrase-file=$W/pw.wrong"
above() { head -c 65536 "$1/disk.raw" | cmp - <(head -c 65536 plain.ref) && ! cat "$1/disk.raw" >/dev/null 2>&1; }
mount_with=(-o nobacking)
check "an overlay without encryption on LUKS, nobacking" on_mount plain.qcow2 above

# A second key slot; then the first one is disabled.
amend() {
	qemu-img amend "${secret[@]}" --object secret,id=n,data=second -o "$1" --image-opts "driver=qcow2,file.filename=image.qcow2,encrypt.key-secret=$2"
}
cp good.qcow2 image.qcow2
printf second >pw.second
if for _ in {1..60}; do amend encrypt.state=active,encrypt.new-secret=n,encrypt.iter-time=10 s && break; done; then
	check "two key slots, the first passphrase" matches image.qcow2 src "${with[@]}"
	check "two key slots, the second passphrase" matches image.qcow2 src -o "passphrase-file=$W/pw.second"
	amend encrypt.state=inactive,encrypt.old-secret=s n
	check "a disabled key slot" refused image.qcow2 'no key slot opens' "${with[@]}"
	check "the other key slot" matches image.qcow2 src -o "passphrase-file=$W/pw.second"
else
	fail "qemu-img amend"
fi

# The encryption in info.json.
like_qemu() { # IMAGE MOUNT
	qemu-img info --output=json "$1" | jq -S '.encrypted, (."format-specific".data | del(.. | objects."detached-header"))' >a
	jq -S '.encrypted, ."format-specific".data' "$2/info.json" >b
	diff a b
}
mount_with=("${with[@]}")
for image in good.luks good.qcow2 aes.qcow2; do
	check "$image: info.json has the values of qemu-img" on_mount $image like_qemu $image
done

# Damaged and hostile headers.
cp good.luks image.luks
patch image.luks $((208 + 4)) ffffffff
check "4294967295 iterations" refused_within image.luks 'would take too long' "${with[@]}"
cp good.luks image.luks
patch image.luks 164 ffffffff
check "4294967295 iterations for the digest" refused_within image.luks 'would take too long' "${with[@]}"
cp good.luks image.luks
patch image.luks 6 0003
check "LUKS3" refused_within image.luks 'LUKS version 3 is not supported' "${with[@]}"
cp good.luks image.luks
patch image.luks 4096 00
patch image.luks 4160 00
check "damaged key material" refused image.luks 'no key slot opens' "${with[@]}"
head -c 3000 good.luks >image.luks
check "truncated before the key material" refused_within image.luks 'passes the end' "${with[@]}"
cp good.qcow2 image.qcow2
patch image.qcow2 32 00000000
check "qcow2 with a LUKS header and crypt_method 0" refused_within image.qcow2 'LUKS header in an image that is not encrypted' "${with[@]}"
luks_at=$(xxd -p -l 600 good.qcow2 | tr -d '\n' | grep -bo 0537be7700000010 | head -n 1 | cut -d: -f1)
luks_at=$((luks_at / 2 + 8))
for bad in 0000000000000000 0000000000000200 0000000000030001 0000000000030000 7fffffffffff0000; do
	cp good.qcow2 image.qcow2
	patch image.qcow2 $luks_at $bad
	check "qcow2 with its LUKS header at $bad" refused_within image.qcow2 LUKS "${with[@]}"
done
cp good.qcow2 image.qcow2
patch image.qcow2 $((luks_at + 8)) 0000000000002000
check "qcow2 with a short LUKS header" refused_within image.qcow2 'key slot 0: .*passes the end' "${with[@]}"
check "format=raw shows the encrypted bytes" matches good.luks good.luks -o format=raw

# The daemon is sandboxed, and wipes the passphrase from its memory when the image is open.
memory_has() { # PID TEXT: the writable memory of the process contains the text
	local range start end
	while read -r range _; do
		start=$((0x${range%-*})) end=$((0x${range#*-}))
		dd if="/proc/$1/mem" bs=4096 skip=$((start / 4096)) count=$(((end - start) / 4096)) status=none 2>/dev/null
	done < <(grep ' rw' "/proc/$1/maps") | grep -qaF "$2"
}
passphrase_wiped() {
	local pid status=0
	for pid in $(pids_of "$1"); do
		! memory_has "$pid" $pass || { echo "$pid has the passphrase in its memory" >&2; status=1; }
	done
	memory_has "$(daemon_of "$1")" good.qcow2 || { echo "its memory cannot be read" >&2; status=1; }
	return $status
}
sandboxed() {
	"$compare" "$1/disk.raw" src && grep -q '^Seccomp:.*2' "/proc/$(daemon_of "$1")/status"
}
mount_with=("${with[@]}")
[ -n "$sanitized" ] || check "a LUKS image in the sandbox" on_mount good.qcow2 sandboxed
if is_root && [ -z "$sanitized" ]; then
	check "the passphrase is wiped" on_mount good.qcow2 passphrase_wiped
else
	skip "the passphrase is wiped: needs root and a build without sanitizers"
fi

# Only the daemon of a mounted directory keeps the passphrase, in locked memory; no other process has a copy, neither
# during nor after the mount.

mkdir -p vms mnt
qemu_create qcow2 vms/kept.qcow2 1M encrypt.format=luks,encrypt.key-secret=s,encrypt.iter-time=10
printf 'Zebra-%s-passphrase' "$(seed_of passphrase)" >pw.kept
# known_to COPIES: of all processes of mnt, only the daemon has this many copies, each in locked memory.
known_to() {
	# shellcheck disable=SC2046
	"$BUILD/tests/mount/memscan" pw.kept $(pids_of "$W/mnt") >copies || return 1
	cat copies >&2
	awk -v want="$1" '$4 > 0 || ($2 != "vdiskfs" && $3 > 0) { bad = 1 } { all += $3 } END { exit bad || all != want }' copies
}
kept_by_daemon() { # IMAGE COPIES
	mount_image "$1" mnt -o "passphrase-file=$W/pw.kept,passphrase-file=$W/pw" && head -c 1 mnt/info.json mnt/*/disk.raw >/dev/null 2>&1
	known_to "$2"
	local status=$?
	unmount mnt && return $status
}
# strace delays mount(2), so that launcher, daemon and attendant run at the same time.
kept_while_mounting() { # IMAGE COPIES
	local status=0 tracer
	rm -f strace.log
	strace -qq -f -o strace.log -e trace=mount,fsmount -e inject=mount,fsmount:delay_enter=5000000 \
		"$VDISKFS" -o "passphrase-file=$W/pw.kept,passphrase-file=$W/pw" "$1" "$W/mnt" &
	tracer=$!
	eventually grep -q 'mount(' strace.log || status=1
	[ "$(pids_of "$W/mnt" | wc -l)" = 3 ] && known_to "$2" || status=1
	"$BUILD/tests/mount/await-mount" 20 "$W/mnt" && head -c 1 mnt/info.json mnt/*/disk.raw >/dev/null 2>&1
	unmount mnt && wait $tracer && return $status
}
if is_root && [ "$slowness" = 1 ]; then
	check "the daemon of a directory keeps the passphrase in locked memory" kept_by_daemon vms 1
	check "the daemon of an image wipes the passphrase" kept_by_daemon vms/kept.qcow2 0
	if strace -qq -o strace.log -e trace=mount true 2>/dev/null; then
		check "no other process has the passphrase while a directory is mounted" kept_while_mounting vms 1
		check "no process has the passphrase after an image was opened, before the mount" kept_while_mounting vms/kept.qcow2 0
	fi
else
	skip "copies of the passphrase: needs root, and a build without sanitizers"
fi
