#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Differences of VirtualBox, which know their parents by UUIDs: machines with snapshots, files that
# moved, wrong ones in the way, and how far the search goes.  The images are those of mkimage; how
# files lie round them is made here.
. "${0%/*}/functions.sh"
. "$here/images.sh"
. "$here/hostile.sh"
requires qemu-img xxd jq

uuid_of() {
	local h
	h=$(xxd -p -c 32 -s 392 -l 16 "$1")
	printf '%s-%s-%s-%s-%s\n' "${h:6:2}${h:4:2}${h:2:2}${h:0:2}" "${h:10:2}${h:8:2}" "${h:14:2}${h:12:2}" \
		"${h:16:4}" "${h:20:12}"
}

"$MKIMAGE" vdi-child-three .
top=vdi-child-three.vdi middle=vdi-child-three-middle.vdi base=vdi-child-three-base.vdi ref=$W/vdi-child-three.raw
top_id=$(uuid_of $top) middle_id=$(uuid_of $middle) base_id=$(uuid_of $base)

# A machine as VirtualBox keeps it: machine DIR [FOLDER]
machine() {
	local dir=$1 folder=${2:-Snapshots}
	rm -rf "$dir"
	mkdir -p "$dir/$folder"
	cp $base "$dir/disk.vdi"
	cp $middle "$dir/$folder/{$middle_id}.vdi"
	cp $top "$dir/$folder/{$top_id}.vdi"
	describe "$dir/vm.vbox" "$folder" disk.vdi "$folder/{$middle_id}.vdi" "$folder/{$top_id}.vdi"
}
# describe FILE FOLDER BASE MIDDLE TOP [PROPERTY]
describe() {
	cat >"$1" <<-EOF
		<?xml version="1.0"?>
		<VirtualBox xmlns="http://www.virtualbox.org/" version="1.19-linux">
		  <Machine uuid="{aaaaaaaa-0000-4000-8000-000000000000}" name="vm" snapshotFolder="$2">
		    <MediaRegistry>
		      <HardDisks>
		        <HardDisk uuid="{$base_id}" location="$3" format="VDI" type="Normal">
		          ${6:-}
		          <HardDisk uuid="{$middle_id}" location="$4" format="VDI">
		            <HardDisk uuid="{$top_id}" location="$5" format="VDI"/>
		          </HardDisk>
		        </HardDisk>
		      </HardDisks>
		    </MediaRegistry>
		  </Machine>
		</VirtualBox>
	EOF
}
on_three() { # DIR: what is shown stands on two parents
	[ "$(find "$1/chain" -mindepth 1 -maxdepth 1 | wc -l)" = 3 ] && same "$1/disk.raw" "$ref" &&
		jq -e --arg id "$middle_id" '."format-specific".data | ."create-type" == "differencing" and ."parent-uuid" == $id' \
			"$1/info.json" >/dev/null
}

machine vm
check "a machine with snapshots" on_mount "vm/Snapshots/{$top_id}.vdi" on_three
(cd vm/Snapshots && check "from inside the folder" on_mount "{$top_id}.vdi" on_three)
ln -s "vm/Snapshots/{$top_id}.vdi" link.vdi
check "through a link" on_mount link.vdi on_three
rm vm/vm.vbox
check "without its description" on_mount "vm/Snapshots/{$top_id}.vdi" on_three
mv vm/disk.vdi "vm/any name.VDI"
check "with another name" on_mount "vm/Snapshots/{$top_id}.vdi" on_three
mv "vm/any name.VDI" vm/disk.bin
check "which has to be one of an image" refused "vm/Snapshots/{$top_id}.vdi" "$base_id} was not found"
describe vm/vm.vbox-prev Snapshots disk.bin x.vdi y.vdi
check "but where a description tells it" on_mount "vm/Snapshots/{$top_id}.vdi" on_three

machine vm Frozen
check "a folder of another name" on_mount "vm/Frozen/{$top_id}.vdi" on_three
rm vm/vm.vbox
check "which nobody knows then" refused "vm/Frozen/{$top_id}.vdi" "$base_id} was not found in $W/vm/Frozen"

machine vm
describe vm/vm.vbox Snapshots 'F:/VMs/vm/disk.vdi' "F:\\VMs\\vm\\Snapshots\\{$middle_id}.vdi" x
check "a machine from Windows" on_mount "vm/Snapshots/{$top_id}.vdi" on_three
describe vm/vm.vbox Snapshots disk.vdi x y '<Property name="CRYPT/KeyId" value="vm"/>'
check "an encrypted one" refused "vm/Snapshots/{$top_id}.vdi" 'encrypted by VirtualBox'
check "its base" refused vm/disk.vdi 'encrypted by VirtualBox'
cp -r vm/Snapshots elsewhere
check "a copy that was taken away has no base" refused "elsewhere/{$top_id}.vdi" "$base_id} was not found in $W/elsewhere"
check "and its base is encrypted still" refused "elsewhere/{$top_id}.vdi" 'encrypted by VirtualBox' -o search="$W/vm"

# The wrong ones first: another disk under the right name, the right one from another time.
machine vm
rm vm/vm.vbox
cp vm/disk.vdi vm/zz.vdi
patch vm/disk.vdi 392 00
check "the right name, another UUID" on_mount "vm/Snapshots/{$top_id}.vdi" on_three
cp vm/zz.vdi vm/aa.vdi
patch vm/aa.vdi 408 00
qemu-io -f raw -c 'write -q -P 9 64k 64k' vm/aa.vdi
check "the right UUID, another time" on_mount "vm/Snapshots/{$top_id}.vdi" on_three
rm vm/zz.vdi
check "and none that is right" refused "vm/Snapshots/{$top_id}.vdi" 'aa.vdi was changed after'
stale_is_shown() { jq -e '."full-backing-filename" | endswith("aa.vdi")' "$1/chain/1-{$middle_id}.vdi/info.json" >/dev/null; }
mount_with=(-o ignore_parent_id)
check "taken all the same" on_mount "vm/Snapshots/{$top_id}.vdi" stale_is_shown
mount_with=()
mv vm/disk.vdi vm/other.vdi
printf 'no image' >vm/Snapshots/aa.vdi
mkfifo vm/Snapshots/fifo.vdi vm/fifo.vdi vm/fifo.vbox
cp $base vm/right.vdi
check "a FIFO, and what is no image" on_mount "vm/Snapshots/{$top_id}.vdi" on_three

# How far it goes.
rm -rf vm
machine deep/vm
mv deep/vm/disk.vdi deep/disk.vdi
for place in ../disk.vdi "$W/deep/disk.vdi" link.vdi; do
	rm -f deep/vm/link.vdi
	ln -s ../disk.vdi deep/vm/link.vdi
	describe deep/vm/vm.vbox Snapshots "$place" x y
	check "a base that is registered as ${place#"$W/"} stays closed" \
		refused "deep/vm/Snapshots/{$top_id}.vdi" 'lies outside'
	check "and is opened with allow=" matches "deep/vm/Snapshots/{$top_id}.vdi" "$ref" -o allow="$W/deep"
done
rm deep/vm/vm.vbox
check "two directories above is too far" refused "deep/vm/Snapshots/{$top_id}.vdi" "$base_id} was not found"
mv deep/disk.vdi deep/vm/disk.vdi
mv deep/vm/Snapshots deep/vm/Others
check "one is, if the folder is not of snapshots" refused "deep/vm/Others/{$top_id}.vdi" "$base_id} was not found"
check "but with search=" matches "deep/vm/Others/{$top_id}.vdi" "$ref" -o search="$W/deep/vm"
check "the whole machine in one directory" on_mount "$top" on_three

# A child in the folder of snapshots can name no file of the machine's folder, but have its parent.
mkdir -p guard/Snapshots
qemu-img create -q -f raw guard/secret 1M
printf '%s\n' '# Disk DescriptorFile' version=1 CID=00000001 parentCID=ffffffff 'createType="monolithicFlat"' \
	'RW 2048 FLAT "../secret" 0' >guard/Snapshots/reach.vmdk
check "names stay below their own directory" refused guard/Snapshots/reach.vmdk 'lies outside'

crowd() { # N COMMAND...
	machine crowd
	rm crowd/vm.vbox
	seq -f 'filler%.0f.vdi' "$1" >crowd/names
	# shellcheck disable=SC2016
	(cd crowd/Snapshots && head -c 512 "{$middle_id}.vdi" >../filler &&
		xargs -a ../names sh -c 'tee "$@" <../filler >/dev/null' _)
	"${@:2}"
}
check "5000 files in the way" crowd 5000 refused "crowd/Snapshots/{$top_id}.vdi" 'not found among the first'
check "1000 files in the way" crowd 1000 on_mount "crowd/Snapshots/{$top_id}.vdi" on_three

# While a program writes to it, the parent is not taken; what else lies there is left alone.
machine vm
cp vm/disk.vdi vm/neighbour.vdi
patch vm/neighbour.vdi 392 00
qemu_holds() { # FILE COMMAND...: runs it while QEMU has the file open for writing
	local file=$1 pid status
	shift
	rm -f held
	mkfifo held
	qemu-io -f raw "$file" <held >/dev/null 2>&1 &
	pid=$!
	exec 9>held
	echo 'write -P 0 0 0' >&9
	until grep -q "OFDLCK" "/proc/$pid/fdinfo/"* 2>/dev/null; do kill -0 $pid || break; done
	"$@"
	status=$?
	exec 9>&-
	wait $pid
	return $status
}
check "a neighbour that is in use is no matter" qemu_holds vm/neighbour.vdi on_mount "vm/Snapshots/{$top_id}.vdi" on_three
check "a parent that is in use is" qemu_holds vm/disk.vdi refused "vm/Snapshots/{$top_id}.vdi" 'in use for writing'

# What is opened, by the kernel's account.
trace_child() {
	mkdir -p refused-dir
	timeout "$patience" strace -f -qq -s 4096 -e trace=%network,%file -o trace "$VDISKFS" "$1" "$W/refused-dir" 2>/dev/null
	[ $? = 1 ] && [ -s trace ]
}
only_below() { # DIR: nothing of the scratch directory was opened elsewhere
	! grep -E 'open(at2?)?\(' trace | grep -E '= [0-9]+$' | grep -F "\"$W/" | grep -vF "\"$W/$1" |
		grep -vF "\"$W/refused-dir" && ! grep -E '(socket|connect)\(' trace
}
not_opened() { ! grep -E 'open(at2?)?\(' trace | grep -E '= [0-9]+$' | grep -F "$1"; } # END-OF-PATH
if [ -n "$sanitized" ] || ! strace -o trace true; then
	skip "system calls: strace cannot trace here"
else
	machine deep/vm
	describe deep/vm/vm.vbox Snapshots ../disk.vdi x y
	mv deep/vm/disk.vdi deep/disk.vdi
	check "a parent outside is refused" trace_child "deep/vm/Snapshots/{$top_id}.vdi"
	check "and nothing outside was opened" only_below deep/vm
	# Nor is anything outside listed, whatever a description calls its folder of snapshots.
	for folder in ../others "$W/deep/others" others/../../others; do
		machine deep/vm
		mkdir -p deep/others deep/vm/others
		mv "deep/vm/Snapshots/{$middle_id}.vdi" deep/others/middle.vdi
		mv "deep/vm/Snapshots/{$top_id}.vdi" deep/vm/top.vdi
		describe deep/vm/vm.vbox "$folder" disk.vdi gone.vdi y
		check "a folder called ${folder#"$W/"}" trace_child deep/vm/top.vdi
		check "is not listed" not_opened 'others"'
	done
	rm -r deep/vm
	machine deep/vm
	mv deep/vm/disk.vdi deep/others/disk.vdi
	mv deep/vm/Snapshots/*"$top_id"* deep/vm/top.vdi
	rm -r deep/vm/Snapshots deep/vm/vm.vbox
	ln -s ../others deep/vm/Snapshots
	check "a folder that is a link" trace_child deep/vm/top.vdi
	check "is not listed either" not_opened 'vm/Snapshots"'
fi
