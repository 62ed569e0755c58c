#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# The battery of real programs: each runs with and without the preload library and must do the same.
#
#	[BUILD=dir] [MODE=embedded|daemon] [LIB=file] tests/programs/run.sh [family...]
#
# A family is NN-name.sh beside this file; no argument means all of them, the cheap ones first.
# LIB puts another preload library in the place of ours, which tells a fault of the battery from a
# fault of the library. HAK_PROGRAMS_ALLOW_MISSING=1 turns a program that is not installed into a
# skip, HAK_KEEP=1 leaves the working directory behind.
#
# In daemon mode one hakmemd serves the whole run; what it must show afterwards is checked at the
# end.

set -uo pipefail

HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
ROOT=$(cd "$HERE/../.." && pwd)
BUILD=$(realpath -m "${BUILD:-$ROOT/build}")
MODE=${MODE:-embedded}
LIB=${LIB:-$BUILD/libclient/libhakmalloc.so}
HAKCTL=$BUILD/tools/hakctl

NUMBER=0
FAILED=0
FAMILY_PID=
DAEMON_PID=
SESSION_EXPECTED=

die()
{
	printf 'Bail out! %s\n' "$*"
	exit 2
}

# Everything that a program of the battery may need to reach, also as another user, lies below WORK.
cleanup()
{
	trap '' TERM INT
	[ -z "$FAMILY_PID" ] || { kill -TERM "$FAMILY_PID" && wait "$FAMILY_PID"; } 2>/dev/null
	[ -z "$DAEMON_PID" ] || kill -KILL "$DAEMON_PID" 2>/dev/null
	[ -n "${HAK_KEEP:-}" ] && { printf '# kept: %s\n' "$WORK"; return; }
	rm -rf "$WORK"
}

# A line "ok - text" or "not ok - text" gets its number; anything else is passed on.
emit()
{
	case $1 in
	"ok - "*)
		printf 'ok %d - %s\n' $((++NUMBER)) "${1#ok - }"
		;;
	"not ok - "*)
		printf 'not ok %d - %s\n' $((++NUMBER)) "${1#not ok - }"
		FAILED=$((FAILED + 1))
		;;
	*)
		printf '%s\n' "$1"
		;;
	esac
}

verdict()
{
	if "${@:2}"; then
		emit "ok - daemon: $1"
	else
		emit "not ok - daemon: $1"
	fi
}

run_family()
{
	local name=$1 file=$2 line status before=$NUMBER start=$SECONDS

	! grep -q has_session "$file" || SESSION_EXPECTED=1
	bash "$file" >"$WORK/tap" &
	FAMILY_PID=$!
	while IFS= read -r line; do
		emit "$line"
	done <"$WORK/tap"
	wait "$FAMILY_PID"
	status=$?
	FAMILY_PID=
	[ "$status" -eq 0 ] || emit "not ok - $name: ended early with status $status"
	[ "$NUMBER" -gt "$before" ] || emit "not ok - $name: made no check"
	printf '# %s: %d s\n' "$name" $((SECONDS - start))
}

daemon_fds()
{
	local fds=("/proc/$DAEMON_PID/fd/"*)

	echo "${#fds[@]}"
}

# How many sessions the daemon has, if it answers.
daemon_sessions()
{
	local report

	report=$(timeout 5 "$HAKCTL" --socket "$SOCKET" sessions --json 2>/dev/null) || return
	"$HERE/sessions.py" <<<"$report"
}

start_daemon()
{
	local line deadline=$((SECONDS + 10))

	[ -x "$BUILD/daemon/hakmemd" ] || die "no $BUILD/daemon/hakmemd: build first, or set BUILD"
	[ -x "$HAKCTL" ] || die "no $HAKCTL: build first, or set BUILD"
	SOCKET=$WORK/hakmemd.sock
	mkfifo "$WORK/daemon.out"
	"$BUILD/daemon/hakmemd" --foreground --socket "$SOCKET" \
		>"$WORK/daemon.out" 2>&1 </dev/null &
	DAEMON_PID=$!
	exec {DAEMON_OUT}<"$WORK/daemon.out"
	while ((SECONDS < deadline)); do
		IFS= read -r -t $((deadline - SECONDS)) line <&"$DAEMON_OUT" || break
		printf '%s\n' "$line" >>"$WORK/daemon.log"
		[[ $line == "hakmemd: ready on "* ]] && break
	done
	[[ ${line:-} == "hakmemd: ready on "* ]] || {
		sed 's/^/# /' "$WORK/daemon.log"
		die "hakmemd did not become ready within 10 s"
	}
	# From here on the pipe must be kept empty, and its end means that the daemon is gone.
	mkfifo "$WORK/daemon.gone"
	exec {DAEMON_GONE}<>"$WORK/daemon.gone"
	{
		cat <&"$DAEMON_OUT" >>"$WORK/daemon.log"
		echo gone >&"$DAEMON_GONE"
	} &
	exec {DAEMON_OUT}<&-
	DAEMON_FDS=$(daemon_fds)
}

alive()
{
	kill -0 "$DAEMON_PID" 2>/dev/null
}

had_sessions()
{
	[ -s "$WORK/sessions" ]
}

no_sessions_left()
{
	local deadline=$((${EPOCHREALTIME/./} + 2000000)) left

	while :; do
		left=$(daemon_sessions) && [ "$left" = 0 ] && return 0
		((${EPOCHREALTIME/./} < deadline)) || break
	done
	printf '# sessions left after 2 s: %s\n' "${left:-no answer}"
	return 1
}

fds_are_back()
{
	# Regions that were made ready for the crowd go after the decay time, 2 s.
	local deadline=$((${EPOCHREALTIME/./} + 10000000)) now

	while :; do
		now=$(daemon_fds)
		[ "$now" = "$DAEMON_FDS" ] && return 0
		((${EPOCHREALTIME/./} < deadline)) || break
	done
	printf '# descriptors: %s before, %s after\n' "$DAEMON_FDS" "$now"
	return 1
}

ends_by_sigterm()
{
	local line status pid=$DAEMON_PID

	kill -TERM "$pid" 2>/dev/null || return 1
	IFS= read -r -t 10 line <&"$DAEMON_GONE" || {
		echo "# still there 10 s after SIGTERM"
		return 1
	}
	DAEMON_PID=
	wait "$pid"
	status=$?
	[ "$status" -eq 0 ] || printf '# status %d\n' "$status"
	return "$status"
}

check_daemon()
{
	verdict "the same process is alive after the battery" alive
	[ -z "$SESSION_EXPECTED" ] || verdict "a running program had a session" had_sessions
	verdict "no session is left 2 s after the last program" no_sessions_left
	verdict "its descriptors are as many as before" fds_are_back
	verdict "SIGTERM ends it with status 0" ends_by_sigterm
	[ "$FAILED" -eq 0 ] || tail -n 20 "$WORK/daemon.log" | sed 's/^/# hakmemd: /'
}

main()
{
	local file name wanted families=()

	case $MODE in
	embedded | daemon) ;;
	*) die "MODE is embedded or daemon, not $MODE" ;;
	esac
	[ -f "$LIB" ] || die "no $LIB: build first, or set BUILD or LIB"
	for name in "$@"; do
		file=$(compgen -G "$HERE/[0-9][0-9]-$name.sh") || die "no family $name in $HERE"
	done

	WORK=$(mktemp -d "${TMPDIR:-/tmp}/hakprog.XXXXXX") || die "no working directory"
	trap cleanup EXIT
	trap 'exit 143' TERM
	trap 'exit 130' INT
	# Programs that change their user must reach the library and the socket.
	chmod 711 "$WORK"
	install -m 755 -D "$LIB" "$WORK/lib/$(basename "$LIB")" || die "cannot copy $LIB"
	mkfifo "$WORK/tap"

	SOCKET=
	[ "$MODE" = embedded ] || start_daemon
	export HERE ROOT BUILD MODE WORK SOCKET HAKCTL
	export HAK_LIB=$WORK/lib/${LIB##*/} HAK_RUN=$$

	wanted=" $* "
	for file in "$HERE"/[0-9][0-9]-*.sh; do
		name=$(basename "$file" .sh)
		name=${name#[0-9][0-9]-}
		[ $# -eq 0 ] || [[ $wanted == *" $name "* ]] || continue
		families+=("$name")
		run_family "$name" "$file"
	done
	[ "$MODE" = embedded ] || check_daemon
	printf '1..%d\n' "$NUMBER"
	printf '# %s mode: %d families, %d checks, %d failed, %d s\n' \
		"$MODE" "${#families[@]}" "$NUMBER" "$FAILED" "$SECONDS"
	[ "$FAILED" -eq 0 ]
}

main "$@"
