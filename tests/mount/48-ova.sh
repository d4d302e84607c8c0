#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Packages: disks of all formats, in archives of GNU tar and beside descriptors; compressed, in chunks, of several
# files; right and wrong manifests.
. "${0%/*}/functions.sh"
. "$here/images.sh"
. "$here/hostile.sh"
requires qemu-img tar gzip split sha256sum getfattr jq xxd

some_data src 9M

# Parts of a descriptor, added in this order: file NAME [ATTRIBUTES], disk NUMBER-OF-FILE [ATTRIBUTES].
files='' disks='' nfiles=0 ndisks=0
begin() { files='' disks='' nfiles=0 ndisks=0; }
file() { files+="<File ovf:id=\"f$((++nfiles))\" ovf:href=\"$1\" ${2-}/>"; }
disk() { disks+="<Disk ovf:diskId=\"d$((++ndisks))\" ovf:fileRef=\"f$1\" ${2-}/>"; }
plain='ovf:format="http://en.wikipedia.org/wiki/Byte"'
describe() { # >FILE
	cat <<-OVF
		<?xml version="1.0" encoding="UTF-8"?>
		<Envelope xmlns="http://schemas.dmtf.org/ovf/envelope/1"
		 xmlns:ovf="http://schemas.dmtf.org/ovf/envelope/1"
		 xmlns:rasd="http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/CIM_ResourceAllocationSettingData">
		<References>$files</References>
		<DiskSection><Info>Disks</Info>$disks</DiskSection>
		<VirtualSystem ovf:id="vm"><Info>A machine</Info>
		<VirtualHardwareSection><Info>Its hardware</Info>
		<Item><rasd:InstanceID>3</rasd:InstanceID><rasd:ResourceType>6</rasd:ResourceType></Item>
		<Item><rasd:AddressOnParent>0</rasd:AddressOnParent><rasd:HostResource>ovf:/disk/d1</rasd:HostResource>
		<rasd:InstanceID>4</rasd:InstanceID><rasd:Parent>3</rasd:Parent><rasd:ResourceType>17</rasd:ResourceType></Item>
		</VirtualHardwareSection></VirtualSystem></Envelope>
	OVF
}

# one FILE [FILE-ATTRIBUTES [DISK-ATTRIBUTES]]: writes x.ovf with FILE as its disk.
one() {
	begin
	file "$1" "${2-}"
	disk 1 "${3-}"
	describe >x.ovf
}
# packed FILE...: creates x.ova of x.ovf and these files.
packed() { tar --format="${TAR_FORMAT:-gnu}" -cf x.ova x.ovf "$@"; }
shows() { check "$1" matches x.ova "${2:-src}"; } # NAME [REFERENCE]

# Disks of every format, in an archive and beside a descriptor.
try_format() { # NAME FILE QEMU-IMG-OPTION...
	local what=$1 file=$2
	shift 2
	qemu-img convert -q -f raw "$@" src "$file"
	one "$file" '' "$([ "${file##*.}" = raw ] && echo "$plain")"
	packed "$file"
	shows "$what in an archive"
	check "$what beside a descriptor" matches x.ovf src
	rm -f "${file%.*}"*
}
try_format "a streamOptimized VMDK" d.vmdk -O vmdk -o subformat=streamOptimized
try_format "a sparse VMDK" d.vmdk -O vmdk
try_format "a qcow2" d.qcow2 -O qcow2
try_format "a compressed qcow2" d.qcow2 -c -O qcow2
try_format "a VDI" d.vdi -O vdi
try_format "a VHD" d.vhd -O vpc -o force_size=on
try_format "a fixed VHD" d.vhd -O vpc -o subformat=fixed,force_size=on
try_format "a VHDX" d.vhdx -O vhdx
try_format "a QED" d.qed -O qed
try_format "a qcow" d.qcow -O qcow
try_format "a Parallels disk" d.hdd -O parallels
try_format "a raw disk" d.raw -O raw
qemu-img convert -q -f raw -O vmdk -o subformat=twoGbMaxExtentFlat src d.vmdk
one d.vmdk
packed d.vmdk d-f001.vmdk
shows "a VMDK of two members"
check "a COW overlay on a package is refused" refused x.ova 'overlay cannot be based on a disk in a package' -o cow
check "cow=FILE on a package is refused and leaves no file" eval 'refused x.ova "copy the disk out" -o "cow=$W/cow.qcow2" && [ ! -e cow.qcow2 ]'
check "a VMDK of two files" matches x.ovf src
packed d.vmdk
check "a VMDK whose extent is not in the archive" refused x.ova '"d-f001.vmdk" is not in the archive'

# Archives.
qemu-img convert -q -f raw -O vmdk -o subformat=streamOptimized src d.vmdk
one d.vmdk
for TAR_FORMAT in v7 ustar gnu oldgnu posix; do
	packed d.vmdk
	shows "tar --format=$TAR_FORMAT"
done
TAR_FORMAT=gnu
tar -cf x.ova d.vmdk x.ovf
shows "the descriptor last"
tar -cf x.ova ./x.ovf ./d.vmdk
shows "names that begin with ./"
mkdir -p vm
ln -f x.ovf d.vmdk vm
tar -cf x.ova vm
shows "a directory"
packed d.vmdk
echo junk >d2 && cp --remove-destination d2 d.vmdk && tar -rf x.ova d.vmdk
shows "the first of two members with one name"
ln -f vm/d.vmdk d.vmdk
tar -cf noname x.ovf d.vmdk
check "an archive without a suffix" matches noname src
tar -cf vm.tar d.vmdk x.ovf
check "an archive named .tar with the descriptor last" matches vm.tar src
tar -cf no.tar d.vmdk
check "an archive without a descriptor" refused no.tar 'a tar archive'
tar -b 1 -cf x.ova x.ovf d.vmdk
truncate -s -1024 x.ova
shows "an archive without end-of-archive blocks"
truncate -s -4096 x.ova
check "a truncated disk" refused x.ova 'x.ova: header at [0-9]+: member "d.vmdk" has'
long=$(printf 'n%.0s' {1..200}).vmdk
ln -f d.vmdk "$long"
one "$long"
for TAR_FORMAT in gnu posix; do
	packed "$long"
	shows "a long name, $TAR_FORMAT"
done
ln -f d.vmdk 'a disk.vmdk'
one 'a%20disk.vmdk'
packed 'a disk.vmdk'
shows "a percent-encoded name"
ln -f d.vmdk '100%.vmdk'
one '100%.vmdk'
packed '100%.vmdk'
shows "a name with a literal percent sign"
one d.vmdk
ln -sf d.vmdk link
packed d.vmdk link
check "a symbolic link" refused x.ova '"link" is a symbolic link'
ln -f d.vmdk hard
packed d.vmdk hard
check "tar writes a hard link" eval '[ "$(tar -tvf x.ova | grep -c "^h.* hard link to d.vmdk$")" = 1 ]'
check "a hard link" refused x.ova '"hard" is a link'
tar -P -cf x.ova x.ovf "$W/d.vmdk"
check "an absolute name" refused x.ova 'outside the archive'
truncate -s 1M hole
tar -S -cf x.ova x.ovf hole d.vmdk
check "a sparse member" refused x.ova '"hole" is a sparse member'
tar -S --format=posix -cf x.ova x.ovf hole d.vmdk
check "a sparse member of pax" refused x.ova 'a sparse member'

# More than 8 GiB: only the header is made by tar; the data of the disk is mostly a hole.
one d.raw '' "$plain"
huge=$((9 << 30))
truncate -s 0 big.raw && truncate -s $huge big.raw
poke big.raw $((huge - 6)) "$(hex finish)"
poke big.raw $((5 << 30)) "$(hex middle)"
ln -f big.raw d.raw
ends_right() {
	[ "$(stat -c %s "$1/disk.raw")" = $huge ] && [ "$(stat -c %b "$1/disk.raw")" -lt 1000 ] &&
		[ "$(tail -c 6 "$1/disk.raw")" = finish ] &&
		[ "$(tail -c +$(((5 << 30) + 1)) "$1/disk.raw" | head -c 6)" = middle ]
}
for format in gnu posix; do
	for part in x.ovf d.raw; do
		tar --format=$format -cf - $part 2>/dev/null | head -c 4096 >head.$part
	done
	# The complete descriptor, then the header blocks of the disk.
	[ $format = gnu ] && n=512 || n=1536
	tar --format=$format -b 1 -cf x.ova x.ovf
	truncate -s -1024 x.ova
	head -c $n head.d.raw >>x.ova
	at=$(stat -c %s x.ova)
	truncate -s $((at + huge)) x.ova
	poke x.ova $((at + huge - 6)) "$(hex finish)"
	poke x.ova $((at + (5 << 30))) "$(hex middle)"
	check "a member of 9 GiB, $format" on_mount x.ova ends_right
done
rm -f big.raw d.raw x.ova

# Descriptors.
states() { # NAME DISK-ATTRIBUTES [WARNING]
	one d.vmdk '' "$2"
	packed d.vmdk
	mkdir -p mnt
	"$VDISKFS" x.ova mnt 2>warnings
	check "$1" same mnt/disk.raw src
	unmount mnt
	if [ $# = 3 ]; then check "$1: warning" grep -q "$3" warnings; else check "$1: no warning" [ ! -s warnings ]; fi
}
states "a capacity in bytes" 'ovf:capacity="9437184"'
states "a capacity in allocation units" 'ovf:capacity="9" ovf:capacityAllocationUnits="byte * 2^20"'
states "a capacity in named units" 'ovf:capacity="9" ovf:capacityAllocationUnits="MegaBytes"'
states "a capacity in unknown units" 'ovf:capacity="9" ovf:capacityAllocationUnits="furlong"'
states "a capacity by property" 'ovf:capacity="${size}"'
states "a capacity that is too small" 'ovf:capacity="1" ovf:capacityAllocationUnits="byte * 2^20"' 'has 1048576 bytes; it has 9437184'
states "a capacity that is too large" 'ovf:capacity="9" ovf:capacityAllocationUnits="GB"' 'it has 9437184'
begin
file d.vmdk
file cd.iso
file other.vmdk
disk 1
disk 1
disks+='<Disk ovf:diskId="blank" ovf:capacity="5"/>'
describe >x.ovf
packed d.vmdk
shows "two disks based on one file, a blank disk, a CD"
begin
file d.vmdk
file e.vmdk
disk 2
disk 1
describe >x.ovf
packed d.vmdk
check "two disks" refused x.ova '2 disks.*e.vmdk, d.vmdk'
check "two disks, with a hint" refused x.ova '^hint: .*-o disk=NAME opens one of them'
check "one of two disks, by its name" matches x.ova src -o disk=d.vmdk
check "a name of neither" refused x.ova 'no disk "f.vmdk"; there are e.vmdk, d.vmdk' -o disk=f.vmdk
check "a directory has no disk to choose" refused . 'disk is for one image' -o disk=d.vmdk
one http://127.0.0.1:9/d.vmdk
packed d.vmdk
check "a disk on a network" refused x.ova 'is not in the package'
one ../d.vmdk
packed d.vmdk
check "a disk above the archive" refused x.ova 'outside the archive'
mkdir -p deep && mv x.ovf deep
check "a disk above the descriptor" refused deep/x.ovf "lies outside the image's directory"
check "a disk above the descriptor, with allow=" matches deep/x.ovf src -o allow="$W"
{ describe; head -c 17M /dev/zero; } >x.ovf
packed d.vmdk
check "a descriptor of 17 MB" refused x.ova 'bytes of text, more than'
awk 'BEGIN { print "<?xml version=\"1.0\"?><!DOCTYPE x [<!ENTITY a0 \"aaaaaaaaaa\">"
	for (i = 1; i < 30; i++) printf "<!ENTITY a%d \"&a%d;&a%d;\">\n", i, i - 1, i - 1
	print "]><Envelope>&a29;</Envelope>" }' >x.ovf
packed d.vmdk
check "recursive entities" refused x.ova 'document type'
echo '<!DOCTYPE x SYSTEM "http://127.0.0.1:9/x"><Envelope/>' >x.ovf
check "an external document type" refused x.ovf 'document type'

# Names in the images of a package.
secret=$W/secret.raw
head -c 65536 src >"$secret"
mkdir -p below && cd below || exit 1
for name in "$secret" ../secret.raw /etc/passwd x.ova beside.raw; do
	head -c 65536 ../src >beside.raw
	printf '%s\n' '# Disk DescriptorFile' version=1 CID=00000001 parentCID=ffffffff \
		'createType="monolithicFlat"' "RW 128 FLAT \"$name\" 0" >d.vmdk
	one d.vmdk
	packed d.vmdk
	check "an extent called $name" refused x.ova '(outside|is not in) the archive'
done
cd "$W" || exit 1
qemu-img convert -q -f raw -O vmdk src base.vmdk
qemu-img create -q -f vmdk -b base.vmdk -F vmdk child.vmdk
qemu-io -f vmdk -c 'write -P 77 1M 300k' child.vmdk >/dev/null
reference child.vmdk child.ref
one child.vmdk
packed child.vmdk base.vmdk
mkdir -p alone && mv x.ova alone
layers() { [ "$(ls "$1/chain" | tr '\n' ' ')" = "0-child.vmdk 1-base.vmdk " ] && same "$1/disk.raw" child.ref; }
check "a parent in the archive" on_mount alone/x.ova layers
packed child.vmdk
check "a parent beside the archive" refused x.ova 'is not in the archive'

# Compression.
gzip -n -c d.vmdk >d.vmdk.gz
for more in 'ovf:compression="gzip"' ''; do
	one d.vmdk.gz "$more"
	packed d.vmdk.gz
	shows "a gzip'ed disk${more:+, declared}"
	check "a gzip'ed disk${more:+, declared}, beside a descriptor" matches x.ovf src
done
split -b 400k --filter='gzip -n' src parts- >members.gz
one members.gz 'ovf:compression="gzip"' "$plain"
packed members.gz
shows "several gzip members"
{ gzip -1 -c src; head -c 700 /dev/zero; } >padded.gz
one padded.gz '' 'ovf:format="x"'
packed padded.gz
check "a file of an unknown format" refused x.ova 'not a disk image'
gzip -n -c src >whole.gz
for damage in cut flip; do
	cp whole.gz bad.gz
	if [ $damage = cut ]; then truncate -s -1 bad.gz; else poke bad.gz 100000 "$(xxd -p -s 100000 -l 1 bad.gz | tr 0-9a-f 1-9a-f0)"; fi
	one bad.gz 'ovf:compression="gzip"' "$plain"
	packed bad.gz
	check "a damaged compressed disk: $damage" refused x.ova 'bad.gz: gzip data: '
done

# Chunks.
split -b 200k -d -a 9 d.vmdk d.vmdk.
chunks=(d.vmdk.0*)
size="ovf:size=\"$(stat -c %s d.vmdk)\""
one d.vmdk "ovf:chunkSize=\"204800\" $size"
packed "${chunks[@]}"
shows "chunks (${#chunks[@]})"
check "chunks beside a descriptor" matches x.ovf src
packed "${chunks[0]}" "${chunks[@]:2}"
check "a missing chunk" refused x.ova '000000001, is missing'
packed "${chunks[@]:1}"
check "a missing first chunk" refused x.ova 'd.vmdk" is not in the archive'
rm -f d.vmdk.0*
split -b 100k -d -a 9 d.vmdk.gz d.vmdk.gz.
one d.vmdk.gz 'ovf:chunkSize="102400" ovf:compression="gzip"'
packed d.vmdk.gz.0*
shows "chunks of a compressed disk"
rm -f d.vmdk.gz.0*

# Numbered names without chunkSize in the descriptor: chunks, or the images of snapshots.
split -b 200k -d -a 9 d.vmdk d.vmdk.
one d.vmdk
packed d.vmdk.0*
shows "undeclared chunks"
mv d.vmdk away.vmdk
check "undeclared chunks beside a descriptor" matches x.ovf src
mkdir -p listed && ln -f x.ovf d.vmdk.0* listed
only_the_package() { [ "$(ls "$1")" = x.ovf ] && same "$1/x.ovf/disk.raw" src; }
check "undeclared chunks in a directory are not listed" on_mount listed only_the_package
mv away.vmdk d.vmdk
packed d.vmdk.000000000 d.vmdk.000000002
check "a missing undeclared chunk" refused x.ova '000000001, is missing'
one d.vmdk "$size"
packed d.vmdk.000000000
check "only the first undeclared chunk" refused x.ova '000000001, is missing'
one d.vmdk
truncate -s 100k d.vmdk.000000001
packed d.vmdk.0*
check "a truncated undeclared chunk" refused x.ova 'a chunk of 102400 bytes'
rm -f d.vmdk.0*
qemu-img convert -q -f raw -O vmdk -o subformat=streamOptimized zeroes.img d.vmdk.000000000 2>/dev/null ||
	{ truncate -s 9M zeroes.img; qemu-img convert -q -f raw -O vmdk -o subformat=streamOptimized zeroes.img d.vmdk.000000000; }
packed d.vmdk.000000000
shows "a single file with a number" zeroes.img
cp d.vmdk d.vmdk.000000001
packed d.vmdk.0*
shows "images of snapshots: the last one is the disk"
rm -f d.vmdk.0*

# XML prefixes without a declaration, in a descriptor from which a vendor's declarations were removed.
one d.vmdk 'vmw:note="x"' 'vbox:uuid="y"'
sed -i 's/ xmlns:rasd="[^"]*"//; s/ xmlns:ovf="[^"]*"//' x.ovf
packed d.vmdk
shows "undeclared prefixes"

# Compressed archives.
one d.vmdk
packed d.vmdk
gzip -n -c x.ova >whole.ova
check "a compressed archive" matches whole.ova src
for name in whole.ova.gz whole.tar.gz whole.tgz anything; do
	ln -f whole.ova $name
	check "a compressed archive named $name" matches $name src
done
mkdir -p shelf && ln -f whole.ova whole.ova.gz shelf
both_are_shown() { [ "$(echo $(ls "$1"))" = "whole.ova whole.ova.gz" ] && same "$1/whole.ova/disk.raw" src && same "$1/whole.ova.gz/disk.raw" src; }
mount_with=(-o sandbox=strict)
[ -z "$sanitized" ] || mount_with=()
check "compressed archives in a directory" on_mount shelf both_are_shown
mount_with=()
truncate -s -10000 whole.ova
check "a damaged compressed archive" refused whole.ova 'whole.ova: gzip data: '
tar -czf no.tgz src2 2>/dev/null || { some_data src2 1M; tar -czf no.tgz src2; }
check "a compressed archive without a descriptor" refused no.tgz 'a gzip file'
gzip -n -c d.vmdk >d.vmdk.gz
one d.vmdk.gz
packed d.vmdk.gz
gzip -n -c x.ova >whole.ova
check "a compressed disk in a compressed archive" matches whole.ova src

# The manifest is verified only when the attribute is read.
verdict() { getfattr --only-values -n user.vdisk.manifest "$1/${2-disk.raw}" 2>/dev/null; }
verdict_is() { [[ $(verdict "$2") == $1 ]] || { verdict "$2"; return 1; }; } # PATTERN MOUNT
digest() { "${1}sum" "$2" | cut -d ' ' -f 1; }
one d.vmdk
for alg in sha1 sha256 sha512; do
	for f in x.ovf d.vmdk; do printf '%s(%s)= %s\n' ${alg^^} $f "$(digest $alg $f)"; done >x.mf
	packed x.mf d.vmdk
	check "a manifest of $alg" on_mount x.ova verdict_is ok
	check "a manifest of $alg beside a descriptor" on_mount x.ovf verdict_is ok
done
printf 'SHA256 (d.vmdk)=%s\r\n' "$(digest sha256 d.vmdk | tr a-f A-F)" >x.mf
tar -cf x.ova x.ovf d.vmdk x.mf
check "a manifest with other blanks, letters and line ends" on_mount x.ova verdict_is ok
echo "SHA256(d.vmdk)= $(digest sha256 src)" >x.mf
packed x.mf d.vmdk
check "a wrong digest" on_mount x.ova verdict_is 'wrong: d.vmdk: its SHA256 is *'
shows "a disk with a wrong digest can be read"
echo "SHA256(x.ovf)= $(digest sha256 x.ovf)" >x.mf
packed x.mf d.vmdk
check "a disk that is not in the manifest" on_mount x.ova verdict_is 'wrong: d.vmdk: the manifest does not*'
packed d.vmdk
has_no_verdict() { ! verdict "$1" >/dev/null; }
check "no manifest" on_mount x.ova has_no_verdict
one d.vmdk.gz
echo "SHA256(d.vmdk.gz)= $(digest sha256 d.vmdk.gz)" >x.mf
packed x.mf d.vmdk.gz
mount_with=(-o sandbox=strict)
[ -z "$sanitized" ] || mount_with=()
check "the digest is that of the compressed file" on_mount x.ova verdict_is ok
mount_with=()
one child.vmdk
for f in child.vmdk base.vmdk; do echo "SHA1($f)= $(digest sha1 $f)"; done >x.mf
packed x.mf child.vmdk base.vmdk
check "the manifest covers parents" on_mount x.ova verdict_is ok
sed -i '/base/s/= ./= g/' x.mf
packed x.mf child.vmdk base.vmdk
check "a damaged manifest" on_mount x.ova has_no_verdict
sed -i '/base/s/= g.*/= 0000000000000000000000000000000000000000/' x.mf
packed x.mf child.vmdk base.vmdk
check "a parent with a wrong digest" on_mount x.ova verdict_is 'wrong: base.vmdk: *'
package_is_named() {
	jq -e ".package == \"$W/x.ova\" and .filename == \"$W/x.ova:child.vmdk\"" "$1/info.json" >/dev/null &&
		[ "$(getfattr --only-values -n user.vdisk.package "$1/disk.raw")" = "$W/x.ova" ] &&
		! getfattr -d "$1/disk.raw" | grep manifest
}
check "info.json and attributes name the package" on_mount x.ova package_is_named

# The archive as a raw file.
check "format=raw shows the archive" matches x.ova x.ova -o format=raw
qemu-img create -q -f raw -o preallocation=off zeroes.raw 8M
one zeroes.raw '' "$plain"
packed zeroes.raw
cp --sparse=always x.ova s.ova && mv s.ova x.ova
is_hole() { [ "$(stat -c %b "$1/disk.raw")" -lt 64 ]; }
check "a hole in an archive is a hole in its disk" on_mount x.ova is_hole
some_data src2 4M
one src2 '' "$plain"
packed src2
at=$(grep -abo 'lonely 2' x.ova | head -n 1 | cut -d : -f 1)
at=$((at - 2 * 1048576))
mount_image x.ova mnt
truncate -s $((at + 1048576 + 8192)) x.ova
check "a truncated archive: the data before the end" cmp -n 1048576 mnt/disk.raw src2
fails_behind() { ! dd if=mnt/disk.raw of=/dev/null bs=64K skip=32 count=1 status=none; }
check "a truncated archive: EIO after the end" fails_behind
unmount mnt
