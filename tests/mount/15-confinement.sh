#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Every name that an image can say: plain files below the image's directory are opened, and nothing
# else is, nor is anybody asked over a network.  Each kind of name has a directory of its own:
#
#   vm/top     the image        vm/good    what it may name    vm/sub/
#   out/secret what it may not, but when the user allows it
. "${0%/*}/functions.sh"
. "$here/hostile.sh"
requires qemu-img xxd

size=262144
noise 15 $size >plain
qemu-img convert -q -f raw -O vmdk plain parent.vmdk
qemu-img create -q -f qcow2 base.tmpl $size
for raw in off on; do
	qemu-img convert -q -f raw -O qcow2 -o data_file=data.$raw,data_file_raw=$raw plain data-$raw.tmpl
	# The name of a data file means nothing where it lies in the file of that name.
	cmp data.$raw plain || { fail "a data file that is not in order"; exit 1; }
done

# Making an image that says NAME: say KIND FILE NAME.

# Names of backing files go where nothing else is, 32 KiB into the header's cluster.
say_backing() {
	local file=$1 name=$2 format=${3:-raw}
	cp base.tmpl "$file"
	poke "$file" 8 "$(be 8 32768)" "$(be 4 "$(printf %s "$name" | wc -c)")"
	poke "$file" 112 "e2792aca$(be 4 ${#format})$(hex "$format")" 0000000000000000 0000000000000000
	printf %s "$name" | dd of="$file" bs=4K seek=8 conv=notrunc status=none
}
say_data() {
	cp "$1.tmpl" "$2"
	poke "$2" 112 "44415441$(be 4 "$(printf %s "$3" | wc -c)")$(hex "$3")" 0000000000000000 0000000000000000
}
say_extent() {
	printf '%s\n' '# Disk DescriptorFile' version=1 CID=00000001 parentCID=ffffffff \
		'createType="monolithicFlat"' "RW $((size / 512)) FLAT \"$2\" 0" >"$1"
}
say_image() {
	printf '<Parallels_disk_image><Disk_Parameters><Disk_size>%s</Disk_size></Disk_Parameters>' $((size / 512)) >"$1"
	printf '<StorageData><Storage><Start>0</Start><End>%s</End><Image><GUID>{5fbaabe3-6958-40ff-92a7-860e329aab41}</GUID><Type>Plain</Type><File>%s</File></Image></Storage></StorageData></Parallels_disk_image>\n' \
		$((size / 512)) "$2" >>"$1"
}
qemu-img create -q -f qcow qcow.tmpl $size
# Behind everything else.
say_old() {
	cp qcow.tmpl "$1"
	poke "$1" 8 "$(be 8 4096)" "$(be 4 "$(printf %s "$2" | wc -c)")"
	printf %s "$2" | dd of="$1" bs=4K seek=1 conv=notrunc status=none
}
cid=$(grep -aom1 '^CID=.*' parent.vmdk)
qemu-img create -q -f vmdk -b parent.vmdk -F vmdk child.tmpl
# A descriptor of 20 sectors from sector 1 on.
say_hint() {
	cp child.tmpl "$1"
	{
		printf '%s\n' '# Disk DescriptorFile' version=1 "$cid" "parent$cid" \
			'createType="monolithicSparse"' "parentFileNameHint=\"$2\"" \
			"RW $((size / 512)) SPARSE \"top.vmdk\""
		head -c 10240 /dev/zero
	} | head -c 10240 | dd of="$1" bs=512 seek=1 conv=notrunc status=none
}
say() {
	rm -f "$2"
	case $1 in
	backing) say_backing "$2" "$3" "${4:-}" ;;
	data-*) say_data "$1" "$2" "$3" ;;
	extent) say_extent "$2" "$3" ;;
	hint) say_hint "$2" "$3" ;;
	image) say_image "$2" "$3" ;;
	old) say_old "$2" "$3" ;;
	esac
}

# opens NAME [OPTION...], stays_out NAME PATTERN [OPTION...]: of the current kind, in its directory.
opens() {
	say "$kind" "$top" "$1" || return 1
	matches "$top" plain "${@:2}"
}
stays_out() {
	say "$kind" "$top" "$1" && refused_within "$top" "${@:2}"
}
# The option that the message gives is the one that helps.
hint_is_right() {
	local option
	stays_out "$1" 'lies outside' || return 1
	option=$(sed -n 's/.*-o \(allow=.*\) permits it.*/\1/p' within.err)
	[ -n "$option" ] || { echo "no option given" >&2; return 1; }
	opens "$1" -o "$option"
}
long_name() { # LENGTH NAME: NAME said in that many bytes
	local name=$2 dots
	[ $((($1 - ${#name}) % 2)) = 0 ] || name=./$name name=${name/.\//.//}
	printf -v dots '%*s' $((($1 - ${#name}) / 2)) ''
	printf %s "${dots// /./}$name"
}

make_place() {
	place=$W/$kind
	mkdir -p "$place"/vm/sub "$place"/out
	top=$place/vm/top.$suffix
	cp "$referent" "$place/vm/good"
	cp "$referent" "$place/out/secret"
	(
		cd "$place/vm" || exit
		ln -s good in
		ln -s ../vm/good in-and-out
		ln -s ../out/secret leads-out
		ln -s "$place/out/secret" leads-out-absolutely
		ln -s .. up
		ln -s nowhere dangling
		ln -s round round
		ln -s "top.$suffix" itself
		ln -s /dev/zero leads-to-zero
		ln -s /proc/self/mem leads-to-mem
		ln -s /proc/self/fd/0 stdin
		mkfifo fifo
		"$BUILD/tests/mount/mksocket" socket
		ln good file:good
		ln good nbd:good
		mkfifo ../out/secret-fifo
	)
}

check_allowed() {
	local name
	for name in "$place/vm/good" ./good sub/../good ../vm/good in in-and-out up/vm/good file:good \
		nbd:good "$(long_name 1023 good)"; do
		check "$kind: ${name:0:40} is opened" opens "$name" || return
	done
}

check_outside() {
	local name
	for name in "$place/out/secret" ../out/secret sub/../../out/secret sub/./..//sub/../../out/secret; do
		check "$kind: $name stays closed" stays_out "$name" 'lies outside'
		check "$kind: $name with allow=" opens "$name" -o allow="$place/out"
	done
	for name in leads-out leads-out-absolutely up/out/secret; do
		check "$kind: link $name stays closed" stays_out "$name" 'lies outside'
		check "$kind: link $name with allow=" opens "$name" -o allow="$place/out"
	done
	check "$kind: another directory allowed does not help" stays_out ../out/secret 'lies outside' \
		-o allow="$place/vm/sub"
	check "$kind: the hint is right" hint_is_right ../out/secret
	check "$kind: the hint is right for a link" hint_is_right leads-out
	for name in .. / . /proc/self/mem /proc/self/fd/0 leads-to-mem leads-to-zero; do
		check "$kind: $name stays closed" stays_out "$name" 'lies outside'
	done
	check "$kind: standard input stays closed" stays_out stdin 'lies outside' <plain
	check "$kind: /dev/zero stays closed" stays_out /dev/zero 'lies outside|is a device'
	check "$kind: /dev/zero is no file" stays_out ../../../../../../../../dev/zero \
		'a character device' -o allow=/dev
}

check_no_files() {
	check "$kind: missing" stays_out nowhere 'nowhere.*No such file'
	check "$kind: dangling link" stays_out dangling 'dangling.*No such file'
	check "$kind: link to itself" stays_out round 'round.*symbolic links'
	check "$kind: FIFO" stays_out fifo 'a FIFO'
	check "$kind: socket" stays_out socket 'socket'
	check "$kind: directory" stays_out sub 'a directory'
	check "$kind: in a file" stays_out good/deeper 'Not a directory'
	check "$kind: itself" stays_out "${top##*/}" 'loops|itself'
	check "$kind: itself by a link" stays_out itself 'loops|itself'
	own_hard_link() {
		say "$kind" "$top" own-name && ln -f "$top" "$place/vm/own-name" &&
			refused_within "$top" 'loops|itself'
	}
	check "$kind: itself by another name" own_hard_link
}

check_odd_names() {
	local name
	for name in "json:{'file.filename':'$place/out/secret'}" "json:{'driver':'nbd'}" nbd:localhost:10809 \
		nbd://localhost/x nbd:unix:socket http://localhost/x fat:rw:sub "file:$place/out/secret" \
		"fat:$place/out"; do
		check "$kind: ${name:0:14}... is a plain name" stays_out "$name" 'protocols are never followed'
	done
	check "$kind: nbd:/../../out/secret is a path" stays_out nbd:/../../out/secret 'lies outside'
	check "$kind: 1024 bytes" stays_out "$(long_name 1024 good)" '1023'
	check "$kind: 5000 bytes" stays_out "$(long_name 5000 good)" '1023'
	check "$kind: a part of 1000 bytes" stays_out "$(printf '%01000d' 7)" 'File name too long'
	check "$kind: escape sequences" stays_out $'\e[31mred\a' 'No such file'
	check_not "$kind: they do not reach the terminal" grep -q $'[\e\a]' within.err
	check "$kind: bytes that are no UTF-8" stays_out $'\xff\xfe' 'No such file'
	check "$kind: empty" stays_out "" 'name|bytes'
}

check_device() {
	local dev
	is_root || { skip "$kind: loop device: needs root"; return; }
	dev=$(losetup -f --show plain 2>/dev/null) || { skip "$kind: no loop devices here"; return; }
	check "$kind: loop device" stays_out "$dev" 'lies outside|is a device'
	check "$kind: loop device with allow=" stays_out "$dev" 'is a device' -o allow=/dev
	check "$kind: loop device by another path" stays_out "../../../../../../..$dev" 'is a device' -o allow=/dev
	cp -a "$dev" "$place/vm/node"
	check "$kind: loop device in the directory" stays_out node 'is a device|Permission denied'
	losetup -d "$dev"
}

# What the program asks of the kernel: asks NAME [OPTION...] leaves it in trace.
asks() {
	local status
	say "$kind" "$top" "$1"
	mkdir -p refused-dir
	timeout "$patience" strace -f -qq -s 4096 -e trace=%network,%file -o trace \
		"$VDISKFS" "${@:2}" "$top" "$W/refused-dir" 2>asks.err
	status=$?
	[ -s trace ] || { echo "no trace" >&2; return 2; }
	return $status
}
# Was the file of that name opened?
was_opened() { grep -vF ' execve(' trace | grep -qE "open(at2?)?\\(.*$1\\W.*= [0-9]+$"; }
was_touched() { grep -vF ' execve(' trace | grep -F -e "$1"; }
nobody_called() {
	! grep -E '^[0-9]+ +(socket|connect|sendto|sendmsg|bind)\(' trace
}
# silently NAME FORBIDDEN: refused; FORBIDDEN is not opened, or not even looked at when nothing but
# the text of the name leads there.
silently() {
	asks "$1"
	[ $? = 1 ] && nobody_called && ! was_opened "$2" || return 1
	case $1 in leads-*) return 0 ;; esac
	! was_touched "$2"
}
# The same trace shows what is let in, so that it would have shown what is not.  (What is mounted
# would be traced until the end of the mount.)
aloud() {
	asks ../out/secret-fifo -o allow="$place/out"
	[ $? = 1 ] && grep -q 'a FIFO' asks.err && was_opened secret-fifo
}
check_trace() {
	[ -z "$sanitized" ] || { skip "$kind: system calls: sanitizers make their own"; return; }
	strace -o trace true || { skip "$kind: system calls: strace cannot trace here"; return; }
	check "$kind: the trace shows what is opened" aloud
	check "$kind: an absolute name is not looked at" silently "$place/out/secret" out/secret
	check "$kind: ../ is not looked at" silently sub/../../out/secret out/secret
	check "$kind: what a link leads to is not opened" silently leads-out secret
	check "$kind: /dev/zero is not opened" silently /dev/zero /dev/zero
	check "$kind: link to /dev/zero is not opened" silently leads-to-zero zero
	check "$kind: link to /proc/self/mem is not opened" silently leads-to-mem mem
	check "$kind: nobody is called for nbd:" silently nbd:localhost:10809 10809/x
	check "$kind: nobody is called for nbd:unix:" silently nbd:unix:socket 'sun_path'
}

for kind in backing data-off data-on extent hint old image; do
	referent=plain suffix=qcow2
	case $kind in
	extent) suffix=vmdk ;;
	hint) referent=parent.vmdk suffix=vmdk ;;
	old) suffix=qcow ;;
	image) suffix=hdd ;;
	esac
	make_place
	check_allowed
	check_outside
	check_no_files
	[ $kind = image ] || check_odd_names # not all of which XML can say
	check_device
	check_trace
done

# Names that only qcow2 can have: they have a length.
kind=backing place=$W/backing top=$W/backing/vm/top.qcow2
nul_inside() {
	say "$1" "$top" "good" && poke "$top" "$2" 676f6f64002f2e2e 0000 && poke "$top" "$3" 00000008 &&
		refused_within "$top" 'NUL'
}
check "backing: NUL in the name" nul_inside backing 32768 16
check "data-off: NUL in the name" nul_inside data-off 120 116
check "backing: a line feed in the name" stays_out $'two\nlines' 'No such file'

# Parents are also looked for where the user says, and beside the child when they can be told.
check "backing: found by search=" opens /gone/secret -o search="$place/out"
check "backing: search= is no leave for the rest" stays_out ../plain 'lies outside' -o search="$place/out"
kind=hint place=$W/hint top=$W/hint/vm/top.vmdk
check "hint: found beside the child" opens /gone/good
check "hint: found beside the child, from Windows" opens 'C:\vm\good'
check "hint: found by search=" opens 'D:\vm\secret' -o search="$place/out"
check "hint: a share of Windows is a plain name" stays_out '\\server\share\other.vmdk' 'No such file'
check "hint: // is no share" stays_out //server/share/other.vmdk 'lies outside'
check "hint: a device of Windows" stays_out '\\.\PhysicalDrive0' 'No such file'

# What is allowed for the image holds for what it names; its own directory is that of the top.
parents_lead_on() {
	say backing "$W/backing/vm/sub/mid" "../$1" && say backing "$W/backing/vm/top.qcow2" sub/mid qcow2
}
layered() { parents_lead_on good && matches "$W/backing/vm/top.qcow2" plain; }
layered_out() { parents_lead_on ../out/secret && refused_within "$W/backing/vm/top.qcow2" 'lies outside'; }
layered_allowed() {
	parents_lead_on ../out/secret && matches "$W/backing/vm/top.qcow2" plain -o allow="$W/backing/out"
}
check "a backing file's backing file" layered
check "a backing file's backing file outside" layered_out
check "a backing file's backing file outside, with allow=" layered_allowed

# Round and round; too deep; too many.
rings() {
	local kind=$1 dir=$W/ring-$1 format=$2
	mkdir "$dir"
	say "$kind" "$dir/a" b "$format" && say "$kind" "$dir/b" a "$format"
	check "$kind: a ring of two" refused_within "$dir/a" 'loops'
	say "$kind" "$dir/a" sub/link "$format"
	say "$kind" "$dir/b" hard "$format"
	say "$kind" "$dir/c" a "$format"
	mkdir "$dir/sub"
	ln -s ../b "$dir/sub/link"
	ln "$dir/c" "$dir/hard"
	check "$kind: a ring of three, through both kinds of links" refused_within "$dir/a" 'loops'
}
rings backing qcow2
rings hint vmdk

# Layers in a heap: N names N+1, by names of the same length.
heap() {
	local kind=$1 at=$2 dir=$W/heap-$1 i
	mkdir "$dir"
	say "$kind" "$dir/layer-000" layer-001 "$3"
	for ((i = 1; i < 257; i++)); do
		printf -v name 'layer-%03d' $i
		cp "$dir/layer-000" "$dir/$name"
		printf 'layer-%03d' $((i + 1)) | dd of="$dir/$name" bs=1 seek="$at" conv=notrunc status=none
	done
	cp "$4" "$dir/layer-256"
	check "$kind: 256 layers" matches "$dir/layer-001" plain
	check "$kind: 257 layers" refused_within "$dir/layer-000" '256'
}
qemu-img convert -q -f raw -O qcow2 plain parent.qcow2
heap backing 32768 qcow2 parent.qcow2
heap_at() { grep -abom1 layer-001 "$1" | cut -d: -f1; }
say hint heap-where layer-001
heap hint "$(heap_at heap-where)" '' parent.vmdk

many_extents() {
	{
		printf '%s\n' '# Disk DescriptorFile' version=1 CID=1 parentCID=ffffffff
		seq "$2" | sed "s/.*/RW 1 FLAT \"$1\" 0/"
	} >"$W/extent/vm/many.vmdk"
}
ten_thousand() { many_extents "$1" 10000 && refused_within "$W/extent/vm/many.vmdk" '4096'; }
check "extent: 10,000 lines, one file" ten_thousand good
check "extent: 10,000 lines, as many files" ten_thousand 'file-&'
