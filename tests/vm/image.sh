#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# The machine's disk: Debian 12 with systemd as PID 1, no kernel package, no network, no udev; and a
# kernel. Prints the directory that holds `vmlinuz` and `root.img`, and makes it if it is not there:
# half a minute, once. It lies in ${XDG_CACHE_HOME:-~/.cache}/hakmem-vm under a hash of this file,
# which is all that goes in but for Debian's own updates; delete the directory to get those.
#
# Packages are unpacked, not configured: what their scripts would do for this machine is below.
set -euo pipefail

suite=bookworm
packages=bash,base-files,base-passwd,coreutils,dash,findutils,grep,sed,mawk,util-linux,mount,tar
packages+=,procps,kmod,libc-bin,systemd,systemd-sysv
# What hakmem's own programs and tests are linked with, and what the tests call.
packages+=,liburing2,libnuma1,libinih1,libjansson4,libsystemd0,libcmocka0,numactl
kernel=linux-image-cloud-amd64 # NVMe and ext4 are built in: no initramfs

# Units that cost seconds each under emulation, for nothing that is tested.
masked=(
	systemd-udev-trigger.service systemd-udevd.service systemd-udevd-control.socket
	systemd-udevd-kernel.socket serial-getty@ttyS0.service getty.target systemd-logind.service
	systemd-networkd.service systemd-networkd.socket systemd-resolved.service
	systemd-timesyncd.service systemd-remount-fs.service systemd-random-seed.service
	systemd-user-sessions.service systemd-modules-load.service modprobe@.service
	systemd-update-utmp.service systemd-hwdb-update.service systemd-binfmt.service
	systemd-firstboot.service systemd-pcrphase.service systemd-pcrphase-sysinit.service
	sys-kernel-debug.mount sys-kernel-tracing.mount e2scrub_reap.service e2scrub_all.timer
	fstrim.timer dpkg-db-backup.timer apt-daily.timer apt-daily-upgrade.timer
)

# apt's sources of this release, in one-line form whatever form they have.
# shellcheck disable=SC2016 # apt's own variables
sources()
{
	apt-get indextargets --format '$(SITE) $(RELEASE) $(COMPONENT)' 'Created-By: Packages' |
		sort -u | awk -v suite="$suite" '$2 == suite { print "deb", $1, $2, $3 }'
}

get_kernel() # DIR
{
	local name

	name=$(apt-cache depends "$kernel" | awk '/Depends:/ { print $2; exit }')
	[ -n "$name" ] || {
		echo "apt knows no $kernel" >&2
		return 1
	}
	mkdir "$1/deb"
	(cd "$1/deb" && apt-get -q -o APT::Sandbox::User=root download "$name")
	dpkg -x "$1"/deb/*.deb "$1/kernel"
	mv "$1"/kernel/boot/vmlinuz-* "$1/vmlinuz"
}

get_root() # DIR
{
	local list

	list=$(sources)
	[ -n "$list" ] || {
		echo "apt has no sources for Debian $suite" >&2
		return 1
	}
	mmdebstrap --quiet --mode=root --variant=extract --format=directory \
		--hook-dir=/usr/share/mmdebstrap/hooks/merged-usr --include="$packages" \
		--dpkgopt='path-exclude=/usr/share/man/*' \
		--dpkgopt='path-exclude=/usr/share/doc/*' \
		--dpkgopt='path-exclude=/usr/share/locale/*' \
		--aptopt='APT::Install-Recommends "false"' \
		"$suite" "$1/root" "$list"
}

configure() # ROOT
{
	local root=$1 unit

	cp "$root/usr/share/base-passwd/passwd.master" "$root/etc/passwd"
	cp "$root/usr/share/base-passwd/group.master" "$root/etc/group"
	ln -sf mawk "$root/usr/bin/awk"
	[ -e "$root/bin/sh" ] || ln -s dash "$root/bin/sh"
	chroot "$root" ldconfig
	chroot "$root" systemd-sysusers
	: >"$root/etc/fstab"
	rm -rf "$root/var/run" "$root/var/lock"
	ln -s /run "$root/var/run"
	ln -s /run/lock "$root/var/lock"
	echo vm >"$root/etc/hostname"
	echo 00000000000000000000000000000001 >"$root/etc/machine-id"
	mkdir -p "$root/payload" "$root/etc/systemd/system/multi-user.target.wants"
	for unit in "${masked[@]}"; do
		ln -sf /dev/null "$root/etc/systemd/system/$unit"
	done
	ln -sf /lib/systemd/system/multi-user.target "$root/etc/systemd/system/default.target"
	ln -sf ../test.service "$root/etc/systemd/system/multi-user.target.wants/"
	cat >"$root/etc/systemd/system/test.service" <<-'END'
		[Service]
		Type=exec
		OOMPolicy=continue
		Environment=HOME=/root
		Environment=PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin
		TTYPath=/dev/ttyS1
		StandardOutput=tty
		StandardError=tty
		ExecStartPre=/bin/mount -o ro /dev/nvme1n1 /payload
		ExecStart=/bin/sh -c '/payload/run; echo "STATUS $$?"'
		ExecStopPost=/bin/systemctl poweroff -ff
	END
	# Else updates of the hardware database, users, and catalog run at each boot.
	touch -r "$root/usr" "$root/etc/.updated" "$root/var/.updated"
}

build() # DIR
{
	get_kernel "$1"
	get_root "$1"
	configure "$1/root"
	mke2fs -q -t ext4 -O ^has_journal -d "$1/root" "$1/root.img" 512M
	rm -rf "$1/root" "$1/deb" "$1/kernel"
}

cache=${XDG_CACHE_HOME:-$HOME/.cache}/hakmem-vm
dir=$cache/$(sha256sum "$0" | cut -c 1-16)
if [ ! -e "$dir/root.img" ]; then
	mkdir -p "$cache"
	new=$(mktemp -d "$cache/new.XXXXXX")
	trap 'rm -rf "$new"' EXIT
	build "$new" >&2
	# Whole or not at all, whoever else is building.
	mv -T "$new" "$dir" 2>/dev/null || [ -e "$dir/root.img" ]
fi
printf '%s\n' "$dir"
