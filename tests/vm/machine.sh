# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
#
# An emulated machine: machine TOPOLOGY IMAGE PAYLOAD WORK boots IMAGE (see image.sh), runs
# PAYLOAD/run in it as root, and writes what that prints to stdout, as it comes. The status is that
# of PAYLOAD/run, or 99 if the machine ended without one. WORK is a directory for its files.
# While it runs, machine_pid is set.
#
# shellcheck disable=SC2054 # the commas are qemu's
#
# No KVM is needed, and none is used: what is tested is behaviour and placement, which must not
# depend on the machine below. Time means nothing here.

# Sets `nodes` to qemu's arguments and `memory` to their sum in MiB.
topology() # NAME
{
	local n from to far

	nodes=()
	case $1 in
	four) # nodes of a processor each: 0 and 1 are near each other, and so are 2 and 3
		memory=2048
		for n in 0 1 2 3; do
			nodes+=(-object "memory-backend-ram,id=m$n,size=512M"
				-numa "node,nodeid=$n,cpus=$n,memdev=m$n")
		done
		for from in 0 1 2; do
			for ((to = from + 1; to < 4; to++)); do
				far=$((to / 2 == from / 2 ? 21 : 31))
				nodes+=(-numa "dist,src=$from,dst=$to,val=$far")
			done
		done ;;
	tiers) # node 0 has two processors, node 1 has one, both have memory; node 2 is a processor
		# alone, near node 1; node 3 is memory alone, far from all
		memory=2048
		nodes+=(-object memory-backend-ram,id=m0,size=768M
			-object memory-backend-ram,id=m1,size=768M
			-object memory-backend-ram,id=m3,size=512M
			-numa node,nodeid=0,cpus=0-1,memdev=m0
			-numa node,nodeid=1,cpus=2,memdev=m1
			-numa node,nodeid=2,cpus=3
			-numa node,nodeid=3,memdev=m3
			-numa dist,src=0,dst=1,val=21 -numa dist,src=0,dst=2,val=31
			-numa dist,src=0,dst=3,val=41 -numa dist,src=1,dst=2,val=21
			-numa dist,src=1,dst=3,val=41 -numa dist,src=2,dst=3,val=41) ;;
	*)
		echo "no such topology: $1" >&2
		return 2 ;;
	esac
}

machine() # TOPOLOGY IMAGE PAYLOAD WORK
{
	local image=$2 work=$4 nodes memory status
	local kernel='root=/dev/nvme0n1 rw console=ttyS0 quiet loglevel=3 panic=-1'

	# Pages are to stay where they were first put.
	kernel+=' systemd.show_status=0 mitigations=off tsc=reliable numa_balancing=disable'

	topology "$1" || return
	mke2fs -q -t ext4 -O ^has_journal -d "$3" "$work/payload.img" 96M >"$work/qemu" 2>&1 || {
		cat "$work/qemu" >&2
		return 1
	}
	: >"$work/said"
	timeout -k 5 "${VM_LIMIT:-850}" qemu-system-x86_64 \
		-machine q35 -accel tcg,thread=multi,tb-size=512 -cpu max,la57=off \
		-smp 4,sockets=4 -m "${memory}M" "${nodes[@]}" \
		-kernel "$image/vmlinuz" -append "$kernel" \
		-drive "file=$image/root.img,format=raw,if=none,id=d0,snapshot=on" \
		-device nvme,drive=d0,serial=root \
		-drive "file=$work/payload.img,format=raw,if=none,id=d1,snapshot=on" \
		-device nvme,drive=d1,serial=payload \
		-display none -vga none -nodefaults -no-reboot \
		-serial "file:$work/console" -serial "file:$work/said" >"$work/qemu" 2>&1 &
	machine_pid=$!
	tail -f --pid="$machine_pid" "$work/said" 2>/dev/null | tr -d '\r' |
		grep -v -e '^STATUS ' -e '^Powering off'
	wait "$machine_pid"
	machine_pid=
	status=$(tr -d '\r' <"$work/said" | sed -n 's/^STATUS //p' | tail -n 1)
	if [ -z "$status" ]; then
		echo '# the machine ended early; its console, and what qemu said:'
		tail -n 30 "$work/console" | tr -d '\r' | sed 's/^/# /' | cat -v
		sed 's/^/# /' "$work/qemu"
		status=99
	fi
	return "$status"
}
