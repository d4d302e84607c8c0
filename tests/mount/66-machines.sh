#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Machines of VMware and VirtualBox in a directory: each disk is listed once, with the snapshots of the machine as
# a tree, and the list follows changes of the machine.
. "${0%/*}/functions.sh"
. "$here/images.sh"
. "$here/hostile.sh"
requires qemu-img qemu-io xxd getfattr

holds() {
	local dir=$1
	shift
	[ "$(ls "$dir")" = "$(printf '%s\n' "$@")" ] || { ls -l "$dir" >&2; return 1; }
}

# VMware: a disk with the snapshots one, two on one, and three/x on one; the current state is based on three/x.  A
# second disk was added last.  As on ESX, each image is a descriptor and an extent.

mkdir -p all/vmware
cd all/vmware || exit 1
write() { qemu-io -f vmdk -c "write -P $2 $3 64k" "$1" >/dev/null; }
child() { qemu-img create -q -f vmdk -F vmdk -b "$1" "$2"; }
qemu-img create -q -f vmdk -o subformat=monolithicFlat d.vmdk 4M
write d.vmdk 1 0
child d.vmdk d-000001.vmdk
write d-000001.vmdk 2 64k
child d-000001.vmdk d-000002.vmdk
write d-000002.vmdk 3 128k
child d-000001.vmdk d-000003.vmdk
write d-000003.vmdk 4 128k
child d-000003.vmdk d-000004.vmdk
write d-000004.vmdk 5 0
qemu-img create -q -f vmdk -o subformat=twoGbMaxExtentSparse e.vmdk 2M
write e.vmdk 6 0
for f in d d-000001 d-000002 d-000003 d-000004 e; do qemu-img convert -f vmdk -O raw $f.vmdk "$W/$f.ref"; done
cat >vm.vmx <<-'VMX'
	.encoding = "UTF-8"
	config.version = "8"
	displayName = "A |22machine|22"
	scsi0.present = "TRUE"
	scsi0:0.present = "TRUE"
	scsi0:0.fileName = "d-000004.vmdk"
	scsi0:1.present = "TRUE"
	scsi0:1.fileName = "e.vmdk"
	ide1:0.present = "TRUE"
	ide1:0.deviceType = "cdrom-image"
	ide1:0.fileName = "auto detect"
VMX
shot() { # NUMBER UID PARENT NAME FILE
	printf 'snapshot%s.uid = "%s"\nsnapshot%s.parent = "%s"\nsnapshot%s.displayName = "%s"\n' "$1" "$2" "$1" "$3" "$1" "$4"
	printf 'snapshot%s.createTimeHigh = "399426"\nsnapshot%s.createTimeLow = "-1284590752"\n' "$1" "$1"
	printf 'snapshot%s.numDisks = "1"\nsnapshot%s.disk0.fileName = "%s"\nsnapshot%s.disk0.node = "scsi0:0"\n' \
		"$1" "$1" "$5" "$1"
}
{
	printf '.encoding = "UTF-8"\nsnapshot.lastUID = "3"\nsnapshot.current = "3"\nsnapshot.numSnapshots = "3"\n'
	shot 0 1 0 one d.vmdk
	shot 1 2 1 two d-000002.vmdk
	shot 2 3 1 'three/x' d-000003.vmdk
} >vm.vmsd
cd "$W" || exit 1
same_disk() { cmp "$1/disk.raw" "$2.ref"; }
vmware() {
	local d=$1/vmware/d.vmdk
	holds "$1/vmware" d.vmdk e.vmdk volumes && holds "$d" chain disk.raw export info.json snapshots &&
		holds "$d/snapshots" one && holds "$d/snapshots/one" disk.raw export info.json snapshots &&
		holds "$d/snapshots/one/snapshots" 'three%2Fx' two && same_disk "$d" d-000004 &&
		same_disk "$d/snapshots/one" d && same_disk "$d/snapshots/one/snapshots/two" d-000002 &&
		same_disk "$d/snapshots/one/snapshots/three%2Fx" d-000003 && same_disk "$1/vmware/e.vmdk" e &&
		[ ! -e "$1/vmware/e.vmdk/snapshots" ] &&
		holds "$d/snapshots/one/snapshots/two/chain" 0-d-000002.vmdk 1-d-000001.vmdk 2-d.vmdk &&
		[ "$(stat -c %Y "$d/snapshots/one" "$d/snapshots/one/disk.raw" | sort -u)" = 1715524617 ] &&
		[ "$(getfattr --only-values -n user.vdisk.layer "$d/snapshots/one/snapshots/two/disk.raw")" = 0-d-000002.vmdk ]
}
check "a VMware machine" on_mount all vmware
mkdir copy
cp -r all/vmware copy/
sed -i 's,fileName = "d,fileName = "/vmfs/volumes/5f/vm/d,' copy/vmware/vm.vm*
check "a VMware machine with the paths of another host" on_mount copy vmware
cp -r all/vmware/. copy/flat
on_its_own() { holds "$1" d.vmdk e.vmdk volumes && same_disk "$1/d.vmdk/snapshots/one" d; }
check "a VMware machine's directory as mount root" on_mount copy/flat on_its_own
no_vmsd() {
	holds "$1/d.vmdk" chain disk.raw export info.json && same_disk "$1/d.vmdk" d-000004 &&
		holds "$1" d-000002.vmdk d.vmdk e.vmdk volumes
}
rm copy/flat/vm.vmsd
check "a VMware machine without .vmsd" on_mount copy/flat no_vmsd
no_vmx() { holds "$1" d-000001.vmdk d-000002.vmdk d-000003.vmdk d-000004.vmdk d.vmdk e.vmdk volumes && same_disk "$1/d.vmdk" d; }
rm copy/flat/vm.vmx
check "images without .vmx and .vmsd" on_mount copy/flat no_vmx

# A snapshot is taken while the directory is mounted.
follows_new_snapshot() {
	local d=$1/vmware/d.vmdk
	same_disk "$d" d-000004 && same_disk "$d/snapshots/one" d && (
		cd all/vmware && child d-000004.vmdk d-000005.vmdk && write d-000005.vmdk 9 0 &&
			{ cat vm.vmsd && shot 3 4 3 four d-000004.vmdk; } >new && mv new vm.vmsd &&
			sed 's/d-000004/d-000005/' vm.vmx >new && mv new vm.vmx
	) && eventually same_disk "$d/snapshots/one/snapshots/three%2Fx/snapshots/four" d-000004 &&
		eventually begins_with "$d/disk.raw" 09 && holds "$1/vmware" d.vmdk e.vmdk volumes && same_disk "$d/snapshots/one" d
}
begins_with() { [ "$(head -c 1 "$1" | xxd -p)" = "$2" ]; }
check "a snapshot taken during the mount is listed" on_mount all follows_new_snapshot

# One missing or damaged file.
broken_piece() {
	local d=$1/vmware/d.vmdk
	grep -q 'd-000002' "$d/snapshots/one/snapshots/two/error.txt" && same_disk "$d/snapshots/one" d &&
		same_disk "$d/snapshots/one/snapshots/three%2Fx" d-000003
}
rm copy/vmware/d-000002.vmdk
check "a snapshot with a missing file has error.txt" on_mount copy broken_piece
bad_vmsd() { holds "$1/vmware" d-000002.vmdk d.vmdk e.vmdk volumes; }
cp all/vmware/d-000002.vmdk copy/vmware/
printf 'snapshot0.uid = "1"\n\0' >copy/vmware/vm.vmsd
check "a damaged .vmsd is ignored" on_mount copy bad_vmsd
loop_is_cut() { find "$1" -name info.json >all.txt && [ "$(grep -c snapshots all.txt)" -lt 40 ] && same_disk "$1/vmware/d.vmdk" d-000004; }
{ shot 0 1 2 a d.vmdk; shot 1 2 1 b d-000001.vmdk; shot 2 3 3 c d-000002.vmdk; } >copy/vmware/vm.vmsd
check "snapshots whose parents form a loop" on_mount copy loop_is_cut

# VirtualBox: a machine with mkimage's chain of three images.

uuid_of() {
	local h
	h=$(xxd -p -c 32 -s 392 -l 16 "$1")
	printf '%s-%s-%s-%s-%s\n' "${h:6:2}${h:4:2}${h:2:2}${h:0:2}" "${h:10:2}${h:8:2}" "${h:14:2}${h:12:2}" \
		"${h:16:4}" "${h:20:12}"
}
attached() { # UUID
	echo "<StorageControllers><StorageController name=\"SATA\"><AttachedDevice type=\"HardDisk\" port=\"0\" device=\"0\">
		<Image uuid=\"{$1}\"/></AttachedDevice></StorageController></StorageControllers>"
}
# describe BASE-FILE FOLDER BASE MIDDLE TOP: prints a .vbox file with two snapshots, the second on the first.
describe() {
	cat <<-EOF
		<?xml version="1.0"?>
		<VirtualBox xmlns="http://www.virtualbox.org/" version="1.19-linux">
		<Machine uuid="{aaaaaaaa-0000-4000-8000-000000000000}" name="vm" currentSnapshot="{22222222-0000-4000-8000-000000000000}">
		<MediaRegistry><HardDisks><HardDisk uuid="{$3}" location="$1" format="VDI" type="Normal">
		<HardDisk uuid="{$4}" location="$2{$4}.vdi" format="VDI"><HardDisk uuid="{$5}" location="$2{$5}.vdi" format="VDI"/>
		</HardDisk></HardDisk></HardDisks></MediaRegistry>
		<Snapshot uuid="{11111111-0000-4000-8000-000000000000}" name="before" timeStamp="2024-05-06T07:08:09Z">$(attached "$3")
		<Snapshots><Snapshot uuid="{22222222-0000-4000-8000-000000000000}" name="after" timeStamp="2024-05-07T07:08:09Z">
		$(attached "$4")</Snapshot></Snapshots></Snapshot>$(attached "$5")</Machine></VirtualBox>
	EOF
}
# machine DIR BASE MIDDLE TOP
machine() {
	mkdir -p "$1/Snapshots" "$1/Logs"
	echo log >"$1/Logs/VBox.log"
	base_id=$(uuid_of "$2") middle_id=$(uuid_of "$3") top_id=$(uuid_of "$4")
	cp "$2" "$1/disk.vdi"
	cp "$3" "$1/Snapshots/{$middle_id}.vdi"
	cp "$4" "$1/Snapshots/{$top_id}.vdi"
	describe disk.vdi Snapshots/ "$base_id" "$middle_id" "$top_id" >"$1/vm.vbox"
}
"$MKIMAGE" vdi-child-three .
machine boxes/vm vdi-child-three-base.vdi vdi-child-three-middle.vdi vdi-child-three.vdi
mv vdi-child-three.raw top.ref
copies() { cp "$2/disk.raw" "$1"; }
on_mount boxes/vm/disk.vdi copies base.ref
on_mount "boxes/vm/Snapshots/{$middle_id}.vdi" copies middle.ref
box() {
	local d=$1/vm/disk.vdi
	holds "$1/vm" disk.vdi && holds "$d" chain disk.raw export info.json snapshots && same_disk "$d" top &&
		holds "$d/snapshots" before && holds "$d/snapshots/before/snapshots" after &&
		same_disk "$d/snapshots/before" base && same_disk "$d/snapshots/before/snapshots/after" middle &&
		[ "$(stat -c %Y "$d/snapshots/before")" = 1714979289 ]
}
check "a VirtualBox machine" on_mount boxes box
describe 'F:\VMs\vm\disk.vdi' 'F:\VMs\vm\Snapshots\' "$base_id" "$middle_id" "$top_id" >boxes/vm/vm.vbox
check "a VirtualBox machine with Windows paths" on_mount boxes box
cp "$W/base.ref" boxes/vm/Snapshots/stray.img
stray() { holds "$1/vm" Snapshots disk.vdi && holds "$1/vm/Snapshots" stray.img && same_disk "$1/vm/disk.vdi" top; }
check "another disk's image in the folder of snapshots" on_mount boxes stray
rm boxes/vm/Snapshots/stray.img
# A medium is identified by its UUID: a renamed one is found, and another disk with its name is not used.
machine boxes/vm vdi-child-three-base.vdi vdi-child-three-middle.vdi vdi-child-three.vdi
renamed() {
	local d=$1/vm/old.vdi
	holds "$1/vm" disk.vdi old.vdi volumes && same_disk "$d" top && same_disk "$d/snapshots/before" base &&
		same_disk "$d/snapshots/before/snapshots/after" middle && same_disk "$1/vm/disk.vdi" top
}
mv boxes/vm/disk.vdi boxes/vm/old.vdi
mv "boxes/vm/Snapshots/{$middle_id}.vdi" boxes/vm/Snapshots/renamed.vdi
qemu-img convert -f raw -O vdi top.ref boxes/vm/disk.vdi
check "a VirtualBox machine with renamed files" on_mount boxes renamed
rm boxes/vm/disk.vdi
mkdir -p far/VMs/base
mv boxes/vm/old.vdi far/VMs/base/disk.vdi
describe /home/nobody/VMs/base/disk.vdi Snapshots/ "$base_id" "$middle_id" "$top_id" >boxes/vm/vm.vbox
base_is_refused() { grep -q 'lies outside' "$1/vm/disk.vdi/error.txt" && grep -q 'lies outside' "$1/vm/disk.vdi/snapshots/before/error.txt"; }
check "a base outside of the directory is refused" on_mount boxes base_is_refused
mount_with=(-o "allow=$W/far")
check "a base outside of the directory, with allow=" on_mount boxes box
mount_with=()
mv far/VMs/base/disk.vdi boxes/vm/

# A missing image does not hide the snapshots based on it, and opening it is tried again.
missing_id=00000000-0000-4000-8000-000000000000
missing_disk() {
	local d=$1/vm/disk.vdi
	grep -q "{$missing_id}" "$d/error.txt" && holds "$d" error.txt snapshots &&
		holds "$d/snapshots/before" error.txt snapshots && same_disk "$d/snapshots/before/snapshots/after" middle &&
		cp "boxes/vm/Snapshots/{$top_id}.vdi" "boxes/vm/Snapshots/{$missing_id}.vdi" &&
		cp boxes/vm/vm.vbox new && mv new boxes/vm/vm.vbox && eventually grep -q 'another one' "$d/error.txt" && same_disk "$d/snapshots/before/snapshots/after" middle &&
		rm "boxes/vm/Snapshots/{$missing_id}.vdi" &&
		describe disk.vdi Snapshots/ "$base_id" "$middle_id" "$top_id" >boxes/vm/vm.vbox &&
		eventually same_disk "$d" top && same_disk "$d/snapshots/before/snapshots/after" middle
}
describe disk.vdi Snapshots/ "$base_id" "$middle_id" "$top_id" |
	sed "/Image uuid=\"{$base_id}/s/$base_id/$missing_id/; /Image uuid=\"{$top_id}/s/$top_id/$missing_id/" >boxes/vm/vm.vbox
check "snapshots of a missing base and state" on_mount boxes missing_disk
mv boxes/vm/Snapshots/renamed.vdi "boxes/vm/Snapshots/{$middle_id}.vdi"
describe 'F:\VMs\vm\disk.vdi' 'F:\VMs\vm\Snapshots\' "$base_id" "$middle_id" "$top_id" >boxes/vm/vm.vbox
encrypted() { grep -q 'encrypted by VirtualBox' "$1/vm/disk.vdi/error.txt"; }
sed -i 's,type="Normal">,type="Normal"><Property name="CRYPT/KeyId" value="vm"/>,' boxes/vm/vm.vbox
check "an encrypted machine" on_mount boxes encrypted

# Paths in a description do not lead outside of its directory.
mkdir -p lies/inner lies/other
qemu-img create -q -f vmdk lies/other/secret.vmdk 1M
printf 'scsi0:0.fileName = "%s"\nscsi0:1.fileName = "../other/secret.vmdk"\n' "$W/lies/other/secret.vmdk" >lies/inner/vm.vmx
lies() { grep -q 'lies outside' "$1/inner/secret.vmdk/error.txt" && grep -q 'lies outside' "$1/inner/secret.vmdk~2/error.txt" && [ -e "$1/other/secret.vmdk/disk.raw" ]; }
check "files outside that a .vmx file names are refused" on_mount lies lies

# Images written by VirtualBox.
items=${VDISKFS_CORPUS:+$VDISKFS_CORPUS/items/n-vbox-diff-VDI-grandchild/files}
real_box() {
	local d=$1/real/disk.vdi
	holds "$1/real" disk.vdi && same_disk "$d" real-top && same_disk "$d/snapshots/before" real-base &&
		same_disk "$d/snapshots/before/snapshots/after" real-middle
}
if [ -n "$items" ] && [ -d "$items" ]; then
	machine real/real "$items/base.vdi" "$items/child.vdi" "$items/grandchild.vdi"
	for f in base:base middle:child top:grandchild; do
		on_mount "$items/${f#*:}.vdi" copies "real-${f%:*}.ref"
	done
	check "images written by VirtualBox" on_mount real real_box
else
	skip "images written by VirtualBox: no corpus"
fi
