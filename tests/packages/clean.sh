#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# A clean Debian 12, as a tar: what hakmem's packages depend on and a compiler, nothing of hakmem's.
# Prints its path, and makes it if it is not there: half a minute, once. It lies in
# ${XDG_CACHE_HOME:-~/.cache}/hakmem-clean under a hash of this file; delete the directory to get
# Debian's updates.
set -euo pipefail

suite=bookworm
# What the packages depend on, then what their users compile with, then what the test calls.
packages=libinih1,libjansson4,libnuma1,libsystemd0,liburing2,python3,systemd
packages+=,cmake,g++,gcc,libc6-dev,make,pkg-config
packages+=,perl-base,procps

# apt's sources of this release, in one-line form whatever form they have.
# shellcheck disable=SC2016 # apt's own variables
sources()
{
	apt-get indextargets --format '$(SITE) $(RELEASE) $(COMPONENT)' 'Created-By: Packages' |
		sort -u | awk -v suite="$suite" '$2 == suite { print "deb", $1, $2, $3 }'
}

cache=${XDG_CACHE_HOME:-$HOME/.cache}/hakmem-clean
hash=$(sha256sum "${BASH_SOURCE[0]}" | cut -c 1-16)
tar=$cache/$hash.tar
if [ ! -e "$tar" ]; then
	list=$(sources)
	[ -n "$list" ] || {
		echo "apt has no sources for Debian $suite" >&2
		exit 1
	}
	mkdir -p "$cache"
	mmdebstrap --quiet --mode=root --variant=minbase --format=tar --include="$packages" \
		--dpkgopt='path-exclude=/usr/share/doc/*' \
		--dpkgopt='path-exclude=/usr/share/locale/*' \
		--aptopt='APT::Install-Recommends "false"' \
		"$suite" "$tar.$$" "$list" >&2
	mv "$tar.$$" "$tar"
fi
echo "$tar"
