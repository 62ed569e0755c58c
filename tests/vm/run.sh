#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# run.sh TOPOLOGY TEST: boots an emulated machine (machine.sh) and runs TEST.sh in it as root, under
# systemd as PID 1, with this build installed. TEST prints TAP. BUILD is the build directory.
#
# In the machine: hakmem installed as `meson install` would, /payload/tests/ as in the source tree,
# test programs in /payload/bin, which is in PATH.
set -u
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd) || exit 1
root=$(dirname "$(dirname "$here")")
# shellcheck source=tests/vm/machine.sh
. "$here/machine.sh"
: "${BUILD:?}"
[ $# -eq 2 ] || { echo "usage: run.sh TOPOLOGY TEST" >&2; exit 2; }

# Where it cannot be had, that is no failure of hakmem's. (To .ci/run it is one.)
skip_all()
{
	printf '1..0 # SKIP %s\n' "$*"
	exit 0
}

lacking()
{
	local name

	[ "$(uname -m)" = x86_64 ] || echo "the machine is an x86-64 one"
	grep -qs '^VERSION_CODENAME=bookworm$' /etc/os-release ||
		echo "programs built here need not run on the machine's Debian 12"
	for name in qemu-system-x86_64 mke2fs mmdebstrap; do
		command -v "$name" >/dev/null || echo "no $name: scripts/setup.sh vm"
	done
	[ "$(id -u)" -eq 0 ] || echo "needs root to make the machine's disk"
}

work=$(mktemp -d "${TMPDIR:-/tmp}/hakmem-vm.XXXXXX") || exit 1
machine_pid=
trap '[ -z "$machine_pid" ] || kill "$machine_pid"; rm -rf "$work"' EXIT
trap 'exit 143' TERM INT

make_payload() # TEST
{
	local p=$work/payload

	mkdir -p "$p/tests/proc" "$p/bin" &&
		DESTDIR=$p/install meson install -C "$BUILD" --no-rebuild --quiet \
			>"$work/install" 2>&1 &&
		rm -rf "$p"/install/usr/local/{include,share/man,bin/hakbench,lib/hakbench} &&
		find "$p/install" -name '*.a' -delete &&
		cp -r "$here" "$p/tests/" &&
		cp "$root/tests/proc/tools.sh" "$p/tests/proc/" &&
		cp "$BUILD"/tests/vm/{hog,lease,place} "$p/bin/" &&
		cat >"$p/run" <<-END &&
			#!/bin/bash
			cp -a /payload/install/. / && ldconfig || exit
			export PATH=/payload/bin:\$PATH VM_THREADS=${VM_THREADS:-0}
			export TERM=dumb SYSTEMD_COLORS=0 SYSTEMD_PAGER= TMPDIR=/tmp
			export HAKMEMD=$sbin/hakmemd HAKCTL=$bin/hakctl HAKRUN=$bin/hakrun
			cd /payload/tests/vm && exec bash "$1.sh" 2>&1
		END
		chmod 755 "$p/run"
}

reason=$(lacking | head -n 1)
[ -z "$reason" ] || skip_all "$reason"
image=$(bash "$here/image.sh" 2>"$work/log") || {
	echo 'Bail out! image.sh failed'
	sed 's/^/# /' "$work/log"
	exit 1
}
bin=$(meson introspect "$BUILD" --buildoptions | python3 -c '
import json, sys
option = {o["name"]: o["value"] for o in json.load(sys.stdin)}
print(option["prefix"] + "/" + option["bindir"], option["prefix"] + "/" + option["sbindir"])')
sbin=${bin#* }
bin=${bin% *}
make_payload "$2" || {
	echo 'Bail out! no payload'
	sed 's/^/# /' "$work/install"
	exit 1
}
machine "$1" "$image" "$work/payload" "$work" 2>"$work/log" || {
	status=$?
	sed 's/^/# /' "$work/log"
	exit "$status"
}
