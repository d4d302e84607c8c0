#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Names in images: regular files below the image's directory are opened; every other file is neither opened nor
# examined, and no name starts a connection.  Each kind of name has a directory:
#
#   vm/top     the image        vm/good    a file that it may name    vm/sub/
#   out/secret a file outside, which it may name only with -o allow=
. "${0%/*}/functions.sh"
. "$here/hostile.sh"
requires qemu-img xxd

size=262144
noise 15 $size >plain
qemu-img convert -q -f raw -O vmdk plain parent.vmdk
qemu-img create -q -f qcow2 base.tmpl $size
for raw in off on; do
	qemu-img convert -q -f raw -O qcow2 -o data_file=data.$raw,data_file_raw=$raw plain data-$raw.tmpl
	# The data file must be in guest order, so that it is equal to its disk.
	cmp data.$raw plain || { fail "the data file is not in guest order"; exit 1; }
done

# create KIND FILE NAME: creates an image that contains NAME.

# The name of the backing file is put at 32 KiB, an unused part of the header's cluster.
create_backing() {
	local file=$1 name=$2 format=${3:-raw}
	cp base.tmpl "$file"
	poke "$file" 8 "$(be 8 32768)" "$(be 4 "$(printf %s "$name" | wc -c)")"
	poke "$file" 112 "e2792aca$(be 4 ${#format})$(hex "$format")" 0000000000000000 0000000000000000
	printf %s "$name" | dd of="$file" bs=4K seek=8 conv=notrunc status=none
}
create_data() {
	cp "$1.tmpl" "$2"
	poke "$2" 112 "44415441$(be 4 "$(printf %s "$3" | wc -c)")$(hex "$3")" 0000000000000000 0000000000000000
}
create_extent() {
	printf '%s\n' '# Disk DescriptorFile' version=1 CID=00000001 parentCID=ffffffff \
		'createType="monolithicFlat"' "RW $((size / 512)) FLAT \"$2\" 0" >"$1"
}
create_image() {
	printf '<Parallels_disk_image><Disk_Parameters><Disk_size>%s</Disk_size></Disk_Parameters>' $((size / 512)) >"$1"
	printf '<StorageData><Storage><Start>0</Start><End>%s</End><Image><GUID>{5fbaabe3-6958-40ff-92a7-860e329aab41}</GUID><Type>Plain</Type><File>%s</File></Image></Storage></StorageData></Parallels_disk_image>\n' \
		$((size / 512)) "$2" >>"$1"
}
qemu-img create -q -f qcow qcow.tmpl $size
# The name is put at the end of the file.
create_old() {
	cp qcow.tmpl "$1"
	poke "$1" 8 "$(be 8 4096)" "$(be 4 "$(printf %s "$2" | wc -c)")"
	printf %s "$2" | dd of="$1" bs=4K seek=1 conv=notrunc status=none
}
cid=$(grep -aom1 '^CID=.*' parent.vmdk)
qemu-img create -q -f vmdk -b parent.vmdk -F vmdk child.tmpl
# The descriptor has 20 sectors and begins at sector 1.
create_hint() {
	cp child.tmpl "$1"
	{
		printf '%s\n' '# Disk DescriptorFile' version=1 "$cid" "parent$cid" \
			'createType="monolithicSparse"' "parentFileNameHint=\"$2\"" \
			"RW $((size / 512)) SPARSE \"top.vmdk\""
		head -c 10240 /dev/zero
	} | head -c 10240 | dd of="$1" bs=512 seek=1 conv=notrunc status=none
}
create() {
	rm -f "$2"
	case $1 in
	backing) create_backing "$2" "$3" "${4:-}" ;;
	data-*) create_data "$1" "$2" "$3" ;;
	extent) create_extent "$2" "$3" ;;
	hint) create_hint "$2" "$3" ;;
	image) create_image "$2" "$3" ;;
	old) create_old "$2" "$3" ;;
	esac
}

# opens NAME [OPTION...], is_refused NAME PATTERN [OPTION...]: mount an image of the current kind with this name.
opens() {
	create "$kind" "$top" "$1" || return 1
	matches "$top" plain "${@:2}"
}
is_refused() {
	create "$kind" "$top" "$1" && refused_within "$top" "${@:2}"
}
# The mount works with the option that the hint names.
hint_opens() {
	local option
	is_refused "$1" 'lies outside' || return 1
	option=$(sed -n 's/.*-o \(allow=.*\) permits it.*/\1/p' within.err)
	[ -n "$option" ] || { echo "no option given" >&2; return 1; }
	opens "$1" -o "$option"
}
long_name() { # LENGTH NAME: prints NAME with redundant ./ up to LENGTH bytes
	local name=$2 dots
	[ $((($1 - ${#name}) % 2)) = 0 ] || name=./$name name=${name/.\//.//}
	printf -v dots '%*s' $((($1 - ${#name}) / 2)) ''
	printf %s "${dots// /./}$name"
}

make_directories() {
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
		check "$kind: $name is refused" is_refused "$name" 'lies outside'
		check "$kind: $name with allow=" opens "$name" -o allow="$place/out"
	done
	for name in leads-out leads-out-absolutely up/out/secret; do
		check "$kind: link $name is refused" is_refused "$name" 'lies outside'
		check "$kind: link $name with allow=" opens "$name" -o allow="$place/out"
	done
	check "$kind: allow= of another directory is not enough" is_refused ../out/secret 'lies outside' \
		-o allow="$place/vm/sub"
	check "$kind: the hint's option opens the file" hint_opens ../out/secret
	check "$kind: the hint's option opens the target of a link" hint_opens leads-out
	for name in .. / . /proc/self/mem /proc/self/fd/0 leads-to-mem leads-to-zero; do
		check "$kind: $name is refused" is_refused "$name" 'lies outside'
	done
	check "$kind: /proc/self/fd/0 is refused" is_refused stdin 'lies outside' <plain
	check "$kind: /dev/zero is refused" is_refused /dev/zero 'lies outside|is a device'
	check "$kind: /dev/zero is refused also with allow=" is_refused ../../../../../../../../dev/zero \
		'a character device' -o allow=/dev
}

check_no_files() {
	check "$kind: missing" is_refused nowhere 'nowhere.*No such file'
	check "$kind: dangling link" is_refused dangling 'dangling.*No such file'
	check "$kind: link to itself" is_refused round 'round.*symbolic links'
	check "$kind: FIFO" is_refused fifo 'a FIFO'
	check "$kind: socket" is_refused socket 'socket'
	check "$kind: directory" is_refused sub 'a directory'
	check "$kind: a file as directory" is_refused good/deeper 'Not a directory'
	check "$kind: the image itself" is_refused "${top##*/}" 'loops|itself'
	check "$kind: the image itself, by a symbolic link" is_refused itself 'loops|itself'
	own_hard_link() {
		create "$kind" "$top" own-name && ln -f "$top" "$place/vm/own-name" &&
			refused_within "$top" 'loops|itself'
	}
	check "$kind: the image itself, by a hard link" own_hard_link
}

check_odd_names() {
	local name text
	for name in "json:{'file.filename':'$place/out/secret'}" "json:{'driver':'nbd'}" nbd:localhost:10809 \
		nbd://localhost/x nbd:unix:socket http://localhost/x fat:rw:sub "file:$place/out/secret" \
		"fat:$place/out"; do
		# QEMU describes backing files by these two, which are followed as the names in them; and a backing file
		# on a server is opened if the user names it.
		case $name in
		json:*driver*) text='protocols are never followed|must be specified for "file"' ;;
		json:* | file:*) text='protocols are never followed|lies outside' ;;
		nbd://*) text='protocols are never followed|backing=nbd://localhost/x opens it' ;;
		*) text='protocols are never followed' ;;
		esac
		check "$kind: ${name:0:14}... is a file name" is_refused "$name" "$text"
	done
	check "$kind: nbd:/../../out/secret is a path" is_refused nbd:/../../out/secret 'lies outside'
	check "$kind: a name of 1024 bytes" is_refused "$(long_name 1024 good)" '1023'
	check "$kind: a name of 5000 bytes" is_refused "$(long_name 5000 good)" '1023'
	check "$kind: a path component of 1000 bytes" is_refused "$(printf '%01000d' 7)" 'File name too long'
	check "$kind: a name with escape sequences" is_refused $'\e[31mred\a' 'No such file'
	check_not "$kind: the message has no escape sequences" grep -q $'[\e\a]' within.err
	check "$kind: a name that is not UTF-8" is_refused $'\xff\xfe' 'No such file'
	check "$kind: an empty name" is_refused "" 'name|bytes'
}

check_device() {
	local dev
	is_root || { skip "$kind: loop device: needs root"; return; }
	dev=$(losetup -f --show plain 2>/dev/null) || { skip "$kind: no loop devices here"; return; }
	check "$kind: loop device" is_refused "$dev" 'lies outside|is a device'
	check "$kind: loop device with allow=" is_refused "$dev" 'is a device' -o allow=/dev
	check "$kind: loop device by another path" is_refused "../../../../../../..$dev" 'is a device' -o allow=/dev
	cp -a "$dev" "$place/vm/node"
	check "$kind: loop device in the directory" is_refused node 'is a device|Permission denied'
	losetup -d "$dev"
}

# join_calls FILE: prints a trace in which a call that another process interrupted is one line again.
join_calls() {
	awk '/ <unfinished \.\.\.>$/ { sub(/ <unfinished \.\.\.>$/, ""); begun[$1] = $0; next }
		/^[0-9]+ +<\.\.\. [a-z0-9_]+ resumed>/ { pid = $1; sub(/^.* resumed>/, ""); print begun[pid] $0; delete begun[pid]; next }
		{ print }
		END { for (pid in begun) print begun[pid] }' "$1"
}
# asks NAME [OPTION...]: writes the system calls on files and sockets to the file trace.
asks() {
	local status
	create "$kind" "$top" "$1"
	mkdir -p refused-dir
	timeout "$patience" strace -f -qq -s 4096 -e trace=%network,%file -o calls \
		"$VDISKFS" "${@:2}" "$top" "$W/refused-dir" 2>asks.err
	status=$?
	join_calls calls >trace
	[ -s trace ] || { echo "no trace" >&2; return 2; }
	return $status
}
# was_opened NAME: a file of that name was opened.
was_opened() { grep -vF ' execve(' trace | grep -qE "open(at2?)?\\(.*$1\\W.*= [0-9]+$"; }
was_touched() { grep -vF ' execve(' trace | grep -F -e "$1"; }
no_network_call() {
	! grep -E '^[0-9]+ +(socket|connect|sendto|sendmsg|bind)\(' trace
}
# refused_unopened NAME FORBIDDEN: the mount is refused and FORBIDDEN is not opened.  If FORBIDDEN is part of NAME,
# no system call gets it as an argument; the target of a link has to be read.
refused_unopened() {
	asks "$1"
	[ $? = 1 ] && no_network_call && ! was_opened "$2" || return 1
	case $1 in leads-*) return 0 ;; esac
	! was_touched "$2"
}
# The opposite case proves that the trace shows opened files.  The image names a FIFO, so that the mount fails:
# strace would follow the daemon of a successful one until it is unmounted.
trace_shows_open() {
	asks ../out/secret-fifo -o allow="$place/out"
	[ $? = 1 ] && grep -q 'a FIFO' asks.err && was_opened secret-fifo
}
check_trace() {
	[ -z "$sanitized" ] || { skip "$kind: system calls: sanitizers add their own"; return; }
	strace -o trace true || { skip "$kind: system calls: strace does not work"; return; }
	check "$kind: the trace shows an allowed file" trace_shows_open
	check "$kind: an absolute name outside is not examined" refused_unopened "$place/out/secret" out/secret
	check "$kind: a name with ../ that leads outside is not examined" refused_unopened sub/../../out/secret out/secret
	check "$kind: the target of a link is not opened" refused_unopened leads-out secret
	check "$kind: /dev/zero is not opened" refused_unopened /dev/zero /dev/zero
	check "$kind: link to /dev/zero is not opened" refused_unopened leads-to-zero zero
	check "$kind: link to /proc/self/mem is not opened" refused_unopened leads-to-mem mem
	check "$kind: nbd: makes no network call" refused_unopened nbd:localhost:10809 10809/x
	check "$kind: nbd:unix: makes no network call" refused_unopened nbd:unix:socket 'sun_path'
}

for kind in backing data-off data-on extent hint old image; do
	referent=plain suffix=qcow2
	case $kind in
	extent) suffix=vmdk ;;
	hint) referent=parent.vmdk suffix=vmdk ;;
	old) suffix=qcow ;;
	image) suffix=hdd ;;
	esac
	make_directories
	check_allowed
	check_outside
	check_no_files
	[ $kind = image ] || check_odd_names # XML cannot contain all of these
	check_device
	check_trace
done

# Only names in qcow2 have a length field, so only they can contain NUL.
kind=backing place=$W/backing top=$W/backing/vm/top.qcow2
nul_inside() {
	create "$1" "$top" "good" && poke "$top" "$2" 676f6f64002f2e2e 0000 && poke "$top" "$3" 00000008 &&
		refused_within "$top" 'NUL'
}
check "backing: NUL in the name" nul_inside backing 32768 16
check "data-off: NUL in the name" nul_inside data-off 120 116
check "backing: a line feed in the name" is_refused $'two\nlines' 'No such file'

# Parents are also searched in the directories of search=, and beside the child if the image has an ID of its parent.
check "backing: found by search=" opens /gone/secret -o search="$place/out"
check "backing: search= does not allow other names in its directory" is_refused ../plain 'lies outside' -o search="$place/out"
kind=hint place=$W/hint top=$W/hint/vm/top.vmdk
check "hint: the parent is found beside the child" opens /gone/good
check "hint: the parent of a Windows path is found beside the child" opens 'C:\vm\good'
check "hint: the parent is found by search=" opens 'D:\vm\secret' -o search="$place/out"
check "hint: a UNC path is a file name" is_refused '\\server\share\other.vmdk' 'No such file'
check "hint: // is a path" is_refused //server/share/other.vmdk 'lies outside'
check "hint: a Windows device is a file name" is_refused '\\.\PhysicalDrive0' 'No such file'

# The allowed directories of the top image apply to the names in its backing files as well.
write_middle() {
	create backing "$W/backing/vm/sub/mid" "../$1" && create backing "$W/backing/vm/top.qcow2" sub/mid qcow2
}
layered() { write_middle good && matches "$W/backing/vm/top.qcow2" plain; }
layered_out() { write_middle ../out/secret && refused_within "$W/backing/vm/top.qcow2" 'lies outside'; }
layered_allowed() {
	write_middle ../out/secret && matches "$W/backing/vm/top.qcow2" plain -o allow="$W/backing/out"
}
check "a backing file's backing file" layered
check "a backing file's backing file outside" layered_out
check "a backing file's backing file outside, with allow=" layered_allowed

# Loops, and chains with too many images or extents.
loops() {
	local kind=$1 dir=$W/loop-$1 format=$2
	mkdir "$dir"
	create "$kind" "$dir/a" b "$format" && create "$kind" "$dir/b" a "$format"
	check "$kind: a loop of two" refused_within "$dir/a" 'loops'
	create "$kind" "$dir/a" sub/link "$format"
	create "$kind" "$dir/b" hard "$format"
	create "$kind" "$dir/c" a "$format"
	mkdir "$dir/sub"
	ln -s ../b "$dir/sub/link"
	ln "$dir/c" "$dir/hard"
	check "$kind: a loop of three, through symbolic and hard links" refused_within "$dir/a" 'loops'
}
loops backing qcow2
loops hint vmdk

# heap KIND POS FORMAT LAST: builds a chain in which N names N+1; the names have the same length, so N+1 is a copy
# of N with the name at POS overwritten.
heap() {
	local kind=$1 at=$2 dir=$W/heap-$1 i
	mkdir "$dir"
	create "$kind" "$dir/layer-000" layer-001 "$3"
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
create hint heap-where layer-001
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

# Settings: directories that are allowed in every run.
mkdir -p "$W/pool/base" "$W/pool/overlay" "$W/home/.config" "$W/config"
cp parent.qcow2 "$W/pool/base/base.qcow2"
qemu-img create -q -f qcow2 -b "$W/pool/base/base.qcow2" -F qcow2 "$W/pool/overlay/vm.qcow2"
conf() { printf '%b' "$1" >"$W/config/vdiskfs.conf"; }
with_conf() { XDG_CONFIG_HOME=$W/config "$@"; }
reads_overlay() { "$VDISK" compare -f qcow2 "$W/pool/overlay/vm.qcow2" -F raw "$W/plain"; }
shows_overlay() {
	"$VDISKFS" "$W/pool/overlay/vm.qcow2" "$W/mnt" || return 1
	cmp "$W/mnt/disk.raw" "$W/plain"
	local status=$?
	unmount "$W/mnt"
	return $status
}
mkdir -p "$W/mnt"
check_not "settings: without them the base is refused" reads_overlay
check "settings: the hint names the file" eval 'reads_overlay 2>&1 | grep -q "\"allow = DIR\" in ~/.config/vdiskfs.conf"'
conf "# bases\n\n  allow =  $W/pool/base \r\nallow=$W/pool/not-mounted\n"
check "settings: vdisk reads a base of an allowed directory" with_conf reads_overlay
check "settings: vdiskfs shows it" with_conf shows_overlay
check "settings: create -b" with_conf "$VDISK" create -q -f qcow2 -b "$W/pool/base/base.qcow2" -F qcow2 "$W/pool/overlay/new.qcow2"
conf "allow=$W/pool/overlay"
check_not "settings: another directory is not enough" with_conf reads_overlay
check "settings: VDISK_ALLOW" env VDISK_ALLOW="/nowhere::$W/pool/base" "$VDISK" compare "$W/pool/overlay/vm.qcow2" -F raw "$W/plain"
cp "$W/config/vdiskfs.conf" "$W/home/.config/"
printf 'allow = %s\n' "$W/pool/base" >"$W/home/.config/vdiskfs.conf"
check "settings: the file in ~/.config" env -u XDG_CONFIG_HOME HOME="$W/home" "$VDISK" compare "$W/pool/overlay/vm.qcow2" -F raw "$W/plain"
# is_complained TEXT: the message names the file, the line and the fault.
is_complained() { ! with_conf reads_overlay 2>conf.err && grep -F "config/vdiskfs.conf: line 2: $1" conf.err; }
for line in 'allow = base|"base" is no absolute path' 'allows = /|there is no setting "allows"' '/srv|"/srv" is not "allow = DIR"' \
	'allow =|"" is no absolute path'; do
	conf "#\n${line%|*}\n"
	check "settings: ${line%|*}" is_complained "${line#*|}"
done
conf "#\nallow = base\n"
check_not "settings: vdiskfs refuses them, too" with_conf "$VDISKFS" "$W/pool/overlay/vm.qcow2" "$W/mnt"
head -c 70000 /dev/zero | tr '\0' '#' >"$W/config/vdiskfs.conf"
check_not "settings: a large file" with_conf reads_overlay
rm "$W/config/vdiskfs.conf"
mkfifo "$W/config/vdiskfs.conf"
check_not "settings: a FIFO" with_conf reads_overlay
