#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Words of qemu-img's command line, one a row: they have the exit status of qemu-img, and the text that programs look
# for.
. "${0%/*}/functions.sh"
requires qemu-img qemu-io

same_as_qemu() { # ARGUMENT...: exit status and standard output are those of qemu-img
	local status
	rm -rf q v
	cp -r --sparse=always set q
	cp -r --sparse=always set v
	(cd q && qemu-img "$@") >q.out 2>q.err
	status=$?
	(cd v && "$VDISK" "$@") >v.out 2>v.err
	[ $? = $status ] || { echo "vdisk $*: not the status $status of qemu-img"; cat v.err q.err; return 1; }
	diff q.out v.out
}
mkdir set
some_data set/r.raw 2M
(
	cd set || exit
	qemu-img convert -O qcow2 r.raw a.qcow2
	qemu-img create -q -f qcow2 -b a.qcow2 -F qcow2 top.qcow2
	mkdir sub
	qemu-img create -q -f qcow2 -b ../a.qcow2 -F qcow2 sub/top.qcow2
)

# Creation.

while read -r row; do
	# shellcheck disable=SC2086
	check "$row" same_as_qemu $row
done <<'END'
create -f qcow2 a.qcow2 1M
create -f raw r.raw 1M
create -f qcow2 -o size=5M x 6M
create -f qcow2 -o size=5M x
create -f qcow2 x 1024.0
create -f raw x 1024.0b
create -f raw x 1.5
create -f raw x 1.5k
create -f qcow2 -o lazy_refcounts=yes,extended_l2=n x 1M
create -f qcow2 -o lazy_refcounts=true,extended_l2=false x 1M
create -f qcow2 -o lazy_refcounts=y,extended_l2=no x 1M
create -f qcow2 -o lazy_refcounts x 1M
create -f qcow2 -o lazy_refcounts=1 x 1M
create -f qcow2 -o lazy_refcounts=maybe x 1M
create -f qcow2 -o encryption=off,nocow=on,extent_size_hint=1M x 1M
create -f vdi -o static,nocow=off x 1M
create -f vmdk -o compat6 x 1M
create -f vmdk -o compat6,hwversion=5 x 1M
create -f vmdk -o hwversion=5,subformat=monolithicFlat,adapter_type=lsilogic x 1M
create -f vpc -o force_size,subformat=fixed x 1M
create -f vhdx -o block_size=1M,subformat=fixed,log_size=2M x 1M
create -f qcow2 -o data_file=d,data_file_raw=on x 1M
create -f qcow2 -o compat=0.10 x 1M
create -f qcow2 -o cluster_size=64k,cluster_size=4k -o refcount_bits=1 x 1M
create -f qcow2 -o preallocation=metadata,compression_type=zstd x 1M
create -f qcow2 -o cluster_size=3 x 1M
create -f qcow2 -o foo=bar x 1M
create -f qcow2 -b a.qcow2 -F qcow2 x
create -f qcow2 -b a.qcow2 -F qcow2 a.qcow2
create -f qcow2 -b a.qcow2 x
create -f qcow2 -b gone -F qcow2 x
create -f qcow2 -b gone -F qcow2 x 1M
create -f qcow2 -u -b gone -F qcow2 x 1M
create -f qcow2 -b r.raw -F raw -o backing_file=top.qcow2,backing_fmt=qcow2 x
create -f raw -b a.qcow2 -F qcow2 x
create -f qcow2 x
create -f qcow2 x 1x
create -f qcow2 x 999999999999T
create -f qcow2 -o size=1x x
create -f frob x 1M
create -U -f raw x 1M
commit -U top.qcow2
resize -U r.raw 4M
convert -t bogus -O raw r.raw x
convert -T bogus -O raw r.raw x
convert -t none -T none -O raw r.raw x
convert -t directsync -T off -O raw r.raw x
commit -t bogus top.qcow2
rebase -T bogus -u -b a.qcow2 -F qcow2 top.qcow2
rebase -t writethrough -T writeback -u -b a.qcow2 -F qcow2 top.qcow2
check -T bogus a.qcow2
check -q -T none a.qcow2
compare -T none r.raw a.qcow2
compare -T bogus r.raw a.qcow2
compare -U r.raw r.raw
convert -m 64 -O raw r.raw x
convert -m 16 -O raw r.raw x
convert -n -o size=1M -O qcow2 r.raw a.qcow2
convert -n -O qcow2 -B a.qcow2 r.raw top.qcow2
commit -b a.qcow2 top.qcow2
commit -b a.qcow2 sub/top.qcow2
commit -b gone top.qcow2
END
check_not "create -F without -b" "$VDISK" create -f qcow2 -F qcow2 x 1M
check_not "create with an unknown preallocation" "$VDISK" create -f qcow2 -o preallocation=foo x 1M
export VDISK_ALLOW=$W
check "commit -b, seen from the folder of the image" same_as_qemu commit -q -b ../a.qcow2 sub/top.qcow2

# Called as qemu-img.

ln -s "$VDISK" qemu-img
named=$W/qemu-img
check "the version that programs look for" eval '[[ $("$named" --version) =~ ^qemu-img\ version\ [0-9]+\.[0-9]+\.[0-9]+\ \(vdisk ]]'
check "the formats that programs look for" eval '"$named" --help | grep -q "^Supported formats:.* qcow2 .*raw"'
check "the options that programs look for" eval '"$named" --help | grep -q "^  convert .*--no-create.* OUTPUT$"'
same_error() { # ARGUMENT...: the message is that of qemu-img, and no hint follows it
	! qemu-img "$@" 2>q.err && ! "$named" "$@" 2>v.err && diff q.err v.err
}
check "messages begin with qemu-img" same_error frobnicate
check "messages of a missing file" same_error info gone
check "messages of a missing backing file" same_error create -f qcow2 -b gone -F qcow2 x
check "hints where it is stricter" eval '! VDISK_ALLOW= "$named" map v/sub/top.qcow2 2>v.err && grep -q "^hint: --allow=" v.err'
check "-o help names the format" eval '"$VDISK" create -f vmdk -o help | grep -qx "Supported vmdk options:"'

# Locks.

qemu-img create -q -f qcow2 busy.qcow2 1M
mkfifo commands
qemu-io busy.qcow2 <commands >qemu-io.out 2>&1 &
holder=$!
exec 4>commands
echo 'write 0 4k' >&4
eventually grep -q wrote qemu-io.out
check "reading an image that is written" same_error info busy.qcow2
check "writing an image that is written" same_error resize busy.qcow2 2M
check "creating over an image that is written" eval '! "$VDISK" create -q -f qcow2 busy.qcow2 1M 2>v.err && grep -q "^vdisk: busy.qcow2: Failed to get \"write\" lock$" v.err'
check "the question of qemu-img" grep -q '^Is another process using the image \[.*busy.qcow2\]?$' v.err
check "the hint names the program" grep -q "^hint: .*in use by qemu-io (pid $holder)" v.err
check "an overlay of an image that is written" same_as_qemu create -f qcow2 -b ../busy.qcow2 -F qcow2 x
exec 4>&-
wait $holder

# Progress: at least as many steps as qemu-img.

steps() { "$@" convert -p -O raw set/r.raw x | tr '\r' '\n' | grep -c '/100%)'; }
check "progress has steps" [ "$(steps "$VDISK")" -ge "$(steps qemu-img)" ]

# Descriptions of images: --image-opts, json: and file:, and --object secret.

with_offset() { # OFFSET FILE
	dd if=/dev/zero of=set/ova bs="$1" count=1 status=none && cat "$2" >>set/ova
}
with_offset 1536 set/a.qcow2
qemu-img create -q -f luks --object secret,id=s,data=letmein -o key-secret=s,iter-time=10 set/l.luks 1M
qemu-img create -q -f qcow2 --object secret,id=s,data=letmein -o encrypt.format=luks,encrypt.key-secret=s,encrypt.iter-time=10 set/l.qcow2 1M
qemu-io --object secret,id=s,data=letmein -c 'write -P 7 64k 64k' --image-opts driver=qcow2,encrypt.key-secret=s,file.filename=set/l.qcow2 >/dev/null
printf letmein >set/key
printf 'bGV0bWVpbg==\n' >set/key64
(
	cd set || exit
	qemu-img create -q -f qcow2 -b 'json:{"driver":"qcow2","file":{"driver":"file","filename":"a.qcow2"}}' -F qcow2 json.qcow2
	qemu-img create -q -f qcow2 -u -b 'json:{"driver":"qcow2","file":{"driver":"nbd","host":"localhost"}}' -F qcow2 nbd.qcow2 1M
	qemu-img create -q -f qcow2 -u -b 'json:{"driver":"raw","offset":1536,"file":{"driver":"file","filename":"ova"}}' -F raw range.qcow2 1M
	qemu-img create -q -f qcow2 -u -b 'file:a.qcow2' -F qcow2 file.qcow2 2M
)
while read -r row; do
	# shellcheck disable=SC2086
	check "$row" same_as_qemu $row
done <<'END'
convert --image-opts driver=qcow2,file.driver=file,file.filename=a.qcow2 -O raw x
convert --image-opts file.filename=a.qcow2,read-only=on,cache.direct=off -O raw x
convert --image-opts qcow2,file.filename=a.qcow2 -O raw x
convert --image-opts driver=qcow2,file.driver=raw,file.offset=1536,file.file.driver=file,file.file.filename=ova -O raw x
convert --image-opts driver=raw,offset=512,size=4k,file.filename=r.raw -O raw x
convert --image-opts driver=qcow2,file.filename=json.qcow2,backing=gone -O raw x
convert --image-opts a.qcow2 -O raw x
convert --image-opts -f qcow2 file.filename=a.qcow2 -O raw x
convert --image-opts driver=qcow2,nonsense=1,file.filename=a.qcow2 -O raw x
convert --image-opts driver=frob,file.filename=a.qcow2 -O raw x
convert -f qcow2 file:a.qcow2 -O raw file:x
convert json:{"driver":"qcow2","file":{"driver":"file","filename":"a.qcow2"}} -O raw x
convert json:{"file":{"driver":"raw","offset":1536,"file":{"filename":"ova"}}} -O raw x
convert json:{"file.filename":"a.qcow2"} -O raw x
convert json:{"file -O raw x
convert json:[] -O raw x
convert -n --target-image-opts r.raw driver=qcow2,file.filename=a.qcow2
convert --target-image-opts r.raw driver=raw,file.filename=x
compare json:{"driver":"raw","file":{"filename":"r.raw"}} file:a.qcow2
compare --image-opts driver=raw,file.filename=r.raw driver=qcow2,file.filename=a.qcow2
create -f raw file:x 1M
convert --object secret,id=s,data=letmein --image-opts driver=luks,key-secret=s,file.filename=l.luks -O raw x
convert --object secret,id=s,file=key --image-opts driver=qcow2,encrypt.key-secret=s,file.filename=l.qcow2 -O raw x
convert --object secret,id=s,format=base64,file=key64 --image-opts driver=qcow2,encrypt.key-secret=s,file.filename=l.qcow2 -O raw x
convert --object secret,id=s,format=base64,data=bGV0bWVpbg== --image-opts driver=qcow2,encrypt.key-secret=s,file.filename=l.qcow2 -O raw x
convert --object secret,id=s,data=wrong --image-opts driver=qcow2,encrypt.key-secret=s,file.filename=l.qcow2 -O raw x
convert --object secret,id=t,data=letmein --image-opts driver=qcow2,encrypt.key-secret=s,file.filename=l.qcow2 -O raw x
convert --object secret,id=s --image-opts driver=qcow2,encrypt.key-secret=s,file.filename=l.qcow2 -O raw x
convert --object secret,data=letmein r.raw -O raw x
convert --object secret,id=s,format=hex,data=aa r.raw -O raw x
convert --object secret,id=s,data=x,file=key r.raw -O raw x
convert --object frob,id=s r.raw -O raw x
convert json.qcow2 -O raw x
END
check "json: and file: give the same disk" eval 'qemu-img convert -O raw set/file.qcow2 ref.raw 2>/dev/null || qemu-img convert -O raw set/a.qcow2 ref.raw; "$VDISK" convert -O raw set/file.qcow2 x.raw && cmp x.raw ref.raw'
raw_is() { rm -f x.raw && "$VDISK" convert "$@" -O raw x.raw && cmp x.raw set/r.raw; }
check "an image in an archive, by json:" raw_is 'json:{"file":{"driver":"raw","offset":1536,"file":{"driver":"file","filename":"set/ova"}}}'
check "an encrypted image, by --object" eval '"$VDISK" convert --object secret,id=s,data=letmein set/l.qcow2 -O raw x.raw && qemu-io -f raw -c "read -P 7 64k 64k" x.raw | grep -q "^read"'
check_not "a backing file on a server is refused" "$VDISK" map set/nbd.qcow2
check_not "a backing file that is a range is refused" "$VDISK" map set/range.qcow2
check "vdiskfs follows json: too" eval 'mkdir -p mnt && "$VDISKFS" set/json.qcow2 mnt && cmp mnt/disk.raw set/r.raw; unmount mnt'
check_not "json: does not lead out of the allowed directories" eval 'mkdir -p o; qemu-img create -q -f qcow2 -u -b "json:{\"driver\":\"qcow2\",\"file\":{\"filename\":\"../set/a.qcow2\"}}" -F qcow2 o/out.qcow2 1M; VDISK_ALLOW= "$VDISK" map o/out.qcow2'
check "no output was made of a description" eval '! ls | grep -E "^(json|file|driver)"'

# Options of convert, and the long names of QEMU 11, which 7.2 does not have.

while read -r row; do
	# shellcheck disable=SC2086
	check "$row" same_as_qemu $row
done <<'END'
convert -r 1G -O raw r.raw x
convert -r fast -O raw r.raw x
convert -r 100M -m 4 -W -O qcow2 r.raw x
convert -C -O raw r.raw x
convert -C -c -O qcow2 r.raw x
convert -C -S 0 -O raw r.raw x
convert -C --salvage -O raw r.raw x
convert --salvage -O raw r.raw x
convert -n --target-is-zero -O raw r.raw x
convert -n --target-is-zero -O qcow2 r.raw a.qcow2
convert --target-is-zero -O raw r.raw x
convert -n --target-is-zero -O qcow2 r.raw top.qcow2
dd if=r.raw of=x
dd -f qcow2 -O raw if=a.qcow2 of=x
dd -O qcow2 bs=1k count=100 if=r.raw of=x
dd bs=1000 count=3 skip=2 if=r.raw of=x
dd bs=1M skip=1 if=r.raw of=x
dd bs=1M skip=3 if=r.raw of=x
dd bs=1M skip=1 count=1 if=r.raw of=x
dd bs=1M count=3 if=r.raw of=a.qcow2
dd bs=0 if=r.raw of=x
dd bs=x if=r.raw of=x
dd count=-1 if=r.raw of=x
dd if=r.raw
dd of=x
dd seek=1 if=r.raw of=x
dd if=gone of=x
dd -O frob if=r.raw of=x
dd --image-opts if=driver=qcow2,file.filename=a.qcow2 of=x
END
gives_same() { # ARGUMENT...: the same bytes in the file x
	same_as_qemu "$@" && cmp q/x v/x
}
for o in "bs=1k count=100" "bs=1536 count=3 skip=2" "bs=1M skip=1" "bs=1M skip=1 count=1" "bs=1M skip=3"; do
	# shellcheck disable=SC2086
	check "dd $o: the same bytes" gives_same dd $o if=r.raw of=x
done
check "dd to qcow2: the same disk" eval 'same_as_qemu dd -O qcow2 bs=4k count=100 skip=3 if=r.raw of=x && qemu-img compare q/x v/x'
takes_long() { # VERB OPTION... : QEMU 11 has these names, and vdisk, too
	rm -rf v && cp -r set v && (cd v && "$VDISK" "$@") >v.out 2>v.err || { cat v.err; return 1; }
}
while read -r row; do
	# shellcheck disable=SC2086
	check "$row" takes_long $row
done <<'END'
convert --source-format=raw --target-format=qcow2 --target-format-options=compat=1.1 --source-cache=none --target-cache=none r.raw x
convert --parallel=2 --oob-writes --rate-limit=1G -O raw r.raw x
convert --copy-range-offloading r.raw x
convert -O qcow2 -b a.qcow2 -F qcow2 r.raw x
compare --a-format=raw --b-format=qcow2 --cache=none r.raw a.qcow2
check --cache=none a.qcow2
info --cache=none a.qcow2
create --format=qcow2 --backing=gone -B qcow2 --backing-unsafe x 1M
rebase --backing-unsafe --cache=none --backing-cache=none -b a.qcow2 -B qcow2 top.qcow2
measure --target-format=qcow2 r.raw
END

# --salvage: the sectors of a file that was cut are zeroes.

cp set/a.qcow2 cut.qcow2
truncate -s -70000 cut.qcow2
check_not "convert of a cut image" "$VDISK" convert -f qcow2 -O raw cut.qcow2 x.raw
check "convert --salvage of a cut image" eval '"$VDISK" convert --salvage -f qcow2 -O raw cut.qcow2 x.raw 2>salvage.err'
check "warnings for its sectors" grep -q '^vdisk: warning: error while reading offset [0-9]*: ' salvage.err
check "what can be read is there" cmp -n $((1 << 20)) x.raw set/r.raw
check "--salvage -q prints no warnings" eval '"$VDISK" convert -q --salvage -f qcow2 -O raw cut.qcow2 x.raw 2>&1 | wc -c | grep -qx 0'
slow_enough() {
	local start=$EPOCHREALTIME
	"$VDISK" convert -r 1M -O raw set/r.raw x.raw && cmp x.raw set/r.raw &&
		awk -v a="$start" -v b="$EPOCHREALTIME" 'BEGIN { exit b - a < 0.25 }'
}
check "convert -r limits the rate" slow_enough

# measure -o, resize --preallocation.

while read -r row; do
	# shellcheck disable=SC2086
	check "$row" same_as_qemu $row
done <<'END'
measure --size 1G -O qcow2 -o cluster_size=4k
measure --size 1G -O qcow2 -o cluster_size=2M,refcount_bits=1
measure --size 1T -O qcow2 -o refcount_bits=64,cluster_size=512
measure --size 1G -O qcow2 -o extended_l2=on,cluster_size=64k
measure --size 1G -O qcow2 -o preallocation=full
measure --size 1G -O qcow2 -o preallocation=falloc
measure --size 1G -O qcow2 -o preallocation=metadata
measure --size 1G -O qcow2 -o cluster_size=3
measure --size 1G -O qcow2 -o nonsense=3
measure --size 1000000 -O raw
measure --output=json -O qcow2 -o cluster_size=4k r.raw
measure -O qcow2 -o cluster_size=4k -f qcow2 a.qcow2
measure -O vdi r.raw
resize --preallocation=off -f raw r.raw 3M
resize --preallocation=falloc -f raw r.raw 3M
resize --preallocation=full -f raw r.raw 3M
resize --preallocation=metadata -f raw r.raw 3M
resize --preallocation=frob -f raw r.raw 3M
resize --preallocation=full -f raw --shrink r.raw 1M
resize --preallocation=metadata a.qcow2 3M
resize --preallocation=full a.qcow2 3M
resize --preallocation=falloc a.qcow2 3M
END
for o in "falloc r.raw" "full r.raw" "full a.qcow2" "falloc a.qcow2" "metadata a.qcow2"; do
	allocates() { # MODE IMAGE: what was added is allocated as by qemu-img
		same_as_qemu resize -q --preallocation="$1" "$2" 3M &&
			diff <(qemu-img map --output=json "q/$2" | grep -c '"start": 2097152.*"present": true') \
				<(qemu-img map --output=json "v/$2" | grep -c '"start": 2097152.*"present": true') &&
			[ "$(qemu-img info --output=json "v/$2" | grep virtual-size | tr -dc 0-9)" = 3145728 ]
	}
	# shellcheck disable=SC2086
	check "resize --preallocation=$o" allocates $o
done
check "a preallocated file has its blocks" eval 'same_as_qemu resize -q --preallocation=falloc -f raw r.raw 4M && [ "$(stat -c %b v/r.raw)" -ge 4096 ]'

# Words of QEMU 10 and 11.

packed() {
	rm -rf v && cp -r set v && qemu-img create -q -f qcow2 v/other.qcow2 2M &&
		(cd v && "$VDISK" rebase -c -b other.qcow2 -F qcow2 top.qcow2) &&
		qemu-img convert -O raw v/top.qcow2 x.raw && cmp x.raw set/r.raw && qemu-img check -q v/top.qcow2 &&
		"$VDISK" check v/top.qcow2 | grep -qE '[1-9][0-9.]*% compressed clusters'
}
check "rebase -c compresses what it copies" packed
check "info --limits, as JSON" eval '"$VDISK" info --limits --output=json set/a.qcow2 | jq -e ".limits.\"request-alignment\" == 1"'
check "info --limits" eval '"$VDISK" info --limits set/a.qcow2 | grep -q "^    request alignment: 1$"'
check "without --limits there are none" eval '! "$VDISK" info set/a.qcow2 | grep -q limits'

# bench: the lines of qemu-img, but for the time.

bench_lines() { "$@" | sed 's/in [0-9.]* seconds/in N seconds/'; }
same_bench() {
	rm -rf v && cp -r set v && bench_lines qemu-img bench "$@" v/r.raw >theirs.bench # it locks the image
	bench_lines "$VDISK" bench "$@" v/r.raw >ours.bench
	diff theirs.bench ours.bench
}
check "bench reads" same_bench -f raw -c 100 -d 4
check "bench with sizes" same_bench -f raw -c 100 -s 8k -S 4k -o 64k -d 2
check "bench writes" same_bench -f raw -c 10 -w --pattern=7
check "bench has written the pattern" eval '"$VDISK" bench -q -f raw -w -c 10 --pattern=9 v/r.raw && qemu-io -f raw -c "read -P 9 0 40k" v/r.raw | grep -q "^read"'
check_not "bench flushes writes only" "$VDISK" bench -f raw --flush-interval=10 v/r.raw
check_not "bench of a byte too large" "$VDISK" bench -f raw -w --pattern=256 v/r.raw
