# SPDX-License-Identifier: LGPL-2.1-or-later
# vdisk convert and info, compared with qemu-img.  Sourced by run.

# convert_options KIND: prints the options that create such an image, for both programs.
convert_options() {
	case $1 in
	deflate) echo "-c -O qcow2" ;;
	zstd) echo "-c -O qcow2 -o compression_type=zstd" ;;
	stream) echo "-O vmdk -o subformat=streamOptimized" ;;
	vhd) echo "-O vpc" ;;
	*) echo "-O $1" ;;
	esac
}

convert_kinds() {
	local i
	for i in raw qcow2 vmdk vdi vhd vhdx deflate zstd stream; do
		[[ " $images " != *" $i "* ]] || echo "$i"
	done
}

# qemu-img writes compressed images only in order.
convert_once() {
	local start order="-W -m 8"
	case $2 in deflate | zstd | stream) order="-m 8" ;; esac
	rm -f "$out/c.img"
	start=$(now)
	# shellcheck disable=SC2046,SC2086
	case $1 in
	vdiskfs) "$vdisk" convert -f raw $(convert_options "$2") "$W/disk.raw" "$out/c.img" ;;
	convert) qemu-img convert $order -f raw $(convert_options "$2") "$W/disk.raw" "$out/c.img" ;;
	esac || die "$1 cannot convert to $2"
	record convert "$2" "$1" "$(since "$start")"
	record size "$2" "$1" "$(du -k "$out/c.img" | awk '{ print $1 / 1024 }')"
}

# measure_info KIND PROGRAM COMMAND...: the time of info, averaged over a hundred runs.
measure_info() {
	local start i
	start=$(now)
	for i in $(seq 100); do "${@:3}" "$(image_file "$1")" >/dev/null || die "${*:3} fails"; done
	record info "$1" "$2" "$(awk -v s="$(since "$start")" 'BEGIN { print s * 10 }')"
}

measure_conversions() {
	local kind
	for kind in $(convert_kinds); do
		convert_once convert "$kind"
		convert_once vdiskfs "$kind"
		qemu-img compare -q -f "$(format_of "$kind")" -F raw "$out/c.img" "$W/disk.raw" ||
			die "vdisk made a bad $kind"
		measure_info "$kind" vdiskfs "$vdisk" info
		measure_info "$kind" convert qemu-img info
	done
	rm -f "$out/c.img"
}
