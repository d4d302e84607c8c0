#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Differencing images of VirtualBox, which identify their parents by UUID: machines with snapshots, moved files,
# wrong candidates, and the limits of the search.  mkimage makes the images; the directories are made here.
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

# machine DIR [FOLDER]: creates the directory of a machine with two snapshots, as VirtualBox does.
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
has_two_parents() { # DIR: the mount shows a disk with two parents
	[ "$(find "$1/chain" -mindepth 1 -maxdepth 1 | wc -l)" = 3 ] && same "$1/disk.raw" "$ref" &&
		jq -e --arg id "$middle_id" '."format-specific".data | ."create-type" == "differencing" and ."parent-uuid" == $id' \
			"$1/info.json" >/dev/null
}

machine vm
check "a machine with snapshots" on_mount "vm/Snapshots/{$top_id}.vdi" has_two_parents
(cd vm/Snapshots && check "from inside the folder of snapshots" on_mount "{$top_id}.vdi" has_two_parents)
ln -s "vm/Snapshots/{$top_id}.vdi" link.vdi
check "through a symbolic link" on_mount link.vdi has_two_parents
rm vm/vm.vbox
check "a machine without its .vbox file" on_mount "vm/Snapshots/{$top_id}.vdi" has_two_parents
mv vm/disk.vdi "vm/any name.VDI"
check "a base with another name" on_mount "vm/Snapshots/{$top_id}.vdi" has_two_parents
mv "vm/any name.VDI" vm/disk.bin
check "a base with an unknown suffix is not found" refused "vm/Snapshots/{$top_id}.vdi" "$base_id} was not found"
describe vm/vm.vbox-prev Snapshots disk.bin x.vdi y.vdi
check "a base with an unknown suffix is found through the .vbox file" on_mount "vm/Snapshots/{$top_id}.vdi" has_two_parents

machine vm Frozen
check "a folder of snapshots with another name" on_mount "vm/Frozen/{$top_id}.vdi" has_two_parents
rm vm/vm.vbox
check "a folder of snapshots with another name, without the .vbox file" refused "vm/Frozen/{$top_id}.vdi" "$base_id} was not found in $W/vm/Frozen"

machine vm
describe vm/vm.vbox Snapshots 'F:/VMs/vm/disk.vdi' "F:\\VMs\\vm\\Snapshots\\{$middle_id}.vdi" x
check "a machine with Windows paths" on_mount "vm/Snapshots/{$top_id}.vdi" has_two_parents
describe vm/vm.vbox Snapshots disk.vdi x y '<Property name="CRYPT/KeyId" value="vm"/>'
check "a snapshot of an encrypted machine" refused "vm/Snapshots/{$top_id}.vdi" 'encrypted by VirtualBox'
check "the base of an encrypted machine" refused vm/disk.vdi 'encrypted by VirtualBox'
cp -r vm/Snapshots elsewhere
check "a copy in another directory has no base" refused "elsewhere/{$top_id}.vdi" "$base_id} was not found in $W/elsewhere"
check "a copy with search= detects that the base is encrypted" refused "elsewhere/{$top_id}.vdi" 'encrypted by VirtualBox' -o search="$W/vm"

# Wrong candidates first: another disk with the right name, and the right disk with another modification UUID.
machine vm
rm vm/vm.vbox
cp vm/disk.vdi vm/zz.vdi
patch vm/disk.vdi 392 00
check "a base with the right name and another UUID is skipped" on_mount "vm/Snapshots/{$top_id}.vdi" has_two_parents
cp vm/zz.vdi vm/aa.vdi
patch vm/aa.vdi 408 00
qemu-io -f raw -c 'write -q -P 9 64k 64k' vm/aa.vdi
check "a base with the right UUID and another modification UUID is skipped" on_mount "vm/Snapshots/{$top_id}.vdi" has_two_parents
rm vm/zz.vdi
check "a base with another modification UUID is named if no other is found" refused "vm/Snapshots/{$top_id}.vdi" 'aa.vdi was changed after'
stale_is_shown() { jq -e '."full-backing-filename" | endswith("aa.vdi")' "$1/chain/1-{$middle_id}.vdi/info.json" >/dev/null; }
mount_with=(-o ignore_parent_id)
check "a base with another modification UUID, with ignore_parent_id" on_mount "vm/Snapshots/{$top_id}.vdi" stale_is_shown
mount_with=()
mv vm/disk.vdi vm/other.vdi
printf 'no image' >vm/Snapshots/aa.vdi
mkfifo vm/Snapshots/fifo.vdi vm/fifo.vdi vm/fifo.vbox
cp $base vm/right.vdi
check "a FIFO and a file that is not an image are skipped" on_mount "vm/Snapshots/{$top_id}.vdi" has_two_parents

# The limits of the search.
rm -rf vm
machine deep/vm
mv deep/vm/disk.vdi deep/disk.vdi
for place in ../disk.vdi "$W/deep/disk.vdi" link.vdi; do
	rm -f deep/vm/link.vdi
	ln -s ../disk.vdi deep/vm/link.vdi
	describe deep/vm/vm.vbox Snapshots "$place" x y
	check "a base that is registered as ${place#"$W/"} is refused" \
		refused "deep/vm/Snapshots/{$top_id}.vdi" 'lies outside'
	check "a base that is registered as ${place#"$W/"}, with allow=" matches "deep/vm/Snapshots/{$top_id}.vdi" "$ref" -o allow="$W/deep"
done
rm deep/vm/vm.vbox
check "a base two directories above is not found" refused "deep/vm/Snapshots/{$top_id}.vdi" "$base_id} was not found"
mv deep/disk.vdi deep/vm/disk.vdi
mv deep/vm/Snapshots deep/vm/Others
check "the parent directory is searched only from a folder of snapshots" refused "deep/vm/Others/{$top_id}.vdi" "$base_id} was not found"
check "the parent directory with search=" matches "deep/vm/Others/{$top_id}.vdi" "$ref" -o search="$W/deep/vm"
check "all images in one directory" on_mount "$top" has_two_parents

# The parent directory of a folder of snapshots is searched for parents, but names in an image may not lead there.
mkdir -p guard/Snapshots
qemu-img create -q -f raw guard/secret 1M
printf '%s\n' '# Disk DescriptorFile' version=1 CID=00000001 parentCID=ffffffff 'createType="monolithicFlat"' \
	'RW 2048 FLAT "../secret" 0' >guard/Snapshots/reach.vmdk
check "an extent name may not lead to the parent directory" refused guard/Snapshots/reach.vmdk 'lies outside'

crowd() { # N COMMAND...
	machine crowd
	rm crowd/vm.vbox
	seq -f 'filler%.0f.vdi' "$1" >crowd/names
	# shellcheck disable=SC2016
	(cd crowd/Snapshots && head -c 512 "{$middle_id}.vdi" >../filler &&
		xargs -a ../names sh -c 'tee "$@" <../filler >/dev/null' _)
	"${@:2}"
}
check "5000 other files: the search gives up" crowd 5000 refused "crowd/Snapshots/{$top_id}.vdi" 'not found among the first'
check "1000 other files: the parent is found" crowd 1000 on_mount "crowd/Snapshots/{$top_id}.vdi" has_two_parents

# A parent that a program writes is refused; the locks of other candidates are not examined.
machine vm
cp vm/disk.vdi vm/neighbour.vdi
patch vm/neighbour.vdi 392 00
while_qemu_writes() { # FILE COMMAND...: runs it while QEMU has the file open for writing
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
check "another image in the directory is in use" while_qemu_writes vm/neighbour.vdi on_mount "vm/Snapshots/{$top_id}.vdi" has_two_parents
check "the parent is in use" while_qemu_writes vm/disk.vdi refused "vm/Snapshots/{$top_id}.vdi" 'in use for writing'

# The files that are opened, traced by strace.
trace_child() {
	mkdir -p refused-dir
	timeout "$patience" strace -f -qq -s 4096 -e trace=%network,%file -o trace "$VDISKFS" "$1" "$W/refused-dir" 2>/dev/null
	[ $? = 1 ] && [ -s trace ]
}
only_below() { # DIR: no file of the scratch directory outside of DIR was opened
	! grep -E 'open(at2?)?\(' trace | grep -E '= [0-9]+$' | grep -F "\"$W/" | grep -vF "\"$W/$1" |
		grep -vF "\"$W/refused-dir" && ! grep -E '(socket|connect)\(' trace
}
not_opened() { ! grep -E 'open(at2?)?\(' trace | grep -E '= [0-9]+$' | grep -F "$1"; } # END-OF-PATH
if [ -n "$sanitized" ] || ! strace -o trace true; then
	skip "system calls: strace does not work"
else
	machine deep/vm
	describe deep/vm/vm.vbox Snapshots ../disk.vdi x y
	mv deep/vm/disk.vdi deep/disk.vdi
	check "a parent outside is refused" trace_child "deep/vm/Snapshots/{$top_id}.vdi"
	check "no file outside was opened" only_below deep/vm
	# A folder of snapshots outside the machine's directory is not listed.
	for folder in ../others "$W/deep/others" others/../../others; do
		machine deep/vm
		mkdir -p deep/others deep/vm/others
		mv "deep/vm/Snapshots/{$middle_id}.vdi" deep/others/middle.vdi
		mv "deep/vm/Snapshots/{$top_id}.vdi" deep/vm/top.vdi
		describe deep/vm/vm.vbox "$folder" disk.vdi gone.vdi y
		check "the folder of snapshots is registered as ${folder#"$W/"}: refused" trace_child deep/vm/top.vdi
		check "the folder of snapshots is registered as ${folder#"$W/"}: not listed" not_opened 'others"'
	done
	rm -r deep/vm
	machine deep/vm
	mv deep/vm/disk.vdi deep/others/disk.vdi
	mv deep/vm/Snapshots/*"$top_id"* deep/vm/top.vdi
	rm -r deep/vm/Snapshots deep/vm/vm.vbox
	ln -s ../others deep/vm/Snapshots
	check "the folder of snapshots is a symbolic link: refused" trace_child deep/vm/top.vdi
	check "the folder of snapshots is a symbolic link: not listed" not_opened 'vm/Snapshots"'
fi
