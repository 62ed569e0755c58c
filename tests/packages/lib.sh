# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
#
# What the scripts here share: TAP by tests/check/tap.sh's verdict(), and reasons to skip.
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd) || exit 1
root=$(dirname "$(dirname "$here")")
# shellcheck source=tests/check/tap.sh
. "$root/tests/check/tap.sh" "$root"

# Where it cannot be had, that is no failure of hakmem's. (To .ci/run it is one.)
need() # TOOL...
{
	local tool

	for tool in "$@"; do
		command -v "$tool" >/dev/null || {
			printf '1..0 # SKIP no %s: scripts/setup.sh packages\n' "$tool"
			exit 0
		}
	done
}

# shellcheck disable=SC2034 # for who sources this
work=$(mktemp -d "${TMPDIR:-/tmp}/hakmem-packages.XXXXXX") || exit 1
