#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Builds the Debian packages from what git knows, and tries them in a clean system.
# shellcheck source=tests/packages/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
need dpkg-buildpackage dh lintian mmdebstrap unshare
[ "$(id -u)" -eq 0 ] || {
	echo '1..0 # SKIP needs root to make a clean system'
	exit 0
}

clean=$work/clean
trap 'rm -rf --one-file-system "$work"' EXIT

builds()
{
	local say=$work/build

	mkdir "$work/source"
	sources '*' | tar -cf - -T - | tar -xf - -C "$work/source"
	if ! (cd "$work/source" && unset CC CXX &&
		dpkg-buildpackage -us -uc -j"$(nproc)") >"$say" 2>&1; then
		tail -n 50 "$say" | sed 's/^/deb:0: /'
	fi
}

has()
{
	local name

	for name in hakmemd libhakclient0 libhakclient-dev hakmem-tools python3-hakmem; do
		ls "$work/$name"_*.deb >/dev/null 2>&1 || echo "deb:0: no package $name"
	done
}

lints()
{
	lintian --allow-root --fail-on error,warning "$work"/hakmem_*.changes 2>&1 | grep -v '^N:'
}

unpacks() # the clean system, with the packages and the consumers in it
{
	local tar

	tar=$(bash "$here/clean.sh" 2>"$work/log") || sed 's/^/clean:0: /' "$work/log"
	mkdir "$clean" && tar -xf "$tar" -C "$clean" &&
		mkdir "$clean/try" &&
		cp "$work"/*.deb "$here/inside.sh" "$clean/try" &&
		rm -f "$clean"/try/*-dbgsym_* &&
		cp -r "$here/consumer" "$clean/try"
}

inside() # STEP: one function of inside.sh, in the clean system with a /proc and /dev of its own
{
	# shellcheck disable=SC2016 # for the shell inside
	timeout 300 unshare --mount --pid --fork --kill-child sh -c '
		mount --make-rprivate / && mount -t proc proc "$1/proc" &&
		mount --rbind /dev "$1/dev" && mount -t tmpfs tmpfs "$1/run" &&
		exec chroot "$1" env -i HOME=/root LC_ALL=C.UTF-8 \
			PATH=/usr/sbin:/usr/bin:/sbin:/bin bash /try/inside.sh "$2"' \
		sh "$clean" "$1" >"$work/log" 2>&1 ||
		tail -n 30 "$work/log" | sed "s/^/$1:0: /"
}

verdict "source and binary packages are built" builds
verdict "all packages are there" has
verdict "lintian has nothing to say" lints
verdict "there is a clean system" unpacks
verdict "they are installed" inside installed
verdict "the units are right, and their user is there" inside units
verdict "a daemon serves, and a program runs under it" inside serves
verdict "a project builds by pkg-config and uses a domain" inside by_pkg_config
verdict "a project builds by CMake and uses a domain" inside by_cmake
verdict "Python shares memory" inside by_python
verdict "they are purged, and leave nothing" inside purged
tap_done
