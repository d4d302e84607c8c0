#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Images that other programs wrote, with reference hashes: a collection that is not part of the
# project.  It is used when $VDISKFS_CORPUS or a directory "corpus" in a neighbour of the checkout
# holds it, as items/ or packed as public.tar.zst.
. "${0%/*}/functions.sh"
. "$here/images.sh"
requires jq sha256sum
nzstream=$BUILD/tests/mount/nzstream

find_corpus() {
	local dir
	for dir in ${VDISKFS_CORPUS:+"$VDISKFS_CORPUS"} "$top"/../*/corpus "$top"/../corpus; do
		[ -d "$dir/items" ] || [ -f "$dir/public.tar.zst" ] || continue
		(cd "$dir" && pwd)
		return
	done
	return 1
}
corpus=$(find_corpus) || { skip "all: no collection of images is here"; exit 0; }
if [ ! -d "$corpus/items" ]; then
	requires zstd tar
	tar -I 'zstd -d --long=27' -xSf "$corpus/public.tar.zst" || { fail "cannot unpack the corpus"; exit 1; }
	corpus=$W
fi

# Refused for now, each by name: the feature is not supported.
not_supported='encrypted|UUID|extent type|COWD|VMFSSPARSE|SESPARSE|subformat|version [0-9.]+ (of|is)'

# One line an item: id, format, top file, expectation, hash, size; then the other hashes that some
# reader gave.
items() {
	jq -r 'select(.format == "raw" or .format == "qcow2" or .format == "vmdk" or .format == "vdi")
		| [.id, .format, .expect, .truth.nz_sha256 // "-", .truth.size // "-", .top, ((.answers // {}) | [.[]] | join(" "))]
		| join("\u001f")' "$corpus"/items/*/manifest.json
}
# Internal snapshots: id of the snapshot, hash.
snapshots() {
	jq -r '(.qemu.snapshots // [])[] | select(.rc == 0) | [.id, .nz_sha256] | @tsv' \
		"$corpus/items/$1/manifest.json"
}

hash_of() {
	local out
	out=$(set -o pipefail; "$nzstream" "$1" | sha256sum) || return 1
	echo "${out%% *}"
}

# read_item DIR: the verdict on what a mount shows.
read_item() {
	local dir=$1 hash
	hash=$(hash_of "$dir/disk.raw") || { echo error; return; }
	if [ "$hash" = "$want" ]; then
		echo same
	elif [[ " $others " == *" $hash "* ]]; then
		echo other
	else
		echo different
	fi
}
judge() { # sets verdict: refused, unsupported, error, same, other, different, or what is worse
	local dir=$W/item status
	mkdir -p "$dir"
	timeout 30 "$VDISKFS" -o "format=$format" "$corpus/items/$id/files/$file" "$dir" 2>item.err
	status=$?
	case $status in
	0)
		verdict=$(read_item "$dir")
		[ "$verdict" != same ] || judge_snapshots "$dir"
		unmount "$dir" || verdict="not unmounted"
		;;
	1)
		verdict=refused
		! grep -qE "$not_supported" item.err || verdict=unsupported
		[ "$(wc -l <item.err)" -le 2 ] || verdict="more than two lines"
		;;
	124) verdict=slow ;;
	*) verdict="status $status" ;;
	esac
}
judge_snapshots() {
	local snapshot hash entry got
	while IFS=$'\t' read -r snapshot hash; do
		for entry in "$1"/snapshots/*/; do
			got=$(getfattr --only-values -n user.vdisk.snapshot.id "$entry" 2>/dev/null)
			[ "$got" = "$snapshot" ] || continue
			[ "$(hash_of "$entry/disk.raw")" = "$hash" ] || verdict="snapshot $snapshot is different"
			continue 2
		done
		verdict="no snapshot $snapshot"
	done < <(snapshots "$id")
}

while IFS=$'\x1f' read -r id format expect want size file others; do
	judge
	case $expect:$verdict in
	contents:same | error:refused | error:unsupported | contents-of-damaged:same) pass "$id: $expect" ;;
	contents-of-damaged:refused | contents-of-damaged:error | contents-of-damaged:other) pass "$id: $expect" ;;
	slow:* | error-or-contents:*)
		case $verdict in
		refused | unsupported | error | same | other | different) pass "$id: $expect" ;;
		*) fail "$id: $expect, but: $verdict" ;;
		esac
		;;
	contents-with-secret:unsupported | contents:unsupported) skip "$id: $(head -n 1 item.err | sed 's/.*: //')" ;;
	*)
		fail "$id: $expect, but: $verdict"
		cat item.err
		;;
	esac
done < <(items)
