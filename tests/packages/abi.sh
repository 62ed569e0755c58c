#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# abi.sh: what a program that is linked with libhakclient.so.0 uses of it is as hakclient.abi says.
# abi.sh record: writes that file anew. BUILD is the build directory, with debug information.
# shellcheck source=tests/packages/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
need abidw abidiff
: "${BUILD:?}"
trap 'rm -rf "$work"' EXIT

describe() # FILE
{
	abidw --exported-interfaces-only --drop-private-types --headers-dir libclient/include \
		--no-show-locs --no-comp-dir-path --no-corpus-path --no-elf-needed --out-file "$1" \
		"$(readlink -f "$BUILD/libclient/libhakclient.so.0")"
}

same()
{
	describe "$work/abi" || return
	abidiff "$here/hakclient.abi" "$work/abi" >"$work/diff" 2>&1 && return
	sed 's/^/hakclient.abi:0: /' "$work/diff"
}

# The test must be able to fail: one parameter of another type is found.
notices()
{
	sed "s/<parameter type-id='type-id-[0-9]*'/<parameter type-id='type-id-1'/" \
		"$here/hakclient.abi" >"$work/other"
	! abidiff "$here/hakclient.abi" "$work/other" >/dev/null 2>&1 ||
		echo "hakclient.abi:0: abidiff takes another parameter for the same"
}

if [ "${1:-}" = record ]; then
	describe "$here/hakclient.abi"
	exit
fi
[ "$(uname -m)" = x86_64 ] || {
	echo '1..0 # SKIP hakclient.abi was recorded on x86-64'
	exit 0
}
verdict "libhakclient.so.0 is what programs were linked with" same
verdict "another parameter would be noticed" notices
tap_done
