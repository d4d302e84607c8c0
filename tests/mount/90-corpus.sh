#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Images written by other programs, with reference hashes: a collection outside of the project.  It is searched in
# $VDISKFS_CORPUS and in directories "corpus" beside the checkout, as items/ or as public.tar.zst.
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

# Features that are refused by name: encryption; parents identified only by UUID; sparse extent types of ESX; parents
# in unsupported formats; probed parents that name a parent.
not_supported='encrypted|does not record that|UUID|COWD|VMFSSPARSE|SESPARSE|format "[a-z]+" is not known'
# Refused by QEMU for reasons that do not affect a reader: a colon in the image's name, dirty bitmaps, refcounts.
not_needed='Unknown protocol|[Bb]itmap|reference count'

# Prints a line for each item: ID, format, expectation, hash, top file, hashes of other readers, QEMU's message,
# internal snapshots as "id size hash;", passphrase.
items() {
	jq -r 'select(.format == "raw" or .format == "qcow2" or .format == "vmdk" or .format == "vdi"
			or .format == "vpc" or .format == "vhdx" or .format == "qcow" or .format == "qed"
			or .format == "parallels" or .format == "bochs")
		| [.id, .format, .expect, .truth.nz_sha256 // "-", .top, ((.answers // {}) | [.[]] | join(" ")),
			(.qemu.contents.stderr // "" | gsub("\n"; " ")),
			([(.qemu.snapshots // [])[] | select(.rc == 0 and .id != "") | "\(.id) \(.size) \(.nz_sha256);"] | add // ""),
			.qemu.contents.secret // ""]
		| join("\u001f")' "$corpus"/items/*/manifest.json
}

hash_of() {
	local out
	out=$(set -o pipefail; "$nzstream" "$1" | sha256sum) || return 1
	echo "${out%% *}"
}

# read_item DIR: prints the verdict on a mount: same, other (the hash of another reader), different, error, or unknown
# (read to the end, and there is no hash to compare with).
read_item() {
	local dir=$1 hash
	hash=$(hash_of "$dir/disk.raw") || { echo error; return; }
	if [ "$hash" = "$want" ]; then
		echo same
	elif [[ " $others " == *" $hash "* ]]; then
		echo other
	elif [ "$want" = - ] && [ -z "$others" ]; then
		echo unknown
	else
		echo different
	fi
}
judge() { # sets verdict: refused, unsupported, error, same, other, unknown, different, or a worse one
	local dir=$W/item files=$corpus/items/$id/files status with=()
	mkdir -p "$dir"
	printf %s "$secret" >item.secret
	[ ! -s item.secret ] || with=(-o "passphrase-file=$W/item.secret")
	timeout "$patience" "$VDISKFS" -o "format=$format" -o "allow=$files" "${with[@]}" "$files/$file" "$dir" 2>item.err
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
		[ "$(grep -vc warning item.err)" -le 2 ] || verdict="more than two lines"
		;;
	124) verdict=slow ;;
	*) verdict="status $status" ;;
	esac
}
# QEMU reads each snapshot with the current disk size, so its hash counts only for a snapshot of that size.
judge_snapshots() {
	local snapshot size hash entry
	while read -r -d ';' snapshot size hash; do
		for entry in "$1"/snapshots/*/; do
			[ "$(getfattr --only-values -n user.vdisk.snapshot.id "$entry" 2>/dev/null)" = "$snapshot" ] || continue
			[ "$(stat -c %s "$entry/disk.raw")" != "$size" ] || [ "$(hash_of "$entry/disk.raw")" = "$hash" ] ||
				verdict="snapshot $snapshot is different"
			continue 2
		done
		verdict="no snapshot $snapshot"
	done <<<"$snapshots"
}

while IFS=$'\x1f' read -r id format expect want file others said snapshots secret; do
	judge
	case $expect:$verdict in
	contents:same | contents-with-secret:same | contents-of-damaged:same | error:refused | error:unsupported | error:error) pass "$id: $expect" ;;
	contents-of-damaged:refused | contents-of-damaged:error) pass "$id: $expect" ;;
	slow:* | error-or-contents:*)
		case $verdict in
		refused | unsupported | error | same) pass "$id: $expect" ;;
		unknown) pass "$id: $expect, read without a reference" ;;
		other)
			if [ "$want" = - ]; then pass "$id: $expect, as another reader"; else fail "$id: $expect, but: $verdict"; fi
			;;
		*) fail "$id: $expect, but: $verdict" ;;
		esac
		;;
	contents:unsupported) skip "$id: $(head -n 1 item.err | sed 's/.*: //')" ;;
	*)
		if [ "$expect:$verdict" = error:unknown ] && [[ $said =~ $not_needed ]]; then
			pass "$id: read although QEMU says: ${said##*: }"
			continue
		fi
		fail "$id: $expect, but: $verdict"
		cat item.err
		;;
	esac
done < <(items)
