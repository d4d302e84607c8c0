#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# make install into a directory with a blank in its name, and make uninstall; the version and commit of a build; packages
# of the same version; builds with the same bytes.
. "${0%/*}/functions.sh"
requires git make

# Nothing is built in $BUILD, which other tests use at the same time.
makes() { env -u MAKEFLAGS -u MFLAGS -u MAKELEVEL make -s "$@" >&2; }
installs() { makes -C "$top" -o all "$@" B="$BUILD"; }
files() { (cd "$1" && find . ! -type d | LC_ALL=C sort); }

dest="$W/a b/c  d"
check "make install with blanks in DESTDIR" installs install PREFIX=/usr ZSHDIR=/usr/share/zsh/vendor-completions DESTDIR="$dest"
cat >expected <<'LIST'
./usr/bin/vdisk
./usr/bin/vdiskfs
./usr/include/vdisk.h
./usr/lib/libvdisk.so
./usr/lib/libvdisk.so.0
./usr/lib/pkgconfig/libvdisk.pc
./usr/sbin/mount.fuse.vdiskfs
./usr/sbin/mount.vdiskfs
./usr/share/applications/vdiskfs.desktop
./usr/share/bash-completion/completions/vdisk
./usr/share/bash-completion/completions/vdiskfs
./usr/share/fish/vendor_completions.d/vdisk.fish
./usr/share/man/man1/vdisk.1
./usr/share/man/man1/vdiskfs.1
./usr/share/man/man3/vdisk.3
./usr/share/man/man5/vdiskfs-formats.5
./usr/share/zsh/vendor-completions/_vdisk
LIST
# Where nbdkit's header is, there is a plugin.
if pkg-config --exists 'nbdkit >= 1.30'; then
	printf '.%s\n' "$(pkg-config --variable=plugindir nbdkit)/nbdkit-vdisk-plugin.so" /usr/share/man/man1/nbdkit-vdisk-plugin.1 >>expected
	LC_ALL=C sort -o expected expected
fi
check "the files of make install" eval 'diff expected <(files "$dest") >&2'
check "nothing is installed beside DESTDIR" eval '[ "$(ls "$W")" = "$(printf "%s\n" "a b" expected)" ] && [ "$(ls "$W/a b")" = "c  d" ]'
for p in vdisk vdiskfs; do
	check "the installed $p is the built one" cmp "$BUILD/$p" "$dest/usr/bin/$p"
	check "the installed $p has mode 755" eval '[ "$(stat -c %a "$dest/usr/bin/$p")" = 755 ]'
	check "bash parses the completion of $p" bash -n "$dest/usr/share/bash-completion/completions/$p"
done
check "the completion of zsh begins with its command" eval '[ "$(head -n 1 "$dest/usr/share/zsh/vendor-completions/_vdisk")" = "#compdef vdisk" ]'
check "the completion of fish is that of the program" eval '"$VDISK" completion fish | cmp - "$dest/usr/share/fish/vendor_completions.d/vdisk.fish"'
zsh_dir() { env -u MAKEFLAGS make -s -n -C "$top" -o all install PREFIX=/usr DESTDIR=/dest | sed -n 's,.*> "/dest\(.*\)/_vdisk"$,\1,p'; }
zsh_looks() { [ -n "$1" ] && zsh -fc '[[ ${fpath[(r)$1]} == $1 ]]' zsh "$1"; }
if [ -d /usr/share/zsh/vendor-completions ] && command -v zsh >/dev/null; then
	check "zsh searches the directory of make install with PREFIX=/usr" zsh_looks "$(zsh_dir)"
else
	skip "zsh of Debian is not installed"
fi
check "make uninstall with blanks in DESTDIR" installs uninstall PREFIX=/usr ZSHDIR=/usr/share/zsh/vendor-completions DESTDIR="$dest"
check "make uninstall removes every file" eval '[ -z "$(files "$dest")" ]'

# The version of a build, in a copy of the Makefile alone.

mkdir tree
cp "$top/Makefile" tree
export GIT_CONFIG_GLOBAL=/dev/null GIT_CONFIG_SYSTEM=/dev/null
in_tree() { git -C tree -c user.name=test -c user.email=test@example.org -c init.defaultBranch=main -c tag.gpgSign=false "$@" >&2; }
version=$(sed -n 's/^VERSION := //p' "$top/Makefile")
builds() { makes -C tree build/version 2>/dev/null && [ "$(cat tree/build/version)" = "$1" ]; }
check "without a repository, the version alone" builds "$version"
in_tree init && echo /build/ >tree/.gitignore && in_tree add -A && in_tree commit -q -m one
check "the commit" builds "$version ($(git -C tree rev-parse --short=7 HEAD))"
in_tree tag "v$version"
check "the tag" builds "$version (v$version)"
echo '# changed' >>tree/Makefile
check "a changed file" builds "$version (v$version-dirty)"
in_tree commit -q -a -m two
check "a commit after the tag" builds "$version (v$version-1-g$(git -C tree rev-parse --short=7 HEAD))"
touch -d 2000-01-01 tree/build/version
check "the same commit does not change the file" eval 'builds "$version (v$version-1-g$(git -C tree rev-parse --short=7 HEAD))" &&
	[ "$(date -r tree/build/version +%Y)" = 2000 ]'
mkdir tree/inside && cp "$top/Makefile" tree/inside
check "a tree inside of another repository has the version alone" eval 'makes -C tree/inside build/version 2>/dev/null && [ "$(cat tree/inside/build/version)" = "$version" ]'
depends() { env -u MAKEFLAGS make -pqrR -C "$top" "$1" 2>/dev/null | grep "^$1:" | grep -q 'build/version\( \|$\)'; }
check "the object of the version depends on the commit" depends build/formats/util/version.o
check_not "no other object does" depends build/formats/util/size.o

# make -n runs a line of a recipe that has $(MAKE) in it.
runs_nothing() { # TARGET
	[ "$(env -u MAKEFLAGS -u MAKELEVEL make -n -C "$top" B="$W/none" "$1" | grep -v '^make: ')" = "$2" ]
}
for target in "check:tests/check 'make' ''" "demo:tests/demo 'make'" "bench:tests/bench/run 'make'" "fuzz:tests/fuzz/run 'make' 60"; do
	check "make -n ${target%%:*} runs nothing" runs_nothing "${target%%:*}" "${target#*:}"
done

# Packages.

packaging=$top/tools/packaging
version_of_debian() { sed -n '1s/^vdiskfs (\(.*\)) .*/\1/p' "$packaging/debian/changelog"; }
version_of_spec() { sed -n 's/^Version: *//p' "$packaging/vdiskfs.spec"; }
version_of_apk() { sed -n 's/^pkgver=//p' "$packaging/APKBUILD"; }
for package in debian spec apk; do
	check "the version in $package is that of the Makefile" eval '[ "$(version_of_$package)" = "$version" ]'
done
check "README has the changes of the version" grep -q "^Version ${version//./\\.}" "$top/README.md"
check "sh parses the APKBUILD" sh -n "$packaging/APKBUILD"

if [ "$BUILD" = "$top/build" ]; then
	check "two builds in two directories have the same bytes" "$top/tests/reproducible" CFLAGS="-O0 -g"
else
	skip "two builds: only without sanitizers"
fi
