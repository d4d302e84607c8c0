# SPDX-License-Identifier: LGPL-2.1-or-later
# table.sh - prints medians and ratios from lines "MEASURE IMAGE PROGRAM VALUE".

# medians FILE: prints a line for each measure, image and program.
medians() {
	sort -s -k1,3 -k4,4g "$1" | awk '
		function flush() { if (n) print key, n % 2 ? v[(n + 1) / 2] : (v[n / 2] + v[n / 2 + 1]) / 2 }
		{ k = $1 " " $2 " " $3; if (k != key) { flush(); key = k; n = 0 } v[++n] = $4 }
		END { flush() }'
}

# table TITLE MEASURE PROGRAMS BETTER FORMAT GOALS: prints a row for each image, a column for each program.
# BETTER is "more" or "less".  GOALS are words IMAGES:PEER:RATIO[:PEER-IMAGE]: vdiskfs should be RATIO times
# better than the peer with the same image, or with PEER-IMAGE.
table() {
	medians "$results" | awk -v title="$1" -v measure="$2" -v programs="$3" -v better="$4" \
		-v fmt="$5" -v goals="$6" -v images="file $images" '
		$1 == measure { value[$2, $3] = $4 }
		function ratio(i, peer, from) {
			if (better == "more")
				return value[i, "vdiskfs"] / value[from, peer]
			return value[from, peer] / value[i, "vdiskfs"]
		}
		function judge(i, g,    part, from, r) {
			split(g, part, ":")
			from = part[4] != "" ? part[4] : i
			if (index("," part[1] ",", "," i ",") == 0 || !((from, part[2]) in value))
				return
			r = ratio(i, part[2], from)
			printf "  %.2f x %s (%s %s)", r, part[4] != "" ? part[4] " view" : part[2],
				part[3], (r >= part[3] ? "met" : "MISSED")
		}
		function head(    k) {
			printf "\n%-40s", title
			for (k = 1; k <= np; k++) printf "%10s", p[k]
			print "  vdiskfs is (goal)"
		}
		END {
			np = split(programs, p, " "); ni = split(images, im, " "); ng = split(goals, g, " ")
			for (j = 1; j <= ni; j++) {
				line = ""; some = 0
				for (k = 1; k <= np; k++) {
					has = (im[j], p[k]) in value
					some += has
					line = line sprintf("%10s", has ? sprintf(fmt, value[im[j], p[k]]) : "-")
				}
				if (!some) continue
				if (!rows++) head()
				printf "  %-38s%s", im[j], line
				if ((im[j], "vdiskfs") in value)
					for (k = 1; k <= ng; k++) judge(im[j], g[k])
				print ""
			}
		}'
}

machine() {
	awk -F': ' '/^model name/ { print $2; exit }' /proc/cpuinfo
	echo "$(nproc) processors, kernel $(uname -r), qemu-img $(version_of qemu-img --version)"
	peer_versions
}

print_tables() {
	local results=$1 format peers="qsd libyal nbdkit xmount" deflated=deflate,stream
	local plain=qcow2,vmdk,vdi,vhd,vhdx,qcow,qed,parallels
	local n written=raw,qcow2,vmdk,vdi,vhd,vhdx new="qcow2,vmdk,vdi:qsd:3 raw,vhd,vhdx:qsd:1.5"
	local all=raw,qcow2,deflate,zstd,vmdk,stream,vdi,vhd,vhdx
	local counted=raw-read,qcow2-read,vmdk-read,vdi-read,raw-map,qcow2-map,vmdk-map,vdi-map,qcow2-write,vdi-write
	echo
	machine
	echo "a disk of $mb MiB; medians of $rounds rounds; fresh mounts, images in the page cache"
	table "sequential read, MiB/s" sequential "file vdiskfs daemon $peers" more %.0f \
		"raw,$plain:qsd:1.5 $deflated:qsd:3 zstd:qsd:2 $plain:daemon:0.9:raw"
	table "random 4 KiB, 1 reader, reads/s" random1 "file vdiskfs $peers" more %.0f "$all:qsd:1"
	table "random 4 KiB, 2 readers, reads/s" random2 "file vdiskfs $peers" more %.0f "$all:qsd:2"
	table "cp --sparse=auto, s" copy "file vdiskfs $peers" less %.2f "$all:qsd:1"
	table "mount + cp + umount, s" whole "vdiskfs $peers convert" less %.2f \
		"$deflated:convert:1"
	table "a disk into a new image, synced, s" fill "vdiskfs qsd convert" less %.2f \
		"qcow2,vmdk,vdi:convert:1 qcow2,vmdk,vdi:qsd:1.67"
	for n in 1 2; do
		table "random 4 KiB writes, $n writers, new, /s" "wnew$n" "vdiskfs qsd" more %.0f "$new"
		table "  the same with O_DIRECT" "dnew$n" "vdiskfs qsd" more %.0f "$new"
	done
	table "random 4 KiB writes, 2 writers, over, /s" wover "vdiskfs qsd" more %.0f \
		"$written:qsd:1.5 qcow2,vmdk,vdi,vhd,vhdx:vdiskfs:0.8:raw"
	table "vdisk and qemu-img convert from raw, s" convert "vdiskfs convert" less %.2f \
		"raw,qcow2,vmdk,vdi,vhd,vhdx:convert:1.3 $deflated:convert:3"
	table "  what they take, MiB" size "vdiskfs convert" less %.1f "$deflated:convert:1"
	table "vdisk and qemu-img info, ms" info "vdiskfs convert" less %.1f "$all:convert:1"
	for format in qcow2 vdi vmdk; do
		table "mount, cp of export/*.$format, umount, s" "export-$format" "vdiskfs convert" less %.2f \
			"raw,$plain:convert:1 $deflated:convert:2"
	done
	table "cp out of export/*.qcow2, s" out "vdiskfs floor convert" less %.2f "qcow2,vmdk,vdi:floor:0.95"
	table "  read in steps of 10 KiB, s" small "vdiskfs floor" less %.2f "qcow2,vmdk,vdi:floor:0.83"
	table "cp of a disk into a new image, s" in "vdiskfs floor convert" less %.2f "qcow2,vmdk,vdi:floor:0.95"
	images="$images scattered chain" table "cold images, a disk of ${cold_ms} ms, MiB/s of the files" cold \
		"file vdiskfs qsd" more %.0f "$all,qcow,qed,parallels,scattered,chain:file:0.9"
	table "mount to first byte, ms" first "vdiskfs $peers" less %.1f "$all:qsd:1"
	table "peak memory, MiB" memory "vdiskfs $peers" less %.1f ""
	images=${counted//,/ } table "instructions of a request" instructions "vdiskfs reference" less %.0f \
		"$counted:reference:0.91"
	medians "$results" | awk '
		$1 == "thin" { t[$2] = $4 }
		$1 ~ /^huge-/ { h[$2, $1] = $4; format[$2] }
		END {
			if (t["plain"]) printf "\nmount + cp + umount of 1 TiB that stores what the plain file does: %.2f s; of the plain file: %.2f s: %.2f x (goal 1.2: %s); cp of the file itself %.2f s\n",
				t["1TiB"], t["plain"], t["1TiB"] / t["plain"],
				(t["1TiB"] <= 1.2 * t["plain"] ? "met" : "MISSED"), t["file"]
			for (f in format)
				printf "16 TiB, %s: first byte %.1f ms, the holes round %d runs of data found in %.3f s, peak memory %.1f MiB\n",
					f, h[f, "huge-first"], h[f, "huge-extents"], h[f, "huge-scan"], h[f, "huge-memory"]
		}'
}
