# SPDX-License-Identifier: LGPL-2.1-or-later
# Copies through the mount, compared with the same copies through a filesystem without content (floor.c), and with
# qemu-img convert.  The time of mounting is not measured.  Sourced by run.

floor_images() {
	local i
	for i in qcow2 vmdk vdi; do
		[[ " $images " != *" $i "* ]] || echo "$i"
	done
}

# serve_floor BYTES: mounts a file "read" with that many bytes, and a file "write" that is stored in $out/e.img.
serve_floor() {
	mkdir -p "$W/mnt"
	# It stays in the foreground.
	"$tools/firstbyte" "$W/mnt/read" sh -c '"$@" &' sh "$tools/floor" "$W/mnt" "$1" "$out/e.img" \
		>/dev/null 2>>"$W/log" || die "the floor cannot be mounted"
	# As vdiskfs does; only root can.
	! [ -w "/sys/class/bdi/$(mountpoint -d "$W/mnt")/read_ahead_kb" ] ||
		echo 1024 >"/sys/class/bdi/$(mountpoint -d "$W/mnt")/read_ahead_kb"
}

# timed MEASURE IMAGE PROGRAM COMMAND...: records the time of the command.  A virtual machine may have given free memory
# back to its host, and getting it again would take much of that time: so it is used just before.
timed() {
	local start
	head -c "$((2 * mb))M" /dev/zero >"$out/use"
	rm "$out/use"
	start=$(now)
	"${@:4}" || die "$3, $2: ${*:4} failed"
	record "$1" "$2" "$3" "$(since "$start")"
}

in_small_steps() { dd if="$1" of=/dev/null bs=10k status=none; }

# measure_out IMAGE: an export is copied, and read in steps of 10 KiB as by tar.
measure_out() {
	local file bytes
	file=$W/mnt/export/$(basename "$(image_file "$1")")-export.qcow2
	serve vdiskfs "$(image_file "$1")" "$1" || die "$1 cannot be shown"
	bytes=$(stat -c %s "$file")
	timed out "$1" vdiskfs cp "$file" "$out/e.img"
	stop
	serve vdiskfs "$(image_file "$1")" "$1" || die "$1 cannot be shown"
	timed small "$1" vdiskfs in_small_steps "$file"
	stop
	serve_floor "$bytes"
	rm -f "$out/e.img"
	timed out "$1" floor cp "$W/mnt/read" "$out/e.img"
	stop
	serve_floor "$bytes"
	timed small "$1" floor in_small_steps "$W/mnt/read"
	stop
	rm -f "$out/e.img"
	timed out "$1" convert qemu-img convert -W -m 8 -f "$1" -O qcow2 "$(image_file "$1")" "$out/e.img"
}

# measure_in FORMAT: a disk is copied into a new image in a directory.
measure_in() {
	rm -rf "$out/e.img" "$out/new"
	mkdir "$out/new"
	"$tools/firstbyte" "$W/mnt/new.$1/info.json" sh -c '"$1" -o rw "$2" "$3" && mkdir "$3/new.$4"' sh \
		"$vdiskfs" "$out/new" "$W/mnt" "$1" >/dev/null 2>>"$W/log" || die "no new $1"
	timed in "$1" vdiskfs cp "$W/disk.raw" "$W/mnt/new.$1/disk.raw"
	stop
	qemu-img compare -q -f "$1" -F raw "$out/new/new.$1" "$W/disk.raw" || die "vdiskfs wrote a bad $1"
	rm -r "$out/new"
	serve_floor 1
	timed in "$1" floor cp "$W/disk.raw" "$W/mnt/write"
	stop
	rm -f "$out/e.img"
	timed in "$1" convert qemu-img convert -W -m 8 -f raw -O "$1" "$W/disk.raw" "$out/e.img"
	rm -f "$out/e.img"
}

measure_floor() {
	local i
	for i in $(floor_images); do
		measure_out "$i"
		measure_in "$i"
	done
}
