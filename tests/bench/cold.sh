# SPDX-License-Identifier: LGPL-2.1-or-later
# cold.sh - images that are not in the page cache, on a disk that takes 5 ms for each request.
#
# The image file and the view are read by cat.  Both numbers are bytes of the image files, all layers together, in a
# second: a view of a compressed image is not slower because it has more bytes, nor is one of a chain.
cold_ms=${BENCH_COLD_MS:-5}

# make_scattered FILE FIRST STEP: writes each STEP-th 64 KiB of the disk from FIRST on, in random order.
make_scattered() {
	seq "$2" "$3" $((mb * 16 - 1)) | shuf --random-source=<(yes 1) |
		awk '{ print "write -q -P", 1 + $1 % 250, $1 * 64 "k 64k" }' | qemu-io -f qcow2 "$1" >/dev/null
}

make_cold_images() {
	local i
	cold=$W/cold
	mkdir -p "$cold" "$W/slow"
	for i in $images; do ln "$(image_file "$i")" "$cold/"; done
	qemu-img create -q -f qcow2 "$cold/scattered.qcow2" ${mb}M && make_scattered "$cold/scattered.qcow2" 0 1 || die "no scattered image"
	qemu-img create -q -f qcow2 -b scattered.qcow2 -F qcow2 "$cold/chain.qcow2" && make_scattered "$cold/chain.qcow2" 0 2 ||
		die "no chain"
}

cold_format() {
	case $1 in
	scattered | chain) echo qcow2 ;;
	*) format_of "$1" ;;
	esac
}

cold_files() { echo "$1.$(cold_format "$1") $([ "$1" != chain ] || echo scattered.qcow2)"; }

# A new mount of slow has no page in the page cache, and the files below it have all.
slow_start() {
	"$tools/slow" "$cold" "$W/slow" "$cold_ms" 2>>"$W/log" &
	slow_pid=$!
	until mountpoint -q "$W/slow"; do kill -0 $slow_pid || die "no slow disk"; done
}
slow_stop() {
	stop
	wait $slow_pid
}

# record_rate IMAGE PROGRAM BYTES START
record_rate() { record cold "$1" "$2" "$(awk -v n="$3" -v s="$(since "$4")" 'BEGIN { print n / s / 1048576 }')"; }

measure_cold_image() { # IMAGE
	local files bytes start program
	read -ra files <<<"$(cold_files "$1")"
	bytes=$(cd "$cold" && cat "${files[@]}" | wc -c)
	slow_start
	start=$(now)
	(cd "$W/slow" && cat "${files[@]}") >/dev/null
	record_rate "$1" file "$bytes" "$start"
	slow_stop
	for program in vdiskfs qsd; do
		slow_start
		if serve $program "$W/slow/${files[0]}" "$(cold_format "$1")"; then
			start=$(now)
			cat "$view" >/dev/null && record_rate "$1" $program "$bytes" "$start"
		elif [ $program = vdiskfs ]; then
			die "vdiskfs cannot show $1"
		fi
		slow_stop
	done
}

measure_cold() {
	local i
	[ -d "$W/cold" ] || make_cold_images
	for i in $images scattered chain; do measure_cold_image "$i"; done
}
