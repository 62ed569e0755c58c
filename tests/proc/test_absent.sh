#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# No daemon, at the start and for ever: programs run on private memory, and say so once.
# shellcheck source=tools.sh
. "$(dirname "$0")/tools.sh"

# Forked children that each need memory of their own.
# shellcheck disable=SC2016 # for the inner shell
forks='for i in 1 2 3; do (x=$(printf %0500000d 1); y=$x$x$x$x; echo "${#y}"); done'
want=$'2000000\n2000000\n2000000'

run_without() # MODE
{
	run env LD_PRELOAD="$HAKMALLOC" HAKMEM_MODE="$1" HAKMEM_SOCKET="$dir/none" bash -c "$forks"
}

run_without daemon
check 'daemon mode says once, not in every child, that there is none' ended 0 "$want" \
	"hakmem: no daemon at $dir/none (No such file or directory); using private memory"
run_without auto
check 'auto mode is silent' ended 0 "$want" ''
all_done
