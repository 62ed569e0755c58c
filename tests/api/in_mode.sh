#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# in_mode.sh glibc|embedded|checked|libc|force-libc|daemon|checked-daemon command args...
#
# One test program as each kind of user runs it. HAKMALLOC names the preload library.
set -eu

here=$(dirname "$0")
mode=$1
shift
unset HAKMEM_MODE HAKMEM_SOCKET HAKMEM_FORCE_LIBC_ALLOC HAKMEM_FASTLANE_DIRECT LD_PRELOAD
case $mode in
glibc) exec "$@" ;;
embedded) exec env LD_PRELOAD="$HAKMALLOC" "$@" ;;
checked) exec env LD_PRELOAD="$HAKMALLOC" HAKMEM_FASTLANE_DIRECT=0 "$@" ;;
libc) exec env LD_PRELOAD="$HAKMALLOC" HAKMEM_MODE=libc "$@" ;;
force-libc) exec env LD_PRELOAD="$HAKMALLOC" HAKMEM_FORCE_LIBC_ALLOC=1 "$@" ;;
daemon) exec "$here/with_daemon.sh" env LD_PRELOAD="$HAKMALLOC" "$@" ;;
checked-daemon)
	exec "$here/with_daemon.sh" env LD_PRELOAD="$HAKMALLOC" HAKMEM_FASTLANE_DIRECT=0 "$@"
	;;
*)
	echo "in_mode: no mode '$mode'" >&2
	exit 2
	;;
esac
