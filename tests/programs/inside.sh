# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
#
# What the functions given to `same` (lib.sh) may use. Each runs in a shell of its own, which is
# itself under the library when SIDE is `hak`, in a directory of its own.

set -euo pipefail

# What runs in the background: process number to what it prints.
declare -A SERVERS=()

# A tool of the battery, not a program under test.
bare()
{
	env -u LD_PRELOAD -u HAKMEM_MODE -u HAKMEM_SOCKET "$@"
}

# evidence NAME PID: of a program that lives long enough to be looked at.
evidence()
{
	bare cat "/proc/$2/maps" >"evidence.$1"
}

# evidence_of NAME OBJECT COMMAND...: of one that does not: where the dynamic linker bound malloc
# for OBJECT (the name of a program as it was called, or of a library, without folder).
evidence_of()
{
	local name=$1 object=$2

	shift 2
	LD_DEBUG=bindings LD_DEBUG_OUTPUT=$PWD/bindings.$name "$@" >/dev/null </dev/null
	bare cat "bindings.$name".* |
		bare grep -E "binding file ([^ ]*/)?$object \[0\] to .*symbol \`(malloc|_Znwm)'" \
		>"evidence.$name"
	bare rm "bindings.$name".*
}

# In daemon mode a running program has a session with its process number.
has_session()
{
	local deadline=$((SECONDS + 5))

	[ "$SIDE" = hak ] && [ "$MODE" = daemon ] || return 0
	until bare timeout 5 "$HAKCTL" --socket "$SOCKET" sessions --json |
		bare "$HERE/sessions.py" "$1"; do
		((SECONDS < deadline)) || {
			echo "process $1 has no session" >&2
			return 1
		}
	done
	echo "$1" >>sessions
}

# start_server "line that says it is ready" SECONDS COMMAND...
#
# SERVER is its process, SERVER_LOG what it prints (a caller with several keeps them). All processes
# of a server hold the writing end of that pipe, so end of file means that every one of them is
# gone.
start_server()
{
	local ready=$1 seconds=$2 fifo=server.$BASHPID.$RANDOM.fifo

	shift 2
	mkfifo "$fifo"
	"$@" >"$fifo" 2>&1 </dev/null &
	SERVER=$!
	exec {SERVER_LOG}<"$fifo"
	SERVERS[$SERVER]=$SERVER_LOG
	await_line "$ready" "$seconds"
}

# await_line "part of a line" SECONDS: the next line of the server with it.
await_line()
{
	local line deadline=$((SECONDS + $2))

	while ((SECONDS < deadline)); do
		IFS= read -r -t $((deadline - SECONDS)) line <&"$SERVER_LOG" || break
		printf '%s\n' "$line" >&2
		[[ $line != *"$1"* ]] || return 0
	done
	echo "the server did not print: $1" >&2
	return 1
}

# stop_server SIGNAL SECONDS: it ends, all of it, with status 0.
stop_server()
{
	kill "-$1" "$SERVER"
	bare timeout "$2" cat <&"$SERVER_LOG" >&2
	exec {SERVER_LOG}<&-
	unset "SERVERS[$SERVER]"
	wait "$SERVER"
}

# Where a function fails half way, nothing of its servers may stay. What does not heed SIGTERM goes
# with the whole process group, which timeout made for this shell.
stop_leftovers()
{
	local status=$? pid

	for pid in "${!SERVERS[@]}"; do
		echo "stopping the server that was left" >&2
		kill -TERM "$pid" 2>/dev/null || continue
		bare timeout 5 cat <&"${SERVERS[$pid]}" >&2 || kill -KILL 0
	done
	return "$status"
}
trap stop_leftovers EXIT
