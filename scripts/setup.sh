#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Installs what is missing of the named package lists: setup.sh [build] [vm] [packages] [programs]
# Does nothing, and needs no rights, when everything is there. HAKMEM_SKIP_SETUP=1 skips it, for
# systems where the same things have other names.
set -euo pipefail

scripts=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

die()
{
	printf 'setup: %s\n' "$*" >&2
	exit 1
}

# A package whose service could not be started may stay half configured; its files are there.
missing() # LIST...
{
	local list package

	for list in "$@"; do
		grep -vE '^(#|$)' "$scripts/packages-$list.txt" | while IFS= read -r package; do
			dpkg-query -W -f '${db:Status-Status}\n' "$package" 2>/dev/null |
				grep -qE '^(installed|half-configured|unpacked|triggers-)' ||
				printf '%s\n' "$package"
		done
	done
}

as_root()
{
	if [ "$(id -u)" -eq 0 ]; then
		"$@"
	else
		sudo "$@"
	fi
}

[ -z "${HAKMEM_SKIP_SETUP:-}" ] || exit 0
[ $# -gt 0 ] || set -- build
for list in "$@"; do
	[ -e "$scripts/packages-$list.txt" ] || die "no such package list: $list"
done
if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
	die "not a Debian. Install what scripts/packages-*.txt name, then set HAKMEM_SKIP_SETUP=1"
fi

mapfile -t packages < <(missing "$@")
[ ${#packages[@]} -gt 0 ] || exit 0

printf 'setup: installing %s\n' "${packages[*]}" >&2
[ "$(id -u)" -eq 0 ] || command -v sudo >/dev/null ||
	die "not root and no sudo. As root: apt-get install ${packages[*]}"
as_root apt-get update -q >&2 || printf 'setup: apt-get update failed, trying without\n' >&2

# RUNLEVEL=1 asks maintainer scripts not to start services; where they do nevertheless, or fail to,
# the programs are there all the same, and that alone is looked at below.
as_root env DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 \
	apt-get install -q -y --no-install-recommends "${packages[@]}" >&2 ||
	printf 'setup: apt-get reported an error\n' >&2

mapfile -t packages < <(missing "$@")
[ ${#packages[@]} -eq 0 ] || die "still missing: ${packages[*]}"
