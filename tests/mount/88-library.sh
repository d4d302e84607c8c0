#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# libvdisk.so as other programs use it: the example of vdisk(3) is built with the installed files, and reads each disk
# of an image as the mount shows it; the symbols, the header and the page name the same functions.
. "${0%/*}/functions.sh"
requires qemu-img qemu-io sfdisk pkg-config make "${CC:=gcc}"
grep -q -- '-fsanitize=' "$BUILD/flags" && { skip "all: a library with sanitizers is for programs with them"; exit 0; }

dest=$W/dest
installs() { env -u PKG_CONFIG_LIBDIR -u PKG_CONFIG_SYSROOT_DIR -u MAKEFLAGS -u MFLAGS -u MAKELEVEL make -s -C "$top" -o all B="$BUILD" PREFIX=/usr LIBDIR=/usr/lib/any DESTDIR="$dest" "$1" >&2; }
check "make install" installs install
export PKG_CONFIG_SYSROOT_DIR=$dest PKG_CONFIG_LIBDIR=$dest/usr/lib/any/pkgconfig LD_LIBRARY_PATH=$dest/usr/lib/any
check "pkg-config knows the version" eval '[ "$(pkg-config --modversion libvdisk)" = "$(sed -n "s/^VERSION := //p" "$top/Makefile")" ]'

# The names.

of_map() { sed -n 's/^\t\(vdisk_.*\);$/\1/p' "$top/formats/api/libvdisk.map" | sort; }
of_library() { nm -D --defined-only "$dest/usr/lib/any/libvdisk.so" | awk '$2 != "A" { sub(/@.*/, "", $3); print $3 }' | sort; }
of_header() { grep -oE '\bvdisk_[a-z_]+\(' "$dest/usr/include/vdisk.h" | tr -d '(' | sort -u; }
of_page() { sed -nE 's/^\.F[no] (vdisk_[a-z_]+).*/\1/p' "$top/man/vdisk.3" | sort -u; }
named_in_page() { sed -nE 's/^\.Nm (vdisk_[a-z_]+).*/\1/p' "$top/man/vdisk.3" | sort; }
callbacks='vdisk_(found|warning)'
check "the library exports what its map has" eval 'diff <(of_map) <(of_library) >&2'
check "the header declares these" eval 'diff <(of_map) <(of_header | grep -vxE "$callbacks") >&2'
check "the page describes these" eval 'diff <(of_map) <(of_page) >&2'
check "the package of Debian has these symbols" eval 'diff <(of_map) <(sed -nE "s/^ (vdisk_[a-z_]+)@.*/\1/p" "$top/tools/packaging/debian/libvdisk0.symbols") >&2'
check "the page has these names" eval 'diff <(of_map) <(named_in_page) >&2'
check "the soname is in the library" eval 'readelf -d "$dest/usr/lib/any/libvdisk.so" | grep -qF "soname: [libvdisk.so.0]"'
words() { { echo rw && sed -nE 's/^\t\{"([a-z_-]+)=?",.*/\1/p' "$top/formats/open/words.c"; } | sort; }
page_words() { sed -n '/^\.Ss Images/,/^\.Ss Lists/s/^\.It Cm \([a-z_-]*\).*/\1/p' "$top/man/vdisk.3" | sort; }
header_words() { sed -n '/options: words/,/EINVAL/s/^ \*     \([a-z_-]*\)[= ].*[a-z].*/\1/p' "$top/formats/api/vdisk.h" | grep . | sort; }
check "the page has all options" eval 'diff <(words) <(page_words) >&2'
check "the header has all options" eval 'diff <(words) <(header_words) >&2'

# The example.

sed -n '/^\.Sh EXAMPLES/,/^\.Ed/{/^\./d;/^#include <err/,$p}' "$top/man/vdisk.3" | sed 's/\\e/\\/g' >example.c
builds() { # COMPILER FILE OPTION...
	local compiler=$1 file=$2
	shift 2
	# shellcheck disable=SC2046
	"$compiler" -Wall -Wextra -Werror "$@" -o "${file%.*}" "$file" $(pkg-config --cflags --libs libvdisk)
}
check "the example of the page is built with the installed files" builds "$CC" example.c || exit 1
check "it has about 30 lines" eval '[ $(grep -c . example.c) -le 40 ]'
printf '#include <vdisk.h>\nint main() { return vdisk_version()[0] == 0; }\n' | tee old.c >c++.cc
check "the header is C99" builds "$CC" old.c -std=c99 -pedantic
if command -v c++ >/dev/null; then
	check "the header is C++" builds c++ c++.cc -std=c++11 -pedantic && check "a program in C++ runs" ./c++
else
	skip "the header is C++: c++ is not installed"
fi

truncate -s 12M disk.raw
printf 'label: gpt\n,4M,L\n,,L\n' | sfdisk -q disk.raw >&2
seq 1000000 | head -c 5M | dd of=disk.raw bs=1M seek=2 conv=notrunc status=none
qemu-img convert -f raw -O qcow2 disk.raw base.qcow2
qemu-img create -q -f qcow2 -b base.qcow2 -F qcow2 top.qcow2 >&2
qemu-img snapshot -c before top.qcow2
qemu-io -c 'write -P 7 3M 100k' -c 'write -P 8 8M 70k' top.qcow2 >&2
check "the example lists the disks" eval './example top.qcow2 >list && printf "%s\n" ": gpt, 2 partitions" "partitions/1: " "partitions/2: " \
	"snapshots/before: snapshot before" "chain/1: base.qcow2, qcow2" | diff - list >&2'
mkdir mnt && mount_image top.qcow2 mnt
same() { ./example top.qcow2 "$1" | cmp - "mnt/$2"; }
for disk in :disk.raw partitions/1:partitions/1.raw partitions/2:partitions/2.raw snapshots/before:snapshots/before/disk.raw \
	snapshots/before/partitions/1:snapshots/before/partitions/1.raw chain/1:chain/1-base.qcow2/disk.raw \
	chain/1/partitions/2:chain/1-base.qcow2/partitions/2.raw; do
	check "\"${disk%:*}\" is the file ${disk#*:} of the mount" same "${disk%:*}" "${disk#*:}"
done
qemu-img convert -O raw -l before top.qcow2 before.raw
check "the snapshot is that of QEMU" eval './example top.qcow2 snapshots/before | cmp - before.raw'
if command -v nbdkit >/dev/null && grep -q -- -DHAVE_LIBNBD "$BUILD/flags"; then
	check "an image on an NBD server" eval 'nbdkit -U - file base.qcow2 --run "./example \"\$uri\" partitions/1" | cmp - mnt/chain/1-base.qcow2/partitions/1.raw'
else
	skip "an image on an NBD server: nbdkit is not installed, or libnbd was not when the library was built"
fi
check_not "another path is an error" eval './example top.qcow2 partitions/3 2>message'
check "its message has the image and the path" grep -q 'top.qcow2/partitions/3: the disk has 2 partitions' message
check "make uninstall" installs uninstall
check "nothing is left" eval '[ -z "$(find "$dest" ! -type d)" ]'
