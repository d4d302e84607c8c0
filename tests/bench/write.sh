# SPDX-License-Identifier: LGPL-2.1-or-later
# Writing, compared with qemu-img and the writable export of qemu-storage-daemon.  Sourced by run.

write_formats() {
	local f
	for f in raw qcow2 vmdk vdi vhd vhdx; do
		[[ " $images " != *" $f "* ]] || echo "$f"
	done
}

# So large that each write of the measurement allocates a unit.
new_mb=65536

# fresh FORMAT [MB]: creates an empty image, by default with the size of the disk.
fresh() {
	local options=
	[ "$1" != vhd ] || options="-o force_size=on"
	rm -f "$out/w.img"
	# shellcheck disable=SC2086
	qemu-img create -q -f "$(format_of "$1")" $options "$out/w.img" "${2:-$mb}M" || die "no new $1"
}

# serve_writable PROGRAM FORMAT: like serve, with $out/w.img writable.
serve_writable() {
	mkdir -p "$W/mnt"
	: >"$W/point"
	case $1 in
	vdiskfs)
		view=$W/mnt/disk.raw
		set -- "$vdiskfs" -o "rw,format=$2" "$out/w.img" "$W/mnt" ;;
	qsd)
		view=$W/point
		set -- "$qsd" --daemonize "${qsd_objects[@]}" --blockdev "driver=file,node-name=file,filename=$out/w.img" \
			--blockdev "driver=$2,node-name=disk,file=file" \
			--export "type=fuse,id=view,node-name=disk,mountpoint=$view,writable=on,growable=on$qsd_threads" ;;
	esac
	"$tools/firstbyte" "$view" "$@" >/dev/null 2>>"$W/log"
}

# With cp, qemu-storage-daemon takes minutes; it gets large sequential writes.
fill() {
	case $1 in
	vdiskfs) cp "$W/disk.raw" "$view" ;;
	*) dd if="$W/disk.raw" of="$view" bs=1M conv=notrunc,fsync status=none ;;
	esac
}

# measure_fill FORMAT PROGRAM: the time of mount, copy, unmount and sync.
measure_fill() {
	local start
	fresh "$1"
	start=$(now)
	serve_writable "$2" "$(format_of "$1")" || die "$2 cannot write $1"
	fill "$2" || die "$2: no copy into $1"
	stop
	sync "$out/w.img"
	record fill "$1" "$2" "$(since "$start")"
	qemu-img compare -q -f "$(format_of "$1")" -F raw "$out/w.img" "$W/disk.raw" || die "$2 wrote a bad $1"
}

measure_fill_convert() {
	local start
	rm -f "$out/w.img"
	start=$(now)
	qemu-img convert -W -m 8 -f raw -O "$(format_of "$1")" "$W/disk.raw" "$out/w.img" ||
		die "qemu-img cannot convert to $1"
	sync "$out/w.img"
	record fill "$1" convert "$(since "$start")"
}

# measure_new FORMAT PROGRAM MODE WRITERS: random page writes to a new image.
measure_new() {
	local value
	fresh "$1" "$new_mb"
	serve_writable "$2" "$(format_of "$1")" || die "$2 cannot write $1"
	value=$("$tools/drive" "$3" "$view" "$4" "$seconds") || die "$2: writing to $1 failed"
	record "${3:0:1}new$4" "$1" "$2" "$value"
	stop
}

# measure_writes FORMAT PROGRAM: random page writes to new images, through the page cache and past it, and to a full
# one.
measure_writes() {
	local value writers
	for writers in 1 2; do
		measure_new "$1" "$2" direct "$writers"
		measure_new "$1" "$2" write "$writers"
	done
	fresh "$1"
	serve_writable "$2" "$(format_of "$1")" || die "$2 cannot write $1"
	dd if="$W/disk.raw" of="$view" bs=1M conv=notrunc,fsync status=none || die "$2: no copy into $1"
	value=$("$tools/drive" write "$view" 2 "$seconds") || die "$2: writing to $1 failed"
	record wover "$1" "$2" "$value"
	stop
}

measure_writing() {
	local f p
	for f in $(write_formats); do
		measure_fill_convert "$f"
		for p in vdiskfs ${qsd:+qsd}; do
			measure_fill "$f" "$p"
			measure_writes "$f" "$p"
		done
	done
	rm -f "$out/w.img"
}
