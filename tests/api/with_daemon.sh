#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# with_daemon.sh command args...
#
# Runs a command beside a hakmemd of its own: private socket, HAKMEM_MODE and HAKMEM_SOCKET set. The
# result is the command's, unless the daemon did not start, died meanwhile, or did not end with 0.
# HAKMEMD names the daemon. HAKMEM_DAEMON_LOG, if set, keeps its messages.
set -eu

: "${HAKMEMD:?names the daemon to run}"
readonly start_deadline=20 stop_deadline=20 whole_deadline=600
dir=$(mktemp -d "${TMPDIR:-/tmp}/hakmem-api-XXXXXX")
log=${HAKMEM_DAEMON_LOG:-$dir/log}
daemon=

clean()
{
	if [ -n "$daemon" ]; then
		kill -KILL "$daemon" 2> /dev/null || true
	fi
	rm -rf "$dir"
}
trap clean EXIT
trap 'exit 143' TERM INT HUP

die()
{
	echo "# with_daemon: $1; the daemon said:" >&2
	sed 's/^/# /' "$log" >&2
	exit 1
}

mkfifo "$dir/said"
: > "$log"
# timeout is the daemon's parent and deadline; it passes SIGTERM on and reports the daemon's status.
timeout --kill-after=$stop_deadline $whole_deadline \
	"$HAKMEMD" --foreground --socket "$dir/socket" > "$dir/said" 2>&1 &
daemon=$!
exec 3< "$dir/said"
ready=
while [ -z "$ready" ] && IFS= read -r -t $start_deadline line <&3; do
	echo "$line" >> "$log"
	case $line in
	*"ready on $dir/socket"*) ready=1 ;;
	esac
done
[ -n "$ready" ] || die "no ready line within $start_deadline s"
cat <&3 >> "$log" &

status=0
HAKMEM_MODE=daemon HAKMEM_SOCKET="$dir/socket" "$@" 3<&- || status=$?

kill -0 "$daemon" 2> /dev/null || die "the daemon is gone"
kill -TERM "$daemon"
stopped=0
wait "$daemon" || stopped=$?
daemon=
[ "$stopped" = 0 ] || die "the daemon ended with $stopped after SIGTERM"
exit "$status"
