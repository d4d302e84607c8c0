# SPDX-License-Identifier: LGPL-2.1-or-later
# Conversion by mount and cp from export/, compared with qemu-img convert.  Sourced by run.

export_sources() {
	local i
	for i in raw qcow2 vmdk vdi vhdx deflate stream; do
		[[ " $images " != *" $i "* ]] || echo "$i"
	done
}

# export_once SOURCE FORMAT SUFFIX
export_once() {
	local start
	rm -f "$out/e.img"
	start=$(now)
	serve vdiskfs "$(image_file "$1")" "$(format_of "$1")" || die "$1 cannot be shown"
	cp --sparse=auto "$W/mnt/export/$(basename "$(image_file "$1")")-export.$3" "$out/e.img" || die "no export of $1 to $2"
	stop
	record "export-$2" "$1" vdiskfs "$(since "$start")"
	qemu-img compare -q -f "$2" -F raw "$out/e.img" "$W/disk.raw" || die "the $2 of $1 is bad"
	rm -f "$out/e.img"
	start=$(now)
	qemu-img convert -W -m 8 -f "$(format_of "$1")" -O "$2" "$(image_file "$1")" "$out/e.img" ||
		die "qemu-img cannot convert $1 to $2"
	record "export-$2" "$1" convert "$(since "$start")"
	rm -f "$out/e.img"
}

measure_exports() {
	local source
	for source in $(export_sources); do
		cat "$(image_file "$source")" >/dev/null
		export_once "$source" qcow2 qcow2
		export_once "$source" vdi vdi
		export_once "$source" vmdk vmdk
	done
}
