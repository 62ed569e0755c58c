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

# Words must not cost the program its life: SIGXFSZ and SIGPIPE would.
silently() # its standard error is the caller's
{
	local status=0

	# shellcheck disable=SC2016 # for the inner shell
	(
		ulimit -f 0
		exec env LD_PRELOAD="$HAKMALLOC" HAKMEM_MODE=daemon HAKMEM_SOCKET="$dir/none" \
			bash -c 'x=$(printf %0500000d 1); exit $((${#x} / 100000))'
	) || status=$?
	return $status
}

status=0 out='' err=''
silently 2> "$dir/full" || status=$?
check 'a message that finds no room is dropped' ended 5 '' ''
mkfifo "$dir/nobody"
exec 8<> "$dir/nobody"
exec 9> "$dir/nobody"
exec 8>&- # no reader any more
status=0
silently 2>&9 || status=$?
exec 9>&-
check 'and so is one that nobody reads' ended 5 '' ''

# It reads the pipe when it has a session, and goes on when the daemon is gone.
mkfifo "$dir/go"
start_daemon
env LD_PRELOAD="$HAKMALLOC" HAKMEM_MODE=daemon HAKMEM_SOCKET="$sock" \
	timeout 60 bash -c "read -r _ < '$dir/go'; $forks" > "$dir/out" 2> "$dir/err" &
client=$!
exec 9> "$dir/go"
pkill -KILL -P "$daemon" # itself, not the timeout around it
wait "$daemon" 2> /dev/null
daemon=
echo >&9
status=0
wait "$client" || status=$?
out=$(cat "$dir/out")
err=$(cat "$dir/err")
check 'children of a process whose daemon died are silent' ended 0 "$want" ''
all_done
