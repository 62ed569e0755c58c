#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# The client library alone, built by musl-gcc. BUILD is the build directory: its hakmemd serves.
# shellcheck source=tests/packages/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
need musl-gcc meson ninja
: "${BUILD:?}"
export HAKMEM_SOCKET=$work/sock
"$BUILD/daemon/hakmemd" --foreground --socket "$HAKMEM_SOCKET" >"$work/daemon" 2>&1 &
daemon=$!
trap 'kill "$daemon"; rm -rf "$work"' EXIT

# Of the kernel's headers, which musl does not bring; behind its own.
headers="-idirafter /usr/include -idirafter /usr/include/$(gcc -dumpmachine)"

builds()
{
	local log=$work/log

	if ! CC=musl-gcc CFLAGS=$headers meson setup -Dprograms=false -Dwerror=true "$work/build" \
		. >"$log" 2>&1 || ! ninja -C "$work/build" >>"$log" 2>&1; then
		grep -E 'error|warning|ERROR' "$log" | sed 's/^/musl:0: /'
	fi
}

needs_libc()
{
	readelf -d "$work/build/libclient/libhakclient.so" | grep NEEDED | grep -v '\[libc\.so\]'
}

serves() # STATIC|SHARED
{
	local lib=$work/build/libclient how=()

	export LD_LIBRARY_PATH=$lib
	case $1 in
	SHARED) how=("-L$lib" -lhakclient) ;;
	*) how=(-static "$lib/libhakclient.a") ;;
	esac
	musl-gcc -O2 -Wall -Wextra -Werror -Ilibclient/include "$here/consumer/consumer.c" \
		-o "$work/c" "${how[@]}"
	[ "$("$work/c")" = hello ] || echo "musl:0: $1 says no hello"
}

# shellcheck disable=SC2016 # for the shell inside
timeout 60 sh -c 'until [ -S "$HAKMEM_SOCKET" ]; do :; done'
verdict "musl-gcc builds the client library" builds
verdict "it needs libc alone" needs_libc
verdict "a shared one serves, in a domain too" serves SHARED
verdict "a static one, likewise" serves STATIC
tap_done
