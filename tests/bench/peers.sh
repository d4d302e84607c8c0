# SPDX-License-Identifier: LGPL-2.1-or-later
# peers.sh - the programs that are compared, and how each mounts an image.  Sourced by run.

# version_of PROGRAM [WORD...]: prints the first number with a dot, or the date, in its output.
version_of() { "$@" 2>&1 </dev/null | grep -oE '[0-9]+\.[0-9.]*[0-9]|20[0-9]{6}' | head -n 1; }

# find_qsd: prints the qemu-storage-daemon with the highest version.
find_qsd() {
	{ type -ap qemu-storage-daemon; find /usr/local /opt -name qemu-storage-daemon -type f -perm /111 2>/dev/null; } |
		sort -u | while read -r p; do echo "$(version_of "$p" --version) $p"; done | sort -V | tail -n 1 | cut -d' ' -f2-
}

qsd=${QSD:-$(find_qsd)}
qsd_version=$([ -z "$qsd" ] || version_of "$qsd" --version)

# Since version 11, the FUSE export takes a list of threads that serve it.
qsd_objects=() qsd_threads=
if [ "${qsd_version%%.*}" ] && [ "${qsd_version%%.*}" -ge 11 ]; then
	for i in $(seq 0 $(($(nproc) - 1))); do
		qsd_objects+=(--object "iothread,id=thread$i")
		qsd_threads+=,iothread.$i=thread$i
	done
fi

# nbdkit reads qcow2 by a filter, since version 1.46.
nbdkit_reads_qcow2() { nbdkit --filter=qcow2dec null --dump-plugin >/dev/null 2>&1; }

has_nbdkit() { command -v nbdkit >/dev/null && command -v nbdfuse >/dev/null; }

# peers_of IMAGE: prints the programs that can mount it.
peers_of() {
	echo vdiskfs
	[ -z "$qsd" ] || echo qsd
	case $1 in
	raw)
		echo daemon
		! has_nbdkit || echo nbdkit
		! command -v xmount >/dev/null || echo xmount ;;
	qcow2 | deflate | zstd)
		! command -v qcowmount >/dev/null || echo libyal
		! has_nbdkit || ! nbdkit_reads_qcow2 || echo nbdkit ;;
	vmdk | stream) ! command -v vmdkmount >/dev/null || echo libyal ;;
	vhd | vhdx) ! command -v vhdimount >/dev/null || echo libyal ;;
	esac
}

# peer_versions: prints the programs that can be measured, with their versions.
peer_versions() {
	local p
	[ -z "$qsd" ] || echo "qsd $qsd_version${qsd_threads:+, multi-threaded}"
	for p in qcowmount vmdkmount vhdimount; do ! command -v $p >/dev/null || echo "$p $(version_of $p -V)"; done
	! has_nbdkit || echo "nbdkit $(version_of nbdkit --version), nbdfuse $(version_of nbdfuse --version)"
	! command -v xmount >/dev/null || echo "xmount $(version_of xmount --version)"
}

# libyal_for FORMAT: prints libyal's name for it, the prefix of its mount program and of the file in its mount.
libyal_for() {
	case $1 in
	qcow2) echo qcow ;;
	vpc | vhdx) echo vhdi ;;
	*) echo "$1" ;;
	esac
}

# serve PROGRAM IMAGE-FILE FORMAT: mounts the image; sets $view, and $first to the milliseconds until the first
# byte was read.  "daemon" is vdiskfs with -o rw, so that the kernel does not read a raw image without the daemon.
serve() {
	local file=$2 filter=()
	mkdir -p "$W/mnt"
	: >"$W/point"
	case $1 in
	vdiskfs)
		view=$W/mnt/disk.raw
		set -- "$vdiskfs" "$file" "$W/mnt" ;;
	daemon)
		view=$W/mnt/disk.raw
		set -- "$vdiskfs" -o rw "$file" "$W/mnt" ;;
	qsd)
		view=$W/point
		set -- "$qsd" --daemonize "${qsd_objects[@]}" \
			--blockdev "driver=file,node-name=file,filename=$file,read-only=on" \
			--blockdev "driver=$3,node-name=disk,file=file,read-only=on" \
			--export "type=fuse,id=view,node-name=disk,mountpoint=$view$qsd_threads" ;;
	libyal)
		view=$W/mnt/$(libyal_for "$3")1
		set -- "$(libyal_for "$3")mount" "$file" "$W/mnt" ;;
	nbdkit)
		view=$W/mnt/disk
		[ "$3" = raw ] || filter=(--filter=qcow2dec)
		# nbdfuse stays in the foreground.
		set -- sh -c '"$@" &' sh nbdfuse -r "$view" [ nbdkit -r --exit-with-parent "${filter[@]}" file "$file" ] ;;
	xmount)
		view=$W/mnt/$(basename "$file" .raw).dd
		set -- xmount --in raw "$file" "$W/mnt" ;;
	esac
	first=$("$tools/firstbyte" "$view" "$@" 2>>"$W/log")
}

stop() {
	local pids m
	mapfile -t pids < <(servers)
	awk -v w="$W/" 'index($5, w) == 1 { print $5 }' /proc/self/mountinfo | tac | while read -r m; do
		fusermount3 -u "$m" || fusermount3 -uz "$m"
	done
	[ ${#pids[@]} = 0 ] && return
	# qemu-storage-daemon runs on after its export is unmounted.
	for m in "${pids[@]}"; do
		! grep -qzF "mountpoint=$W/point" "/proc/$m/cmdline" 2>/dev/null || kill "$m"
	done
	"$await_exit" 20 "${pids[@]}"
}
